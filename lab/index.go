package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zoolab/lab/report"
	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// indexFile is the page of all runs, in the root of the store.
const indexFile = "index.html"

// writeIndex writes the page of all runs of a store into it.
func writeIndex(root string) (path string, err error) {
	path = filepath.Join(root, indexFile)
	runs, err := store.Open(root).List()
	if err != nil {
		return path, err
	}
	root = filepath.Clean(root)
	err = (&store.Run{Dir: root}).Write(indexFile, func(w io.Writer) error {
		return report.WriteIndex(w, indexInput(root, runs, false))
	})
	if err != nil {
		return path, fmt.Errorf("page of all runs: %w", err)
	}
	return path, nil
}

// indexInput is what that page shows of the runs, whether it is a file or served.
func indexInput(root string, runs []store.Summary, served bool) report.Index {
	in := report.Index{Workloads: workloads.Names(), Faults: nemesis.Kinds(), Served: served}
	for i := range runs {
		in.Runs = append(in.Runs, indexRun(root, &runs[i]))
	}
	return in
}

func indexRun(root string, summary *store.Summary) report.Run {
	meta := &summary.Meta
	verdict, state, cause := judgement(summary)
	run := report.Run{
		Name: meta.Name, ID: relativeTo(root, summary.Dir), Verdict: verdict, State: state, Cause: cause,
		Workload: meta.Workload, Nemesis: kindsText(meta.Nemesis), Seed: meta.Seed, Start: meta.Start,
		Ops: meta.Operations / 2, Parts: partsOf(summary), Effective: effective(meta.Faults),
	}
	for _, phase := range meta.Phases {
		run.DurationNs = max(run.DurationNs, phase.EndNs)
	}
	stored := &store.Run{Dir: summary.Dir}
	if _, err := os.Stat(stored.Path(store.ReportFile)); err == nil {
		run.Href = run.ID + "/" + store.ReportFile
	}
	// Runs of earlier versions were not measured; their figures are left out.
	var figures report.Figures
	if err := stored.ReadJSON(store.FiguresFile, &figures); err == nil {
		run.Figures, run.Ops = &figures, figures.Operations
	}
	return run
}

// judgement is what a list says of a run: its verdict, or why it has none and
// what to do.
func judgement(summary *store.Summary) (verdict workloads.Verdict, state, cause string) {
	switch {
	case summary.Problem != "":
		return workloads.VerdictUnknown, "broken", summary.Problem
	case summary.Checked:
		return summary.Results.Verdict, "", summary.Results.Cause
	case !started(&summary.Meta):
		return workloads.VerdictUnknown, "not started", "did not start; the lab's log is " + filepath.Join(summary.Dir, store.LabLog)
	default:
		return workloads.VerdictUnknown, "unchecked", "still runs, or was ended; to judge what there is: go run ./lab check " + summary.Dir
	}
}

// partsOf gives each workload of a run with its own verdict: that of its
// checkers, merged with those of the checkers that concern all.
func partsOf(summary *store.Summary) []report.PartRun {
	names := workloadNames(summary.Meta.Workload)
	parts := make([]report.PartRun, 0, len(names))
	for _, name := range names {
		verdict, _, _ := judgement(summary)
		if summary.Checked && len(names) > 1 {
			var own []workloads.Result
			for _, result := range summary.Results.Checkers {
				if part, _, several := strings.Cut(result.Checker, "/"); !several || part == name {
					own = append(own, result)
				}
			}
			verdict = workloads.MergeResults(own)
		}
		parts = append(parts, report.PartRun{Workload: name, Verdict: verdict})
	}
	return parts
}

// workloadNames takes the name of several workloads side by side apart.
func workloadNames(workload string) []string {
	switch workload {
	case "":
		return nil
	case "all":
		return workloads.Names()
	}
	names := strings.Split(workload, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

// effective names the faults that were proved to be in effect, each once.
func effective(faults []store.Fault) []string {
	var names []string
	for i := range faults {
		if faults[i].Effective && !slices.Contains(names, faults[i].Name) {
			names = append(names, faults[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

// relativeTo names a directory as a page in root links to it.
func relativeTo(root, dir string) string {
	relative, err := filepath.Rel(root, dir)
	if err != nil {
		return dir
	}
	return filepath.ToSlash(relative)
}
