package sim

import (
	"fmt"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// Beside the workload's operations, whose history is judged, clients do what only has to
// leave all members with the same tree: znodes of every kind, and multis of them.

// How the leader looks for containers and TTL znodes, and how long those live.
const (
	sweepIntervalMs = 700
	sweepPerMinute  = 1200
	neverUsedMs     = 2000
	ttlMs           = 1500
)

// extra carries out one of them.
func (c *client) extra() {
	kinds := 6
	if c.w.reconfigures() && !c.w.healed {
		kinds++
	}
	switch c.w.random.IntN(kinds) {
	case 0, 1:
		c.makeEphemeral()
	case 2:
		c.tryTo(countContainer, jute.OpCreateContainer, &jute.CreateRequest{Path: c.extraPath(), ACL: c.acl(), Flags: jute.ModeContainer})
	case 3:
		c.tryTo(countTTL, jute.OpCreateTTL, &jute.CreateTTLRequest{Path: "/ttl-", ACL: c.acl(), Flags: jute.ModeTTLSequential, TtlMs: ttlMs})
	case 4:
		c.multi()
	case 5:
		c.watchAll()
	case 6:
		c.reconfigure()
	}
}

// acl is the client's own: every second one lets nobody change it, for which nobody asks.
// So servers have ACLs to tell apart, to count and to forget.
func (c *client) acl() []jute.ACL {
	if c.number%2 == 0 {
		return worldACL
	}
	return []jute.ACL{{Perms: jute.PermAll &^ jute.PermAdmin, ID: worldACL[0].ID}}
}

// extraPath is one of a few, so that clients get in each other's way.
func (c *client) extraPath() string { return fmt.Sprintf("/extra%d", c.w.random.IntN(3)) }

func (c *client) tryTo(count string, op jute.OpCode, body jute.Record) {
	if _, _, err := c.request(op, body); err == nil {
		c.w.count(count)
	}
}

// multi sends one of several kinds, which fails as a whole where the znodes are not as
// it expects them.
func (c *client) multi() {
	top := c.extraPath()
	part := func(op jute.OpCode, r jute.Record) jute.MultiOp { return jute.MultiOp{Type: op, Record: r} }
	q := &jute.MultiRequest{Ops: []jute.MultiOp{
		part(jute.OpCreateTTL, &jute.CreateTTLRequest{Path: top + "/ttl", ACL: c.acl(), Flags: jute.ModeTTL, TtlMs: ttlMs}),
		part(jute.OpCreate2, &jute.CreateRequest{Path: top + "/e-", ACL: c.acl(), Flags: jute.ModeEphemeralSequential}),
		part(jute.OpCheck, &jute.CheckVersionRequest{Path: top, Version: int32(c.w.random.IntN(2))}),
		part(jute.OpSetData, &jute.SetDataRequest{Path: top, Data: []byte("multi"), Version: -1}),
	}}
	switch c.w.random.IntN(3) {
	case 0:
		q.Ops = append(q.Ops, part(jute.OpDelete, &jute.DeleteRequest{Path: top + "/ttl", Version: -1}))
	case 1:
		// The container, too: its parts see each other.
		q.Ops = append([]jute.MultiOp{part(jute.OpCreateContainer, &jute.CreateRequest{Path: top, ACL: worldACL, Flags: jute.ModeContainer})}, q.Ops...)
		q.Ops = append(q.Ops, part(jute.OpDelete, &jute.DeleteRequest{Path: top + "/ttl", Version: 0}))
	}
	_, body, err := c.request(jute.OpMulti, q)
	if err != nil {
		return
	}
	for _, result := range body.(*jute.MultiResponse).Results {
		if result.Type == jute.OpError {
			c.w.count(countMultiFailed)
			return
		}
	}
	c.w.count(countMulti)
}

// watchAll sets a recursive watch of everything. From then on the client must be told of
// a change before it reads what came of it.
func (c *client) watchAll() {
	conn := c.conn
	if _, _, err := c.request(jute.OpAddWatch, &jute.AddWatchRequest{Path: "/", Mode: jute.AddWatchRecursive}); err == nil {
		conn.watchesAll = true
		c.w.count(countWatchAll)
	}
}

// emptied demands that nothing is left of what is to go by itself: the clients were
// silent for longer than any session and any TTL znode lives.
func (t *truth) emptied() {
	for _, m := range t.w.members {
		c := m.replica.Tree().Counts()
		if c.Sessions+c.Ephemerals+c.Containers+c.TTLs > 0 {
			t.w.violate("Disposal: %s still has %d sessions, %d ephemerals, %d containers and %d TTL znodes, %d s after the last request",
				name(m.sid), c.Sessions, c.Ephemerals, c.Containers, c.TTLs, silenceUs/second)
		}
	}
}

// livesOn reports whether a znode's owner is none that can end: no session's id.
func livesOn(owner int64) bool { return tree.KindOf(owner) != tree.Ephemeral }
