package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/nemesis"
)

// shortestTotal is the least fault phase that is tried: what the lab's flag allows.
const shortestTotal = minTimeLimit

// with is the run that the search has come to with another schedule.
func (s *shrinker) with(change func(*nemesis.Schedule)) options {
	o := s.current.options
	schedule := *o.replay
	schedule.Steps = slices.Clone(schedule.Steps)
	for i := range schedule.Steps {
		schedule.Steps[i].Targets = slices.Clone(schedule.Steps[i].Targets)
	}
	change(&schedule)
	o.replay, o.TimeLimit = &schedule, schedule.Total
	return o
}

// fewerWorkloads leaves out what else clients do. The one that the checker belongs to must
// stay, and is tried alone first.
func (s *shrinker) fewerWorkloads(ctx context.Context) error {
	count := func() int { return len(workloadNames(s.current.options.Workload)) }
	own, _, belongs := strings.Cut(s.checker, "/")
	if belongs && count() > 1 {
		o := s.current.options
		o.Workload = own
		if alone, err := s.fails(ctx, o); err != nil || alone {
			return err
		}
	}
	return s.leaveOut(ctx, count, func(from, to int) (options, bool) {
		o := s.current.options
		left := slices.Delete(slices.Clone(workloadNames(o.Workload)), from, to)
		o.Workload = strings.Join(left, ",")
		return o, len(left) > 0 && (!belongs || slices.Contains(left, own))
	})
}

// fewerSteps leaves out parts of the schedule.
func (s *shrinker) fewerSteps(ctx context.Context) error {
	return s.leaveOut(ctx, func() int { return len(s.current.options.replay.Steps) }, func(from, to int) (options, bool) {
		return s.with(func(schedule *nemesis.Schedule) { schedule.Steps = slices.Delete(schedule.Steps, from, to) }), true
	})
}

// leaveOut is delta debugging: it leaves out parts of a list, first large ones. Without makes
// a candidate, and says whether it makes sense.
func (s *shrinker) leaveOut(ctx context.Context, count func() int, without func(from, to int) (options, bool)) error {
	for part := count(); part > 0; part /= 2 {
		for from := 0; from < count(); {
			to := min(from+part, count())
			smaller := false
			if o, ok := without(from, to); ok {
				var err error
				if smaller, err = s.fails(ctx, o); err != nil {
					return err
				}
			}
			if !smaller {
				from = to
			}
		}
	}
	return nil
}

// lessTime ends the fault phase behind the last step, then begins it at the first one, and
// then shortens it where nothing stands in the way.
func (s *shrinker) lessTime(ctx context.Context) error {
	for _, change := range []func(*nemesis.Schedule){
		func(schedule *nemesis.Schedule) { schedule.Total = max(shortestTotal, lastEnd(schedule)+time.Second) },
		func(schedule *nemesis.Schedule) {
			if len(schedule.Steps) == 0 {
				return
			}
			early := max(0, schedule.Steps[0].At-time.Second)
			for i := range schedule.Steps {
				schedule.Steps[i].At -= early
			}
			schedule.Total = max(shortestTotal, schedule.Total-early)
		},
		func(schedule *nemesis.Schedule) {
			schedule.Total = max(shortestTotal, lastEnd(schedule), schedule.Total/2)
		},
	} {
		o := s.with(change)
		if o.replay.Total >= s.current.options.replay.Total {
			continue
		}
		if _, err := s.fails(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// lastEnd is when the last step of a schedule ends.
func lastEnd(schedule *nemesis.Schedule) (end time.Duration) {
	for _, step := range schedule.Steps {
		end = max(end, step.At+step.Duration)
	}
	return end
}

// shorterSteps halves the length of each step, down to what is worth a fault.
func (s *shrinker) shorterSteps(ctx context.Context) error {
	const shortest = 500 * time.Millisecond
	for i := range s.current.options.replay.Steps {
		for s.current.options.replay.Steps[i].Duration > shortest {
			smaller, err := s.fails(ctx, s.with(func(schedule *nemesis.Schedule) {
				schedule.Steps[i].Duration = max(shortest, schedule.Steps[i].Duration/2).Truncate(time.Millisecond)
			}))
			if err != nil {
				return err
			}
			if !smaller {
				break
			}
		}
	}
	return nil
}

// fewerTargets leaves out targets of steps where any number of them makes sense.
func (s *shrinker) fewerTargets(ctx context.Context) error {
	for i := range s.current.options.replay.Steps {
		for target := 0; target < len(s.current.options.replay.Steps[i].Targets) && len(s.current.options.replay.Steps[i].Targets) > 1; {
			o := s.with(func(schedule *nemesis.Schedule) {
				schedule.Steps[i].Targets = slices.Delete(schedule.Steps[i].Targets, target, target+1)
			})
			smaller := false
			if o.replay.Validate() == nil && countsTargets(o.replay.Steps[i]) {
				var err error
				if smaller, err = s.fails(ctx, o); err != nil {
					return err
				}
			}
			if !smaller {
				target++
			}
		}
	}
	return nil
}

// countsTargets says that a step means the same with fewer targets: it holds processes.
func countsTargets(step nemesis.Step) bool {
	return step.Fault == "kill" || step.Fault == "pause" || step.Fault == "stop"
}

// fewerClients halves the clients, and then takes away one at a time.
func (s *shrinker) fewerClients(ctx context.Context) error {
	fewer := func(count int) int { return count / 2 }
	for {
		count, err := s.current.options.clients()
		if err != nil {
			return err
		}
		o := s.current.options
		o.Concurrency = strconv.Itoa(fewer(count))
		if fewer(count) < 1 {
			return nil
		}
		smaller, err := s.fails(ctx, o)
		switch {
		case err != nil:
			return err
		case !smaller && fewer(count) == count-1:
			return nil
		case !smaller:
			fewer = func(count int) int { return count - 1 }
		}
	}
}

// lowerRate halves the operations per second.
func (s *shrinker) lowerRate(ctx context.Context) error {
	const lowest = 5
	for s.current.options.Rate > lowest {
		o := s.current.options
		o.Rate = max(lowest, o.Rate/2)
		if smaller, err := s.fails(ctx, o); err != nil || !smaller {
			return err
		}
	}
	return nil
}
