package replica

import (
	"fmt"
	"maps"
	"slices"

	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// received is a transaction of a leader, decoded.
type received struct {
	entry zab.Entry
	txn   *jute.LoggedTxn
}

// checkReceived is zab.Config's Check: what it lets pass can be applied.
func (r *Replica) checkReceived(e zab.Entry) error {
	txn := new(jute.LoggedTxn)
	if err := jute.Unmarshal(e.Payload, txn); err != nil {
		return fmt.Errorf("it can't be read: %w", err)
	}
	if txn.Header.Zxid != e.Zxid {
		return fmt.Errorf("its header says that it is 0x%x", txn.Header.Zxid)
	}
	if err := tree.Validate(txn); err != nil {
		return err
	}
	r.received.Push(received{e, txn})
	return nil
}

// takeReceived returns a transaction that checkReceived decoded, nil if it did not.
func (r *Replica) takeReceived(e zab.Entry) *jute.LoggedTxn {
	for r.received.Len() > 0 && r.received.All()[0].entry.Zxid <= e.Zxid {
		// After a truncation the same zxid may name another transaction.
		got := r.received.Pop()
		if got.entry.Zxid == e.Zxid && len(e.Payload) > 0 && &got.entry.Payload[0] == &e.Payload[0] {
			return got.txn
		}
	}
	return nil
}

// forward sends a write or a sync of one of our clients to the leader.
func (r *Replica) forward(q request) {
	data := make([]byte, 0, 16+len(q.body))
	data = jute.AppendInt64(data, q.session)
	data = jute.AppendInt32(data, q.cxid)
	data = jute.AppendInt32(data, int32(q.op))
	data = append(data, q.body...)
	r.emit(zab.Send{Conn: r.leaderConn, Packet: jute.QuorumPacket{
		Type: jute.PacketRequest, Zxid: -1, Data: data, Authinfo: q.who.IDs,
	}})
}

// fromLeader serves what the leader sends beside proposals and commits.
func (r *Replica) fromLeader(p jute.QuorumPacket) {
	switch p.Type {
	case jute.PacketPing:
		r.emit(zab.Send{Conn: r.leaderConn, Packet: jute.QuorumPacket{
			Type: jute.PacketPing, Zxid: p.Zxid, Data: r.liveSessions(),
		}})
	case jute.PacketSync:
		if r.syncs.Len() > 0 {
			r.syncConfirmed(r.syncs.Pop())
		}
	case jute.PacketRevalidate:
		r.revalidated(p)
	}
}

// revalidation is a session of which the leader was asked whether it is alive.
type revalidation struct {
	session int64
	// learner is the observer that asked, 0 for a client of ours.
	learner   zab.ConnID
	timeoutMs int32 // of an observer's
}

// revalidated takes the leader's answer, which is to the oldest question.
func (r *Replica) revalidated(p jute.QuorumPacket) {
	d := jute.NewDecoder(p.Data)
	id, valid := d.Int64(), d.Bool()
	if d.Err() != nil || r.revalidations.Len() == 0 || r.revalidations.All()[0].session != id {
		return
	}
	if asked := r.revalidations.Pop(); asked.learner != 0 {
		if valid {
			r.touchedBeyond[id] = asked.timeoutMs
		}
		r.emit(zab.Send{Conn: asked.learner, Packet: p})
		return
	}
	if c := r.revalidating[id]; c != nil {
		delete(r.revalidating, id)
		c.attachedAt = p.Zxid // an observer is not told of what is proposed
		r.attach(c, valid)
	}
}

// fromObserver takes what an observer that this follower serves sends for the leader.
func (r *Replica) fromObserver(e zab.FromLearner) {
	d := jute.NewDecoder(e.Packet.Data)
	switch e.Packet.Type {
	case jute.PacketPing:
		for d.Len() > 0 {
			id, timeoutMs := d.Int64(), d.Int32()
			// Who lists sessions that there are not must not fill our memory.
			if _, known := r.Tree().SessionTimeout(id); known && d.Err() == nil {
				r.touchedBeyond[id] = timeoutMs
			}
		}
	case jute.PacketRevalidate:
		asked := revalidation{session: d.Int64(), timeoutMs: d.Int32(), learner: e.Conn}
		if d.Err() == nil {
			r.revalidations.Push(asked)
			r.emit(zab.Send{Conn: r.leaderConn, Packet: e.Packet})
		}
	case jute.PacketRequest:
		d.Int64()
		d.Int32()
		op := jute.OpCode(d.Int32())
		if d.Err() == nil {
			if op == jute.OpSync {
				r.syncs.Push(syncRequest{learner: e.Conn})
			}
			r.emit(zab.Send{Conn: r.leaderConn, Packet: e.Packet})
		}
	}
	r.closeMalformed(e, d)
}

// closeMalformed closes the connection of a learner whose packet could not be read.
func (r *Replica) closeMalformed(e zab.FromLearner, d *jute.Decoder) {
	if err := d.Err(); err != nil {
		r.emit(zab.Close{Conn: e.Conn, Reason: fmt.Sprintf("%v of member %d: %v", e.Packet.Type, e.SID, err), Breach: true})
	}
}

// liveSessions lists the ensemble's sessions from whose clients something came since the
// last ping.
func (r *Replica) liveSessions() []byte {
	live := r.touchedBeyond
	for id, c := range r.attached {
		if !r.isLocal(id) && c.touched.Swap(false) {
			live[id] = c.timeoutMs
		}
	}
	data := make([]byte, 0, 12*len(live))
	for _, id := range slices.Sorted(maps.Keys(live)) {
		data = jute.AppendInt32(jute.AppendInt64(data, id), live[id])
	}
	clear(live)
	return data
}
