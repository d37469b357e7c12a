package apache

import (
	"context"
	"strings"
	"testing"
)

func requireApache(t *testing.T) {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts Java processes; run without -short")
	}
}

// TestStandalone starts the original, changes it with its own command-line
// client, kills it and finds the data after a restart.
func TestStandalone(t *testing.T) {
	requireApache(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	server, err := Start(t.TempDir(), Config{ClientPort: ports[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	if err := server.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	output, err := RunCLIScript(ctx, server.ClientAddr, "create /a hello", "set /a world", "get /a")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(output, "Created /a") || !strings.Contains(output, "world") {
		t.Fatalf("the client printed %q", output)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := Mode(server.ClientAddr); err == nil {
		t.Fatal("the killed server still answers")
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := server.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	output, err = RunCLI(ctx, server.ClientAddr, "get", "/a")
	if err != nil || !strings.Contains(output, "world") {
		t.Fatalf("after the restart: %q, %v", output, err)
	}
	if got := Version(); !strings.HasPrefix(got, "3.") {
		t.Errorf("Version() = %q", got)
	}
}

// TestEnsemble forms three members and expects one leader.
func TestEnsemble(t *testing.T) {
	requireApache(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	servers, err := StartEnsemble(ctx, t.TempDir(), Config{}, Config{}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer StopAll(servers)
	leader := leaderOf(t, servers)
	for _, server := range servers {
		if mode := modeOf(t, server); (mode == "leader") != (server == leader) {
			t.Errorf("%s is %q beside a leader at %s", server.ClientAddr, mode, leader.ClientAddr)
		}
	}
}

// TestStartFailure expects the reason from the log when the server exits.
func TestStartFailure(t *testing.T) {
	requireApache(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := Start(t.TempDir(), Config{ClientPort: 1, Extra: map[string]string{"clientPort": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	if err := server.WaitReady(ctx); err == nil || !strings.Contains(err.Error(), "exited before it served") {
		t.Fatalf("WaitReady = %v", err)
	}
}
