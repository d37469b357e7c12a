package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"zoolab/lab/history"
	"zoolab/lab/report"
	"zoolab/lab/store"
	"zoolab/workloads"
)

// errOtherVersion marks a run that this version's checkers would misread.
var errOtherVersion = errors.New("the run is of another version of the lab")

// madeBy names the version that made a run, if it is known.
func madeBy(meta *store.Meta) string {
	if version := meta.Versions["lab"]; version != "" {
		return " (" + version + ")"
	}
	return ""
}

// errNotJudged says that somebody ended the lab while it judged a run.
var errNotJudged = errors.New("interrupted while checking, so that there is no verdict")

// patience is how long a check may go on after it was interrupted: small ones end within.
const patience = time.Second

// checkUntil judges a run by what its directory holds, writes the results and the
// report, and returns the verdict. A run that has just ended and one that is
// checked again years later take the same way. When ctx ends, it returns after patience
// at most, and leaves behind what works on: who calls is about to end the process. A file of
// the run is then the old one or the new one, never a part.
func checkUntil(ctx context.Context, run *store.Run) (store.Results, error) {
	var results store.Results
	ended := make(chan error, 1)
	go func() {
		ended <- sideBySide(func() (err error) {
			results, err = checkAll(ctx, run)
			return err
		})
	}()
	enough := make(chan struct{})
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, func() { close(enough) }) })()
	var err error
	select {
	case err = <-ended:
	case <-enough:
		err = errNotJudged
	}
	if errors.Is(err, errNotJudged) {
		return store.Results{}, fmt.Errorf("%w; what was recorded is kept, check it with: go run ./lab check %s", errNotJudged, run.Dir)
	}
	return results, err
}

// check is checkUntil the end.
func check(run *store.Run) (store.Results, error) { return checkUntil(context.Background(), run) }

// checkAll ends early between two files at most.
func checkAll(ctx context.Context, run *store.Run) (store.Results, error) {
	meta, err := run.ReadMeta()
	if err != nil {
		return store.Results{}, err
	}
	if !started(&meta) {
		return store.Results{}, fmt.Errorf("%w, so that there is nothing to check; the lab's log is %s", errNotStarted, run.Path(store.LabLog))
	}
	if meta.Format != store.Format {
		return store.Results{}, fmt.Errorf("%s: %w: its history has format %d, this version reads %d; check it with the version that made it%s",
			run.Dir, errOtherVersion, meta.Format, store.Format, madeBy(&meta))
	}
	e := evidence{meta: &meta, collected: os.DirFS(run.Dir)}
	if e.ops, err = history.ReadFile(run.Path(store.HistoryFile)); err != nil {
		return store.Results{}, err
	}
	if err := run.ReadJSON(store.TreesFile, &e.trees); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return store.Results{}, err
	}
	results, err := e.judge()
	if err != nil {
		return results, fmt.Errorf("%s: %w; check the run with the version of the lab that made it", run.Path(store.RunFile), err)
	}
	if err := run.WriteResults(results); err != nil {
		return results, err
	}
	return results, writeArtifacts(ctx, outcome{run: run, meta: meta, results: results}, e.ops)
}

// evidence is what a run is judged by. It comes from the run's directory or, of a simulated
// run that nobody keeps, from memory.
type evidence struct {
	meta  *store.Meta
	ops   []workloads.Op
	trees []workloads.MemberTree // as members served them; nil if the run ended before
	// collected has a directory for each member, with its log and its data directory.
	collected fs.FS
}

// judge asks all checkers.
func (e *evidence) judge() (results store.Results, err error) {
	if e.meta.Imported != "" {
		for _, checker := range foreignCheckers(e.meta.Workload, workloads.DefaultBounds) {
			results.Checkers = append(results.Checkers, guarded(checker, e.ops))
		}
	} else if results.Checkers, err = e.judgeOwn(); err != nil {
		return results, err
	}
	results.Verdict = workloads.MergeResults(results.Checkers)
	results.Cause = cause(results)
	return results, nil
}

