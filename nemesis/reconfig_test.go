package nemesis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// enrolment is a model of an ensemble whose membership changes. A member that is
// restarted while it is out ends at once, as a server does that is not in its own
// configuration.
type enrolment struct {
	*ensemble
	membership Membership
	readmitted map[string]bool
	changes    []string
	// unchanging lets reconfigurations be acknowledged and not done.
	unchanging bool
	// most is how many members had no vote at the same time.
	most int
}

func newEnrolment(n int) *enrolment {
	e := &enrolment{ensemble: newEnsemble(n), membership: Membership{Version: 7, Parts: make(map[string]Part)}, readmitted: make(map[string]bool)}
	for _, m := range members(n) {
		e.membership.Parts[m] = Participant
	}
	return e
}

func (e *enrolment) Membership(_ context.Context, member string) (Membership, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.states[member] != Running {
		return Membership{}, errors.New("no answer")
	}
	return Membership{Version: e.membership.Version, Parts: maps.Clone(e.membership.Parts)}, nil
}

func (e *enrolment) Reconfigure(_ context.Context, version int64, parts map[string]Part) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	running := 0
	for member, part := range e.membership.Parts {
		if part == Participant && e.states[member] == Running {
			running++
		}
	}
	if running <= len(e.states)/2 {
		return errors.New("no quorum")
	}
	if version != e.membership.Version {
		return errors.New("bad version")
	}
	if e.unchanging {
		return nil
	}
	for _, member := range slices.Sorted(maps.Keys(parts)) {
		e.membership.Parts[member] = parts[member]
		if parts[member] == Absent {
			delete(e.membership.Parts, member)
		}
		e.changes = append(e.changes, member+" "+string(parts[member]))
	}
	e.membership.Version++
	voters := 0
	for _, part := range e.membership.Parts {
		if part == Participant {
			voters++
		}
	}
	e.most = max(e.most, len(e.states)-voters)
	return nil
}

func (e *enrolment) Readmit(_ context.Context, member string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readmitted[member] = true
	return nil
}

func (e *enrolment) Restart(ctx context.Context, member string) error {
	err := e.ensemble.Restart(ctx, member)
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, in := e.membership.Parts[member]; !in && !e.readmitted[member] {
		e.states[member] = Down
	}
	return err
}

// healed wants all outcomes proved and all members to be participants.
func (e *enrolment) healed(t *testing.T, outcomes []Outcome, steps int) {
	t.Helper()
	if len(outcomes) != steps {
		t.Errorf("%d outcomes, want %d", len(outcomes), steps)
	}
	allProved(t, outcomes)
	for member := range e.states {
		if e.membership.Parts[member] != Participant {
			t.Errorf("%s is left %q", member, e.membership.Parts[member])
		}
	}
	if err := e.untouched(); err != nil {
		t.Error(err)
	}
}

// TestRunReconfig: members leave and come back, and lose their votes and get them
// back. A step waits for the one before it, so that a majority keeps its votes.
func TestRunReconfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnrolment(5), &transcript{}
		outcomes, err := Run(t.Context(), schedule(5,
			Step{At: seconds(1), Fault: "reconfig", Variant: "minority", Targets: []string{"n3", "n2"}, Duration: seconds(5)},
			Step{At: seconds(2), Fault: "reconfig", Variant: "leader", Targets: []string{RoleLeader}, Duration: seconds(5)},
			Step{At: seconds(3), Fault: "reconfig", Variant: "observer", Targets: []string{"n5"}, Duration: seconds(5)},
		), e, r)
		if err != nil {
			t.Fatal(err)
		}
		e.healed(t, outcomes, 3)
		want := "n2 absent, n3 absent, n2 participant, n3 participant, n1 absent, n1 participant, n5 observer, n5 participant"
		if got := strings.Join(e.changes, ", "); got != want || e.most != 2 {
			t.Errorf("changes %s; %d without a vote at a time", got, e.most)
		}
	})
}

// TestReconfigAmongOtherFaults: a member that is killed while it is out can't start
// again by itself, which is no crash; it is started when it comes back, or when the
// kill is over, whichever is later. Without a quorum a reconfiguration waits.
func TestReconfigAmongOtherFaults(t *testing.T) {
	for _, killed := range []float64{2, 6} {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnrolment(5), &transcript{}
			outcomes, err := Run(t.Context(), schedule(5,
				Step{At: seconds(1), Fault: "reconfig", Variant: "one", Targets: []string{"n2"}, Duration: seconds(5)},
				Step{At: seconds(2), Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(killed)},
				Step{At: seconds(3), Fault: "partition", Variant: "one", Targets: []string{"n2"}, Duration: seconds(9)},
				Step{At: seconds(20), Fault: "kill", Variant: "majority", Targets: []string{"n1", "n2", "n3"}, Duration: seconds(6)},
				Step{At: seconds(22), Fault: "reconfig", Variant: "observer", Targets: []string{"n2"}, Duration: seconds(3)},
			), e, r)
			if err != nil {
				t.Fatal(err)
			}
			e.healed(t, outcomes, 5)
			if at := outcomes[1].HealedAt; killed == 2 && at >= seconds(6) {
				t.Errorf("the kill's heal took until %s for a member that can't start", at)
			}
			if at := outcomes[0].HealedAt; at > seconds(15) {
				t.Errorf("the member was back at %s, not when the partition was healed", at)
			}
			if at := outcomes[4].EffectiveAt; at < seconds(26) {
				t.Errorf("reconfigured at %s, without a quorum", at)
			}
		})
	}
}

// TestCrashAfterReconfig: a member that is long back and ends by itself has crashed.
func TestCrashAfterReconfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnrolment(3), &transcript{}
		time.AfterFunc(seconds(6), func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.states["n2"] = Down
		})
		outcomes, err := Run(t.Context(), schedule(3,
			Step{At: seconds(1), Fault: "reconfig", Variant: "one", Targets: []string{"n2"}, Duration: seconds(2)},
			Step{At: seconds(9), Fault: "pause", Variant: "one", Targets: []string{"n2"}, Duration: seconds(1)},
		), e, r)
		if err != nil || len(outcomes) != 2 || !outcomes[0].Healed || !errors.Is(outcomes[1].Err, ErrCrashed) {
			t.Errorf("%+v, %v", outcomes, err)
		}
	})
}

// TestReconfigNotEffective: a reconfiguration that changes nothing is no fault.
func TestReconfigNotEffective(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnrolment(3), &transcript{}
		e.unchanging = true
		outcomes, err := Run(t.Context(), schedule(3, Step{Fault: "reconfig", Variant: "one", Targets: []string{"n3"}, Duration: seconds(1)}), e, r)
		if err != nil || len(outcomes) != 1 || outcomes[0].Effective || !outcomes[0].Healed || !strings.Contains(outcomes[0].Err.Error(), "not proved") {
			t.Errorf("%+v, %v", outcomes, err)
		}
	})
}
