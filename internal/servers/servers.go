// Package servers runs tests of clients against this repository's server and against
// Apache's: one process of each kind for all tests of a package, which TestMain ends.
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk"
)

// patience bounds what one test waits for, such as Java to start on a machine that does much else.
const patience = 3 * time.Minute

// Each runs a test against both servers, which have no znodes when it begins.
func Each(t *testing.T, test func(t *testing.T, server *apache.Server)) {
	t.Run("node", func(t *testing.T) { test(t, emptied(t, shared(t, "node"))) })
	Apache(t, test)
}

// Apache is Each for Apache's server alone.
func Apache(t *testing.T, test func(t *testing.T, server *apache.Server)) {
	t.Run("apache", func(t *testing.T) { test(t, emptied(t, shared(t, "apache"))) })
}

// EachOwn is Each for tests that end their server.
func EachOwn(t *testing.T, test func(t *testing.T, server *apache.Server)) {
	for _, kind := range []string{"node", "apache"} {
		t.Run(kind, func(t *testing.T) { test(t, Start(t, t.TempDir(), Config(t, kind))) })
	}
}

// Config describes a server of the kind "node" or "apache"; it skips the test where
// there is none, and in short tests.
func Config(t *testing.T, kind string) apache.Config {
	t.Helper()
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	if kind == "node" {
		binary, err := buildNode()
		if err != nil {
			t.Fatal(err)
		}
		return apache.Config{Command: []string{binary, "serve"}}
	}
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	return apache.Config{}
}

// Start runs one standalone server until the test ends.
func Start(t *testing.T, dir string, cfg apache.Config) *apache.Server {
	t.Helper()
	server := launch(t, dir, cfg)
	t.Cleanup(func() { _ = server.Kill() })
	Ready(t, server)
	return server
}

// Ready waits until the server serves.
func Ready(t *testing.T, server *apache.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

// sessionTimeout is that of sessions whose end no test waits for: a connection on which one
// side stands still for some seconds, as on a busy machine, is not given up.
const sessionTimeout = time.Minute

// Connect opens a session that the test's end closes.
func Connect(t *testing.T, connectString string, opts ...zk.Option) *zk.Client {
	t.Helper()
	// Apache's server may never answer who comes early in its start: try again in time.
	opts = append([]zk.Option{zk.WithSessionTimeout(sessionTimeout), zk.WithConnectTimeout(5 * time.Second)}, opts...)
	c, err := zk.Connect(Deadline(t), connectString, opts...)
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

// Deadline bounds what one test waits for.
func Deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Main runs a package's tests and ends the servers that they share.
func Main(m *testing.M) {
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

// MainWithNode runs a package's tests with this repository's server built for all of them,
// at the path that it stores in binary.
func MainWithNode(m *testing.M, binary *string) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "test-node")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if *binary, err = apache.BuildNode(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// nodeDir holds the built server; it is empty if no test needed one.
var nodeDir string

var buildNode = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "test-node")
	if err != nil {
		return "", err
	}
	nodeDir = dir
	return apache.BuildNode(dir)
})

// sharedServers are the servers that Main ends, by kind.
var sharedServers = map[string]*apache.Server{}

func shared(t *testing.T, kind string) *apache.Server {
	t.Helper()
	cfg := Config(t, kind)
	if sharedServers[kind] == nil {
		dir, err := os.MkdirTemp("", "test-"+kind)
		if err != nil {
			t.Fatal(err)
		}
		sharedServers[kind] = launch(t, dir, cfg)
	}
	Ready(t, sharedServers[kind])
	return sharedServers[kind]
}

func launch(t *testing.T, dir string, cfg apache.Config) *apache.Server {
	t.Helper()
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ClientPort = ports[0]
	cfg.TickTimeMs = 200
	if cfg.Extra == nil {
		cfg.Extra = map[string]string{}
	}
	cfg.Extra["maxSessionTimeout"], cfg.Extra["extendedTypesEnabled"] = strconv.FormatInt(sessionTimeout.Milliseconds(), 10), "true"
	server, err := apache.Start(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// emptied removes all znodes.
func emptied(t *testing.T, server *apache.Server) *apache.Server {
	t.Helper()
	removeBelow(Deadline(t), t, Connect(t, server.ClientAddr), "/")
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
