package main

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"

	"zoolab/lab/history"
	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// faultLog writes what the nemesis does into the history, and keeps a table of
// the faults. It implements nemesis.Recorder.
type faultLog struct {
	recorder *history.Recorder

	mu     sync.Mutex // guards what follows
	faults map[int]*store.Fault
}

func newFaultLog(recorder *history.Recorder) *faultLog {
	return &faultLog{recorder: recorder, faults: make(map[int]*store.Fault)}
}

// RecordNemesis implements nemesis.Recorder.
func (l *faultLog) RecordNemesis(event nemesis.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	op := workloads.Op{
		Type: workloads.Info, Process: workloads.NemesisProcess, F: event.Fault, Version: -1,
		Value: []any{string(event.Phase), int64(event.Index), event.Variant, event.Detail},
		Node:  strings.Join(event.Targets, ","),
	}
	if event.Err != nil {
		op.Error = event.Err.Error()
	}
	op = l.recorder.Record(op)
	fault := l.faults[event.Index]
	if fault == nil {
		fault = &store.Fault{Name: event.Fault, Variant: event.Variant, StartNs: op.TimeNs}
		l.faults[event.Index] = fault
	}
	fault.Targets = event.Targets
	switch event.Phase {
	case nemesis.PhaseEffective:
		if event.Err == nil {
			fault.EffectiveNs, fault.Effective = op.TimeNs, true
		}
	case nemesis.PhaseHeal:
		fault.EndNs = op.TimeNs
	case nemesis.PhaseHealed:
		if event.Err == nil {
			fault.HealedNs, fault.Healed = op.TimeNs, true
		}
	}
	fault.Unavailable = fault.Unavailable || errors.Is(event.Err, nemesis.ErrUnavailable)
	for _, detail := range []string{event.Detail, op.Error} {
		if detail == "" {
			continue
		}
		if fault.Detail != "" {
			fault.Detail += "; "
		}
		fault.Detail += string(event.Phase) + ": " + detail
	}
}

// table lists the faults in the order in which they began.
func (l *faultLog) table() []store.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	faults := make([]store.Fault, 0, len(l.faults))
	for _, fault := range l.faults {
		faults = append(faults, *fault)
	}
	sort.SliceStable(faults, func(i, j int) bool { return faults[i].StartNs < faults[j].StartNs })
	return faults
}

// inForce describes the faults that are in force now, for the status line.
func (l *faultLog) inForce() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, fault := range l.faults {
		if fault.EndNs == 0 {
			names = append(names, fmt.Sprintf("%s %s %s", fault.Name, fault.Variant, strings.Join(fault.Targets, ",")))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	sort.Strings(names)
	return strings.Join(names, " + ")
}
