package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"zoolab/lab/store"
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

// shrinker looks for the smallest run that still fails by the same checker. Everything that is
// tried differs from the run before it in one respect, in which it asks for less; what still
// fails is what the search goes on from. So the search may end at any time.
type shrinker struct {
	try     attempt
	tries   int                 // runs of a candidate, each with another seed
	maxRuns int                 // of all together
	checker string              // a candidate fails as the run did if this one fails it
	tell    func(best *failure) // called when there is a better one

	// best is the smallest of all runs that failed; first the one that is to be made smaller,
	// as it was recorded. current is what the search has come to. It asks for the least, but
	// may have more operations: members that fail for a shorter time answer more.
	best, current failure
	runs          int
}

var (
	// errEnough ends a search at its bound.
	errEnough = errors.New("the bound of the search is reached")
	// errPasses says that there is nothing to shrink.
	errPasses = errors.New("the run does not fail when it is repeated")
)

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

// search makes the best run smaller. The best is what was found when it returns, also with an
// error, which is errEnough or that of ctx where the search did not come to its end.
func (s *shrinker) search(ctx context.Context) error {
	if ok, err := s.fails(ctx, s.best.options); err != nil {
		return err
	} else if !ok {
		return errPasses
	}
	for {
		before := s.asks()
		for _, pass := range []func(context.Context) error{s.fewerWorkloads, s.fewerSteps, s.fewerClients, s.lessTime, s.shorterSteps, s.fewerTargets, s.lowerRate} {
			if err := pass(ctx); err != nil {
				return err
			}
		}
		if s.asks() == before {
			return nil
		}
	}
}

// asks is what the run that the search has come to asks for; the search is over when it no
// longer gets less.
func (s *shrinker) asks() [5]int {
	o := &s.current.options
	clients, _ := o.clients()
	targets, length := 0, time.Duration(0)
	for _, step := range o.replay.Steps {
		targets += len(step.Targets)
		length += step.Duration
	}
	return [5]int{len(workloadNames(o.Workload)), len(o.replay.Steps), targets, int((length + o.replay.Total).Milliseconds()), clients}
}

// compare orders failing runs by what a reader has to understand: the faults, then the
// operations, then how long it all takes and how many clients there are.
func (f *failure) compare(other *failure) int {
	clients, _ := f.options.clients()
	others, _ := other.options.clients()
	return cmp.Or(
		cmp.Compare(len(f.options.replay.Steps), len(other.options.replay.Steps)),
		cmp.Compare(invocations(f.ops), invocations(other.ops)),
		cmp.Compare(f.options.replay.Total, other.options.replay.Total),
		cmp.Compare(clients, others),
	)
}

// fails carries a candidate out. The search goes on from one that fails as the run did.
func (s *shrinker) fails(ctx context.Context, o options) (bool, error) {
	seed := o.Seed
	for n := range int64(s.tries) {
		if s.runs >= s.maxRuns {
			return false, errEnough
		}
		o.Seed = seed + n
		tried, failed, err := s.run(ctx, o)
		if err != nil {
			return false, err
		}
		if failed {
			s.current = tried
			if tried.compare(&s.best) < 0 {
				s.best = tried
				s.tell(&s.best)
			}
			return true, nil
		}
	}
	return false, nil
}

// run carries one run out, and says whether it fails as it must. One that was interrupted on
// its way counts for nothing.
func (s *shrinker) run(ctx context.Context, o options) (tried failure, failed bool, err error) {
	if err := ctx.Err(); err != nil {
		return tried, false, err
	}
	s.runs++
	if tried, err = s.try(ctx, o); err == nil {
		err = ctx.Err()
	}
	tried.options = o
	return tried, slices.Contains(judging(tried.results), checkerOf(s.checker, workloadNames(o.Workload))), err
}

// repeat carries the best run out so many times, and counts how often it fails.
func (s *shrinker) repeat(ctx context.Context, times int) (runs, failures int, err error) {
	for runs < times {
		_, failed, err := s.run(ctx, s.best.options)
		if err != nil {
			return runs, failures, err
		}
		runs++
		if failed {
			failures++
		}
	}
	return runs, failures, nil
}

// checkerOf is what a checker is called in a run of these workloads: of several side by side,
// each checker of a workload bears its name in front.
func checkerOf(checker string, names []string) string {
	if len(names) == 1 {
		checker = strings.TrimPrefix(checker, names[0]+"/")
	}
	return checker
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
