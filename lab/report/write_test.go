package report

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"zoolab/workloads"
)

func written(t *testing.T, in Input) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, in); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const hostile = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"&{{.}}\x00\xff\u2028<!--"

// hostileInput has the hostile text wherever text can come from the run.
func hostileInput() Input {
	fault := Fault{Name: hostile, Variant: hostile, Targets: []string{hostile, "n1"}, Detail: hostile, StartNs: 10 * msNs, EndNs: 20 * msNs}
	return Input{
		Name: hostile, Title: hostile, Verdict: workloads.Verdict(hostile), Cause: hostile, Command: hostile, Schedule: hostile,
		Meta: []Meta{{hostile, hostile}}, Members: []string{hostile}, Faults: []Fault{fault},
		Leaders: []LeaderSpan{{Member: hostile, Epoch: math.MaxInt64, EndNs: 5}},
		History: []workloads.Op{
			{Index: 0, TimeNs: 1 * msNs, Type: workloads.Invoke, Process: 1, F: hostile, Key: hostile, Value: hostile, Node: hostile},
			{Index: 1, TimeNs: 9 * msNs, Type: workloads.Info, Process: 1, F: hostile, Key: hostile, Value: hostile, Node: hostile, Error: hostile},
		},
		Results: []workloads.Result{{Checker: hostile, Verdict: workloads.VerdictFail, Cause: hostile, Stats: map[string]any{hostile: hostile},
			Failures: []workloads.Failure{{Key: hostile, Cause: hostile, Ops: []int{0, 77}, Steps: []workloads.Step{{Op: 0, State: hostile, Why: hostile}, {Op: 99, State: hostile}}}}}},
		NodeLogs: []NodeLog{{Member: hostile, Lines: []LogLine{{Text: hostile}}}},
	}
}

func TestHostileTextIsEscaped(t *testing.T) {
	html := written(t, hostileInput())
	if strings.Contains(html, "<script>document") || strings.Contains(html, "<img") {
		t.Error("text of the run became markup")
	}
	if got := strings.Count(html, "<script"); got != 2 {
		t.Errorf("the page has %d script elements, want its data and its script", got)
	}
	if got := strings.Count(html, "&lt;/script&gt;&lt;script&gt;document"); got < 20 {
		t.Errorf("the hostile text stands escaped in %d places, want it in every field", got)
	}
	var index strings.Builder
	runs := []Run{{Name: hostile, ID: hostile, State: hostile, Verdict: workloads.Verdict(hostile), Cause: hostile, Workload: hostile, Nemesis: hostile, Href: "javascript:alert(1)", Parts: []PartRun{{hostile, ""}}, Effective: []string{hostile}}}
	if err := WriteIndex(&index, Index{Runs: runs, Served: true}); err != nil {
		t.Fatal(err)
	}
	if err := Compare(hostileInput(), hostileInput()).Write(&index); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(index.String(), "<script>document") || strings.Contains(index.String(), `href="javascript`) {
		t.Error("text of a run became markup in the list of runs")
	}
}

func TestPageNeedsNothingElse(t *testing.T) {
	html := written(t, synthInput(500, 5, true))
	for _, external := range []string{"src=", "@import", "url(", "<link", "https://", "http://"} {
		if at := strings.Index(html, external); at >= 0 {
			t.Errorf("the page refers to something outside: %q", html[at:min(at+80, len(html))])
		}
	}
}

// oddInputs are runs that ended strangely; each must give a page that works.
func oddInputs() map[string]Input {
	open := historyOf(entry{0, "write", 5, -1, 0})
	return map[string]Input{
		"empty":                 {},
		"hostile":               hostileInput(),
		"one open operation":    {History: open},
		"only nemesis entries":  {History: []workloads.Op{{Type: workloads.Info, Process: workloads.NemesisProcess, F: "kill"}}},
		"no faults":             {History: historyOf(entry{0, "read", 0, 1, workloads.OK})},
		"all at the same time":  {History: historyOf(entry{0, "write", 0, 0, workloads.OK}, entry{1, "write", 0, 0, workloads.OK})},
		"unknown index":         {History: open, Results: []workloads.Result{{Failures: []workloads.Failure{{Ops: []int{55}, Steps: []workloads.Step{{Op: 66}}}}}}},
		"fault without targets": {Faults: []Fault{{Name: "clock"}}},
		"fault and no client":   {Faults: []Fault{{Name: "clock", StartNs: 5 * msNs}}},
		"time runs backwards":   {History: historyOf(entry{0, "write", 50, 10, workloads.OK})},
		"years of time":         {History: historyOf(entry{0, "write", 0, math.MaxInt64/msNs - 1, workloads.OK})},
	}
}

