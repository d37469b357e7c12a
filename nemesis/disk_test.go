package nemesis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (e *ensemble) BreakDisk(_ context.Context, member string, state DiskState) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.deaf {
		e.disks[member] = state
	}
	if e.diesOfDisk && (state.Full || state.Broken) {
		e.states[member] = Down
	}
	if e.diesLate > 0 && state == (DiskState{}) {
		time.AfterFunc(e.diesLate, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.states[member] = Down
		})
	}
	return nil
}

func (e *ensemble) TryDisk(_ context.Context, member string) (time.Duration, string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	state := e.disks[member]
	return time.Duration(state.SyncMs) * time.Millisecond, state.complaint(), nil
}

// TestDiskFaultEndsProcess: a server that ends because of its disk is no crash,
// not for a kill that overlaps either, and serves again when the disk is in
// order.
func TestDiskFaultEndsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(3)
		e.diesOfDisk = true
		s := schedule(3,
			Step{At: seconds(1), Fault: "disk-full", Variant: "one", Targets: []string{"n2"}, Duration: seconds(9)},
			Step{At: seconds(2), Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(3)},
			Step{At: seconds(3), Fault: "disk-error", Variant: "minority", Targets: []string{"n2"}, Duration: seconds(3)},
		)
		runProved(t, s, e)
	})
}

// TestDiskFaultEndsProcessLate: a server may notice only when its disk is in order again that
// it was not, and is started again then.
func TestDiskFaultEndsProcessLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(3)
		e.diesLate = time.Millisecond
		s := schedule(3,
			Step{At: seconds(1), Fault: "disk-error", Variant: "one", Targets: []string{"n2"}, Duration: seconds(2)},
			Step{At: seconds(4), Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(2)},
		)
		runProved(t, s, e)
	})
}

// TestCrashAfterDiskFault: a server that ends when its disk is long in order has
// crashed.
func TestCrashAfterDiskFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		s := schedule(3,
			Step{At: seconds(1), Fault: "disk-slow", Variant: "one", Targets: []string{"n2"}, Duration: seconds(1)},
			Step{At: seconds(9), Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(1)},
		)
		time.AfterFunc(seconds(6), func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.states["n2"] = Down
		})
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 2 || !outcomes[0].Healed || !errors.Is(outcomes[1].Err, ErrCrashed) {
			t.Errorf("%+v, %v", outcomes, err)
		}
	})
}

func TestDiskFaultNotEffective(t *testing.T) {
	for _, fault := range diskFaults {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnsemble(3), &transcript{}
			e.deaf = true
			s := schedule(3, Step{Fault: fault.Name(), Variant: "leader", Targets: []string{RoleLeader}, Duration: seconds(1)})
			outcomes, err := Run(t.Context(), s, e, r)
			if err != nil || len(outcomes) != 1 || outcomes[0].Effective || !strings.Contains(outcomes[0].Err.Error(), "want") {
				t.Errorf("%s: %+v, %v", fault.Name(), outcomes, err)
			}
		})
	}
}

func (e *ensemble) Damage(_ context.Context, member, fault string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.states[member] != Down {
		return "", errors.New("damaged while it ran")
	}
	if len(e.blocks) > 0 {
		return "", errors.New("damaged while links were cut")
	}
	for other, state := range e.states {
		if e.states[e.leader] == Down && state == Running {
			e.leader = other
		}
	}
	e.history = append(e.history, fault+" "+member)
	e.refuses = fault == "log-corrupted"
	return fault, nil
}

func (e *ensemble) Serves(ctx context.Context, member string) bool { return e.Answers(ctx, member) }

// TestDamageIsAlone: data is damaged when nothing else is in effect, and what
// comes after waits for the end of it. A member that refuses its data loses it.
func TestDamageIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(5), &transcript{}
		s := schedule(5,
			Step{At: seconds(1), Fault: "partition", Variant: "one", Targets: []string{"n5"}, Duration: seconds(6)},
			Step{At: seconds(2), Fault: "log-truncated", Variant: "minority", Targets: []string{"n1", "n2"}, Duration: seconds(2)},
			Step{At: seconds(3), Fault: "kill", Variant: "one", Targets: []string{"n4"}, Duration: seconds(1)},
			Step{At: seconds(12), Fault: "log-corrupted", Variant: "one", Targets: []string{"n2"}, Duration: seconds(2)},
		)
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil {
			t.Fatal(err)
		}
		allProved(t, outcomes)
		for i := range 2 {
			if outcomes[i+1].StartAt < outcomes[i].HealedAt {
				t.Errorf("step %d began at %s, before step %d was healed at %s", i+1, outcomes[i+1].StartAt, i, outcomes[i].HealedAt)
			}
		}
		history := strings.Join(e.history, ", ")
		if !strings.HasSuffix(history, "kill n4, restart n4, kill n2, log-corrupted n2, restart n2, data-lost n2, restart n2") {
			t.Errorf("changes: %s", history)
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
	})
}

func (e *ensemble) Limit(_ context.Context, member string, limits Limits) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limits[member] = limits
	return nil
}

func (e *ensemble) Pressure(_ context.Context, member string) (Pressure, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if limits := e.limits[member]; limits.CPUPercent > 0 {
		e.pressure.Throttled++
	} else if limits.HeadroomMiB > 0 {
		e.pressure.Refused++
	}
	return e.pressure, nil
}

// TestLimitNotMet: a limit that the process never meets is no fault.
func TestLimitNotMet(t *testing.T) {
	for _, fault := range limitFaults {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnsemble(3), &transcript{}
			e.pressure.Throttled, e.pressure.Refused = 7, 7
			s := schedule(3, Step{Fault: fault.Name(), Variant: "leader", Targets: []string{RoleLeader}, Duration: seconds(1)})
			outcomes, err := Run(t.Context(), s, unlimited{e}, r)
			if err != nil || len(outcomes) != 1 || outcomes[0].Effective || !strings.Contains(outcomes[0].Err.Error(), "met its limit 0 times") {
				t.Errorf("%s: %+v, %v", fault.Name(), outcomes, err)
			}
		})
	}
}

// TestLimitMetByOne: memory that one of the targets meets is in effect, though another had no
// reason to ask for more; a processor is taken from each.
func TestLimitMetByOne(t *testing.T) {
	for _, fault := range limitFaults {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnsemble(5), &transcript{}
			s := schedule(5, Step{Fault: fault.Name(), Variant: "minority", Targets: []string{"n1", "n2"}, Duration: seconds(1)})
			outcomes, err := Run(t.Context(), s, limitedFirst{e}, r)
			if err != nil || len(outcomes) != 1 || outcomes[0].Effective != (fault.Name() == "memory") || !outcomes[0].Healed {
				t.Errorf("%s: %+v, %v", fault.Name(), outcomes, err)
			}
		})
	}
}

// limitedFirst limits n1 only.
type limitedFirst struct{ *ensemble }

func (l limitedFirst) Limit(ctx context.Context, member string, limits Limits) error {
	if member != "n1" {
		return nil
	}
	return l.ensemble.Limit(ctx, member, limits)
}

func (l limitedFirst) Pressure(ctx context.Context, member string) (Pressure, error) {
	if member != "n1" {
		return Pressure{}, nil
	}
	return l.ensemble.Pressure(ctx, member)
}

// unlimited ignores limits.
type unlimited struct{ *ensemble }

func (unlimited) Limit(context.Context, string, Limits) error { return nil }
