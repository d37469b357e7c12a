package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// Security is how connections between members are protected. The zero value is for
// networks that are trusted.
type Security struct {
	TLS  *TLS  // nil for none
	SASL *SASL // nil for none
}

// TLS says how both ports are encrypted. An ensemble is switched in rolling restarts:
// first everybody accepts both kinds of connections (AcceptPlain), then everybody opens
// encrypted ones (Dial), then nobody accepts plain ones any more.
type TLS struct {
	// Server is the configuration for connections that peers open. Its GetConfigForClient makes
	// a new one for each.
	Server *tls.Config
	// Client makes the configuration for one connection to a host.
	Client func(host string) *tls.Config
	// Dial encrypts the connections that this member opens (sslQuorum).
	Dial bool
	// AcceptPlain takes connections that are not encrypted, too (portUnification).
	AcceptPlain bool
	// Detection is how long a peer may take for its first byte.
	Detection time.Duration
}

// RefusedError is why a connection that could be opened was not trusted, or did not trust
// us: something that a person must mend.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

func refusedf(format string, args ...any) error {
	return &RefusedError{fmt.Errorf(format, args...)}
}

// handshakeRecord is the first byte of a TLS handshake. Nothing that a peer says first
// begins with it: a first packet and a bare sid begin with 0x00, an election protocol's
// version with 0xff, and an authentication packet with 0x5f.
const handshakeRecord = 0x16

// sealed is an encrypted connection that closes like a plain one: at once. The polite end
// of TLS would be a write, and whoever closes may not wait for one.
type sealed struct{ *tls.Conn }

func (s sealed) Close() error { return s.NetConn().Close() }

// shaking is the connection below a TLS handshake that a peer began. It has the handshake wait for
// its turn when there is something to compute. A buffer holds the first bytes.
type shaking struct {
	net.Conn
	br    *bufio.Reader
	ctx   context.Context // ends the waiting
	turns *turns
	lane  lane
	host  string
	held  bool // a turn
	over  bool // the handshake
}

func (s *shaking) Read(b []byte) (int, error) {
	if s.over {
		return s.br.Read(b)
	}
	if s.br.Buffered() == 0 {
		s.pause()
		if _, err := s.br.Peek(1); err != nil {
			return 0, err
		}
	}
	if !s.held {
		if err := s.turns.take(s.ctx, s.lane, s.host); err != nil {
			return 0, err
		}
		s.held = true
	}
	return s.br.Read(b)
}

// Write ends the turn: a handshake writes what it has computed.
func (s *shaking) Write(b []byte) (int, error) {
	if !s.over {
		s.pause()
		s.lane.begun = true
	}
	return s.Conn.Write(b)
}

func (s *shaking) pause() {
	if s.held {
		s.held = false
		s.turns.give(s.lane)
	}
}

// unhurried is a configuration whose last check of a peer's certificate has no turn: it may ask a
// name service, which may take any time.
func (s *shaking) unhurried(config *tls.Config) *tls.Config {
	config = config.Clone()
	choose := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen, err := choose(hello)
		if err != nil || chosen.VerifyConnection == nil {
			return chosen, err
		}
		check := chosen.VerifyConnection
		chosen.VerifyConnection = func(state tls.ConnectionState) error {
			s.pause()
			return check(state)
		}
		return chosen, nil
	}
	return config
}

// open makes what a port accepted into a connection on which the members' protocol is
// spoken. The deadline is when the peer must have said who it is.
func (t *Transport) open(u *unproven, deadline time.Time) (net.Conn, *bufio.Reader, error) {
	c := u.Conn
	br := bufio.NewReaderSize(c, helloBufferBytes)
	_ = c.SetDeadline(deadline)
	s := t.cfg.Security.TLS
	if s != nil {
		_ = c.SetReadDeadline(earlier(deadline, time.Now().Add(s.Detection)))
	}
	first, err := br.Peek(1)
	if err != nil {
		return nil, nil, err
	}
	_ = c.SetReadDeadline(deadline)
	encrypted := first[0] == handshakeRecord
	switch {
	case encrypted && s == nil:
		return nil, nil, errors.New("it speaks TLS, but neither sslQuorum nor portUnification is set on this member")
	case !encrypted && (s == nil || s.AcceptPlain):
		return c, br, nil
	case !encrypted:
		return nil, nil, errors.New("it does not speak TLS, which this port wants (sslQuorum=true without portUnification=true)")
	}
	secured, err := t.answer(u, br, deadline)
	if err != nil {
		lingerFor(c)
		return nil, nil, fmt.Errorf("the TLS handshake failed: %w", explainCertificate(err))
	}
	return sealed{secured}, bufio.NewReaderSize(secured, helloBufferBytes), nil
}

// answer is our part in a TLS handshake that a peer began.
func (t *Transport) answer(u *unproven, br *bufio.Reader, deadline time.Time) (*tls.Conn, error) {
	ctx, cancel := context.WithDeadline(u.ctx, deadline)
	defer cancel()
	below := &shaking{Conn: u.Conn, br: br, ctx: ctx, turns: &t.turns, lane: t.laneOf(u.host), host: u.host}
	secured := tls.Server(below, below.unhurried(t.cfg.Security.TLS.Server))
	err := secured.HandshakeContext(ctx)
	below.pause()
	below.over = true
	if err == nil && len(secured.ConnectionState().PeerCertificates) > 0 {
		t.trust(u.host)
	}
	return secured, err
}

// lingerFor lets a peer read why its handshake failed, before it is closed: what it has sent
// meanwhile would else turn the end into a reset, which takes the reason with it.
func lingerFor(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c, lingerBytes)
}

const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 64 << 10
)

// socketOf returns the socket below a connection, nil for what has none.
func socketOf(c net.Conn) *net.TCPConn {
	if s, ok := c.(sealed); ok {
		c = s.NetConn()
	}
	if s, ok := c.(*shaking); ok {
		c = s.Conn
	}
	tcp, _ := c.(*net.TCPConn)
	return tcp
}

// isAlert reports whether a connection ended because the peer refused it in TLS: of TLS 1.3
// a client learns only after its handshake that its certificate was not taken.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// shake encrypts a connection that this member opened, where that is wanted.
func (t *Transport) shake(ctx context.Context, c net.Conn, address string) (net.Conn, error) {
	s := t.cfg.Security.TLS
	if s == nil || !s.Dial {
		return c, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(c, s.Client(host))
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, &RefusedError{explainHandshake(address, err)}
	}
	t.trust(hostOf(c))
	return sealed{secured}, nil
}

// explainHandshake says what a handshake's end at a peer's port most likely means.
func explainHandshake(address string, err error) error {
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &record):
		return fmt.Errorf("the peer at %s does not answer in TLS; is sslQuorum or portUnification set there? (%w)", address, err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("the peer at %s ends the TLS handshake without a word; it stops just now, or neither sslQuorum nor portUnification is set there", address)
	}
	return fmt.Errorf("the TLS handshake with %s failed: %w", address, explainCertificate(err))
}

// explainCertificate says more about certificates than package tls does: until when one was
// valid instead of what time it is, which would make each refusal news, and why there may be none.
func explainCertificate(err error) error {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the certificate of %q is valid from %s until %s only", invalid.Cert.Subject,
			invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339))
	case strings.Contains(err.Error(), "didn't provide a certificate"):
		return fmt.Errorf("%w of an authority that this member's trust store has", err)
	}
	return err
}
