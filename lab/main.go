// Command lab is a chaos lab for ZooKeeper ensembles. It starts an ensemble,
// lets clients work on it while a nemesis breaks it, records what everybody
// saw, and checks whether any of it broke a promise.
//
// This package is the composition root: it ties the cluster drivers, the
// nemesis, the workloads, the client and the report together, and nothing
// imports it. The order of a run stands in runner.go, the judgement of what it
// left in check.go, which reads only the run's directory, so that a run can be
// judged again at any later time.
//
// The lab knows no server code: it sees members as processes or containers with
// a client port, a data directory and a log.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"zoolab/internal/cmdline"
	"zoolab/lab/cluster"
	"zoolab/lab/store"
	"zoolab/workloads"
)

// Exit codes, the same as Jepsen's.
const (
	exitValid   = 0
	exitInvalid = 1
	exitUnknown = 2
	exitUsage   = 254
	exitCrash   = 255
)

func main() {
	os.Exit(runMain(os.Args[1:], os.Stdout, os.Stderr))
}

// runMain is main with its surroundings as arguments. A panic is a crash of the
// lab, and must not look like a verdict.
func runMain(args []string, stdout, stderr *os.File) (code int) {
	defer func() {
		if cause := recover(); cause != nil {
			fmt.Fprintf(stderr, "the lab crashed: %v\n%s", cause, debug.Stack())
			code = exitCrash
		}
	}()
	command := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	if command != "import" && slices.ContainsFunc(args, asksForHelp) { // which has flags of its own to tell of
		command = "help"
	}
	switch command {
	case "help":
		usage(stdout)
		return exitValid
	case "faults":
		if len(args) > 0 {
			return badArguments(stderr, fmt.Errorf("faults: it takes no arguments, got %q", args))
		}
		listFaults(stdout)
		return exitValid
	case "list":
		return listCommand(args, stdout, stderr)
	case "check":
		return checkCommand(args, stdout, stderr)
	case "clean":
		return cleanCommand(args, stdout, stderr)
	case "compare":
		return compareCommand(args, stdout, stderr)
	case "import":
		return importCommand(args, stdout, stderr)
	case "replay":
		return replayCommand(args, stdout, stderr)
	case "serve":
		return serveCommand(args, stdout, stderr)
	case "shrink":
		return shrinkCommand(args, stdout, stderr)
	case "":
		return runCommand(args, stdout, stderr)
	default:
		return badArguments(stderr, fmt.Errorf("unknown command %q; there are faults, list, serve, check, compare, import, replay, shrink, clean and help", command))
	}
}

func asksForHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

func badArguments(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "lab: %v\n`go run ./lab help` shows all flags, with examples.\n", err)
	return exitUsage
}

// because is an error behind what was wanted, nothing where there is none.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func crash(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "lab: %v\n", err)
	return exitCrash
}

// noVerdict ends the lab after an error that leaves no verdict. That is no fault of the lab's
// where somebody ended it before the first operation, or while it judged.
func noVerdict(ctx context.Context, stderr io.Writer, err error) int {
	if errors.Is(err, errNotJudged) {
		fmt.Fprintf(stderr, "lab: %v\n", err)
		return exitUnknown
	}
	if ctx.Err() == nil || !errors.Is(err, errNotStarted) {
		return crash(stderr, err)
	}
	fmt.Fprintf(stderr, "lab: interrupted before the first operation, so that there is nothing to check: %v\n", err)
	return exitUnknown
}

