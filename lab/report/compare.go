package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Comparison is two runs side by side: A, the earlier or the one to measure by, and B.
type Comparison struct {
	A, B     ComparedRun
	Sections []CompareSection
	Charts   []compareChart
}

// ComparedRun is one side.
type ComparedRun struct {
	Name, Command, Cause string
	Verdict              verdictWords
}

// CompareSection is a group of rows.
type CompareSection struct {
	Title string
	Rows  []CompareRow
}

// CompareRow is one figure of both runs. Better is what the change means: "better",
// "worse" or "" where it means nothing or is small.
type CompareRow struct {
	Label, A, B, Change, Better string
}

// Compare measures two runs.
func Compare(a, b Input) *Comparison {
	runA, runB := newRun(a), newRun(b)
	figuresA, figuresB := measure(runA, a), measure(runB, b)
	c := &Comparison{A: newComparedRun(a), B: newComparedRun(b)}
	c.Sections = []CompareSection{{"Run", metaRows(a, b)}, {"Operations", figureRows(&figuresA, &figuresB)}}
	c.Sections = append(c.Sections, faultSections(figuresA.Faults, figuresB.Faults)...)
	c.Charts = newCompareCharts(runA, runB)
	return c
}

func newComparedRun(in Input) ComparedRun {
	side := ComparedRun{Name: in.Title, Command: in.Command, Cause: upperFirst(clip(in.Cause, 2*maxLineRunes)), Verdict: wordsOf(in.Verdict)}
	if side.Name == "" {
		side.Name = in.Name
	}
	return side
}

// metaRows are the run's circumstances, those that differ first.
func metaRows(a, b Input) []CompareRow {
	rows := []CompareRow{{Label: "verdict", A: wordsOf(a.Verdict).Word, B: wordsOf(b.Verdict).Word}}
	values := make(map[string][2]string)
	var keys []string
	for side, in := range []Input{a, b} {
		for _, meta := range in.Meta {
			pair, known := values[meta.Key]
			if !known {
				keys = append(keys, meta.Key)
			}
			pair[side] = clip(meta.Value, maxValueRunes)
			values[meta.Key] = pair
		}
	}
	slices.SortStableFunc(keys, func(x, y string) int { return same(values[x]) - same(values[y]) })
	for _, key := range keys {
		rows = append(rows, CompareRow{Label: key, A: values[key][0], B: values[key][1]})
	}
	for i := range rows {
		if rows[i].A != rows[i].B {
			rows[i].Change = "differs"
		}
	}
	return rows
}

func same(pair [2]string) int {
	if pair[0] == pair[1] {
		return 1
	}
	return 0
}

func figureRows(a, b *Figures) []CompareRow {
	return []CompareRow{
		countRow("operations", a.Operations, b.Operations),
		countRow("ok", a.OK, b.OK), countRow("fail", a.Fail, b.Fail), countRow("info", a.Info, b.Info),
		numberRow("successful per second", a.OKPerSecond, b.OKPerSecond, func(v float64) string { return rateText(v) + " /s" }, true),
		durationRow("latency p50", a.P50Ns, b.P50Ns), durationRow("latency p95", a.P95Ns, b.P95Ns),
		durationRow("latency p99", a.P99Ns, b.P99Ns), durationRow("latency max", a.MaxNs, b.MaxNs),
		durationRow("longest write gap", a.LongestGapNs, b.LongestGapNs),
	}
}

// faultSections have the availability under each fault that either run had.
func faultSections(a, b []FaultFigures) []CompareSection {
	var labels []string
	byLabel := make(map[string][2]*FaultFigures)
	for side, faults := range [][]FaultFigures{a, b} {
		for i := range faults {
			pair, known := byLabel[faults[i].Label]
			if !known {
				labels = append(labels, faults[i].Label)
			}
			pair[side] = &faults[i]
			byLabel[faults[i].Label] = pair
		}
	}
	slices.Sort(labels)
	sections := make([]CompareSection, 0, len(labels))
	for _, label := range labels {
		sections = append(sections, CompareSection{label, faultRowsOf(byLabel[label])})
	}
	return sections
}

func faultRowsOf(pair [2]*FaultFigures) []CompareRow {
	var none FaultFigures
	a, b := &none, &none
	if pair[0] != nil {
		a = pair[0]
	}
	if pair[1] != nil {
		b = pair[1]
	}
	rows := []CompareRow{
		{Label: "times (proved in effect)", A: fmt.Sprintf("%d (%d)", a.Count, a.Effective), B: fmt.Sprintf("%d (%d)", b.Count, b.Effective)},
		{Label: "ok while it lasted", A: shareText(a), B: shareText(b)},
	}
	for _, timing := range []struct {
		label string
		of    func(*FaultFigures) []int64
	}{
		{"first write after start", func(f *FaultFigures) []int64 { return f.AfterStartNs }},
		{"first write after heal", func(f *FaultFigures) []int64 { return f.AfterHealNs }},
	} {
		x, y := timing.of(a), timing.of(b)
		rows = append(rows, durationRow(timing.label+", median", quantile(x, 0.5), quantile(y, 0.5)), durationRow(timing.label+", worst", quantile(x, 1), quantile(y, 1)))
	}
	return append(rows, durationRow("longest write gap", a.LongestGapNs, b.LongestGapNs))
}

