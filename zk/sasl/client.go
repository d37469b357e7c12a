package sasl

import (
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// ClientConfig is who the client is and which service it wants.
type ClientConfig struct {
	// User and Password in UTF-8; the user may not be empty.
	User, Password string
	// Protocol and Realm are ClientProtocol and ClientRealm, or the quorum's. If the
	// server offers another realm, the proof is made for that one.
	Protocol, Realm string
}

// Client is one exchange at the client.
type Client struct {
	config ClientConfig
	nonce  string
	step   int
	done   bool
	proof  proof
}

// NewClient starts an exchange. The nonce is at least NonceBytes from a cryptographic
// source of randomness, for this exchange alone. The first message, which the client
// sends unasked, is empty and not made by Step.
func NewClient(config ClientConfig, nonce []byte) *Client {
	return &Client{config: config, nonce: nonceText(nonce)}
}

// Step takes a message of the server and returns the answer to it, nil when there is
// none: at the end, and after an error, ErrMalformed, ErrFailed or ErrState.
func (c *Client) Step(token []byte) ([]byte, error) {
	c.step++
	switch c.step {
	case 1:
		answer, err := c.respond(token)
		if err != nil {
			c.step = 3
		}
		return answer, err
	case 2:
		return nil, c.verify(token)
	}
	return nil, ErrState
}

// Done reports whether the exchange has ended well: the server knows the password too.
func (c *Client) Done() bool { return c.done }

func (c *Client) respond(token []byte) ([]byte, error) {
	if c.config.User == "" || !utf8.ValidString(c.config.User) || !utf8.ValidString(c.config.Password) {
		return nil, fmt.Errorf("%w: the own user is empty, or user or password is not UTF-8", ErrFailed)
	}
	d, _, err := parse(token)
	if err != nil {
		return nil, err
	}
	if err := checkCharset(d); err != nil {
		return nil, err
	}
	if d["algorithm"] != algorithm {
		return nil, fmt.Errorf("%w: the algorithm is %q, only %s is known", ErrMalformed, d["algorithm"], algorithm)
	}
	if d["nonce"] == "" {
		return nil, fmt.Errorf("%w: no nonce", ErrMalformed)
	}
	if offer, there := d["qop"]; there && !slices.Contains(strings.FieldsFunc(offer, isListDivider), quality) {
		return nil, fmt.Errorf("%w: the server offers the qualities of protection %q, %s is needed", ErrFailed, offer, quality)
	}
	realm, offered := d["realm"]
	if !offered {
		realm = c.config.Realm
	}
	c.proof = proof{
		user: hashed(c.config.User), realm: hashed(realm), password: hashed(c.config.Password),
		nonce: d["nonce"], cnonce: c.nonce, digestURI: c.config.Protocol + "/" + c.config.Realm,
	}
	var m message
	m.token("charset", "utf-8")
	m.quoted("username", c.config.User)
	m.quoted("realm", realm)
	m.quoted("nonce", d["nonce"])
	m.token("nc", firstCount)
	m.quoted("cnonce", c.nonce)
	m.quoted("digest-uri", c.proof.digestURI)
	m.token("maxbuf", "65536")
	m.token("response", c.proof.response())
	m.token("qop", quality)
	return m.bytes(), nil
}

func isListDivider(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

func (c *Client) verify(token []byte) error {
	d, _, err := parse(token)
	if err != nil {
		return err
	}
	want := c.proof.confirmation()
	if subtle.ConstantTimeCompare([]byte(strings.ToLower(d["rspauth"])), []byte(want)) != 1 {
		return fmt.Errorf("%w: the server did not prove that it knows the password", ErrFailed)
	}
	c.done = true
	return nil
}
