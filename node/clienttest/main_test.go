package clienttest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	// The binary under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

// patience bounds every wait of these tests; only a failure takes that long.
const patience = 4 * time.Minute

var record = flag.Bool("record", false, "write the output of Apache's server to testdata")

// ensembleSize is how many members the ensemble has.
const ensembleSize = 3

// The servers that all tests share. Each scenario cleans up behind itself.
var shared struct {
	dir                   string
	binary                func() (string, error)
	alone, ensemble, java func() (string, error) // connect strings

	mu      sync.Mutex
	servers []*apache.Server // to be stopped at the end
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "clienttest")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		shared.dir = dir
		shared.binary = sync.OnceValues(func() (string, error) { return apache.BuildNode(dir) })
		shared.alone = sync.OnceValues(func() (string, error) { return startNodes("alone", 1) })
		shared.ensemble = sync.OnceValues(func() (string, error) { return startNodes("ensemble", ensembleSize) })
		shared.java = sync.OnceValues(func() (string, error) { return startServers("java", apache.Config{}) })
		defer func() { _ = apache.StopAll(shared.servers) }()
		return m.Run()
	}())
}

// startNodes starts this repository's server.
func startNodes(name string, size int) (string, error) {
	binary, err := shared.binary()
	if err != nil {
		return "", err
	}
	cfgs := make([]apache.Config, size)
	for i := range cfgs {
		cfgs[i].Command = []string{binary, "serve"}
	}
	return startServers(name, cfgs...)
}

// startServers starts a server, or an ensemble, and returns its connect string.
func startServers(name string, cfgs ...apache.Config) (string, error) {
	for i := range cfgs {
		cfgs[i].Extra = map[string]string{"extendedTypesEnabled": "true"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	servers, err := launch(ctx, filepath.Join(shared.dir, name), cfgs)
	if err != nil {
		return "", err
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.servers = append(shared.servers, servers...)
	return connectString(servers), nil
}

func launch(ctx context.Context, dir string, cfgs []apache.Config) ([]*apache.Server, error) {
	if len(cfgs) > 1 {
		return apache.StartEnsemble(ctx, dir, cfgs...)
	}
	ports, err := apache.FreePorts(1)
	if err != nil {
		return nil, err
	}
	cfgs[0].ClientPort = ports[0]
	server, err := apache.Start(dir, cfgs[0])
	if err != nil {
		return nil, err
	}
	if err := server.WaitReady(ctx); err != nil {
		_ = server.Kill()
		return nil, err
	}
	return []*apache.Server{server}, nil
}

func connectString(servers []*apache.Server) string {
	var addrs []string
	for _, server := range servers {
		addrs = append(addrs, server.ClientAddr)
	}
	return strings.Join(addrs, ",")
}

// need skips the test if a file or a command of that name is not there.
func need(t *testing.T, what, packages string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	if _, err := exec.LookPath(what); err != nil {
		t.Skipf("%v; install it with: apt-get install %s", err, packages)
	}
}

// onEveryServer runs a scenario against this server, alone and as an ensemble, and
// against Apache's, and compares its output with the file of that name in testdata.
func onEveryServer(t *testing.T, name string, scenario func(t *testing.T, servers string) string) {
	file := filepath.Join("testdata", name)
	for _, kind := range []struct {
		name  string
		start func() (string, error)
	}{{"apache", shared.java}, {"alone", shared.alone}, {"ensemble", shared.ensemble}} {
		t.Run(kind.name, func(t *testing.T) {
			if kind.name == "apache" {
				if err := apache.Available(); err != nil {
					t.Skip(err)
				}
			}
			servers, err := kind.start()
			if err != nil {
				t.Fatal(err)
			}
			got := scenario(t, servers)
			if *record && kind.name == "apache" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compareLines(t, string(want), got)
		})
	}
}

// compareLines reports the first line that differs, with what is around it.
func compareLines(t *testing.T, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(wants) && i < len(gots) && wants[i] == gots[i] {
		i++
	}
	from := max(0, i-5)
	t.Errorf("line %d differs.\nwant:\n%s\ngot:\n%s", i+1,
		strings.Join(wants[from:min(i+5, len(wants))], "\n"), strings.Join(gots[from:min(i+5, len(gots))], "\n"))
}
