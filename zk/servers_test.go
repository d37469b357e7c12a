package zk_test

import (
	"testing"

	"zoolab/internal/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }
