package mixedtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk"
)

// kind is whose server a member runs.
type kind string

const (
	ours kind = "ours"
	java kind = "Java"
)

// patience bounds every wait: the machine may be busy with much else.
const patience = 90 * time.Second

const (
	superAuth = "super:secret"
	// superDigest is what the servers are told of it: the SHA-1 of superAuth, in base64.
	superDigest = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
)

// settings are understood by both servers.
var settings = map[string]string{
	"extendedTypesEnabled":                     "true",
	"enforceQuota":                             "true",
	"digest.enabled":                           "true",
	"snapCount":                                "300", // several snapshots, and logs behind them
	"preAllocSize":                             "64",
	"snapshotSizeFactor":                       "-1", // who missed the committed log gets a snapshot
	"znode.container.checkIntervalMs":          "1000",
	"DigestAuthenticationProvider.superDigest": superDigest,
}

// member is one member's place: its ports and its directory. Servers of both kinds may
// take turns in it.
type member struct {
	*apache.Server
	id   int64
	kind kind
	dir  string
	cfg  apache.Config
	up   bool
}

func (m *member) String() string { return fmt.Sprintf("member %d (%s)", m.id, m.kind) }

// ensemble is three members and what a test does to them.
type ensemble struct {
	t       *testing.T
	members []*member
}

// newEnsemble lays an ensemble out and starts nothing. At the end of the test all servers
// end, and what the Java ones logged is read for signs of divergence.
func newEnsemble(t *testing.T, kinds ...kind) *ensemble {
	t.Helper()
	ports, err := apache.FreePorts(3 * len(kinds))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	peers := make([]apache.Peer, len(kinds))
	for i := range peers {
		peers[i] = apache.Peer{ID: int64(i + 1), QuorumPort: ports[3*i], ElectionPort: ports[3*i+1]}
	}
	e := &ensemble{t: t}
	for i, peer := range peers {
		e.members = append(e.members, &member{
			id: peer.ID, kind: kinds[i], dir: filepath.Join(dir, fmt.Sprint(peer.ID)),
			cfg: apache.Config{
				ID: peer.ID, ClientPort: ports[3*i+2], Peers: peers, HeapMB: 128, TickTimeMs: 2000, Extra: settings,
				JavaFlags: []string{"-Dznode.container.checkIntervalMs=1000"},
			},
		})
	}
	t.Cleanup(e.end)
	return e
}

func (e *ensemble) end() {
	for _, m := range e.members {
		if m.Server == nil {
			continue
		}
		_ = m.Kill()
		checkJavaLog(e.t, m)
		if e.t.Failed() {
			text, _ := os.ReadFile(m.LogFile)
			e.t.Logf("the log of %v ends:\n%s", m, text[max(0, len(text)-4000):])
		}
	}
}

// start starts a member on what it finds in its directory, without waiting for it.
func (e *ensemble) start(m *member) {
	e.t.Helper()
	cfg := m.cfg
	if m.kind == ours {
		cfg.Command = []string{nodeBinary, "serve"}
	}
	var err error
	if m.Server, err = apache.Start(m.dir, cfg); err != nil {
		e.t.Fatal(err)
	}
	m.up = true
}

// join starts a member and waits until it serves.
func (e *ensemble) join(m *member) {
	e.t.Helper()
	e.start(m)
	e.awaitServing()
}

// kill ends a member as a crash of its process does, stop as an operator does.
func (e *ensemble) kill(m *member) { e.end1(m, m.Kill) }
func (e *ensemble) stop(m *member) { e.end1(m, m.Stop) }

func (e *ensemble) end1(m *member, how func() error) {
	e.t.Helper()
	m.up = false
	if err := how(); err != nil {
		e.t.Fatal(err)
	}
}

// running are the members that are up.
func (e *ensemble) running() []*member {
	return slices.DeleteFunc(slices.Clone(e.members), func(m *member) bool { return !m.up })
}

// awaitServing waits until all members that are up serve, one of them as the leader.
func (e *ensemble) awaitServing() {
	e.t.Helper()
	for _, m := range e.running() {
		ctx, cancel := context.WithTimeout(e.t.Context(), patience)
		err := m.WaitReady(ctx)
		cancel()
		if err != nil {
			e.t.Fatalf("%v: %v", m, err)
		}
	}
	e.leader()
}

// leader waits for a leader.
func (e *ensemble) leader() (leader *member) {
	e.t.Helper()
	await(e.t, "a leader", func() bool {
		for _, m := range e.running() {
			if mode, err := apache.Mode(m.ClientAddr); err == nil && mode == "leader" {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

// startUnder starts all members so that the last one, which has the highest id, leads: it
// is elected with one other, before the rest could be without it.
func (e *ensemble) startUnder(last *member) {
	e.t.Helper()
	e.start(last)
	e.join(e.members[0])
	for _, m := range e.members {
		if !m.up {
			e.start(m)
		}
	}
	e.awaitServing()
	if leader := e.leader(); leader != last {
		e.t.Fatalf("%v leads, not %v", leader, last)
	}
}

// addresses is the connect string of the members.
func addresses(members ...*member) string {
	var addrs []string
	for _, m := range members {
		addrs = append(addrs, m.ClientAddr)
	}
	return strings.Join(addrs, ",")
}

// connect opens a session, which the test's end closes if the test has not.
func connect(t *testing.T, addrs string, opts ...zk.Option) *zk.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := zk.Connect(ctx, addrs, append([]zk.Option{zk.WithSessionTimeout(30 * time.Second)}, opts...)...)
	if err != nil {
		t.Fatalf("connect to %s: %v", addrs, err)
	}
	t.Cleanup(func() { c.Detach() })
	return c
}

// super opens a session that may do everything.
func super(t *testing.T, addrs string) *zk.Client {
	t.Helper()
	return connect(t, addrs, zk.WithAuth("digest", []byte(superAuth)))
}

// bye closes a session.
func bye(t *testing.T, c *zk.Client) {
	t.Helper()
	if err := c.Close(within(t)); err != nil {
		t.Fatalf("close a session: %v", err)
	}
}

// within bounds one call.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
