package servetest

import (
	"testing"

	"zoolab/internal/servers"

	// The binary under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

func TestMain(m *testing.M) { servers.MainWithNode(m, &nodeBinary) }
