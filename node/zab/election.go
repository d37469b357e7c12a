package zab

import (
	"math"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// Fast leader election, to interoperate with Apache's FastLeaderElection: members
// exchange votes in rounds (the logical clock) until a quorum agrees on the best one.

// Default interval at which a vote is sent again while nothing is heard.
const (
	firstResendMs = 200
	mostResendMs  = 60_000
	// An observer hears of an election only when it asks, at least by Apache's voters.
	mostAskMs = 1000
)

// vote is a member's opinion as it was heard, or our own.
type vote struct {
	leader    int64
	zxid      int64
	round     int64 // electionEpoch on the wire
	peerEpoch int64
	state     jute.PeerState
	version   int32 // of the notification's form; 0 where Apache's election leaves it out
}

// agrees reports whether two votes are for the same leader in Apache's sense. Members
// outside of an election may differ in zxid and round (ZOOKEEPER-1805), and when only
// one of them tells the newer form, in the epoch too (ZOOKEEPER-1732).
func (v vote) agrees(o vote) bool {
	if v.state == jute.Looking || o.state == jute.Looking {
		return v.leader == o.leader && v.zxid == o.zxid && v.round == o.round && v.peerEpoch == o.peerEpoch
	}
	if (v.version > 0) != (o.version > 0) {
		return v.leader == o.leader
	}
	return v.leader == o.leader && v.peerEpoch == o.peerEpoch
}

type election struct {
	// round is the logical clock. It lives as long as the process. Invariant: it never goes
	// down while looking, but for who abstains: nobody hears its vote, so none would follow it.
	round int64
	// vote is our proposal while looking, and whom we follow or that we lead afterwards.
	vote vote
	// received holds the votes of this round by sender, our own included; established
	// the votes of members that have a leader, of whatever round.
	received, established map[int64]vote
	// greeted has the senders whose first vote of this round was answered.
	greeted quorum.Set
	// lost is the leader whose loss began this election, if it is not known to vote; or nobody.
	lost int64

	startedMs    int64
	yieldAtMs    int64 // when a candidate that only the proposed membership has is given up
	resendMs     int64 // current interval
	resendAtMs   int64
	finalizing   bool // a quorum agrees with our vote
	finalizeAtMs int64
	decided      bool // waits only for the tree to be there
	// retract says that the others were told a vote for somebody else than was decided on.
	retract  bool
	agreeing quorum.Set
}

// abstains reports whether a vote is for nobody, as that of a member which has none.
func (v vote) abstains() bool { return v.leader == math.MinInt64 }

// startElection begins a new round with a vote for ourselves. The role is RoleLooking already.
func (c *Core) startElection(lost int64) {
	e := &c.election
	e.lost = lost
	e.startedMs = c.nowMs
	e.yieldAtMs = c.nowMs + 2*firstShunMs
	e.resendMs = c.cfg.FirstResendMs
	e.decided = false
	e.established = make(map[int64]vote)
	e.round++
	c.startRound(c.ownVote())
}

// ownVote is for ourselves, or for nobody when we can't be elected. The numbers are those
// that Apache's members without a vote tell.
func (c *Core) ownVote() vote {
	if !c.isVoter(c.cfg.SID) {
		return vote{leader: math.MinInt64, zxid: math.MinInt64, peerEpoch: math.MinInt64}
	}
	return vote{leader: c.cfg.SID, zxid: c.log.last, peerEpoch: c.currentEpoch}
}

// startRound forgets the votes of an older round and tells everyone ours.
func (c *Core) startRound(v vote) {
	e := &c.election
	e.received = make(map[int64]vote)
	e.greeted.Reset()
	c.adopt(v)
}

// adopt makes a vote our own, tells it to everyone and looks whether it has won.
func (c *Core) adopt(v vote) {
	e := &c.election
	e.vote = vote{leader: v.leader, zxid: v.zxid, peerEpoch: v.peerEpoch, round: e.round}
	e.received[c.cfg.SID] = e.vote
	e.finalizing = false
	c.broadcastVote()
	c.checkVotes()
}

func (c *Core) broadcastVote() {
	c.election.resendAtMs = c.nowMs + c.election.resendMs
	for _, sid := range c.members.voters {
		if sid != c.cfg.SID {
			c.sendVote(sid)
		}
	}
}

// sendVote tells a member our vote, or our leader when we have one.
func (c *Core) sendVote(to int64) {
	v := c.election.vote
	c.emit(SendNotification{To: to, N: jute.Notification{
		State: c.peerState(), Leader: v.leader, Zxid: v.zxid, ElectionEpoch: v.round, PeerEpoch: v.peerEpoch,
		Version: notificationVersion, Config: c.members.committed.Text,
	}})
}

// notificationVersion is the form in which votes are sent: with epoch and configuration.
const notificationVersion = 2

func (c *Core) peerState() jute.PeerState {
	switch c.role {
	case RoleFollowing, RoleFollowerEstablished, RoleObserverEstablished:
		if c.follow.observing {
			return jute.Observing
		}
		return jute.Following
	case RoleLeading, RoleLeaderEstablished:
		return jute.Leading
	}
	return jute.Looking
}

// better reports whether we would rather have vote v than w. Members differ where one of
// them could not reach somebody who was to lead.
func (c *Core) better(v, w vote) bool {
	if c.weight(v.leader) > 0 && c.weight(w.leader) > 0 && c.shuns(v.leader) != c.shuns(w.leader) {
		return c.shuns(w.leader)
	}
	return c.beats(v, w)
}

// beats is the order of votes on which all members agree. Who weighs nothing never wins. (In
// Apache such a member goes on to vote for itself, and waits for the others to be done.)
func (c *Core) beats(v, w vote) bool {
	if c.weight(v.leader) == 0 {
		return false
	}
	if c.weight(w.leader) == 0 {
		return true
	}
	if v.peerEpoch != w.peerEpoch {
		return v.peerEpoch > w.peerEpoch
	}
	if v.zxid != w.zxid {
		return v.zxid > w.zxid
	}
	if now := c.members.committed.Verifier; c.members.next != nil && (now.Weight(v.leader) > 0) != (now.Weight(w.leader) > 0) {
		return now.Weight(v.leader) > 0 // whoever knows only the committed configuration votes for nobody else
	}
	return v.leader > w.leader
}

func (c *Core) notificationReceived(from int64, n *jute.Notification) {
	if from == c.cfg.SID {
		return
	}
	c.reach.gone.Remove(from)
	c.hearMembership(n.Config)
	if c.isObserver(c.cfg.SID) {
		c.observeVote(from, n)
		return
	}
	if !c.isVoter(from) {
		// An observer wants to know the leader; its vote counts for nothing. What it says when it
		// has found one is its answer to our vote: to answer that, too, as Apache's does, would
		// go on until we have found one.
		if n.State == jute.Looking {
			c.sendVote(from)
		}
		return
	}
	if c.role != RoleLooking || c.election.decided {
		if n.State == jute.Looking {
			c.sendVote(from)
			c.follow.looks = c.follow.looks || from == c.follow.leader && n.ElectionEpoch > c.election.round
		}
		if c.follow.looks && c.role == RoleFollowing {
			// It let us connect, or will, and may need our vote to lead: so it would wait for us,
			// and we for it, until initLimit is over.
			c.leaveLeader("it looks for a leader itself")
			return
		}
		c.voteElsewhere(from, n)
		return
	}
	c.election.resendAtMs = c.nowMs + c.election.resendMs
	v := vote{
		leader: n.Leader, zxid: n.Zxid, round: n.ElectionEpoch, peerEpoch: n.PeerEpoch,
		state: n.State, version: n.Version,
	}
	switch n.State {
	case jute.Looking:
		c.lookingVote(from, v)
	case jute.Following, jute.Leading:
		// Those who follow a leader may not have reached it either.
		if c.isVoter(v.leader) && !c.shuns(v.leader) {
			c.establishedVote(from, v)
		}
	}
}

// observeVote takes a voter's word of who leads. An observer has no part in elections: it
// asks the voters again and again until a quorum of them names a leader. It answers who looks
// for one when it has found one itself: the sender may have missed reconfigurations and know
// of nobody else.
func (c *Core) observeVote(from int64, n *jute.Notification) {
	if c.role != RoleLooking && n.State == jute.Looking {
		c.sendVote(from)
		return
	}
	if c.role != RoleLooking || c.election.decided || !c.isVoter(from) || !c.isVoter(n.Leader) {
		return
	}
	v := vote{
		leader: n.Leader, zxid: n.Zxid, round: n.ElectionEpoch, peerEpoch: n.PeerEpoch, state: n.State, version: n.Version,
	}
	switch n.State {
	case jute.Following, jute.Leading:
		c.establishedVote(from, v)
	case jute.Looking:
		c.supportVote(v)
	}
}

// supportVote makes an observer repeat a voter's vote. It counts for nothing, except where
// a reconfiguration that gives us a vote is in the log of others and not in ours.
func (c *Core) supportVote(v vote) {
	e := &c.election
	if c.cfg.Reconfig == nil || v.zxid == -1 {
		return
	}
	if !e.vote.abstains() && (v.round < e.round || v.round == e.round && !c.better(v, e.vote)) {
		return
	}
	e.round = v.round
	c.adopt(v)
}

// tellObservers tells the observers of the leader that was found, so that they need not ask.
func (c *Core) tellObservers() {
	if !c.isVoter(c.cfg.SID) {
		return
	}
	for _, sid := range c.observers() {
		c.sendVote(sid)
	}
}

// lookingVote takes the vote of a member that looks for a leader too.
func (c *Core) lookingVote(from int64, v vote) {
	e := &c.election
	v.version = 0
	switch {
	case v.round < e.round && !e.vote.abstains():
		c.sendVote(from) // it lags, and learns the round from our vote
		return
	case v.abstains() && !e.vote.abstains():
		c.sendVote(from) // it has not heard that it has a vote, and may repeat ours
		return
	case !c.isVoter(v.leader) || v.zxid == -1:
		return
	case v.round != e.round:
		if e.finalizing && !c.better(v, e.vote) {
			return // our round is as good as decided; the sender will join it
		}
		e.round = v.round
		own := c.ownVote()
		if c.better(v, own) {
			own = v
		}
		c.startRound(own)
	case c.better(v, e.vote):
		c.adopt(v)
	case e.greeted.Add(from) || c.beats(e.vote, v) && e.received[from] != v:
		// Not in Apache: the sender may have begun after our vote was sent, and would wait
		// for it until we send it again. It can't go on for ever: what is sent is better than
		// what came, or it is the first answer in this round. Where the sender knows another
		// membership it may be of another opinion, and is told ours once.
		c.sendVote(from)
	}
	e.greeted.Add(from)
	e.received[from] = v
	c.checkVotes()
}

// checkVotes looks whether a quorum agrees with our vote. If so a better one may still
// be on its way, for which it waits a little, unless everyone has voted for the winner
// from whom a better one could come.
func (c *Core) checkVotes() {
	e := &c.election
	if e.decided || c.role != RoleLooking {
		return
	}
	if !c.quorumAgrees(e.received, e.vote) {
		e.finalizing = false
		return
	}
	if !e.finalizing {
		e.finalizing = true
		e.finalizeAtMs = c.nowMs + c.cfg.FinalizeWaitMs
	}
	for _, sid := range c.members.voters {
		if !e.agreeing.Has(sid) && c.awaited(sid) {
			return
		}
	}
	c.decide(e.vote)
}

// quorumAgrees leaves in election.agreeing who agrees with v.
func (c *Core) quorumAgrees(votes map[int64]vote, v vote) bool {
	agreeing := &c.election.agreeing
	agreeing.Reset()
	for sid, other := range votes {
		if v.agrees(other) {
			agreeing.Add(sid)
		}
	}
	return c.containsQuorum(*agreeing)
}

// establishedVote takes the word of a member that has a leader, in this round or from
// an older election: when a quorum follows that leader, so do we.
func (c *Core) establishedVote(from int64, v vote) {
	e := &c.election
	if v.round == e.round && c.isVoter(c.cfg.SID) {
		inRound := v
		inRound.version = 0
		e.received[from] = inRound
		if c.quorumAgrees(e.received, v) && c.leads(e.received, v) {
			c.decide(v)
			return
		}
		c.checkVotes() // it may have taken a vote from the winner
		if c.role != RoleLooking || e.decided {
			return
		}
	}
	e.established[from] = v
	if c.quorumFollows(v) && c.leads(e.established, v) {
		e.round = v.round
		c.decide(v)
	}
}

// quorumFollows reports whether those who have the leader of v are a quorum, or are one with
// us. In Apache the follower that makes a quorum complete does not count itself: one that
// restarted in an election waits until its leader has given up. Of a proposed membership it
// needs none: the leader does, and those of its quorum may not know yet that they vote.
func (c *Core) quorumFollows(v vote) bool {
	e := &c.election
	if c.quorumAgrees(e.established, v) {
		return true
	}
	e.agreeing.Add(c.cfg.SID)
	return c.members.committed.Verifier.ContainsQuorum(e.agreeing)
}

// leads reports whether the leader of v said itself that it leads. Otherwise members
// could elect one that has crashed over and over.
func (c *Core) leads(votes map[int64]vote, v vote) bool {
	if v.leader == c.cfg.SID {
		return v.round == c.election.round
	}
	own, heard := votes[v.leader]
	return heard && own.state == jute.Leading
}

// decide ends the election.
func (c *Core) decide(v vote) {
	e := &c.election
	e.retract = e.vote.leader != v.leader && c.isVoter(c.cfg.SID)
	e.vote = vote{leader: v.leader, zxid: v.zxid, round: e.round, peerEpoch: v.peerEpoch}
	e.decided = true
	c.takeDecidedRole()
}

// takeDecidedRole takes the role that the election gave us, once the tree is there.
func (c *Core) takeDecidedRole() {
	e := &c.election
	if !e.decided || c.role != RoleLooking || !c.TreeIsThere() {
		return
	}
	e.decided = false
	c.lastElectionMs = c.nowMs - e.startedMs
	if e.vote.leader == c.cfg.SID {
		c.startLeading()
	} else {
		c.startFollowing(e.vote.leader)
	}
	c.tellObservers()
	// A candidate that counts our last vote would wait for us until initLimit is over.
	if e.retract && c.role != RoleLooking {
		c.broadcastVote()
	}
}

// established makes the vote that others are told show the epoch that was established
// (ZOOKEEPER-1732): all members must tell the same.
func (c *Core) established(epoch int64) {
	c.election.vote.peerEpoch = epoch
	c.tellObservers()
}

func (c *Core) tickElection() {
	e := &c.election
	if e.decided {
		return
	}
	c.reconsiderShunned()
	c.yield()
	if e.finalizing && c.nowMs >= e.finalizeAtMs {
		c.decide(e.vote)
		return
	}
	if c.nowMs >= e.resendAtMs {
		e.resendMs = min(2*e.resendMs, c.cfg.MostResendMs)
		if !c.isVoter(c.cfg.SID) {
			e.resendMs = min(e.resendMs, mostAskMs)
		}
		c.broadcastVote()
	}
}
