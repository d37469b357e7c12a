package tlsconf

import (
	"bytes"
	"crypto/tls"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/internal/certs"
)

// authority makes a certificate authority and certificates in a directory.
type authority struct {
	*certs.Cert
	t   *testing.T
	dir string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	ca, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: "CA"}, CA: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{Cert: ca, t: t, dir: t.TempDir()}
	a.write("ca.pem", certs.TrustPEM(ca.Leaf))
	return a
}

func (a *authority) write(name string, content []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := certs.Write(path, content, nil); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue writes NAME.pem with a key and its certificate.
func (a *authority) issue(name string, template certs.Template) Store {
	a.t.Helper()
	template.Subject.CommonName = name
	cert, err := certs.New(template, a.Cert)
	if err != nil {
		a.t.Fatal(err)
	}
	b, err := cert.KeyPEM()
	if err != nil {
		a.t.Fatal(err)
	}
	return Store{Path: a.write(name+".pem", b)}
}

func (a *authority) trust() Store { return Store{Path: filepath.Join(a.dir, "ca.pem")} }

func open(t *testing.T, s Settings) *Stores {
	t.Helper()
	stores, err := Open(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stores
}

// shake lets a client connect to a server, and returns what each has to say.
func shake(t *testing.T, server *tls.Config, client *tls.Config) (seen tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		secured := tls.Server(c, server)
		if serverErr = secured.Handshake(); serverErr == nil {
			seen = secured.ConnectionState()
			_, serverErr = secured.Write([]byte("x"))
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 1)) // in TLS 1.3 a refusal comes after the handshake
		c.Close()
	}
	<-done
	return seen, serverErr, err
}

