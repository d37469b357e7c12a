package report

import (
	"embed"
	"fmt"
	"html/template"
	"sort"
	"strings"

	"zoolab/workloads"
)

// page is what the template of one run's report shows.
type page struct {
	chrome
	Name, Heading string
	Verdict       verdictWords
	Cause         string
	Command       string
	Figures       []figure
	Notes         []string
	Checkers      []checkerRow
	Failures      []failureView
	FailuresCut   int
	Impossible    string // the first impossible operation, in words
	Shrunk        *shrunkView
	HasTime       bool // something happened, so that there is a timeline to show
	Functions     []string
	Sampled       string // what the timeline leaves out
	Faults        []faultRow
	FaultsCut     int
	Logs          []logView
	Schedule      string
	Meta          []Meta
	Data          string
}

// figure is one key number with its unit or explanation.
type figure struct {
	Label, Value, Note string
	Range              string // the part of the run it speaks of, as "from-to" in seconds
}

type checkerRow struct {
	Name, Checks, Cause string
	Verdict             verdictWords
	Stats               []Meta
	Violations          int
}

type faultRow struct {
	Label, Targets, Detail    string
	At, Lasted, Range         string
	Effective, Healed         string
	EffectiveOK, HealedOK     bool
	AfterStart, AfterHeal     string
	Gap, DuringOK, DuringRest string
}

type logView struct {
	Member string
	Lines  []logLineView
	Cut    int
}

type logLineView struct {
	At, Text string
	Us       int64 // -1 if unknown
}

// newPage computes everything that stands on the page.
func newPage(in Input) (*page, error) {
	r := newRun(in)
	f := newFigures(r, in.Faults, in.Leaders)
	shown := sampleOf(r, in.Results)
	data, err := encodeColumns(r, shown, in, f.gap)
	if err != nil {
		return nil, err
	}
	p := &page{
		chrome: newChrome(), Name: in.Name, Heading: in.Title, Verdict: wordsOf(in.Verdict),
		Cause: pageCause(&in), Command: in.Command, Meta: in.Meta,
		Schedule: clip(in.Schedule, maxScheduleRune), HasTime: r.endNs > 0, Data: data,
	}
	if p.Heading == "" {
		p.Heading = in.Name
	}
	p.Figures = figureTiles(r, f)
	p.Notes = notes(r, in)
	p.Sampled = shown.note
	p.Checkers = checkerRows(in.Results)
	p.Failures, p.FailuresCut = failureViews(r, &in)
	if len(p.Failures) > 0 {
		p.Impossible = p.Failures[0].Impossible
	}
	p.Shrunk = newShrunkView(in.Shrunk)
	p.Functions = functionNames(r)
	p.Faults = faultRows(r, in.Faults)
	p.FaultsCut = len(in.Faults) - len(p.Faults)
	p.Logs = logViews(in.NodeLogs)
	return p, nil
}

// pageCause is the cause as a sentence, unless it begins with the name of a checker.
func pageCause(in *Input) string {
	for i := range in.Results {
		if strings.HasPrefix(in.Cause, in.Results[i].Checker+": ") {
			return in.Cause
		}
	}
	return upperFirst(in.Cause)
}

// figureTiles are the key figures, most telling first.
func figureTiles(r *run, f figures) []figure {
	tiles := []figure{
		{Label: "Operations", Value: countText(len(r.ops)),
			Note: fmt.Sprintf("%s ok, %s fail, %s info", countText(f.ok), countText(f.fail), countText(f.info))},
		{Label: "Throughput", Value: rateText(f.okPerSecond) + " /s", Note: "successful, over " + durationText(f.spanNs)},
		{Label: "Latency p50", Value: orDash(f.ok > 0, durationText(f.p50Ns)), Note: "half of the ok operations were faster"},
		{Label: "Latency p99", Value: orDash(f.ok > 0, durationText(f.p99Ns)), Note: "99 of 100 were faster"},
		{Label: "Faults", Value: countText(f.faults), Note: faultNote(f)},
	}
	gapTile := figure{Label: "Longest write gap", Value: "–", Note: "no write was tried"}
	if f.writes > 0 {
		gapTile.Value = durationText(f.gap.lengthNs())
		gapTile.Note = "without a successful write, from " + atText(f.gap.fromNs)
		gapTile.Range = rangeText(f.gap.fromNs-f.gap.lengthNs()/2, f.gap.toNs+f.gap.lengthNs()/2)
	}
	tiles = append(tiles, gapTile)
	if f.leaderElections > 0 {
		tiles = append(tiles, figure{Label: "Epochs", Value: countText(f.leaderElections), Note: "each with its own leader"})
	}
	return tiles
}

func faultNote(f figures) string {
	if f.faults == 0 {
		return "none was injected"
	}
	return fmt.Sprintf("%s proved effective, %s proved healed", countText(f.proved), countText(f.healed))
}

func orDash(known bool, text string) string {
	if !known {
		return "–"
	}
	return text
}

