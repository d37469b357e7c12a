package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/internal/apache"
)

// The ways in which a member that was away is brought up to date. The setting makes the
// leader choose the one or the other.
var rejoins = []struct{ quantity, counter, factor string }{
	{"DIFF", "zk_diff_count", "0"},  // however long the log is
	{"SNAP", "zk_snap_count", "-1"}, // the log is not sent
}

const (
	rejoinMembers      = 3
	rejoinPayloadBytes = 100
)

// rejoins measures what it costs to bring back a member that missed -missed writes, by the
// log and by a snapshot: the time from its start until it serves, which has the load of its
// own data in it, and what the leader spends on it.
func (b *bench) rejoins(ctx context.Context, dir string) error {
	for _, way := range rejoins {
		if err := b.rejoin(ctx, filepath.Join(dir, way.quantity), way.quantity, way.counter, way.factor); err != nil {
			return fmt.Errorf("rejoin by %s: %w", way.quantity, err)
		}
	}
	return nil
}

func (b *bench) rejoin(ctx context.Context, dir, quantity, counter, factor string) (err error) {
	source, err := b.largeSnapshot()
	if err != nil {
		return err
	}
	for id := 1; id <= rejoinMembers; id++ {
		if err := giveSnapshot(source, filepath.Join(dir, fmt.Sprint(id))); err != nil {
			return err
		}
	}
	cfg := b.system.cfg
	cfg.HeapMB *= 3
	cfg.Extra = map[string]string{"snapshotSizeFactor": factor, "4lw.commands.whitelist": "srvr,mntr"}
	const limit = 5 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	b.progress("starting %d members with %d znodes", rejoinMembers, b.opts.znodes)
	members, err := apache.StartEnsemble(ctx, dir, slices.Repeat([]apache.Config{cfg}, rejoinMembers)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, apache.StopAll(members)) }()
	leader, err := findLeader(members)
	if err != nil {
		return err
	}
	// A log is what a difference begins in, so there must be one.
	if err := b.write(ctx, members, 1); err != nil {
		return err
	}
	lagging := members[(slices.Index(members, leader)+1)%rejoinMembers]
	if err := lagging.Kill(); err != nil {
		return err
	}
	b.progress("%d writes that a member misses", b.opts.missed)
	others := slices.DeleteFunc(slices.Clone(members), func(m *apache.Server) bool { return m == lagging })
	if err := b.write(ctx, others, b.opts.missed); err != nil {
		return err
	}
	before, err := mntrValue(leader.ClientAddr, counter)
	if err != nil {
		return err
	}
	cost, err := watchLeader(ctx, leader, func() error {
		if err := lagging.Restart(); err != nil {
			return err
		}
		return lagging.WaitReady(ctx)
	})
	if err != nil {
		return err
	}
	after, err := mntrValue(leader.ClientAddr, counter)
	if err != nil {
		return err
	}
	if after <= before {
		return fmt.Errorf("the leader's %s stays %d: the member came back in another way", counter, after)
	}
	b.progress("rejoin by %s after %d writes: %.2f s, leader: %.2f s of CPU, %+.0f MB at most", quantity, b.opts.missed, cost.seconds, cost.cpuSeconds, cost.grownMB)
	b.record(measureRejoin, quantity+" time", "s", cost.seconds)
	b.record(measureRejoin, quantity+" CPU", "s", cost.cpuSeconds)
	b.record(measureRejoin, quantity+" mem", "MB", cost.grownMB)
	return nil
}

// write writes at least so often through the members.
func (b *bench) write(ctx context.Context, members []*apache.Server, count int) error {
	for written := 0; written < count; {
		result, err := runLoad(ctx, job{
			Addrs: addrs(members), Sessions: 32, InFlight: 16, PayloadBytes: rejoinPayloadBytes, DurationMs: 2000,
		}, ready)
		if err != nil {
			return err
		}
		if result.Operations == 0 {
			return fmt.Errorf("no write succeeded: %s", result.FirstError)
		}
		written += result.All
	}
	return nil
}

// leaderCost is what something cost the leader.
type leaderCost struct{ seconds, cpuSeconds, grownMB float64 }

// watchLeader measures the leader while something is done.
func watchLeader(ctx context.Context, leader *apache.Server, do func() error) (cost leaderCost, err error) {
	const sampleEvery = 5 * time.Millisecond
	before, err := residentMB(leader.PID())
	if err != nil {
		return cost, err
	}
	cpuBefore, err := membersCPU([]*apache.Server{leader})
	if err != nil {
		return cost, err
	}
	began, done := time.Now(), make(chan error, 1)
	go func() { done <- do() }()
	for most := before; ; {
		select {
		case err := <-done:
			cpuAfter, cpuErr := membersCPU([]*apache.Server{leader})
			return leaderCost{time.Since(began).Seconds(), cpuAfter - cpuBefore, most - before}, errors.Join(err, cpuErr)
		case <-time.After(sampleEvery):
			now, err := residentMB(leader.PID())
			if err != nil {
				return cost, err
			}
			most = max(most, now)
		case <-ctx.Done():
			return cost, ctx.Err()
		}
	}
}

// mntrValue reads a whole number that mntr tells.
func mntrValue(addr, name string) (int, error) {
	answer, err := apache.Command(addr, "mntr")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, name+"\t"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("%s does not tell %s", addr, name)
}

// largeSnapshot writes the snapshot of -znodes once, and returns its path.
func (b *bench) largeSnapshot() (string, error) {
	source := filepath.Join(b.dir, sourceDir)
	snapshot := filepath.Join(source, "version-2", fmt.Sprintf("snapshot.%x", snapshotZxid))
	if _, err := os.Stat(snapshot); err == nil {
		return snapshot, nil
	}
	b.progress("writing a snapshot of %d znodes", b.opts.znodes)
	return writeSnapshot(source, b.opts.znodes)
}

// giveSnapshot puts a copy into a server's data directory. A copy, not a link: Apache's server
// writes the same snapshot anew at its start.
func giveSnapshot(snapshot, dir string) error {
	target := filepath.Join(dir, "data", "version-2")
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	return copyFile(snapshot, filepath.Join(target, filepath.Base(snapshot)))
}
