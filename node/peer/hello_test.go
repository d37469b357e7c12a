package peer

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"testing"

	"zoolab/internal/certs"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// TestWhoMakesRoom: whose connection is closed for the next one, where some hosts (in capitals)
// are known by their certificates.
func TestWhoMakesRoom(t *testing.T) {
	for _, test := range []struct {
		hosts string // a letter for each connection, oldest first
		want  int
	}{
		{"abbc", 1},
		{"abcabc", 0},
		{"abbcccc", 3},
		{"AAAbc", 3},
		{"AAAbcc", 4},
		{"AABBB", 2},
		{strings.Repeat("A", 40) + "b", 0}, // strangers at a member's address
	} {
		transport := silent(nil)
		transport.places, transport.trusted = make(map[string]int), make(map[string]bool)
		for _, host := range test.hosts {
			transport.hellos = append(transport.hellos, &unproven{host: string(host)})
			transport.places[string(host)]++
			transport.trusted[string(host)] = host < 'a'
		}
		if got := transport.mostCrowded(); got != test.want {
			t.Errorf("%s: number %d makes room, want %d", test.hosts, got, test.want)
		}
	}
}

// TestTrustIsKept: a host that is trusted again is no reason to forget the others.
func TestTrustIsKept(t *testing.T) {
	m := start(t, config(1, addresses(t, 1)))
	eventually(t, "its own host is known", func() bool { return m.isTrusted("127.0.0.1") })
	for i := range maxTrusted - 1 {
		m.trust(fmt.Sprintf("10.0.0.%d", i))
	}
	m.trust("10.0.0.0")
	if n := len(m.trusted); n != maxTrusted {
		t.Errorf("%d hosts are trusted, want %d", n, maxTrusted)
	}
}