// shareText is the availability while a fault lasted.
func shareText(f *FaultFigures) string {
	all := f.DuringOK + f.DuringRest
	if all == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %% of %s", 100*float64(f.DuringOK)/float64(all), countText(all))
}

func countRow(label string, a, b int) CompareRow {
	return CompareRow{Label: label, A: countText(a), B: countText(b), Change: changeText(float64(a), float64(b))}
}

// durationRow compares lengths of time, of which less is better. 0 was not measured.
func durationRow(label string, a, b int64) CompareRow {
	return numberRow(label, float64(a), float64(b), nsText, false)
}

// notable is the relative change from which on a figure is called better or worse;
// runs of the same server differ by less.
const notable = 0.25

func numberRow(label string, a, b float64, text func(float64) string, moreIsBetter bool) CompareRow {
	row := CompareRow{Label: label, A: "–", B: "–"}
	if a > 0 {
		row.A = text(a)
	}
	if b > 0 {
		row.B = text(b)
	}
	if a <= 0 || b <= 0 {
		return row
	}
	row.Change = changeText(a, b)
	switch grew := b/a - 1; {
	case grew > notable && moreIsBetter || b/a < 1/(1+notable) && !moreIsBetter:
		row.Better = "better"
	case grew > notable || b/a < 1/(1+notable):
		row.Better = "worse"
	}
	return row
}

func changeText(a, b float64) string {
	switch {
	case a == b:
		return "same"
	case a == 0:
		return ""
	case b/a >= 2:
		return "× " + significant(b/a)
	default:
		return fmt.Sprintf("%+.0f %%", 100*(b/a-1))
	}
}

type comparePage struct {
	chrome
	*Comparison
}

// Write makes a page of the comparison. It fails only when w does.
func (c *Comparison) Write(w io.Writer) error {
	if err := pageTemplate.ExecuteTemplate(w, "compare.html", comparePage{newChrome(), c}); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	return nil
}

// compareChart shows one figure of both runs over the time since their start.
type compareChart struct {
	Label string
	A, B  string // paths of the lines
	Range string // what the height of the chart stands for
	Ticks []pictureTick
}

// Measures of a chart, in the units of its viewBox.
const (
	chartWidth   = 1000.0
	chartHeight  = 150.0
	chartParts   = 200 // points of a line
	chartDecades = 4   // powers of ten of a logarithmic one
)

// newCompareCharts draws throughput and the slowest hundredth of both runs.
func newCompareCharts(a, b *run) []compareChart {
	endNs := max(a.endNs, b.endNs, 1)
	ticks := pictureTicks(0, endNs, func(ns int64) float64 { return float64(ns) / float64(endNs) * chartWidth })
	ratesA, p99sA := overTime(a, endNs)
	ratesB, p99sB := overTime(b, endNs)
	topRate := max(slices.Max(ratesA), slices.Max(ratesB), 1e-9)
	topP99 := max(slices.Max(p99sA), slices.Max(p99sB), 1)
	height := func(share float64) float64 { return chartHeight - share*(chartHeight-6) }
	linear := func(rate float64) (y float64, drawn bool) { return height(rate / topRate), true }
	// Four powers of ten up to the slowest; a time without operations has no latency.
	logarithmic := func(ns float64) (y float64, drawn bool) {
		return height(max(0, 1+math.Log10(max(ns, 1)/topP99)/chartDecades)), ns > 0
	}
	return []compareChart{
		{"Successful operations per second", linePath(ratesA, linear), linePath(ratesB, linear), "0 to " + rateText(topRate) + " /s", ticks},
		{"Latency p99", linePath(p99sA, logarithmic), linePath(p99sB, logarithmic), nsText(topP99/math.Pow10(chartDecades)) + " to " + nsText(topP99) + ", log scale", ticks},
	}
}

// overTime gives the rate of successful operations and the 99th percentile of their
// latencies, for each part of the time.
func overTime(r *run, endNs int64) (rates, p99s []float64) {
	latencies := make([][]int64, chartParts)
	for i := range r.ops {
		if op := &r.ops[i]; op.succeeded() {
			part := min(int(op.endNs*chartParts/endNs), chartParts-1)
			latencies[part] = append(latencies[part], op.latencyNs())
		}
	}
	rates, p99s = make([]float64, chartParts), make([]float64, chartParts)
	for part := range latencies {
		slices.Sort(latencies[part])
		rates[part] = float64(len(latencies[part])) / (float64(endNs) / 1e9 / chartParts)
		p99s[part] = float64(quantile(latencies[part], 0.99))
	}
	return rates, p99s
}

// linePath draws values from left to right, with a gap where one is not drawn.
func linePath(values []float64, place func(float64) (y float64, drawn bool)) string {
	var b strings.Builder
	command := 'M'
	for i, value := range values {
		y, drawn := place(value)
		if !drawn {
			command = 'M'
			continue
		}
		fmt.Fprintf(&b, "%c%.1f %.1f ", command, (float64(i)+0.5)*chartWidth/float64(len(values)), y)
		if command == 'M' { // a point alone is seen too
			b.WriteString("h.1 ")
		}
		command = 'L'
	}
	return strings.TrimSpace(b.String())
}
