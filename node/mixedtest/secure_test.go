package mixedtest

import (
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/certs"
	"zoolab/zk/jute"
)

// TestObserverMastersSecured lets observers learn from followers over connections that are
// encrypted and authenticated: of this server's alone, and beside members of Apache's.
func TestObserverMastersSecured(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes; run without -short")
	}
	all := map[string][]kind{"ours alone": {ours, ours, ours, ours, ours}}
	for name, kinds := range observed {
		all[name] = kinds
	}
	for name, kinds := range all {
		t.Run(name, func(t *testing.T) {
			if slices.Contains(kinds, java) {
				requireFull(t)
				if err := apache.TLSAvailable(); err != nil {
					t.Skip(err)
				}
			}
			e := newObserved(t, kinds...)
			e.secure()
			e.startUnder(e.members[2])
			e.masters()
			e.throughObserver(e.members[3])
			e.throughObserver(e.members[4])
			for _, m := range e.members[:2] {
				if m.kind == ours {
					refusesPlain(t, m)
				}
			}
		})
	}
}

// secure makes all members encrypt and authenticate what they say to each other.
func (e *ensemble) secure() {
	t := e.t
	t.Helper()
	ca, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: "authority"}, CA: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"localhost"}
	for _, p := range e.members[0].cfg.Peers {
		hosts = append(hosts, p.Host)
	}
	cert, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: "member"}, Hosts: hosts}, ca)
	if err != nil {
		t.Fatal(err)
	}
	const password = "secret6"
	dir := t.TempDir()
	for key, store := range map[string]func() ([]byte, error){
		"keyStore":   func() ([]byte, error) { return cert.KeyJKS("member", password) },
		"trustStore": func() ([]byte, error) { return ca.TrustJKS(password) },
	} {
		path := filepath.Join(dir, key+".jks")
		content, err := store()
		if err := certs.Write(path, content, err); err != nil {
			t.Fatal(err)
		}
		e.set("ssl.quorum."+key+".location", path)
		e.set("ssl.quorum."+key+".password", password)
	}
	const module = "org.apache.zookeeper.server.auth.DigestLoginModule required "
	jaas := filepath.Join(dir, "jaas.conf")
	users := "QuorumServer { " + module + `user_member="secret"; };` + "\nQuorumLearner { " + module + `username="member" password="secret"; };`
	if err := os.WriteFile(jaas, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"sslQuorum", "quorum.auth.enableSasl", "quorum.auth.learnerRequireSasl", "quorum.auth.serverRequireSasl"} {
		e.set(key, "true")
	}
	e.set("java.security.auth.login.config", jaas)
	for _, m := range e.members {
		m.cfg.JavaFlags = append(m.cfg.JavaFlags, "-Djava.security.auth.login.config="+jaas)
	}
}

// refusesPlain calls a follower's observer master port as an observer that knows of neither TLS
// nor SASL would.
func refusesPlain(t *testing.T, m *member) {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(m.cfg.Peers[m.id-1].Host, m.cfg.Extra["observerMasterPort"]))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hello := jute.LearnerInfo{ServerID: 4, ProtocolVersion: 0x10000}
	packet := jute.QuorumPacket{Type: jute.PacketObserverInfo, Data: jute.Marshal(&hello)}
	if _, err := c.Write(jute.Marshal(&packet)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if answer, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) || len(answer) > 0 {
		t.Errorf("%v answers a plain connection with %x, %v", m, answer, err)
	}
	await(t, "the log says why", func() bool {
		text, err := os.ReadFile(m.LogFile)
		return err == nil && containsAll(string(text), "observer master port", "it does not speak TLS")
	})
}
