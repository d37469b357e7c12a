package cli_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"zoolab/internal/apache"
	"zoolab/node/cli"
	// The binary under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

func TestMain(m *testing.M) {
	testscript.Main(builder{m}, map[string]func(){
		"cli": func() {
			os.Exit(cli.Run(os.Args[1:], "test", cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

// builder runs the tests with a directory for the server's binary.
type builder struct{ m *testing.M }

func (b builder) Run() int {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	buildOnce = sync.OnceValues(func() (string, error) { return apache.BuildNode(dir) })
	return b.m.Run()
}

var buildOnce func() (string, error)

// nodeBinary is the server, built at the first call.
func nodeBinary(t *testing.T) string {
	t.Helper()
	binary, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// TestScripts runs the shell against this repository's server and against Apache's,
// each script with a server of its own.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	t.Run("node", func(t *testing.T) {
		runScripts(t, apache.Config{Command: []string{nodeBinary(t), "serve"}})
	})
	t.Run("apache", func(t *testing.T) {
		if err := apache.Available(); err != nil {
			t.Skip(err)
		}
		runScripts(t, apache.Config{})
	})
}

func runScripts(t *testing.T, cfg apache.Config) {
	zkCLI, err := filepath.Abs("../../scripts/zkCli.sh")
	if err != nil {
		t.Fatal(err)
	}
	binary := nodeBinary(t)
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
		Setup: func(env *testscript.Env) error {
			server, err := start(filepath.Join(env.WorkDir, ".server"), cfg)
			if err != nil {
				return err
			}
			env.Defer(func() { _ = server.Kill() })
			env.Setenv("SERVER", server.ClientAddr)
			env.Setenv("TZ", "UTC")
			env.Setenv("ZKCLI", zkCLI)
			env.Setenv("ZOOLAB_NODE", binary)
			return nil
		},
	})
}

// status runs a command and expects its exit code: "status 127 cli dance".
func status(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%v: exit code %d, want %s", args[1:], code, args[0])
	}
}

// patience bounds what these tests wait for, such as Java to start on a machine that does much else.
const patience = 2 * time.Minute

func start(dir string, cfg apache.Config) (*apache.Server, error) {
	ports, err := apache.FreePorts(1)
	if err != nil {
		return nil, err
	}
	cfg.ClientPort = ports[0]
	extra := map[string]string{"extendedTypesEnabled": "true"}
	maps.Copy(extra, cfg.Extra)
	cfg.Extra = extra
	server, err := apache.Start(dir, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		_ = server.Kill()
		return nil, fmt.Errorf("start a server: %w", err)
	}
	return server, nil
}

// TestEventsInOrder connects to another server than the shell was started for, and
// expects each event in front of what the next command prints, many times over.
func TestEventsInOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	server, err := start(t.TempDir(), apache.Config{Command: []string{nodeBinary(t), "serve"}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	var commands, want, out, complaints strings.Builder
	fmt.Fprintf(&commands, "connect %s\ncreate /a 0\n", server.ClientAddr)
	for i := range 300 {
		fmt.Fprintf(&commands, "get -w /a\nset /a %d\nversion\n", i+1)
		fmt.Fprintf(&want, "%d\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:NodeDataChanged path:/a\nZooKeeper CLI version: 1\n", i)
	}
	code := cli.Run([]string{"-server", "localhost:1"}, "1", cli.Streams{
		In: strings.NewReader(commands.String()), Out: &out, Err: &complaints})
	if code != 0 || complaints.String() != "Created /a\n" {
		t.Fatalf("exit code %d: %s", code, complaints.String())
	}
	if out.String() != want.String() {
		t.Errorf("the shell printed:\n%s", out.String())
	}
}
