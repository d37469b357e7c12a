package replica

import (
	"fmt"
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
			r.syncDone(r.syncs.Pop())
		}
	case jute.PacketRevalidate:
		d := jute.NewDecoder(p.Data)
		id, valid := d.Int64(), d.Bool()
		c := r.revalidating[id]
		if d.Err() != nil || c == nil {
			return
		}
		delete(r.revalidating, id)
		r.attach(c, valid)
	}
}

// liveSessions lists the ensemble's sessions from whose clients something came since the
// last ping.
func (r *Replica) liveSessions() []byte {
	var live []int64
	for id, c := range r.attached {
		if !r.isLocal(id) && c.touched.Swap(false) {
			live = append(live, id)
		}
	}
	slices.Sort(live)
	data := make([]byte, 0, 12*len(live))
	for _, id := range live {
		data = jute.AppendInt32(jute.AppendInt64(data, id), r.attached[id].timeoutMs)
	}
	return data
}
