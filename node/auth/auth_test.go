package auth

import (
	"crypto"
	"reflect"
	"strings"
	"testing"

	"zoolab/zk/jute"
	"zoolab/zk/sasl"
)

func TestDigest(t *testing.T) {
	// The first value is the one that ZooKeeper's administrator guide computes for
	// super:test, the others are what Java's MessageDigest gives.
	for name, want := range map[string]string{
		"SHA1": "D/InIHSb7yEEbrWz8b9l71RjZJU=", "sha": "D/InIHSb7yEEbrWz8b9l71RjZJU=", "SHA-1": "D/InIHSb7yEEbrWz8b9l71RjZJU=",
		"MD5":     "yzhcGieXAe2NBWh0Znxa3g==",
		"SHA-256": "wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig=", "sha256": "wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig=",
		"SHA-512":     "cMAGk13FCMtJkaVQImGEKhjqoGELCiVjYdIhiD8stB1FnIpdGeFvKwAHh5mf4tUYmBR2ZY9181dZTXEHMlkVhg==",
		"SHA-512/256": "GV6U44a5U7SXgFZS9GkWgmwq2+im64wGlYXjCHia3mo=",
		"SHA3-256":    "cRy/KPYuDpW/dtsepniTMpuiuupnWgdU9txltIfv3hA=",
	} {
		algorithm, ok := DigestAlgorithm(name)
		if !ok {
			t.Errorf("%s is unknown", name)
		} else if got := DigestWith(algorithm, "super:test"); got != "super:"+want {
			t.Errorf("%s of super:test is %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"", "SHA-999", "CRC32"} {
		if _, ok := DigestAlgorithm(name); ok {
			t.Errorf("%q is known", name)
		}
	}
	if got, want := Digest("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU="; got != want {
		t.Errorf("digest of super:test is %s, want %s", got, want)
	}
	if got := Digest("alone"); !strings.HasPrefix(got, "alone:") {
		t.Errorf("digest of a user without password is %s", got)
	}
}

func id(scheme, id string) jute.ID { return jute.ID{Scheme: scheme, ID: id} }

func TestAuthenticate(t *testing.T) {
	withSuper := Authenticator{SuperDigest: Digest("super:test")}
	address := id("ip", "10.0.0.1")
	subject := id("x509", "CN=bob")
	for _, c := range []struct {
		name        string
		a           Authenticator
		scheme      string
		credentials []byte
		have        []jute.ID
		want        []jute.ID
		verdict     Verdict
	}{
		{"super digest", withSuper, "digest", []byte("super:test"), nil, []jute.ID{id("digest", Digest("super:test")), id("super", "")}, Accepted},
		{"other password", withSuper, "digest", []byte("super:wrong"), nil, []jute.ID{id("digest", Digest("super:wrong"))}, Accepted},
		{"no super digest", Authenticator{}, "digest", []byte("super:test"), nil, []jute.ID{id("digest", Digest("super:test"))}, Accepted},
		{"other algorithm", Authenticator{Digest: crypto.MD5}, "digest", []byte("super:test"), nil, []jute.ID{id("digest", "super:yzhcGieXAe2NBWh0Znxa3g==")}, Accepted},
		{"no credentials", Authenticator{}, "digest", nil, nil, nil, Refused},
		{"empty credentials", Authenticator{}, "digest", []byte{}, nil, []jute.ID{id("digest", Digest(""))}, Accepted},
		{"digest disabled", Authenticator{NoDigest: true}, "digest", []byte("u:p"), nil, nil, Refused},
		{"ip", Authenticator{}, "ip", nil, []jute.ID{address}, nil, Accepted},
		{"x509", Authenticator{X509: true}, "x509", nil, []jute.ID{address, subject}, nil, Accepted},
		{"x509 without certificate", Authenticator{X509: true}, "x509", []byte("CN=bob"), []jute.ID{address}, nil, Refused},
		{"x509 not configured", Authenticator{}, "x509", nil, []jute.ID{address, subject}, nil, Refused},
		{"sasl by auth", Authenticator{Users: map[string]string{"bob": "pw"}}, "sasl", []byte("bob"), nil, nil, Refused},
		{"super by auth", withSuper, "super", []byte("super:test"), nil, nil, Refused},
		{"world", withSuper, "world", []byte("anyone"), nil, nil, Refused},
		{"auth", withSuper, "auth", nil, nil, nil, Refused},
		{"nonsense", withSuper, "nonsense", nil, nil, nil, Refused},
		{"empty", withSuper, "", nil, nil, nil, Refused},
		{"ensemble", Authenticator{Ensemble: true, EnsembleNames: []string{"a", "b"}}, "ensemble", []byte("b"), nil, nil, Accepted},
		{"any ensemble", Authenticator{Ensemble: true}, "ensemble", []byte("c"), nil, nil, Accepted},
		{"no ensemble named", Authenticator{Ensemble: true, EnsembleNames: []string{"a"}}, "ensemble", nil, nil, nil, Accepted},
		{"other ensemble", Authenticator{Ensemble: true, EnsembleNames: []string{"a", "b"}}, "ensemble", []byte("c"), nil, nil, Elsewhere},
		{"ensemble not configured", Authenticator{}, "ensemble", []byte("a"), nil, nil, Refused},
	} {
		got, verdict := c.a.Authenticate(c.scheme, c.credentials, c.have)
		if verdict != c.verdict || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v %v, want %v %v", c.name, verdict, got, c.verdict, c.want)
		}
	}
}

func TestCertificate(t *testing.T) {
	a := Authenticator{X509: true, X509Super: "CN=root"}
	if got, want := a.Certificate("CN=bob"), []jute.ID{id("x509", "CN=bob")}; !reflect.DeepEqual(got, want) {
		t.Errorf("bob is %v, want %v", got, want)
	}
	if got, want := a.Certificate("CN=root"), []jute.ID{id("x509", "CN=root"), id("super", "CN=root")}; !reflect.DeepEqual(got, want) {
		t.Errorf("root is %v, want %v", got, want)
	}
	nobody := Authenticator{X509: true}
	if got, want := nobody.Certificate(""), []jute.ID{id("x509", "")}; !reflect.DeepEqual(got, want) {
		t.Errorf("the empty name is %v, want %v", got, want)
	}
	off := Authenticator{X509Super: "CN=root"}
	if got := off.Certificate("CN=root"); got != nil {
		t.Errorf("without the scheme a certificate is %v", got)
	}
}

func TestSASL(t *testing.T) {
	none := Authenticator{}
	if none.SASL(nil) != nil {
		t.Error("there is SASL without users")
	}
	a := Authenticator{Users: map[string]string{"bob": "pw"}, SASLSuperUsers: []string{"bob"}}
	nonce := make([]byte, sasl.NonceBytes)
	client := sasl.NewClient(sasl.ClientConfig{User: "bob", Password: "pw", Protocol: sasl.ClientProtocol, Realm: sasl.ClientRealm}, nonce)
	server := a.SASL(nonce)
	token := []byte{}
	for !client.Done() {
		var err error
		if token, err = server.Step(token); err != nil {
			t.Fatal(err)
		}
		if token, err = client.Step(token); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := a.SASLUser(server.User()), []jute.ID{id("sasl", "bob"), id("super", "")}; !reflect.DeepEqual(got, want) {
		t.Errorf("bob is %v, want %v", got, want)
	}
	if got, want := a.SASLUser("eve"), []jute.ID{id("sasl", "eve")}; !reflect.DeepEqual(got, want) {
		t.Errorf("eve is %v, want %v", got, want)
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"10.1.2.3": "10.1.2.3", "::1": "0:0:0:0:0:0:0:1", "2001:db8::a:0": "2001:db8:0:0:0:0:a:0", "fe80::1%eth0": "fe80:0:0:0:0:0:0:1%eth0", "": "", "pipe": "pipe",
	} {
		if got := Address(in); got != id("ip", want) {
			t.Errorf("%q is %v, want %s", in, got, want)
		}
	}
}
