package peer

import (
	"strings"
	"testing"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// withMaster gives a member an observer master port.
func withMaster(t *testing.T, all map[int64]Address, sid int64) map[int64]Address {
	t.Helper()
	own := all[sid]
	own.Master = addresses(t, 1)[1].Quorum
	all[sid] = own
	return all
}

// TestObserverMasterPort lets an observer in, at a port of its own, and nobody else.
func TestObserverMasterPort(t *testing.T) {
	all := withMaster(t, addresses(t, 2), 1)
	cfg := config(1, all)
	cfg.StallTimeout = helloTimeout
	master, observer := start(t, cfg), start(t, config(2, all))
	garbage := map[string][]byte{"a follower": followerInfo()}
	for name, bytes := range quorumGarbage {
		garbage[name] = bytes
	}
	for name, bytes := range garbage {
		before := len(master.log.lines())
		c := dialRaw(t, all[1].Master[0])
		if _, err := c.Write(bytes); err != nil {
			t.Fatal(err)
		}
		awaitEnd(t, c)
		eventually(t, "one line in the log for "+name, func() bool { return len(master.log.lines()) == before+1 })
	}
	observer.Dial(1, 1, true)
	observer.await("the opened connection", func(in []zab.Input) bool { return len(in) > 0 })
	observer.Send(1, &jute.QuorumPacket{Type: jute.PacketObserverInfo, Data: make([]byte, 20)})
	observer.Flush()
	inputs := master.await("the observer", func(in []zab.Input) bool { return len(in) == 2 })
	opened, ok := inputs[0].(zab.ConnOpened)
	if !ok || !opened.Incoming || !opened.Master {
		t.Fatalf("the master's first input is %#v", inputs[0])
	}
	master.Send(opened.Conn, &jute.QuorumPacket{Type: jute.PacketInform, Zxid: 7})
	master.Flush()
	observer.await("the packet", func(in []zab.Input) bool { return len(in) == 2 })
	observer.Send(1, &jute.QuorumPacket{Type: jute.PacketRequest})
	observer.Flush()
	master.await("the request", func(in []zab.Input) bool { return len(in) == 3 })
	eventually(t, "nothing is queued", func() bool { told, ok := master.TrafficOf(opened.Conn); return !ok || told.QueuedPackets == 0 })
	told, ok := master.TrafficOf(opened.Conn)
	if !ok || told.Sent != 1 || told.Received != 1 || told.Requests != 1 || told.LastZxid != 7 || told.QueuedPackets != 0 {
		t.Errorf("the traffic is %+v", told)
	}
	master.ResetTraffic(opened.Conn)
	if told, _ := master.TrafficOf(opened.Conn); told.Sent+told.Received+told.Requests != 0 || told.LastZxid != -1 {
		t.Errorf("after a reset it is %+v", told)
	}
}

// TestObserverMasterMoves opens and closes the port as this member becomes a voter or not.
func TestObserverMasterMoves(t *testing.T) {
	all := addresses(t, 2)
	m, other := start(t, config(1, all)), start(t, config(2, all))
	other.Dial(1, 1, true)
	inputs := other.await("the failure", func(in []zab.Input) bool { return len(in) == 1 })
	if c, ok := inputs[0].(zab.ConnClosed); !ok || !strings.Contains(c.Reason, "no observer master port") {
		t.Fatalf("%#v", inputs[0])
	}
	voting := withMaster(t, all, 1)
	m.Update(voting)
	other.Update(voting)
	eventually(t, "the port is open", func() bool {
		before := len(other.await("", func([]zab.Input) bool { return true }))
		other.Dial(zab.ConnID(2*before+1), 1, true)
		after := other.await("the outcome", func(in []zab.Input) bool { return len(in) > before })
		_, opened := after[before].(zab.ConnOpened)
		return opened
	})
}
