package zk

import (
	"crypto/rand"
	"fmt"

	"zoolab/zk/jute"
	"zoolab/zk/sasl"
)

// maxSASLSteps bounds the exchange of the handshake; DIGEST-MD5 takes two.
const maxSASLSteps = 4

// saslUser is who the client proves to be with DIGEST-MD5.
type saslUser struct{ name, password string }

// authenticate proves who the client is, and lets the server prove that it knows the
// password too. It runs before anything else is asked on the connection. An error of
// errSASL is the server's refusal; any other is that of the connection.
func (l *link) authenticate(user saslUser) error {
	nonce := make([]byte, sasl.NonceBytes)
	_, _ = rand.Read(nonce) // never fails
	exchange := sasl.NewClient(sasl.ClientConfig{User: user.name, Password: user.password,
		Protocol: sasl.ClientProtocol, Realm: sasl.ClientRealm}, nonce)
	token := []byte{}
	for range maxSASLSteps {
		answer, err := l.saslStep(token)
		if err != nil {
			return err
		}
		if token, err = exchange.Step(answer); err != nil {
			return fmt.Errorf("%w: %w", errSASL, err)
		}
		if exchange.Done() {
			l.authenticated = true
			return nil
		}
	}
	return fmt.Errorf("%w: no end after %d steps", errSASL, maxSASLSteps)
}

// saslStep sends a token and returns the server's.
func (l *link) saslStep(token []byte) ([]byte, error) {
	xid := l.xid(jute.OpSASL)
	if _, err := l.conn.Write(appendRequest(nil, xid, jute.OpSASL, &jute.GetSASLRequest{Token: token})); err != nil {
		return nil, err
	}
	frame, err := l.frames.next()
	if err != nil {
		return nil, l.readError(err)
	}
	d := jute.NewDecoder(frame)
	var header jute.ReplyHeader
	header.Decode(d)
	if d.Err() == nil && header.Err != jute.CodeOK {
		return nil, fmt.Errorf("%w: the server answers %w", errSASL, header.Err)
	}
	var response jute.SetSASLResponse
	response.Decode(d)
	if d.Err() != nil || header.Xid != xid {
		return nil, fmt.Errorf("%w: SASL answer with xid %d, expected %d: %v", jute.ErrMalformed, header.Xid, xid, d.Err())
	}
	return jute.Clone(response.Token), nil
}
