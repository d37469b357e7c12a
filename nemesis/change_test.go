package nemesis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func (e *ensemble) Change(_ context.Context, member, fault string, changed bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.states[member] != Down {
		return errors.New("changed while it ran")
	}
	if !e.deaf {
		e.changed[fault+member] = changed
	}
	return nil
}

func (e *ensemble) Changed(_ context.Context, member, fault string) (bool, string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed[fault+member], "asked", nil
}

// TestRunRollingChange: all members are changed, one after the other, and back.
func TestRunRollingChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		s := schedule(3, Step{At: seconds(1), Fault: "upgrade", Variant: "rolling", Targets: []string{"n2", "n3", "n1"}, Duration: seconds(9)})
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 1 || !outcomes[0].Effective || !outcomes[0].Healed || outcomes[0].Err != nil {
			t.Fatalf("%+v, %v", outcomes, err)
		}
		once := "stop n2, restart n2, stop n3, restart n3, stop n1, restart n1"
		if got := strings.Join(e.history, ", "); got != once+", "+once {
			t.Errorf("changes: %s", got)
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
	})
}

// TestChangeNotEffective: a restart without the change is no fault, and is healed.
func TestChangeNotEffective(t *testing.T) {
	for _, fault := range changeFaults {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnsemble(3), &transcript{}
			e.deaf = true
			s := schedule(3, Step{Fault: fault.Name(), Variant: "one", Targets: []string{"n3"}, Duration: seconds(1)})
			outcomes, err := Run(t.Context(), s, e, r)
			if err != nil || len(outcomes) != 1 || outcomes[0].Effective || !strings.Contains(outcomes[0].Err.Error(), "has the change: false, want true") {
				t.Errorf("%s: %+v, %v", fault.Name(), outcomes, err)
			}
			if err := e.untouched(); err != nil {
				t.Error(err)
			}
		})
	}
}
