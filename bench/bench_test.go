package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// otherSystems are the servers that this one is compared with.
var otherSystems = []string{"apache", "etcd"}

// prepare gives one of otherSystems, or skips the test.
func prepare(t *testing.T, which string) system {
	t.Helper()
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	systems, err := prepareSystems(t.Context(), t.TempDir(), options{apache: which == "apache", etcd: which == "etcd"})
	if err != nil {
		t.Skip(err)
	}
	return systems[0]
}

// startAlone runs one server on the data in dir until the test ends.
func startAlone(t *testing.T, s system, dir string) member {
	t.Helper()
	server, err := s.startAlone(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return server
}

// TestSnapshotIsOneOfApaches loads a written snapshot into the original, which
// checks seals and digest, and reads a znode of it.
func TestSnapshotIsOneOfApaches(t *testing.T) {
	s := prepare(t, "apache")
	dir := t.TempDir()
	if err := s.fill(t.Context(), filepath.Join(dir, "data"), 2500); err != nil {
		t.Fatal(err)
	}
	server := startAlone(t, s, dir)
	output, err := apache.RunCLIScript(t.Context(), server.Addr(), "stat /load/g0002/n0499", "create /after x")
	if err != nil || !strings.Contains(output, "dataLength = 64") || !strings.Contains(output, "Created /after") {
		t.Errorf("%v: %s", err, output)
	}
	log, err := os.ReadFile(filepath.Join(dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(log)), "digests are not matching") || !strings.Contains(string(log), "snapshot.100000000") {
		t.Errorf("the log says:\n%s", log)
	}
}

// TestStart lets each system load data of its own making, twice, as in two rounds.
func TestStart(t *testing.T) {
	for _, which := range otherSystems {
		t.Run(which, func(t *testing.T) {
			s, dir := prepare(t, which), t.TempDir()
			const znodes = 2500
			for round := 1; round <= 2; round++ {
				b := &bench{opts: options{znodes: znodes}, system: s, round: round, dir: dir}
				if err := b.start(t.Context(), filepath.Join(dir, fmt.Sprint(round))); err != nil {
					t.Fatal(err)
				}
				if seconds, _, ok := summary(b.figures, s.name(), measureStart, "time"); !ok || seconds <= 0 {
					t.Errorf("round %d: %+v", round, b.figures)
				}
			}
			server := startAlone(t, s, filepath.Join(dir, "1"))
			count, err := server.Entries()
			if err != nil || count < znodes || count > znodes+znodes/10 {
				t.Errorf("%d znodes, %v, want about %d", count, err, znodes)
			}
			if err := checkEntries(server, 10*znodes); err == nil {
				t.Error("checkEntries accepts a server with too few znodes")
			}
		})
	}
}

// TestLoad runs the load process against each of the others.
func TestLoad(t *testing.T) {
	for _, which := range otherSystems {
		t.Run(which, func(t *testing.T) {
			s := prepare(t, which)
			server := startAlone(t, s, t.TempDir())
			b := &bench{system: s}
			j := job{Sessions: 4, InFlight: 2, PayloadBytes: 100, RampMs: 100, DurationMs: 2000}
			before, err := server.Entries()
			if err != nil {
				t.Fatal(err)
			}
			for _, j.Operation = range []operation{opSet, opGet, opSyncGet} {
				result, err := b.load(t.Context(), []member{server}, j, ready)
				if err != nil {
					t.Fatal(err)
				}
				if result.Operations == 0 || result.Errors != 0 || result.P50Us <= 0 || result.P99Us < result.P50Us {
					t.Errorf("%s: %+v", j.Operation, result)
				}
			}
			if after, err := server.Entries(); err != nil || after < before+j.Sessions {
				t.Errorf("%d entries, %v: want one of each session, there were %d before", after, err, before)
			}
			testGap(t, b, server)
		})
	}
}

// testGap expects that a gap job sees how long a server was away. The server is paused, not
// killed: one of Apache's that is just starting may take a connection and never answer it.
func testGap(t *testing.T, b *bench, server member) {
	t.Helper()
	const away = time.Second
	j := job{Operation: opSet, Gap: true, Sessions: 4, InFlight: 1, PayloadBytes: 100, DurationMs: 8000}
	var was time.Duration // away, which a busy machine makes longer
	result, err := b.load(t.Context(), []member{server}, j, func() error {
		began := time.Now()
		defer func() { was = time.Since(began) }()
		if err := syscall.Kill(server.PID(), syscall.SIGSTOP); err != nil {
			return err
		}
		time.Sleep(away)
		return syscall.Kill(server.PID(), syscall.SIGCONT)
	})
	if err != nil {
		t.Fatal(err)
	}
	var longest time.Duration
	for _, p := range result.Pauses {
		longest = max(longest, time.Duration(p.ToNs-p.FromNs))
	}
	// Its threads stop one after the other, and need a while until they answer again.
	if longest < away/2 || longest > was+3*time.Second || result.Operations == 0 {
		t.Errorf("the longest pause is %v, the server was away for %v: %+v", longest, was, result)
	}
}

// TestEnsemble measures an ensemble of etcd, whose leader is ended in both ways: each time the
// writes must pause and go on.
func TestEnsemble(t *testing.T) {
	s := prepare(t, "etcd")
	opts := options{members: 3, kills: 1, duration: 2 * time.Second, only: []string{"set32", measureMemory, measureGap, measureStop}}
	b := &bench{opts: opts, system: s, round: 1, dir: t.TempDir()}
	if err := b.turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][2]string{
		{"set32", throughput}, {"set32", "CPU/op"}, {"set32", clientCPU},
		{measureMemory, "median"}, {measureMemory, "anonymous"}, {measureGap, "worst"}, {measureStop, "worst"},
	} {
		if value, _, ok := summary(b.figures, s.name(), want[0], want[1]); !ok || value <= 0 {
			t.Errorf("%v: %g, %t", want, value, ok)
		}
	}
	if gap, _, _ := summary(b.figures, s.name(), measureGap, "worst"); gap >= 6 {
		t.Errorf("the writes never went on: a pause of %g s", gap)
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
	for protocol := range protocols {
		j := job{Protocol: protocol, Addrs: []string{fmt.Sprintf("127.0.0.1:%d", ports[0])}, Sessions: 1, InFlight: 1, DurationMs: 100}
		if _, err := runLoad(ctx, j, ready); err == nil {
			t.Errorf("%s: a load without a server succeeded", protocol)
		}
	}
}

func TestTable(t *testing.T) {
	const etcdName = "etcd 3.4.23"
	figures := []figure{
		{nodeName, 1, "set256", throughput, "/s", 3100},
		{apacheName, 1, "set256", throughput, "/s", 900},
		{etcdName, 1, "set256", throughput, "/s", 6400},
		{nodeName, 2, "set256", throughput, "/s", 3300},
		{apacheName, 2, "set256", throughput, "/s", 1100},
		{etcdName, 2, "set256", throughput, "/s", 6400},
		{nodeName, 1, "set256", clientCPU, "us", 30},
		{etcdName, 1, "set256", clientCPU, "us", 20},
		{nodeName, 1, measureGap, "median", "s", 0.9},
		{nodeName, 1, measureGap, "worst", "s", 1.5},
		{nodeName, 2, measureGap, "worst", "s", 0.5},
		{nodeName, 1, measureMemory, "median", "MB", 80},
		{apacheName, 1, measureMemory, "median", "MB", 400},
		{etcdName, 1, measureMemory, "median", "MB", 40},
	}
	text := table(figures, []string{nodeName, apacheName, etcdName})
	for _, want := range []string{
		"to Apache   to etcd", "3200 /s", "1000 /s", "6400 /s", "3.20 x    0.50 x", "at least 3 x: reached", "at most 0.8: missed", "1.50 s",
		"0.20 x    2.00 x", "at most 0.25 x: reached", "zoolab is behind etcd 3.4.23 in: set256 throughput, memory median\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "behind Apache") {
		t.Errorf("this server is ahead of Apache's in all that both have:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 104 || strings.HasSuffix(line, " \n") {
			t.Errorf("a line of %d characters: %q", len(line), line)
		}
	}
	if text := table(figures, []string{nodeName, etcdName}); strings.Contains(text, "Apache") || !strings.Contains(text, "0.50 x\n") {
		t.Errorf("without Apache:\n%s", text)
	}
	if text := table(figures, []string{etcdName}); strings.Contains(text, "to etcd") {
		t.Errorf("a ratio to nothing:\n%s", text)
	}
}

func TestParseOptions(t *testing.T) {
	for _, args := range [][]string{{"-only", "set2"}, {"-rounds", "0"}, {"extra"}, {"-java-heap-mb", "-5"}, {"-node=false", "-apache=false", "-etcd=false"}} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
	opts, err := parseOptions([]string{"-only", "gap,start"})
	if err != nil || !opts.wants(measureGap) || opts.wants("set1") || !opts.etcd {
		t.Errorf("%+v, %v", opts, err)
	}
}
