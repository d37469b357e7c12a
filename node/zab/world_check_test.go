package zab

import (
	"fmt"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// confirmed checks that a leader who was told that it still led had all that was
// committed when it asked, and that nobody had taken its place.
func (w *world) confirmed(n *node, token uint64) {
	q, ok := w.asked[token]
	delete(w.asked, token)
	w.answered++
	switch {
	case !ok || q.sid != n.sid:
		panic(fmt.Sprintf("member %d got a confirmation that it didn't ask for", n.sid))
	case q.newest > q.epoch:
		panic(fmt.Sprintf("leader %d of epoch %d was confirmed, but epoch %d was established when it asked", n.sid, q.epoch, q.newest))
	case len(n.tree) < q.committed:
		panic(fmt.Sprintf("leader %d was confirmed without %d transactions committed before", n.sid, q.committed-len(n.tree)))
	}
}

// leaderEstablished holds Leadership and LeaderLogCompleteness, and that a quorum has
// the epoch and the leader's history durable.
func (w *world) leaderEstablished(n *node, epoch int64) {
	if other, ok := w.leaderOf[epoch]; ok {
		panic(fmt.Sprintf("epoch %d has two leaders: %d, established before, and %d", epoch, other, n.sid))
	}
	w.leaderOf[epoch] = n.sid
	if w.verifier.Weight(n.sid) == 0 {
		panic(fmt.Sprintf("member %d leads epoch %d and weighs nothing", n.sid, epoch))
	}
	// A leader that slept while others took its place may learn late that it had been
	// established. It has to have what was committed before its epoch.
	before := 0
	for before < len(w.truth) && epochOf(w.truth[before].Zxid) < epoch {
		before++
	}
	if len(n.tree) < before {
		panic(fmt.Sprintf("leader %d of epoch %d lacks %d committed transactions", n.sid, epoch, before-len(n.tree)))
	}
	var durable quorum.Set
	for _, m := range w.nodes {
		if m.current >= epoch {
			durable.Add(m.sid)
		}
	}
	if !w.verifier.ContainsQuorum(durable) {
		panic(fmt.Sprintf("epoch %d is established, but only members %v have it durable", epoch, durable.Sids()))
	}
}

// check holds, after each step of a member, Agreement, TotalOrder and PrefixConsistency
// of what established members show, and that a quorum has it durable.
func (w *world) check(n *node) {
	if !n.role.Role.Established() || n.treeGone > 0 {
		return
	}
	for i := n.verified; i < len(n.tree); i++ {
		if i == len(w.truth) {
			w.commit(n, n.tree[i])
			continue
		}
		if n.tree[i].Zxid != w.truth[i].Zxid || string(n.tree[i].Payload) != string(w.truth[i].Payload) {
			panic(fmt.Sprintf("member %d has 0x%x %q where 0x%x %q was committed", n.sid,
				n.tree[i].Zxid, n.tree[i].Payload, w.truth[i].Zxid, w.truth[i].Payload))
		}
	}
	n.verified = len(n.tree)
}

func (w *world) commit(n *node, e Entry) {
	at := len(w.truth)
	if at > 0 && !follows(w.truth[at-1].Zxid, e.Zxid) {
		panic(fmt.Sprintf("0x%x is committed behind 0x%x", e.Zxid, w.truth[at-1].Zxid))
	}
	var durable quorum.Set
	for _, m := range w.nodes {
		if len(m.log) > at && string(m.log[at].Payload) == string(e.Payload) {
			durable.Add(m.sid)
		}
	}
	if !w.verifier.ContainsQuorum(durable) {
		panic(fmt.Sprintf("member %d takes 0x%x for committed, but only members %v have it durable", n.sid, e.Zxid, durable.Sids()))
	}
	w.truth = append(w.truth, e)
}

// checkSend holds that nothing is acknowledged, and no history offered, before what it
// says is durable.
func (n *node) checkSend(p jute.QuorumPacket) {
	w := n.w
	switch {
	case p.Type == jute.PacketAckEpoch && n.accepted < n.core.follow.epoch:
		panic(fmt.Sprintf("member %d acknowledges epoch %d, but only %d is durable", n.sid, n.core.follow.epoch, n.accepted))
	case p.Type == jute.PacketAck && counterOf(p.Zxid) == 0 && n.current < epochOf(p.Zxid):
		panic(fmt.Sprintf("member %d acknowledges NEWLEADER of epoch %d, but its durable current epoch is %d", n.sid, epochOf(p.Zxid), n.current))
	case p.Type == jute.PacketAck && counterOf(p.Zxid) > 0 && (len(n.log) == 0 || n.log[len(n.log)-1].Zxid < p.Zxid):
		panic(fmt.Sprintf("member %d acknowledges 0x%x, which is not in its durable log", n.sid, p.Zxid))
	case p.Type == jute.PacketAck && counterOf(p.Zxid) > 0 && n.core.isObserver(n.sid):
		panic(fmt.Sprintf("observer %d acknowledges 0x%x", n.sid, p.Zxid))
	case p.Type == jute.PacketNewLeader:
		var promised quorum.Set
		for _, m := range w.nodes {
			if m.accepted >= epochOf(p.Zxid) {
				promised.Add(m.sid)
			}
		}
		if !promised.Has(n.sid) || !w.verifier.ContainsQuorum(promised) {
			panic(fmt.Sprintf("member %d offers its history for epoch %d, which only members %v have accepted durably", n.sid, epochOf(p.Zxid), promised.Sids()))
		}
	}
}
