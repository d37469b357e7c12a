package report

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"zoolab/workloads"
)

var examplesDir = flag.String("examples", "", "write example reports into this directory, to look at them")

// TestExamples writes every kind of report, into -examples if it is given.
func TestExamples(t *testing.T) {
	dir := *examplesDir
	if dir == "" {
		dir = t.TempDir()
	}
	for name, in := range map[string]Input{
		"pass.html": synthInput(12_000, 60, false), "fail.html": synthInput(12_000, 60, true), "empty.html": {Name: "empty"},
		"append.html": appendStory(), "watch.html": watchStory(), "ephemeral.html": ephemeralStory(), "queue.html": queueStory(),
	} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(file, in); err != nil {
			t.Error(err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	file, err := os.Create(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteIndex(file, synthRuns()); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

func synthRuns() []Run {
	start := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	return []Run{
		{Name: "register-none", Verdict: workloads.VerdictOK, Cause: "All 6 checkers were satisfied.", Workload: "register", Nemesis: "none", Start: start, DurationNs: 31e9, Ops: 10_412, Href: "pass.html"},
		{Name: "register-partition", Verdict: workloads.VerdictFail, Cause: "Key r-stale is not linearizable: process 901 read 4 after process 902 had already read 5.", Workload: "register", Nemesis: "partition", Start: start.Add(time.Minute), DurationNs: 64e9, Ops: 11_004, Href: "fail.html"},
		{Name: "register-kill", Verdict: workloads.VerdictUnknown, Cause: "The linearizability search of key r7 ran out of its 2 GB.", Workload: "register", Nemesis: "kill", Start: start.Add(2 * time.Minute), DurationNs: 64e9, Ops: 9_120, Href: "empty.html"},
	}
}
