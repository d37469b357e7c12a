package mixedtest

import (
	"flag"
	"testing"

	"zoolab/internal/apache"
	"zoolab/internal/servers"

	// The binary under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

var full = flag.Bool("full", false, "run every scenario, which takes minutes")

// nodeBinary is the server and its tools.
var nodeBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	servers.MainWithNode(m, &nodeBinary)
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
