package zab

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"zoolab/zk/jute"
)

// following is a follower's or an observer's state towards the leader it has found.
type following struct {
	leader int64
	// observing says that we come as an observer.
	observing bool
	// master is the follower that we observe in place of the leader, or nobody.
	master int64
	conn   ConnID // 0 between two attempts to connect
	stage  followerStage
	epoch  int64 // of the leader, from LEADERINFO on

	// designated says that the leader was not elected but named by the one before it, of
	// which it may hear later than we do. Until then it closes our connections.
	designated bool

	// looks says that the leader has given its role up and votes, in the next round.
	looks bool

	dials      int   // attempts so far
	redialAtMs int64 // when the next one is due, while conn is 0
	deadlineMs int64 // when the leader is given up

	// coveredTo is the zxid of the snapshot that was installed: a leader may send again
	// what is in it.
	coveredTo int64
	// snapshotZxid is that of a SNAP whose stream is being read.
	snapshotZxid int64

	breach bool // the leader broke the protocol and is being left for it

	// failures counts how often a leader was lost or could not be joined since the last
	// established role. It outlives the role.
	failures int

	nextPingMs int64 // when to ping the observers that we serve
}

// followerStage is how far a follower has come with its leader. The order matters.
type followerStage uint8

const (
	stageDial       followerStage = iota // not connected
	stageLeaderInfo                      // FOLLOWERINFO sent
	stageAckEpoch                        // accepted epoch on its way to the disk
	stageSync                            // ACKEPOCH sent
	stageSnapshot                        // SNAP received, its stream not yet
	stageHistory                         // DIFF, TRUNC or SNAP carried out, proposals arrive
	stageNewLeader                       // NEWLEADER received, its acknowledgement waits for the disk
	stageUpToDate                        // NEWLEADER acknowledged
	stageServing                         // UPTODATE received
)

// Attempts to reach a leader, as many as Apache's learner makes; the pause doubles from
// the first one on. A leader may not listen yet because it waits longer for better votes.
const (
	maxDials      = 5
	firstRedialMs = 30
)

// protocolVersion is what learners and leaders since ZooKeeper 3.4 tell each other.
const protocolVersion = 0x10000

func (c *Core) startFollowing(leader int64) {
	c.closeLearners(fmt.Sprintf("member %d follows member %d", c.cfg.SID, leader))
	c.follow = following{
		leader: leader, observing: c.isObserver(c.cfg.SID), master: c.chooseMaster(leader),
		failures: c.follow.failures, deadlineMs: c.nowMs + cmp.Or(c.cfg.ConnectLimitTicks, c.cfg.InitLimitTicks)*c.cfg.TickMs,
	}
	c.setRole(RoleFollowing, leader, 0, 0)
	// A leader that could not be joined would be found again at once: don't spin. But the
	// pause must stay well below the time for which the leader waits for a quorum.
	if n := c.follow.failures; n > 2 {
		c.follow.redialAtMs = c.nowMs + min(int64(firstRedialMs)<<min(n-2, 4), c.initLimitMs()/8)
		return
	}
	c.dial()
}

func (c *Core) dial() {
	f := &c.follow
	f.conn, f.stage = c.nextConn, stageDial
	f.dials++
	c.nextConn += 2
	if f.master != nobody {
		c.emit(Dial{Conn: f.conn, To: f.master, Master: true})
		return
	}
	c.emit(Dial{Conn: f.conn, To: f.leader})
}

func (c *Core) leaderConnected() {
	f := &c.follow
	c.reached(f.leader)
	f.stage = stageLeaderInfo
	f.deadlineMs = c.nowMs + c.initLimitMs()
	kind := jute.PacketFollowerInfo
	if f.observing {
		kind = jute.PacketObserverInfo
	}
	info := jute.LearnerInfo{ServerID: c.cfg.SID, ProtocolVersion: protocolVersion, ConfigVersion: c.members.committed.Version}
	c.send(f.conn, kind, makeZxid(c.acceptedEpoch, 0), jute.Marshal(&info))
}

func (c *Core) leaderDisconnected(reason string) {
	f := &c.follow
	// A follower may not know yet that it is to serve us, as a leader that was named may not.
	early := f.stage == stageDial || (f.designated || f.master != nobody) && f.stage == stageLeaderInfo
	if early && f.dials < maxDials {
		f.conn = 0
		f.redialAtMs = c.nowMs + firstRedialMs<<(f.dials-1)
		return
	}
	if f.stage == stageDial {
		c.unreached(f.leader)
	}
	f.conn = 0 // it is closed already
	c.lookAgain(fmt.Sprintf("lost leader %d: %s", f.leader, reason), f.lost())
}

