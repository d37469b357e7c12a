package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

const (
	rejoinMembers      = 3
	rejoinPayloadBytes = 100
)

// rejoins measures what it costs to bring back a member that missed -missed writes, by the
// log and by a snapshot: the time from its start until it serves, which has the load of its
// own data in it, and what the leader spends on it.
func (b *bench) rejoins(ctx context.Context, dir string) error {
	for _, way := range b.system.rejoins() {
		if err := b.rejoin(ctx, filepath.Join(dir, way.name), way); err != nil {
			return fmt.Errorf("rejoin by %s: %w", way.name, err)
		}
	}
	return nil
}

func (b *bench) rejoin(ctx context.Context, dir string, way rejoin) (err error) {
	data, err := b.largeData(ctx)
	if err != nil {
		return err
	}
	const limit = 5 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	b.progress("starting %d members with %d znodes", rejoinMembers, b.opts.znodes)
	members, err := way.startMembers(ctx, dir, data, rejoinMembers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, killAll(members)) }()
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
	others := slices.DeleteFunc(slices.Clone(members), func(m member) bool { return m == lagging })
	if err := b.write(ctx, others, b.opts.missed); err != nil {
		return err
	}
	before, err := way.count(leader)
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
	after, err := way.count(leader)
	if err != nil {
		return err
	}
	if after <= before {
		return fmt.Errorf("the leader's count stays %d: the member came back in another way", after)
	}
	b.progress("rejoin by %s after %d writes: %.2f s, leader: %.2f s of CPU, %+.0f MB at most", way.name, b.opts.missed, cost.seconds, cost.cpuSeconds, cost.grownMB)
	b.record(measureRejoin, way.name+" time", "s", cost.seconds)
	b.record(measureRejoin, way.name+" CPU", "s", cost.cpuSeconds)
	b.record(measureRejoin, way.name+" mem", "MB", cost.grownMB)
	return nil
}

// write writes at least so often through the members.
func (b *bench) write(ctx context.Context, members []member, count int) error {
	for written := 0; written < count; {
		result, err := b.load(ctx, members, job{
			Operation: opSet, Sessions: 32, InFlight: 16, PayloadBytes: rejoinPayloadBytes, DurationMs: 2000,
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
func watchLeader(ctx context.Context, leader member, do func() error) (cost leaderCost, err error) {
	const sampleEvery = 5 * time.Millisecond
	before, err := residentMB(leader.PID(), allPages)
	if err != nil {
		return cost, err
	}
	cpuBefore, err := membersCPU([]member{leader})
	if err != nil {
		return cost, err
	}
	began, done := time.Now(), make(chan error, 1)
	go func() { done <- do() }()
	for most := before; ; {
		select {
		case err := <-done:
			cpuAfter, cpuErr := membersCPU([]member{leader})
			return leaderCost{time.Since(began).Seconds(), cpuAfter - cpuBefore, most - before}, errors.Join(err, cpuErr)
		case <-time.After(sampleEvery):
			now, err := residentMB(leader.PID(), allPages)
			if err != nil {
				return cost, err
			}
			most = max(most, now)
		case <-ctx.Done():
			return cost, ctx.Err()
		}
	}
}
