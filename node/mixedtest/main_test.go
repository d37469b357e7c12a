package mixedtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"zoolab/internal/apache"

	// The binary under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

var full = flag.Bool("full", false, "run every scenario, which takes minutes")

// nodeBinary is the server and its tools.
var nodeBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mixedtest")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		nodeBinary = filepath.Join(dir, "node")
		if out, err := exec.Command("go", "build", "-o", nodeBinary, "zoolab/node").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// requireApache skips a test where there is no Java server, and in short tests.
func requireApache(t *testing.T) {
	t.Helper()
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts Java processes; run without -short")
	}
}

// requireFull is requireApache for what takes minutes.
func requireFull(t *testing.T) {
	t.Helper()
	requireApache(t)
	if !*full {
		t.Skip("takes minutes; run it with: make mixed")
	}
}
