package peer

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// second gives a member one more address, on another network.
func second(t *testing.T, members map[int64]Address, sid int64, host string) {
	t.Helper()
	move := func(address string) string {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		return net.JoinHostPort(host, port)
	}
	a := members[sid]
	a.Quorum, a.Election = append(a.Quorum, move(a.Quorum[0])), append(a.Election, move(a.Election[0]))
	members[sid] = a
}

// TestSeveralAddresses: a member listens on all of its addresses, tells all of them, and is
// reached while one of them works, whichever that is.
func TestSeveralAddresses(t *testing.T) {
	for _, test := range []struct {
		name    string
		working int
	}{{"the first works", 0}, {"the second works", 1}} {
		t.Run(test.name, func(t *testing.T) {
			all := addresses(t, 2)
			for sid := range int64(2) {
				second(t, all, sid+1, "127.0.0.2")
			}
			// Each takes the other's addresses for such that only one of works: as when the
			// network between the others is down.
			cut := func(cfg Config, peer int64) Config {
				cfg.MultiAddress = true
				cfg.Members = maps.Clone(all)
				a := cfg.Members[peer]
				a.Quorum, a.Election = slices.Clone(a.Quorum), slices.Clone(a.Election)
				a.Quorum[1-test.working], a.Election[1-test.working] = "127.0.0.1:1", "127.0.0.1:1"
				cfg.Members[peer] = a
				return cfg
			}
			one, two := start(t, cut(config(1, all), 2)), start(t, cut(config(2, all), 1))
			requireTalk(t, one, two)
			if lines := append(one.log.lines(), two.log.lines()...); len(lines) != 0 {
				t.Errorf("the log says:\n%s", strings.Join(lines, "\n"))
			}
		})
	}
}

func TestInitialMessageHasAllAddresses(t *testing.T) {
	all := addresses(t, 2)
	second(t, all, 2, "127.0.0.2")
	peer, err := net.Listen("tcp", all[1].Election[0])
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	cfg := config(2, all)
	cfg.MultiAddress = true
	start(t, cfg).SendNotification(1, vote(1))
	_ = peer.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := peer.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	got, err := readInitialMessage(bufio.NewReader(c))
	want := jute.InitialMessage{ProtocolVersion: jute.ElectionProtocolV2, ServerID: 2, Addresses: strings.Join(all[2].Election, "|")}
	if err != nil || got != want {
		t.Errorf("it said %+v (%v), want %+v", got, err, want)
	}
}

// TestDeadPathIsGivenUpSoon: on an election connection to a member with another address the
// kernel waits only as long as ReachableTimeout for an acknowledgement, with TLS or without.
func TestDeadPathIsGivenUpSoon(t *testing.T) {
	ca := authority(t)
	for name, security := range map[string]Security{"plain": {}, "TLS": secured(t, localhost, ca, ca, nil)} {
		t.Run(name, func(t *testing.T) {
			all := addresses(t, 2)
			second(t, all, 1, "127.0.0.2")
			var members []*member
			for sid := range int64(2) {
				cfg := config(sid+1, all)
				cfg.ReachableTimeout, cfg.Security = 700*time.Millisecond, security
				members = append(members, start(t, cfg))
			}
			members[1].SendNotification(1, vote(3))
			members[0].await("the vote of 2", func(in []zab.Input) bool { return len(votes(in, 2)) > 0 })
			for sid, want := range map[int64]int{2: 700, 1: int(config(1, all).StallTimeout.Milliseconds())} {
				if got := userTimeoutMs(t, members[sid-1].electionConn(3-sid)); got != want {
					t.Errorf("member %d waits %d ms for an acknowledgement, want %d", sid, got, want)
				}
			}
		})
	}
}

// TestCallEndsALongAttempt: a member that was not there when it was called, and of which one
// address is cut off, is called back as soon as it calls.
func TestCallEndsALongAttempt(t *testing.T) {
	all := addresses(t, 2)
	seen := maps.Clone(all)
	seen[1] = Address{Quorum: all[1].Quorum, Election: []string{cutOff(t), all[1].Election[0]}}
	cfg := config(2, seen)
	cfg.DialTimeout = time.Minute
	two := start(t, cfg)
	two.SendNotification(1, vote(5))
	time.Sleep(4 * longAttempt) // the attempt begins a while after it is asked for
	one := start(t, config(1, all))
	one.SendNotification(2, vote(6))
	one.await("the vote of 2", func(in []zab.Input) bool { return len(votes(in, 2)) > 0 })
}

// cutOff returns an address that answers nobody: its queue of connections is full.
func cutOff(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		t.Cleanup(func() { _ = unix.Close(fd) })
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
	for range 10 {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the queue of connections has no end")
	return ""
}

func userTimeoutMs(t *testing.T, c net.Conn) (ms int) {
	t.Helper()
	socket := socketOf(c)
	if socket == nil {
		t.Fatalf("a %T has no socket", c)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { ms, err = unix.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) })
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// TestNamesThatDoNotResolve: neither a peer's nor one's own keeps a member from starting and
// from talking to the others; each is said once.
func TestNamesThatDoNotResolve(t *testing.T) {
	all := addresses(t, 3)
	unresolved := Address{Quorum: []string{"nowhere.invalid:1"}, Election: []string{"nowhere.invalid:2"}}
	first, other := config(1, maps.Clone(all)), config(2, all)
	first.Members[3] = unresolved
	a := first.Members[1]
	a.Quorum, a.Election = append(a.Quorum, unresolved.Quorum...), append(a.Election, unresolved.Election...)
	first.Members[1] = a
	one, two := start(t, first), start(t, other)
	one.SendNotification(3, vote(1))
	eventually(t, "a line about member 3", func() bool { return mentions(one, "member=3", "nowhere.invalid") })
	requireTalk(t, one, two)
	eventually(t, "a line for each name and port", func() bool { return len(one.log.lines()) >= 3 })
	time.Sleep(3 * redialFirst)
	if lines := one.log.lines(); len(lines) != 3 || !mentions(one, "port=quorum", "own name") || !mentions(one, "port=election", "own name") {
		t.Errorf("the log has %d lines, want one for each name and port:\n%s", len(lines), strings.Join(lines, "\n"))
	}
}
