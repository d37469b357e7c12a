package zab

import (
	"slices"

	"zoolab/zk/jute"
)

// confirmation proves leadership by pings. Every ping goes to all learners that are
// served, and each answers each with one ping in return, in order. So the answers are
// counted: pings numbers what was sent, learner.pongs what came back, beginning for a
// new learner with the number of the last ping before it was served.
type confirmation struct {
	pings uint64
	// asked are the tokens of the round under way, which began with ping number first.
	asked []uint64
	first uint64
	// waiting are tokens that came since: they need a round that begins after them.
	waiting []uint64
}

func (c *Core) confirmLeadership(token uint64) {
	if c.role != RoleLeaderEstablished {
		return
	}
	f := &c.lead.confirm
	f.waiting = append(f.waiting, token)
	if len(f.asked) == 0 {
		c.ping()
		c.checkConfirmed()
	}
}

// ping sends the next ping. If no round is under way it begins one for those who wait.
func (c *Core) ping() {
	f := &c.lead.confirm
	f.pings++
	for _, l := range c.learners {
		if l.stage == learnerServed {
			c.send(l.conn, jute.PacketPing, c.lead.lastProposed, nil)
		}
	}
	if len(f.asked) == 0 {
		f.asked, f.waiting = f.waiting, f.asked
		f.first = f.pings
	}
}

// checkConfirmed ends the round when a quorum has answered, and begins the next.
func (c *Core) checkConfirmed() {
	f := &c.lead.confirm
	for len(f.asked) > 0 {
		answered := &c.lead.acks
		answered.Reset()
		answered.Add(c.cfg.SID)
		for _, l := range c.learners {
			if l.stage == learnerServed && !l.observer && l.pongs >= f.first {
				answered.Add(l.sid)
			}
		}
		if !c.containsQuorum(*answered) {
			return
		}
		for _, token := range f.asked {
			c.emit(LeadershipConfirmed{Token: token})
		}
		f.asked = slices.Delete(f.asked, 0, len(f.asked))
		if len(f.waiting) > 0 {
			c.ping()
		}
	}
}

// pongReceived counts an answer. Whoever answers what was not asked can't be counted.
func (c *Core) pongReceived(l *learner) {
	if l.pongs == c.lead.confirm.pings {
		c.accuseLearner(l, "PING that answers none")
		return
	}
	l.pongs++
	c.checkConfirmed()
}
