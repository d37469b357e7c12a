package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"zoolab/lab/cluster"
	"zoolab/lab/history"
	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// shrinkLimits are what a search may cost, and what it looks for.
type shrinkLimits struct {
	time    time.Duration
	tries   int
	runs    int
	repeats int
	checker string
}

// shrinkCommand looks for a smaller run that fails as the one in a directory did, and
// writes it there and into its report.
func shrinkCommand(args []string, stdout, stderr *os.File) int {
	limits := shrinkLimits{time: 10 * time.Minute, runs: 2000, repeats: 5}
	run, o, err := again("shrink", args, func(flags *flag.FlagSet) {
		flags.DurationVar(&limits.time, "for", limits.time, "shrink: how long to search")
		flags.IntVar(&limits.tries, "tries", limits.tries, "shrink: runs of each candidate, with a seed each; 0 for 2 in the simulator and 3 elsewhere")
		flags.IntVar(&limits.runs, "runs", limits.runs, "shrink: runs of all candidates together")
		flags.IntVar(&limits.repeats, "repeat", limits.repeats, "shrink: repetitions of the smallest run, to say how often it fails; none in the simulator")
		flags.StringVar(&limits.checker, "checker", limits.checker, "shrink: the checker that must fail; empty for the first that failed")
	})
	if err == nil && (limits.time <= 0 || limits.runs < 1 || limits.tries < 0 || limits.repeats < 0) {
		err = errors.New("shrink: want -for and -runs above 0, and -tries and -repeat not below")
	}
	if err != nil {
		return badArguments(stderr, err)
	}
	s, err := newShrinker(run, o, limits)
	if err != nil {
		return badArguments(stderr, fmt.Errorf("shrink: %w", err))
	}
	ctx, stop := interrupted()
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the lab at once
	if o.rebuilt() {
		return rebuild(ctx, &o, append([]string{"shrink"}, args...), stdout, stderr)
	}
	found, err := s.shrink(ctx, run, o, limits, stdout)
	switch {
	case err != nil:
		return crash(stderr, fmt.Errorf("shrink: %w", err))
	case !found:
		return exitUnknown
	}
	return exitValid
}

// newShrinker begins with the run as it was recorded.
func newShrinker(run *store.Run, o options, limits shrinkLimits) (*shrinker, error) {
	before, err := run.ReadResults()
	if err != nil {
		return nil, fmt.Errorf("%w; judge the run first: go run ./lab check %s", err, run.Dir)
	}
	failed := judging(before)
	if len(failed) == 0 {
		return nil, fmt.Errorf("no checker of %s found a broken promise; its verdict is %s: %s", run.Dir, before.Verdict, before.Cause)
	}
	s := &shrinker{tries: limits.tries, maxRuns: limits.runs, checker: cmp.Or(limits.checker, failed[0])}
	if !slices.Contains(failed, s.checker) {
		return nil, fmt.Errorf("-checker %q: what failed in %s is %s", s.checker, run.Dir, strings.Join(failed, ", "))
	}
	if s.tries == 0 {
		if s.tries = 3; o.simulated() {
			s.tries = 2
		}
	}
	s.best = failure{options: o, results: before}
	if s.best.ops, err = history.ReadFile(run.Path(store.HistoryFile)); err != nil {
		return nil, err
	}
	return s, nil
}

