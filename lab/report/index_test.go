package report

import (
	"strings"
	"testing"

	"zoolab/workloads"
)

func cellOf(t *testing.T, matrix []matrixRow, workload, fault string) matrixCell {
	t.Helper()
	for _, row := range matrix {
		for _, cell := range row.Cells {
			if row.Workload == workload && cell.Fault == fault {
				return cell
			}
		}
	}
	t.Fatalf("the matrix has no field for %s under %s", workload, fault)
	return matrixCell{}
}

func TestMatrixCountsRunsByWorkloadAndFault(t *testing.T) {
	in := Index{
		Workloads: []string{"register", "watch"}, Faults: []string{"kill", "pause"},
		Runs: []Run{ // the newest first
			{Verdict: workloads.VerdictFail, Parts: []PartRun{{"register", workloads.VerdictFail}, {"bank", workloads.VerdictOK}}, Effective: []string{"kill", "clock"}},
			{Verdict: workloads.VerdictOK, Parts: []PartRun{{"register", workloads.VerdictOK}}, Effective: []string{"kill"}},
			{Verdict: "", Parts: []PartRun{{"register", ""}}},
		},
	}
	matrix := newMatrix(in)
	if len(matrix) != 3 || len(matrix[0].Cells) != 4 {
		t.Fatalf("the matrix has %d rows of %d, want register, watch and bank under none, kill, pause and clock", len(matrix), len(matrix[0].Cells))
	}
	for _, want := range []struct {
		workload, fault string
		ok, fail, rest  int
		class           string
	}{
		{"register", "kill", 1, 1, 0, "fail"}, {"bank", "clock", 1, 0, 0, "ok"}, {"register", "none", 0, 0, 1, "unknown"},
	} {
		cell := cellOf(t, matrix, want.workload, want.fault)
		if cell.OK != want.ok || cell.Fail != want.fail || cell.Rest != want.rest || cell.Verdict.Class != want.class {
			t.Errorf("%s under %s: %+v, want %+v", want.workload, want.fault, cell, want)
		}
	}
	if cell := cellOf(t, matrix, "watch", "pause"); cell.Tried || !strings.Contains(cell.Title, "never tried") {
		t.Errorf("watch under pause: %+v, want it never tried", cell)
	}
}

func TestTrendsGoFromOldToNew(t *testing.T) {
	rows := newTrends(synthIndex().Runs)
	if len(rows) != 1 || rows[0].Name != "bank-watch-kill" || rows[0].Count != 8 {
		t.Fatalf("trends %+v, want the one name with several measured runs", rows)
	}
	rate := rows[0].Charts[0]
	if rate.Newest != "300 /s" {
		t.Errorf("the newest throughput is %s, want 300 /s", rate.Newest)
	}
	if first, last := rate.Dots[0], rate.Dots[7]; first.X >= last.X || first.Y <= last.Y {
		t.Errorf("the chart goes from %+v to %+v; want upwards to the right", first, last)
	}
}
