package apache

import (
	"context"
	"crypto/x509/pkix"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zoolab/internal/certs"
)

// saslSettings are those under which members authenticate, and the flag that names the
// JAAS file to Java.
func saslSettings(t *testing.T) (settings map[string]string, flag string) {
	t.Helper()
	const module = "org.apache.zookeeper.server.auth.DigestLoginModule required"
	jaas := filepath.Join(t.TempDir(), "jaas.conf")
	content := "QuorumServer { " + module + ` user_member="quorum secret"; };` + "\n" +
		"QuorumLearner { " + module + ` username="member" password="quorum secret"; };` + "\n"
	if err := os.WriteFile(jaas, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"quorum.auth.enableSasl": "true", "quorum.auth.learnerRequireSasl": "true", "quorum.auth.serverRequireSasl": "true",
		"java.security.auth.login.config": jaas,
	}, "-Djava.security.auth.login.config=" + jaas
}

// tlsSettings are those under which members encrypt what they say, with one certificate.
func tlsSettings(t *testing.T) map[string]string {
	t.Helper()
	ca, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: "authority"}, CA: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: "member"}, Hosts: []string{"127.0.0.1", "localhost"}}, ca)
	if err != nil {
		t.Fatal(err)
	}
	const password = "secret6"
	dir := t.TempDir()
	settings := map[string]string{
		"sslQuorum":                      "true",
		"ssl.quorum.keyStore.password":   password,
		"ssl.quorum.trustStore.password": password,
	}
	for key, store := range map[string]func() ([]byte, error){
		"keyStore":   func() ([]byte, error) { return cert.KeyJKS("member", password) },
		"trustStore": func() ([]byte, error) { return ca.TrustJKS(password) },
	} {
		path := filepath.Join(dir, key+".jks")
		content, err := store()
		if err := certs.Write(path, content, err); err != nil {
			t.Fatal(err)
		}
		settings["ssl.quorum."+key+".location"] = path
	}
	return settings
}

// TestSecuredMixedEnsemble forms ensembles of this server and two of the original whose
// members want each other to authenticate, or to encrypt, with either kind as leader, and
// lets the leader die and come back.
func TestSecuredMixedEnsemble(t *testing.T) {
	requireApache(t)
	if err := TLSAvailable(); err != nil {
		t.Skip(err)
	}
	binary := buildNode(t)
	sasl, flag := saslSettings(t)
	encrypted := tlsSettings(t)
	both := maps.Clone(sasl)
	maps.Copy(both, encrypted)
	switching := maps.Clone(encrypted)
	switching["portUnification"] = "true"
	notYet := maps.Clone(switching)
	delete(notYet, "sslQuorum")
	for _, test := range []struct {
		name     string
		settings map[string]string
		ours     map[string]string // nil where they are the same
		oursLead bool
	}{
		{"SASL, this server leads", sasl, nil, true},
		{"TLS, this server leads", encrypted, nil, true},
		{"TLS and SASL, Java leads", both, nil, false},
		{"Java has switched, this server not yet", switching, notYet, true},
		{"this server has switched, Java not yet", notYet, switching, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			extra := maps.Clone(test.settings)
			if test.ours != nil {
				extra = maps.Clone(test.ours)
			}
			extra["extendedTypesEnabled"] = "true"
			ours := Config{Command: []string{binary, "serve"}, Extra: extra}
			java := Config{HeapMB: 128, JavaFlags: []string{flag}, Extra: test.settings}
			cfgs := []Config{ours, java, java}
			if test.oursLead {
				cfgs = []Config{java, java, ours}
			}
			members, err := StartEnsemble(ctx, t.TempDir(), cfgs...)
			if err != nil {
				t.Fatal(err)
			}
			defer StopAll(members)
			leader := leaderOf(t, members)
			if len(leader.cfg.Command) > 0 != test.oursLead {
				t.Fatalf("member %d leads", leader.cfg.ID)
			}
			writeEverywhere(t, members, "/first", 450)
			if err := leader.Kill(); err != nil {
				t.Fatal(err)
			}
			rest := slices.DeleteFunc(slices.Clone(members), func(m *Server) bool { return m == leader })
			for _, member := range rest {
				if err := member.WaitReady(ctx); err != nil {
					t.Fatal(err)
				}
			}
			writeEverywhere(t, rest, "/second", 300)
			if err := leader.Restart(); err != nil {
				t.Fatal(err)
			}
			if err := leader.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
			requireAgreement(t, members)
			requireUsed(t, members, test.settings)
		})
	}
}

// requireUsed finds in the logs of Java's members that they did what was asked of them.
func requireUsed(t *testing.T, members []*Server, settings map[string]string) {
	t.Helper()
	for _, member := range members {
		if len(member.cfg.Command) > 0 {
			continue
		}
		text, err := os.ReadFile(member.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		for key, sentence := range map[string]string{
			"sslQuorum":              "SSL handshake complete with",
			"quorum.auth.enableSasl": "Successfully completed the authentication using SASL",
		} {
			if settings[key] == "true" && !strings.Contains(string(text), sentence) {
				t.Errorf("member %d never logged %q", member.cfg.ID, sentence)
			}
		}
	}
}