// lost returns the leader, if its vote is not to be awaited in the election that follows.
func (f *following) lost() int64 {
	if f.looks {
		return nobody
	}
	return f.leader
}

func (c *Core) tickFollower() {
	f := &c.follow
	switch {
	case c.nowMs >= f.deadlineMs:
		if f.stage == stageDial {
			c.unreached(f.leader)
		}
		c.leaveLeader("it said nothing for too long")
	case f.conn == 0 && c.nowMs >= f.redialAtMs:
		c.dial()
	default:
		c.pingObservers()
	}
}

// leaveLeader gives up the leader because of what it does or fails to do.
func (c *Core) leaveLeader(format string, args ...any) {
	c.lookAgain(fmt.Sprintf("left leader %d: %s", c.follow.leader, fmt.Sprintf(format, args...)), c.follow.lost())
}

// accuseLeader gives up a leader that broke the protocol.
func (c *Core) accuseLeader(format string, args ...any) {
	c.follow.breach = true
	c.leaveLeader(format, args...)
}

// fromLeader takes one packet of our leader.
func (c *Core) fromLeader(p jute.QuorumPacket) {
	f := &c.follow
	if f.stage == stageServing {
		f.deadlineMs = c.nowMs + c.syncLimitMs()
	} else {
		f.deadlineMs = c.nowMs + c.initLimitMs()
	}
	switch p.Type {
	case jute.PacketProposal:
		c.proposalReceived(Entry{Zxid: p.Zxid, Payload: p.Data})
	case jute.PacketCommit:
		c.commitReceived(p.Zxid, nil)
	case jute.PacketCommitAndActivate:
		c.activateReceived(p)
	case jute.PacketInform, jute.PacketInformAndActivate:
		c.informReceived(p)
	case jute.PacketPing, jute.PacketSync, jute.PacketRevalidate:
		// Before UPTODATE a leader pings, and Apache's learner does not answer.
		if f.stage == stageServing {
			c.emit(FromLeader{Packet: p})
		}
	case jute.PacketLeaderInfo:
		c.leaderInfoReceived(p)
	case jute.PacketDiff, jute.PacketTrunc, jute.PacketSnap:
		c.syncReceived(p)
	case jute.PacketNewLeader:
		c.newLeaderReceived(p.Zxid, p.Data)
	case jute.PacketUpToDate:
		c.upToDateReceived()
	default:
		c.accuseLeader("%v is no packet of a leader", p.Type)
	}
}

// leaderInfoReceived accepts the epoch that the leader proposes. Only when that is
// durable may the leader know.
func (c *Core) leaderInfoReceived(p jute.QuorumPacket) {
	f := &c.follow
	epoch := epochOf(p.Zxid)
	switch {
	case f.stage != stageLeaderInfo:
		c.accuseLeader("LEADERINFO out of order")
		return
	case epoch < c.acceptedEpoch:
		c.leaveLeader("it proposes epoch %d, epoch %d is accepted already", epoch, c.acceptedEpoch)
		return
	case epoch > maxEpoch:
		c.accuseLeader("epoch %d is beyond the last one", epoch)
		return
	}
	f.epoch, f.stage = epoch, stageAckEpoch
	// An epoch is acknowledged once: whoever accepted it for a leader before only says
	// where its log ends (currentEpoch -1).
	answer := int64(-1)
	if epoch > c.acceptedEpoch {
		answer = c.currentEpoch
		c.saveAcceptedEpoch(epoch)
	}
	c.whenDurable(waitAcceptedEpoch, answer)
}

// followerDurable sends what had to wait for the disk.
func (c *Core) followerDurable(w diskWait) {
	f := &c.follow
	if w.seq > c.durableSeq {
		violated("acknowledging before disk effect %d is durable, only %d is", w.seq, c.durableSeq)
	}
	switch {
	case w.kind == waitAcceptedEpoch:
		f.stage = stageSync
		f.deadlineMs = c.nowMs + c.initLimitMs()
		last := c.log.last
		if w.zxid == -1 && f.epoch == c.snapshotEpoch {
			last = inNoLog
		}
		c.send(f.conn, jute.PacketAckEpoch, last, binary.BigEndian.AppendUint32(nil, uint32(w.zxid)))
	case f.stage == stageNewLeader:
		invariant(w.zxid == makeZxid(f.epoch, 0) && c.currentEpoch == f.epoch,
			"acknowledging NEWLEADER 0x%x while the current epoch is %d", w.zxid, c.currentEpoch)
		f.stage = stageUpToDate
		f.deadlineMs = c.nowMs + c.initLimitMs()
		c.send(f.conn, jute.PacketAck, w.zxid, nil)
	case !f.observing: // an observer's log counts for nothing
		c.send(f.conn, jute.PacketAck, w.zxid, nil)
	}
}