// judgeOwn asks every checker about a run of this lab's.
func (e *evidence) judgeOwn() ([]workloads.Result, error) {
	workload, err := workloads.Lookup(e.meta.Workload)
	if err != nil {
		return nil, err
	}
	checkers := workload.Checkers(workloads.DefaultBounds)
	results := make([]workloads.Result, len(checkers))
	var members []workloads.Result
	tasks := []func() error{func() error { // the longest of them first
		members = e.checkMembers(workloads.DefaultBounds)
		return nil
	}}
	for i := range checkers {
		tasks = append(tasks, func() error {
			results[i] = guarded(checkers[i], e.ops)
			return nil
		})
	}
	if err := sideBySide(tasks...); err != nil {
		return nil, err
	}
	results = append(results, checkComplete(e.meta, len(e.ops)), checkNonVacuous(e.meta, workload.Kinds, e.ops))
	results = append(results, members...)
	if e.meta.Sessions != nil {
		results = append(results, workloads.CheckExpiry(*e.meta.Sessions, workloads.DefaultBounds))
	}
	if e.meta.Gauges != nil && ended(e.meta, finalPhase) {
		results = append(results, workloads.CheckGauges(e.meta.Gauges, workloads.DefaultBounds))
	}
	return results, nil
}

// guarded asks a checker, which answers unknown where a history is so damaged that it
// can't even be looked at.
func guarded(checker workloads.Checker, ops []workloads.Op) (result workloads.Result) {
	defer func() {
		if cause := recover(); cause != nil {
			result = workloads.Result{
				Checker: checker.Name, Verdict: workloads.VerdictUnknown,
				Cause: fmt.Sprintf("the checker could not read the history: %v; it is damaged, or of another version of the lab, or the checker has a mistake", cause),
			}
		}
	}()
	return checker.Check(ops)
}

// started says that the run came to its first operation.
func started(meta *store.Meta) bool { return !meta.HistoryStart.IsZero() }

// ended says that the run came to the end of a phase. It went its whole way if
// finalPhase ended.
func ended(meta *store.Meta, name string) bool {
	return slices.ContainsFunc(meta.Phases, func(phase store.Phase) bool { return phase.Name == name && phase.EndNs > 0 })
}

// checkNonVacuous judges whether the run can prove anything. One that was cut
// short may not have come to its faults yet, and of one whose history has lost its end
// nobody knows, which is no failure.
func checkNonVacuous(meta *store.Meta, kinds []string, ops []workloads.Op) workloads.Result {
	result := workloads.CheckNonVacuous(ops, kinds, meta.Nemesis, outcomes(meta.Faults))
	cutShort := !ended(meta, finalPhase) && len(meta.Problems) == 0
	if (cutShort || len(ops) < meta.Operations) && result.Verdict == workloads.VerdictFail {
		result.Verdict = workloads.VerdictUnknown
	}
	return result
}

func outcomes(faults []store.Fault) []workloads.FaultOutcome {
	out := make([]workloads.FaultOutcome, 0, len(faults))
	for _, fault := range faults {
		out = append(out, workloads.FaultOutcome{Name: fault.Name, Effective: fault.Effective, Healed: fault.Healed, Detail: fault.Detail})
	}
	return out
}

// checkMembers compares the members' logs and trees, served and on disk.
func (e *evidence) checkMembers(bounds workloads.Bounds) []workloads.Result {
	logs, onDisk := diskTrees(e.meta.Members, e.collected)
	trees := slices.Clone(e.trees)
	if trees == nil {
		trees = append(trees, workloads.MemberTree{Member: "each member", Source: "served", Problem: "the run ended before the trees were read"})
	}
	alarms := logAlarms(e.meta.Members, e.collected)
	return []workloads.Result{
		workloads.CheckLogsAgree(logs), workloads.CheckLogsClean(alarms, bounds), checkTrees(e.meta, append(trees, onDisk...), bounds),
	}
}

// checkTrees compares the members' trees. Members that were given no time to
// catch up may differ without having broken a promise; their logs must agree
// all the same.
func checkTrees(meta *store.Meta, trees []workloads.MemberTree, bounds workloads.Bounds) workloads.Result {
	result := workloads.CheckTreesEqual(trees, bounds)
	if result.Verdict != workloads.VerdictFail {
		return result
	}
	excuse := ""
	switch {
	case meta.Interrupted:
		excuse = "the run was interrupted"
	case !ended(meta, recoveryPhase):
		excuse = "the recovery did not finish"
	default:
		return result
	}
	result.Verdict = workloads.VerdictUnknown
	result.Cause = fmt.Sprintf("%s, so that members may not have caught up: %s", excuse, result.Cause)
	return result
}

