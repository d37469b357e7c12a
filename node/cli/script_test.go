package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"zoolab/internal/apache"
	"zoolab/node/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cli": func() {
			os.Exit(cli.Run(os.Args[1:], "test", cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
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

// nodeBinary builds the server.
func nodeBinary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "node")
	if out, err := exec.Command("go", "build", "-o", binary, "zoolab/node").CombinedOutput(); err != nil {
		t.Fatalf("go build zoolab/node: %v\n%s", err, out)
	}
	return binary
}

func runScripts(t *testing.T, cfg apache.Config) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			server, err := start(filepath.Join(env.WorkDir, ".server"), cfg)
			if err != nil {
				return err
			}
			env.Defer(func() { _ = server.Kill() })
			env.Setenv("SERVER", server.ClientAddr)
			env.Setenv("TZ", "UTC")
			return nil
		},
	})
}

func start(dir string, cfg apache.Config) (*apache.Server, error) {
	ports, err := apache.FreePorts(1)
	if err != nil {
		return nil, err
	}
	cfg.ClientPort = ports[0]
	cfg.Extra = map[string]string{"extendedTypesEnabled": "true"}
	server, err := apache.Start(dir, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		_ = server.Kill()
		return nil, fmt.Errorf("start a server: %w", err)
	}
	return server, nil
}

// TestSameAsApache gives the same commands to this shell and to Apache's, at the same
// server, and compares what they print.
func TestSameAsApache(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	server, err := start(t.TempDir(), apache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	commands := []string{
		"create /a hello", "create /a", "create /a/b", "create -s /a/s- d", "create -e /a/e 'd d'", "create -s -e /a/se d",
		"create /a/e/x", "ls /a", "ls -R /a", "ls -s /none", "get /a", "get /a/b", "get /none", "set /a new", "set -v 7 /a x",
		"get /a", "stat /none", "delete -v 9 /a/b", "delete /a", "delete /a/b", "delete /a/b", "sync /a", "getAcl /a",
		"setAcl /a world:anyone:cdra", "set /a x", "getAcl /a", "getEphemerals", "getEphemerals /a/e", "getAllChildrenNumber /a",
		"deleteall /a", "ls /", "get", "ls", "set /a", "whoami",
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	theirs, err := apache.RunCLIScript(ctx, server.ClientAddr, commands...)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder // both streams, as Apache's come
	if code := cli.Run([]string{"-server", server.ClientAddr}, "", cli.Streams{
		In: strings.NewReader(strings.Join(commands, "\n")), Out: &out, Err: &out}); code != 1 {
		t.Errorf("exit code %d after failures, want 1", code)
	}
	_, answers, found := strings.Cut(theirs, "path:null\n") // behind the welcome
	if !found {
		t.Fatalf("Apache's shell printed %q", theirs)
	}
	answers, _, _ = strings.Cut(answers, "\nWATCHER::\n\nWatchedEvent state:Closed") // its farewell
	if ours, theirs := quiet(out.String()), quiet(answers); ours != theirs {
		t.Errorf("this shell printed:\n%s\nApache's printed:\n%s", ours, theirs)
	}
}

// quiet leaves out Apache's logs.
func quiet(output string) string {
	var kept []string
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "[main") && !strings.HasPrefix(line, "\tat ") && !strings.HasPrefix(line, "EndOfStream") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
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
	want.WriteString("Created /a\n")
	for i := range 300 {
		fmt.Fprintf(&commands, "get -w /a\nset /a %d\nversion\n", i+1)
		fmt.Fprintf(&want, "%d\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:NodeDataChanged path:/a\nZooKeeper CLI version: 1\n", i)
	}
	code := cli.Run([]string{"-server", "localhost:1"}, "1", cli.Streams{
		In: strings.NewReader(commands.String()), Out: &out, Err: &complaints})
	if code != 0 || complaints.Len() > 0 {
		t.Fatalf("exit code %d: %s", code, complaints.String())
	}
	if out.String() != want.String() {
		t.Errorf("the shell printed:\n%s", out.String())
	}
}
