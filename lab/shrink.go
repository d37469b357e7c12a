package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// attempt carries out one run and judges it.
type attempt func(ctx context.Context, o options) (failure, error)

// failure is a run that was carried out while looking for a small one that fails.
type failure struct {
	options options
	ops     []workloads.Op
	results store.Results
}

// shrinker looks for the smallest run that still fails in the same way. Everything that is
// tried differs from the best so far in one respect; what still fails is the best from then
// on. So the search may end at any time.
type shrinker struct {
	try      attempt
	tries    int                 // runs of a candidate, each with another seed
	maxRuns  int                 // of all together
	checkers []string            // one of these must fail
	tell     func(best *failure) // called when there is a better one

	best failure
	runs int
}

var (
	// errEnough ends a search at its bound.
	errEnough = errors.New("the bound of the search is reached")
	// errPasses says that there is nothing to shrink.
	errPasses = errors.New("the run does not fail when it is repeated")
)

// shortestTotal is the least fault phase that is tried: what the lab's flag allows.
const shortestTotal = minTimeLimit

// judging checkers say what a broken promise is; the others, whether a run is worth anything,
// which a small one need not be.
func judging(results store.Results) (names []string) {
	for _, result := range results.Checkers {
		if result.Verdict == workloads.VerdictFail && result.Checker != workloads.NonVacuous {
			names = append(names, result.Checker)
		}
	}
	return names
}

// search makes the run that o describes smaller. The best is what was found when it
// returns, also with an error, which is errEnough or that of ctx where the search did not
// come to its end.
func (s *shrinker) search(ctx context.Context, o options) error {
	if ok, err := s.fails(ctx, o); err != nil {
		return err
	} else if !ok {
		return errPasses
	}
	for {
		before := s.size()
		for _, pass := range []func(context.Context) error{s.fewerSteps, s.fewerClients, s.lessTime, s.shorterSteps, s.fewerTargets, s.lowerRate} {
			if err := pass(ctx); err != nil {
				return err
			}
		}
		if s.size() == before {
			return nil
		}
	}
}

// size is what makes a run smaller than another, for the end of the search.
func (s *shrinker) size() [4]int {
	clients, _ := s.best.options.clients()
	targets, length := 0, time.Duration(0)
	for _, step := range s.best.options.replay.Steps {
		targets += len(step.Targets)
		length += step.Duration
	}
	return [4]int{len(s.best.options.replay.Steps), targets, int((length + s.best.options.replay.Total).Milliseconds()), clients}
}

// fails carries a candidate out. One that fails as the run did becomes the best.
func (s *shrinker) fails(ctx context.Context, o options) (bool, error) {
	seed := o.Seed
	for n := range int64(s.tries) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if s.runs >= s.maxRuns {
			return false, errEnough
		}
		s.runs++
		o.Seed = seed + n
		tried, err := s.try(ctx, o)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(judging(tried.results), func(name string) bool { return slices.Contains(s.checkers, name) }) {
			tried.options = o
			s.best = tried
			s.tell(&s.best)
			return true, nil
		}
	}
	return false, nil
}

// with is the best run with another schedule.
func (s *shrinker) with(change func(*nemesis.Schedule)) options {
	o := s.best.options
	schedule := *o.replay
	schedule.Steps = slices.Clone(schedule.Steps)
	for i := range schedule.Steps {
		schedule.Steps[i].Targets = slices.Clone(schedule.Steps[i].Targets)
	}
	change(&schedule)
	o.replay, o.TimeLimit = &schedule, schedule.Total
	return o
}

// fewerSteps is delta debugging: it leaves out parts of the schedule, first large ones.
func (s *shrinker) fewerSteps(ctx context.Context) error {
	for part := len(s.best.options.replay.Steps); part > 0; part /= 2 {
		for from := 0; from < len(s.best.options.replay.Steps); {
			to := min(from+part, len(s.best.options.replay.Steps))
			smaller, err := s.fails(ctx, s.with(func(schedule *nemesis.Schedule) {
				schedule.Steps = slices.Delete(schedule.Steps, from, to)
			}))
			if err != nil {
				return err
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
		if o.replay.Total >= s.best.options.replay.Total {
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
	for i := range s.best.options.replay.Steps {
		for s.best.options.replay.Steps[i].Duration > shortest {
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
	for i := range s.best.options.replay.Steps {
		for target := 0; target < len(s.best.options.replay.Steps[i].Targets) && len(s.best.options.replay.Steps[i].Targets) > 1; {
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
		count, err := s.best.options.clients()
		if err != nil {
			return err
		}
		o := s.best.options
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
	for s.best.options.Rate > lowest {
		o := s.best.options
		o.Rate = max(lowest, o.Rate/2)
		if smaller, err := s.fails(ctx, o); err != nil || !smaller {
			return err
		}
	}
	return nil
}

// String says how large the run is.
func (f *failure) String() string {
	clients, _ := f.options.clients()
	return fmt.Sprintf("%d faults in %s, %d clients at %g operations/s, %d operations", len(f.options.replay.Steps), f.options.replay.Total, clients, f.options.Rate, invocations(f.ops))
}

// invocations counts the operations of clients.
func invocations(ops []workloads.Op) (count int) {
	for i := range ops {
		if ops[i].Process >= 0 && ops[i].Type == workloads.Invoke {
			count++
		}
	}
	return count
}
