package sasl

import (
	"crypto/subtle"
	"fmt"
	"strings"
)

// ServerConfig is the service, the same for all of its exchanges.
type ServerConfig struct {
	// Protocol and Realm are ClientProtocol and ClientRealm, or the quorum's.
	Protocol, Realm string
	// Password returns a user's password, in UTF-8. ok is false for an unknown user.
	Password func(user string) (password string, ok bool)
}

// Server is one exchange at the server.
type Server struct {
	config ServerConfig
	nonce  string
	step   int
	user   string
}

// NewServer starts an exchange. The nonce is at least NonceBytes from a cryptographic
// source of randomness, for this exchange alone.
func NewServer(config ServerConfig, nonce []byte) *Server {
	return &Server{config: config, nonce: nonceText(nonce)}
}

// Step takes a message of the client and returns the answer to it. The exchange is
// over, without success, at the first error: ErrMalformed, ErrFailed (an unknown user
// as well as a wrong password) or ErrState.
func (s *Server) Step(token []byte) ([]byte, error) {
	s.step++
	var answer []byte
	err := ErrState
	switch s.step {
	case 1:
		answer, err = s.challenge(), nil
	case 2:
		answer, err = s.verify(token)
	}
	if err != nil {
		s.step, s.user = 3, ""
	}
	return answer, err
}

// Done reports whether the client has proven who it is.
func (s *Server) Done() bool { return s.user != "" }

// User returns who the client has proven to be, "" before that.
//
// What a client asks to be instead (the authzid of the mechanism) is part of its proof
// and otherwise ignored: nobody may act as somebody else.
func (s *Server) User() string { return s.user }

// challenge answers the first message. A client that knows an earlier challenge may send
// a response at once; it is not looked at, and the client answers the new challenge.
func (s *Server) challenge() []byte {
	var m message
	m.quoted("realm", s.config.Realm)
	m.quoted("nonce", s.nonce)
	m.token("charset", "utf-8")
	m.token("algorithm", algorithm)
	return m.bytes()
}

func (s *Server) verify(token []byte) ([]byte, error) {
	d, realms, err := parse(token)
	if err != nil {
		return nil, err
	}
	p, err := s.claim(d, realms)
	if err != nil {
		return nil, err
	}
	user := p.user
	password, known := s.config.Password(user)
	p.user, p.realm, p.password = hashed(p.user), hashed(p.realm), hashed(password)
	// An unknown user costs the same time as a wrong password.
	equal := subtle.ConstantTimeCompare([]byte(p.response()), []byte(strings.ToLower(d["response"]))) == 1
	if !known || !equal {
		return nil, fmt.Errorf("%w: user %q is unknown or the password is wrong", ErrFailed, user)
	}
	s.user = user
	var m message
	m.token("rspauth", p.confirmation())
	return m.bytes(), nil
}

// claim checks everything about a response but its proof.
func (s *Server) claim(d directives, realms int) (*proof, error) {
	user, err := text(d, "username")
	if err != nil {
		return nil, err
	}
	if user == "" {
		return nil, fmt.Errorf("%w: the username is empty", ErrMalformed)
	}
	if err := checkCharset(d); err != nil {
		return nil, err
	}
	if q, there := d["qop"]; there && q != quality {
		return nil, fmt.Errorf("%w: the quality of protection is %q, only %s is spoken", ErrMalformed, q, quality)
	}
	for _, name := range []string{"cnonce", "nc", "response", "digest-uri"} {
		if d[name] == "" {
			return nil, fmt.Errorf("%w: no %s", ErrMalformed, name)
		}
	}
	if authzid, there := d["authzid"]; there && authzid == "" {
		return nil, fmt.Errorf("%w: the authzid is empty", ErrMalformed)
	}
	if realms > 1 || d["realm"] != "" && d["realm"] != s.config.Realm {
		return nil, fmt.Errorf("%w: the realm is not %q, which was offered", ErrFailed, s.config.Realm)
	}
	if d["nonce"] != s.nonce || d["nc"] != firstCount {
		return nil, fmt.Errorf("%w: not an answer to this challenge", ErrFailed)
	}
	if uri := s.config.Protocol + "/" + s.config.Realm; !strings.EqualFold(d["digest-uri"], uri) {
		return nil, fmt.Errorf("%w: the answer is meant for %q, this is %q", ErrFailed, d["digest-uri"], uri)
	}
	return &proof{
		user: user, realm: d["realm"], nonce: s.nonce, cnonce: d["cnonce"],
		authorizationID: d["authzid"], digestURI: d["digest-uri"],
	}, nil
}
