package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// connect makes a learner's connection and returns its id on both sides.
func connect(t *testing.T, learner, leader *member) (atLearner, atLeader zab.ConnID) {
	t.Helper()
	atLearner = 1
	learner.Dial(atLearner, leader.cfg.SID, false)
	learner.await("the opened connection", func(in []zab.Input) bool { return len(in) > 0 })
	learner.Send(atLearner, &jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: make([]byte, 20)})
	learner.Flush()
	inputs := leader.await("the learner", func(in []zab.Input) bool { return len(in) >= 2 })
	opened, ok := inputs[0].(zab.ConnOpened)
	if !ok || !opened.Incoming || opened.Conn%2 != 0 {
		t.Fatalf("the leader's first input is %#v, want an incoming connection with an even id", inputs[0])
	}
	first, ok := inputs[1].(zab.PacketReceived)
	if !ok || first.Packet.Type != jute.PacketFollowerInfo {
		t.Fatalf("the leader's second input is %#v, want FOLLOWERINFO", inputs[1])
	}
	return atLearner, opened.Conn
}

func TestPacketsAndSnapshotKeepTheirOrder(t *testing.T) {
	all := addresses(t, 2)
	leader, learner := start(t, config(1, all)), start(t, config(2, all))
	atLearner, atLeader := connect(t, learner, leader)

	const before, after = 3000, 2000
	send := func(from, to int) {
		for i := from; i < to; i++ {
			leader.Send(atLeader, &jute.QuorumPacket{Type: jute.PacketProposal, Zxid: int64(i), Data: make([]byte, i%700)})
			if i%97 == 0 {
				leader.Flush()
			}
		}
	}
	send(0, before)
	leader.Send(atLeader, &jute.QuorumPacket{Type: jute.PacketSnap, Zxid: before})
	leader.SendSnapshot(atLeader, func(w io.Writer) error {
		for range snapshotBytes / 1024 {
			if _, err := w.Write(bytes.Repeat([]byte{'s'}, 1024)); err != nil {
				return err
			}
		}
		return nil
	})
	send(before+1, before+after)
	leader.Flush()
	leader.Close(atLeader, "done")

	inputs := learner.await("the end", func(in []zab.Input) bool { _, ok := closed(in, atLearner); return ok })[1:]
	want := int64(0)
	for i, in := range inputs[:len(inputs)-1] {
		if s, ok := in.(zab.SnapshotReceived); ok {
			if want != before+1 || s.Handle != snapshotBytes {
				t.Fatalf("the snapshot came before zxid %d with %v bytes of its own, want %d and %d", want, s.Handle, before+1, snapshotBytes)
			}
			continue
		}
		p, ok := in.(zab.PacketReceived)
		if !ok || p.Conn != atLearner || p.Packet.Zxid != want {
			t.Fatalf("input %d is %#v, want zxid %d", i, in, want)
		}
		want++
	}
	if want != before+after {
		t.Fatalf("%d packets came before the connection was closed, want %d", want, before+after)
	}
	if _, ok := inputs[len(inputs)-1].(zab.ConnClosed); !ok {
		t.Fatalf("the last input is %#v, want the end of the connection", inputs[len(inputs)-1])
	}
	for _, in := range leader.await("the leader's end", func(in []zab.Input) bool { _, ok := closed(in, atLeader); return ok }) {
		if c, ok := in.(zab.ConnClosed); ok && c.Reason != "done" {
			t.Errorf("the leader's connection ended with %q, want the reason of Close", c.Reason)
		}
	}
}

