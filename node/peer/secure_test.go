package peer

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/internal/certs"
	"zoolab/node/zab"
	"zoolab/zk/jute"
	"zoolab/zk/tlsconf"
)

// authority is a new certificate authority.
func authority(t *testing.T) *certs.Cert {
	t.Helper()
	ca, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: "CA of " + t.Name()}, CA: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// secured is how a member encrypts whose certificate the template describes, and who trusts
// the authority.
func secured(t *testing.T, template certs.Template, issuer, trusted *certs.Cert, change func(*TLS)) Security {
	t.Helper()
	cert, err := certs.New(template, issuer)
	if err != nil {
		t.Fatal(err)
	}
	key, err := cert.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stores, err := tlsconf.Open(tlsconf.Settings{
		Prefix: "ssl.quorum.", VerifyClientHostname: true,
		KeyStore: tlsconf.Store{Path: write("key.pem", key)}, TrustStore: tlsconf.Store{Path: write("trust.pem", certs.TrustPEM(trusted.Leaf))},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &TLS{Server: stores.Server(), Client: stores.Client, Dial: true, Detection: tlsconf.DefaultHandshakeDetection}
	if change != nil {
		change(s)
	}
	return Security{TLS: s}
}

var localhost = certs.Template{Subject: pkix.Name{CommonName: "member"}, Hosts: []string{"127.0.0.1"}}

func saslSecurity(password string, prove, require bool) Security {
	return Security{SASL: &SASL{User: "member", Password: password, Users: map[string]string{"member": "secret"}, Prove: prove, Require: require}}
}

// pair starts two members with the given protections; the first has the smaller sid.
func pair(t *testing.T, a, b Security) (one, two *member) {
	t.Helper()
	all := addresses(t, 2)
	first, second := config(1, all), config(2, all)
	first.Security, second.Security = a, b
	return start(t, first), start(t, second)
}

// requireTalk lets both members call each other on both ports, and packets flow both ways.
func requireTalk(t *testing.T, one, two *member) {
	t.Helper()
	one.SendNotification(2, vote(11))
	two.await("the vote of 1", func(in []zab.Input) bool { return slices.Contains(votes(in, 1), 11) })
	two.SendNotification(1, vote(22))
	one.await("the vote of 2", func(in []zab.Input) bool { return slices.Contains(votes(in, 2), 22) })
	for _, call := range []struct{ learner, leader *member }{{one, two}, {two, one}} {
		call.learner.Dial(1, call.leader.cfg.SID, false)
		call.learner.await("the connection to the leader", func(in []zab.Input) bool { return slices.Contains(in, zab.Input(zab.ConnOpened{Conn: 1})) })
		call.learner.Send(1, &jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: make([]byte, 20)})
		call.learner.Flush()
		id := incoming(call.leader.await("the learner", func(in []zab.Input) bool { return incoming(in) != 0 }))
		call.leader.Send(id, &jute.QuorumPacket{Type: jute.PacketLeaderInfo, Zxid: 7, Data: make([]byte, 300<<10)})
		call.leader.Flush()
		call.learner.await("the leader's packet", func(in []zab.Input) bool {
			return slices.ContainsFunc(in, func(i zab.Input) bool { p, ok := i.(zab.PacketReceived); return ok && p.Packet.Zxid == 7 })
		})
	}
}

func incoming(inputs []zab.Input) zab.ConnID {
	for _, in := range inputs {
		if o, ok := in.(zab.ConnOpened); ok && o.Incoming {
			return o.Conn
		}
	}
	return 0
}

// TestMembersThatUnderstandEachOther has the states that follow each other when an ensemble
// is switched to TLS or to SASL in rolling restarts, with the neighbours of each.
func TestMembersThatUnderstandEachOther(t *testing.T) {
	ca := authority(t)
	encrypted := func(dial, acceptPlain bool) Security {
		return secured(t, localhost, ca, ca, func(s *TLS) { s.Dial, s.AcceptPlain = dial, acceptPlain })
	}
	plain, unified, switching, only := Security{}, encrypted(false, true), encrypted(true, true), encrypted(true, false)
	both := encrypted(true, false)
	both.SASL = saslSecurity("secret", true, true).SASL
	checks, proves, requires := saslSecurity("secret", false, false), saslSecurity("secret", true, false), saslSecurity("secret", true, true)
	for name, members := range map[string][2]Security{
		"plain, unified":     {plain, unified},
		"unified":            {unified, unified},
		"unified, switching": {unified, switching},
		"switching":          {switching, switching},
		"switching, only":    {switching, only},
		"only":               {only, only},
		"checks":             {checks, checks},
		"plain, checks":      {plain, checks},
		"checks, proves":     {checks, proves},
		"proves, requires":   {proves, requires},
		"requires":           {requires, requires},
		"TLS and SASL":       {both, both},
	} {
		for order, m := range map[string][2]Security{"": members, " reversed": {members[1], members[0]}} {
			t.Run(name+order, func(t *testing.T) {
				t.Parallel()
				one, two := pair(t, m[0], m[1])
				requireTalk(t, one, two)
				if lines := append(one.log.lines(), two.log.lines()...); len(lines) != 0 {
					t.Errorf("nothing is wrong, but the log says:\n%s", strings.Join(lines, "\n"))
				}
			})
		}
	}
}

// TestMembersThatRefuseEachOther: who is not trusted gets nothing, and both sides' logs say
// why, also that of whoever did not do anything wrong.
func TestMembersThatRefuseEachOther(t *testing.T) {
	ca, foreign := authority(t), authority(t)
	good := secured(t, localhost, ca, ca, nil)
	template := func(change func(*certs.Template)) certs.Template {
		c := localhost
		change(&c)
		return c
	}
	requires := saslSecurity("secret", true, true)
	for name, test := range map[string]struct {
		intruder, member Security
		says             string // the member's log
		hears            string // why the intruder's connection to the quorum port ended
	}{
		"foreign authority": {secured(t, localhost, foreign, ca, nil), good, "certificate signed by unknown authority", "remote error: tls"},
		"expired": {secured(t, template(func(c *certs.Template) { c.NotAfter = time.Now().Add(-time.Hour) }), ca, ca, nil), good,
			"is valid from", "remote error: tls"},
		"another host": {secured(t, template(func(c *certs.Template) { c.Hosts = []string{"elsewhere.example"} }), ca, ca, nil), good,
			"127.0.0.1", "remote error: tls"},
		"member not trusted": {secured(t, localhost, ca, foreign, nil), good, "remote error: tls", "certificate signed by unknown authority"},
		"plain to TLS":       {Security{}, good, "it does not speak TLS, which this port wants", "the peer closed the connection"},
		"TLS to plain":       {good, Security{}, "it speaks TLS, but neither sslQuorum nor portUnification is set", "neither sslQuorum nor portUnification is set there"},
		"wrong password":     {saslSecurity("guess", true, true), requires, "the password is wrong", "refuses user"},
		"no proof":           {Security{}, requires, "quorum.auth.serverRequireSasl wants", "the peer closed the connection"},
		"proof to nobody":    {requires, Security{}, "quorum.auth.enableSasl is not set on this member", "is quorum.auth.enableSasl set there?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := pair(t, test.intruder, test.member)
			one.SendNotification(2, vote(11))
			eventually(t, "a line about the election port: "+test.says, func() bool {
				return mentions(two, "election", test.says) || mentions(one, "election", test.hears)
			})
			one.Dial(1, 2, false)
			one.Send(1, &jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: make([]byte, 20)})
			one.Flush()
			var reason string
			inputs := one.await("the end", func(in []zab.Input) bool {
				if slices.Contains(in, zab.Input(zab.ConnOpened{Conn: 1})) {
					one.Send(1, &jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: make([]byte, 20)})
					one.Flush()
				}
				why, ended := closed(in, 1)
				reason = why
				return ended
			})
			// Who is still sending when the other hangs up learns no more than that.
			hungUp := strings.Contains(reason, "connection reset") || strings.Contains(reason, "broken pipe")
			if !strings.Contains(reason, test.hears) && !hungUp {
				t.Errorf("the connection ended with %q, want %q", reason, test.hears)
			}
			eventually(t, "a line about the quorum port: "+test.says, func() bool { return mentions(two, "quorum", test.says) })
			if got := two.inputsNow(); len(got) != 0 || len(votes(inputs, 2)) != 0 {
				t.Errorf("something came through: %v", got)
			}
		})
	}
}

