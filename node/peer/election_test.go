package peer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// electionConn returns a member's connection to a peer, nil while there is none.
func (m *member) electionConn(peer int64) net.Conn {
	p := m.election[peer]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn
}

func TestTheLargerSidKeepsItsConnection(t *testing.T) {
	all := addresses(t, 2)
	one, two := start(t, config(1, all)), start(t, config(2, all))
	// The smaller one speaks first: its call only asks to be called.
	one.SendNotification(2, vote(11))
	two.await("the vote of 1", func(in []zab.Input) bool { return slices.Contains(votes(in, 1), 11) })
	two.SendNotification(1, vote(22))
	one.await("the vote of 2", func(in []zab.Input) bool { return slices.Contains(votes(in, 2), 22) })
	if c := two.electionConn(1); c == nil || c.RemoteAddr().String() != all[1].Election[0] {
		t.Errorf("member 2 talks on %v, want a connection that it opened itself", c)
	}
	if lines := append(one.log.lines(), two.log.lines()...); len(lines) != 0 {
		t.Errorf("a normal start is no news, but the log says:\n%s", strings.Join(lines, "\n"))
	}
}

func TestOnlyTheNewestVoteIsKept(t *testing.T) {
	all := addresses(t, 2)
	two := start(t, config(2, all))
	for zxid := range int64(100) {
		two.SendNotification(1, vote(zxid))
	}
	one := start(t, config(1, all))
	inputs := one.await("the newest vote", func(in []zab.Input) bool { return slices.Contains(votes(in, 2), 99) })
	if got := votes(inputs, 2); len(got) != 1 {
		t.Errorf("votes %v came, want the newest alone", got)
	}
}

func TestUnreachableVoterIsReported(t *testing.T) {
	two := start(t, config(2, addresses(t, 2)))
	two.SendNotification(1, vote(1))
	two.await("that member 1 can't be reached", func(in []zab.Input) bool {
		return slices.Contains(in, zab.Input(zab.VoterUnreachable{SID: 1}))
	})
}

func TestVoteIsSentAgainAfterALoss(t *testing.T) {
	all := addresses(t, 2)
	one, two := start(t, config(1, all)), start(t, config(2, all))
	for _, m := range []*member{one, two} {
		peer := 3 - m.cfg.SID
		m.SendNotification(peer, vote(m.cfg.SID))
	}
	count := func(m *member, n int) {
		m.await("a vote", func(in []zab.Input) bool { return len(votes(in, 3-m.cfg.SID)) >= n })
	}
	count(one, 1)
	count(two, 1)
	for _, breaker := range []*member{one, two} {
		before1, before2 := len(votes(one.inputsNow(), 2)), len(votes(two.inputsNow(), 1))
		var c net.Conn
		eventually(t, "a connection", func() bool { c = breaker.electionConn(3 - breaker.cfg.SID); return c != nil })
		c.Close()
		count(one, before1+1)
		count(two, before2+1)
	}
}

func (m *member) inputsNow() []zab.Input {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.inputs)
}

// TestPeerThatReturnsIsReachedAtOnce: the pause between attempts has grown by then, but a
// call from the peer, or a new vote for it, ends the pause.
func TestPeerThatReturnsIsReachedAtOnce(t *testing.T) {
	const tries = 3 // on a machine that does much else
	for try := 1; ; try++ {
		all := addresses(t, 2)
		two := start(t, config(2, all))
		two.SendNotification(1, vote(5))
		time.Sleep(redialMost + redialMost/2) // by now the pauses have their full length
		one := start(t, config(1, all))
		began := time.Now()
		one.SendNotification(2, vote(6))
		one.await("the vote of 2", func(in []zab.Input) bool { return slices.Contains(votes(in, 2), 5) })
		took := time.Since(began)
		if took < redialMost/2 {
			return
		}
		if try == tries {
			t.Fatalf("it took %v to be called back", took)
		}
	}
}

// TestDialingGoesOnAfterALoss: a connection may be lost before the call that opened it is
// over, when nobody else can begin to call. (How often that happens depends on the machine:
// TestRefusedPeerIsCalledRarely meets it now and then.)
func TestDialingGoesOnAfterALoss(t *testing.T) {
	transport := silent(nil)
	transport.cfg.SID = 2
	held, _ := net.Pipe()
	for _, test := range []struct {
		name string
		p    *electionPeer
		over bool
	}{
		{"connected", &electionPeer{sid: 1, conn: held}, true},
		{"lost already", &electionPeer{sid: 1}, false},
		{"asked to be called", &electionPeer{sid: 3}, true},
		{"shut down", &electionPeer{sid: 1, stopped: true}, true},
	} {
		test.p.t, test.p.dialing = transport, true
		if over := test.p.connected(); over != test.over || test.p.dialing == test.over {
			t.Errorf("%s: over is %v, dialing is %v", test.name, over, test.p.dialing)
		}
	}
}