func TestSlowLearnerIsCutOff(t *testing.T) {
	cfg := config(1, addresses(t, 1))
	cfg.MaxQueuedBytes = 1 << 20
	leader := start(t, cfg)
	c := dialRaw(t, cfg.Members[1].Quorum[0])
	if _, err := c.Write(followerInfo()); err != nil {
		t.Fatal(err)
	}
	inputs := leader.await("the learner", func(in []zab.Input) bool { return len(in) == 2 })
	id := inputs[0].(zab.ConnOpened).Conn
	deadline := time.Now().Add(patience)
	for sentBytes := 0; ; sentBytes += 64 << 10 {
		leader.mu.Lock()
		reason, ended := closed(leader.inputs, id)
		leader.mu.Unlock()
		if ended {
			if !strings.Contains(reason, "wait for the peer") {
				t.Fatalf("the connection ended with %q, want the bound of the queue", reason)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a learner that reads nothing was sent %d bytes and not cut off", sentBytes)
		}
		leader.Send(id, &jute.QuorumPacket{Type: jute.PacketProposal, Data: make([]byte, 64<<10)})
		leader.Flush()
		time.Sleep(time.Millisecond)
	}
}

func TestStalledWriteIsGivenUp(t *testing.T) {
	cfg := config(1, addresses(t, 1))
	cfg.StallTimeout, cfg.MaxQueuedBytes = time.Second, 64<<20
	leader := start(t, cfg)
	c := dialRaw(t, cfg.Members[1].Quorum[0])
	if _, err := c.Write(followerInfo()); err != nil {
		t.Fatal(err)
	}
	id := leader.await("the learner", func(in []zab.Input) bool { return len(in) == 2 })[0].(zab.ConnOpened).Conn
	for range 32 {
		leader.Send(id, &jute.QuorumPacket{Type: jute.PacketProposal, Data: make([]byte, 1<<20)})
	}
	leader.Flush()
	inputs := leader.await("the end", func(in []zab.Input) bool { _, ok := closed(in, id); return ok })
	// The kernel has the same limit for what is not acknowledged, and may be first.
	if reason, _ := closed(inputs, id); !strings.Contains(reason, "write to ") && !strings.Contains(reason, "connection timed out") {
		t.Fatalf("the connection ended with %q, want a failed write", reason)
	}
}

func TestSnapshotForALostConnectionIsStillCalled(t *testing.T) {
	leader := start(t, config(1, addresses(t, 1)))
	called := make(chan error, 1)
	leader.SendSnapshot(42, func(w io.Writer) error {
		_, err := w.Write([]byte("tree"))
		called <- err
		return err
	})
	select {
	case err := <-called:
		if err == nil {
			t.Error("writing to a connection that does not exist succeeded")
		}
	case <-time.After(patience):
		t.Error("the stream function was not called, so its view stays open")
	}
}

func TestDialThatFails(t *testing.T) {
	all := addresses(t, 2)
	m := start(t, config(1, all))
	m.Dial(7, 2, false)
	inputs := m.await("the failure", func(in []zab.Input) bool { return len(in) == 1 })
	if c, ok := inputs[0].(zab.ConnClosed); !ok || c.Conn != 7 || c.Reason == "" {
		t.Fatalf("%#v, want the closed connection 7 with a reason", inputs[0])
	}
	m.Send(7, &jute.QuorumPacket{Type: jute.PacketAck}) // must not panic
	m.Flush()
}

// quorumGarbage is what others than learners may send to the quorum port.
var quorumGarbage = map[string][]byte{
	"http":              []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	"tls":               []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnop"),
	"zeros":             make([]byte, 64),
	"ones":              bytes.Repeat([]byte{0xff}, 64),
	"negative length":   append(followerInfo()[:12], 0x80, 0, 0, 0),
	"huge length":       append(followerInfo()[:12], 0x7f, 0xff, 0xff, 0xff),
	"half a packet":     followerInfo()[:17],
	"a client":          append([]byte{0, 0, 0, 45}, make([]byte, 45)...),
	"a follower's vote": hello(jute.ElectionProtocolV1, 2, "127.0.0.1:1"),
	"another packet":    jute.Marshal(&jute.QuorumPacket{Type: jute.PacketAck}),
	"million ids":       append(followerInfo()[:12+4+20], 0, 0x0f, 0xff, 0xff),
}

func TestGarbageOnTheQuorumPort(t *testing.T) {
	for name, bytes := range quorumGarbage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := addresses(t, 2)
			cfg := config(1, all)
			cfg.StallTimeout = helloTimeout
			m := start(t, cfg)
			c := dialRaw(t, all[1].Quorum[0])
			if _, err := c.Write(bytes); err != nil {
				t.Fatal(err)
			}
			awaitEnd(t, c)
			eventually(t, "one line in the log", func() bool { return len(m.log.lines()) == 1 })
			connect(t, start(t, config(2, all)), m)
			if lines := m.log.lines(); len(lines) != 1 {
				t.Errorf("%d lines in the log, want 1:\n%s", len(lines), strings.Join(lines, "\n"))
			}
		})
	}
}