func TestHandshakes(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	server := a.issue("server", certs.Template{Hosts: []string{"zk.example", "127.0.0.1"}})
	named := a.issue("named.example", certs.Template{})
	client := a.issue("client", certs.Template{Hosts: []string{"127.0.0.1"}})
	elsewhere := a.issue("elsewhere", certs.Template{Hosts: []string{"10.0.0.1"}})
	expired := a.issue("expired", certs.Template{NotAfter: time.Now().Add(-time.Hour)})
	stranger := other.issue("stranger", certs.Template{})
	mutual := Settings{KeyStore: server, TrustStore: a.trust()}
	with := func(s Settings, change func(*Settings)) Settings { change(&s); return s }
	for _, test := range []struct {
		name           string
		server, client Settings
		host           string
		subject        string // of the client, as the server sees it
		clientErr      string // the connection fails, and the client says so
		serverErr      string // the server says why
		version        uint16
	}{
		{name: "mutual", server: mutual, client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "zk.example", subject: "CN=client", version: tls.VersionTLS13},
		{name: "by address", server: mutual, client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "127.0.0.1", subject: "CN=client", version: tls.VersionTLS13},
		{name: "TLS 1.2 by the server", server: with(mutual, func(s *Settings) { s.Protocol = []uint16{tls.VersionTLS12} }),
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "zk.example", subject: "CN=client", version: tls.VersionTLS12},
		{name: "TLS 1.2 by the client", server: mutual,
			client: Settings{KeyStore: client, TrustStore: a.trust(), EnabledProtocols: []uint16{tls.VersionTLS12}}, host: "zk.example", subject: "CN=client", version: tls.VersionTLS12},
		{name: "no version in common", server: with(mutual, func(s *Settings) { s.EnabledProtocols = []uint16{tls.VersionTLS13} }),
			client: Settings{KeyStore: client, TrustStore: a.trust(), Protocol: []uint16{tls.VersionTLS12}}, host: "zk.example", clientErr: "protocol version", serverErr: "unsupported versions"},
		{name: "no suite of TLS 1.3", server: with(mutual, func(s *Settings) { s.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256} }),
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "zk.example", subject: "CN=client", version: tls.VersionTLS12},
		{name: "another host", server: mutual, client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "other.example",
			clientErr: "valid for zk.example, not other.example", serverErr: "bad certificate"},
		{name: "another address", server: mutual, client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "127.0.0.2",
			clientErr: "valid for 127.0.0.1, not 127.0.0.2", serverErr: "bad certificate"},
		{name: "any host", server: mutual, client: Settings{KeyStore: client, TrustStore: a.trust(), NoHostnameVerification: true}, host: "other.example",
			subject: "CN=client", version: tls.VersionTLS13},
		{name: "only a common name", server: with(mutual, func(s *Settings) { s.KeyStore = named }),
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "named.example", subject: "CN=client", version: tls.VersionTLS13},
		{name: "another common name", server: with(mutual, func(s *Settings) { s.KeyStore = named }),
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "zk.example", clientErr: "not zk.example", serverErr: "bad certificate"},
		{name: "a server that is not trusted", server: mutual, client: Settings{KeyStore: client, TrustStore: other.trust()}, host: "zk.example",
			clientErr: "unknown authority", serverErr: "bad certificate"},
		{name: "an expired server", server: with(mutual, func(s *Settings) { s.KeyStore = expired }),
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "expired", clientErr: "expired", serverErr: "bad certificate"},
		{name: "no client certificate", server: mutual, client: Settings{TrustStore: a.trust()}, host: "zk.example",
			clientErr: "certificate required", serverErr: "didn't provide a certificate"},
		{name: "a client that is not trusted", server: mutual, client: Settings{KeyStore: stranger, TrustStore: a.trust()}, host: "zk.example",
			clientErr: "unknown certificate authority", serverErr: "unknown authority"},
		{name: "an expired client", server: mutual, client: Settings{KeyStore: expired, TrustStore: a.trust()}, host: "zk.example",
			clientErr: "expired certificate", serverErr: "expired"},
		{name: "want, with a certificate", server: with(mutual, func(s *Settings) { s.ClientAuth = Want }),
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "zk.example", subject: "CN=client", version: tls.VersionTLS13},
		{name: "want, without one", server: with(mutual, func(s *Settings) { s.ClientAuth = Want }),
			client: Settings{TrustStore: a.trust()}, host: "zk.example", version: tls.VersionTLS13},
		{name: "want, with an expired one", server: with(mutual, func(s *Settings) { s.ClientAuth = Want }),
			client: Settings{KeyStore: expired, TrustStore: a.trust()}, host: "zk.example", clientErr: "expired certificate", serverErr: "expired"},
		{name: "want, without a trust store", server: Settings{KeyStore: server, ClientAuth: Want},
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "zk.example", clientErr: "unknown certificate authority", serverErr: "unknown authority"},
		{name: "none", server: Settings{KeyStore: server, ClientAuth: None},
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "zk.example", version: tls.VersionTLS13},
		{name: "a client at its address", server: with(mutual, func(s *Settings) { s.VerifyClientHostname = true }),
			client: Settings{KeyStore: client, TrustStore: a.trust()}, host: "zk.example", subject: "CN=client", version: tls.VersionTLS13},
		{name: "a client at another address", server: with(mutual, func(s *Settings) { s.VerifyClientHostname = true }),
			client: Settings{KeyStore: elsewhere, TrustStore: a.trust()}, host: "zk.example", clientErr: "bad certificate", serverErr: "valid for 10.0.0.1, not 127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			state, serverErr, clientErr := shake(t, open(t, test.server).Server(), open(t, test.client).Client(test.host))
			if !says(clientErr, test.clientErr) || !says(serverErr, test.serverErr) {
				t.Fatalf("client: %v, want %q; server: %v, want %q", clientErr, test.clientErr, serverErr, test.serverErr)
			}
			subject := ""
			if len(state.PeerCertificates) > 0 {
				var err error
				if subject, err = Subject(state.PeerCertificates[0]); err != nil {
					t.Fatal(err)
				}
			}
			if serverErr == nil && (subject != test.subject || state.Version != test.version) {
				t.Errorf("the client is %q with %s, want %q with %s", subject, tls.VersionName(state.Version), test.subject, tls.VersionName(test.version))
			}
		})
	}
}

// TestKnownHosts: a certificate for a host that the server knows is good for a client at
// any address, one for another host is not, and the hosts may change.
func TestKnownHosts(t *testing.T) {
	a := newAuthority(t)
	settings := Settings{KeyStore: a.issue("server", certs.Template{Hosts: []string{"zk.example"}}), TrustStore: a.trust(), VerifyClientHostname: true}
	member := open(t, Settings{KeyStore: a.issue("member", certs.Template{Hosts: []string{"zk2.example"}}), TrustStore: a.trust()})
	hosts := []string{"10.0.0.1", "zk1.example"}
	server := open(t, settings).ServerFor(func() []string { return hosts })
	if _, err, _ := shake(t, server, member.Client("zk.example")); !says(err, "127.0.0.1") {
		t.Errorf("of an unknown host: %v", err)
	}
	hosts = append(hosts, "zk2.example")
	if _, err, _ := shake(t, server, member.Client("zk.example")); err != nil {
		t.Errorf("of a known host: %v", err)
	}
}

