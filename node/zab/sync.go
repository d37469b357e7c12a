package zab

import (
	"fmt"

	"zoolab/zk/jute"
)

// mayStart turns an observer away while as many learners as are allowed are sent the same
// kind of history. It tries again.
func (c *Core) mayStart(l *learner, op jute.PacketType) bool {
	isSnap := op == jute.PacketSnap
	most := c.cfg.MaxDiffSyncs
	if isSnap {
		most = c.cfg.MaxSnapSyncs
	}
	running := c.countLearners(func(o *learner) bool { return o.stage == learnerSyncs && (o.syncing == jute.PacketSnap) == isSnap })
	if l.observer && most > 0 && running >= most {
		c.dropLearner(l, fmt.Sprintf("%d learners are being synchronized with %v already, as many as are allowed", running, op), true)
		return false
	}
	l.syncing = op
	return true
}

// synchronize brings our history to a learner that accepted our epoch. What is in it is
// decided by where the learner's log ends (see DESIGN.md, "DIFF, TRUNC or SNAP").
func (c *Core) synchronize(l *learner) {
	invariant(c.TreeIsThere(), "synchronizing while the tree is being restored")
	last := c.log.lastDelivered
	if l.observer && c.counts(l) && l.lastZxid != last {
		// Apache's observers make a difference durable only after they acknowledged NEWLEADER.
		c.sendSnapshot(l)
		return
	}
	switch from, op := c.syncPoint(l.lastZxid); op {
	case jute.PacketDiff, jute.PacketTrunc:
		if !c.mayStart(l, op) {
			return
		}
		rest, _ := c.log.deliveredAfter(from)
		if op == jute.PacketDiff {
			c.send(l.conn, op, last, nil)
		} else {
			c.send(l.conn, op, from, nil)
		}
		c.sendCommitted(l, rest)
		c.finishSync(l)
	case jute.PacketSnap:
		c.sendSnapshot(l)
	default:
		l.stage = learnerReads
		c.emit(ReadHistory{Conn: l.conn, After: l.lastZxid, MaxBytes: c.cfg.MaxSyncLogBytes})
	}
}

// syncPoint decides how a learner whose log ends at p is synchronized: with the
// transactions behind from (DIFF), with those after its log was cut there (TRUNC), with
// the whole tree (SNAP), or (0) with what the log on disk may hold.
func (c *Core) syncPoint(p int64) (from int64, op jute.PacketType) {
	last := c.log.lastDelivered
	if p == last {
		return p, jute.PacketDiff
	}
	if _, ok := c.log.deliveredAfter(p); ok {
		return p, jute.PacketDiff
	}
	if p > last {
		if counterOf(p) == 0 || counterOf(last) == 0 {
			return 0, jute.PacketSnap // one of them names no transaction that could be found in a log
		}
		return last, jute.PacketTrunc
	}
	previous := c.log.previous(p)
	if previous == unknownZxid {
		return 0, 0
	}
	// The learner's log ends in proposals of an epoch whose first ones we have: it has
	// those too, and only the rest must go.
	if epochOf(previous) == epochOf(p) && counterOf(previous) > 0 {
		if _, ok := c.log.deliveredAfter(previous); ok {
			return previous, jute.PacketTrunc
		}
	}
	return 0, jute.PacketSnap
}

func (c *Core) historyRead(in HistoryRead) {
	l := c.learner(in.Conn)
	if l == nil || l.stage != learnerReads {
		return
	}
	if !in.Found || !in.Complete || !c.sendFromDisk(l, in.Entries) {
		c.sendSnapshot(l)
	}
}

// sendFromDisk sends a DIFF that begins with transactions read from the log on disk. It
// reports false, and sends nothing, when they leave a hole (ZOOKEEPER-4925) before what
// is in memory.
func (c *Core) sendFromDisk(l *learner, entries []Entry) bool {
	end := l.lastZxid
	for i, e := range entries {
		// What is not committed yet is not part of the history (ZOOKEEPER-2846).
		if e.Zxid > c.log.lastDelivered {
			entries = entries[:i]
			break
		}
		if !follows(end, e.Zxid) {
			return false
		}
		end = e.Zxid
	}
	rest, ok := c.log.deliveredAfter(end)
	if !ok && end != c.log.lastDelivered {
		return false
	}
	if !c.mayStart(l, jute.PacketDiff) {
		return true
	}
	c.send(l.conn, jute.PacketDiff, c.log.lastDelivered, nil)
	c.sendCommitted(l, entries)
	c.sendCommitted(l, rest)
	c.finishSync(l)
	return true
}

func (c *Core) sendSnapshot(l *learner) {
	if !c.mayStart(l, jute.PacketSnap) {
		return
	}
	c.send(l.conn, jute.PacketSnap, c.log.lastDelivered, nil)
	c.emit(SendSnapshot{Conn: l.conn})
	c.finishSync(l)
}

func (c *Core) sendCommitted(l *learner, entries []Entry) {
	for _, e := range entries {
		c.send(l.conn, jute.PacketProposal, e.Zxid, e.Payload)
		c.send(l.conn, jute.PacketCommit, e.Zxid, nil)
	}
}

// finishSync ends the history with NEWLEADER. From here on a follower gets every
// proposal; those under way come behind NEWLEADER, so that its acknowledgement need
// not wait for them. An observer gets what is committed.
func (c *Core) finishSync(l *learner) {
	l.stage = learnerSyncs
	l.syncedTo = c.log.lastDelivered
	l.deadlineMs = c.nowMs + c.initLimitMs()
	c.send(l.conn, jute.PacketNewLeader, makeZxid(c.servedEpoch(), 0), c.tellsMembership())
	if l.observer {
		return
	}
	for _, e := range c.log.undelivered() {
		c.send(l.conn, jute.PacketProposal, e.Zxid, e.Payload)
	}
}
