package zab

import (
	"cmp"
	"fmt"
	"slices"

	"zoolab/node/fifo"
	"zoolab/zk/jute"
)

// Core is one member's part in the protocol. See the package comment.
type Core struct {
	cfg   Config
	nowMs int64
	out   []Effect

	role   Role
	booted bool

	// acceptedEpoch and currentEpoch are what the newest Save effects wrote.
	// Invariant: neither goes down, and currentEpoch <= acceptedEpoch.
	acceptedEpoch, currentEpoch int64
	// promisedEpoch is the highest epoch that any voter was heard to have accepted.
	promisedEpoch int64

	log history
	// deliverable is up to where the log may be delivered. Invariant: log.lastDelivered <= deliverable <= log.last.
	deliverable int64
	// committed is up to where this member knows the log to be committed for good.
	// No leader may ask to drop any of it.
	committed int64

	// floor is the lowest zxid to which the disk can be truncated.
	floor int64
	// snapshotEpoch is the epoch whose leader asked to go below floor: it is to send a snapshot.
	snapshotEpoch int64

	// Disk effects. Invariant: durableSeq <= lastSeq.
	lastSeq, durableSeq uint64
	// treeSeq is the newest Truncate; until it is durable the tree is not there, and
	// nothing is delivered and no role is taken.
	treeSeq uint64
	waits   fifo.Queue[diskWait]

	nextConn ConnID // number of the next Dial, odd

	members  memberships
	election election
	reach    reach
	follow   following
	lead     leading
	learners []*learner // connections to our quorum port, oldest first

	deserted       int64
	lastElectionMs int64
	counterLimit   int64 // maxCounter, less in tests of what happens beyond it
}

// diskWait is something to be done once Seq is durable. What waits belongs to the
// present role and is dropped with it.
type diskWait struct {
	seq  uint64
	kind waitKind
	zxid int64
}

type waitKind uint8

const (
	waitAck           waitKind = iota // acknowledge the proposal, or NEWLEADER, with this zxid
	waitAcceptedEpoch                 // acknowledge the epoch
)

// New makes a member that is about to look for a leader. It panics on a Config or a
// Boot that no caller may give.
func New(cfg Config, boot Boot) *Core {
	invariant(cfg.Verifier != nil, "nothing says what a quorum is")
	_, named := cfg.QuorumAddresses[cfg.SID]
	invariant(named || cfg.Reconfig != nil || slices.Contains(cfg.Verifier.Voters(), cfg.SID), "member %d is neither a voter nor an observer", cfg.SID)
	invariant(cfg.TickMs > 0 && cfg.InitLimitTicks > 0 && cfg.SyncLimitTicks > 0, "tick and limits must be positive")
	// Whoever has a transaction or the current epoch of an epoch has accepted it, also
	// when a data directory of an old version has no file that says so.
	accepted := max(boot.AcceptedEpoch, boot.CurrentEpoch, epochOf(boot.LastZxid))
	cfg.FirstResendMs = cmp.Or(cfg.FirstResendMs, firstResendMs)
	cfg.MostResendMs = cmp.Or(cfg.MostResendMs, mostResendMs)
	return &Core{
		cfg:           cfg,
		acceptedEpoch: accepted,
		currentEpoch:  boot.CurrentEpoch,
		promisedEpoch: accepted,
		members:       newMemberships(&cfg, boot),
		log:           newHistory(boot, cfg.CommitLogCount),
		deliverable:   boot.LastZxid,
		floor:         boot.Floor,
		nextConn:      1,
		counterLimit:  cmp.Or(cfg.LastCounter, maxCounter),
		election:      election{lost: nobody},
		follow:        following{leader: nobody, master: nobody},
	}
}

// nobody stands where no member does.
const nobody = -1

