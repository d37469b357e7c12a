package servetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
)

// named is an ensemble of three whose members, zk1.test and so on, see a file of hosts of their own.
type named struct {
	t       *testing.T
	ctx     context.Context
	hosts   string
	members []*apache.Server
}

// startNamed starts the members, with the lines of the file of hosts at the start.
func startNamed(t *testing.T, lines ...string) *named {
	t.Helper()
	n := &named{t: t, hosts: filepath.Join(t.TempDir(), "hosts")}
	n.names(lines...)
	const mount = `mount --bind %s /etc/hosts && exec %s serve "$0"`
	if out, err := exec.CommandContext(t.Context(), "unshare", "-Urm", "mount", "--bind", n.hosts, "/etc/hosts").CombinedOutput(); err != nil {
		t.Skipf("no mount namespaces of one's own here: %v: %s", err, out)
	}
	var cancel context.CancelFunc
	n.ctx, cancel = context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	ports, err := apache.FreePorts(9)
	if err != nil {
		t.Fatal(err)
	}
	var peers []apache.Peer
	for i := range 3 {
		peers = append(peers, apache.Peer{ID: int64(i + 1), Host: fmt.Sprintf("zk%d.test", i+1), QuorumPort: ports[3*i], ElectionPort: ports[3*i+1]})
	}
	for i, peer := range peers {
		member, err := apache.Start(t.TempDir(), apache.Config{
			ID: peer.ID, ClientPort: ports[3*i+2], Peers: peers, TickTimeMs: 500,
			Command: []string{"unshare", "-Urm", "sh", "-c", fmt.Sprintf(mount, n.hosts, nodeBinary)},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = member.Kill() })
		n.members = append(n.members, member)
	}
	return n
}

// names replaces the lines of the file of hosts.
func (n *named) names(lines ...string) {
	n.t.Helper()
	// In place, since the file is mounted.
	if err := os.WriteFile(n.hosts, []byte("127.0.0.1 localhost\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// serve waits until the members serve.
func (n *named) serve(members ...*apache.Server) {
	n.t.Helper()
	for _, member := range members {
		if err := member.WaitReady(n.ctx); err != nil {
			n.t.Fatal(err)
		}
	}
}

// TestNamesAppearAndMove starts members whose names do not resolve yet, their own included.
// The ensemble forms once two names appear, though the third member, whom nobody can find,
// wins the first election by the connections that it opens. It is taken in when its name
// appears, and a member that moved to another address is found. Each process has its own view of the
// machine's file of hosts, which the test changes.
func TestNamesAppearAndMove(t *testing.T) {
	n := startNamed(t)
	members := n.members
	for _, member := range members {
		awaitText(t, member.LogFile, "can't resolve this member's own name")
	}
	n.names("127.0.0.1 zk1.test", "127.0.0.1 zk2.test")
	n.serve(members[0], members[1])
	awaitText(t, members[0].LogFile, "zk3.test")
	n.names("127.0.0.1 zk1.test", "127.0.0.1 zk2.test", "127.0.0.1 zk3.test")
	n.serve(members[2])

	// The leader, so that the others must call the one that moved.
	if err := members[1].Kill(); err != nil {
		t.Fatal(err)
	}
	n.names("127.0.0.1 zk1.test", "127.0.0.7 zk2.test", "127.0.0.1 zk3.test")
	n.serve(members[0], members[2])
	if err := members[1].Restart(); err != nil {
		t.Fatal(err)
	}
	n.serve(members...)
}

// TestNameServicesFail takes all names away from members that run, and then the leader: it is
// replaced nevertheless.
func TestNameServicesFail(t *testing.T) {
	n := startNamed(t, "127.0.0.1 zk1.test", "127.0.0.1 zk2.test", "127.0.0.1 zk3.test")
	n.serve(n.members...)
	n.names()
	const hostsKnown = 5 * time.Second // Go's resolver remembers the file of hosts
	time.Sleep(hostsKnown + time.Second)
	i := slices.Index(n.members, byMode(t, n.members, "leader"))
	if err := n.members[i].Kill(); err != nil {
		t.Fatal(err)
	}
	left := slices.Delete(slices.Clone(n.members), i, i+1)
	n.serve(left...)
	awaitText(t, left[0].LogFile, "can't resolve a peer's name, calling it where it was last")
}

// awaitText waits until a file has a text.
func awaitText(t *testing.T, path, text string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), text) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s never had %q (%v):\n%s", path, text, err, b)
		}
	}
}