// syncReceived begins to make our log a prefix of the leader's.
func (c *Core) syncReceived(p jute.QuorumPacket) {
	f := &c.follow
	if f.stage != stageSync {
		c.accuseLeader("%v out of order", p.Type)
		return
	}
	if p.Zxid < 0 || epochOf(p.Zxid) > f.epoch {
		c.accuseLeader("%v 0x%x is not of its history, which ends in epoch %d", p.Type, p.Zxid, f.epoch)
		return
	}
	f.stage = stageHistory
	switch p.Type {
	case jute.PacketSnap:
		f.stage, f.snapshotZxid = stageSnapshot, p.Zxid
	case jute.PacketTrunc:
		c.truncate(p.Zxid)
	}
}

// inNoLog is a zxid that no log has, since epochs begin at 1: to whoever says that its log
// ends there a leader can only send a snapshot. See DESIGN.md, "A truncation that is impossible".
const inNoLog = 1

func (c *Core) truncate(zxid int64) {
	f := &c.follow
	if counterOf(zxid) == 0 && !c.log.mayHold(zxid) {
		// A leader of Apache's whose epoch began without transactions names the epoch.
		zxid = c.log.previous(zxid)
	}
	if zxid == unknownZxid || zxid > c.log.last || !c.log.mayHold(zxid) {
		c.accuseLeader("it asks to truncate the log to 0x%x, which is not in it; it ends at 0x%x", zxid, c.log.last)
		return
	}
	if !c.keepsCommitted(zxid) {
		return
	}
	if zxid == c.log.last {
		return
	}
	if zxid < c.floor {
		c.snapshotEpoch = f.epoch
		c.leaveLeader("it asks to truncate the log to 0x%x, and the oldest snapshot here is of 0x%x; we come again for its snapshot", zxid, c.floor)
		return
	}
	c.log.truncate(zxid)
	c.deliverable = min(c.deliverable, zxid)
	c.treeSeq = c.nextSeq()
	c.emit(Truncate{Seq: c.treeSeq, Zxid: zxid})
	c.forgetMembership(zxid)
}

// keepsCommitted ends the process rather than let it drop what was committed: an ensemble
// that forgets needs a person. A follower that we observe may only be slower than the one
// before it: we go to another.
func (c *Core) keepsCommitted(zxid int64) bool {
	if c.follow.master != nobody && zxid < c.committed {
		c.leaveLeader("member %d, which we observe, asks to go back to 0x%x, but 0x%x was committed", c.follow.master, zxid, c.committed)
		return false
	}
	invariant(zxid >= c.committed, "leader %d of epoch %d asks to go back to 0x%x, but 0x%x was committed",
		c.follow.leader, c.follow.epoch, zxid, c.committed)
	return true
}

func (c *Core) snapshotReceived(in SnapshotReceived) {
	f := &c.follow
	if in.Conn != f.conn || f.stage != stageSnapshot {
		return
	}
	if !c.keepsCommitted(f.snapshotZxid) {
		return
	}
	f.stage, f.coveredTo = stageHistory, f.snapshotZxid
	f.deadlineMs = c.nowMs + c.initLimitMs()
	c.log.reset(f.snapshotZxid)
	c.floor, c.snapshotEpoch = f.snapshotZxid, 0
	c.deliverable = f.snapshotZxid
	c.emit(InstallSnapshot{Seq: c.nextSeq(), Zxid: f.snapshotZxid, Handle: in.Handle})
}

// proposalReceived logs a proposal. Leaders send them during synchronization, between
// NEWLEADER and UPTODATE (ZOOKEEPER-3023, 4394) and ever after.
func (c *Core) proposalReceived(e Entry) {
	f := &c.follow
	switch {
	case f.stage < stageHistory:
		c.accuseLeader("PROPOSAL 0x%x out of order", e.Zxid)
		return
	case e.Zxid <= f.coveredTo:
		return // the snapshot has it
	case !follows(c.log.last, e.Zxid):
		c.accuseLeader("PROPOSAL 0x%x leaves a hole behind 0x%x", e.Zxid, c.log.last)
		return
	case epochOf(e.Zxid) > f.epoch:
		c.accuseLeader("PROPOSAL 0x%x is not of epoch %d", e.Zxid, f.epoch)
		return
	}
	// Once it is logged it can only be applied, or end the process: now it can be refused.
	if c.cfg.Check != nil {
		if err := c.cfg.Check(e); err != nil {
			c.accuseLeader("PROPOSAL 0x%x: %v", e.Zxid, err)
			return
		}
	}
	if _, ok := c.membershipIn(e); !ok {
		c.accuseLeader("reconfiguration 0x%x can't be read", e.Zxid)
		return
	}
	c.append(e)
	// What came before NEWLEADER is acknowledged by its acknowledgement, or behind it
	// (ZOOKEEPER-4685: never ahead of it).
	if f.stage >= stageNewLeader {
		c.whenDurable(waitAck, e.Zxid)
	}
}

