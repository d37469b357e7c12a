package report

import (
	"strings"
	"testing"

	"zoolab/workloads"
)

// history makes a history from lines of "process f from-to outcome", times in
// milliseconds; a line without an end is an operation that never completed.
type entry struct {
	process    int
	f          string
	fromMs     int64
	toMs       int64 // -1: no completion
	completion workloads.Type
}

func historyOf(entries ...entry) []workloads.Op {
	var history []workloads.Op
	for _, e := range entries {
		op := workloads.Op{Index: len(history), TimeNs: e.fromMs * msNs, Type: workloads.Invoke, Process: e.process, F: e.f, Version: -1}
		history = append(history, op)
		if e.toMs >= 0 {
			op.Index, op.TimeNs, op.Type = len(history), e.toMs*msNs, e.completion
			history = append(history, op)
		}
	}
	return history
}

func TestQuantileIsNearestRank(t *testing.T) {
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(i + 1)
	}
	for _, test := range []struct {
		values []int64
		q      float64
		want   int64
	}{
		{nil, 0.5, 0}, {[]int64{7}, 0.5, 7}, {[]int64{7}, 0.99, 7}, {[]int64{1, 2}, 0.5, 1},
		{[]int64{1, 2, 3}, 0.5, 2}, {hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("quantile of %d values at %v = %d, want %d", len(test.values), test.q, got, test.want)
		}
	}
}

