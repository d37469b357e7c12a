package report

import (
	"strings"
	"testing"

	"zoolab/workloads"
)

// rowOf finds a row of a comparison.
func rowOf(t *testing.T, c *Comparison, section, label string) CompareRow {
	t.Helper()
	for _, s := range c.Sections {
		for _, row := range s.Rows {
			if s.Title == section && row.Label == label {
				return row
			}
		}
	}
	t.Fatalf("the comparison has no row %q in %q", label, section)
	return CompareRow{}
}

func TestCompareSaysWhatGotWorse(t *testing.T) {
	quick := Input{
		Verdict: workloads.VerdictOK, Meta: []Meta{{"seed", "1"}, {"image", "new"}},
		Faults: []Fault{{Name: "kill", Variant: "leader", StartNs: 100 * msNs, EndNs: 200 * msNs, Effective: true}},
		History: historyOf(
			entry{0, "write", 0, 10, workloads.OK}, entry{1, "write", 101, 110, workloads.OK},
			entry{2, "write", 201, 210, workloads.OK}, entry{3, "read", 300, 301, workloads.Fail}),
	}
	slow := quick
	slow.Meta = []Meta{{"seed", "1"}, {"image", "old"}}
	slow.Verdict = workloads.VerdictFail
	slow.History = historyOf(
		entry{0, "write", 0, 50, workloads.OK}, entry{1, "write", 101, 190, workloads.OK}, entry{2, "write", 201, 290, workloads.OK})
	c := Compare(quick, slow)
	for _, want := range []struct{ section, label, a, b, change, better string }{
		{"Run", "verdict", "OK", "FAIL", "differs", ""},
		{"Run", "image", "new", "old", "differs", ""},
		{"Run", "seed", "1", "1", "", ""},
		{"Operations", "operations", "4", "3", "-25 %", ""},
		{"Operations", "latency max", "10.0 ms", "89.0 ms", "× 8.90", "worse"},
		{"kill leader", "first write after start, worst", "10.0 ms", "90.0 ms", "× 9.00", "worse"},
		{"kill leader", "first write after heal, median", "10.0 ms", "90.0 ms", "× 9.00", "worse"},
		{"kill leader", "ok while it lasted", "100.0 % of 1", "100.0 % of 1", "", ""},
	} {
		row := rowOf(t, c, want.section, want.label)
		if got := (CompareRow{want.label, want.a, want.b, want.change, want.better}); row != got {
			t.Errorf("%s: %+v, want %+v", want.section, row, got)
		}
	}
	if back := rowOf(t, Compare(slow, quick), "Operations", "latency max"); back.Better != "better" {
		t.Errorf("the other way around it is %q, want better", back.Better)
	}
	if seed := rowOf(t, c, "Run", "seed"); c.Sections[0].Rows[len(c.Sections[0].Rows)-1] != seed {
		t.Error("what is the same does not stand last")
	}
}

func TestCompareOfStrangeRuns(t *testing.T) {
	for name, in := range oddInputs() {
		for _, pair := range [][2]Input{{in, synthInput(300, 5, true)}, {synthInput(300, 5, false), in}, {in, in}} {
			var page strings.Builder
			if err := Compare(pair[0], pair[1]).Write(&page); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if body, _, _ := strings.Cut(page.String(), "<script>"); strings.Contains(body, "NaN") || strings.Contains(body, "Inf") {
				t.Errorf("%s: a figure is no number", name)
			}
		}
	}
}
