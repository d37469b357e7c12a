package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"zoolab/lab/history"
	"zoolab/lab/plot"
	"zoolab/lab/report"
	"zoolab/lab/store"
	"zoolab/workloads"
)

// outcome is what came of one run.
type outcome struct {
	run     *store.Run
	meta    store.Meta
	results store.Results
	// err says why the run has no verdict, nil if it has one.
	err error
}

// writeArtifacts writes what people and machines read of a judged run: the
// report, its figures, JUnit XML and Markdown for CI, and the files that Jepsen's
// tools expect. It begins no further one once ctx has ended.
func writeArtifacts(ctx context.Context, o outcome, ops []workloads.Op) error {
	run := o.run
	in := reportInput(run, &o.meta, ops, o.results)
	pictures := plot.Run{Title: in.Title, History: ops}
	for _, fault := range in.Faults {
		pictures.Faults = append(pictures.Faults, plot.Band{Name: fault.Name, StartNs: fault.StartNs, EndNs: fault.EndNs})
	}
	var tasks []func() error
	add := func(task func() error) {
		tasks = append(tasks, func() error {
			if ctx.Err() != nil {
				return errNotJudged
			}
			return task()
		})
	}
	write := func(name string, write func(io.Writer) error) { add(func() error { return run.Write(name, write) }) }
	write(store.ReportFile, func(w io.Writer) error { return report.Write(w, in) }) // which takes longest, and so is begun first
	write(store.HistoryEDN, func(w io.Writer) error { return history.WriteEDN(w, ops) })
	write(store.HistoryText, func(w io.Writer) error { return history.WriteText(w, ops) })
	write("latency-quantiles.png", func(w io.Writer) error { return plot.LatencyQuantiles(w, pictures) })
	write("latency-raw.png", func(w io.Writer) error { return plot.LatencyRaw(w, pictures) })
	write("rate.png", func(w io.Writer) error { return plot.Rate(w, pictures) })
	add(func() error { return run.WriteJSON(store.FiguresFile, report.Measure(in)) })
	add(func() error { return run.WriteKeys(o.results, ops) })
	write(store.JUnitFile, func(w io.Writer) error { return writeJUnit(w, []outcome{o}) })
	write(store.SummaryFile, func(w io.Writer) error { return writeMarkdown(w, run.Dir, []outcome{o}) })
	add(func() error { return jepsenNames(run) })
	return sideBySide(tasks...)
}

// jepsenNames links the lab's files under the names that Jepsen gives them.
func jepsenNames(run *store.Run) error {
	for name, target := range map[string]string{"jepsen.log": store.LabLog, "timeline.html": store.ReportFile} {
		if err := os.Symlink(target, run.Path(name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("link %s: %w", run.Path(name), err)
		}
	}
	return nil
}
