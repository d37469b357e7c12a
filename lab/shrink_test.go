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

func newShrinker(try attempt) *shrinker {
	return &shrinker{try: try, tries: 1, maxRuns: 200, checkers: []string{"linearizable"}, tell: func(*failure) {}}
}

func TestShrinkFindsTheSmallest(t *testing.T) {
	s := newShrinker(matters)
	if err := s.search(t.Context(), largeRun(t)); err != nil {
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
	s := newShrinker(matters)
	s.maxRuns = 4
	if err := s.search(t.Context(), largeRun(t)); !errors.Is(err, errEnough) || s.runs != 4 {
		t.Errorf("after %d runs: %v", s.runs, err)
	}
	if steps := len(s.best.options.replay.Steps); steps == 0 || steps == 7 {
		t.Errorf("the best has %d steps", steps)
	}

	ctx, cancel := context.WithCancel(t.Context())
	s = newShrinker(func(_ context.Context, o options) (failure, error) {
		if s.runs == 3 {
			cancel()
		}
		return matters(ctx, o)
	})
	if err := s.search(ctx, largeRun(t)); !errors.Is(err, context.Canceled) || s.best.options.replay == nil {
		t.Errorf("interrupted: %v, best %+v", err, s.best.options.replay)
	}

	never := newShrinker(func(context.Context, options) (failure, error) { return failure{}, nil })
	never.tries = 3
	if err := never.search(t.Context(), largeRun(t)); !errors.Is(err, errPasses) || never.runs != 3 {
		t.Errorf("a run that passes, tried %d times: %v", never.runs, err)
	}
}
