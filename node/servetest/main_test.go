package servetest

import (
	"fmt"
	"os"
	"testing"

	// The binary under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

// mainWithBinary builds the server once for all tests of this package.
func mainWithBinary(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "servetest")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if nodeBinary, err = buildInto(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}
