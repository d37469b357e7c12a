package report

import (
	"flag"
	"fmt"
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
	if err := WriteIndex(file, synthIndex()); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// synthIndex has runs of several kinds, and many of one kind for its trends.
func synthIndex() Index {
	start := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	in := Index{Workloads: []string{"bank", "register", "watch"}, Faults: []string{"kill", "pause", "partition"}}
	add := func(run Run, parts ...string) {
		run.ID, run.Start = fmt.Sprintf("%s/%d", run.Name, len(in.Runs)), start.Add(-time.Duration(len(in.Runs))*time.Hour)
		for _, part := range parts {
			run.Parts = append(run.Parts, PartRun{part, run.Verdict})
		}
		in.Runs = append(in.Runs, run)
	}
	add(Run{Name: "register-none", Verdict: workloads.VerdictOK, Cause: "All 6 checkers were satisfied.", Workload: "register", Nemesis: "none", DurationNs: 31e9, Ops: 10_412, Href: "pass.html"}, "register")
	add(Run{Name: "register-partition", Verdict: workloads.VerdictFail, Cause: "Key r-stale is not linearizable: process 901 read 4 after process 902 had already read 5.", Workload: "register", Nemesis: "partition", DurationNs: 64e9, Ops: 11_004, Href: "fail.html", Effective: []string{"partition"}}, "register")
	add(Run{Name: "bank-watch-kill", Verdict: workloads.VerdictUnknown, Cause: "still runs, or was ended", State: "unchecked", Workload: "bank,watch", Nemesis: "kill"}, "bank", "watch")
	for i := range 8 {
		add(Run{
			Name: "bank-watch-kill", Verdict: workloads.VerdictOK, Cause: "All 8 checkers were satisfied.", Workload: "bank,watch", Nemesis: "kill", Seed: int64(i), DurationNs: 64e9, Ops: 9_120, Href: "empty.html",
			Effective: []string{"kill"}, Figures: &Figures{OK: 9000, OKPerSecond: 300 - float64(i*i), P99Ns: int64(40+i%3*9) * msNs, LongestGapNs: int64(90+i*4) * msNs},
		}, "bank", "watch")
	}
	return in
}
