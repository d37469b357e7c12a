package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"zoolab/lab/history"
	"zoolab/lab/store"
	"zoolab/workloads"
)

// TestShrunkRunStandsInTheReport writes what a search leaves beside a run and
// looks for it in the report, also when a file of it is missing.
func TestShrunkRunStandsInTheReport(t *testing.T) {
	run := goodRun().write(t)
	ops := []workloads.Op{
		{Index: 0, TimeNs: 1e6, Type: workloads.Invoke, F: "write", Key: "k", Value: int64(7), Version: -1},
		{Index: 1, TimeNs: 2e6, Type: workloads.OK, F: "write", Key: "k", Value: int64(7)},
	}
	err := run.Write(store.ShrunkHistory, func(w io.Writer) error { return history.Write(w, ops) })
	if err == nil {
		err = run.WriteFile(store.ShrunkSchedule, []byte("seed: 77\n"))
	}
	if err == nil {
		err = run.WriteShrunk(store.Shrunk{
			Command: "go run ./lab replay shrunk", Cause: "key k lost its write", Runs: 31, FaultsBefore: 12, Faults: 1,
			OperationsBefore: 9000, Operations: 1, Checkers: []workloads.Result{{Checker: "linearizable", Verdict: workloads.VerdictFail,
				Failures: []workloads.Failure{{Key: "k", Cause: "it is gone", Ops: []int{0}}}}},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	html := checkedReport(t, run)
	for _, want := range []string{"1 fault and 1 operation are enough, of 12 faults and 9\u202f000 operations", "Key k lost its write", "seed: 77", "go run ./lab replay shrunk", "It is gone"} {
		if !strings.Contains(html, want) {
			t.Errorf("the report does not show %q", want)
		}
	}
	if err := os.Remove(run.Path(store.ShrunkHistory)); err != nil {
		t.Fatal(err)
	}
	if html := checkedReport(t, run); !strings.Contains(html, "Not all of it could be read") || !strings.Contains(html, "go run ./lab shrink") {
		t.Error("the report does not say that the shrunken history is missing, and what to do")
	}
}

func checkedReport(t *testing.T, run *store.Run) string {
	t.Helper()
	if _, err := check(run); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(run.Path(store.ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(html)
}
