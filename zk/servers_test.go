package zk_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk"
)

// onServers runs a test against this repository's server and against Apache's. The
// servers are shared by all tests and have no znodes when one begins.
func onServers(t *testing.T, test func(t *testing.T, server *apache.Server)) {
	t.Run("node", func(t *testing.T) { test(t, emptied(t, shared(t, "node"))) })
	onApache(t, test)
}

// onApache runs a test against Apache's server.
func onApache(t *testing.T, test func(t *testing.T, server *apache.Server)) {
	t.Run("apache", func(t *testing.T) { test(t, emptied(t, shared(t, "apache"))) })
}

// onOwnServers is onServers for tests that end their server.
func onOwnServers(t *testing.T, test func(t *testing.T, server *apache.Server)) {
	for _, kind := range []string{"node", "apache"} {
		t.Run(kind, func(t *testing.T) { test(t, start(t, t.TempDir(), config(t, kind))) })
	}
}

// config describes a server of the kind, or skips the test.
func config(t *testing.T, kind string) apache.Config {
	t.Helper()
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	if kind == "node" {
		return apache.Config{Command: []string{nodeBinary(t), "serve"}}
	}
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	return apache.Config{}
}

// sharedServers are the servers that TestMain ends, by kind.
var sharedServers = map[string]*apache.Server{}

func shared(t *testing.T, kind string) *apache.Server {
	t.Helper()
	cfg := config(t, kind)
	if sharedServers[kind] == nil {
		dir, err := os.MkdirTemp("", "zk-test-"+kind)
		if err != nil {
			t.Fatal(err)
		}
		sharedServers[kind] = launch(t, dir, cfg)
	}
	ready(t, sharedServers[kind])
	return sharedServers[kind]
}

// emptied removes all znodes.
func emptied(t *testing.T, server *apache.Server) *apache.Server {
	t.Helper()
	c := connect(t, server.ClientAddr)
	removeBelow(deadline(t), t, c, "/")
	return server
}

func removeBelow(ctx context.Context, t *testing.T, c *zk.Client, path string) {
	children, err := c.Children(ctx, path)
	if err != nil && !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrNoAuth) {
		t.Fatal(err) // what can't be listed has no children here and can be deleted
	}
	for _, name := range children.Children {
		child := strings.TrimSuffix(path, "/") + "/" + name
		if child == "/zookeeper" {
			continue
		}
		removeBelow(ctx, t, c, child)
		if _, err := c.Delete(ctx, child, zk.AnyVersion); err != nil && !errors.Is(err, zk.ErrNoNode) {
			t.Fatal(err)
		}
	}
}

// nodeDir holds the built server; it is empty if no test needed one.
var nodeDir string

var buildNode = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "zk-test-node")
	if err != nil {
		return "", err
	}
	nodeDir = dir
	binary := filepath.Join(dir, "node")
	out, err := exec.Command("go", "build", "-o", binary, "zoolab/node").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build zoolab/node: %w\n%s", err, out)
	}
	return binary, nil
})

func nodeBinary(t *testing.T) string {
	t.Helper()
	binary, err := buildNode()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, server := range sharedServers {
		_ = server.Kill()
		os.RemoveAll(server.Dir)
	}
	if nodeDir != "" {
		os.RemoveAll(nodeDir)
	}
	os.Exit(code)
}

// start runs one standalone server until the test ends.
func start(t *testing.T, dir string, cfg apache.Config) *apache.Server {
	t.Helper()
	server := launch(t, dir, cfg)
	t.Cleanup(func() { _ = server.Kill() })
	ready(t, server)
	return server
}

func launch(t *testing.T, dir string, cfg apache.Config) *apache.Server {
	t.Helper()
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ClientPort = ports[0]
	cfg.TickTimeMs = 200
	cfg.Extra = map[string]string{"maxSessionTimeout": "20000"}
	server, err := apache.Start(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func ready(t *testing.T, server *apache.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

// connect opens a session that the test's end closes.
func connect(t *testing.T, connectString string, opts ...zk.Option) *zk.Client {
	t.Helper()
	ctx := deadline(t)
	c, err := zk.Connect(ctx, connectString, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}

// deadline bounds what one test waits for.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
