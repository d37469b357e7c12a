package report

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"zoolab/workloads"
)

// Index is what the page of all runs is made of.
type Index struct {
	Runs []Run // the newest first

	// Workloads and Faults are all that the lab has, in the order to show: what no
	// run covers stands in the matrix too.
	Workloads []string
	Faults    []string

	// Served says that a server answers the page, which can compare two runs.
	Served bool
}

// Run is one line of the list of runs.
type Run struct {
	Name       string // its place in the store: runs of one name are of one kind
	ID         string // its directory, relative to the list
	Verdict    workloads.Verdict
	State      string // "" for a run that was judged; else what it is instead, such as "not checked"
	Cause      string // one sentence
	Workload   string
	Nemesis    string
	Seed       int64
	Start      time.Time // zero if unknown
	DurationNs int64
	Ops        int
	Href       string    // of the run's report, relative to the list; "" without one
	Parts      []PartRun // the workloads that ran side by side
	Effective  []string  // names of the faults that were proved to be in effect
	Figures    *Figures  // nil if they were never measured
}

// PartRun is what became of one workload of a run.
type PartRun struct {
	Workload string
	Verdict  workloads.Verdict
}

type indexPage struct {
	chrome
	Verdict   verdictWords
	Summary   string
	Served    bool
	Runs      []indexRow
	Workloads []string
	Faults    []string
	Matrix    []matrixRow
	Trends    []trendRow
}

type indexRow struct {
	Name, ID, Cause, Workload, Nemesis string
	Seed                               int64
	State                              string
	Verdict                            verdictWords
	Start, Duration, Ops, Href         string
	P99, Gap                           string
	Workloads, FaultNames              string // for the filter, with spaces
}

// WriteIndex makes the page of all runs: a list with filters, how runs of one
// name changed over time, and which workload was tried under which fault. The
// verdict on top is that of the newest run of each name. It fails only when w does.
func WriteIndex(w io.Writer, in Index) error {
	p := indexPage{chrome: newChrome(), Served: in.Served, Workloads: in.Workloads, Faults: in.Faults}
	counts := make(map[string]int)
	newest := make(map[string]bool)
	merged := workloads.VerdictOK
	if len(in.Runs) == 0 {
		merged = workloads.VerdictUnknown
	}
	for i := range in.Runs {
		run := &in.Runs[i]
		if !newest[run.Name] {
			newest[run.Name] = true
			merged = merged.Merge(run.Verdict)
		}
		row := newIndexRow(run)
		counts[row.Verdict.Class]++
		p.Runs = append(p.Runs, row)
	}
	p.Verdict = wordsOf(merged)
	p.Summary = fmt.Sprintf("%s: %s ok, %s fail, %s unknown. The verdict is that of the newest run of each of %s.",
		plural(len(in.Runs), "run"), countText(counts["ok"]), countText(counts["fail"]), countText(counts["unknown"]), plural(len(newest), "kind"))
	p.Matrix = newMatrix(in)
	p.Trends = newTrends(in.Runs)
	if err := pageTemplate.ExecuteTemplate(w, "index.html", p); err != nil {
		return fmt.Errorf("write the list of runs: %w", err)
	}
	return nil
}

func newIndexRow(run *Run) indexRow {
	row := indexRow{
		Name: run.Name, ID: run.ID, Cause: upperFirst(clip(run.Cause, maxLineRunes)), Workload: strings.ReplaceAll(run.Workload, ",", ", "),
		Nemesis: run.Nemesis, Seed: run.Seed, State: run.State, Verdict: wordsOf(run.Verdict),
		Href: run.Href, Duration: "–", Ops: "–", P99: "–", Gap: "–", FaultNames: strings.Join(run.Effective, " "),
	}
	if run.DurationNs > 0 {
		row.Duration = durationText(run.DurationNs)
	}
	if run.Ops > 0 {
		row.Ops = countText(run.Ops)
	}
	if run.Figures != nil && run.Figures.OK > 0 {
		row.P99, row.Gap = durationText(run.Figures.P99Ns), durationText(run.Figures.LongestGapNs)
	}
	if !run.Start.IsZero() {
		row.Start = run.Start.Format("2006-01-02 15:04:05")
	}
	names := make([]string, 0, len(run.Parts))
	for _, part := range run.Parts {
		names = append(names, part.Workload)
	}
	row.Workloads = strings.Join(names, " ")
	if len(run.Effective) == 0 {
		row.FaultNames = noFault
	}
	return row
}

