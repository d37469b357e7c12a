package servetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk"
	"zoolab/zk/tlsconf"
)

// clientSubject is the subject of the stores called client, as ACLs name it.
const clientSubject = `CN=client,OU=R\+D,O=Example\, Inc.,C=DE`

// tlsConfig is a configuration with a secure port and the stores called server.
func tlsConfig(t *testing.T, keyType string, extra map[string]string) (config map[string]string, secureAddress string) {
	t.Helper()
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	config = map[string]string{
		"secureClientPort":        fmt.Sprint(ports[0]),
		"secureClientPortAddress": "127.0.0.1",
		"ssl.keyStore.location":   filepath.Join(stores, "server."+keyType),
		"ssl.trustStore.location": trustStore(keyType),
	}
	if keyType != "pem" {
		config["ssl.keyStore.password"], config["ssl.trustStore.password"] = "secret6", "secret6"
	}
	for key, value := range extra {
		config[key] = value
	}
	return config, fmt.Sprintf("127.0.0.1:%d", ports[0])
}

func trustStore(storeType string) string {
	if storeType == "pem" {
		return filepath.Join(stores, "ca.pem")
	}
	return filepath.Join(stores, "trust."+storeType)
}

// javaShell runs one command of zkCli.sh's shell over TLS and returns what it printed.
func javaShell(t *testing.T, address, storeType, protocol string, command ...string) string {
	t.Helper()
	flags := []string{
		"-Dzookeeper.client.secure=true", "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty",
		"-Dzookeeper.ssl.protocol=" + protocol,
		"-Dzookeeper.ssl.keyStore.location=" + filepath.Join(stores, "client."+storeType),
		"-Dzookeeper.ssl.trustStore.location=" + trustStore(storeType),
	}
	if storeType != "pem" {
		flags = append(flags, "-Dzookeeper.ssl.keyStore.password=secret6", "-Dzookeeper.ssl.trustStore.password=secret6")
	}
	return java(t, flags, address, command...)
}

