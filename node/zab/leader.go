package zab

import (
	"encoding/binary"
	"fmt"
	"slices"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// leading is the state of a member that was elected.
type leading struct {
	phase leaderPhase
	// epoch is the one that we propose, settled from phaseAckEpoch on.
	epoch int64
	// ownEpoch and ownZxid are the history with which we were elected. Nobody who accepts
	// our epoch may have a newer one.
	ownEpoch, ownZxid int64

	connected quorum.Set // told us their accepted epoch, we included
	accepted  quorum.Set // accepted our epoch
	newLeader quorum.Set // acknowledged NEWLEADER
	elsewhere quorum.Set // voted for somebody else after we were elected

	sinceMs    int64 // when we were elected
	deadlineMs int64 // by when the next phase must begin, before phaseBroadcast

	// lastProposed is the newest proposal's zxid, that of NEWLEADER before the first.
	lastProposed int64
	// ownAcked is up to where our own log is durable.
	ownAcked int64
	acks     quorum.Set // scratch, kept for its memory

	nextPingMs int64
	confirm    confirmation
}

// leaderPhase is how far a leader has come. The order matters.
type leaderPhase uint8

const (
	phaseEpoch     leaderPhase = iota // a quorum must connect
	phaseAckEpoch                     // a quorum must accept the epoch
	phaseSync                         // a quorum must acknowledge NEWLEADER
	phaseBroadcast                    // established
)

func (c *Core) startLeading() {
	c.lead = leading{ownEpoch: c.currentEpoch, ownZxid: c.log.last, sinceMs: c.nowMs, deadlineMs: c.nowMs + c.initLimitMs()}
	c.lead.epoch = max(c.acceptedEpoch, c.promisedEpoch) + 1
	c.setRole(RoleLeading, c.cfg.SID, 0, 0)
	c.lead.connected.Add(c.cfg.SID)
	for _, l := range c.learners {
		if l.stage == learnerWaits {
			c.countConnected(l)
			c.lead.epoch = max(c.lead.epoch, l.acceptedEpoch+1)
		}
	}
	c.checkEpoch()
}

// joinEpoch takes a learner that said which epoch it has accepted.
func (c *Core) joinEpoch(l *learner) {
	switch {
	case c.lead.phase == phaseEpoch:
		c.promisedEpoch = max(c.promisedEpoch, l.acceptedEpoch)
		c.lead.epoch = max(c.lead.epoch, l.acceptedEpoch+1)
		c.countConnected(l)
		c.checkEpoch()
	case l.acceptedEpoch <= c.lead.epoch:
		c.inform(l, c.lead.epoch)
	case c.lead.phase == phaseBroadcast:
		// We may have to give up for it, but not for a stranger: with an epoch that it takes
		// it tells where its history ends.
		l.judged = true
		c.inform(l, l.acceptedEpoch+1)
	default:
		c.stepDownFor(l)
	}
}

// stepDownFor ends a leadership that a learner can't ever follow, since it has accepted a later
// epoch. Apache leaves it out until something else ends this leadership; one quick election
// brings it back.
func (c *Core) stepDownFor(l *learner) {
	c.promisedEpoch = max(c.promisedEpoch, l.acceptedEpoch)
	c.lookAgain(fmt.Sprintf("member %d has accepted epoch %d, ours is %d", l.sid, l.acceptedEpoch, c.lead.epoch), nobody)
}

// judge gives up an established leadership for a learner that accepted a later epoch, unless it
// has a history that nobody who followed us can have. Such a one has another ensemble's data, and
// would win the election and bring it to all: whoever made history of a later epoch was accepted
// by a quorum, which does not follow us any more. That we may be the last to hear of: then the
// learner finds its leader when it looks again.
func (c *Core) judge(l *learner, currentEpoch, zxid int64) {
	epoch := c.lead.epoch
	if currentEpoch > epoch || epochOf(zxid) > epoch || currentEpoch == epoch && zxid > c.log.last {
		c.suspectLearner(l, fmt.Sprintf("member %d has a history of epoch %d to 0x%x, which nobody here can have in epoch %d: "+
			"is its data directory another ensemble's?", l.sid, currentEpoch, zxid, epoch))
		return
	}
	c.promisedEpoch = max(c.promisedEpoch, l.acceptedEpoch+1) // which it was asked to accept
	c.stepDownFor(l)
}

// countConnected counts a voter that told us which epoch it has accepted.
func (c *Core) countConnected(l *learner) {
	c.reached(c.cfg.SID)
	if c.counts(l) {
		c.lead.connected.Add(l.sid)
	}
}

// checkEpoch settles the epoch once a quorum has told which ones are used.
func (c *Core) checkEpoch() {
	if !c.containsQuorum(c.lead.connected) {
		return
	}
	c.enterPhase(phaseAckEpoch)
	c.saveAcceptedEpoch(c.lead.epoch)
	for _, l := range c.learners {
		if l.stage == learnerWaits {
			c.inform(l, c.lead.epoch)
		}
	}
	// Until our own acceptance is durable it does not count: a leader that crashes and
	// proposes the same epoch again must not be counted twice.
	c.whenDurable(waitAcceptedEpoch, 0)
}

func (c *Core) enterPhase(phase leaderPhase) {
	c.lead.phase = phase
	c.lead.deadlineMs = c.nowMs + c.initLimitMs()
}

// inform tells a learner an epoch to accept.
func (c *Core) inform(l *learner, epoch int64) {
	l.stage = learnerInformed
	l.deadlineMs = c.nowMs + c.initLimitMs()
	c.send(l.conn, jute.PacketLeaderInfo, makeZxid(epoch, 0), binary.BigEndian.AppendUint32(nil, protocolVersion))
}

// leaderDurable counts what we did ourselves, once it is on the disk.
func (c *Core) leaderDurable(w diskWait) {
	if w.seq > c.durableSeq {
		violated("counting our own disk effect %d, only %d is durable", w.seq, c.durableSeq)
	}
	switch {
	case w.kind == waitAcceptedEpoch:
		c.lead.accepted.Add(c.cfg.SID)
		c.checkAccepted()
	case w.zxid == makeZxid(c.lead.epoch, 0):
		invariant(c.currentEpoch == c.lead.epoch, "acknowledging our own NEWLEADER of epoch %d while the current epoch is %d",
			c.lead.epoch, c.currentEpoch)
		c.lead.newLeader.Add(c.cfg.SID)
		c.checkNewLeader()
	default:
		c.lead.ownAcked = w.zxid
		c.tryCommit()
	}
}

func (c *Core) ackEpochReceived(l *learner, p jute.QuorumPacket) {
	d := jute.NewDecoder(p.Data)
	currentEpoch := int64(d.Int32())
	if d.Err() != nil || l.stage != learnerInformed {
		c.accuseLearner(l, "ACKEPOCH malformed or out of order")
		return
	}
	l.stage, l.lastZxid = learnerAckedEpoch, p.Zxid
	l.deadlineMs = c.nowMs + c.initLimitMs()
	if l.judged {
		c.judge(l, currentEpoch, p.Zxid)
		return
	}
	if l.master || c.lead.phase >= phaseSync {
		if !c.mustCatchUp(l) {
			c.synchronize(l)
		}
		return
	}
	if currentEpoch == -1 {
		return // accepted for an earlier leader: it is synchronized, but doesn't count
	}
	if !c.counts(l) || c.weight(l.sid) == 0 {
		return // if it is ahead then of what nobody whose vote counts had: it is cut
	}
	if currentEpoch > c.lead.ownEpoch || currentEpoch == c.lead.ownEpoch && p.Zxid > c.lead.ownZxid {
		c.lookAgain(fmt.Sprintf("member %d is ahead: its history is of epoch %d to 0x%x, ours of epoch %d to 0x%x",
			l.sid, currentEpoch, p.Zxid, c.lead.ownEpoch, c.lead.ownZxid), nobody)
		return
	}
	c.lead.accepted.Add(l.sid)
	c.checkAccepted()
}

// checkAccepted makes our history that of the epoch once a quorum has promised to follow
// nobody older, and begins to bring it to the learners.
func (c *Core) checkAccepted() {
	if c.lead.phase != phaseAckEpoch || !c.lead.accepted.Has(c.cfg.SID) || !c.containsQuorum(c.lead.accepted) {
		return
	}
	c.enterPhase(phaseSync)
	c.lead.lastProposed = makeZxid(c.lead.epoch, 0)
	c.lead.ownAcked = c.lead.lastProposed
	c.establishMembership()
	c.saveCurrentEpoch(c.lead.epoch)
	for _, l := range slices.Clone(c.learners) { // some may be turned away
		if l.stage == learnerAckedEpoch {
			c.synchronize(l)
		}
	}
	c.whenDurable(waitAck, c.lead.lastProposed)
}

// checkNewLeader establishes the leadership once a quorum has our history durable.
func (c *Core) checkNewLeader() {
	if c.lead.phase != phaseSync || !c.lead.newLeader.Has(c.cfg.SID) || !c.containsQuorum(c.lead.newLeader) {
		return
	}
	c.lead.phase = phaseBroadcast
	c.lead.nextPingMs = c.nowMs
	c.follow.failures = 0
	c.committed = max(c.committed, c.log.last)
	before := c.members.committed.Quorum
	c.finishMembership()
	c.established(c.lead.epoch)
	c.setRole(RoleLeaderEstablished, c.cfg.SID, c.lead.epoch, 0)
	for _, l := range c.learners {
		if l.stage == learnerSynced {
			c.serve(l)
		}
	}
	if !c.mayLead(before) {
		c.lookAgain(fmt.Sprintf("configuration %x does not have this leader here", c.members.committed.Version), nobody)
	}
}

// ackReceived takes the acknowledgement of NEWLEADER or of a proposal. A learner's log
// becomes durable in order, so an acknowledgement covers all before it.
func (c *Core) ackReceived(l *learner, zxid int64) {
	if l.master {
		c.observerAcked(l, zxid)
		return
	}
	switch {
	case l.stage < learnerSyncs:
		c.accuseLearner(l, fmt.Sprintf("ACK 0x%x out of order", zxid))
		return
	case zxid > c.lead.lastProposed:
		c.accuseLearner(l, fmt.Sprintf("ACK 0x%x of what was never proposed", zxid))
		return
	case l.stage == learnerSyncs && zxid == makeZxid(c.lead.epoch, 0):
		l.stage = learnerSynced
		l.acked = max(l.acked, l.syncedTo)
		l.deadlineMs = c.nowMs + c.initLimitMs()
		c.timeProposal(l)
		switch {
		case c.lead.phase == phaseBroadcast:
			c.serve(l)
		case c.counts(l):
			c.lead.newLeader.Add(l.sid)
			c.checkNewLeader()
		}
	}
	// Apache's learners may acknowledge a proposal ahead of NEWLEADER (ZOOKEEPER-4685): it is
	// remembered, and counts when they are synchronized.
	l.acked = max(l.acked, zxid)
	if zxid >= l.timedZxid {
		l.timedZxid = 0
		c.timeProposal(l)
	}
	c.tryCommit()
}

// timeProposal starts the clock for the learner's next acknowledgement, if it owes one
// and none is timed already.
func (c *Core) timeProposal(l *learner) {
	if l.timedZxid == 0 && !l.observer && l.stage >= learnerSynced && l.acked < c.lead.lastProposed && counterOf(c.lead.lastProposed) > 0 {
		l.timedZxid, l.timedUntilMs = c.lead.lastProposed, c.nowMs+c.syncLimitMs()
	}
}

// serve lets a synchronized learner serve clients. Commits were withheld from a follower so
// far, because Apache's before 3.9.3 can't take them (ZOOKEEPER-4394).
func (c *Core) serve(l *learner) {
	l.stage = learnerServed
	l.pongs = c.lead.confirm.pings
	c.send(l.conn, jute.PacketUpToDate, -1, nil)
	// All of them are of this epoch, so they are consecutive.
	for zxid := max(l.syncedTo, makeZxid(c.lead.epoch, 0)) + 1; zxid <= c.committed && !l.observer; zxid++ {
		if zxid == c.members.committed.Version {
			c.send(l.conn, jute.PacketCommitAndActivate, zxid, binary.BigEndian.AppendUint64(nil, uint64(c.cfg.SID)))
			continue
		}
		c.send(l.conn, jute.PacketCommit, zxid, nil)
	}
	c.emit(LearnerEstablished{Conn: l.conn, SID: l.sid})
}

// NextZxid returns the zxid of the next proposal. ok is false when this member is not
// an established leader, or its epoch has no zxid left; then a new election is near.
func (c *Core) NextZxid() (zxid int64, ok bool) {
	if c.role != RoleLeaderEstablished || counterOf(c.lead.lastProposed) >= c.counterLimit {
		return 0, false
	}
	return c.lead.lastProposed + 1, true
}

// Outstanding returns how many proposals of this leader are not committed yet. Whoever
// proposes must bound it: the core keeps them all.
func (c *Core) Outstanding() int {
	if c.role != RoleLeaderEstablished {
		return 0
	}
	return len(c.log.undelivered())
}

func (c *Core) propose(e Entry) {
	next, ok := c.NextZxid()
	if !ok || e.Zxid != next {
		violated("0x%x is proposed by a member that is %v and whose next zxid is 0x%x", e.Zxid, c.role, next)
	}
	c.lead.lastProposed = e.Zxid
	c.append(e)
	for _, l := range c.learners {
		if l.stage >= learnerSyncs && !l.observer {
			c.send(l.conn, jute.PacketProposal, e.Zxid, e.Payload)
			c.timeProposal(l)
		}
	}
	c.whenDurable(waitAck, e.Zxid)
}

// tryCommit commits, in order, what a quorum has durable.
func (c *Core) tryCommit() {
	for c.role == RoleLeaderEstablished {
		rest := c.log.undelivered()
		if len(rest) == 0 {
			break
		}
		acks := c.ackedBy(rest[0].Zxid)
		if !c.commits(rest[0].Zxid, acks) {
			return
		}
		c.commit(rest[0], acks)
	}
	if c.role == RoleLeaderEstablished && counterOf(c.lead.lastProposed) >= c.counterLimit {
		// ZOOKEEPER-1277: the counter must not run over into the epoch.
		c.lookAgain(fmt.Sprintf("the zxids of epoch %d are used up, a new epoch must begin", c.lead.epoch), nobody)
	}
}

// ackedBy returns who has a proposal durable, as far as we know. The set is reused.
func (c *Core) ackedBy(zxid int64) quorum.Set {
	acks := &c.lead.acks
	acks.Reset()
	if c.lead.ownAcked >= zxid {
		acks.Add(c.cfg.SID)
	}
	for _, l := range c.learners {
		if l.stage >= learnerSynced && !l.observer && l.acked >= zxid {
			acks.Add(l.sid)
		}
	}
	return *acks
}

func (c *Core) commit(e Entry, acks quorum.Set) {
	zxid := e.Zxid
	previous := max(c.committed, makeZxid(c.lead.epoch, 0))
	if zxid != previous+1 {
		violated("0x%x is committed behind 0x%x", zxid, previous)
	}
	if !c.commits(zxid, acks) {
		violated("0x%x is committed with the acknowledgements of %v only", zxid, acks.Sids())
	}
	c.committed = zxid
	if next := c.members.next; next != nil && next.Version == zxid {
		c.commitMembership(next, e.Payload)
		return
	}
	for _, l := range c.learners {
		switch {
		case l.observer && l.stage >= learnerSyncs:
			c.send(l.conn, jute.PacketInform, zxid, e.Payload)
		case !l.observer && l.stage == learnerServed:
			c.send(l.conn, jute.PacketCommit, zxid, nil)
		}
	}
	c.mayDeliver(zxid)
}

func (c *Core) tickLeader() {
	switch {
	case c.lead.phase < phaseBroadcast:
		if c.nowMs >= c.lead.deadlineMs {
			c.nobodyCame()
			c.lookAgain(fmt.Sprintf("no quorum followed within initLimit: connected %v, accepted epoch %d %v, synchronized %v",
				c.lead.connected.Sids(), c.lead.epoch, c.lead.accepted.Sids(), c.lead.newLeader.Sids()), nobody)
		}
	case c.nowMs >= c.lead.nextPingMs:
		c.lead.nextPingMs = c.nowMs + c.cfg.TickMs/2
		c.ping()
	}
}

// checkQuorum ends the leadership when those that follow are no quorum any more.
func (c *Core) checkQuorum(why string) {
	following := &c.lead.acks
	following.Reset()
	following.Add(c.cfg.SID)
	for _, l := range c.learners {
		if l.stage >= learnerSynced && !l.observer {
			following.Add(l.sid)
		}
	}
	if !c.containsQuorum(*following) {
		c.lookAgain(fmt.Sprintf("only members %v are left, which are no quorum: %s", following.Sids(), why), nobody)
	}
}
