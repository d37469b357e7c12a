package etcd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
)

func startCluster(t *testing.T, size int, flags ...string) []*Server {
	t.Helper()
	version, err := Version()
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil || !strings.HasPrefix(version, "3.") {
		t.Fatalf("version %q, %v", version, err)
	}
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	ports, err := apache.FreePorts(2 * size)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var cfgs []Config
	for i := range size {
		cfgs = append(cfgs, Config{Dir: filepath.Join(dir, fmt.Sprint(i+1)), ClientPort: ports[2*i], PeerPort: ports[2*i+1], Flags: flags})
	}
	servers, err := Start(cfgs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = KillAll(servers) })
	return servers
}

func waitReady(t *testing.T, servers []*Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, server := range servers {
		if err := server.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// patience bounds every wait, on a machine that does much else.
const patience = 2 * time.Minute

// requireLeader waits for the only member that says that it leads.
func requireLeader(t *testing.T, servers []*Server) *Server {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var leaders []*Server
		var errs []error
		for _, server := range servers {
			leads, err := server.Leads()
			if leads {
				leaders = append(leaders, server)
			}
			errs = append(errs, err)
		}
		err := errors.Join(errs...)
		if len(leaders) == 1 && err == nil {
			return leaders[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d leaders, want 1: %v", len(leaders), err)
		}
	}
}

// TestCluster lets a cluster's leader die and come back to what was written meanwhile.
func TestCluster(t *testing.T) {
	servers := startCluster(t, 3)
	waitReady(t, servers)
	leader := requireLeader(t, servers)
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := leader.Leads(); err == nil {
		t.Error("the killed leader still answers")
	}
	rest := slices.DeleteFunc(slices.Clone(servers), func(s *Server) bool { return s == leader })
	waitReady(t, rest)
	requireLeader(t, rest)
	var answer struct{}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := rest[0].post("kv/put", `{"key": "YQ==", "value": "Yg=="}`, &answer)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := leader.Restart(); err != nil {
		t.Fatal(err)
	}
	waitReady(t, servers)
	requireLeader(t, servers)
	for _, server := range servers {
		if keys, err := server.Keys(); keys != 1 || err != nil {
			t.Errorf("%s has %d keys, %v, want 1", server.Title, keys, err)
		}
	}
}

// TestStartFailure expects the reason from the log when the process exits.
func TestStartFailure(t *testing.T) {
	servers := startCluster(t, 1, "--no-such-flag")
	err := servers[0].WaitReady(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exited before it served") || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("WaitReady = %v", err)
	}
}