// java runs one command of zkCli.sh's shell with the given system properties.
func java(t *testing.T, flags []string, address string, command ...string) string {
	t.Helper()
	args := append([]string{"-Xmx64m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}, flags...)
	args = append(args, "-cp", apache.ClassPath()+":/usr/share/java/commons-cli.jar", "org.apache.zookeeper.ZooKeeperMain", "-timeout", "30000", "-server", address)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "java", append(args, command...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("zkCli.sh %s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

// connect opens a session of our client over TLS with the stores of a name; "" for a
// client without a certificate.
func connect(t *testing.T, address, name string) *zk.Client {
	t.Helper()
	settings := tlsconf.Settings{TrustStore: tlsconf.Store{Path: trustStore("p12"), Password: "secret6"}}
	if name != "" {
		settings.KeyStore = tlsconf.Store{Path: filepath.Join(stores, name), Password: "secret6"}
	}
	opened, err := tlsconf.Open(settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := zk.Connect(ctx, address, zk.WithDialer(opened.Dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Detach() })
	return c
}

// TestJavaOverTLS connects Java's client with stores of each type, with each version of
// TLS, with a certificate of its own and without.
func TestJavaOverTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Java; run without -short")
	}
	if err := apache.TLSAvailable(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	for _, test := range []struct {
		server, client, protocol string
		extra                    map[string]string
		mutual                   bool
	}{
		{"jks", "jks", "TLSv1.2", nil, true},
		{"p12", "p12", "TLSv1.3", map[string]string{"ssl.enabledProtocols": "TLSv1.3"}, true},
		{"pem", "pem", "TLSv1.3", map[string]string{"ssl.clientAuth": "want", "ssl.ciphersuites": "TLS_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}, true},
		{"p12", "jks", "TLSv1.2", map[string]string{"ssl.clientAuth": "none", "ssl.ciphersuites": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}, false},
	} {
		t.Run(fmt.Sprintf("%s to %s, %s, mutual %v", test.client, test.server, test.protocol, test.mutual), func(t *testing.T) {
			t.Parallel()
			config, address := tlsConfig(t, test.server, test.extra)
			s := startNode(t, config)
			if !test.mutual {
				if out := javaShell(t, address, test.client, test.protocol, "whoami"); strings.Contains(out, "x509") || !strings.Contains(out, "ip: 127.0.0.1") {
					t.Errorf("whoami says\n%s", out)
				}
				return
			}
			// An ACL "auth" is for whom the client has proven to be.
			javaShell(t, address, test.client, test.protocol, "create", "/mine", "x", "auth::cdrwa")
			certified := connect(t, address, "client.jks")
			acl, err := certified.GetACL(t.Context(), "/mine")
			if err != nil || len(acl.ACL) != 1 || acl.ACL[0].ID.Scheme != "x509" || acl.ACL[0].ID.ID != clientSubject {
				t.Errorf("the ACL is %+v, %v; want that of %s", acl, err, clientSubject)
			}
			if _, err := certified.Get(t.Context(), "/mine"); err != nil {
				t.Errorf("the client of the certificate can't read: %v", err)
			}
			plain, err := zk.Connect(t.Context(), s.ClientAddr)
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Detach()
			if _, err := plain.Get(t.Context(), "/mine"); !errors.Is(err, zk.ErrNoAuth) {
				t.Errorf("a client without the certificate reads: %v", err)
			}
		})
	}
}

// TestPortUnification lets Java's client and ours, with TLS and without, share a port.
func TestPortUnification(t *testing.T) {
	t.Parallel()
	config, _ := tlsConfig(t, "jks", map[string]string{"client.portUnification": "true"})
	delete(config, "secureClientPort")
	delete(config, "secureClientPortAddress")
	s := startNode(t, config)
	encrypted := connect(t, s.ClientAddr, "client.p12")
	plain, err := zk.Connect(t.Context(), s.ClientAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Detach()
	for c, want := range map[*zk.Client]string{encrypted: clientSubject, plain: ""} {
		who, _, err := c.WhoAmI(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := subjectOf(who); got != want {
			t.Errorf("a client is %q, want %q", got, want)
		}
	}
	awaitAgreement(t, func() string { // who asked before may still be counted
		if answer := ask(t, s, "srvr"); !strings.Contains(answer, "Connections: 3\n") {
			return "the connections are not counted alike:\n" + answer
		}
		return ""
	})
	t.Run("java", func(t *testing.T) {
		if err := apache.TLSAvailable(); err != nil || testing.Short() {
			t.Skip("needs Java: ", err)
		}
		if out := javaShell(t, s.ClientAddr, "jks", "TLSv1.3", "whoami"); !strings.Contains(out, "x509: "+clientSubject) {
			t.Errorf("whoami says\n%s", out)
		}
		if out := java(t, nil, s.ClientAddr, "whoami"); strings.Contains(out, "x509") || !strings.Contains(out, "ip: 127.0.0.1") {
			t.Errorf("whoami without TLS says\n%s", out)
		}
	})
}

func subjectOf(who []zk.ClientInfo) string {
	for _, id := range who {
		if id.AuthScheme == "x509" {
			return id.User
		}
	}
	return ""
}

// TestOurClientToApacheOverTLS connects our client to the original's secure port, which
// must name it as our server does.
func TestOurClientToApacheOverTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Java; run without -short")
	}
	if err := apache.TLSAvailable(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	config, address := tlsConfig(t, "jks", map[string]string{
		"serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory", "ssl.enabledProtocols": "TLSv1.2,TLSv1.3",
	})
	startServer(t, config)
	c := connect(t, address, "client.p12")
	who, _, err := c.WhoAmI(t.Context())
	if err != nil || subjectOf(who) != clientSubject {
		t.Errorf("Apache's server takes the client for %+v (%v), want %s", who, err, clientSubject)
	}
	if _, err := c.Create(t.Context(), "/mine", []byte("x"), zk.Persistent, zk.AuthACL(zk.PermAll)...); err != nil {
		t.Error(err)
	}
}

// TestRenewedCertificate replaces a running server's key store.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	copied := filepath.Join(t.TempDir(), "server.store")
	replace := func(with string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(stores, with))
		if err == nil {
			err = os.WriteFile(copied, b, 0o600) // in place, as an operator's cp does
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	replace("server.jks")
	config, address := tlsConfig(t, "jks", map[string]string{"ssl.keyStore.location": copied, "ssl.clientAuth": "none"})
	s := startNode(t, config)
	shown := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := shown(); got != "server" {
		t.Fatalf("the certificate is of %q", got)
	}
	session := connect(t, address, "")
	replace("rsa.p12")
	for deadline := time.Now().Add(patience); shown() != "rsa"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the new certificate is not in use:\n%s", logOf(t, s))
		}
	}
	if _, err := session.Exists(t.Context(), "/"); err != nil {
		t.Errorf("a session from before is disturbed: %v", err)
	}
}

// TestTLSPortIsAPort holds the limits of plain ports against the secure one.
func TestTLSPortIsAPort(t *testing.T) {
	t.Parallel()
	config, address := tlsConfig(t, "p12", map[string]string{
		"maxClientCnxns": "2", "nio.sessionlessCnxnTimeout": "4000", "ssl.handshakeDetectionTimeoutMillis": "3000", "4lw.commands.whitelist": "*",
	})
	s := startNode(t, config)
	client, err := tlsconf.Open(tlsconf.Settings{
		KeyStore:   tlsconf.Store{Path: filepath.Join(stores, "client.jks"), Password: "secret6"},
		TrustStore: tlsconf.Store{Path: trustStore("jks"), Password: "secret6"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{"ruok": "imok", "srvr": "Mode: standalone", "mntr": "zk_unsuccessful_handshake\t", "cons": "recved="} {
		awaitAgreement(t, func() string { // who asked before may still have one of the two places
			if answer, err := askSecurely(client, address, word); err != nil || !strings.Contains(answer, want) {
				return fmt.Sprintf("%s is answered %q, %v", word, answer, err)
			}
			return ""
		})
	}
	ends := func(name string, c net.Conn) {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection is not closed (%v)", name, err)
		}
		c.Close()
	}
	var sessionless net.Conn
	awaitDone(t, func() (err error) { sessionless, err = client.Dial(t.Context(), "tcp", address); return err })
	ends("no session", sessionless)
	silent, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ends("silent", silent)
	awaitCount := func(name, value string) {
		t.Helper()
		for deadline := time.Now().Add(patience); !strings.Contains(ask(t, s, "mntr"), "zk_"+name+"\t"+value+"\n"); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not %s:\n%s", name, value, ask(t, s, "mntr"))
			}
		}
	}
	awaitCount("sessionless_connections_expired", "2")
	awaitCount("num_alive_connections", "1")
	connect(t, address, "client.jks")
	connect(t, address, "client.p12")
	third, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ends("too many from one address", third)
}