// checkComplete judges whether the run went its whole way, and whether its
// history, of so many operations, still has all of it. What kept the run from
// doing so, a missing recovery above all, is no pass.
func checkComplete(meta *store.Meta, operations int) workloads.Result {
	result := workloads.Result{Checker: "complete", Verdict: workloads.VerdictOK, Stats: map[string]any{"problems": len(meta.Problems)}}
	switch {
	case len(meta.Problems) > 0:
		result.Verdict, result.Cause = workloads.VerdictFail, meta.Problems[0]
		for _, problem := range meta.Problems {
			result.Failures = append(result.Failures, workloads.Failure{Cause: problem})
		}
	case meta.Operations > 0 && meta.Operations != operations:
		result.Verdict = workloads.VerdictUnknown
		result.Cause = fmt.Sprintf("the history holds %d operations, the run recorded %d", operations, meta.Operations)
	case meta.Interrupted:
		result.Verdict, result.Cause = workloads.VerdictUnknown, "the run was interrupted"
	case !ended(meta, finalPhase):
		result.Verdict, result.Cause = workloads.VerdictUnknown, "the lab ended before the run did"
	default:
		result.Cause = "the ensemble recovered after the last heal, and everything was read once more"
	}
	return result
}

// cause picks the sentence that explains the merged verdict: that of the first
// checker that has it.
func cause(results store.Results) string {
	for _, result := range results.Checkers {
		if result.Verdict == results.Verdict && results.Verdict != workloads.VerdictOK {
			return result.Checker + ": " + result.Cause
		}
	}
	return fmt.Sprintf("all %d checkers are satisfied", len(results.Checkers))
}

func reportInput(run *store.Run, meta *store.Meta, ops []workloads.Op, results store.Results) report.Input {
	in := report.Input{
		Name: meta.Name, Title: fmt.Sprintf("%s under %s", strings.ReplaceAll(meta.Workload, ",", ", "), kindsText(meta.Nemesis)),
		Verdict: results.Verdict, Cause: results.Cause, Command: meta.Command,
		Meta: reportMeta(meta), History: ops, Results: results.Checkers, Members: meta.Members, Shrunk: shrunkInput(run),
	}
	for _, fault := range meta.Faults {
		in.Faults = append(in.Faults, report.Fault{
			Name: fault.Name, Variant: fault.Variant, Targets: fault.Targets,
			StartNs: fault.StartNs, EffectiveNs: fault.EffectiveNs, EndNs: fault.EndNs, HealedNs: fault.HealedNs,
			Effective: fault.Effective, Healed: fault.Healed, Detail: fault.Detail,
		})
	}
	for _, phase := range meta.Phases {
		in.Phases = append(in.Phases, report.Phase(phase))
	}
	for _, leader := range meta.Leaders {
		in.Leaders = append(in.Leaders, report.LeaderSpan(leader))
	}
	// A file that is missing, as in a run that was cut short, is left out.
	if data, err := os.ReadFile(run.Path(store.ScheduleFile)); err == nil {
		in.Schedule = string(data)
	}
	for _, member := range meta.Members {
		if lines, err := nodeLog(filepath.Join(run.Dir, member, nodeLogName), meta.HistoryStart); err == nil {
			in.NodeLogs = append(in.NodeLogs, report.NodeLog{Member: member, Lines: lines})
		}
	}
	return in
}

func kindsText(kinds []string) string {
	if len(kinds) == 0 {
		return "no faults"
	}
	return strings.Join(kinds, ", ")
}

func reportMeta(meta *store.Meta) []report.Meta {
	out := []report.Meta{
		{Key: "seed", Value: fmt.Sprint(meta.Seed)},
		{Key: "started", Value: meta.Start.Format("2006-01-02 15:04:05 -0700")},
		{Key: "time limit", Value: fmt.Sprintf("%g s", meta.TimeLimitSeconds)},
		{Key: "clients", Value: fmt.Sprintf("%d, %g operations/s", meta.Concurrency, meta.RatePerSecond)},
		{Key: "cluster", Value: fmt.Sprintf("%s (%s)", meta.Driver, meta.Why)},
		{Key: "engine", Value: meta.Engine},
		{Key: "image", Value: strings.TrimSpace(meta.Image + " " + meta.ImageID)},
		{Key: "network", Value: meta.Network},
	}
	if cost := meta.LabCost.String(); cost != "" {
		out = append(out, report.Meta{Key: "the lab itself took", Value: cost})
	}
	for _, skipped := range meta.Skipped {
		out = append(out, report.Meta{Key: "skipped", Value: skipped})
	}
	for _, name := range []string{"lab", "lab-modified", "go"} {
		if version := meta.Versions[name]; version != "" {
			out = append(out, report.Meta{Key: name, Value: version})
		}
	}
	return out
}
