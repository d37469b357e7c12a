package main

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"zoolab/lab/history"
	"zoolab/nemesis"
)

func TestFaultLog(t *testing.T) {
	recorder, err := history.NewRecorder(filepath.Join(t.TempDir(), "history.jsonl"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	log := newFaultLog(recorder)
	tell := func(index int, phase nemesis.Phase, err error) {
		log.RecordNemesis(nemesis.Event{Index: index, Phase: phase, Fault: "kill", Variant: "one", Targets: []string{"n1", "n2"}, Detail: "seen", Err: err})
	}
	tell(0, nemesis.PhaseStart, nil)
	tell(0, nemesis.PhaseEffective, nil)
	tell(1, nemesis.PhaseStart, nil)
	if got := log.inForce(); got != "kill one n1,n2 + kill one n1,n2" {
		t.Errorf("in force: %q", got)
	}
	tell(0, nemesis.PhaseHeal, nil)
	tell(0, nemesis.PhaseHealed, nil)
	tell(1, nemesis.PhaseEffective, nemesis.Unavailable("kill", "no signals here"))
	tell(1, nemesis.PhaseHeal, nil)
	tell(1, nemesis.PhaseHealed, errors.New("still there"))
	if got := log.inForce(); got != "none" {
		t.Errorf("in force: %q", got)
	}
	faults := log.table()
	if len(faults) != 2 {
		t.Fatalf("faults %+v", faults)
	}
	first, second := faults[0], faults[1]
	if !first.Effective || !first.Healed || first.Unavailable || !(first.StartNs <= first.EffectiveNs && first.EffectiveNs <= first.EndNs && first.EndNs <= first.HealedNs) {
		t.Errorf("first fault %+v", first)
	}
	if second.Effective || second.Healed || !second.Unavailable || second.EndNs == 0 {
		t.Errorf("second fault %+v", second)
	}
	ops, err := recorder.Close()
	if err != nil || len(ops) != 8 || ops[7].Error != "still there" || ops[7].Node != "n1,n2" {
		t.Errorf("history %+v, %v", ops, err)
	}
}