func usage(w io.Writer) {
	o := defaultOptions()
	flags := newFlagSet(&o)
	fmt.Fprint(w, `The lab starts an ensemble, breaks it while clients work on it, and checks what they saw.

Examples
  go run ./lab                                      a minute of kills, pauses and partitions
  go run ./lab -nemesis partition                   partitions only
  go run ./lab -nemesis none -time-limit 10s        a quick look whether everything works
  go run ./lab -nemesis kill -seed 7 -rate 1000     the same faults whenever it is run
  go run ./lab -schedule store/latest/schedule.yaml replay the faults of the newest run
  go run ./lab -plan lab/plan.yaml                  several runs, one verdict
  go run ./lab -cluster sim -seeds 1000             a thousand runs in a deterministic simulator
  go run ./lab -image zookeeper:3.9 -cluster docker another server's image

Commands
  faults                 what can be broken: faults, their variants, packages of faults
  list [-store DIR]      the runs so far, newest first, with their verdicts
  serve [-listen ADDR]   the same as a web page, with filters, trends and coverage
  replay DIR [flags]     repeat a run: in the simulator exactly, elsewhere with the same schedule
  shrink DIR [flags]     look for a smaller run that fails by the same checker (-for 10m, -checker NAME,
                         -tries N, -runs N, -repeat N); exit code 0 if there is one, 2 if none was found
  check DIR              judge a run again, such as store/latest; rewrites results and report
  compare DIR DIR        two runs side by side, here and as a web page
  import [FLAGS] FILE    judge a history.edn of Jepsen's (go run ./lab import -h)
  clean [-force]         remove what killed labs have left running, as each run does, and old images
  help                   this text

Exit codes: 0 valid, 1 invalid, 2 unknown, 254 bad arguments, 255 the lab itself failed.
(go run turns each of them but 0 into 1; build the lab to see them: go build -o lab.bin ./lab)

Flags of a run
`)
	flags.SetOutput(w)
	flags.PrintDefaults()
}

func listCommand(args []string, stdout, stderr *os.File) int {
	root := defaultOptions().Store
	flags := flag.NewFlagSet("list", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&root, "store", root, "directory that keeps the runs")
	if err := cmdline.Parse(flags, args); err != nil || flags.NArg() > 0 {
		return badArguments(stderr, fmt.Errorf("list: want at most -store DIR, got %q%s", args, because(err)))
	}
	err := haveStore(root)
	if errors.Is(err, fs.ErrNotExist) && !given(flags, "store") {
		fmt.Fprintf(stdout, "no runs in %s yet; `go run ./lab` makes one\n", root)
		return exitValid
	}
	if err != nil {
		return badArguments(stderr, fmt.Errorf("list: -store: %w", err))
	}
	runs, err := store.Open(root).List()
	if len(runs) == 0 && err == nil {
		fmt.Fprintf(stdout, "no runs in %s yet; `go run ./lab` makes one\n", root)
		return exitValid
	}
	for i := range runs {
		run := &runs[i]
		verdict, state, cause := judgement(run)
		if state == "" {
			state = string(verdict)
		}
		fmt.Fprintf(stdout, "%-11s  %s  seed %-10d  %s\n             %s\n", state, run.Meta.Start.Format("2006-01-02 15:04:05"), run.Meta.Seed, run.Dir, cause)
	}
	if err != nil {
		return crash(stderr, err)
	}
	return exitValid
}

// haveStore says what keeps root from being a directory of runs that are there already.
func haveStore(root string) error {
	if err := store.Open(root).Check(); err != nil {
		return err
	}
	if _, err := os.Stat(root); err != nil {
		return fmt.Errorf("%w: `go run ./lab` keeps its runs in %s, others are named with -store", err, defaultOptions().Store)
	}
	return nil
}

func checkCommand(args []string, stdout, stderr *os.File) int {
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		return badArguments(stderr, errors.New("check: want the directory of one run, such as store/latest"))
	}
	run, err := store.Find(args[0])
	if err != nil {
		return badArguments(stderr, fmt.Errorf("check: %w", err))
	}
	ctx, stop := interrupted()
	defer stop()
	results, err := checkUntil(ctx, run)
	if err != nil {
		return noVerdict(ctx, stderr, err)
	}
	printResults(stdout, run, results)
	return exitCode(results.Verdict)
}

func cleanCommand(args []string, stdout, stderr *os.File) int {
	force := false
	flags := flag.NewFlagSet("clean", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&force, "force", false, "also what labs that still run have made")
	if err := cmdline.Parse(flags, args); err != nil || flags.NArg() > 0 {
		return badArguments(stderr, fmt.Errorf("clean: want at most -force, got %q%s", args, because(err)))
	}
	ctx, stop := interrupted()
	defer stop()
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	removed, err := cluster.Sweep(ctx, logger, force)
	fmt.Fprintf(stdout, "removed %d things that were left behind\n", removed)
	if err != nil {
		return crash(stderr, err)
	}
	return exitValid
}

// undecidedTries is how often a run of a plan is carried out as long as it decides nothing.
const undecidedTries = 3

