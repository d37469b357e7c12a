package server

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/internal/certs"
	"zoolab/zk/jute"
)

// authority is a server's certificate and whom it trusts.
type authority struct {
	ca, server, client *certs.Cert
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	issue := func(name string, ca bool, issuer *certs.Cert) *certs.Cert {
		c, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: name}, CA: ca, Hosts: []string{"127.0.0.1"}}, issuer)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := &authority{ca: issue("CA", true, nil)}
	a.server, a.client = issue("server", false, a.ca), issue("client", false, a.ca)
	return a
}

func (a *authority) config(auth tls.ClientAuthType) *TLS {
	return &TLS{
		Config:    &tls.Config{Certificates: []tls.Certificate{a.server.TLS()}, ClientAuth: auth, ClientCAs: a.ca.Pool()},
		Detection: patience,
		Identities: func(cert *x509.Certificate) ([]jute.ID, error) {
			if cert.Subject.CommonName != "client" {
				return nil, errors.New("who is that?")
			}
			return []jute.ID{{Scheme: "x509", ID: cert.Subject.String()}}, nil
		},
	}
}

// dialTLS connects to the TLS port, with a certificate of one's own or without.
func (s *shell) dialTLS(a *authority, address net.Addr, own *certs.Cert) *client {
	s.t.Helper()
	config := &tls.Config{RootCAs: a.ca.Pool()}
	if own != nil {
		config.Certificates = []tls.Certificate{own.TLS()}
	}
	c, err := tls.Dial("tcp", address.String(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{c, s.t}
}

func (c *client) openSession() {
	c.t.Helper()
	c.sendConnect()
	if frame := c.read(); len(frame) < 36 {
		c.t.Fatalf("the answer to a connect request is %x", frame)
	}
}

func TestTLSPort(t *testing.T) {
	a := newAuthority(t)
	s := start(t, Config{SecureAddress: "127.0.0.1:0", TLS: a.config(tls.RequireAndVerifyClientCert)})
	c := s.dialTLS(a, s.SecureAddr(), a.client)
	c.openSession()
	c.create(1, "/a", []byte("x"))
	big := strings.Repeat("y", 700_000) // many records, both ways
	c.send(setData(2, "/a", []byte(big)))
	c.expect(2)
	c.send(getData(3, "/a", false))
	if got := c.expect(3); !strings.Contains(string(got), big) {
		t.Error("the data came back otherwise")
	}
	who := c.expectWhoAmI(4)
	slices.Sort(who)
	if want := []string{"ip:127.0.0.1", "x509:CN=client"}; !slices.Equal(who, want) {
		t.Errorf("the client is %q, want %q", who, want)
	}
	plain := s.connect()
	plain.send(getData(1, "/a", false))
	plain.expect(1)
	secured := 0
	for _, i := range s.Connections() {
		if i.Secure {
			secured++
		}
	}
	if secured != 1 || s.NumConnections() != 2 {
		t.Errorf("%d of %d connections are secure, want one of two", secured, s.NumConnections())
	}

	// The server ends the connection with TLS's goodbye.
	c.send(request(5, jute.OpCloseSession, nil))
	c.expect(5)
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("after the session: %x, %v", rest, err)
	}
	word := s.dialTLS(a, s.SecureAddr(), a.client)
	_, _ = io.WriteString(word, "ruok")
	if answer, err := io.ReadAll(word); err != nil || string(answer) != "ruok" {
		t.Errorf("a four-letter word is answered %q, %v", answer, err)
	}
}

// expectWhoAmI asks who the server takes the client for.
func (c *client) expectWhoAmI(xid int32) []string {
	c.t.Helper()
	c.send(request(xid, jute.OpWhoAmI, nil))
	var answer jute.WhoAmIResponse
	if err := jute.Unmarshal(c.expect(xid), &answer); err != nil {
		c.t.Fatal(err)
	}
	var who []string
	for _, id := range answer.ClientInfo {
		who = append(who, id.AuthScheme+":"+id.User)
	}
	return who
}

func TestPortUnification(t *testing.T) {
	a := newAuthority(t)
	secured := a.config(tls.VerifyClientCertIfGiven)
	secured.OnPlainPort = true
	s := start(t, Config{TLS: secured})
	encrypted, plain := s.dialTLS(a, s.Addr(), a.client), s.connect()
	encrypted.openSession()
	plain.create(1, "/a", nil)
	encrypted.create(1, "/b", nil)
	anonymous := s.dialTLS(a, s.Addr(), nil)
	anonymous.openSession()
	if who := anonymous.expectWhoAmI(1); len(who) != 1 {
		t.Errorf("a client without a certificate is %q", who)
	}
	word := s.dial()
	_, _ = io.WriteString(word, "ruok")
	if answer, err := io.ReadAll(word); err != nil || string(answer) != "ruok" {
		t.Errorf("a four-letter word is answered %q, %v", answer, err)
	}
	// One byte at a time: what kind of client it is shows from the first.
	slow := s.dial()
	for _, b := range framed(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 30_000, Passwd: make([]byte, 16)})) {
		if _, err := slow.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if frame := slow.read(); len(frame) < 36 {
		t.Errorf("the answer to a connect request is %x", frame)
	}
}

