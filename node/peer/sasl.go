package peer

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"zoolab/zk/jute"
	"zoolab/zk/sasl"
)

// SASL says how members prove to each other who they are, with DIGEST-MD5: whoever opens
// a connection does so before its first packet to the quorum port, and behind its first
// message to the election port. An ensemble is switched in rolling restarts: first
// everybody can check a proof, then everybody gives one (Prove), then everybody wants one
// (Require).
type SASL struct {
	// User and Password are whom this member proves to be.
	User, Password string
	// Users has the passwords of the users whom it believes.
	Users map[string]string
	// Prove authenticates the connections that this member opens
	// (quorum.auth.learnerRequireSasl).
	Prove bool
	// Require refuses peers that do not authenticate (quorum.auth.serverRequireSasl).
	Require bool
}

const (
	// maxSASLSteps bounds an exchange; DIGEST-MD5 takes two.
	maxSASLSteps = 4
	// maxSASLTokenBytes bounds a token before it is looked at.
	maxSASLTokenBytes = 4 << 10
	// undecided is how long a peer on the election port that need not authenticate may say
	// nothing before it is taken for one that will not: who wants to does it at once.
	undecided = time.Second
)

// errWantsSASL ends the connection of a peer that authenticates where nobody can check it.
var errWantsSASL = errors.New("it authenticates with SASL, but quorum.auth.enableSasl is not set on this member")

// prove authenticates this member on a connection that it opened.
func (t *Transport) prove(c net.Conn, br *bufio.Reader) error {
	s := t.cfg.Security.SASL
	if s == nil || !s.Prove {
		return nil
	}
	_ = c.SetDeadline(time.Now().Add(t.cfg.StallTimeout))
	defer c.SetDeadline(time.Time{})
	exchange := sasl.NewClient(sasl.ClientConfig{User: s.User, Password: s.Password,
		Protocol: sasl.QuorumProtocol, Realm: sasl.QuorumRealm}, nonce())
	token := []byte{}
	for range maxSASLSteps {
		if err := writeAuth(c, jute.QuorumAuthInProgress, token); err != nil {
			return err
		}
		answer, err := readAuth(br)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return refusedf("the peer at %s closed the connection when this member authenticated; is quorum.auth.enableSasl set there?", c.RemoteAddr())
		}
		if err != nil {
			return err
		}
		if answer.Status != jute.QuorumAuthInProgress && answer.Status != jute.QuorumAuthSuccess {
			return refusedf("the peer at %s refuses user %q: unknown there, or another password", c.RemoteAddr(), s.User)
		}
		if token, err = exchange.Step(answer.Token); err != nil {
			return refusedf("SASL with the peer at %s: %w", c.RemoteAddr(), err)
		}
		if exchange.Done() && answer.Status == jute.QuorumAuthSuccess {
			return nil
		}
	}
	return refusedf("SASL with the peer at %s: %w: no end after %d steps", c.RemoteAddr(), jute.ErrMalformed, maxSASLSteps)
}

// admit lets a peer that opened a connection authenticate, which it must where that is
// required. The deadline of the connection is the caller's.
func (t *Transport) admit(c net.Conn, br *bufio.Reader) error {
	head, err := br.Peek(8)
	wants := err == nil && int64(binary.BigEndian.Uint64(head)) == jute.QuorumAuthMagic
	s := t.cfg.Security.SASL
	switch {
	case wants && s == nil:
		return errWantsSASL
	case s == nil:
		return nil
	case !wants && s.Require && (err == nil || errors.Is(err, io.EOF)):
		return errors.New("it does not authenticate, which quorum.auth.serverRequireSasl wants")
	case !wants && s.Require:
		return err
	case !wants:
		return nil // what is wrong with it, if anything is, its reader will find
	}
	user, err := s.check(c, br)
	if err != nil {
		return fmt.Errorf("SASL authentication failed: %w", err)
	}
	t.log.Debug("a peer has authenticated", "from", c.RemoteAddr().String(), "user", user)
	return nil
}

// admitVoter is admit on the election port, where a peer that does not authenticate may
// have nothing to say, or has closed the connection because it wants to be called back.
func (t *Transport) admitVoter(c net.Conn, br *bufio.Reader, deadline time.Time) error {
	s := t.cfg.Security.SASL
	if s == nil {
		return nil // its first notification tells
	}
	if !s.Require {
		_ = c.SetReadDeadline(earlier(deadline, time.Now().Add(undecided)))
		if _, err := br.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		_ = c.SetReadDeadline(deadline)
	}
	return t.admit(c, br)
}

// check is the exchange at the member that was called. A failure is told to the peer.
func (s *SASL) check(c net.Conn, br *bufio.Reader) (user string, err error) {
	exchange := sasl.NewServer(sasl.ServerConfig{
		Protocol: sasl.QuorumProtocol, Realm: sasl.QuorumRealm,
		Password: func(user string) (string, bool) {
			password, known := s.Users[user]
			return password, known
		},
	}, nonce())
	for range maxSASLSteps {
		packet, err := readAuth(br)
		if err != nil {
			return "", err
		}
		answer, err := exchange.Step(packet.Token)
		if err != nil {
			_ = writeAuth(c, jute.QuorumAuthError, nil)
			return "", err
		}
		if exchange.Done() {
			return exchange.User(), writeAuth(c, jute.QuorumAuthSuccess, answer)
		}
		if err := writeAuth(c, jute.QuorumAuthInProgress, answer); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%w: no end after %d steps", jute.ErrMalformed, maxSASLSteps)
}

func nonce() []byte {
	b := make([]byte, sasl.NonceBytes)
	_, _ = rand.Read(b) // never fails
	return b
}

// writeAuth sends a packet; a nil token goes as an empty one, which Java needs.
func writeAuth(c net.Conn, status int32, token []byte) error {
	if token == nil {
		token = []byte{}
	}
	_, err := c.Write(jute.Marshal(&jute.QuorumAuthPacket{Magic: jute.QuorumAuthMagic, Status: status, Token: token}))
	return err
}

func readAuth(br *bufio.Reader) (jute.QuorumAuthPacket, error) {
	var p jute.QuorumAuthPacket
	r := jute.NewReader(br, maxSASLTokenBytes)
	p.Magic = r.Int64()
	if r.Err() == nil && p.Magic != jute.QuorumAuthMagic {
		return p, fmt.Errorf("%w: no SASL packet begins with %#x", jute.ErrMalformed, uint64(p.Magic))
	}
	p.Status = r.Int32()
	p.Token = r.Buffer()
	return p, r.Err()
}