// TestRefusalsAreToldOnce: a member whose certificate has expired calls again and again, which
// is a line for each port at the one that refuses it, and one at itself.
func TestRefusalsAreToldOnce(t *testing.T) {
	ca := authority(t)
	expired := localhost
	expired.NotAfter = time.Now().Add(-time.Hour)
	one, two := pair(t, secured(t, expired, ca, ca, nil), secured(t, localhost, ca, ca, nil))
	count := func(m *member, text string) (n int) {
		for _, line := range m.log.lines() {
			if strings.Contains(line, text) {
				n++
			}
		}
		return n
	}
	calls := 0
	eventually(t, "refusals on both ports, after some calls", func() bool {
		two.SendNotification(1, vote(11))
		id := zab.ConnID(2*calls + 1)
		one.Dial(id, 2, false)
		one.Send(id, &jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: make([]byte, 20)})
		one.Flush()
		calls++
		one.await("the end of the call", func(in []zab.Input) bool { _, ended := closed(in, id); return ended })
		time.Sleep(100 * time.Millisecond)
		return calls >= 20 && count(two, "the quorum port") > 0 && count(two, "can't reach") > 0
	})
	if n := count(two, "the quorum port"); n != 1 {
		t.Errorf("%d lines about %d calls to the quorum port, want 1", n, calls)
	}
	if n := count(two, "can't reach"); n != 1 {
		t.Errorf("%d lines about calls of one's own, want 1", n)
	}
}