func TestRefusedHandshakes(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	s := start(t, Config{SecureAddress: "127.0.0.1:0", TLS: a.config(tls.RequireAndVerifyClientCert)})
	// In TLS 1.3 a client hears of the refusal when it reads.
	for name, own := range map[string]*certs.Cert{"no certificate": nil, "not trusted": other.client, "no identity": a.server} {
		c := s.dialTLS(a, s.SecureAddr(), own)
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection goes on (%v)", name, err)
		}
	}
	for name, b := range map[string]string{"plain": "\x00\x00\x00\x2d", "http": "GET / HTTP/1.1\r\n\r\n", "half a hello": "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"} {
		c, err := net.Dial("tcp", s.SecureAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, b)
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection goes on", name)
		}
		c.Close()
	}
	eventually(t, "all are counted", func() bool { return s.stats.m.HandshakesFailed.Load() == 6 && s.Stats().Handshakes() == 0 })
	eventually(t, "all are logged", func() bool { return len(s.log.lines()) >= 6 })
	for _, line := range s.log.lines() {
		if !strings.Contains(line, "level=WARN msg=\"refused a client\"") || !strings.Contains(line, "TLS handshake failed") {
			t.Errorf("unexpected in the log: %s", line)
		}
	}
	c := s.dialTLS(a, s.SecureAddr(), a.client)
	c.openSession()
}

// TestSlowHandshakes lets clients begin a handshake and say no more: they are bounded in
// number and in time, and others are served meanwhile.
func TestSlowHandshakes(t *testing.T) {
	a := newAuthority(t)
	secured := a.config(tls.NoClientCert)
	// So long that none ends before all have begun, and that the good one at the end is in time.
	secured.MaxHandshakes, secured.Detection = 4, 3*time.Second
	s := start(t, Config{SecureAddress: "127.0.0.1:0", TLS: secured, SessionlessTimeout: 6 * time.Second})
	dial := func(first string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", s.SecureAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, first)
		return c
	}
	ended := func(c net.Conn) {
		t.Helper()
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("the connection is not closed")
		}
	}
	silent := dial("")
	var slow []net.Conn
	for range secured.MaxHandshakes {
		slow = append(slow, dial("\x16\x03\x01\x02\x00"))
	}
	eventually(t, "as many handshakes as may be", func() bool { return s.Stats().Handshakes() == int64(secured.MaxHandshakes) })
	ended(dial("\x16\x03\x01\x02\x00"))
	if got := s.stats.m.HandshakesExceeded.Load(); got != 1 {
		t.Errorf("%d connections beyond the bound, want one", got)
	}
	s.connect() // the plain port is open meanwhile
	ended(silent)
	for _, c := range slow {
		ended(c)
	}
	eventually(t, "the slow are counted", func() bool {
		return s.stats.m.HandshakesFailed.Load() == int64(len(slow)) && s.stats.m.Sessionless.Load() == 1
	})
	c := s.dialTLS(a, s.SecureAddr(), nil)
	c.openSession()
}

// TestShutdownDuringHandshakes must not wait for them.
func TestShutdownDuringHandshakes(t *testing.T) {
	a := newAuthority(t)
	s := start(t, Config{SecureAddress: "127.0.0.1:0", TLS: a.config(tls.NoClientCert), SessionlessTimeout: time.Hour})
	for _, first := range []string{"", "\x16\x03\x01\x02\x00"} {
		c, err := net.Dial("tcp", s.SecureAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, first)
	}
	eventually(t, "one shakes hands", func() bool { return s.Stats().Handshakes() == 1 })
	s.end()
}

// TestTLSClientThatDoesNotRead must be cut off as any other, without holding up the loop.
func TestTLSClientThatDoesNotRead(t *testing.T) {
	a := newAuthority(t)
	s := start(t, Config{SecureAddress: "127.0.0.1:0", TLS: a.config(tls.NoClientCert)})
	deaf, other := s.dialTLS(a, s.SecureAddr(), nil), s.connect()
	deaf.openSession()
	deaf.create(1, "/big", make([]byte, 900<<10))
	go func() {
		for xid := int32(2); xid < 200; xid++ {
			if _, err := deaf.Write(framed(getData(xid, "/big", false))); err != nil {
				return
			}
		}
	}()
	for xid := range int32(50) {
		other.send(setData(xid+1, "/big", []byte("small")))
		other.expect(xid + 1)
	}
	deaf.Close()
	eventually(t, "only one is left", func() bool { return s.NumConnections() == 1 })
}

// FuzzSecurePorts: whatever comes on a port that wants TLS, or on one that takes both,
// ends with nothing left behind.
func FuzzSecurePorts(f *testing.F) {
	connect := framed(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 1000, Passwd: make([]byte, 16)}))
	for _, both := range []bool{false, true} {
		f.Add([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"), both)
		f.Add([]byte{0x16}, both)
		f.Add([]byte("\x16\x03\x03\xff\xff"), both)
		f.Add([]byte("ruok"), both)
		f.Add(connect, both)
		f.Add(append([]byte{0x15, 3, 3, 0, 2, 2, 40}, connect...), both)
	}
	a := newAuthority(f)
	s := start(f, Config{TLS: a.config(tls.VerifyClientCertIfGiven)})
	f.Fuzz(func(t *testing.T, b []byte, both bool) {
		wants := secure
		if both {
			wants = either
		}
		server, c := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, c) }()
		go func() {
			_, _ = c.Write(b)
			c.Close()
		}()
		s.admit("pipe")
		done := make(chan struct{})
		go func() { s.serve(server, "pipe", wants); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("the connection does not end")
		}
		if n := s.Stats().Handshakes(); n != 0 {
			t.Fatalf("%d handshakes are left", n)
		}
	})
}
