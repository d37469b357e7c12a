package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/internal/apache"
	"zoolab/node/cli"
)

const jaasFile = `
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required user_bob="builder";
};
Client {
    org.apache.zookeeper.server.auth.DigestLoginModule required username="bob" password="builder";
};
Impostor {
    org.apache.zookeeper.server.auth.DigestLoginModule required username="bob" password="guess";
};
`

// run gives lines to a shell in this process and returns what it prints, and its code.
func run(t *testing.T, addr, lines string, args ...string) (out, complaints string, code int) {
	t.Helper()
	var o, e strings.Builder
	code = cli.Run(append([]string{"-server", addr, "-timeout", "10000"}, args...), "test",
		cli.Streams{In: strings.NewReader(lines), Out: &o, Err: &e})
	return o.String(), e.String(), code
}

// TestSASL proves who the shell's user is, as a JAAS file says.
func TestSASL(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	file := filepath.Join(t.TempDir(), "jaas.conf")
	if err := os.WriteFile(file, []byte(jaasFile), 0o600); err != nil {
		t.Fatal(err)
	}
	flag := "-Djava.security.auth.login.config=" + file
	for name, cfg := range map[string]apache.Config{
		"node": {Command: []string{nodeBinary(t), "serve"}, Extra: map[string]string{"java.security.auth.login.config": file}},
		"apache": {JavaFlags: []string{flag,
			"-Dzookeeper.authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"}},
	} {
		t.Run(name, func(t *testing.T) {
			if len(cfg.Command) == 0 {
				if err := apache.Available(); err != nil {
					t.Skip(err)
				}
			}
			server, err := start(t.TempDir(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Kill() }()
			t.Setenv("CLIENT_JVMFLAGS", flag)
			out, complaints, code := run(t, server.ClientAddr, "whoami\ncreate /bobs secret sasl:bob:cdrwa\nget /bobs")
			if code != 0 || !strings.Contains(out, "sasl: bob\n") || !strings.HasSuffix(out, "\nsecret\n") {
				t.Errorf("exit code %d:\n%s\n%s", code, out, complaints)
			}
			t.Setenv("CLIENT_JVMFLAGS", flag+" -Dzookeeper.sasl.client=false")
			if _, complaints, code = run(t, server.ClientAddr, "get /bobs"); code != 1 || complaints != "Insufficient permission : /bobs\n" {
				t.Errorf("without SASL: exit code %d: %s", code, complaints)
			}
			t.Setenv("CLIENT_JVMFLAGS", flag+" -Dzookeeper.sasl.clientconfig=Impostor")
			if _, complaints, code = run(t, server.ClientAddr, "get /bobs"); code != 1 || !strings.Contains(strings.ToLower(complaints), "auth") {
				t.Errorf("with a wrong password: exit code %d: %s", code, complaints)
			}
		})
	}
}

// TestTLS connects to a secure port, with a client's certificate, as a file of properties
// says.
func TestTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	stores, err := filepath.Abs("../../zk/tlsconf/testdata/stores")
	if err != nil {
		t.Fatal(err)
	}
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	ssl := func(prefix string) map[string]string {
		return map[string]string{
			prefix + "keyStore.location":   filepath.Join(stores, "server.jks"),
			prefix + "keyStore.password":   "secret6",
			prefix + "trustStore.location": filepath.Join(stores, "trust.p12"),
			prefix + "trustStore.password": "secret6",
		}
	}
	cfg := apache.Config{Command: []string{nodeBinary(t), "serve"}, Extra: ssl("ssl.")}
	cfg.Extra["secureClientPort"] = fmt.Sprint(ports[0])
	server, err := start(t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Kill() }()
	properties := "zookeeper.client.secure=true\n"
	for key, value := range ssl("zookeeper.ssl.") {
		properties += key + "=" + value + "\n"
	}
	file := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(file, []byte(properties), 0o600); err != nil {
		t.Fatal(err)
	}
	secure := fmt.Sprintf("127.0.0.1:%d", ports[0])
	out, complaints, code := run(t, secure, "whoami", "-client-configuration", file)
	if code != 0 || !strings.Contains(out, "x509: ") || !strings.Contains(out, "CN=server") {
		t.Errorf("exit code %d:\n%s\n%s", code, out, complaints)
	}
	if _, complaints, code = run(t, server.ClientAddr, "whoami", "-client-configuration", file, "-timeout", "1000"); code != 1 || complaints == "" {
		t.Errorf("a secure client on the plain port: exit code %d: %s", code, complaints)
	}
}
