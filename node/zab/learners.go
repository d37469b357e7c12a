package zab

import (
	"fmt"
	"slices"

	"zoolab/zk/jute"
)

// learner is a connection that some member opened to our quorum port.
type learner struct {
	conn ConnID
	sid  int64 // nobody before FOLLOWERINFO
	// observer says that it came with OBSERVERINFO: it is told what is committed, with
	// INFORM, and counts for nothing, whatever our configuration says of its sid.
	observer bool
	// master says that it came to our observer master port: it is an observer, and we follow.
	master bool
	// stage is how far it has come. What stands below is meaningful from the stage named.
	stage learnerStage
	// acceptedEpoch is what it told in FOLLOWERINFO (learnerWaits).
	acceptedEpoch int64
	// claims is the sid of a learner that is served, which this one has, too; contestedPing numbers
	// the last ping before it came (learnerContests).
	claims        int64
	contestedPing uint64
	// judged says that the epoch it was told is only to learn where its history ends.
	judged bool
	// lastZxid is where its log ended (learnerAckedEpoch).
	lastZxid int64
	// acked is up to where its log is durable: what it was synchronized with, which it
	// acknowledges with NEWLEADER, and the proposals it acknowledged since. It counts only
	// once NEWLEADER is acknowledged (learnerSynced).
	acked int64
	// syncedTo is up to where it was told what is committed, before UPTODATE (learnerSyncs).
	syncedTo int64
	// syncing is DIFF, TRUNC or SNAP from the synchronization on (learnerSyncs).
	syncing jute.PacketType
	// pongs is the number of the ping that it answered last (learnerServed).
	pongs uint64

	// It is being dropped, as it broke the protocol, or may be none of ours.
	breach, suspect bool

	heardMs    int64
	deadlineMs int64 // by when it must come to the next stage, before learnerServed
	// timedZxid is a proposal that it must acknowledge by timedUntilMs, 0 when none is owed.
	timedZxid    int64
	timedUntilMs int64
}

// learnerStage is how far a leader has come with a learner. The order matters.
type learnerStage uint8

const (
	learnerOpened     learnerStage = iota // nothing received
	learnerContests                       // FOLLOWERINFO received, of a member that is connected and may be alive there
	learnerWaits                          // FOLLOWERINFO received; there is no epoch to tell yet
	learnerInformed                       // LEADERINFO sent
	learnerAckedEpoch                     // ACKEPOCH received; the epoch is not settled yet
	learnerReads                          // the log is being read for it
	learnerSyncs                          // history and NEWLEADER sent; proposals are sent from now on
	learnerSynced                         // NEWLEADER acknowledged; it counts for commits from now on
	learnerServed                         // UPTODATE sent; commits, pings and requests from now on
)

// maxLearners bounds the connections to our quorum port: members, their stale
// connections, and strangers. A further one is closed.
const maxLearners = 256

// maxEpochLead is how many epochs ahead of us a learner may be. Each costs an election, so
// nobody is so far ahead, and a liar would use up the epochs that there are.
const maxEpochLead = 1 << 20

func (c *Core) learner(conn ConnID) *learner {
	for _, l := range c.learners {
		if l.conn == conn {
			return l
		}
	}
	return nil
}

// learnerConnected takes a new connection. While we look for a leader it waits: its
// sender may know the outcome earlier than we do. An observer that comes to a follower waits
// until that one is synchronized itself.
func (c *Core) learnerConnected(conn ConnID, master bool) {
	follows := c.role == RoleFollowing || c.role == RoleFollowerEstablished || c.role == RoleObserverEstablished
	if len(c.learners) >= maxLearners {
		c.dropStranger()
	}
	switch {
	case master && !c.mayServeObservers():
		c.emit(Close{Conn: conn, Reason: fmt.Sprintf("member %d is %v: it is an observer master only while it follows", c.cfg.SID, c.role)})
	case !master && follows:
		c.emit(Close{Conn: conn, Reason: fmt.Sprintf("member %d is not the leader, it follows member %d", c.cfg.SID, c.follow.leader)})
	case len(c.learners) >= maxLearners:
		c.emit(Close{Conn: conn, Reason: "too many connections to the quorum port"})
	default:
		c.learners = append(c.learners, &learner{
			conn: conn, master: master, sid: nobody, heardMs: c.nowMs, deadlineMs: c.nowMs + c.initLimitMs(),
		})
	}
}

// dropStranger ends the oldest connection of somebody who may be about to join, where the
// membership can change, but is no member: members may need its place.
func (c *Core) dropStranger() {
	for _, l := range c.learners {
		if l.sid != nobody && !c.isVoter(l.sid) && !c.isObserver(l.sid) {
			c.dropLearner(l, "others need the place of who is no member", true)
			return
		}
	}
}