func TestOddInputsGiveAPage(t *testing.T) {
	for name, in := range oddInputs() {
		html := written(t, in)
		if !strings.HasSuffix(strings.TrimSpace(html), "</html>") || strings.Contains(html, `="NaN"`) {
			t.Errorf("%s: the page is not complete", name)
		}
	}
}

func TestVerdictIsSaidInWords(t *testing.T) {
	for verdict, want := range map[workloads.Verdict]string{
		workloads.VerdictOK: "<strong>OK</strong>", workloads.VerdictFail: "<strong>FAIL</strong>",
		workloads.VerdictUnknown: "<strong>UNKNOWN</strong>", "": "<strong>UNKNOWN</strong>",
	} {
		if html := written(t, Input{Verdict: verdict}); !strings.Contains(html, want) {
			t.Errorf("verdict %q does not read %s", verdict, want)
		}
	}
}

// TestIndexMergesVerdicts: of each name the newest run, which stands first, counts.
func TestIndexMergesVerdicts(t *testing.T) {
	for want, runs := range map[string][]Run{
		"<strong>OK</strong>":      {{Name: "a", Verdict: workloads.VerdictOK}, {Name: "b", Verdict: workloads.VerdictOK}, {Name: "a", Verdict: workloads.VerdictFail}},
		"<strong>UNKNOWN</strong>": {{Name: "a", Verdict: workloads.VerdictOK}, {Name: "b", Verdict: ""}},
		"<strong>FAIL</strong>":    {{Name: "a", Verdict: workloads.VerdictUnknown}, {Name: "b", Verdict: workloads.VerdictFail}, {Name: "c", Verdict: workloads.VerdictOK}},
	} {
		var b strings.Builder
		if err := WriteIndex(&b, Index{Runs: runs}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("the list of %v does not say %s", runs, want)
		}
	}
	var empty strings.Builder
	if err := WriteIndex(&empty, Index{}); err != nil || !strings.Contains(empty.String(), "<strong>UNKNOWN</strong>") {
		t.Errorf("an empty list must not look like a pass (%v)", err)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("disk full")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteReportsTheWritersError(t *testing.T) {
	if err := Write(brokenWriter{}, Input{Name: "r"}); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want the writer's", err)
	}
	if err := WriteIndex(brokenWriter{}, Index{}); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want the writer's", err)
	}
}

func TestHugeTextIsBounded(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	in := Input{NodeLogs: []NodeLog{{Member: "n1"}}, Schedule: huge}
	for i := range 200 {
		in.History = append(in.History,
			workloads.Op{Index: 2 * i, Type: workloads.Invoke, F: "write", Value: huge + fmt.Sprint(i)},
			workloads.Op{Index: 2*i + 1, Type: workloads.Fail, F: "write", Error: huge})
	}
	for range 2000 {
		in.NodeLogs[0].Lines = append(in.NodeLogs[0].Lines, LogLine{Text: huge})
	}
	if got := len(written(t, in)); got > 3<<20 {
		t.Errorf("a run full of huge texts gives %d bytes", got)
	}
}

// TestPictureLabelsDoNotCollide draws random operations and looks for labels
// of one row that overlap, and for bars outside of the picture.
func TestPictureLabelsDoNotCollide(t *testing.T) {
	in := synthInput(3000, 5, true)
	r := newRun(in)
	for from := 0; from+maxPictureOps < len(r.ops); from += maxPictureOps {
		var ops []drawn
		for i := range maxPictureOps {
			ops = append(ops, drawn{op: &r.ops[from+i], number: fmt.Sprint(i), impossible: i == 7})
		}
		p := newPicture(r, ops, nil)
		end := make(map[float64]float64)
		for _, bar := range p.Bars {
			if bar.X < pictureLeft-1 || bar.X+bar.Width > pictureWidth {
				t.Fatalf("bar from %v to %v leaves the picture", bar.X, bar.X+bar.Width)
			}
			if bar.Label == "" {
				continue
			}
			left := bar.TextX
			width := float64(utf8.RuneCountInString(bar.Label)) * glyphWidth
			if bar.Anchor == "end" {
				left -= width
			}
			if left < end[bar.Y] {
				t.Fatalf("label %q at %v overlaps the one before, which ends at %v", bar.Label, left, end[bar.Y])
			}
			end[bar.Y] = left + width
		}
	}
}

func TestFailureShowsWhereItIsImpossible(t *testing.T) {
	html := written(t, synthInput(2000, 60, true))
	for _, want := range []string{
		"Impossible: process 901, read → 4.", "It returned 4 (version 6), but the register holds 5 (version 7)",
		`class="illegal"`, `class="bar impossible"`, "value 5, version 7", "cas 4 → 8, failed", "write 9, unknown outcome",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the counterexample does not show %q", want)
		}
	}
}
