package member

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/internal/certs"
	"zoolab/node/vfs"
)

// quorumStores makes the stores of a member, and the settings that name them.
func quorumStores(t *testing.T) string {
	t.Helper()
	ca, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: "authority"}, CA: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := certs.New(certs.Template{Subject: pkix.Name{CommonName: "member"}, Hosts: []string{"127.0.0.1"}}, ca)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys, trusted := filepath.Join(dir, "key.p12"), filepath.Join(dir, "trust.p12")
	content, err := cert.KeyPKCS12("secret6")
	if err := certs.Write(keys, content, err); err != nil {
		t.Fatal(err)
	}
	content, err = ca.TrustPKCS12("secret6")
	if err := certs.Write(trusted, content, err); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("ssl.quorum.keyStore.location=%s\nssl.quorum.keyStore.password=secret6\n"+
		"ssl.quorum.trustStore.location=%s\nssl.quorum.trustStore.password=secret6\n", keys, trusted)
}

// quorumUsers makes the JAAS file of a member, and the setting that names it.
func quorumUsers(t *testing.T) string {
	t.Helper()
	const module = "org.apache.zookeeper.server.auth.DigestLoginModule required "
	file := filepath.Join(t.TempDir(), "jaas.conf")
	content := "QuorumServer { " + module + `user_member="secret"; };` + "\nQuorumLearner { " + module + `username="member" password="secret"; };`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return "java.security.auth.login.config=" + file + "\n"
}

// TestSwitchToTLSAndSASL switches an ensemble that is written to from plain connections to
// encrypted and authenticated ones, in three rounds of rolling restarts, as docs/tls.md
// says. Nothing acknowledged is lost, and at the end nobody gets in any other way.
func TestSwitchToTLSAndSASL(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts nine members; run without -short")
	}
	cfgs := ensemble(t, 3)
	base := make([]string, len(cfgs))
	for i, cfg := range cfgs {
		text, err := os.ReadFile(cfg.File)
		if err != nil {
			t.Fatal(err)
		}
		base[i] = string(text)
	}
	members := startAll(t, cfgs)
	acknowledged, stop := keepWriting(t, members)
	prepared := quorumStores(t) + quorumUsers(t)
	for round, settings := range []string{
		"portUnification=true\nquorum.auth.enableSasl=true\n",
		"portUnification=true\nsslQuorum=true\nquorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true\n",
		"sslQuorum=true\nquorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true\nquorum.auth.serverRequireSasl=true\n",
	} {
		for i := range members {
			members[i].stop()
			members[i] = start(t, load(t, filepath.Dir(cfgs[i].File), base[i]+prepared+settings), vfs.OS{})
			for _, m := range members {
				eventually(t, fmt.Sprintf("in round %d all serve after the restart of member %d", round+1, i+1), m.serves)
			}
			before := acknowledged.Load()
			eventually(t, "writes go on", func() bool { return acknowledged.Load() >= before+20 })
		}
	}
	written := int(stop())
	check(t, connect(t, members[0]), written)
	eventually(t, "all trees are equal", func() bool {
		a, b, c := members[0].replica.Tree(), members[1].replica.Tree(), members[2].replica.Tree()
		return a.LastZxid() == b.LastZxid() && b.LastZxid() == c.LastZxid() && a.Digest() == b.Digest() && b.Digest() == c.Digest()
	})
	own := cfgs[0].Membership.Servers[0].Addrs[0]
	for _, port := range []int{own.QuorumPort, own.ElectionPort} {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(make([]byte, 40))
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("port %d still takes a plain connection", port)
		}
	}
	eventually(t, "the log says why", func() bool { return members[0].log.count("it does not speak TLS") == 2 })
}

// keepWriting creates /n0, /n1 and so on through whichever members are there, each until it
// is acknowledged. stop ends it and returns how many there are.
func keepWriting(t *testing.T, members []*running) (acknowledged *atomic.Int64, stop func() int64) {
	t.Helper()
	c := connect(t, members...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	acknowledged = new(atomic.Int64)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			n := acknowledged.Load()
			_, err := c.Create(fmt.Sprintf("/n%d", n), []byte(fmt.Sprint(n)), 0, zk.WorldACL(zk.PermAll))
			if err == nil || errors.Is(err, zk.ErrNodeExists) { // an earlier attempt whose answer was lost
				acknowledged.Add(1)
				continue
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return acknowledged, func() int64 {
		cancel()
		<-done
		return acknowledged.Load()
	}
}
