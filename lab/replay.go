package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"zoolab/internal/cmdline"
	"zoolab/lab/store"
	"zoolab/workloads"
)

// commandPrefix is how the command of a run begins.
const commandPrefix = "go run ./lab "

// again reads the directory of a run, and gives the options that repeat it: those of its
// own command, with its schedule and its driver, but for what args say. More is what else
// args may say.
func again(command string, args []string, more func(*flag.FlagSet)) (*store.Run, options, error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return nil, options{}, fmt.Errorf("%s: want the directory of one run, such as store/latest, and then flags", command)
	}
	run, err := store.Find(args[0])
	if err != nil {
		return nil, options{}, fmt.Errorf("%s: %w", command, err)
	}
	o, err := optionsOf(run, args[1:], more)
	if err != nil {
		return nil, o, fmt.Errorf("%s: %w", command, err)
	}
	return run, o, nil
}

func optionsOf(run *store.Run, args []string, more func(*flag.FlagSet)) (options, error) {
	o := defaultOptions()
	meta, err := run.ReadMeta()
	if err != nil {
		return o, err
	}
	if meta.Imported == "" && !started(&meta) {
		return o, fmt.Errorf("%s: %w, so that there is nothing to repeat; what was asked for is: %s", run.Dir, errNotStarted, meta.Command)
	}
	line, ok := strings.CutPrefix(meta.Command, commandPrefix)
	if !ok || meta.Imported != "" {
		return o, fmt.Errorf("%s was not made by this lab: its command is %q", run.Dir, meta.Command)
	}
	flags := newFlagSet(&o)
	if err := flags.Parse(strings.Fields(line)); err != nil || flags.NArg() > 0 {
		return o, fmt.Errorf("%s: the command of the run can't be read: %q: %w", run.Dir, line, err)
	}
	o.Driver, o.Schedule = meta.Driver, run.Path(store.ScheduleFile)
	o.Store = filepath.Dir(filepath.Dir(run.Dir)) // where the run is kept, this one is too
	// The same variables once more, for what the user says.
	flags = newFlagSet(&o)
	if more != nil {
		more(flags)
	}
	if err := cmdline.Parse(flags, args); err != nil {
		return o, err
	}
	for _, name := range []string{"nemesis", "time-limit"} {
		if given(flags, name) {
			return o, fmt.Errorf("-%s: the faults are those of the run's schedule; leave it out, or change a copy of the schedule and name that with -schedule", name)
		}
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q; flags stand behind the directory", flags.Arg(0))
	}
	if o.Plan != "" || o.Seeds > 0 {
		return o, errors.New("one run is repeated; leave out -plan and -seeds")
	}
	return o, o.settle()
}

// replayCommand repeats a run: the same schedule, and what clients do from the same seed.
func replayCommand(args []string, stdout, stderr *os.File) int {
	run, o, err := again("replay", args, nil)
	if err != nil {
		return badArguments(stderr, err)
	}
	ctx, stop := interrupted()
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the lab at once
	if o.rebuilt() {
		return rebuild(ctx, &o, append([]string{"replay"}, args...), stdout, stderr)
	}
	before, err := run.ReadResults()
	if err != nil {
		before = store.Results{Verdict: workloads.VerdictUnknown, Cause: "it was not judged: go run ./lab check " + run.Dir}
	}
	done := oneRun(ctx, o, stdout)
	if done.err != nil {
		return noVerdict(ctx, stderr, done.err)
	}
	fmt.Fprintf(stdout, "The run that was repeated: %s. %s.\n", before.Verdict, strings.TrimSuffix(before.Cause, "."))
	if o.simulated() {
		if err := compareHistories(stdout, run, done.run); err != nil {
			return crash(stderr, err)
		}
	}
	return exitCode(done.results.Verdict)
}

// compareHistories says whether a simulated run was repeated exactly.
func compareHistories(w io.Writer, first, second *store.Run) error {
	a, errA := os.ReadFile(first.Path(store.HistoryFile))
	b, errB := os.ReadFile(second.Path(store.HistoryFile))
	if err := errors.Join(errA, errB); err != nil {
		return fmt.Errorf("compare the histories: %w", err)
	}
	if bytes.Equal(a, b) {
		fmt.Fprintln(w, "Both have the same history, byte for byte.")
	} else {
		fmt.Fprintln(w, "Their histories differ: the code or the flags are not what they were, or the first run was no simulation.")
	}
	return nil
}
