package peer

import (
	"crypto/tls"
	"fmt"
	"slices"
	"testing"

	"zoolab/internal/certs"
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

// TestMembersWaitForNoStranger: while strangers' handshakes have their turns without end, those of
// a host are computed whose certificate was trusted before, whoever called then.
func TestMembersWaitForNoStranger(t *testing.T) {
	ca := authority(t)
	one, two := pair(t, secured(t, localhost, ca, ca, nil), secured(t, localhost, ca, ca, nil))
	const call = 7
	one.Dial(call, 2, false)
	for _, m := range []*member{one, two} {
		eventually(t, "the peer's host is known", func() bool { return m.laneOf("127.0.0.1").member != "" })
	}
	for _, m := range []*member{one, two} {
		for _, begun := range []bool{false, true} {
			if err := m.turns.take(t.Context(), lane{begun: begun}, "127.0.0.9"); err != nil {
				t.Fatal(err)
			}
		}
	}
	requireTalk(t, one, two)
}

// TestDawdlersHoldNoTurn: hosts that stop at some point of their handshakes keep no other
// stranger's from being computed.
func TestDawdlersHoldNoTurn(t *testing.T) {
	ca := authority(t)
	one, two := pair(t, secured(t, localhost, ca, ca, nil), secured(t, localhost, ca, ca, nil))
	hello, err := certs.ClientHello()
	if err != nil {
		t.Fatal(err)
	}
	for i, says := range [][]byte{hello[:1], hello[:5], hello[:len(hello)-1], hello, append(slices.Clone(hello), handshakeRecord, 3, 3)} {
		for _, port := range []string{two.cfg.Members[2].Quorum[0], two.cfg.Members[2].Election[0]} {
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
	requireTalk(t, one, two)
}

// TestAnsweredHandshakesGoOn: of many that begin and leave, who was answered waits for none.
func TestAnsweredHandshakesGoOn(t *testing.T) {
	ca := authority(t)
	cfg := config(1, addresses(t, 1))
	cfg.Security = secured(t, localhost, ca, ca, nil)
	m := start(t, cfg)
	client := cfg.Security.TLS.Client("127.0.0.1")
	own := client.Certificates[0]
	client.Certificates = nil
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &own, m.turns.take(t.Context(), lane{}, "127.0.0.9")
	}
	if err := tls.Client(dialRaw(t, cfg.Members[1].Quorum[0]), client).HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the certificate is trusted", func() bool { return m.laneOf("127.0.0.1").member != "" })
}

// TestSlowChecksHoldNoTurn: to check a certificate may be to ask a name service that does not
// answer, for which no other host waits.
func TestSlowChecksHoldNoTurn(t *testing.T) {
	ca := authority(t)
	slow := secured(t, localhost, ca, ca, nil)
	choose := slow.TLS.Server.GetConfigForClient
	asked, answer := make(chan struct{}), make(chan struct{})
	slow.TLS.Server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		config, err := choose(hello)
		if host := hostOf(hello.Conn); err == nil && host != "127.0.0.1" {
			config.VerifyConnection = func(tls.ConnectionState) error {
				close(asked)
				<-answer
				return nil
			}
		}
		return config, err
	}
	one, two := pair(t, secured(t, localhost, ca, ca, nil), slow)
	defer close(answer)
	caller := tls.Client(dialFrom(t, "127.0.0.9", two.cfg.Members[2].Quorum[0]), one.cfg.Security.TLS.Client("127.0.0.1"))
	if err := caller.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-asked
	requireTalk(t, one, two)
}
