package main

import (
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
// tools expect.
func writeArtifacts(o outcome, ops []workloads.Op) error {
	run := o.run
	in := reportInput(run, &o.meta, ops, o.results)
	pictures := plot.Run{Title: in.Title, History: ops}
	for _, fault := range in.Faults {
		pictures.Faults = append(pictures.Faults, plot.Band{Name: fault.Name, StartNs: fault.StartNs, EndNs: fault.EndNs})
	}
	errs := []error{run.WriteJSON(store.FiguresFile, report.Measure(in)), run.WriteKeys(o.results, ops)}
	write := func(name string, write func(io.Writer) error) { errs = append(errs, run.Write(name, write)) }
	write(store.ReportFile, func(w io.Writer) error { return report.Write(w, in) })
	write(store.JUnitFile, func(w io.Writer) error { return writeJUnit(w, []outcome{o}) })
	write(store.SummaryFile, func(w io.Writer) error { return writeMarkdown(w, run.Dir, []outcome{o}) })
	write(store.HistoryText, func(w io.Writer) error { return history.WriteText(w, ops) })
	write(store.HistoryEDN, func(w io.Writer) error { return history.WriteEDN(w, ops) })
	write("latency-raw.png", func(w io.Writer) error { return plot.LatencyRaw(w, pictures) })
	write("latency-quantiles.png", func(w io.Writer) error { return plot.LatencyQuantiles(w, pictures) })
	write("rate.png", func(w io.Writer) error { return plot.Rate(w, pictures) })
	return errors.Join(append(errs, jepsenNames(run))...)
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
