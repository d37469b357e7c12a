package sasl

import (
	"crypto/md5" // the mechanism is defined by it
	"encoding/hex"
	"fmt"
	"unicode/utf8"
)

// NonceBytes is how many random bytes an exchange wants for its nonce.
const NonceBytes = 16

// Protocols and realms that ZooKeeper uses. The realm is the name of the service's
// host, too: none of them is a real host.
const (
	ClientProtocol = "zookeeper"
	ClientRealm    = "zk-sasl-md5"
	QuorumProtocol = "zookeeper-quorum"
	QuorumRealm    = "zk-quorum-sasl-md5"
)

// The only values that are spoken here. The number of a nonce's use is always the
// first, because a server makes a nonce for each exchange.
const (
	algorithm  = "md5-sess"
	quality    = "auth"
	firstCount = "00000001"
)

// proof is what both sides compute from the password.
type proof struct {
	user, realm, password string
	nonce, cnonce         string
	authorizationID       string
	digestURI             string
}

// response is the client's proof.
func (p *proof) response() string { return p.compute("AUTHENTICATE:") }

// confirmation is the server's.
func (p *proof) confirmation() string { return p.compute(":") }

func (p *proof) compute(method string) string {
	secret := md5.Sum([]byte(p.user + ":" + p.realm + ":" + p.password))
	a1 := string(secret[:]) + ":" + p.nonce + ":" + p.cnonce
	if p.authorizationID != "" {
		a1 += ":" + p.authorizationID
	}
	return hexMD5(hexMD5(a1) + ":" + p.nonce + ":" + firstCount + ":" + p.cnonce + ":" + quality + ":" + hexMD5(method+p.digestURI))
}

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// hashed returns a string of UTF-8 in the form in which it is hashed: in ISO 8859-1
// where that has all of its characters.
func hashed(s string) string {
	latin := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return s
		}
		latin = append(latin, byte(r))
	}
	return string(latin)
}

// nonceText returns a nonce as it is sent. A nonce that is too short is the caller's
// mistake, a source of randomness that was forgotten, and would make proofs repeatable.
func nonceText(nonce []byte) string {
	if len(nonce) < NonceBytes {
		panic(fmt.Sprintf("sasl: a nonce of %d bytes, %d are needed", len(nonce), NonceBytes))
	}
	return hex.EncodeToString(nonce)
}

// text returns a directive that must be there and be UTF-8.
func text(d directives, name string) (string, error) {
	value, there := d[name]
	if !there {
		return "", fmt.Errorf("%w: no %s", ErrMalformed, name)
	}
	if !utf8.ValidString(value) {
		return "", fmt.Errorf("%w: %s is not UTF-8", ErrMalformed, name)
	}
	return value, nil
}

// checkCharset rejects a character set other than UTF-8. Without the directive the
// names are meant to be ISO 8859-1, of which ASCII, what they are in practice, is read
// the same.
func checkCharset(d directives) error {
	if charset, there := d["charset"]; there && charset != "utf-8" {
		return fmt.Errorf("%w: the charset is %q, only utf-8 is known", ErrMalformed, charset)
	}
	return nil
}
