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
		e, r := newEnsemble(3), &transcript{}
		e.diesOfDisk = true
		s := schedule(3,
			Step{At: seconds(1), Fault: "disk-full", Variant: "one", Targets: []string{"n2"}, Duration: seconds(9)},
			Step{At: seconds(2), Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(3)},
			Step{At: seconds(3), Fault: "disk-error", Variant: "minority", Targets: []string{"n2"}, Duration: seconds(3)},
		)
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if o.Err != nil || !o.Effective || !o.Healed {
				t.Errorf("%+v", o)
			}
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
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