func says(err error, want string) bool {
	if want == "" || err == nil {
		return want == "" && err == nil
	}
	return strings.Contains(err.Error(), want)
}

// TestReload replaces stores while a server and a client use them.
func TestReload(t *testing.T) {
	a, second := newAuthority(t), newAuthority(t)
	server := a.issue("server", certs.Template{Hosts: []string{"zk.example"}})
	var log bytes.Buffer
	stores, err := Open(Settings{KeyStore: server, TrustStore: a.trust()}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	stores.now = func() time.Time { return clock }
	config := stores.Server()
	kept := open(t, Settings{KeyStore: server, TrustStore: a.trust(), NoReload: true})
	connect := func(config *tls.Config, a *authority) (serial string) {
		t.Helper()
		clock = clock.Add(2 * lookEvery)
		client := open(t, Settings{KeyStore: a.issue("client", certs.Template{}), TrustStore: a.trust()}).Client("zk.example")
		verify := client.VerifyConnection
		client.VerifyConnection = func(state tls.ConnectionState) error {
			serial = state.PeerCertificates[0].SerialNumber.String()
			return verify(state)
		}
		if _, serverErr, clientErr := shake(t, config, client); serverErr != nil || clientErr != nil {
			t.Fatalf("server: %v, client: %v", serverErr, clientErr)
		}
		return serial
	}
	first := connect(config, a)
	if again := connect(config, a); again != first || log.Len() > 0 {
		t.Errorf("another certificate, or a message, though nothing changed: %s", log.String())
	}

	a.issue("server", certs.Template{Hosts: []string{"zk.example"}})
	renewed := connect(config, a)
	if renewed == first || strings.Count(log.String(), "took over") != 1 {
		t.Errorf("the new certificate is not in use:\n%s", log.String())
	}
	if got := connect(kept.Server(), a); got != first {
		t.Error("a certificate was read again although reloads are off")
	}

	a.write("server.pem", []byte("-----BEGIN garbage"))
	for range 3 {
		if got := connect(config, a); got != renewed {
			t.Error("a store that can't be read was taken over")
		}
	}
	if strings.Count(log.String(), "can't be used") != 1 {
		t.Errorf("want one message about the store that can't be read:\n%s", log.String())
	}

	// It is mended without a trace: size and time stay, as when only its owner was changed.
	damaged, err := os.Stat(filepath.Join(a.dir, "server.pem"))
	if err != nil {
		t.Fatal(err)
	}
	mended := a.issue("mended", certs.Template{Hosts: []string{"zk.example"}})
	content, err := os.ReadFile(mended.Path)
	if err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte("garbage\n"), len(content)/8+1)[:len(content)]
	for i, want := range [][]byte{garbage, content} {
		if err := os.WriteFile(server.Path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(server.Path, damaged.ModTime(), damaged.ModTime()); err != nil {
			t.Fatal(err)
		}
		if got := connect(config, a); (got != renewed) != (i == 1) {
			t.Errorf("try %d: the certificate is %s, that of before %s", i, got, renewed)
		}
	}

	// Another authority, on both sides.
	second.dir = a.dir
	second.write("ca.pem", certs.TrustPEM(second.Leaf))
	second.issue("server", certs.Template{Hosts: []string{"zk.example"}})
	if got := connect(config, second); got == renewed {
		t.Error("the certificate of the other authority is not in use")
	}
}

func TestExpiryIsLogged(t *testing.T) {
	a := newAuthority(t)
	for _, test := range []struct {
		name  string
		until time.Duration
		want  string
	}{
		{"expired", -time.Hour, "level=ERROR msg=\"a certificate has expired"},
		{"soon", time.Hour, "level=WARN msg=\"a certificate expires soon"},
		{"later", 365 * 24 * time.Hour, ""},
	} {
		var log bytes.Buffer
		store := a.issue(test.name, certs.Template{NotAfter: time.Now().Add(test.until)})
		if _, err := Open(Settings{KeyStore: store}, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if got := log.String(); !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s: the log is %q, want %q", test.name, got, test.want)
		}
	}
}
