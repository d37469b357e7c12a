package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/internal/apache"
	"zoolab/node/config"
	"zoolab/node/vfs"
)

// patience bounds every wait of these tests; nothing comes near it that works.
const patience = time.Minute

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// count returns how many lines have the text.
func (b *logBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), text)
}

// running is a member that runs until stop.
type running struct {
	*Member
	t      testing.TB
	log    *logBuffer
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Run; valid once ended is closed
}

// start runs a member on the file system.
func start(t testing.TB, cfg *config.Config, fs vfs.FS) *running {
	t.Helper()
	return startWith(t, cfg, seams{fs: fs})
}

func startWith(t testing.TB, cfg *config.Config, seams seams) *running {
	t.Helper()
	r := &running{t: t, log: new(logBuffer), ended: make(chan struct{})}
	var err error
	// A port that was free a moment ago may have become that of somebody's short connection.
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		r.Member, err = open(cfg, slog.New(slog.NewTextHandler(r.log, nil)), seams)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		r.err = r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		r.wait()
		if t.Failed() {
			t.Logf("member %d:\n%s", cfg.MyID, r.log.buf.String())
		}
	})
	return r
}

// wait returns what Run returns.
func (r *running) wait() error {
	select {
	case <-r.ended:
		return r.err
	case <-time.After(patience):
		r.t.Fatal("Run does not end")
		return nil
	}
}

// stop ends the member cleanly.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := r.wait(); err != nil {
		r.t.Fatalf("a clean end: %v", err)
	}
}

func (r *running) serves() bool { return r.replica.Status().Role.Established() }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// ports finds free loopback ports.
func ports(t testing.TB, n int) []int {
	t.Helper()
	found, err := apache.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// load writes and loads a zoo.cfg for a data directory.
func load(t testing.TB, dir, text string) *config.Config {
	t.Helper()
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(file, config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// standalone configures a server alone; extra are lines of zoo.cfg.
func standalone(t testing.TB, dir string, extra ...string) *config.Config {
	return load(t, dir, fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\ntickTime=500\nadmin.enableServer=false\n%s\n",
		dir, ports(t, 1)[0], strings.Join(extra, "\n")))
}

// limits let members that stall together, as those of one process on a busy machine do, keep
// their leader, and the disk be slow without a warning.
const limits = "initLimit=40\nsyncLimit=20\nfsync.warningthresholdms=60000\n"

// ensemble configures n members.
func ensemble(t testing.TB, n int, extra ...string) []*config.Config {
	free := ports(t, 3*n)
	var servers strings.Builder
	for i := range n {
		fmt.Fprintf(&servers, "server.%d=127.0.0.1:%d:%d\n", i+1, free[3*i], free[3*i+1])
	}
	cfgs := make([]*config.Config, n)
	for i := range cfgs {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "myid"), fmt.Appendf(nil, "%d\n", i+1), 0o600); err != nil {
			t.Fatal(err)
		}
		cfgs[i] = load(t, dir, fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\ntickTime=500\n"+
			"admin.enableServer=false\n"+
			"%s%s\n%s", dir, free[3*i+2], limits, strings.Join(extra, "\n"), servers.String()))
	}
	return cfgs
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// connect opens a session and waits until it is attached.
func connect(t testing.TB, members ...*running) *zk.Conn {
	t.Helper()
	var addresses []string
	for _, m := range members {
		addresses = append(addresses, m.Addr())
	}
	c, _, err := zk.Connect(addresses, 10*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	eventually(t, "the client has a session", func() bool { return c.State() == zk.StateHasSession })
	return c
}

// create makes /n<from> to /n<to-1> and returns how many were acknowledged.
func create(c *zk.Conn, from, to int) (acknowledged int, err error) {
	for i := from; i < to; i++ {
		_, err := c.Create(fmt.Sprintf("/n%d", i), []byte(fmt.Sprint(i)), 0, zk.WorldACL(zk.PermAll))
		if err != nil {
			return i - from, err
		}
	}
	return to - from, nil
}

// check finds /n0 to /n<to-1>.
func check(t testing.TB, c *zk.Conn, to int) {
	t.Helper()
	for i := range to {
		if data, _, err := c.Get(fmt.Sprintf("/n%d", i)); err != nil || string(data) != fmt.Sprint(i) {
			t.Fatalf("/n%d of %d: %q, %v", i, to, data, err)
		}
	}
}

// files lists version-2 of a data directory, by the start of the names.
func files(t testing.TB, dir, prefix string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "version-2", prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