func TestCallBack(t *testing.T) {
	for name, message := range map[string][]byte{
		"one address":       hello(jute.ElectionProtocolV1, 1, "127.0.0.1:1"),
		"several addresses": hello(jute.ElectionProtocolV2, 1, "127.0.0.1:1|127.0.0.1:2"),
		"bare sid":          binary.BigEndian.AppendUint64(nil, 1),
	} {
		t.Run(name, func(t *testing.T) {
			all := addresses(t, 2)
			old, err := net.Listen("tcp", all[1].Election[0])
			if err != nil {
				t.Fatal(err)
			}
			defer old.Close()
			two := start(t, config(2, all))
			c := dialRaw(t, all[2].Election[0])
			if _, err := c.Write(message); err != nil {
				t.Fatal(err)
			}
			awaitEnd(t, c)
			_ = old.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
			back, err := old.Accept()
			if err != nil {
				t.Fatalf("member 2 did not call back: %v", err)
			}
			defer back.Close()
			_ = back.SetDeadline(time.Now().Add(patience))
			got, err := readInitialMessage(bufio.NewReader(back))
			want := jute.InitialMessage{ProtocolVersion: jute.ElectionProtocolV1, ServerID: 2, Addresses: all[2].Election[0]}
			if err != nil || got != want {
				t.Errorf("it said %+v (%v), want %+v", got, err, want)
			}
			if lines := two.log.lines(); len(lines) != 0 {
				t.Errorf("the log says:\n%s", strings.Join(lines, "\n"))
			}
		})
	}
}

func TestGarbageOnTheElectionPort(t *testing.T) {
	frame := func(size int32, body ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(hello(jute.ElectionProtocolV1, 3, ""), uint32(size)), body...)
	}
	garbage := map[string][]byte{
		"http":               []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"tls":                []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnop"),
		"zeros":              make([]byte, 8),
		"ones":               bytes.Repeat([]byte{0xff}, 64),
		"own sid":            hello(jute.ElectionProtocolV1, 2, "127.0.0.1:1"),
		"unknown sid":        hello(jute.ElectionProtocolV1, 99, "127.0.0.1:1"),
		"negative sid":       hello(jute.ElectionProtocolV1, -7, "127.0.0.1:1"),
		"version":            hello(-65534, 1, "127.0.0.1:1"),
		"long address":       hello(jute.ElectionProtocolV1, 1, strings.Repeat("a", 3000)),
		"negative address":   append(hello(jute.ElectionProtocolV1, 1, "")[:16], 0x80, 0, 0, 0),
		"half a hello":       hello(jute.ElectionProtocolV1, 1, "127.0.0.1:1")[:13],
		"negative frame":     frame(-1),
		"empty frame":        frame(0),
		"huge frame":         frame(1 << 30),
		"short notification": frame(3, 1, 2, 3),
		"no member state":    frame(28, bytes.Repeat([]byte{0x11}, 28)...),
	}
	for name, message := range garbage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := addresses(t, 3)
			cfg := config(2, all)
			cfg.StallTimeout = helloTimeout
			two, one := start(t, cfg), start(t, config(1, all))
			c := dialRaw(t, all[2].Election[0])
			if _, err := c.Write(message); err != nil {
				t.Fatal(err)
			}
			awaitEnd(t, c)
			eventually(t, "one line in the log", func() bool { return len(two.log.lines()) == 1 })
			two.SendNotification(1, vote(4))
			one.await("a vote, as if nothing had been", func(in []zab.Input) bool { return len(votes(in, 2)) == 1 })
			if lines := two.log.lines(); len(lines) != 1 {
				t.Errorf("%d lines in the log, want 1:\n%s", len(lines), strings.Join(lines, "\n"))
			}
		})
	}
}

// TestShutdownDuringCalls looks for connections that a shutdown forgets.
func TestShutdownDuringCalls(t *testing.T) {
	for range 20 {
		all := addresses(t, 2)
		one, two := start(t, config(1, all)), start(t, config(2, all))
		go func() {
			for range 20 {
				c, err := net.Dial("tcp", all[2].Quorum[0])
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = c.Write(followerInfo())
			}
		}()
		one.SendNotification(2, vote(1))
		two.SendNotification(1, vote(1))
		one.Dial(1, 2, false)
		time.Sleep(time.Millisecond)
		two.shutdownSoon()
		one.shutdownSoon()
	}
}
