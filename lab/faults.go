package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"

	"zoolab/lab/cluster"
	"zoolab/lab/history"
	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// required are the faults that must be seen in effect, whatever the schedule
// turns out to be: those that were asked for by name.
func required(kinds, optional []string) []string {
	var names []string
	for _, kind := range kinds {
		if name := nemesis.ChoiceFault(kind); !slices.Contains(optional, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// faultNames are the faults that the entries for nemesis.Plan name.
func faultNames(kinds []string) []string { return required(kinds, nil) }

// scheduled adds the faults of a schedule to those that must be seen in effect.
func scheduled(names []string, schedule nemesis.Schedule) []string {
	names = slices.Clone(names)
	for _, step := range schedule.Steps {
		if !slices.Contains(names, step.Fault) {
			names = append(names, step.Fault)
		}
	}
	return names
}

// skipUnavailable leaves out what a package names and this cluster can't do. A
// fault that was asked for by name is an error there.
func (r *runner) skipUnavailable(ctx context.Context) error {
	var left []string
	for _, kind := range r.kinds {
		name := nemesis.ChoiceFault(kind)
		err := nemesis.Available(ctx, r.cluster, name)
		switch {
		case err == nil:
			left = append(left, kind)
		case !slices.Contains(r.optional, name):
			return fmt.Errorf("-nemesis %s: %w", name, err)
		case !slices.Contains(r.meta.Skipped, err.Error()):
			r.meta.Skipped = append(r.meta.Skipped, err.Error())
		}
	}
	if len(r.meta.Skipped) > 0 {
		r.progress.say("skipped: %s", strings.Join(r.meta.Skipped, "; "))
	}
	if len(left) == 0 && len(r.kinds) > 0 {
		return errors.New("none of the faults can be done here")
	}
	r.kinds = left
	return nil
}

// listFaults says what each fault does, and what the packages hold.
func listFaults(w io.Writer) {
	fmt.Fprint(w, "Faults, each with its variants, and the numbers that a schedule may give\n")
	for _, name := range nemesis.Kinds() {
		fault, err := nemesis.Lookup(name)
		if err != nil {
			panic(err) // Kinds has named it
		}
		fmt.Fprintf(w, "  %-18s %s\n", name, fault.Doc())
		variants := fault.Variants(cluster.MaxNodes)
		fmt.Fprintf(w, "  %-18s   %s\n", "", strings.Join(variants, ", "))
		told := make(map[string]bool)
		for _, variant := range variants {
			for _, p := range fault.Params(variant) {
				if !told[p.Name] {
					fmt.Fprintf(w, "  %-18s   %s: drawn from %d to %d\n", "", p.Name, p.Min, p.Max)
				}
				told[p.Name] = true
			}
		}
	}
	fmt.Fprint(w, "\nPackages; what of them can't be done somewhere is skipped there\n")
	for _, name := range nemesis.Packages() {
		fmt.Fprintf(w, "  %-18s %s\n", name, nemesis.PackageDoc(name))
	}
	fmt.Fprint(w, `
Where the kernel has no netem, the lab delays and reorders packets itself, with a queue
of the kernel's (NFQUEUE). docs/faults.md says how each fault is done and proved.

-nemesis takes faults and packages with commas. A fault may be cut down to some of
its variants, and given a weight, that many turns in a round:
  go run ./lab -nemesis kill,partition:bridge+ring*3
`)
}

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
