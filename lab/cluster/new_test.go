package cluster

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestNewThatCanNot: where a driver has not what it needs there is an error and no
// cluster, so that the lab does not ask a nil pointer for the members' logs.
func TestNewThatCanNot(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	t.Setenv("PATH", t.TempDir()) // neither ip nor iptables, should we be root
	for _, driver := range []string{DriverDocker, DriverLocal, DriverAuto} {
		c, err := New(t.Context(), Options{Driver: driver, Nodes: 1, ComposeFile: "../../compose.yaml", Binary: "node"})
		if err == nil || c != nil {
			t.Errorf("%s: New returned %v, %v; want an error and no cluster", driver, c, err)
		}
		if driver != DriverLocal && !errors.Is(err, ErrNoEngine) {
			t.Errorf("%s: New returned %v, want ErrNoEngine", driver, err)
		}
		if driver == DriverDocker && !strings.Contains(err.Error(), "or do without: -cluster local") {
			t.Errorf("%v does not say what to do", err)
		}
	}
}

// TestSweepWithoutEngine: that no containers were looked for is no failure on a machine
// without an engine, but where one is just down "nothing removed" would mislead.
func TestSweepWithoutEngine(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	t.Setenv("TMPDIR", t.TempDir()) // other labs' runs are not looked for
	var log bytes.Buffer
	if _, err := Sweep(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), false); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "no containers were looked for") {
		t.Errorf("the log says %q", log.String())
	}
}