func TestSilentAndSlowConnectionsEnd(t *testing.T) {
	all := addresses(t, 1)
	cfg := config(1, all)
	cfg.StallTimeout = helloTimeout
	m := start(t, cfg)
	for _, address := range []string{all[1].Quorum[0], all[1].Election[0]} {
		silent, slow := dialRaw(t, address), dialFrom(t, "127.0.0.2", address)
		go func() {
			for _, err := slow.Write([]byte{0xff}); err == nil; _, err = slow.Write([]byte{0xff}) {
				time.Sleep(100 * time.Millisecond)
			}
		}()
		awaitEnd(t, silent)
		awaitEnd(t, slow)
	}
	eventually(t, "four lines in the log", func() bool { return len(m.log.lines()) == 4 })
}

func TestMalformedPacketsOfALearner(t *testing.T) {
	for name, packet := range map[string][]byte{
		"unknown type":            jute.Marshal(&jute.QuorumPacket{Type: 77}),
		"snapshot from a learner": jute.Marshal(&jute.QuorumPacket{Type: jute.PacketSnap}),
		"huge":                    append(followerInfo()[:12], 0x7f, 0xff, 0xff, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			all := addresses(t, 1)
			m := start(t, config(1, all))
			c := dialRaw(t, all[1].Quorum[0])
			good := jute.Marshal(&jute.QuorumPacket{Type: jute.PacketAck, Zxid: 9})
			if _, err := c.Write(append(append(followerInfo(), good...), packet...)); err != nil {
				t.Fatal(err)
			}
			inputs := m.await("the end", func(in []zab.Input) bool { return len(in) == 4 })
			if p, ok := inputs[2].(zab.PacketReceived); !ok || p.Packet.Zxid != 9 {
				t.Errorf("what stood before the malformed packet came as %#v", inputs[2])
			}
			if _, ok := inputs[3].(zab.ConnClosed); !ok {
				t.Errorf("%#v, want the end of the connection", inputs[3])
			}
			eventually(t, "a line in the log", func() bool { return len(m.log.lines()) > 0 })
			if lines := m.log.lines(); len(lines) != 1 {
				t.Errorf("%d lines in the log, want 1:\n%s", len(lines), strings.Join(lines, "\n"))
			}
		})
	}
}

func TestTooManyStrangers(t *testing.T) {
	all := addresses(t, 1)
	cfg := config(1, all)
	cfg.StallTimeout = time.Hour
	m := start(t, cfg)
	for i := range maxHellos {
		dialFrom(t, fmt.Sprintf("127.0.1.%d", i%8+1), all[1].Quorum[0])
	}
	eventually(t, "all strangers are counted", func() bool {
		m.Transport.mu.Lock()
		defer m.Transport.mu.Unlock()
		return len(m.hellos) == maxHellos
	})
	m.Transport.mu.Lock()
	first := m.hellos[0].RemoteAddr().String() // whichever was accepted first
	m.Transport.mu.Unlock()
	dialFrom(t, "127.0.1.9", all[1].Election[0])
	eventually(t, "a line in the log", func() bool { return len(m.log.lines()) == 1 })
	if line := m.log.lines()[0]; !strings.Contains(line, errMadeRoom.Error()) || !strings.Contains(line, first) {
		t.Errorf("the log says %s, want the end of %s", line, first)
	}
}

// TestOneHostCallsWithoutEnd: it takes no place from another.
func TestOneHostCallsWithoutEnd(t *testing.T) {
	all := addresses(t, 1)
	cfg := config(1, all)
	cfg.StallTimeout = time.Hour
	m := start(t, cfg)
	patient := dialFrom(t, "127.0.0.7", all[1].Election[0])
	for range maxHellos + 10 {
		dialRaw(t, all[1].Quorum[0])
	}
	eventually(t, "a line in the log", func() bool { return len(m.log.lines()) > 0 })
	eventually(t, "only so many are kept", func() bool {
		m.Transport.mu.Lock()
		defer m.Transport.mu.Unlock()
		return len(m.hellos) == maxHellos
	})
	if _, err := patient.Write([]byte("GET ")); err != nil {
		t.Fatal(err)
	}
	_ = patient.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := patient.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection of another host ended: %v", err)
	}
}

func TestPortInUseIsAnError(t *testing.T) {
	all := addresses(t, 1)
	start(t, config(1, all))
	_, err := Listen(config(1, all), Hooks{}, nil)
	if err == nil || !strings.Contains(err.Error(), "quorum port of member 1") || errors.Unwrap(err) == nil {
		t.Fatalf("got %v, want an error that names the port and wraps the cause", err)
	}
}
