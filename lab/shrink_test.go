package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// largeRun is a run with seven faults, of which one matters.
func largeRun(t *testing.T) options {
	t.Helper()
	schedule := nemesis.Schedule{Seed: 1, Members: []string{"n1", "n2", "n3", "n4", "n5"}, Total: time.Minute}
	for i := range 7 {
		step := nemesis.Step{At: time.Duration(i*8) * time.Second, Fault: "pause", Variant: "one", Targets: []string{"n4"}, Duration: 5 * time.Second}
		if i == 4 {
			step.Fault, step.Variant, step.Targets = "kill", "majority", []string{"n3", "n2", "n5"}
		}
		schedule.Steps = append(schedule.Steps, step)
	}
	if err := schedule.Validate(); err != nil {
		t.Fatal(err)
	}
	o := defaultOptions()
	o.Seed, o.TimeLimit, o.replay = 1, schedule.Total, &schedule
	return o
}

// matters is the bug: a kill of n2 that lasts a second, while three clients act.
func matters(_ context.Context, o options) (failure, error) {
	clients, err := o.clients()
	failing := slices.ContainsFunc(o.replay.Steps, func(step nemesis.Step) bool {
		return step.Fault == "kill" && slices.Contains(step.Targets, "n2") && step.Duration >= time.Second
	}) && clients >= 3
	results := store.Results{Checkers: []workloads.Result{{Checker: workloads.NonVacuous, Verdict: workloads.VerdictFail}, {Checker: "linearizable", Verdict: workloads.VerdictOK}}}
	if failing {
		results.Checkers[1].Verdict = workloads.VerdictFail
	}
	return failure{results: results}, err
}

// searching begins with largeRun, of which 5000 operations were recorded.
func searching(t *testing.T, try attempt) *shrinker {
	t.Helper()
	return &shrinker{try: try, tries: 1, maxRuns: 200, checker: "linearizable", tell: func(*failure) {},
		best: failure{options: largeRun(t), ops: make([]workloads.Op, 5000)}}
}

func TestShrinkFindsTheSmallest(t *testing.T) {
	s := searching(t, matters)
	if err := s.search(t.Context()); err != nil {
		t.Fatal(err)
	}
	best := s.best.options
	steps := best.replay.Steps
	if len(steps) != 1 || !slices.Equal(steps[0].Targets, []string{"n2"}) || steps[0].Duration < time.Second || steps[0].Duration >= 2*time.Second {
		t.Errorf("steps %+v", steps)
	}
	if best.Concurrency != "3" || best.Rate > 5 || best.replay.Total > 2*shortestTotal || best.TimeLimit != best.replay.Total {
		t.Errorf("%s clients, %g operations/s, %s and a time limit of %s", best.Concurrency, best.Rate, best.replay.Total, best.TimeLimit)
	}
	if err := best.replay.Validate(); err != nil {
		t.Error(err)
	}
	if s.runs > 60 {
		t.Errorf("it took %d runs", s.runs)
	}
}

// TestShrinkKeepsTheBest ends searches early, and begins one that has no chance.
func TestShrinkKeepsTheBest(t *testing.T) {
	s := searching(t, matters)
	s.maxRuns = 4
	if err := s.search(t.Context()); !errors.Is(err, errEnough) || s.runs != 4 {
		t.Errorf("after %d runs: %v", s.runs, err)
	}
	if steps := len(s.best.options.replay.Steps); steps == 0 || steps == 7 {
		t.Errorf("the best has %d steps", steps)
	}

	ctx, cancel := context.WithCancel(t.Context())
	s = searching(t, func(_ context.Context, o options) (failure, error) {
		if s.runs == 3 {
			cancel()
		}
		return matters(ctx, o)
	})
	if err := s.search(ctx); !errors.Is(err, context.Canceled) || s.best.options.replay == nil {
		t.Errorf("interrupted: %v, best %+v", err, s.best.options.replay)
	}

	never := searching(t, func(context.Context, options) (failure, error) { return failure{}, nil })
	never.tries = 3
	if err := never.search(t.Context()); !errors.Is(err, errPasses) || never.runs != 3 {
		t.Errorf("a run that passes, tried %d times: %v", never.runs, err)
	}
}