func (c *Core) fromLearner(l *learner, p jute.QuorumPacket) {
	l.heardMs = c.nowMs
	switch p.Type {
	case jute.PacketAck:
		c.ackReceived(l, p.Zxid)
	case jute.PacketRequest, jute.PacketRevalidate, jute.PacketPing:
		if l.stage != learnerServed {
			c.accuseLearner(l, fmt.Sprintf("%v before UPTODATE", p.Type))
			return
		}
		c.emit(FromLearner{Conn: l.conn, SID: l.sid, Packet: p})
		if p.Type == jute.PacketPing && !l.master {
			c.pongReceived(l)
		}
	case jute.PacketFollowerInfo, jute.PacketObserverInfo:
		c.learnerInfoReceived(l, p)
	case jute.PacketAckEpoch:
		c.ackEpochReceived(l, p)
	default:
		c.accuseLearner(l, fmt.Sprintf("%v is no packet of a learner", p.Type))
	}
}

func (c *Core) learnerInfoReceived(l *learner, p jute.QuorumPacket) {
	switch {
	case l.stage != learnerOpened:
		c.accuseLearner(l, fmt.Sprintf("%v out of order", p.Type))
		return
	case l.master && p.Type != jute.PacketObserverInfo:
		c.accuseLearner(l, fmt.Sprintf("%v at the observer master port", p.Type))
		return
	}
	info, problem := c.parseLearnerInfo(p.Data)
	if epoch, ours := epochOf(p.Zxid), max(c.acceptedEpoch, c.promisedEpoch); problem == "" &&
		(epoch < 0 || epoch >= maxEpoch || epoch > ours+maxEpochLead) {
		problem = fmt.Sprintf("member %d says that it accepted epoch %d, and here it is %d", info.ServerID, epoch, ours)
	}
	if problem != "" {
		c.accuseLearner(l, problem)
		return
	}
	if !l.master {
		c.confirmMembership(info.ConfigVersion)
	}
	if info.ConfigVersion > c.members.committed.Version {
		// Where the membership can change it is honest, and we are the one who missed that.
		l.breach = c.cfg.Reconfig == nil
		c.dropLearner(l, fmt.Sprintf("member %d has configuration version %x, newer than ours", info.ServerID, info.ConfigVersion), true)
		return
	}
	l.acceptedEpoch, l.observer = epochOf(p.Zxid), p.Type == jute.PacketObserverInfo
	// A member keeps one connection. An older one is dead, we just did not hear of it, or there
	// are two servers with this id: if it answers a ping it is alive.
	for _, other := range c.learners {
		if other.sid != info.ServerID {
			continue
		}
		if c.role == RoleLeaderEstablished && other.stage == learnerServed {
			l.stage, l.claims, l.contestedPing = learnerContests, info.ServerID, c.lead.confirm.pings
			l.deadlineMs = c.nowMs + c.cfg.TickMs
			return
		}
		c.dropLearner(other, fmt.Sprintf("member %d connected anew", info.ServerID), true)
		break
	}
	if c.learner(l.conn) == nil {
		return // that cost us the leadership, and closed the new connection too
	}
	c.letIn(l, info.ServerID)
}

// letIn takes a connection as that of a member.
func (c *Core) letIn(l *learner, sid int64) {
	l.sid, l.stage = sid, learnerWaits
	l.deadlineMs = c.nowMs + c.initLimitMs()
	switch {
	case l.master:
		c.informObserver(l)
	case c.role == RoleLeading || c.role == RoleLeaderEstablished:
		c.joinEpoch(l)
	}
}

// tickContest decides between two connections of one member. That which was there stays if it
// answers a ping that was sent since.
func (c *Core) tickContest(l *learner) {
	var other *learner
	for _, o := range c.learners {
		if o.sid == l.claims {
			other = o
		}
	}
	switch {
	case other == nil:
		c.letIn(l, l.claims)
	case other.pongs > l.contestedPing:
		// Or it answered in its last moment, and will not when the learner comes again.
		c.suspectLearner(l, fmt.Sprintf("member %d is connected already, and alive: do two servers have its id?", l.claims))
	case c.nowMs >= l.deadlineMs:
		c.dropLearner(other, fmt.Sprintf("member %d connected anew", l.claims), true)
		if c.learner(l.conn) != nil {
			c.letIn(l, l.claims)
		}
	}
}

// parseLearnerInfo reads what a learner says of itself, in the form of any version.
func (c *Core) parseLearnerInfo(data []byte) (info jute.LearnerInfo, problem string) {
	d := jute.NewDecoder(data)
	info.ServerID = d.Int64()
	if d.Len() >= 4 {
		info.ProtocolVersion = d.Int32()
	}
	if d.Len() >= 8 {
		info.ConfigVersion = d.Int64()
	}
	switch {
	case d.Err() != nil:
		problem = "a learner that does not say its id"
	case info.ServerID < 0:
		problem = fmt.Sprintf("no member can have the id %d", info.ServerID)
	case info.ServerID == c.cfg.SID || !c.isVoter(info.ServerID) && !c.isObserver(info.ServerID) && c.cfg.Reconfig == nil:
		problem = fmt.Sprintf("member %d is no other member of our configuration", info.ServerID)
	case info.ProtocolVersion < protocolVersion:
		problem = fmt.Sprintf("member %d speaks protocol 0x%x, older than ZooKeeper 3.4", info.ServerID, info.ProtocolVersion)
	}
	return info, problem
}

