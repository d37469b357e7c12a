package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"zoolab/lab/history"
	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// shrinkLimits are what a search may cost.
type shrinkLimits struct {
	time  time.Duration
	tries int
	runs  int
}

// shrinkCommand looks for a smaller run that fails as the one in a directory did, and
// writes it there and into its report.
func shrinkCommand(args []string, stdout, stderr *os.File) int {
	limits := shrinkLimits{time: 10 * time.Minute, runs: 2000}
	run, o, err := again("shrink", args, func(flags *flag.FlagSet) {
		flags.DurationVar(&limits.time, "for", limits.time, "shrink: how long to search")
		flags.IntVar(&limits.tries, "tries", limits.tries, "shrink: runs of each candidate, with a seed each; 0 for 2 in the simulator and 3 elsewhere")
		flags.IntVar(&limits.runs, "runs", limits.runs, "shrink: runs of all candidates together")
	})
	if err == nil && (limits.time <= 0 || limits.tries < 0 || limits.runs < 1) {
		err = errors.New("shrink: want -for and -runs above 0, and -tries not below")
	}
	if err != nil {
		return badArguments(stderr, err)
	}
	before, err := run.ReadResults()
	if err != nil {
		return badArguments(stderr, fmt.Errorf("shrink: %w; judge the run first: go run ./lab check %s", err, run.Dir))
	}
	if len(judging(before)) == 0 {
		return badArguments(stderr, fmt.Errorf("shrink: no checker of %s found a broken promise; its verdict is %s: %s", run.Dir, before.Verdict, before.Cause))
	}
	ctx, stop := interrupted()
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the lab at once
	if o.rebuilt() {
		return rebuild(ctx, &o, append([]string{"shrink"}, args...), stdout, stderr)
	}
	if err := shrink(ctx, run, o, limits, before, stdout); err != nil {
		return crash(stderr, err)
	}
	return exitValid
}

// shrink searches, and keeps what it found also when it is interrupted.
func shrink(ctx context.Context, run *store.Run, o options, limits shrinkLimits, before store.Results, stdout *os.File) error {
	began := time.Now()
	searching, cancel := context.WithTimeout(ctx, limits.time)
	defer cancel()
	s := &shrinker{try: tryOnMembers, tries: limits.tries, maxRuns: limits.runs, checkers: judging(before)}
	if o.simulated() {
		s.try = tryInSimulator
	}
	if s.tries == 0 {
		if s.tries = 3; o.simulated() {
			s.tries = 2
		}
	}
	s.tell = func(best *failure) {
		fmt.Fprintf(stdout, "%6s  run %d still fails: %s\n", time.Since(began).Round(time.Second), s.runs, best)
	}
	fmt.Fprintf(stdout, "Looking for a smaller run that fails as %s; Ctrl+C ends the search and keeps the best\n", run.Dir)
	err := s.search(searching, o)
	if s.best.options.replay == nil {
		if errors.Is(err, errPasses) {
			err = fmt.Errorf("%w, %d times: there is nothing to make smaller (%s)", err, s.runs, before.Cause)
		}
		return fmt.Errorf("shrink: %w", err)
	}
	if errors.Is(err, errEnough) || searching.Err() != nil {
		fmt.Fprintln(stdout, "The search ended early; what it found is kept.")
	} else if err != nil {
		return fmt.Errorf("shrink: %w", err)
	}
	s.best.results.Checkers = slices.DeleteFunc(s.best.results.Checkers, func(r workloads.Result) bool {
		return r.Checker == workloads.NonVacuous // a small run need not have everything
	})
	return s.write(run, o, before, time.Since(began), stdout)
}

// tryInSimulator repeats exactly.
func tryInSimulator(ctx context.Context, o options) (failure, error) {
	r, results, err := simulateUnkept(ctx, o)
	if err != nil {
		return failure{}, unformed(err)
	}
	ops, err := r.recorder.Close()
	return failure{ops: ops, results: results}, err
}

// tryOnMembers starts an ensemble for each run.
func tryOnMembers(ctx context.Context, o options) (failure, error) {
	dir, err := os.MkdirTemp("", "zoolab-shrink-")
	if err != nil {
		return failure{}, err
	}
	defer os.RemoveAll(dir)
	quiet, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return failure{}, err
	}
	defer quiet.Close()
	o.Store = dir
	done := oneRun(ctx, o, quiet)
	if done.err != nil {
		return failure{}, unformed(done.err)
	}
	ops, err := history.ReadFile(done.run.Path(store.HistoryFile))
	return failure{ops: ops, results: done.results}, err
}

// unformed forgives a candidate whose ensemble did not come up: it does not fail as the run did.
func unformed(err error) error {
	if errors.Is(err, errNotStarted) {
		return nil
	}
	return err
}

// write leaves the small run beside the large one, and in its report.
func (s *shrinker) write(run *store.Run, o options, before store.Results, took time.Duration, stdout *os.File) error {
	first, err := history.ReadFile(run.Path(store.HistoryFile))
	if err != nil {
		return fmt.Errorf("shrink: %w", err)
	}
	text, err := nemesis.MarshalSchedule(*s.best.options.replay)
	if err != nil {
		return fmt.Errorf("shrink: %w", err)
	}
	small := s.best.options
	small.Schedule, small.Store = run.Path(store.ShrunkSchedule), o.Store
	shrunk := store.Shrunk{
		Command: small.command(), Cause: cause(s.best.results), Checkers: s.best.results.Checkers,
		Runs: s.runs, Seconds: took.Seconds(), Exact: o.simulated(),
		FaultsBefore: len(o.replay.Steps), Faults: len(small.replay.Steps),
		OperationsBefore: invocations(first), Operations: invocations(s.best.ops),
	}
	err = errors.Join(
		run.WriteFile(store.ShrunkSchedule, text),
		run.Write(store.ShrunkHistory, func(w io.Writer) error { return history.Write(w, s.best.ops) }),
		run.WriteShrunk(shrunk),
	)
	if err == nil {
		_, err = check(run) // its report shows the small run from now on
	}
	if err != nil {
		return fmt.Errorf("shrink: %w", err)
	}
	fmt.Fprintf(stdout, "\n%d faults became %d, %d operations %d, in %d runs and %s.\n%s\n  %s\nReport: %s\n", shrunk.FaultsBefore, shrunk.Faults,
		shrunk.OperationsBefore, shrunk.Operations, shrunk.Runs, took.Round(time.Second), shrunk.Cause, shrunk.Command, run.Path(store.ReportFile))
	return nil
}