// TestShrinkStaysWithItsChecker: what fails in another way is another bug, however small.
func TestShrinkStaysWithItsChecker(t *testing.T) {
	s := searching(t, func(ctx context.Context, o options) (failure, error) {
		tried, err := matters(ctx, o)
		tried.results.Checkers = append(tried.results.Checkers, workloads.Result{Checker: "trees-equal", Verdict: workloads.VerdictFail})
		return tried, err
	})
	if err := s.search(t.Context()); err != nil {
		t.Fatal(err)
	}
	if steps := s.best.options.replay.Steps; len(steps) != 1 || steps[0].Fault != "kill" {
		t.Errorf("the best run lacks the kill without which linearizable passes: %+v", steps)
	}
}

// TestShrinkNeverGrows: members that are disturbed less answer more. What asks for less and
// has more operations is no better, but the search may go on from it.
func TestShrinkNeverGrows(t *testing.T) {
	s := searching(t, func(ctx context.Context, o options) (failure, error) {
		tried, err := matters(ctx, o)
		clients, _ := o.clients()
		tried.ops = make([]workloads.Op, 6000-100*clients)
		return tried, err
	})
	s.best.options.replay.Steps = s.best.options.replay.Steps[4:5]
	told := 0
	s.tell = func(*failure) { told++ }
	if err := s.search(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told != 0 || len(s.best.ops) != 5000 {
		t.Errorf("of runs that all have more operations than the first, %d were taken for smaller, and the best has %d", told, len(s.best.ops))
	}
	if clients := s.current.options.Concurrency; clients != "3" {
		t.Errorf("the search ended with %s clients", clients)
	}
}

// TestShrinkLeavesOutWorkloads: of workloads side by side that of the checker stays, under the
// name that its checker has alone; a checker of the whole ensemble may need any of them.
func TestShrinkLeavesOutWorkloads(t *testing.T) {
	for _, test := range []struct{ checker, needs, want string }{
		{"register/linearizable", "", "register"},
		{"register/linearizable", "lock", "lock,register"},
		{"trees-equal", "bank", "bank"},
	} {
		s := searching(t, func(_ context.Context, o options) (failure, error) {
			name := checkerOf(test.checker, workloadNames(o.Workload))
			verdict := workloads.VerdictOK
			if test.needs == "" || slices.Contains(workloadNames(o.Workload), test.needs) {
				verdict = workloads.VerdictFail
			}
			return failure{results: store.Results{Checkers: []workloads.Result{{Checker: name, Verdict: verdict}}}}, nil
		})
		s.checker, s.best.options.Workload = test.checker, "all"
		if err := s.search(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.best.options.Workload; got != test.want {
			t.Errorf("%s, which needs %q, is left with %s, want %s", test.checker, test.needs, got, test.want)
		}
	}
}

// TestShrinkCountsRepetitions of a run that fails every third time.
func TestShrinkCountsRepetitions(t *testing.T) {
	s := searching(t, func(ctx context.Context, o options) (failure, error) { return matters(ctx, o) })
	s.try = func(ctx context.Context, o options) (failure, error) {
		if s.runs%3 != 0 {
			return failure{}, nil
		}
		return matters(ctx, o)
	}
	if runs, failures, err := s.repeat(t.Context(), 7); runs != 7 || failures != 2 || err != nil {
		t.Errorf("%d of %d failed, %v", failures, runs, err)
	}
	s.runs = 0
	s.tries = 3
	if err := s.search(t.Context()); err != nil || len(s.best.options.replay.Steps) != 1 {
		t.Errorf("with three tries each: %d faults, %v", len(s.best.options.replay.Steps), err)
	}
}
