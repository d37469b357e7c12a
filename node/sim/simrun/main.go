// Command simrun simulates an ensemble under faults, one seed after the other, and says
// which seeds broke an invariant.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"zoolab/internal/cmdline"
	"zoolab/node/sim"
)

func main() { os.Exit(run()) }

func run() int {
	flags := flag.NewFlagSet("simrun", flag.ContinueOnError)
	seeds := flags.Uint64("seeds", 1000, "how many seeds to run")
	first := flags.Uint64("first", 1, "the first seed")
	one := flags.Uint64("seed", 0, "run only this seed and tell its story")
	members := flags.Int("members", 5, "members of the ensemble")
	faults := flags.Duration("faults", 12*time.Second, "length of the fault phase, in virtual time")
	shape := flags.String("shape", "", "plain, observers, weights, groups, rollover, reconfig, drift, local or masters; all but the last in turn if empty")
	stop := flags.Bool("until-failure", false, "stop at the first seed that fails")
	flags.SetOutput(io.Discard)
	err := cmdline.Parse(flags, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		return 0
	}
	switch {
	case err != nil:
		return refuse("%v", err)
	case flags.NArg() > 0:
		return refuse("it takes no argument %q", flags.Arg(0))
	case *seeds < 1:
		return refuse("-seeds 0: want at least one")
	case *members < 1 || *members > maxMembers:
		return refuse("-members %d: want 1 to %d", *members, maxMembers)
	case *faults < time.Second || *faults > time.Hour:
		return refuse("-faults %v: want 1s to 1h", *faults)
	}
	if s := sim.Shape(*shape); s != "" && !slices.Contains(slices.Concat(sim.Shapes, sim.OtherShapes), s) {
		return refuse("-shape %q: there are %q", *shape, slices.Concat(sim.Shapes, sim.OtherShapes))
	}
	options := sim.Options{Members: *members, Faults: *faults, Shape: sim.Shape(*shape)}
	if *one > 0 {
		options.Seed, options.Trace = *one, os.Stdout
		options.Shape = shapeOf(options)
		return tell(sim.Run(options))
	}
	return runAll(options, *first, *seeds, *stop)
}

// maxMembers is more than any ensemble has.
const maxMembers = 99

// refuse says what is wrong with the arguments.
func refuse(format string, args ...any) int {
	fmt.Fprintf(os.Stderr, "simrun: "+format+"; -help lists the flags\n", args...)
	return 254
}

// shapeOf returns the shape in which a seed is run.
func shapeOf(o sim.Options) sim.Shape {
	if o.Shape == "" {
		return sim.Shapes[o.Seed%uint64(len(sim.Shapes))]
	}
	return o.Shape
}

// tell prints what a single run showed.
func tell(r *sim.Result) int {
	fmt.Printf("seed %d: %d events, trace %016x\n", r.Seed, r.Events, r.TraceHash)
	printCounts(r.Counts)
	for _, v := range r.Violations {
		fmt.Println("VIOLATION", v)
	}
	if r.Failed() {
		return 1
	}
	return 0
}

// total is what all seeds showed together.
type total struct {
	mu          sync.Mutex
	done        uint64
	failed      uint64
	events      int
	counts      map[string]int
	began       time.Time
	everyReport uint64
}

func (t *total) add(r *sim.Result, o sim.Options) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	t.events += r.Events
	for what, n := range r.Counts {
		t.counts[what] += n
	}
	if r.Failed() {
		t.failed++
		fmt.Printf("seed %d failed: %s\n    go run ./node/sim/simrun -seed %d -shape %s -members %d -faults %v\n",
			r.Seed, r.Violations[0], r.Seed, o.Shape, o.Members, o.Faults)
	}
	if t.done%t.everyReport == 0 {
		fmt.Printf("%d seeds, %d failed, %v\n", t.done, t.failed, time.Since(t.began).Round(time.Second))
	}
}

// runAll runs seeds on all cores, each in a goroutine of its own.
func runAll(options sim.Options, first, seeds uint64, untilFailure bool) int {
	t := &total{counts: make(map[string]int), began: time.Now(), everyReport: max(500, seeds/10)}
	// A seed's garbage is small and soon dead: collecting it less often saves a fifth of the time.
	debug.SetGCPercent(400)
	var next atomic.Uint64
	var stop atomic.Bool
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := next.Add(1); n <= seeds && !stop.Load(); n = next.Add(1) {
				o := options
				o.Seed = first + n - 1
				o.Shape = shapeOf(o)
				r := sim.Run(o)
				t.add(r, o)
				if r.Failed() && untilFailure {
					stop.Store(true)
				}
			}
		})
	}
	workers.Wait()
	fmt.Printf("%d seeds in %v: %d failed; %d events\n", t.done, time.Since(t.began).Round(time.Millisecond), t.failed, t.events)
	printCounts(t.counts)
	if t.failed > 0 {
		return 1
	}
	return 0
}

// printCounts says how often things happened: what never did was not tested.
func printCounts(counts map[string]int) {
	for _, what := range sim.MustOccur {
		fmt.Printf("%10d  %s\n", counts[what], what)
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		if !slices.Contains(sim.MustOccur, what) {
			fmt.Printf("%10d  %s\n", counts[what], what)
		}
	}
}
