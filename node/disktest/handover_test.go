package disktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/internal/apache"
)

// patience bounds what these tests wait for, such as Java to start on a machine that does much else.
const patience = 2 * time.Minute

// place is one data directory, with the servers that take turns on it.
type place struct {
	t    *testing.T
	dir  string
	port int
	// open says that a server serves. Clients that live longer than a server dial only
	// then: Apache's leaves a connection open for good, and unanswered, that comes in the
	// moment between its listening and its loading of the data.
	open atomic.Bool
}

func newPlace(t *testing.T) *place {
	t.Helper()
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts Java processes; run without -short")
	}
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return &place{t: t, dir: t.TempDir(), port: ports[0]}
}

// dial is the dialer of clients.
func (p *place) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	if !p.open.Load() {
		return nil, errors.New("no server serves")
	}
	return net.DialTimeout(network, address, timeout)
}

// turn is a server's turn on the directory.
type turn struct {
	java     bool
	settings map[string]string
}

func (n turn) String() string {
	name := "ours"
	if n.java {
		name = "Apache"
	}
	if c := n.settings["snapshot.compression.method"]; c != "" {
		name += " with " + c
	}
	return name
}

// launch starts a server without waiting for it.
func (p *place) launch(n turn) *apache.Server {
	p.t.Helper()
	extra := map[string]string{
		"extendedTypesEnabled": "true",
		"snapCount":            "80", // several snapshots, and logs behind them
		"preAllocSize":         "64",
		"DigestAuthenticationProvider.superDigest": superDigest,
	}
	for key, value := range n.settings {
		extra[key] = value
	}
	cfg := apache.Config{ClientPort: p.port, TickTimeMs: 1000, Extra: extra}
	if !n.java {
		cfg.Command = []string{nodeBinary, "serve"}
	}
	s, err := apache.Start(p.dir, cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = s.Kill()
		if p.t.Failed() {
			text, _ := os.ReadFile(s.LogFile)
			p.t.Logf("%v's log ends:\n%s", n, text[max(0, len(text)-3000):])
		}
	})
	return s
}

// start starts a server and waits until it serves.
func (p *place) start(n turn) *apache.Server {
	p.t.Helper()
	s := p.launch(n)
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if err := s.WaitReady(ctx); err != nil {
		p.t.Fatalf("%v can't start from the directory: %v", n, err)
	}
	p.open.Store(true)
	return s
}

// kill ends a server as a crash of its process does.
func (p *place) kill(s *apache.Server) {
	p.t.Helper()
	p.open.Store(false)
	if err := s.Kill(); err != nil {
		p.t.Fatal(err)
	}
}

// files lists files of version-2 by a pattern.
func (p *place) files(pattern string) []string {
	p.t.Helper()
	found, err := filepath.Glob(filepath.Join(p.dir, "data", "version-2", pattern))
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

// killWhileWriting loads a server with writes below /load and kills it in the middle of
// them. It returns what was acknowledged.
func (p *place) killWhileWriting(s *apache.Server, round int) (acknowledged map[string]bool) {
	t := p.t
	t.Helper()
	const writers, enough = 4, 200
	acknowledged = make(map[string]bool)
	var mu sync.Mutex
	var count atomic.Int64
	var done sync.WaitGroup
	data := []byte(strings.Repeat("data", 500))
	for w := range writers {
		c := p.connect()
		done.Go(func() {
			defer c.Close()
			for i := 0; ; i++ {
				path := fmt.Sprintf("/load/%d-%d-%d", round, w, i)
				if _, err := c.Create(path, data[:i*97%len(data)], 0, zk.WorldACL(zk.PermAll)); err != nil {
					return
				}
				mu.Lock()
				acknowledged[path] = true
				mu.Unlock()
				count.Add(1)
			}
		})
	}
	for deadline := time.Now().Add(patience); count.Load() < enough; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d writes were acknowledged", count.Load())
		}
	}
	p.kill(s)
	done.Wait()
	return acknowledged
}

