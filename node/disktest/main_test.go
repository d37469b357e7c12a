package disktest

import (
	"testing"

	"zoolab/internal/servers"
	// The binary under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

// nodeBinary is the server and its tools.
var nodeBinary string

func TestMain(m *testing.M) {
	servers.MainWithNode(m, &nodeBinary)
}
