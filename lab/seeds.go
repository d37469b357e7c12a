package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"zoolab/lab/store"
	"zoolab/workloads"
)

const (
	// maxKeptSeeds bounds the runs that are kept: where so many fail, more of them tell
	// nothing new.
	maxKeptSeeds = 10
	// seedsInterval is how often the progress of many runs is told.
	seedsInterval = 10 * time.Second
)

// sweep is many simulated runs that differ in their seeds.
type sweep struct {
	options options
	out     *os.File
	began   time.Time

	mu         sync.Mutex // guards what follows, and the output
	next       int64      // seed
	left       int        // seeds that nobody has begun
	done       int
	operations int
	verdicts   map[workloads.Verdict]int
	causes     map[string]int // of runs that did not pass, by checker
	seen       map[string]int // what must happen in some run, by its name in the results
	kept       int
	told       time.Time
	err        error // the first one of the lab itself
}

// seedsCommand runs the seeds on all cores, each in a goroutine of its own.
func seedsCommand(ctx context.Context, o options, stdout, stderr *os.File) int {
	s := &sweep{options: o, out: stdout, began: time.Now(), next: max(1, o.Seed), left: o.Seeds,
		verdicts: make(map[workloads.Verdict]int), causes: make(map[string]int), seen: make(map[string]int)}
	s.told = s.began
	// A run's garbage is small and soon dead: collecting it less often saves time.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() { s.work(ctx) })
	}
	workers.Wait()
	if s.err != nil {
		return crash(stderr, s.err)
	}
	s.summary()
	verdict := workloads.VerdictOK
	for v := range s.verdicts {
		verdict = verdict.Merge(v)
	}
	if missing := s.missing(); len(missing) > 0 {
		fmt.Fprintf(stdout, "The runs prove too little: in none of them was there %s\n", strings.Join(missing, ", "))
		verdict = verdict.Merge(workloads.VerdictFail)
	}
	if s.left > 0 {
		fmt.Fprintf(stdout, "%d seeds were left out\n", s.left)
		verdict = verdict.Merge(workloads.VerdictUnknown)
	}
	return exitCode(verdict)
}

// work runs seeds until there are none left.
func (s *sweep) work(ctx context.Context) {
	for ctx.Err() == nil {
		o, ok := s.take()
		if !ok {
			return
		}
		r, results, err := simulateUnkept(ctx, o)
		if ctx.Err() != nil {
			s.giveBack()
			return
		}
		s.add(ctx, r, results, err)
	}
}

// simulateUnkept carries out one simulated run and judges it, and keeps nothing.
func simulateUnkept(ctx context.Context, o options) (*runner, store.Results, error) {
	r, err := newRunner(o, quietProgress())
	if err != nil {
		return nil, store.Results{}, err
	}
	if err := r.simulate(ctx); err != nil {
		return r, store.Results{}, err
	}
	results, err := r.judgeUnkept()
	return r, results, err
}

// take gives the options of the next seed.
func (s *sweep) take() (options, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 || s.err != nil {
		return options{}, false
	}
	o := s.options
	o.Seed, o.Seeds = s.next, 0
	s.next++
	s.left--
	return o, true
}

func (s *sweep) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left++
}

// add notes the outcome of a run. One that did not pass is repeated, exactly, and kept.
func (s *sweep) add(ctx context.Context, r *runner, results store.Results, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, errNotStarted) {
		results.Verdict, results.Cause = workloads.VerdictUnknown, err.Error()
	} else if err != nil {
		if s.err == nil {
			s.err = fmt.Errorf("%s: %w", s.options.command(), err)
		}
		return
	}
	s.done++
	if r.recorder != nil {
		s.operations += r.recorder.Len() / 2
	}
	s.witness(&results)
	s.verdicts[results.Verdict]++
	if results.Verdict != workloads.VerdictOK {
		for _, result := range results.Checkers {
			if result.Verdict == results.Verdict {
				s.causes[result.Checker]++
			}
		}
		fmt.Fprintf(s.out, "%s, seed %d: %s\n    %s\n", results.Verdict, r.meta.Seed, results.Cause, r.meta.Command)
		s.keep(ctx, r)
	}
	if time.Since(s.told) > seedsInterval {
		s.told = time.Now()
		fmt.Fprintf(s.out, "%d seeds, %d of them failed\n", s.done, s.done-s.verdicts[workloads.VerdictOK])
	}
}

// witness notes which operations and faults a run had. Of many short runs not each has to
// have all of them; that some have is demanded in the end.
func (s *sweep) witness(results *store.Results) {
	i := slices.IndexFunc(results.Checkers, func(r workloads.Result) bool { return r.Checker == workloads.NonVacuous })
	if i < 0 {
		return
	}
	result, missing := &results.Checkers[i], 0
	for name, value := range result.Stats {
		count, _ := value.(int)
		s.seen[name] += count
		if count == 0 {
			missing++
		}
	}
	if missing > 0 && len(result.Failures) == missing {
		result.Verdict = workloads.VerdictOK
		results.Verdict = workloads.MergeResults(results.Checkers)
		results.Cause = cause(*results)
	}
}

// missing names what never happened in any run.
func (s *sweep) missing() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(s.seen)) {
		if s.seen[name] == 0 {
			names = append(names, name)
		}
	}
	return names
}

func (s *sweep) keep(ctx context.Context, r *runner) {
	if s.kept == maxKeptSeeds {
		return
	}
	s.kept++
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err == nil {
		defer nowhere.Close()
		again := oneRun(ctx, r.options, nowhere)
		if again.run != nil {
			fmt.Fprintf(s.out, "    %s\n", again.run.Dir)
		}
		err = again.err
	}
	if err != nil && s.err == nil {
		s.err = err
	}
}

func (s *sweep) summary() {
	elapsed := time.Since(s.began)
	fmt.Fprintf(s.out, "\n%d seeds in %s, %.0f a minute: %d passed, %d failed, %d unknown; %d operations\n", s.done, elapsed.Round(time.Second/10),
		float64(s.done)/elapsed.Minutes(), s.verdicts[workloads.VerdictOK], s.verdicts[workloads.VerdictFail], s.verdicts[workloads.VerdictUnknown], s.operations)
	for _, checker := range slices.Sorted(maps.Keys(s.causes)) {
		fmt.Fprintf(s.out, "  %-24s %d\n", checker, s.causes[checker])
	}
	if s.kept > 0 {
		fmt.Fprintf(s.out, "%d of them are kept in %s; `go run ./lab shrink DIR` looks for a smaller run that still fails\n", s.kept, s.options.Store)
	}
}

// quietProgress tells nobody.
func quietProgress() *progress { return &progress{out: io.Discard, phase: stopped} }