// TestWarningsAreBounded: strangers from everywhere fill no disk with what is said of them.
func TestWarningsAreBounded(t *testing.T) {
	m := start(t, config(1, addresses(t, 1)))
	for i := range 1000 {
		m.seldom(fmt.Sprint(i), "closed")
	}
	m.WarnRefused(1, "it lies")
	if n := len(m.log.lines()); n != maxWarned+1 || !mentions(m, "refused a peer", "it lies") {
		t.Errorf("%d lines of 1000 warnings at once and another one, want %d", n, maxWarned+1)
	}
	for key, at := range m.warned["closed"] {
		m.warned["closed"][key] = at.Add(-warnAgain)
	}
	m.seldom("later", "closed", "when", "later")
	if !mentions(m, "closed", "later") {
		t.Error("a minute later nothing is said")
	}
}

// mentions reports whether one line of a member's log has both texts.
func mentions(m *member, one, other string) bool {
	return slices.ContainsFunc(m.log.lines(), func(line string) bool {
		return strings.Contains(line, one) && strings.Contains(line, other)
	})
}

// TestCertificatesAreReplaced changes the authority and all certificates below members that
// run: their next connections use the new ones, and who has only an old one is refused.
func TestCertificatesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	keys, trusted := filepath.Join(dir, "key.pem"), filepath.Join(dir, "trust.pem")
	issue := func(ca *certs.Cert) {
		cert, err := certs.New(localhost, ca)
		if err != nil {
			t.Fatal(err)
		}
		content, err := cert.KeyPEM()
		if err := errors.Join(certs.Write(keys, content, err), certs.Write(trusted, certs.TrustPEM(ca.Leaf), nil)); err != nil {
			t.Fatal(err)
		}
	}
	old, fresh := authority(t), authority(t)
	issue(old)
	open := func() Security {
		stores, err := tlsconf.Open(tlsconf.Settings{Prefix: "ssl.quorum.", KeyStore: tlsconf.Store{Path: keys}, TrustStore: tlsconf.Store{Path: trusted}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return Security{TLS: &TLS{Server: stores.Server(), Client: stores.Client, Dial: true, Detection: tlsconf.DefaultHandshakeDetection}}
	}
	all := addresses(t, 3)
	var members []*member
	for sid := range int64(3) {
		cfg := config(sid+1, all)
		if cfg.Security = open(); sid == 2 {
			cfg.Security = secured(t, localhost, old, old, nil)
		}
		members = append(members, start(t, cfg))
	}
	one, two, three := members[0], members[1], members[2]
	three.SendNotification(1, vote(33))
	one.await("the vote of 3", func(in []zab.Input) bool { return slices.Contains(votes(in, 3), 33) })

	issue(fresh)
	time.Sleep(1100 * time.Millisecond) // stores are looked at once a second
	requireTalk(t, one, two)
	if got := two.electionConn(1).(sealed).ConnectionState().PeerCertificates[0].Issuer.String(); got != fresh.Leaf.Subject.String() {
		t.Errorf("the certificate is from %s", got)
	}
	var c net.Conn
	eventually(t, "a connection of member 3", func() bool { c = three.electionConn(1); return c != nil })
	c.Close()
	eventually(t, "the old certificate is refused", func() bool { return mentions(one, "election", "unknown authority") })
}

// TestStrangerMustAuthenticate: who is not a member, and where strangers may come to join,
// is not known, not called and takes no stranger's place before it has proven who it is.
func TestStrangerMustAuthenticate(t *testing.T) {
	all := addresses(t, 2)
	cfg := config(2, all)
	cfg.AcceptStrangers, cfg.Security = true, saslSecurity("secret", true, true)
	two := start(t, cfg)
	known := func() bool { return two.peer(1<<40) != nil }
	c := dialRaw(t, all[2].Election[0])
	if _, err := c.Write(append(hello(jute.ElectionProtocolV1, 1<<40, all[1].Election[0]), make([]byte, 32)...)); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, c)
	if known() {
		t.Error("a stranger without a proof is known")
	}
	stranger := config(1<<40, map[int64]Address{1 << 40: all[1], 2: all[2]})
	stranger.Security = cfg.Security
	start(t, stranger).SendNotification(2, vote(5))
	two.await("its vote", func(in []zab.Input) bool { return len(votes(in, 1<<40)) == 1 })
}