// Step takes one input and returns what it leads to. The slice is reused by the next
// Step. It panics when an invariant does not hold: the process must end then.
func (c *Core) Step(nowMs int64, in Input) []Effect {
	if nowMs < c.nowMs {
		violated("time went back from %d ms to %d ms", c.nowMs, nowMs)
	}
	c.nowMs = nowMs
	clear(c.out)
	c.out = c.out[:0]
	if !c.booted {
		c.booted = true
		c.saveForgotten()
		c.startElection(nobody)
	}
	switch in := in.(type) {
	case PacketReceived:
		c.packetReceived(in.Conn, in.Packet)
	case DiskDone:
		c.diskDone(in.Seq)
	case Propose:
		c.propose(in.Entry)
	case Tick:
		c.tick()
	case ConfirmLeadership:
		c.confirmLeadership(in.Token)
	case NotificationReceived:
		c.notificationReceived(in.From, &in.N)
	case VoterUnreachable:
		c.voterUnreachable(in.SID)
	case ConnOpened:
		c.connOpened(in)
	case ConnClosed:
		c.connClosed(in)
	case SnapshotReceived:
		c.snapshotReceived(in)
	case HistoryRead:
		c.historyRead(in)
	case TreeReplaced:
		c.treeMembership(in.MembershipText)
	case Restore:
		c.restore(in)
	default:
		panic(fmt.Sprintf("zab: no input has type %T", in))
	}
	return c.out
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) send(conn ConnID, t jute.PacketType, zxid int64, data []byte) {
	c.emit(Send{Conn: conn, Packet: jute.QuorumPacket{Type: t, Zxid: zxid, Data: data}})
}

// toLeader reports whether conn is our connection to the leader.
func (c *Core) toLeader(conn ConnID) bool { return conn != 0 && conn == c.follow.conn }

func (c *Core) packetReceived(conn ConnID, p jute.QuorumPacket) {
	if c.toLeader(conn) {
		c.fromLeader(p)
		return
	}
	if l := c.learner(conn); l != nil {
		c.fromLearner(l, p)
	}
}

func (c *Core) connOpened(in ConnOpened) {
	if in.Incoming {
		c.learnerConnected(in.Conn, in.Master)
	} else if c.toLeader(in.Conn) {
		c.leaderConnected()
	}
}

func (c *Core) connClosed(in ConnClosed) {
	if c.toLeader(in.Conn) {
		c.leaderDisconnected(in.Reason)
	} else if l := c.learner(in.Conn); l != nil {
		c.dropLearner(l, in.Reason, false)
	}
}

func (c *Core) tick() {
	c.tickLearners()
	switch c.role {
	case RoleLooking:
		c.tickElection()
	case RoleFollowing, RoleFollowerEstablished, RoleObserverEstablished:
		c.tickFollower()
	case RoleLeading, RoleLeaderEstablished:
		c.tickLeader()
	}
}

// nextSeq numbers a disk effect.
func (c *Core) nextSeq() uint64 {
	c.lastSeq++
	return c.lastSeq
}

// append logs a transaction; when it is durable an acknowledgement is due.
func (c *Core) append(e Entry) {
	m, ok := c.membershipIn(e)
	invariant(ok, "reconfiguration 0x%x can't be read", e.Zxid)
	if m != nil {
		c.logsMembership(m)
	}
	c.log.append(e)
	c.emit(Append{Seq: c.nextSeq(), Entry: e})
}

func (c *Core) saveAcceptedEpoch(epoch int64) {
	invariant(epoch > c.acceptedEpoch && epoch <= maxEpoch, "accepted epoch would go from %d to %d", c.acceptedEpoch, epoch)
	c.acceptedEpoch = epoch
	c.promisedEpoch = max(c.promisedEpoch, epoch)
	c.emit(SaveAcceptedEpoch{Seq: c.nextSeq(), Epoch: epoch})
}

func (c *Core) saveCurrentEpoch(epoch int64) {
	if epoch == c.currentEpoch {
		return
	}
	invariant(epoch > c.currentEpoch && epoch <= c.acceptedEpoch, "current epoch would go from %d to %d, accepted epoch is %d",
		c.currentEpoch, epoch, c.acceptedEpoch)
	c.currentEpoch = epoch
	c.emit(SaveCurrentEpoch{Seq: c.nextSeq(), Epoch: epoch})
}

// whenDurable does something once all disk effects so far are durable, at once if they are.
func (c *Core) whenDurable(kind waitKind, zxid int64) {
	c.waits.Push(diskWait{seq: c.lastSeq, kind: kind, zxid: zxid})
	c.durable()
}

func (c *Core) diskDone(seq uint64) {
	invariant(seq >= c.durableSeq && seq <= c.lastSeq, "the disk reports %d done after %d, of %d", seq, c.durableSeq, c.lastSeq)
	treeWasThere := c.TreeIsThere()
	c.durableSeq = seq
	if !treeWasThere && c.TreeIsThere() {
		c.deliver()
		c.takeDecidedRole()
	}
	c.durable()
}

