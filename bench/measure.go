package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/internal/apache"
)

// cell is one load on a running ensemble.
type cell struct {
	name, title string
	read        bool
	sessions    int
	inFlight    int
}

const payloadBytes = 1024

var cells = []cell{
	{"set1", "set 1 KiB, 1 session", false, 1, 1},
	{"set32", "set 1 KiB, 32 sessions", false, 32, 1},
	{"set256", "set 1 KiB, 256 sessions", false, 256, 1},
	{"pipelined", "set 1 KiB, 32 sessions x 16 in flight", false, 32, 16},
	{"read64", "get 1 KiB, 64 sessions", true, 64, 1},
}

// The measurements beside the cells.
const (
	measureMemory = "memory"
	measureGap    = "gap"
	measureStop   = "stop"
	measureStart  = "start"
	// measureRejoin takes minutes: it is measured only where it is asked for.
	measureRejoin = "rejoin"
)

func measurementNames() []string {
	var names []string
	for _, c := range cells {
		names = append(names, c.name)
	}
	return append(names, measureMemory, measureGap, measureStop, measureStart, measureRejoin)
}

// figure is one number of one round.
type figure struct {
	System      string
	Round       int
	Measurement string // a name of measurementNames
	Quantity    string // ops/s, p50, p99, ...
	Unit        string
	Value       float64
}

// bench is one server's turn in one round.
type bench struct {
	opts    options
	system  system
	round   int
	dir     string
	figures []figure
}

func (b *bench) record(measurement, quantity, unit string, value float64) {
	b.figures = append(b.figures, figure{b.system.name, b.round, measurement, quantity, unit, value})
}

// progress tells the person who waits what is being done.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "round %d  %-13s %s\n", b.round, b.system.name, fmt.Sprintf(format, args...))
}

// turn makes all wanted measurements once.
func (b *bench) turn(ctx context.Context) error {
	dir := filepath.Join(b.dir, fmt.Sprintf("%d-%s", b.round, strings.Fields(b.system.name)[0]))
	if b.wantsEnsemble() {
		if err := b.ensemble(ctx, filepath.Join(dir, "ensemble")); err != nil {
			return err
		}
	}
	if b.opts.wants(measureStart) {
		if err := b.start(ctx, filepath.Join(dir, "start")); err != nil {
			return err
		}
	}
	if slices.Contains(b.opts.only, measureRejoin) {
		if err := b.rejoins(ctx, filepath.Join(dir, "rejoin")); err != nil {
			return err
		}
	}
	// After a failure the servers' logs stay.
	return os.RemoveAll(dir)
}

func (b *bench) wantsEnsemble() bool {
	for _, name := range measurementNames() {
		if name != measureStart && name != measureRejoin && b.opts.wants(name) {
			return true
		}
	}
	return false
}

