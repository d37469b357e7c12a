package replica

import (
	"slices"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

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

// liveSessions lists the sessions from whose clients something came since the last ping.
func (r *Replica) liveSessions() []byte {
	var live []int64
	for id, c := range r.local {
		if c.touched.Swap(false) {
			live = append(live, id)
		}
	}
	slices.Sort(live)
	data := make([]byte, 0, 12*len(live))
	for _, id := range live {
		data = jute.AppendInt32(jute.AppendInt64(data, id), r.local[id].timeoutMs)
	}
	return data
}