// durable does what waited for the disk, in order.
func (c *Core) durable() {
	for {
		if c.waits.Len() == 0 || c.waits.All()[0].seq > c.durableSeq {
			return
		}
		w := c.waits.Pop()
		switch c.role {
		case RoleFollowing, RoleFollowerEstablished, RoleObserverEstablished:
			c.followerDurable(w)
		case RoleLeading, RoleLeaderEstablished:
			c.leaderDurable(w)
		}
	}
}

// TreeIsThere reports whether there is a tree that follows the log: not while the log is
// being truncated.
func (c *Core) TreeIsThere() bool { return c.durableSeq >= c.treeSeq }

// mayDeliver raises the mark up to which the log is delivered, and delivers.
func (c *Core) mayDeliver(zxid int64) {
	if zxid < c.deliverable || zxid > c.log.last {
		violated("0x%x is to be delivered, beyond 0x%x; the log ends at 0x%x", zxid, c.deliverable, c.log.last)
	}
	c.deliverable = zxid
	c.deliver()
}

func (c *Core) deliver() {
	if !c.TreeIsThere() {
		return
	}
	for {
		rest := c.log.undelivered()
		if len(rest) == 0 || rest[0].Zxid > c.deliverable {
			return
		}
		c.emit(Deliver{Entry: c.log.deliverNext()})
	}
}

// setRole says that the member took a role.
func (c *Core) setRole(role Role, leader, epoch int64, conn ConnID) {
	c.role = role
	c.emit(RoleChanged{Role: role, Leader: leader, Epoch: epoch, Conn: conn})
}

// lookAgain gives up the present role and looks for a leader. lost is the leader whose
// connection ended, or nobody.
func (c *Core) lookAgain(reason string, lost int64) {
	c.leaveRole(reason)
	c.startElection(lost)
}

// leaveRole ends the present role and all its connections.
func (c *Core) leaveRole(reason string) {
	if c.follow.conn != 0 {
		c.emit(Close{Conn: c.follow.conn, Reason: reason, Breach: c.follow.breach})
	}
	c.follow = following{leader: nobody, master: nobody, failures: c.follow.failures + 1}
	c.closeLearners(reason)
	c.lead = leading{}
	c.waits = fifo.Queue[diskWait]{}
	c.members.told = nil
	c.role = RoleLooking
	c.emit(RoleChanged{Role: RoleLooking, Leader: nobody, Reason: reason})
	// Outside of a role the tree equals the log: a leader's initial history is all it has logged.
	c.mayDeliver(c.log.last)
}

func (c *Core) initLimitMs() int64 { return c.cfg.InitLimitTicks * c.cfg.TickMs }

func (c *Core) syncLimitMs() int64 { return c.cfg.SyncLimitTicks * c.cfg.TickMs }

// Role returns where the member stands.
func (c *Core) Role() Role { return c.role }

// Leader returns the sid of the leader, -1 while there is none.
func (c *Core) Leader() int64 {
	switch c.role {
	case RoleLeading, RoleLeaderEstablished:
		return c.cfg.SID
	}
	return c.follow.leader
}

// Epoch returns the epoch of an established role, else 0.
func (c *Core) Epoch() int64 {
	switch c.role {
	case RoleFollowerEstablished, RoleObserverEstablished:
		return c.follow.epoch
	case RoleLeaderEstablished:
		return c.lead.epoch
	}
	return 0
}

// LastLogged returns the zxid of the log's end, which may not be durable yet.
func (c *Core) LastLogged() int64 { return c.log.last }

// LastDelivered returns the zxid of the tree.
func (c *Core) LastDelivered() int64 { return c.log.lastDelivered }

// LastCommitted returns up to where this member knows the log to be committed since
// it started; 0 before its first established role.
func (c *Core) LastCommitted() int64 { return c.committed }

// Deserted returns how often this candidate gave up because its voters went elsewhere.
func (c *Core) Deserted() int64 { return c.deserted }

// LastElectionMs returns how long the last election took, until a role was taken.
func (c *Core) LastElectionMs() int64 { return c.lastElectionMs }