// shrink searches, and keeps what it found also when it is interrupted. It reports whether
// that is smaller than the run was.
func (s *shrinker) shrink(ctx context.Context, run *store.Run, o options, limits shrinkLimits, stdout *os.File) (found bool, err error) {
	began := time.Now()
	s.try = tryInSimulator
	if !o.simulated() {
		var scratch string
		if scratch, err = cluster.MakeScratch(); err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
		s.try = onMembers(scratch)
	}
	first := s.best
	s.tell = func(best *failure) {
		found = true
		fmt.Fprintf(stdout, "%6s  run %d still fails: %s\n", time.Since(began).Round(time.Second), s.runs, best)
	}
	fmt.Fprintf(stdout, "Looking for a smaller run that fails as %s, by %s; Ctrl+C ends the search and keeps the best\n        %s\n", run.Dir, s.checker, &first)
	searching, cancel := context.WithTimeout(ctx, limits.time)
	defer cancel()
	err = s.search(searching)
	switch {
	case errors.Is(err, errPasses):
		fmt.Fprintf(stdout, "%s did not fail in %d repetitions of the run: the code or the machine is not what it was, or the run fails seldom; -tries N tries more often.\n", s.checker, s.runs)
		return false, nil
	case errors.Is(err, errEnough) || searching.Err() != nil:
		fmt.Fprintf(stdout, "The search ended early, after %d runs.\n", s.runs)
	case err != nil:
		return false, err
	}
	if !found {
		fmt.Fprintln(stdout, "Nothing smaller was found; the run is as it was.")
		return false, nil
	}
	shrunk := s.shrunk(&first)
	if !o.simulated() && ctx.Err() == nil && limits.repeats > 0 {
		fmt.Fprintf(stdout, "Repeating the smallest run, %d times\n", limits.repeats)
		if shrunk.Repeated, shrunk.Failed, err = s.repeat(ctx, limits.repeats); err != nil && ctx.Err() == nil {
			return true, err
		}
	}
	shrunk.Seconds = time.Since(began).Seconds()
	return true, s.write(run, shrunk, stdout)
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

// onMembers starts an ensemble for each run. The server is built once, into scratch.
func onMembers(scratch string) attempt {
	binary := ""
	return func(ctx context.Context, o options) (done failure, err error) {
		if o.builds() {
			if binary == "" {
				if binary, err = serverBinary(ctx, &o, scratch); err != nil {
					return done, err
				}
			}
			o.Binary = binary
		}
		quiet, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return done, err
		}
		defer quiet.Close()
		o.Store = filepath.Join(scratch, "store")
		defer func() { err = errors.Join(err, os.RemoveAll(o.Store)) }()
		end := oneRun(ctx, o, quiet)
		if end.err != nil {
			return done, unformed(end.err)
		}
		done.results = end.results
		done.ops, err = history.ReadFile(end.run.Path(store.HistoryFile))
		return done, err
	}
}

// unformed forgives a candidate whose ensemble did not come up: it does not fail as the run did.
func unformed(err error) error {
	if errors.Is(err, errNotStarted) {
		return nil
	}
	return err
}

// shrunk describes the smallest run, of that which was first.
func (s *shrinker) shrunk(first *failure) store.Shrunk {
	checker := checkerOf(s.checker, workloadNames(s.best.options.Workload))
	out := store.Shrunk{
		Checker: checker, Runs: s.runs, Exact: first.options.simulated(),
		FaultsBefore: len(first.options.replay.Steps), Faults: len(s.best.options.replay.Steps),
		OperationsBefore: invocations(first.ops), Operations: invocations(s.best.ops),
	}
	for _, result := range s.best.results.Checkers {
		switch result.Checker {
		case checker: // what it found comes first
			out.Cause = checker + ": " + result.Cause
			out.Checkers = slices.Insert(out.Checkers, 0, result)
		case workloads.NonVacuous: // a small run need not have everything
		default:
			out.Checkers = append(out.Checkers, result)
		}
	}
	return out
}

// write leaves the small run beside the large one, and in its report.
func (s *shrinker) write(run *store.Run, shrunk store.Shrunk, stdout *os.File) error {
	text, err := nemesis.MarshalSchedule(*s.best.options.replay)
	if err != nil {
		return err
	}
	small := s.best.options
	small.Schedule = run.Path(store.ShrunkSchedule)
	shrunk.Command = small.command()
	err = errors.Join(
		run.WriteFile(store.ShrunkSchedule, text),
		run.Write(store.ShrunkHistory, func(w io.Writer) error { return history.Write(w, s.best.ops) }),
		run.WriteShrunk(shrunk),
	)
	if err == nil {
		_, err = check(run) // its report shows the small run from now on
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\n%d faults became %d, %d operations %d, in %d runs and %.0f s.\n%s\n", shrunk.FaultsBefore, shrunk.Faults,
		shrunk.OperationsBefore, shrunk.Operations, shrunk.Runs, shrunk.Seconds, shrunk.Cause)
	if shrunk.Repeated > 0 {
		fmt.Fprintf(stdout, "The small run failed in %d of %d repetitions.\n", shrunk.Failed, shrunk.Repeated)
	}
	fmt.Fprintf(stdout, "  %s\nReport: %s\n", shrunk.Command, run.Path(store.ReportFile))
	return nil
}