// TestPortMovedBeforeItsNameResolves: the address of before is not opened when its name
// appears at last.
func TestPortMovedBeforeItsNameResolves(t *testing.T) {
	all := addresses(t, 1)
	cfg := config(1, map[int64]Address{1: {Quorum: []string{"nowhere.invalid:1"}, Election: all[1].Election}})
	m := start(t, cfg)
	m.Update(all)
	eventually(t, "the port at its new address", func() bool {
		c, err := net.Dial("tcp", all[1].Quorum[0])
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	if err := m.bind("quorum", "127.0.0.1:0", 0, func(*unproven) {}); !errors.Is(err, errPortClosed) {
		t.Errorf("what waited for the name got %v", err)
	}
}

// TestRefusedPeerIsCalledRarely: neither log fills up while a certificate is wrong.
func TestRefusedPeerIsCalledRarely(t *testing.T) {
	ca, foreign := authority(t), authority(t)
	good, bad := secured(t, localhost, ca, ca, nil), secured(t, localhost, foreign, ca, nil)
	_, two := pair(t, good, bad) // the larger sid keeps its connection, and learns of its end only later
	two.SendNotification(1, vote(1))
	p := two.election[1]
	eventually(t, "a pause that grows", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.pause >= 4*redialFirst
	})
	// Whoever is still sending when the other hangs up may not hear why; a later call tells.
	eventually(t, "a line in the log", func() bool { return len(two.log.lines()) > 0 })
	if lines := two.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "the peer refuses this member's TLS") {
		t.Errorf("the refused member's log has %d lines, want one with the reason:\n%s", len(lines), strings.Join(lines, "\n"))
	}
}

// TestPatience: how long a caller of the election port may take is not what a caller of the
// quorum port may; and how often a taken port is tried.
func TestPatience(t *testing.T) {
	cfg := config(1, addresses(t, 1))
	cfg.StallTimeout, cfg.ElectionHelloTimeout = time.Hour, 200*time.Millisecond
	m := start(t, cfg)
	awaitEnd(t, dialRaw(t, cfg.Members[1].Election[0]))
	m.shutdownSoon()

	taken, err := net.Listen("tcp", cfg.Members[1].Election[0])
	if err != nil {
		t.Fatal(err)
	}
	cfg.BindAttempts = 2
	began := time.Now()
	var log logBuffer
	if _, err := Listen(cfg, Hooks{}, slog.New(slog.NewTextHandler(&log, nil))); err == nil || !strings.Contains(err.Error(), "election port") {
		t.Errorf("the port is taken, and the error is %v", err)
	}
	// Each attempt but the last is told.
	if took, lines := time.Since(began), log.lines(); took < bindRetry || len(lines) != 1 || !strings.Contains(lines[0], "attempt=1") {
		t.Errorf("two attempts took %v; the log says\n%s", took, strings.Join(lines, "\n"))
	}
	cfg.BindAttempts = 0
	time.AfterFunc(bindRetry/2, func() { _ = taken.Close() })
	start(t, cfg)
}

