package zab

import (
	"fmt"
	"slices"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// What a member knows of who can be reached and who went elsewhere shortens elections. It
// never decides what is safe: whoever is voted for still has to prove itself to a quorum.

// reach is what is known of the other voters. It outlives roles.
type reach struct {
	// gone has the voters whose election port could not be reached when it was tried last.
	gone quorum.Set
	// unled has the leaders that were found and whose quorum port could not be reached: others,
	// or this member, when those who voted for it never came.
	unled map[int64]unled
}

// unled is a leader that could not be reached.
type unled struct {
	times   int   // in a row
	untilMs int64 // until then somebody else is preferred
}

// firstShunMs is how long a leader that could not be reached is not voted for, nor joined:
// long enough for an election. It doubles with each time, up to half of initLimit.
const firstShunMs = 500

func (c *Core) voterUnreachable(sid int64) {
	if !c.isVoter(sid) || sid == c.cfg.SID || !c.reach.gone.Add(sid) {
		return
	}
	if c.role == RoleLooking && c.election.finalizing {
		c.checkVotes()
	}
}

// awaited reports whether a voter that does not agree with our vote may still come with a
// better one. The lost leader can't, and neither can those who are down; but the winner must
// be there.
func (c *Core) awaited(sid int64) bool {
	e := &c.election
	return sid == e.vote.leader || sid != e.lost && !c.reach.gone.Has(sid)
}

// unreached notes that a leader could not be reached, so that the next election prefers
// another. Otherwise a member whose name nobody can resolve, and whose vote is the best, would
// win one election after the other.
func (c *Core) unreached(leader int64) {
	if c.reach.unled == nil {
		c.reach.unled = make(map[int64]unled)
	}
	u := c.reach.unled[leader]
	u.times = min(u.times+1, 16)
	u.untilMs = c.nowMs + min(firstShunMs<<(u.times-1), c.initLimitMs()/2)
	c.reach.unled[leader] = u
}

// reached forgets that a leader could not be reached before.
func (c *Core) reached(leader int64) { delete(c.reach.unled, leader) }

// shuns reports whether another than sid is to be voted for, whatever its log. A member
// that is needed is shunned for a while only, and who has what was committed is needed.
func (c *Core) shuns(sid int64) bool { return c.nowMs < c.reach.unled[sid].untilMs }

// reconsiderShunned takes a better vote that was not taken while its candidate was shunned.
func (c *Core) reconsiderShunned() {
	e := &c.election
	for _, sid := range c.members.voters {
		if v, heard := e.received[sid]; heard && len(c.reach.unled) > 0 && v.state == jute.Looking && c.better(v, e.vote) {
			c.adopt(v)
		}
	}
}

// yield shuns a candidate that only the proposed membership has, when its election takes long:
// whoever does not know that membership can't vote for it, and may be needed. The candidate
// does so, too. It has as long again afterwards, since it may be the only one that can lead.
func (c *Core) yield() {
	e := &c.election
	next := c.members.next
	if c.nowMs < e.yieldAtMs || next == nil || e.vote.abstains() || c.members.committed.Verifier.Weight(e.vote.leader) > 0 || c.shuns(e.vote.leader) {
		return
	}
	c.unreached(e.vote.leader)
	e.yieldAtMs = c.nowMs + 2*(c.reach.unled[e.vote.leader].untilMs-c.nowMs)
	c.startRound(c.ownVote())
}

// voteElsewhere hears, as a candidate that is not established, whom a voter is for. Those
// who left for a better one don't come back in this round, nor do those who began another.
func (c *Core) voteElsewhere(from int64, n *jute.Notification) {
	if c.role != RoleLeading || !c.isVoter(from) {
		return
	}
	// Whoever restarted begins with a low round, and will find us.
	knowsNobody := n.State == jute.Looking && n.Leader == from && n.ElectionEpoch <= c.election.round
	if c.cfg.EpochWaitMs > 0 && n.State == jute.Looking && c.lead.phase == phaseEpoch && c.nowMs-c.lead.sinceMs >= c.cfg.EpochWaitMs {
		c.deserted++
		c.nobodyCame()
		c.lookAgain(fmt.Sprintf("no quorum has told its epochs within maxTimeToWaitForEpoch, and member %d looks for a leader", from), nobody)
		return
	}
	if n.Leader == c.cfg.SID || knowsNobody || !c.isVoter(n.Leader) {
		c.lead.elsewhere.Remove(from)
		return
	}
	c.lead.elsewhere.Add(from)
	c.checkDeserted()
}

// checkDeserted looks again when those that are connected, or may still come, are no quorum:
// to wait for initLimit would only keep this member, and who followed it, out of the
// ensemble that the others form.
func (c *Core) checkDeserted() {
	var left quorum.Set
	for _, sid := range c.members.voters {
		absent := c.lead.elsewhere.Has(sid) || c.reach.gone.Has(sid)
		if !absent || slices.ContainsFunc(c.learners, func(l *learner) bool { return l.sid == sid && c.counts(l) }) {
			left.Add(sid)
		}
	}
	if !c.containsQuorum(left) {
		c.deserted++
		c.nobodyCame()
		c.lookAgain(fmt.Sprintf("members %v vote for others, members %v are gone, and without them there is no quorum", c.lead.elsewhere.Sids(), c.reach.gone.Sids()), nobody)
	}
}

// nobodyCame notes, when a candidate gives up, that it may be one that nobody can reach.
func (c *Core) nobodyCame() {
	if c.lead.connected.Len() <= 1 {
		c.unreached(c.cfg.SID)
	}
}
