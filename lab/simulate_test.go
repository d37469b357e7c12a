package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"zoolab/lab/cluster/sim"
	"zoolab/lab/store"
	"zoolab/workloads"
)

// simulatedRun carries out a run in a simulator and returns its history.
func simulatedRun(t *testing.T, o options) (run *store.Run, historyLines []byte, results store.Results) {
	t.Helper()
	o.Driver, o.Store = sim.Driver, filepath.Join(t.TempDir(), "store")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	done := oneRun(t.Context(), o, out)
	if done.err != nil {
		t.Fatal(done.err)
	}
	run = done.run
	if historyLines, err = os.ReadFile(run.Path(store.HistoryFile)); err != nil {
		t.Fatal(err)
	}
	if results, err = run.ReadResults(); err != nil {
		t.Fatal(err)
	}
	return run, historyLines, results
}

// TestSimulatedRunsRepeat runs every workload under every fault that the simulator does,
// twice, and demands the same history byte for byte, a pass, every fault seen in effect and
// healed, and another history of another seed.
func TestSimulatedRunsRepeat(t *testing.T) {
	o := defaultOptions()
	o.Workload, o.Nemesis, o.TimeLimit, o.Seed = "all", "all", 90*time.Second, 5
	run, first, results := simulatedRun(t, o)
	for _, result := range results.Checkers {
		// So short a run need not have every operation of every workload.
		if result.Verdict != workloads.VerdictOK && result.Checker != workloads.NonVacuous {
			t.Errorf("%s: %s: %s", result.Checker, result.Verdict, result.Cause)
		}
	}
	meta, err := run.ReadMeta()
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range meta.Faults {
		if !fault.Effective || !fault.Healed {
			t.Errorf("%s %s of %s: %s", fault.Name, fault.Variant, fault.Targets, fault.Detail)
		}
	}
	if len(meta.Faults) < 14 {
		t.Errorf("only %d faults", len(meta.Faults))
	}
	if _, second, _ := simulatedRun(t, o); !bytes.Equal(first, second) {
		line := 0
		a, b := bytes.Split(first, []byte("\n")), bytes.Split(second, []byte("\n"))
		for line < min(len(a), len(b))-1 && bytes.Equal(a[line], b[line]) {
			line++
		}
		t.Errorf("the same seed gave two histories; they differ first in line %d:\n%s\n%s", line+1, a[line], b[line])
	}
	o.Seed++
	if _, other, _ := simulatedRun(t, o); bytes.Equal(first, other) {
		t.Error("two seeds gave the same history")
	}
}

// TestReplayKeepsWhatMembersAreMadeFor repeats a run whose members could be reconfigured, and
// of whose faults the schedule holds another one only. They are such members all the same.
func TestReplayKeepsWhatMembersAreMadeFor(t *testing.T) {
	o := defaultOptions()
	o.Workload, o.Nemesis, o.TimeLimit, o.Seed = "set", "kill,reconfig", minTimeLimit, 1
	o.Compose = filepath.Join("..", o.Compose)
	run, first, _ := simulatedRun(t, o)
	again, err := optionsOf(run, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.Nemesis != "kill" {
		t.Fatalf("the schedule holds %s; choose a seed with which it holds kill only", again.Nemesis)
	}
	if _, second, _ := simulatedRun(t, again); !bytes.Equal(first, second) {
		t.Error("the repeated run has another history")
	}
}

// TestMembershipIsShownWithoutReconfigurations runs the workload that reads who the members are
// under a fault that changes nothing in that: it proves something all the same.
func TestMembershipIsShownWithoutReconfigurations(t *testing.T) {
	o := defaultOptions()
	o.Workload, o.Nemesis, o.TimeLimit, o.Seed = "set,membership", "kill", minTimeLimit, 1
	_, _, results := simulatedRun(t, o)
	if results.Verdict != workloads.VerdictOK {
		t.Errorf("%s: %s", results.Verdict, results.Cause)
	}
}
