package servetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
)

// TestNamesAppearAndMove starts members whose names do not resolve yet, their own included.
// The ensemble forms once two names appear, though the third member, whom nobody can find,
// wins the first election by the connections that it opens. It is taken in when its name
// appears, and a member that moved to another address is found. Each process has its own view of the
// machine's file of hosts, which the test changes.
func TestNamesAppearAndMove(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	names := func(lines ...string) {
		// In place, since the file is mounted.
		if err := os.WriteFile(hosts, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names("127.0.0.1 localhost")
	const mount = `mount --bind %s /etc/hosts && exec %s serve "$0"`
	if out, err := exec.CommandContext(t.Context(), "unshare", "-Urm", "mount", "--bind", hosts, "/etc/hosts").CombinedOutput(); err != nil {
		t.Skipf("no mount namespaces of one's own here: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	ports, err := apache.FreePorts(9)
	if err != nil {
		t.Fatal(err)
	}
	var peers []apache.Peer
	for i := range 3 {
		peers = append(peers, apache.Peer{ID: int64(i + 1), Host: fmt.Sprintf("zk%d.test", i+1), QuorumPort: ports[3*i], ElectionPort: ports[3*i+1]})
	}
	var members []*apache.Server
	start := func() {
		t.Helper()
		i := len(members)
		peer := peers[i]
		member, err := apache.Start(t.TempDir(), apache.Config{
			ID: peer.ID, ClientPort: ports[3*i+2], Peers: peers, TickTimeMs: 500,
			Command: []string{"unshare", "-Urm", "sh", "-c", fmt.Sprintf(mount, hosts, nodeBinary)},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = member.Kill() })
		members = append(members, member)
	}
	for range 3 {
		start()
	}
	serve := func(serving ...*apache.Server) {
		t.Helper()
		for _, member := range serving {
			if err := member.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, member := range members {
		awaitText(t, member.LogFile, "can't resolve this member's own name")
	}
	names("127.0.0.1 localhost", "127.0.0.1 zk1.test", "127.0.0.1 zk2.test")
	serve(members[0], members[1])
	awaitText(t, members[0].LogFile, "zk3.test")
	names("127.0.0.1 localhost", "127.0.0.1 zk1.test", "127.0.0.1 zk2.test", "127.0.0.1 zk3.test")
	serve(members[2])

	// The leader, so that the others must call the one that moved.
	if err := members[1].Kill(); err != nil {
		t.Fatal(err)
	}
	names("127.0.0.1 localhost", "127.0.0.1 zk1.test", "127.0.0.7 zk2.test", "127.0.0.1 zk3.test")
	serve(members[0], members[2])
	if err := members[1].Restart(); err != nil {
		t.Fatal(err)
	}
	serve(members...)
}

// awaitText waits until a file has a text.
func awaitText(t *testing.T, path, text string) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), text) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s never had %q (%v):\n%s", path, text, err, b)
		}
	}
}