// TestSlowHandshakesEnd: who connects to a port with TLS and dawdles, at the first byte or
// in the handshake, is gone after a while and keeps nobody out.
func TestSlowHandshakesEnd(t *testing.T) {
	ca := authority(t)
	all := addresses(t, 2)
	cfg := config(2, all)
	// Short for who dawdles, long for who shakes hands beside them on a busy machine.
	cfg.StallTimeout = 2 * helloTimeout
	cfg.Security = secured(t, localhost, ca, ca, func(s *TLS) { s.Detection = helloTimeout })
	two := start(t, cfg)
	var slow []net.Conn
	for i := range 2 * maxHellos {
		c := dialRaw(t, []string{all[2].Quorum[0], all[2].Election[0]}[i%2])
		if i%4 > 1 {
			_, _ = c.Write([]byte{handshakeRecord, 3, 1, 2})
		}
		slow = append(slow, c)
	}
	first := config(1, all)
	first.Security = secured(t, localhost, ca, ca, nil)
	requireTalk(t, start(t, first), two)
	for _, c := range slow {
		awaitEnd(t, c)
	}
}

// TestGarbageOnSecuredPorts has what is not TLS, what only looks like it, and broken SASL.
func TestGarbageOnSecuredPorts(t *testing.T) {
	auth := func(status int32, token string) []byte {
		return jute.Marshal(&jute.QuorumAuthPacket{Magic: jute.QuorumAuthMagic, Status: status, Token: []byte(token)})
	}
	said := hello(jute.ElectionProtocolV1, 1, "127.0.0.1:1")
	ca := authority(t)
	encrypted := secured(t, localhost, ca, ca, nil)
	requires := saslSecurity("secret", true, true)
	for name, test := range map[string]struct {
		security Security
		election bool
		bytes    []byte
	}{
		"http to TLS":            {encrypted, false, []byte("GET / HTTP/1.1\r\n\r\n")},
		"half a record":          {encrypted, false, []byte{handshakeRecord, 3, 1, 2, 0, 1}},
		"zeros in a record":      {encrypted, true, append([]byte{handshakeRecord, 3, 1, 0, 200}, make([]byte, 200)...)},
		"a huge record":          {encrypted, true, []byte{handshakeRecord, 3, 1, 255, 255, 1, 0, 0}},
		"SASL, huge token":       {requires, false, append(auth(0, "")[:12], 0x7f, 0xff, 0xff, 0xff)},
		"SASL, negative token":   {requires, false, append(auth(0, "")[:12], 0x80, 0, 0, 0)},
		"SASL, garbage":          {requires, false, slices.Concat(auth(0, ""), auth(0, "username=\"\x00"))},
		"SASL, repeated":         {requires, true, slices.Concat(said, auth(0, ""), auth(0, ""), auth(0, ""))},
		"SASL, another magic":    {requires, true, slices.Concat(said, auth(0, ""), make([]byte, 20))},
		"SASL, success claimed":  {requires, true, slices.Concat(said, auth(1, ""), auth(1, ""))},
		"a vote without a proof": {requires, true, append(said, jute.Marshal(vote(9))...)},
		"a packet without one":   {requires, false, followerInfo()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := addresses(t, 3)
			cfg := config(2, all)
			cfg.StallTimeout, cfg.Security = 2*helloTimeout, test.security
			two := start(t, cfg)
			port := all[2].Quorum[0]
			if test.election {
				port = all[2].Election[0]
			}
			c := dialRaw(t, port)
			if _, err := c.Write(test.bytes); err != nil {
				t.Fatal(err)
			}
			awaitEnd(t, c)
			eventually(t, "one line in the log", func() bool { return len(two.log.lines()) == 1 })
			first := config(1, all)
			first.Security = test.security
			requireTalk(t, start(t, first), two)
			if lines := two.log.lines(); len(lines) != 1 || len(two.inputsNow()) == 0 {
				t.Errorf("%d lines in the log, want 1:\n%s", len(lines), strings.Join(lines, "\n"))
			}
		})
	}
}

// TestEncryptedPortsAreEncrypted: what two members with TLS talk over is TLS, of the newest version.
func TestEncryptedPortsAreEncrypted(t *testing.T) {
	ca := authority(t)
	one, two := pair(t, secured(t, localhost, ca, ca, nil), secured(t, localhost, ca, ca, nil))
	requireTalk(t, one, two)
	for _, m := range []*member{one, two} {
		c := m.electionConn(3 - m.cfg.SID)
		s, ok := c.(sealed)
		if !ok {
			t.Fatalf("the connection is a %T", c)
		}
		if version := s.ConnectionState().Version; version != tls.VersionTLS13 {
			t.Errorf("it speaks %s", tls.VersionName(version))
		}
	}
}