// noMismatch asks a server whether the tree's digest ever differed from what the log says.
func noMismatch(t *testing.T, s *apache.Server, who turn) {
	t.Helper()
	answer, err := apache.Command(s.ClientAddr, "mntr")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, "zk_digest_mismatches_count\t"); ok {
			if strings.TrimSpace(value) != "0" {
				t.Errorf("%v: the digest of the tree differs from the log's: %s", who, line)
			}
			return
		}
	}
	t.Errorf("%v counts no digest mismatches", who)
}

// TestHandover lets Apache's server and ours take turns on one directory. Each fills it
// with everything there is and is killed in the middle of writing; whoever comes next
// must have the same tree, every acknowledged write, and the session that lives through
// all of it with its ephemerals.
func TestHandover(t *testing.T) {
	p := newPlace(t)
	method := func(c string) map[string]string { return map[string]string{"snapshot.compression.method": c} }
	turns := []turn{
		{true, nil}, {false, method("gz")}, {true, method("snappy")}, {false, nil},
		{true, method("gz")}, {false, method("snappy")}, {true, nil},
	}
	var owner *zk.Conn
	var before dump
	var session int64
	acknowledged := make(map[string]bool)
	for round, n := range turns {
		s := p.start(n)
		t.Logf("round %d, %v", round, n)
		after := p.dumpTree()
		if before != nil {
			compare(t, fmt.Sprintf("round %d, %v", round, n), before, withoutLoad(after))
		}
		for path := range acknowledged {
			if after[path] == "" {
				t.Errorf("round %d, %v: %s was acknowledged and is gone", round, n, path)
			}
		}
		if owner == nil {
			// go-zookeeper's client comes back to its session after every kill.
			owner = p.connect()
			if _, err := owner.Create("/load", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
				t.Fatal(err)
			}
			session = owner.SessionID()
		}
		await(t, fmt.Sprintf("round %d, %v: the session is back", round, n), func() bool {
			_, _, err := owner.Exists("/") // its state may still be that of before
			return err == nil
		})
		if owner.SessionID() != session {
			t.Fatalf("round %d, %v: the session %x is lost, the client has %x", round, n, session, owner.SessionID())
		}
		plant(t, owner, fmt.Sprintf("round%d", round))
		before = withoutLoad(p.dumpTree())
		noMismatch(t, s, n)
		for path := range p.killWhileWriting(s, round) {
			acknowledged[path] = true
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	// What the kill left unacknowledged is the same to both, too.
	last := p.start(turn{false, nil})
	ours := p.dumpTree()
	if err := last.Stop(); err != nil {
		t.Fatal(err)
	}
	end := p.start(turn{true, nil})
	compare(t, "the end", ours, p.dumpTree())
	noMismatch(t, end, turn{true, nil})
	if len(p.files("snapshot.*.gz")) == 0 || len(p.files("snapshot.*.snappy")) == 0 || len(p.files("log.*")) < len(turns) {
		t.Fatalf("the directory has %v and %v", p.files("snapshot.*"), p.files("log.*"))
	}
	p.kill(end)
	compareTools(t, p)
}

// withoutLoad leaves out what is written while a server is killed.
func withoutLoad(d dump) dump {
	rest := make(dump)
	for path, line := range d {
		if path != "/load" && !strings.HasPrefix(path, "/load/") {
			rest[path] = line
		}
	}
	return rest
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestWithoutSnapshots: a directory with logs only is taken by both under the same setting,
// whoever wrote it, with the same tree.
func TestWithoutSnapshots(t *testing.T) {
	p := newPlace(t)
	trust := map[string]string{"snapshot.trust.empty": "true"}
	many := map[string]string{"snapCount": "100000"}
	s := p.start(turn{true, many})
	owner := p.connect()
	plant(t, owner, "a")
	before := p.dumpTree()
	for round, n := range []turn{{false, trust}, {true, trust}, {false, trust}} {
		p.kill(s)
		for _, name := range p.files("snapshot.*") {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		s = p.start(n)
		compare(t, fmt.Sprintf("round %d, %v", round, n), before, p.dumpTree())
		noMismatch(t, s, n)
	}
}
