package zab

import (
	"testing"

	"zoolab/zk/jute"
)

// BenchmarkLeader is the cost of one transaction on an established leader of five: a
// proposal to four learners, their acknowledgements, its own, the commit.
func BenchmarkLeader(b *testing.B) {
	w := newWorld(5, 500)
	for _, n := range w.nodes {
		n.start()
	}
	for w.leader() == nil || w.leader().core.SyncedFollowers() < 4 {
		if next := w.sources(nil); len(next) > 0 {
			w.happen(next[0], fixedRand())
		} else {
			w.advance(10)
		}
	}
	c := w.leader().core
	var conns []ConnID
	for _, l := range c.learners {
		conns = append(conns, l.conn)
	}
	payload := make([]byte, 1024)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		zxid, _ := c.NextZxid()
		c.Step(w.nowMs, Propose{Entry{Zxid: zxid, Payload: payload}})
		c.Step(w.nowMs, DiskDone{Seq: c.lastSeq})
		for _, conn := range conns {
			c.Step(w.nowMs, PacketReceived{Conn: conn, Packet: jute.QuorumPacket{Type: jute.PacketAck, Zxid: zxid}})
		}
	}
	if c.Outstanding() != 0 {
		b.Fatal("not committed")
	}
}
