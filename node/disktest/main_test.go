package disktest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	// The binary under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

// nodeBinary is the server and its tools.
var nodeBinary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "disktest")
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
