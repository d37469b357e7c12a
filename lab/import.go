package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zoolab/internal/cmdline"
	"zoolab/lab/history"
	"zoolab/lab/store"
	"zoolab/workloads"
)

// importUsage says what import takes.
var importUsage = "want [-model NAME] [-store DIR] FILE, where FILE is a history.edn of Jepsen's and NAME, if it can't be guessed, one of " +
	strings.Join(history.ForeignModels(), ", ")

// importCommand makes a run of a history that another lab recorded, and judges it.
func importCommand(args []string, stdout, stderr io.Writer) int {
	root, model := defaultOptions().Store, ""
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&root, "store", root, "directory that keeps the runs")
	flags.StringVar(&model, "model", model, "how to judge it")
	err := cmdline.Parse(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stdout, "import: %s\n", importUsage)
		return exitValid
	}
	if err != nil || flags.NArg() != 1 {
		return badArguments(stderr, fmt.Errorf("import: %s; got %q%s", importUsage, args, because(err)))
	}
	ops, model, err := foreignHistory(flags.Arg(0), model)
	if err != nil {
		return badArguments(stderr, fmt.Errorf("import: %w", err))
	}
	run, err := storeImported(root, flags.Arg(0), model, ops)
	if err != nil {
		return crash(stderr, fmt.Errorf("import: %w", err))
	}
	ctx, stop := interrupted()
	defer stop()
	results, err := checkUntil(ctx, run)
	if err != nil {
		return noVerdict(ctx, stderr, fmt.Errorf("import: %w", err))
	}
	printResults(stdout, run, results)
	return exitCode(results.Verdict)
}

// foreignHistory reads a history in the words of this lab's checkers.
func foreignHistory(path, model string) ([]workloads.Op, string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	ops, err := history.ReadEDN(file)
	if err == nil && len(ops) == 0 {
		err = errors.New("it holds no operation")
	}
	if err == nil && model == "" {
		model, err = history.GuessModel(ops)
	}
	if err == nil {
		ops, err = history.Adapt(model, ops)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w; want the whole of a history.edn of Jepsen's", path, err)
	}
	return ops, model, nil
}

func storeImported(root, path, model string, ops []workloads.Op) (*store.Run, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	run, err := store.Open(root).Create("import-"+model, now)
	if err != nil {
		return nil, err
	}
	if err := run.Write(store.HistoryFile, func(w io.Writer) error { return history.Write(w, ops) }); err != nil {
		return nil, err
	}
	processes := make(map[int]bool)
	for i := range ops {
		processes[ops[i].Process] = true
	}
	return run, run.WriteMeta(store.Meta{
		Format: store.Format, Name: "import-" + model, Imported: absolute, Command: "go run ./lab import -model " + model + " " + path,
		Start: now, HistoryStart: now, Workload: model, Operations: len(ops), Concurrency: len(processes),
		Faults: foreignFaults(ops), Versions: versions(),
	})
}

// foreignCheckers judge an imported history. What this lab knows of its own runs
// beside the history (members' logs and trees, probes of faults) is not there.
func foreignCheckers(model string, bounds workloads.Bounds) []workloads.Checker {
	one := func(name string, check func([]workloads.Op, workloads.Bounds) workloads.Result) []workloads.Checker {
		return []workloads.Checker{{Name: name, Check: func(ops []workloads.Op) workloads.Result { return check(ops, bounds) }}}
	}
	switch model {
	case "register":
		return one("linearizable", workloads.CheckPlainRegister)
	case "bank":
		return one("bank-total", workloads.CheckForeignBank)
	case "set":
		return one("durable", workloads.CheckSet)
	case "counter":
		return one("counter-bounds", workloads.CheckCounter)
	case "queue":
		return one("queue-order", workloads.CheckQueue)
	default:
		return one("serializable", workloads.CheckAppend)
	}
}

// foreignEnds says which fault a function of a foreign nemesis takes back, if it is
// in force: "start" ends a "kill", and begins something else otherwise.
var foreignEnds = map[string]string{"stop": "start", "start": "kill", "resume": "pause", "heal": "partition"}

// foreignFaults reads off what a foreign nemesis did: what it starts is in force
// until it is taken back. Nothing proves that it took effect.
func foreignFaults(ops []workloads.Op) []store.Fault {
	var faults []store.Fault
	open := make(map[string]int) // what is in force -> its place
	for i := range ops {
		op := &ops[i]
		if op.Process >= 0 {
			continue
		}
		taken, ends := foreignEnds[op.F]
		if rest, ok := strings.CutPrefix(op.F, "stop-"); ok {
			taken, ends = "start-"+rest, true
		}
		if at, inForce := open[taken]; ends && inForce {
			faults[at].EndNs = op.TimeNs
			delete(open, taken)
			continue
		}
		if _, again := open[op.F]; again || ends && op.F != "start" || strings.HasPrefix(op.F, "stop") {
			continue // the completion of what has begun, or of what has ended
		}
		open[op.F] = len(faults)
		faults = append(faults, store.Fault{Name: strings.TrimPrefix(op.F, "start-"), StartNs: op.TimeNs, Detail: fmt.Sprint(op.Value)})
	}
	return faults
}