// dropLearner forgets a connection; closing says that it is ours to close.
func (c *Core) dropLearner(l *learner, reason string, closing bool) {
	for i, other := range c.learners {
		if other == l {
			c.learners = append(c.learners[:i], c.learners[i+1:]...)
			break
		}
	}
	if closing {
		c.emit(Close{Conn: l.conn, Reason: reason, Breach: l.breach, Suspect: l.suspect})
	}
	if l.stage == learnerServed {
		c.emit(LearnerGone{Conn: l.conn, SID: l.sid})
	}
	// It may connect again and will be counted then. That it accepted our epoch stays true.
	c.lead.connected.Remove(l.sid)
	c.lead.newLeader.Remove(l.sid)
	switch {
	case c.role == RoleLeaderEstablished:
		c.checkQuorum(fmt.Sprintf("member %d is gone: %s", l.sid, reason))
	case c.role == RoleLeading && c.lead.elsewhere.Has(l.sid):
		c.checkDeserted()
	}
}

// accuseLearner drops a learner that broke the protocol, or is none of ours.
func (c *Core) accuseLearner(l *learner, reason string) {
	l.breach = true
	c.dropLearner(l, reason, true)
}

// suspectLearner drops a learner that may be none of ours.
func (c *Core) suspectLearner(l *learner, reason string) {
	l.suspect = true
	c.dropLearner(l, reason, true)
}

// closeLearners closes every connection to our quorum port.
func (c *Core) closeLearners(reason string) {
	for _, l := range c.learners {
		c.emit(Close{Conn: l.conn, Reason: reason})
		if l.stage == learnerServed {
			c.emit(LearnerGone{Conn: l.conn, SID: l.sid})
		}
	}
	c.learners = nil
}

// tickLearners drops those who are late.
func (c *Core) tickLearners() {
	for _, l := range slices.Clone(c.learners) {
		if l.stage == learnerContests && c.learner(l.conn) == l {
			c.tickContest(l)
		}
	}
	for i := 0; i < len(c.learners); {
		l := c.learners[i]
		late := ""
		switch {
		case l.stage < learnerServed && l.stage != learnerContests && c.nowMs >= l.deadlineMs:
			late = "it did not synchronize within initLimit"
		case l.stage == learnerServed && c.nowMs-l.heardMs >= c.syncLimitMs():
			late = "it said nothing for syncLimit"
		case l.timedZxid != 0 && l.stage >= learnerSynced && c.nowMs >= l.timedUntilMs:
			late = fmt.Sprintf("it did not acknowledge 0x%x within syncLimit", l.timedZxid)
		}
		if late == "" {
			i++
			continue
		}
		c.dropLearner(l, late, true)
		if len(c.learners) == 0 {
			return
		}
	}
}

// Learners returns how many members are connected to this leader.
func (c *Core) Learners() int {
	return c.countLearners(func(l *learner) bool { return l.stage > learnerContests })
}

// SyncedFollowers returns how many followers a leader serves.
func (c *Core) SyncedFollowers() int {
	return c.countLearners(func(l *learner) bool { return l.stage == learnerServed && !l.observer })
}

// SyncedObservers returns how many observers a leader serves.
func (c *Core) SyncedObservers() int {
	return c.countLearners(func(l *learner) bool { return l.stage == learnerServed && l.observer })
}

// PendingSyncs returns how many learners a leader is synchronizing.
func (c *Core) PendingSyncs() int {
	return c.countLearners(func(l *learner) bool { return l.stage >= learnerInformed && l.stage <= learnerSynced })
}

// Synchronizing returns how many learners are being sent a snapshot, or else a difference.
func (c *Core) Synchronizing(snapshot bool) int {
	return c.countLearners(func(l *learner) bool {
		return l.stage == learnerSyncs && (l.syncing == jute.PacketSnap) == snapshot
	})
}

// LearnerAt returns which follower has a connection, if a leader serves it.
func (c *Core) LearnerAt(conn ConnID) (sid int64, served bool) {
	l := c.learner(conn)
	if l == nil || l.observer || l.stage != learnerServed {
		return 0, false
	}
	return l.sid, true
}

func (c *Core) countLearners(which func(*learner) bool) int {
	n := 0
	for _, l := range c.learners {
		if which(l) {
			n++
		}
	}
	return n
}
