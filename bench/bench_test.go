package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
)

// TestMain lets the test binary be the load process, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == loadArg {
		exit(loadMain())
	}
	os.Exit(m.Run())
}

func startApache(t *testing.T, dir string) *apache.Server {
	t.Helper()
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts a Java process; run without -short")
	}
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	server, err := apache.Start(dir, apache.Config{ClientPort: ports[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return server
}

// TestSnapshotIsOneOfApaches loads a written snapshot into the original, which
// checks seals and digest, and reads a znode of it.
func TestSnapshotIsOneOfApaches(t *testing.T) {
	dir := t.TempDir()
	const znodes = 2500
	if _, err := writeSnapshot(filepath.Join(dir, "data"), znodes); err != nil {
		t.Fatal(err)
	}
	server := startApache(t, dir)
	if err := checkZnodes(server.ClientAddr, znodes); err != nil {
		t.Error(err)
	}
	if err := checkZnodes(server.ClientAddr, 10*znodes); err == nil {
		t.Error("checkZnodes accepts a server with too few znodes")
	}
	output, err := apache.RunCLIScript(t.Context(), server.ClientAddr, "stat /load/g0002/n0499", "create /after x")
	if err != nil || !strings.Contains(output, "dataLength = 64") || !strings.Contains(output, "Created /after") {
		t.Errorf("%v: %s", err, output)
	}
	log, err := os.ReadFile(server.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(log)), "digests are not matching") || !strings.Contains(string(log), "snapshot.100000000") {
		t.Errorf("the log says:\n%s", log)
	}
}

// TestLoad runs the load process against the original.
func TestLoad(t *testing.T) {
	server := startApache(t, t.TempDir())
	j := job{Addrs: []string{server.ClientAddr}, Sessions: 4, InFlight: 2, PayloadBytes: 100, RampMs: 100, DurationMs: 400}
	for _, read := range []bool{false, true} {
		j.Read = read
		result, err := runLoad(t.Context(), j, ready)
		if err != nil {
			t.Fatal(err)
		}
		if result.Operations == 0 || result.Errors != 0 || result.P50Us <= 0 || result.P99Us < result.P50Us {
			t.Errorf("read %t: %+v", read, result)
		}
	}
	j.Gap, j.Read, j.InFlight, j.DurationMs = true, false, 1, 2500
	var restartErr error
	result, err := runLoad(t.Context(), j, func() error {
		if err := server.Kill(); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		restartErr = server.Restart()
		return nil
	})
	if err != nil || restartErr != nil {
		t.Fatal(err, restartErr)
	}
	var longest time.Duration
	for _, p := range result.Pauses {
		longest = max(longest, time.Duration(p.ToNs-p.FromNs))
	}
	if longest < 300*time.Millisecond {
		t.Errorf("the longest pause is %v, the server was away longer: %+v", longest, result)
	}
}

// TestLoadFailure expects an error, not a figure, where nothing answers.
func TestLoadFailure(t *testing.T) {
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	j := job{Addrs: []string{fmt.Sprintf("127.0.0.1:%d", ports[0])}, Sessions: 1, InFlight: 1, DurationMs: 100}
	if _, err := runLoad(ctx, j, ready); err == nil {
		t.Error("a load without a server succeeded")
	}
}

func TestTable(t *testing.T) {
	figures := []figure{
		{nodeName, 1, "set256", "throughput", "/s", 3100},
		{apacheName, 1, "set256", "throughput", "/s", 900},
		{nodeName, 2, "set256", "throughput", "/s", 3300},
		{apacheName, 2, "set256", "throughput", "/s", 1100},
		{nodeName, 1, measureGap, "median", "s", 0.9},
		{nodeName, 1, measureGap, "worst", "s", 1.5},
		{nodeName, 2, measureGap, "worst", "s", 0.5},
		{nodeName, 1, measureMemory, "median", "MB", 80},
		{apacheName, 1, measureMemory, "median", "MB", 400},
	}
	text := table(figures, []system{{name: nodeName}, {name: apacheName}})
	for _, want := range []string{"3200 /s", "1000 /s", "3.20 x", "at least 3.00 x: reached", "at most 0.80: missed", "1.50 s", "0.20 x", "at most 0.25 x: reached"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestParseOptions(t *testing.T) {
	for _, args := range [][]string{{"-only", "set2"}, {"-rounds", "0"}, {"extra"}, {"-node=false", "-apache=false"}} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
	opts, err := parseOptions([]string{"-only", "gap,start"})
	if err != nil || !opts.wants(measureGap) || opts.wants("set1") {
		t.Errorf("%+v, %v", opts, err)
	}
}