// TestMembersWaitForNoStranger: while strangers' handshakes have their turns without end, those of
// a host are computed that is configured, whoever called before.
func TestMembersWaitForNoStranger(t *testing.T) {
	ca := authority(t)
	one, two := pair(t, secured(t, localhost, ca, ca, nil), secured(t, localhost, ca, ca, nil))
	for _, m := range []*member{one, two} {
		for _, begun := range []bool{false, true} {
			if err := m.turns.take(t.Context(), lane{begun: begun}, "127.0.0.9"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, m := range []*member{one, two} {
		eventually(t, "the peer's host is known", func() bool { return m.isTrusted("127.0.0.1") })
	}
	requireTalk(t, one, two)
}

// TestHostsOfMembers: addresses are known as connections show them, however they are written.
func TestHostsOfMembers(t *testing.T) {
	all := addresses(t, 1)
	for i, host := range []string{"[2001:DB8:0:0:0:0:0:1]", "[::ffff:192.0.2.1]", "192.0.2.2"} {
		all[int64(i+2)] = Address{Quorum: []string{host + ":1"}, Election: []string{host + ":2"}}
	}
	m := start(t, config(1, all))
	for _, host := range []string{"127.0.0.1", "2001:db8::1", "192.0.2.1", "192.0.2.2"} {
		eventually(t, "known is "+host, func() bool { return m.isTrusted(host) })
	}
}

// TestWhereStrangersListen: to say where one can be called makes nobody a member.
func TestWhereStrangersListen(t *testing.T) {
	all := addresses(t, 1)
	cfg := config(2, map[int64]Address{2: all[1]})
	cfg.AcceptStrangers = true
	m := start(t, cfg)
	c := dialFrom(t, "127.0.0.9", all[1].Election[0])
	if _, err := c.Write(hello(jute.ElectionProtocolV1, 1, "127.0.0.9:1")); err != nil {
		t.Fatal(err)
	}
	m.await("a call of it", func(in []zab.Input) bool { return slices.Contains(in, zab.Input(zab.VoterUnreachable{SID: 1})) })
	if m.isTrusted("127.0.0.9") {
		t.Error("its host is trusted")
	}
}

// newcomer is the host of a member that is not configured yet.
const newcomer = "127.0.0.7"

var newcomers = certs.Template{Subject: pkix.Name{CommonName: "newcomer"}, Hosts: []string{"127.0.0.1", newcomer}}

// requireTrust lets a newcomer with the certificate of a member call its quorum port.
func requireTrust(t *testing.T, m *member) {
	t.Helper()
	c := dialFrom(t, newcomer, m.cfg.Members[m.cfg.SID].Quorum[0])
	if err := tls.Client(c, m.cfg.Security.TLS.Client("127.0.0.1")).HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the newcomer is trusted", func() bool { return m.isTrusted(newcomer) })
}

// startSecured starts a member with the certificate of a newcomer.
func startSecured(t *testing.T, change func(*TLS)) *member {
	t.Helper()
	ca := authority(t)
	cfg := config(1, addresses(t, 1))
	cfg.Security = secured(t, newcomers, ca, ca, change)
	return start(t, cfg)
}

// TestDawdlersHoldNoTurn: hosts that stop at some point of their handshakes keep no other
// stranger's from being computed.
func TestDawdlersHoldNoTurn(t *testing.T) {
	m := startSecured(t, nil)
	hello, err := certs.ClientHello()
	if err != nil {
		t.Fatal(err)
	}
	for i, says := range [][]byte{hello[:1], hello[:5], hello[:len(hello)-1], hello, append(slices.Clone(hello), handshakeRecord, 3, 3)} {
		for _, port := range []string{m.cfg.Members[1].Quorum[0], m.cfg.Members[1].Election[0]} {
			c := dialFrom(t, fmt.Sprintf("127.0.1.%d", i+1), port)
			if _, err := c.Write(says); err != nil {
				t.Fatal(err)
			}
			if len(says) < len(hello) {
				continue
			}
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatalf("a hello is not answered: %v", err)
			}
		}
	}
	requireTrust(t, m)
}

// TestShutdownRefusesNobody: who is not done when a member stops is no news, also where it waits
// for its turn.
func TestShutdownRefusesNobody(t *testing.T) {
	m := startSecured(t, nil)
	if err := m.turns.take(t.Context(), lane{}, "127.0.0.9"); err != nil {
		t.Fatal(err)
	}
	hello, err := certs.ClientHello()
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{m.cfg.Members[1].Quorum[0], m.cfg.Members[1].Election[0]} {
		dialFrom(t, newcomer, port)
		if _, err := dialFrom(t, newcomer, port).Write(hello); err != nil {
			t.Fatal(err)
		}
	}
	waiting := func() (n int) {
		m.turns.mu.Lock()
		defer m.turns.mu.Unlock()
		for _, host := range m.turns.lanes[lane{}] {
			n += len(host.turns)
		}
		return n
	}
	eventually(t, "two wait for their turns", func() bool { return waiting() == 2 })
	m.shutdownSoon()
	if lines := m.log.lines(); len(lines) != 0 {
		t.Errorf("the log says:\n%s", strings.Join(lines, "\n"))
	}
	if n := waiting(); n != 0 {
		t.Errorf("%d still wait for their turns", n)
	}
}

// TestAnsweredHandshakesGoOn: of many that begin and leave, who was answered waits for none.
func TestAnsweredHandshakesGoOn(t *testing.T) {
	var m *member
	m = startSecured(t, func(s *TLS) {
		client := s.Client
		s.Client = func(host string) *tls.Config {
			config := client(host)
			own := config.Certificates[0]
			config.Certificates = nil
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &own, m.turns.take(t.Context(), lane{}, "127.0.0.9")
			}
			return config
		}
	})
	requireTrust(t, m)
}

// TestSlowChecksHoldNoTurn: to check a certificate may be to ask a name service that does not
// answer, for which no other host waits.
func TestSlowChecksHoldNoTurn(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	m := startSecured(t, func(s *TLS) {
		choose := s.Server.GetConfigForClient
		s.Server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			config, err := choose(hello)
			if err == nil && hostOf(hello.Conn) == "127.0.0.9" {
				config.VerifyConnection = func(tls.ConnectionState) error {
					close(asked)
					<-answer
					return nil
				}
			}
			return config, err
		}
	})
	t.Cleanup(func() { close(answer) }) // before the member is shut down, which waits for it
	caller := tls.Client(dialFrom(t, "127.0.0.9", m.cfg.Members[1].Quorum[0]), m.cfg.Security.TLS.Client("127.0.0.1"))
	if err := caller.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-asked
	requireTrust(t, m)
}
