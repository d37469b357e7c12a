package zk_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk"
)

// onServers runs a test against this repository's server and against Apache's.
func onServers(t *testing.T, test func(t *testing.T, server *apache.Server)) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	t.Run("node", func(t *testing.T) {
		test(t, start(t, apache.Config{Command: []string{nodeBinary(t), "serve"}}))
	})
	t.Run("apache", func(t *testing.T) {
		if err := apache.Available(); err != nil {
			t.Skip(err)
		}
		test(t, start(t, apache.Config{}))
	})
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
	if nodeDir != "" {
		os.RemoveAll(nodeDir)
	}
	os.Exit(code)
}

// start runs one standalone server until the test ends.
func start(t *testing.T, cfg apache.Config) *apache.Server {
	t.Helper()
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ClientPort = ports[0]
	cfg.TickTimeMs = 200
	cfg.Extra = map[string]string{"maxSessionTimeout": "20000"}
	server, err := apache.Start(t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Kill() })
	ready(t, server)
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