// notes are things a reader should know before believing the figures.
func notes(r *run, in Input) []string {
	var out []string
	if len(r.ops) == 0 {
		out = append(out, "The history holds no client operation: nothing was tested.")
	}
	if r.orphans > 0 {
		out = append(out, fmt.Sprintf("%s completions have no invocation before them and are left out: the history is damaged.", countText(r.orphans)))
	}
	if len(in.Results) == 0 {
		out = append(out, "No checker ran: the history was recorded but not judged.")
	}
	return out
}

func checkerRows(results []workloads.Result) []checkerRow {
	rows := make([]checkerRow, 0, len(results))
	for i := range results {
		result := &results[i]
		row := checkerRow{
			Name: result.Checker, Checks: checkerText(result.Checker), Verdict: wordsOf(result.Verdict),
			Cause: upperFirst(clip(result.Cause, 2*maxLineRunes)), Violations: len(result.Failures),
		}
		for key, value := range result.Stats {
			row.Stats = append(row.Stats, Meta{statName.Replace(key), statText(value)})
		}
		sort.Slice(row.Stats, func(i, j int) bool { return row.Stats[i].Key < row.Stats[j].Key })
		rows = append(rows, row)
	}
	return rows
}

// statName makes words of a statistic's name.
var statName = strings.NewReplacer("_", " ", "-", " ")

// statText prints a figure of a checker; whole numbers get their thousands
// apart, also when they came back from JSON as floats.
func statText(value any) string {
	switch v := value.(type) {
	case int:
		return countText(v)
	case int64:
		return countText(int(v))
	case float64:
		if v == float64(int64(v)) {
			return countText(int(v))
		}
		return significant(v)
	}
	return valueText(value)
}

func faultRows(r *run, faults []Fault) []faultRow {
	writeTimes := successfulWriteTimes(r)
	rows := make([]faultRow, 0, len(faults))
	for i := range faults[:min(len(faults), maxFaults)] {
		fault := &faults[i]
		a := newAvailability(r, writeTimes, fault)
		row := faultRow{
			Label: faultLabel(fault), Targets: strings.Join(fault.Targets, ", "),
			Detail: clip(fault.Detail, maxLineRunes), At: atText(fault.StartNs),
			Lasted: "to the end of the run", Effective: "not proved", Healed: "not proved",
			EffectiveOK: fault.Effective, HealedOK: fault.Healed,
			AfterStart: a.afterStart.text(), AfterHeal: a.afterHeal.text(),
			Gap: durationText(a.longestGapNs), DuringOK: countText(a.duringOK),
			DuringRest: fmt.Sprintf("%s fail, %s info", countText(a.duringFail), countText(a.duringInfo)),
		}
		endNs := r.endNs
		if fault.EndNs != 0 {
			endNs = fault.EndNs
			row.Lasted = durationText(fault.EndNs - fault.StartNs)
		}
		if fault.Effective {
			row.Effective = "after " + durationText(fault.EffectiveNs-fault.StartNs)
		}
		if fault.Healed {
			row.Healed = "after " + durationText(fault.HealedNs-fault.EndNs)
		}
		if fault.EndNs == 0 {
			row.AfterHeal = "never taken back"
		}
		margin := (endNs-fault.StartNs)/4 + 1e8
		row.Range = rangeText(fault.StartNs-margin, endNs+margin)
		rows = append(rows, row)
	}
	return rows
}

func (f firstWrite) text() string {
	switch {
	case f.found:
		return durationText(f.tookNs)
	case f.tried:
		return "none succeeded"
	default:
		return "none was tried"
	}
}

// rangeText is a part of the run as the page's links name it: seconds.
func rangeText(fromNs, toNs int64) string {
	return fmt.Sprintf("%.6f-%.6f", float64(max(0, fromNs))/1e9, float64(toNs)/1e9)
}

func logViews(logs []NodeLog) []logView {
	views := make([]logView, 0, len(logs))
	for i := range logs {
		lines := logs[i].Lines
		view := logView{Member: logs[i].Member}
		if len(lines) > maxLogLines {
			view.Cut = len(lines) - maxLogLines
			lines = lines[view.Cut:]
		}
		for _, line := range lines {
			shown := logLineView{Text: clip(line.Text, maxLineRunes), Us: -1}
			if line.HasTime {
				shown.Us, shown.At = line.TimeNs/1000, atText(line.TimeNs)
			}
			view.Lines = append(view.Lines, shown)
		}
		views = append(views, view)
	}
	return views
}

// functionNames lists the kinds of operation, for the filter.
func functionNames(r *run) []string {
	seen := make(map[string]bool)
	var names []string
	for i := range r.ops {
		if f := clip(r.ops[i].f, maxValueRunes); !seen[f] && len(names) < 100 {
			seen[f] = true
			names = append(names, f)
		}
	}
	sort.Strings(names)
	return names
}

//go:embed assets
var assets embed.FS

var pageTemplate = template.Must(template.ParseFS(assets, "assets/*.html"))
