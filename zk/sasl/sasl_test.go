package sasl

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

var (
	serverNonce = bytes.Repeat([]byte{1}, NonceBytes)
	clientNonce = bytes.Repeat([]byte{2}, NonceBytes)
)

func serverConfig() ServerConfig {
	users := map[string]string{"alice": "secret", "bob": "", "jürgen": "größe", "日本": "パス", `a"b\c,d`: `p"w`}
	return ServerConfig{Protocol: ClientProtocol, Realm: ClientRealm, Password: func(user string) (string, bool) {
		password, ok := users[user]
		return password, ok
	}}
}

func newServer() *Server { return NewServer(serverConfig(), serverNonce) }

func newClient(user, password string) *Client {
	return NewClient(ClientConfig{User: user, Password: password, Protocol: ClientProtocol, Realm: ClientRealm}, clientNonce)
}

// TestExampleOfTheRFC has the exchange of RFC 2831, section 4.
func TestExampleOfTheRFC(t *testing.T) {
	p := proof{
		user: "chris", realm: "elwood.innosoft.com", password: "secret",
		nonce: "OA6MG9tEQGm2hh", cnonce: "OA6MHXh6VqTrRk", digestURI: "imap/elwood.innosoft.com",
	}
	if got, want := p.response(), "d388dad90d4bbd760a152321f2143af7"; got != want {
		t.Errorf("response is %s, want %s", got, want)
	}
	if got, want := p.confirmation(), "ea40f60335c427b5527b84dbabcdfffd"; got != want {
		t.Errorf("confirmation is %s, want %s", got, want)
	}
}

// exchange runs both sides until one fails or both are done.
func exchange(c *Client, s *Server) error {
	token, err := s.Step(nil)
	if err != nil {
		return err
	}
	if token, err = c.Step(token); err != nil {
		return err
	}
	if token, err = s.Step(token); err != nil {
		return err
	}
	_, err = c.Step(token)
	return err
}

func TestExchange(t *testing.T) {
	for _, test := range []struct {
		user, password string
		want           error
	}{
		{"alice", "secret", nil},
		{"bob", "", nil},
		{"jürgen", "größe", nil},
		{"日本", "パス", nil},
		{`a"b\c,d`, `p"w`, nil},
		{"alice", "Secret", ErrFailed},
		{"alice", "", ErrFailed},
		{"Alice", "secret", ErrFailed},
		{"nobody", "", ErrFailed},
		{"", "", ErrFailed},
		{"alice", "\xff", ErrFailed},
	} {
		c, s := newClient(test.user, test.password), newServer()
		err := exchange(c, s)
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%q with %q: %v, want %v", test.user, test.password, err, test.want)
		}
		ok := test.want == nil
		if c.Done() != ok || s.Done() != ok || ok && s.User() != test.user {
			t.Errorf("%q with %q: client done %v, server done %v as %q", test.user, test.password, c.Done(), s.Done(), s.User())
		}
		if _, err := s.Step(nil); err == nil || ok && !errors.Is(err, ErrState) {
			t.Errorf("a server's step after the end: %v", err)
		}
		if _, err := c.Step(nil); err == nil || ok && !errors.Is(err, ErrState) {
			t.Errorf("a client's step after the end: %v", err)
		}
	}
}