func TestLongestGap(t *testing.T) {
	for name, test := range map[string]struct {
		span  gap
		times []int64
		want  gap
	}{
		"in the middle":          {gap{0, 100}, []int64{10, 20, 80, 95}, gap{20, 80}},
		"before the first":       {gap{0, 100}, []int64{60, 80}, gap{0, 60}},
		"after the last":         {gap{0, 100}, []int64{10, 20}, gap{20, 100}},
		"none at all":            {gap{5, 100}, nil, gap{5, 100}},
		"times outside the span": {gap{50, 100}, []int64{10, 60, 99, 200}, gap{60, 99}},
		"empty span":             {gap{50, 50}, []int64{10, 60}, gap{50, 50}},
	} {
		if got := longestGap(test.span, test.times); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestFigures(t *testing.T) {
	in := Input{
		History: historyOf(
			entry{0, "write", 0, 10, workloads.OK}, entry{1, "read", 0, 2, workloads.OK},
			entry{0, "cas", 20, 24, workloads.Fail}, entry{1, "write", 30, 500, workloads.Info},
			entry{0, "write", 600, 610, workloads.OK}, entry{3, "write", 700, -1, 0}, entry{0, "read", 900, 1000, workloads.OK},
		),
		Faults:  []Fault{{Effective: true, Healed: true, StartNs: 1, EndNs: 2}, {StartNs: 3000 * msNs}},
		Leaders: []LeaderSpan{{Epoch: 1}, {Epoch: 2}, {Epoch: 2}},
	}
	r := newRun(in)
	f := newFigures(r, in.Faults, in.Leaders)
	if f.ok != 4 || f.fail != 1 || f.info != 2 {
		t.Errorf("ok, fail, info = %d, %d, %d, want 4, 1, 2", f.ok, f.fail, f.info)
	}
	if f.spanNs != 1000*msNs || f.okPerSecond != 4 {
		t.Errorf("span %d, %v ops/s, want 1 s and 4 ops/s", f.spanNs, f.okPerSecond)
	}
	if f.p50Ns != 10*msNs || f.p99Ns != 100*msNs {
		t.Errorf("p50 %d, p99 %d, want 10 ms and 100 ms", f.p50Ns, f.p99Ns)
	}
	if want := (gap{10 * msNs, 610 * msNs}); f.gap != want {
		t.Errorf("longest write gap = %v, want %v", f.gap, want)
	}
	if f.faults != 2 || f.proved != 1 || f.healed != 1 || f.leaderElections != 2 {
		t.Errorf("faults %d, proved %d, healed %d, epochs %d", f.faults, f.proved, f.healed, f.leaderElections)
	}
	if open := r.ops[5]; open.closed || open.outcome != outcomeInfo || open.endNs != 3000*msNs {
		t.Errorf("an operation without completion = %+v, want info, open to the end of the run", open)
	}
}

func TestRunPairsWhatBelongsTogether(t *testing.T) {
	history := []workloads.Op{
		{Index: 0, TimeNs: 5, Type: workloads.OK, Process: 3},
		{Index: 1, TimeNs: 10, Type: workloads.Info, Process: workloads.NemesisProcess, F: "kill"},
		{Index: 2, TimeNs: 30, Type: workloads.Invoke, Process: 1, F: "late"},
		{Index: 3, TimeNs: 20, Type: workloads.Invoke, Process: 2, F: "early"},
		{Index: 4, TimeNs: 40, Type: workloads.Fail, Process: 2, Error: "bad version"},
	}
	r := newRun(Input{History: history})
	if r.orphans != 1 || len(r.ops) != 2 {
		t.Fatalf("%d orphans, %d operations, want 1 and 2", r.orphans, len(r.ops))
	}
	if r.ops[0].f != "early" || r.ops[1].f != "late" {
		t.Errorf("operations %s, %s are not in order of invocation", r.ops[0].f, r.ops[1].f)
	}
	for _, index := range []int{3, 4} {
		if op, ok := r.find(index); !ok || op.f != "early" || op.err != "bad version" {
			t.Errorf("entry %d belongs to %+v, want the operation that failed", index, op)
		}
	}
	if _, ok := r.find(1); ok {
		t.Error("the nemesis' entry was taken for an operation of a client")
	}
}

func TestAvailability(t *testing.T) {
	in := Input{History: historyOf(
		entry{0, "write", 0, 10, workloads.OK},
		entry{1, "write", 95, 130, workloads.OK}, // invoked before the fault: proves nothing
		entry{2, "read", 101, 103, workloads.OK},
		entry{0, "write", 110, 400, workloads.Info},
		entry{2, "write", 150, 290, workloads.OK},
		entry{1, "write", 200, 240, workloads.OK},
		entry{1, "cas", 450, 455, workloads.Fail},
		entry{1, "write", 520, 560, workloads.OK},
	)}
	r := newRun(in)
	a := newAvailability(r, successfulWriteTimes(r), &Fault{StartNs: 100 * msNs, EndNs: 500 * msNs})
	if want := (firstWrite{tried: true, found: true, tookNs: 140 * msNs}); a.afterStart != want {
		t.Errorf("after the start %+v, want %+v", a.afterStart, want)
	}
	if want := (firstWrite{tried: true, found: true, tookNs: 60 * msNs}); a.afterHeal != want {
		t.Errorf("after the heal %+v, want %+v", a.afterHeal, want)
	}
	if a.longestGapNs != 210*msNs {
		t.Errorf("longest gap %s, want 210 ms", durationText(a.longestGapNs))
	}
	if a.duringOK != 4 || a.duringFail != 1 || a.duringInfo != 1 {
		t.Errorf("during: %d ok, %d fail, %d info, want 4, 1, 1", a.duringOK, a.duringFail, a.duringInfo)
	}
	after := newAvailability(r, successfulWriteTimes(r), &Fault{StartNs: 530 * msNs})
	if after.afterStart.tried || after.afterHeal.tried || after.longestGapNs != 30*msNs {
		t.Errorf("a fault after the last write: %+v", after)
	}
	if got := firstWriteAfter(r, 300*msNs).text(); got != "260 ms" {
		t.Errorf("first write after 300 ms = %s, want 260 ms", got)
	}
	if got := firstWriteAfter(newRun(Input{History: historyOf(entry{0, "write", 5, 9, workloads.Info})}), 0).text(); got != "none succeeded" {
		t.Errorf("first write = %q, want none succeeded", got)
	}
}

func TestWritesAreKnownByTheirName(t *testing.T) {
	for f, want := range map[string]bool{
		"write": true, "cas": true, "create": true, "enqueue": true, "read": false, "final-read": false, "read-all": false, "sync": false,
	} {
		if isWrite(f) != want {
			t.Errorf("isWrite(%q) = %v", f, !want)
		}
	}
}

func TestText(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 ms", 12: "12 ns", 1500: "1.50 µs", 3_960_000: "3.96 ms", 99_960_000: "100 ms", 969_400_000: "969 ms",
		1_500_000_000: "1.50 s", 64_000_000_000: "64.0 s", 125_000_000_000: "2 min 05 s", 3_720_000_000_000: "1 h 02 min", -5_000_000: "-5.00 ms",
	} {
		if got := durationText(ns); got != want {
			t.Errorf("durationText(%d) = %q, want %q", ns, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1\u202f000", 1234567: "1\u202f234\u202f567", -1234: "-1\u202f234"} {
		if got := countText(n); got != want {
			t.Errorf("countText(%d) = %q, want %q", n, got, want)
		}
	}
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, "nil"}, {int64(5), "5"}, {[2]int64{3, 4}, "3 → 4"}, {[]any{int64(1), "a", nil, []any{}}, "[1, a, nil, []]"}, {"x", "x"}, {true, "true"},
	} {
		if got := valueText(test.value); got != test.want {
			t.Errorf("valueText(%v) = %q, want %q", test.value, got, test.want)
		}
	}
	many := make([]any, 1_000_000)
	if got := valueText(many); len(got) > 2*maxValueRunes || !strings.Contains(got, "more bytes") {
		t.Errorf("a million elements give %d bytes of text", len(got))
	}
}
