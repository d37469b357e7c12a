package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cell is one load on a running ensemble.
type cell struct {
	name, title string
	operation   operation
	sessions    int
	inFlight    int
}

const payloadBytes = 1024

var cells = []cell{
	{"set1", "set 1 KiB, 1 session", opSet, 1, 1},
	{"set32", "set 1 KiB, 32 sessions", opSet, 32, 1},
	{"set256", "set 1 KiB, 256 sessions", opSet, 256, 1},
	{"pipelined", "set 1 KiB, 32 sessions x 16 in flight", opSet, 32, 16},
	{"read64", "get 1 KiB, 64 sessions", opGet, 64, 1},
	{"sync64", "sync + get 1 KiB, 64 sessions", opSyncGet, 64, 1},
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

// Quantities that the table treats in their own way.
const (
	throughput = "throughput"
	clientCPU  = "client/op"
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
	b.figures = append(b.figures, figure{b.system.name(), b.round, measurement, quantity, unit, value})
}

// progress tells the person who waits what is being done.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "round %d  %-13s %s\n", b.round, b.system.name(), fmt.Sprintf(format, args...))
}

// turn makes all wanted measurements once.
func (b *bench) turn(ctx context.Context) error {
	dir := filepath.Join(b.dir, fmt.Sprintf("%d-%s", b.round, strings.Fields(b.system.name())[0]))
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
	members, err := b.system.startMembers(startCtx, dir, b.opts.members)
	if err != nil {
		return fmt.Errorf("start the ensemble: %w", err)
	}
	defer func() { err = errors.Join(err, killAll(members)) }()
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

func killAll(members []member) error {
	var errs []error
	for _, m := range members {
		errs = append(errs, m.Kill())
	}
	return errors.Join(errs...)
}

// load runs a job on the members in a process of its own; onReady is called when its sessions
// are open.
func (b *bench) load(ctx context.Context, members []member, j job, onReady func() error) (loadResult, error) {
	j.Protocol = b.system.protocol()
	for _, m := range members {
		j.Addrs = append(j.Addrs, m.Addr())
	}
	return runLoad(ctx, j, onReady)
}

// warmUp runs writes and reads until Java's compiler has seen the hot paths.
func (b *bench) warmUp(ctx context.Context, members []member) error {
	b.progress("warming up")
	for _, op := range []operation{opSet, opGet} {
		j := job{
			Operation: op, Sessions: 64, InFlight: 4, PayloadBytes: payloadBytes,
			DurationMs: int(b.opts.duration.Milliseconds()) / 2,
		}
		if _, err := b.load(ctx, members, j, ready); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	return nil
}

func ready() error { return nil }

func (b *bench) cell(ctx context.Context, members []member, c cell) error {
	const rampMs = 500
	var cpuBefore float64
	result, err := b.load(ctx, members, job{
		Operation: c.operation, Sessions: c.sessions, InFlight: c.inFlight,
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
	b.record(c.name, throughput, "/s", result.OpsPerSec)
	b.record(c.name, "p50", "ms", float64(result.P50Us)/1000)
	b.record(c.name, "p99", "ms", float64(result.P99Us)/1000)
	b.record(c.name, "CPU/op", "us", membersUs)
	b.record(c.name, clientCPU, "us", clientUs)
	return nil
}

// membersCPU is the processor time that the members have used so far, in seconds.
func membersCPU(members []member) (float64, error) {
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

// memory records the resident memory of the members, as the kernel counts it, and how much of
// the median member's is not pages of files that it has mapped.
func (b *bench) memory(members []member) error {
	var sizes, anonymous []float64
	for _, m := range members {
		mb, err := residentMB(m.PID(), allPages)
		if err != nil {
			return err
		}
		anonymousMB, err := residentMB(m.PID(), anonymousPages)
		if err != nil {
			return err
		}
		sizes, anonymous = append(sizes, mb), append(anonymous, anonymousMB)
	}
	b.progress("resident memory: median %.0f MB, largest %.0f MB, anonymous %.0f MB", median(sizes), maximum(sizes), median(anonymous))
	b.record(measureMemory, "median", "MB", median(sizes))
	b.record(measureMemory, "largest", "MB", maximum(sizes))
	b.record(measureMemory, "anonymous", "MB", median(anonymous))
	return nil
}

// What the kernel counts of a process' resident memory.
const (
	allPages       = "VmRSS"
	anonymousPages = "RssAnon" // without those of mapped files
)

// residentMB reads a count of pages from /proc, in units of 10^6 bytes.
func residentMB(pid int, pages string) (float64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, pages+":"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", path, err)
			}
			return kb * 1024 / 1e6, nil
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, pages)
}

// gaps ends the leader again and again, by kill -9 or by a graceful stop, and records the
// longest pause of the writes after each time.
func (b *bench) gaps(ctx context.Context, members []member, measurement string) error {
	end := member.Kill
	if measurement == measureStop {
		end = member.Stop
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

func (b *bench) endLeader(ctx context.Context, members []member, end func(member) error) (time.Duration, error) {
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
	result, err := b.load(ctx, members, job{
		Operation: opSet, Gap: true, Sessions: sessions, InFlight: 1, PayloadBytes: payloadBytes,
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

func findLeader(members []member) (member, error) {
	for _, m := range members {
		if leads, err := m.Leads(); err == nil && leads {
			return m, nil
		}
	}
	return nil, errors.New("no member says that it leads")
}