// TestTamperedResponses changes one thing about a good response.
func TestTamperedResponses(t *testing.T) {
	s := newServer()
	challenge, err := s.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	good, err := newClient("alice", "secret").Step(challenge)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		old, new string
		want     error
	}{
		{"", "", nil},
		{"qop=auth", `qop="auth"`, nil},
		{"charset=utf-8,", "", nil},
		{"charset=utf-8,", "charset=utf-8 , ,unknown=x,\r\n", nil},
		{`digest-uri="zookeeper/zk-sasl-md5"`, `digest-uri=zookeeper/zk-sasl-md5`, nil},
		{"charset=utf-8", "charset=latin1", ErrMalformed},
		{"qop=auth", "qop=auth-int", ErrMalformed},
		{"qop=auth", "qop=auth,qop=auth", ErrMalformed},
		{"username=", "name=", ErrMalformed},
		{`username="alice"`, `username=""`, ErrMalformed},
		{`username="alice"`, "username=\"\xff\"", ErrMalformed},
		{`username="alice"`, `username="bob"`, ErrFailed},
		{"nc=00000001", "nc=00000002", ErrFailed},
		{"nc=00000001,", "", ErrMalformed},
		{"cnonce=", "other=", ErrMalformed},
		{`cnonce="02`, `cnonce="03`, ErrFailed},
		{`,nonce="01`, `,nonce="03`, ErrFailed},
		{`realm="zk-sasl-md5"`, `realm="elsewhere"`, ErrFailed},
		{`realm="zk-sasl-md5"`, `realm="zk-sasl-md5",realm="zk-sasl-md5"`, ErrFailed},
		{`realm="zk-sasl-md5"`, `realm=""`, ErrFailed},
		{`"zookeeper/zk-sasl-md5"`, `"zookeeper-quorum/zk-sasl-md5"`, ErrFailed},
		{"qop=auth", `qop=auth,authzid=""`, ErrMalformed},
		{"qop=auth", `qop=auth,authzid="super"`, ErrFailed},
		{"qop=auth", `qop=auth,x="`, ErrMalformed},
		{"qop=auth", `qop=auth,x="\`, ErrMalformed},
		{"qop=auth", `qop=auth,x="a"b`, ErrMalformed},
		{"qop=auth", `qop=auth,x`, ErrMalformed},
		{"qop=auth", `qop=auth,x=`, ErrMalformed},
		{"qop=auth", `qop=auth,=x`, ErrMalformed},
		{"qop=auth", "qop=auth,x=" + strings.Repeat("x", maxMessageBytes), ErrMalformed},
		{string(good), "", ErrMalformed},
	} {
		s := newServer()
		if _, err := s.Step(nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(good, []byte(test.old)) {
			t.Fatalf("the response %q does not contain %q", good, test.old)
		}
		_, err := s.Step([]byte(strings.Replace(string(good), test.old, test.new, 1)))
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%.40q for %.40q: %v, want %v", test.new, test.old, err, test.want)
		}
		if s.Done() != (test.want == nil) {
			t.Errorf("%.40q for %.40q: done is %v", test.new, test.old, s.Done())
		}
	}
}

func TestAuthorizationIDGivesNothing(t *testing.T) {
	s := newServer()
	if _, err := s.Step(nil); err != nil {
		t.Fatal(err)
	}
	p := proof{
		user: "alice", realm: ClientRealm, password: "secret", nonce: s.nonce, cnonce: "c",
		authorizationID: "super", digestURI: "zookeeper/zk-sasl-md5",
	}
	_, err := s.Step([]byte(`username="alice",realm="zk-sasl-md5",nonce="` + s.nonce + `",cnonce="c",nc=00000001,digest-uri="zookeeper/zk-sasl-md5",authzid="super",response=` + p.response()))
	if err != nil || s.User() != "alice" {
		t.Errorf("who asks to be super is %q, %v", s.User(), err)
	}
}

func TestBadChallenges(t *testing.T) {
	for _, challenge := range []string{
		"", `nonce="x"`, `algorithm=md5-sess`, `nonce="",algorithm=md5-sess`, `nonce="x",algorithm=md5`, `nonce="x",algorithm=md5-sess,qop="auth-conf"`,
		`nonce="x",algorithm=md5-sess,charset=latin1`, `nonce="x",nonce="x",algorithm=md5-sess`, `nonce="x`,
	} {
		c := newClient("alice", "secret")
		if answer, err := c.Step([]byte(challenge)); err == nil || answer != nil {
			t.Errorf("%q is answered with %q", challenge, answer)
		}
		if _, err := c.Step([]byte("rspauth=" + c.proof.confirmation())); !errors.Is(err, ErrState) {
			t.Errorf("a step after a bad challenge: %v", err)
		}
	}
	for _, challenge := range []string{`nonce="x",algorithm=md5-sess`, `realm="a",realm="b",nonce="x",algorithm=md5-sess,qop="auth-int,auth",maxbuf=1000`} {
		c := newClient("alice", "secret")
		if _, err := c.Step([]byte(challenge)); err != nil {
			t.Errorf("%q: %v", challenge, err)
		}
		if _, err := c.Step([]byte("rspauth=00")); !errors.Is(err, ErrFailed) || c.Done() {
			t.Errorf("a wrong proof of the server: %v, done is %v", err, c.Done())
		}
	}
}

func TestInitialResponseIsIgnored(t *testing.T) {
	want, err := newServer().Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer()
	if got, err := s.Step([]byte("x")); err != nil || !bytes.Equal(got, want) || s.Done() {
		t.Errorf("an initial response is answered with %q, %v, want the challenge", got, err)
	}
}

func TestShortNonce(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a nonce of no bytes is accepted")
		}
	}()
	NewServer(serverConfig(), nil)
}

func FuzzServer(f *testing.F) {
	f.Add([]byte(`username="alice",realm="zk-sasl-md5",nonce="x",cnonce="c",nc=00000001,digest-uri="zookeeper/zk-sasl-md5",response=00`))
	f.Fuzz(func(t *testing.T, token []byte) {
		s := newServer()
		if _, err := s.Step(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Step(token); err == nil && s.User() == "" {
			t.Error("success without a user")
		}
	})
}

func FuzzClient(f *testing.F) {
	f.Add([]byte(`realm="zk-sasl-md5",nonce="x",charset=utf-8,algorithm=md5-sess`), []byte("rspauth=00"))
	f.Fuzz(func(t *testing.T, challenge, proof []byte) {
		c := newClient("alice", "secret")
		answer, err := c.Step(challenge)
		if err != nil {
			return
		}
		if d, _, err := parse(answer); err != nil || d["username"] != "alice" {
			// A long realm or nonce makes an answer that is too long for a server.
			if len(answer) <= maxMessageBytes {
				t.Errorf("the own answer %q can't be read: %v", answer, err)
			}
		}
		c.Step(proof)
	})
}