// commitReceived takes a commit. designated is what a reconfiguration's says beside, nil for
// any other: who leads from there on.
func (c *Core) commitReceived(zxid int64, designated []byte) {
	f := &c.follow
	switch {
	case f.stage < stageHistory:
		c.accuseLeader("COMMIT 0x%x out of order", zxid)
		return
	case zxid <= f.coveredTo:
		return
	}
	// In order, each for the oldest proposal that is not committed.
	rest := c.log.entriesAfter(c.deliverable)
	var next Entry
	if len(rest) > 0 {
		next = rest[0]
	}
	if next.Zxid != zxid {
		c.accuseLeader("COMMIT 0x%x, but the next proposal behind 0x%x is 0x%x", zxid, c.deliverable, next.Zxid)
		return
	}
	c.mayDeliver(zxid)
	if f.stage == stageServing {
		c.committed = zxid
		c.informObservers(next, designated)
	}
}

// designatedBytes is the size of what INFORMANDACTIVATE has before the transaction: who leads
// from there on.
const designatedBytes = 8

// informReceived takes what an observer is told instead of PROPOSAL and COMMIT. It is
// committed, so it is delivered at once. Leaders send it from the synchronization on, also
// between NEWLEADER and UPTODATE.
func (c *Core) informReceived(p jute.QuorumPacket) {
	f := &c.follow
	payload := p.Data
	activates := p.Type == jute.PacketInformAndActivate
	if activates && len(payload) >= designatedBytes {
		payload = payload[designatedBytes:]
	}
	if !f.observing {
		c.accuseLeader("%v 0x%x is for observers", p.Type, p.Zxid)
		return
	}
	conn := f.conn
	c.proposalReceived(Entry{Zxid: p.Zxid, Payload: payload})
	switch {
	case f.conn != conn: // it was no transaction that could be logged
	case activates:
		c.activateReceived(p)
	default:
		c.commitReceived(p.Zxid, nil)
	}
}

// newLeaderReceived makes log and then epoch durable; only then the acknowledgement
// goes out (ZOOKEEPER-3911, 4643, 4646, 4785).
func (c *Core) newLeaderReceived(zxid int64, text []byte) {
	f := &c.follow
	if f.stage != stageHistory || zxid != makeZxid(f.epoch, 0) {
		c.accuseLeader("NEWLEADER 0x%x out of order, its epoch is %d", zxid, f.epoch)
		return
	}
	f.stage = stageNewLeader
	if m, ok := c.parseMembership(text); ok {
		c.members.told = &m
		if m.Version > c.members.committed.Version {
			c.setNext(&m)
		} else if c.members.next != nil {
			c.setNext(nil) // it is not in this leader's history, which is ours from here on
		}
	}
	c.saveCurrentEpoch(f.epoch)
	c.whenDurable(waitAck, zxid)
	// Proposals that came before it and are not committed yet still need our vote each.
	for _, e := range c.log.entriesAfter(c.deliverable) {
		c.whenDurable(waitAck, e.Zxid)
	}
}

// upToDateReceived makes us an established follower.
func (c *Core) upToDateReceived() {
	f := &c.follow
	if f.stage != stageUpToDate {
		c.accuseLeader("UPTODATE out of order")
		return
	}
	f.stage, f.failures = stageServing, 0
	f.deadlineMs = c.nowMs + c.syncLimitMs()
	// The leader is established, so all that it made us deliver is committed for good.
	c.committed = max(c.committed, c.deliverable)
	c.established(f.epoch)
	c.send(f.conn, jute.PacketAck, makeZxid(f.epoch, 0), nil)
	role := RoleFollowerEstablished
	if f.observing {
		role = RoleObserverEstablished
	}
	c.setRole(role, f.leader, f.epoch, f.conn)
	c.informWaiting()
	c.toldMembership()
}