// noFault is the column of runs in which no fault took effect.
const noFault = "none"

// matrixRow is a workload with what is known of it under each fault.
type matrixRow struct {
	Workload string
	Cells    []matrixCell
}

// matrixCell counts the runs of a workload in which a fault was in effect. Its
// verdict is that of the newest.
type matrixCell struct {
	Fault          string
	OK, Fail, Rest int
	Verdict        verdictWords
	Tried          bool
	Title          string
}

// newMatrix has a row for each workload and a column for each fault, those that
// the lab has and those that runs of other versions had.
func newMatrix(in Index) []matrixRow {
	rows := append([]string{}, in.Workloads...)
	columns := append([]string{noFault}, in.Faults...)
	cells := make(map[[2]string]*matrixCell)
	for i := range in.Runs {
		run := &in.Runs[i]
		under := run.Effective
		if len(under) == 0 {
			under = []string{noFault}
		}
		for _, part := range run.Parts {
			rows = appendNew(rows, part.Workload)
			for _, fault := range under {
				columns = appendNew(columns, fault)
				at := [2]string{part.Workload, fault}
				if cells[at] == nil {
					cells[at] = &matrixCell{Verdict: wordsOf(part.Verdict), Tried: true}
				}
				cells[at].count(part.Verdict)
			}
		}
	}
	matrix := make([]matrixRow, 0, len(rows))
	for _, workload := range rows {
		row := matrixRow{Workload: workload}
		for _, fault := range columns {
			cell := matrixCell{Title: fmt.Sprintf("%s under %s: never tried", workload, fault)}
			if known := cells[[2]string{workload, fault}]; known != nil {
				cell = *known
				cell.Title = fmt.Sprintf("%s under %s: %d ok, %d fail, %d unknown; the newest is %s", workload, fault, cell.OK, cell.Fail, cell.Rest, cell.Verdict.Class)
			}
			cell.Fault = fault
			row.Cells = append(row.Cells, cell)
		}
		matrix = append(matrix, row)
	}
	return matrix
}

func (c *matrixCell) count(verdict workloads.Verdict) {
	switch verdict {
	case workloads.VerdictOK:
		c.OK++
	case workloads.VerdictFail:
		c.Fail++
	default:
		c.Rest++
	}
}

// Runs counts the runs of the cell.
func (c matrixCell) Runs() int { return c.OK + c.Fail + c.Rest }

func appendNew(list []string, item string) []string {
	for _, known := range list {
		if known == item {
			return list
		}
	}
	return append(list, item)
}

// trendRow shows how the runs of one name changed, from the oldest to the newest.
type trendRow struct {
	Name   string
	Count  int
	Charts []spark
}

// maxTrendRuns bounds the runs of one chart, the newest ones.
const maxTrendRuns = 40

// newTrends gathers the names that were measured more than once.
func newTrends(runs []Run) []trendRow {
	measured := make(map[string][]*Run)
	for i := len(runs) - 1; i >= 0; i-- { // the oldest first
		if runs[i].Figures != nil && runs[i].Figures.OK > 0 {
			measured[runs[i].Name] = append(measured[runs[i].Name], &runs[i])
		}
	}
	var names []string
	for name, of := range measured {
		if len(of) > 1 {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	rows := make([]trendRow, 0, len(names))
	for _, name := range names {
		of := measured[name]
		of = of[max(0, len(of)-maxTrendRuns):]
		rows = append(rows, trendRow{Name: name, Count: len(of), Charts: []spark{
			newSpark("Throughput", of, func(f *Figures) float64 { return f.OKPerSecond }, func(v float64) string { return rateText(v) + " /s" }),
			newSpark("Latency p99", of, func(f *Figures) float64 { return float64(f.P99Ns) }, nsText),
			newSpark("Longest write gap", of, func(f *Figures) float64 { return float64(f.LongestGapNs) }, nsText),
			newSpark("Worst first write after heal", of, worstHeal, nsText),
		}})
	}
	return rows
}

func nsText(v float64) string { return durationText(int64(v)) }

// worstHeal is the longest time from a heal to the first successful write.
func worstHeal(f *Figures) float64 {
	var worst int64
	for i := range f.Faults {
		for _, ns := range f.Faults[i].AfterHealNs {
			worst = max(worst, ns)
		}
	}
	return float64(worst)
}