// ensemble starts the members and puts the loads on them.
func (b *bench) ensemble(ctx context.Context, dir string) (err error) {
	const formTime = 60 * time.Second
	startCtx, cancel := context.WithTimeout(ctx, formTime)
	defer cancel()
	b.progress("starting %d members", b.opts.members)
	members, err := apache.StartEnsemble(startCtx, dir, slices.Repeat([]apache.Config{b.system.cfg}, b.opts.members)...)
	if err != nil {
		return fmt.Errorf("start the ensemble: %w", err)
	}
	defer func() { err = errors.Join(err, apache.StopAll(members)) }()
	if err := b.warmUp(ctx, members); err != nil {
		return err
	}
	for _, c := range cells {
		if b.opts.wants(c.name) {
			if err := b.cell(ctx, members, c); err != nil {
				return fmt.Errorf("%s: %w", c.title, err)
			}
		}
	}
	if b.opts.wants(measureMemory) {
		if err := b.memory(members); err != nil {
			return err
		}
	}
	for _, name := range []string{measureGap, measureStop} {
		if b.opts.wants(name) {
			if err := b.gaps(ctx, members, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func addrs(members []*apache.Server) []string {
	list := make([]string, len(members))
	for i, member := range members {
		list[i] = member.ClientAddr
	}
	return list
}

// warmUp runs writes and reads until Java's compiler has seen the hot paths.
func (b *bench) warmUp(ctx context.Context, members []*apache.Server) error {
	b.progress("warming up")
	for _, read := range []bool{false, true} {
		j := job{
			Addrs: addrs(members), Read: read, Sessions: 64, InFlight: 4, PayloadBytes: payloadBytes,
			DurationMs: int(b.opts.duration.Milliseconds()) / 2,
		}
		if _, err := runLoad(ctx, j, ready); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	return nil
}

func ready() error { return nil }

func (b *bench) cell(ctx context.Context, members []*apache.Server, c cell) error {
	const rampMs = 500
	var cpuBefore float64
	result, err := runLoad(ctx, job{
		Addrs: addrs(members), Read: c.read, Sessions: c.sessions, InFlight: c.inFlight,
		PayloadBytes: payloadBytes, RampMs: rampMs, DurationMs: int(b.opts.duration.Milliseconds()),
	}, func() (err error) {
		cpuBefore, err = membersCPU(members)
		return err
	})
	if err != nil {
		return err
	}
	cpuAfter, err := membersCPU(members)
	if err != nil {
		return err
	}
	if result.Errors > 0 || result.Operations == 0 {
		return fmt.Errorf("%d operations succeeded, %d failed, the first with: %s", result.Operations, result.Errors, result.FirstError)
	}
	membersUs := 1e6 * (cpuAfter - cpuBefore) / float64(result.All)
	clientUs := 1e6 * result.CPUSeconds / float64(result.All)
	b.progress("%-38s %7.0f/s  p50 %.2f ms  p99 %.2f ms  CPU per operation: members %.0f us, client %.0f us", c.title,
		result.OpsPerSec, float64(result.P50Us)/1000, float64(result.P99Us)/1000, membersUs, clientUs)
	b.record(c.name, "throughput", "/s", result.OpsPerSec)
	b.record(c.name, "p50", "ms", float64(result.P50Us)/1000)
	b.record(c.name, "p99", "ms", float64(result.P99Us)/1000)
	b.record(c.name, "CPU/op", "us", membersUs)
	b.record(c.name, "client/op", "us", clientUs)
	return nil
}

// membersCPU is the processor time that the members have used so far, in seconds.
func membersCPU(members []*apache.Server) (float64, error) {
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux
	ticks := 0
	for _, member := range members {
		path := fmt.Sprintf("/proc/%d/stat", member.PID())
		stat, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		// Fields 14 and 15, counted from 1; the second, in parentheses, may hold spaces.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, field := range fields[11:13] {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", path, err)
			}
			ticks += n
		}
	}
	return float64(ticks) / ticksPerSecond, nil
}

// memory records the resident memory of the members, as the kernel counts it.
func (b *bench) memory(members []*apache.Server) error {
	var sizes []float64
	for _, member := range members {
		mb, err := residentMB(member.PID())
		if err != nil {
			return err
		}
		sizes = append(sizes, mb)
	}
	middle, most := median(sizes), maximum(sizes)
	b.progress("resident memory: median %.0f MB, largest %.0f MB", middle, most)
	b.record(measureMemory, "median", "MB", middle)
	b.record(measureMemory, "largest", "MB", most)
	return nil
}

// residentMB reads VmRSS from /proc, in units of 10^6 bytes.
func residentMB(pid int) (float64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", path, err)
			}
			return kb * 1024 / 1e6, nil
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", path)
}

// gaps ends the leader again and again, by kill -9 or by a graceful stop, and records the
// longest pause of the writes after each time.
func (b *bench) gaps(ctx context.Context, members []*apache.Server, measurement string) error {
	end := (*apache.Server).Kill
	if measurement == measureStop {
		end = (*apache.Server).Stop
	}
	var seconds []float64
	for range b.opts.kills {
		gap, err := b.endLeader(ctx, members, end)
		if err != nil {
			return fmt.Errorf("%s: %w", titles[measurement], err)
		}
		b.progress("%s: %.2f s", titles[measurement], gap.Seconds())
		seconds = append(seconds, gap.Seconds())
	}
	b.record(measurement, "median", "s", median(seconds))
	b.record(measurement, "worst", "s", maximum(seconds))
	return nil
}

func (b *bench) endLeader(ctx context.Context, members []*apache.Server, end func(*apache.Server) error) (time.Duration, error) {
	const (
		sessions   = 10
		calm       = time.Second     // of undisturbed writes before the leader ends
		observe    = 6 * time.Second // after that
		rejoinTime = 60 * time.Second
	)
	leader, err := findLeader(members)
	if err != nil {
		return 0, err
	}
	var endedNs int64
	result, err := runLoad(ctx, job{
		Addrs: addrs(members), Gap: true, Sessions: sessions, InFlight: 1, PayloadBytes: payloadBytes,
		DurationMs: int((calm + observe).Milliseconds()),
	}, func() error {
		time.Sleep(calm)
		endedNs = time.Now().UnixNano()
		return end(leader)
	})
	if err != nil {
		return 0, err
	}
	var longestNs int64
	for _, p := range result.Pauses {
		if p.ToNs > endedNs {
			longestNs = max(longestNs, p.ToNs-p.FromNs)
		}
	}
	if longestNs == 0 {
		return 0, fmt.Errorf("the writes did not pause (%d were acknowledged): the load did not see the leader's end", result.Operations)
	}
	if err := leader.Restart(); err != nil {
		return 0, err
	}
	rejoin, cancel := context.WithTimeout(ctx, rejoinTime)
	defer cancel()
	for _, member := range members {
		if err := member.WaitReady(rejoin); err != nil {
			return 0, err
		}
	}
	return time.Duration(longestNs), nil
}

func findLeader(members []*apache.Server) (*apache.Server, error) {
	for _, member := range members {
		if mode, err := apache.Mode(member.ClientAddr); err == nil && mode == "leader" {
			return member, nil
		}
	}
	return nil, errors.New("no member says that it leads")
}

// sourceDir holds the snapshot from which each start is given a copy.
const sourceDir = "source"

// start measures how long a standalone server takes to answer when it has to
// load a large snapshot.
func (b *bench) start(ctx context.Context, dir string) (err error) {
	snapshot, err := b.largeSnapshot()
	if err != nil {
		return err
	}
	if err := giveSnapshot(snapshot, dir); err != nil {
		return err
	}
	ports, err := apache.FreePorts(1)
	if err != nil {
		return err
	}
	cfg := b.system.cfg
	cfg.ClientPort = ports[0]
	cfg.HeapMB *= 3
	const limit = 2 * time.Minute
	startCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	server, err := apache.Start(dir, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Kill()) }()
	if err := server.WaitReady(startCtx); err != nil {
		return fmt.Errorf("start with %d znodes: %w", b.opts.znodes, err)
	}
	seconds := time.Since(began).Seconds()
	if err := checkZnodes(server.ClientAddr, b.opts.znodes); err != nil {
		return err
	}
	mb, err := residentMB(server.PID())
	if err != nil {
		return err
	}
	b.progress("start with %d znodes: %.2f s, %.0f MB resident", b.opts.znodes, seconds, mb)
	b.record(measureStart, "time", "s", seconds)
	b.record(measureStart, "memory", "MB", mb)
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		return errors.Join(err, target.Close())
	}
	// What the copy left to be written must not slow the start that follows.
	return errors.Join(target.Sync(), target.Close())
}

// checkZnodes fails when the server did not load the snapshot: a quick start
// with an empty tree is no start.
func checkZnodes(addr string, atLeast int) error {
	answer, err := apache.Command(addr, "srvr")
	if err != nil {
		return err
	}
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, "Node count:"); ok {
			count, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil || count < atLeast {
				return fmt.Errorf("the server has %s znodes after its start, the snapshot has %d", strings.TrimSpace(value), atLeast)
			}
			return nil
		}
	}
	return fmt.Errorf("srvr gives no node count: %q", answer)
}
