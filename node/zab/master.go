package zab

import (
	"fmt"
	"slices"

	"zoolab/zk/jute"
)

// Observers may learn from followers, so that the leader need not send everything to each of
// them. A follower that serves observers is to them what a leader is, with a history that is
// all committed, and in an epoch that is settled. To the leader it is one follower.

// mayServeObservers reports whether observers are welcome at our observer master port.
func (c *Core) mayServeObservers() bool {
	follows := c.role == RoleFollowing || c.role == RoleFollowerEstablished
	return c.cfg.ObserverMasters && follows && !c.follow.observing
}

// servedEpoch is the epoch in which this member serves learners.
func (c *Core) servedEpoch() int64 {
	if c.role == RoleFollowerEstablished {
		return c.follow.epoch
	}
	return c.lead.epoch
}

// informObserver tells an observer our epoch, once we are synchronized ourselves.
func (c *Core) informObserver(l *learner) {
	switch {
	case c.role != RoleFollowerEstablished:
	case l.acceptedEpoch > c.follow.epoch:
		c.dropLearner(l, fmt.Sprintf("member %d has accepted epoch %d, we follow in epoch %d", l.sid, l.acceptedEpoch, c.follow.epoch), true)
	default:
		c.inform(l, c.follow.epoch)
	}
}

// informWaiting lets in the observers that came before we were synchronized.
func (c *Core) informWaiting() {
	for _, l := range slices.Clone(c.learners) { // some may be turned away
		if l.stage == learnerWaits {
			c.informObserver(l)
		}
	}
}

// observerAcked takes the acknowledgement of NEWLEADER, or that of UPTODATE, which says no
// more. Observers acknowledge nothing else.
func (c *Core) observerAcked(l *learner, zxid int64) {
	switch {
	case l.stage < learnerSyncs || zxid != makeZxid(c.follow.epoch, 0):
		c.accuseLearner(l, fmt.Sprintf("ACK 0x%x out of order", zxid))
	case l.stage == learnerSyncs:
		c.serve(l)
	}
}

// mustCatchUp reports whether an observer has more of this epoch than we know to be committed,
// which it learned from somebody quicker: it waits until we have that too. To cut its log would
// take back what its clients have seen.
func (c *Core) mustCatchUp(l *learner) bool {
	return l.master && epochOf(l.lastZxid) == c.follow.epoch && l.lastZxid > c.log.lastDelivered
}

// informObservers tells those that we serve of a transaction that was just delivered;
// designated is commitReceived's.
func (c *Core) informObservers(e Entry, designated []byte) {
	for _, l := range slices.Clone(c.learners) { // some may be turned away
		switch {
		case l.stage == learnerAckedEpoch && !c.mustCatchUp(l):
			c.synchronize(l)
		case l.stage < learnerSyncs:
		case designated != nil:
			c.send(l.conn, jute.PacketInformAndActivate, e.Zxid, slices.Concat(designated, e.Payload))
		default:
			c.send(l.conn, jute.PacketInform, e.Zxid, e.Payload)
		}
	}
}

// pingObservers keeps the observers that we serve, twice a tick.
func (c *Core) pingObservers() {
	if c.nowMs < c.follow.nextPingMs || c.role != RoleFollowerEstablished {
		return
	}
	c.follow.nextPingMs = c.nowMs + c.cfg.TickMs/2
	for _, l := range c.learners {
		if l.stage == learnerServed {
			c.send(l.conn, jute.PacketPing, c.committed, nil)
		}
	}
}

// masterRounds is how often an observer tries each follower before it goes to the leader.
const masterRounds = 2

// chooseMaster returns the follower to observe in place of a leader, nobody for the leader
// itself. Observers begin with different ones, and go on to the next with each that fails.
func (c *Core) chooseMaster(leader int64) int64 {
	if !c.cfg.ObserverMasters || !c.isObserver(c.cfg.SID) {
		return nobody
	}
	masters := slices.DeleteFunc(slices.Clone(c.members.committed.Verifier.Voters()), func(sid int64) bool { return sid == leader })
	failures := c.follow.failures
	if failures >= masterRounds*len(masters) {
		return nobody
	}
	return masters[(c.cfg.SID+int64(failures))%int64(len(masters))]
}

// Observer is one that this member serves, as a leader or in place of one.
type Observer struct {
	SID  int64
	Conn ConnID
}

// Observers lists the observers that this member serves, oldest first.
func (c *Core) Observers() (list []Observer) {
	for _, l := range c.learners {
		if l.stage == learnerServed && l.observer {
			list = append(list, Observer{l.sid, l.conn})
		}
	}
	return list
}

// Master returns whom this member observes: a follower, or the leader; -1 if it observes nobody.
func (c *Core) Master() int64 {
	f := &c.follow
	switch {
	case !f.observing:
		return nobody
	case f.master != nobody:
		return f.master
	}
	return f.leader
}