// runCommand carries out one run, or those of a plan. A run of a plan that decides nothing, as one
// in which no fault was seen in effect, is carried out again, and the last one counts.
func runCommand(args []string, stdout, stderr *os.File) int {
	o, err := parseOptions(args)
	if err != nil {
		return badArguments(stderr, err)
	}
	runs, planned := []options{o}, o.Plan != ""
	if planned {
		if runs, err = readPlan(o.Plan, o); err != nil {
			return badArguments(stderr, err)
		}
	}
	ctx, stop := interrupted()
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the lab at once
	}()
	if o.rebuilt() {
		return rebuild(ctx, &o, args, stdout, stderr)
	}
	if o.Seeds > 0 {
		return seedsCommand(ctx, o, stdout, stderr)
	}
	verdict := workloads.VerdictOK
	var done []outcome
	for i, o := range runs {
		if ctx.Err() != nil {
			fmt.Fprintf(stdout, "%d runs of the plan were left out\n", len(runs)-i)
			verdict = verdict.Merge(workloads.VerdictUnknown)
			break
		}
		if len(runs) > 1 {
			fmt.Fprintf(stdout, "\nRun %d of %d: %s\n", i+1, len(runs), o.name())
		}
		result := oneRun(ctx, o, stdout)
		for tries := undecidedTries; planned && result.undecided() && tries > 1 && ctx.Err() == nil; tries-- {
			o.Seed++
			fmt.Fprintf(stdout, "\nThat run decided nothing, as may be on a busy machine: once more, with the next seed\n")
			result = oneRun(ctx, o, stdout)
		}
		if result.run != nil {
			done = append(done, result)
		}
		if result.err != nil {
			return noVerdict(ctx, stderr, errors.Join(result.err, concludePlan(o.Store, done, stdout)))
		}
		verdict = verdict.Merge(result.results.Verdict)
	}
	if err := concludePlan(o.Store, done, stdout); err != nil {
		return crash(stderr, err)
	}
	return exitCode(verdict)
}

// oneRun runs and judges. An outcome with an error has no verdict.
func oneRun(ctx context.Context, o options, stdout *os.File) outcome {
	p := newProgress(stdout)
	defer p.stop() // a second time does nothing
	r, err := newRunner(o, p)
	if err != nil {
		return outcome{err: err}
	}
	if err := r.keep(); err != nil {
		return outcome{err: err}
	}
	p.say("%s", r.meta.Command)
	announced := context.AfterFunc(ctx, func() {
		p.say("interrupted: healing, stopping and checking what there is (once more ends the lab at once; the next run, or `go run ./lab clean`, then sweeps)")
	})
	if o.simulated() {
		err = r.simulate(ctx)
	} else {
		err = r.do(ctx)
	}
	announced()
	done := outcome{run: r.run, meta: r.meta}
	if errors.Is(err, errNotStarted) {
		done.err = fmt.Errorf("%w\nthe lab's log is %s", err, r.run.Path(store.LabLog))
		return done
	}
	if err != nil {
		done.err = fmt.Errorf("%w\nwhat was recorded is kept in %s", err, r.run.Dir)
		return done
	}
	p.begin("checking", 0, nil)
	if ctx.Err() != nil {
		ctx = context.Background() // what an interrupted run has recorded is judged
	}
	// From here on nothing knows r, so that the members, their disks and the history in memory go.
	switch done.results, err = checkUntil(ctx, done.run); {
	case errors.Is(err, errNotJudged):
		done.err = err
	case err != nil:
		done.err = fmt.Errorf("check: %w\nthe history is kept; try again with: go run ./lab check %s", err, done.run.Dir)
	default:
		p.stop()
		printResults(stdout, done.run, done.results)
	}
	return done
}

// printResults says in one paragraph what came out.
func printResults(w io.Writer, run *store.Run, results store.Results) {
	fmt.Fprintf(w, "\nVerdict: %s. %s.\n", results.Verdict, strings.TrimSuffix(results.Cause, "."))
	for _, result := range results.Checkers {
		fmt.Fprintf(w, "  %-8s %-13s %s\n", result.Verdict, result.Checker, result.Cause)
	}
	if meta, err := run.ReadMeta(); err == nil && meta.LabCost != nil {
		fmt.Fprintf(w, "The lab itself took %s.\n", meta.LabCost)
	}
	fmt.Fprintf(w, "Report: %s\n", run.Path(store.ReportFile))
}

func exitCode(verdict workloads.Verdict) int {
	switch verdict {
	case workloads.VerdictOK:
		return exitValid
	case workloads.VerdictFail:
		return exitInvalid
	default:
		return exitUnknown
	}
}
