package report

import (
	"fmt"
	"io"
	"time"

	"zoolab/workloads"
)

// Run is one line of the list of runs.
type Run struct {
	Name       string
	Verdict    workloads.Verdict
	Cause      string // one sentence
	Workload   string
	Nemesis    string
	Start      time.Time // zero if unknown
	DurationNs int64
	Ops        int
	Href       string // of the run's report, relative to the list
}

type indexPage struct {
	chrome
	Verdict verdictWords
	Summary string
	Runs    []indexRow
}

type indexRow struct {
	Name, Cause, Workload, Nemesis string
	Verdict                        verdictWords
	Start, Duration, Ops, Href     string
}

// WriteIndex makes the list of all runs of one plan, in the order given, in
// the look of the reports. It fails only when w does.
func WriteIndex(w io.Writer, runs []Run) error {
	p := indexPage{chrome: newChrome()}
	counts := make(map[workloads.Verdict]int)
	merged := workloads.VerdictOK
	if len(runs) == 0 {
		merged = workloads.VerdictUnknown
	}
	for i := range runs {
		run := &runs[i]
		merged = merged.Merge(run.Verdict)
		switch run.Verdict {
		case workloads.VerdictOK, workloads.VerdictFail:
			counts[run.Verdict]++
		default:
			counts[workloads.VerdictUnknown]++
		}
		row := indexRow{
			Name: run.Name, Cause: clip(run.Cause, maxLineRunes), Workload: run.Workload, Nemesis: run.Nemesis,
			Verdict: wordsOf(run.Verdict), Duration: durationText(run.DurationNs), Ops: countText(run.Ops), Href: run.Href,
		}
		if !run.Start.IsZero() {
			row.Start = run.Start.Format("2006-01-02 15:04:05")
		}
		p.Runs = append(p.Runs, row)
	}
	p.Verdict = wordsOf(merged)
	p.Summary = fmt.Sprintf("%s runs: %s ok, %s fail, %s unknown.", countText(len(runs)),
		countText(counts[workloads.VerdictOK]), countText(counts[workloads.VerdictFail]), countText(counts[workloads.VerdictUnknown]))
	if err := pageTemplate.ExecuteTemplate(w, "index.html", p); err != nil {
		return fmt.Errorf("write the list of runs: %w", err)
	}
	return nil
}
