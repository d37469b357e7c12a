package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"zoolab/zk/jute"
)

// TLS says how connections are encrypted.
type TLS struct {
	Config *tls.Config
	// OnPlainPort lets the plain port take encrypted connections, too
	// (client.portUnification).
	OnPlainPort bool
	// Detection is how long a client may take for its first byte.
	Detection time.Duration
	// MaxHandshakes bounds the handshakes under way, 0 for no bound: what comes beyond is
	// turned away before it costs more than a byte.
	MaxHandshakes int
	// Identities returns the ids that a client's certificate proves.
	Identities func(*x509.Certificate) ([]jute.ID, error)
}

// encryption is whether a port wants TLS.
type encryption int

const (
	plain  encryption = iota // never
	secure                   // always
	either                   // as the client's first byte says
)

// handshakeRecord is the first byte of a TLS handshake. In a frame it would stand for a
// length of 369 MB, and no four-letter word begins with it.
const handshakeRecord = 0x16

var (
	errPlain             = errors.New("the client does not speak TLS, which this port wants")
	errTooManyHandshakes = errors.New("too many TLS handshakes are under way (netty.server.outstandingHandshake.limit)")
	errNothingCame       = errors.New("it ended before its first byte")
)

// begun is a connection whose first byte was read.
type begun struct {
	net.Conn
	first []byte
}

// Read gives the first byte back, then what comes.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 && len(p) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// open makes what a port accepted into a connection that speaks the client protocol: it
// shakes hands where the port or the client's first byte wants TLS. It returns the ids
// that the client's certificate proves.
func (s *Server) open(nc net.Conn, wants encryption) (opened net.Conn, encrypted bool, ids []jute.ID, err error) {
	if wants == plain {
		return nc, false, nil, nil
	}
	now := time.Now()
	end := now.Add(s.cfg.SessionlessTimeout)
	_ = nc.SetDeadline(now.Add(min(s.cfg.TLS.Detection, s.cfg.SessionlessTimeout)))
	b := &begun{Conn: nc, first: make([]byte, 1)}
	if _, err := io.ReadFull(nc, b.first); err != nil {
		return nil, false, nil, fmt.Errorf("%w: %w", errNothingCame, err)
	}
	switch encrypted := b.first[0] == handshakeRecord; {
	case !encrypted && wants == either:
		_ = nc.SetDeadline(time.Time{})
		return b, false, nil, nil
	case !encrypted:
		return nil, true, nil, s.notShaken(errPlain)
	}
	_ = nc.SetDeadline(end)
	secured, ids, err := s.shake(b, end)
	if err != nil {
		return nil, true, nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	return secured, true, ids, nil
}

// shake is the handshake, with a bound on how many are under way.
func (s *Server) shake(nc net.Conn, end time.Time) (*tls.Conn, []jute.ID, error) {
	underWay := s.stats.handshakes.Add(1)
	defer s.stats.handshakes.Add(-1)
	if most := s.cfg.TLS.MaxHandshakes; most > 0 && underWay > int64(most) {
		s.stats.m.HandshakesExceeded.Add(1)
		return nil, nil, fmt.Errorf("%w: at most %d", errTooManyHandshakes, most)
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	secured := tls.Server(nc, s.cfg.TLS.Config)
	err := secured.HandshakeContext(ctx)
	var ids []jute.ID
	if err == nil {
		if shown := secured.ConnectionState().PeerCertificates; len(shown) > 0 {
			ids, err = s.cfg.TLS.Identities(shown[0])
		}
	}
	if err != nil {
		return nil, nil, s.notShaken(err)
	}
	return secured, ids, nil
}

// notShaken counts a handshake that failed.
func (s *Server) notShaken(err error) error {
	s.stats.m.HandshakesFailed.Add(1)
	s.stats.m.AuthFailures.Add(1)
	return fmt.Errorf("the TLS handshake failed: %w", err)
}

// notOpened says why a connection did not come to the client protocol.
func (s *Server) notOpened(from string, err error) {
	switch {
	case errors.Is(err, net.ErrClosed):
		s.log.Debug("a connection ended with the server", "from", from)
	case errors.Is(err, errNothingCame) && errors.Is(err, io.EOF):
		s.log.Debug("a client's connection ended", "from", from, "err", err)
	case errors.Is(err, errNothingCame):
		s.stats.m.Sessionless.Add(1)
		s.log.Info("closed the connection of a silent client", "from", from, "err", err)
	default:
		s.log.Warn("refused a client", "from", from, "reason", err)
	}
}
