package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ensemble is a model of a cluster: an Injector whose members are states and
// whose links are a set of blocks. It is run in fake time.
type ensemble struct {
	mu     sync.Mutex
	states map[string]ProcessState
	blocks map[string][]Link
	shapes shapes
	disks  map[string]DiskState
	limits map[string]Limits
	// changed has the faults and members that Change has changed.
	changed map[string]bool
	leader  string
	healed  int

	pressure Pressure
	// diesOfDisk lets processes end when their disk can't be written.
	diesOfDisk bool
	// diesLate lets one end so long after its disk is in order again.
	diesLate time.Duration
	// refuses lets the next process end at its start.
	refuses bool
	// blocked counts calls of Block.
	blocked int

	// deaf makes Block do nothing, as a rule that never matches would.
	deaf bool
	// partitionErr is what Block returns.
	partitionErr error
	// unblockErrs is how often Unblock will fail.
	unblockErrs int
	// history has every change, for tests of order.
	history []string
}

func newEnsemble(n int) *ensemble {
	e := &ensemble{states: make(map[string]ProcessState), blocks: make(map[string][]Link), shapes: make(shapes), disks: make(map[string]DiskState), limits: make(map[string]Limits), changed: make(map[string]bool), leader: "n1"}
	for _, m := range members(n) {
		e.states[m] = Running
	}
	return e
}

func (e *ensemble) set(member, verb string, from []ProcessState, to ProcessState) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Contains(from, e.states[member]) {
		return fmt.Errorf("%s of %s, which is %s", verb, member, e.states[member])
	}
	e.states[member] = to
	e.history = append(e.history, verb+" "+member)
	return nil
}

func (e *ensemble) Leader(context.Context) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leader == "" {
		return "", errors.New("no leader")
	}
	return e.leader, nil
}

func (e *ensemble) Kill(_ context.Context, m string) error {
	return e.set(m, "kill", []ProcessState{Running, Paused}, Down)
}

func (e *ensemble) Terminate(_ context.Context, m string) error {
	return e.set(m, "stop", []ProcessState{Running}, Down)
}

func (e *ensemble) Restart(_ context.Context, m string) error {
	err := e.set(m, "restart", []ProcessState{Down}, Running)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuses {
		e.states[m], e.refuses = Down, false
	}
	return err
}

func (e *ensemble) Pause(_ context.Context, m string) error {
	return e.set(m, "pause", []ProcessState{Running}, Paused)
}

func (e *ensemble) Resume(_ context.Context, m string) error {
	return e.set(m, "resume", []ProcessState{Paused}, Running)
}

func (e *ensemble) Status(_ context.Context, m string) (Status, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Status{State: e.states[m]}, nil
}

func (e *ensemble) Answers(_ context.Context, m string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.states[m] == Running
}

func (e *ensemble) Block(_ context.Context, id string, links []Link) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.deaf {
		e.blocks[id] = links
		e.blocked++
	}
	return e.partitionErr
}

func (e *ensemble) Unblock(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unblockErrs > 0 {
		e.unblockErrs--
		return errors.New("unblock failed")
	}
	delete(e.blocks, id)
	return nil
}

func (e *ensemble) Probe(ctx context.Context, links []Link) (map[Link]LinkState, error) {
	time.Sleep(300 * time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	blocked := make(map[Link]bool)
	for _, links := range e.blocks {
		for _, link := range links {
			blocked[link] = true
		}
	}
	out := make(map[Link]LinkState)
	for _, link := range links {
		out[link] = LinkState{Passed: !blocked[link], Dropped: blocked[link]}
	}
	return out, ctx.Err()
}

func (e *ensemble) HealAll(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.healed++
	return ctx.Err()
}

// untouched is an error unless everything runs and every link passes.
func (e *ensemble) untouched() error {
	for member, state := range e.states {
		if state != Running {
			return fmt.Errorf("%s is %s", member, state)
		}
	}
	if len(e.blocks) > 0 {
		return fmt.Errorf("blocks are left: %v", e.blocks)
	}
	for member, state := range e.disks {
		if state != (DiskState{}) {
			return fmt.Errorf("the disk of %s is left %+v", member, state)
		}
	}
	for member, limits := range e.limits {
		if limits != (Limits{}) {
			return fmt.Errorf("%s is left with %+v", member, limits)
		}
	}
	for what, changed := range e.changed {
		if changed {
			return fmt.Errorf("%s is left changed", what)
		}
	}
	if len(e.shapes) > 0 {
		return fmt.Errorf("shapes are left: %v", e.shapes)
	}
	if e.healed != 1 {
		return fmt.Errorf("healed all %d times, want once", e.healed)
	}
	return nil
}

type transcript struct {
	mu     sync.Mutex
	events []Event
}

func (r *transcript) RecordNemesis(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// phases lists the phases of one step, with "!" for those with an error.
func (r *transcript) phases(index int) string {
	var out []string
	for _, e := range r.events {
		if e.Index != index {
			continue
		}
		phase := string(e.Phase)
		if e.Err != nil {
			phase += "!"
		}
		out = append(out, phase)
	}
	return strings.Join(out, " ")
}

func schedule(n int, steps ...Step) Schedule {
	return Schedule{Members: members(n), Total: time.Minute, Steps: steps}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func TestRunPlannedSchedules(t *testing.T) {
	for seed := range int64(20) {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnrolment(5), &transcript{}
			s := mustPlan(t, seed, Kinds(), 5, time.Minute)
			begin := time.Now()
			outcomes, err := Run(t.Context(), s, e, r)
			if err != nil || len(outcomes) != len(s.Steps) {
				t.Fatalf("seed %d: %d outcomes of %d, %v", seed, len(outcomes), len(s.Steps), err)
			}
			for i, o := range outcomes {
				if o.Err != nil || !o.Effective || !o.Healed || o.HealedAt < o.HealAt || o.HealAt < o.EffectiveAt || o.EffectiveAt < o.StartAt {
					t.Errorf("seed %d: step %d: %+v", seed, i, o)
				}
				if got := r.phases(i); got != "start effective heal healed" {
					t.Errorf("seed %d: step %d: phases %q", seed, i, got)
				}
			}
			if took := time.Since(begin); took != time.Minute {
				t.Errorf("seed %d: took %s, want the schedule's total", seed, took)
			}
			if err := e.untouched(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}

// TestRunOverlap holds one member by three overlapping steps: none may undo
// what another still wants.
func TestRunOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		s := schedule(3,
			Step{At: seconds(1), Fault: "pause", Variant: "one", Targets: []string{"n2"}, Duration: seconds(9)},
			Step{At: seconds(2), Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(2)},
			Step{At: seconds(3), Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(4)},
		)
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if o.Err != nil || !o.Effective {
				t.Errorf("%+v", o)
			}
		}
		want := "pause n2, kill n2, restart n2, pause n2, resume n2"
		if got := strings.Join(e.history, ", "); got != want {
			t.Errorf("changes: %s\nwant:    %s", got, want)
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
	})
}

// TestRunGraceful stops a member that a pause holds, and lets a kill take over.
func TestRunGraceful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		s := schedule(3,
			Step{At: seconds(1), Fault: "pause", Variant: "one", Targets: []string{"n2"}, Duration: seconds(9)},
			Step{At: seconds(2), Fault: "stop", Variant: "one", Targets: []string{"n2"}, Duration: seconds(2)},
			Step{At: seconds(3), Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(4)},
		)
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 3 {
			t.Fatalf("%+v, %v", outcomes, err)
		}
		want := "pause n2, resume n2, stop n2, restart n2, pause n2, resume n2"
		if got := strings.Join(e.history, ", "); got != want {
			t.Errorf("changes: %s\nwant:    %s", got, want)
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
	})
}

// TestRunRolling: all members get their turn, no two at the same time.
func TestRunRolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		s := schedule(3, Step{At: seconds(1), Fault: "stop", Variant: "rolling", Targets: []string{"n2", "n3", "n1"}, Duration: seconds(9)})
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 1 || !outcomes[0].Effective || outcomes[0].Err != nil {
			t.Fatalf("%+v, %v", outcomes, err)
		}
		want := "stop n2, restart n2, stop n3, restart n3, stop n1, restart n1"
		if got := strings.Join(e.history, ", "); got != want {
			t.Errorf("changes: %s\nwant:    %s", got, want)
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
	})
}

// TestRunFlapping: the links are cut and passable in turns, and passable at the
// end, whichever turn it was.
func TestRunFlapping(t *testing.T) {
	for _, duration := range []float64{5, 6} {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnsemble(5), &transcript{}
			s := schedule(5, Step{Fault: "partition", Variant: "flapping", Targets: []string{"n2", "n3"}, Params: map[string]int{"periodMs": 700}, Duration: seconds(duration)})
			outcomes, err := Run(t.Context(), s, e, r)
			if err != nil || len(outcomes) != 1 || !outcomes[0].Effective || outcomes[0].Err != nil {
				t.Fatalf("%+v, %v", outcomes, err)
			}
			if e.blocked < 3 {
				t.Errorf("the links were cut %d times, want several", e.blocked)
			}
			if err := e.untouched(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRunFollower: the role is somebody who doesn't lead.
func TestRunFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		var steps []Step
		for i := range 6 {
			steps = append(steps, Step{At: seconds(float64(3 * i)), Fault: "pause", Variant: "follower", Targets: []string{RoleFollower}, Duration: seconds(1)})
		}
		outcomes, err := Run(t.Context(), schedule(3, steps...), e, r)
		if err != nil || len(outcomes) != len(steps) {
			t.Fatalf("%+v, %v", outcomes, err)
		}
		taken := make(map[string]bool)
		for _, o := range outcomes {
			taken[o.Targets[0]] = true
		}
		if len(taken) != 2 || taken["n1"] {
			t.Errorf("took %v, want both followers and never the leader", taken)
		}
	})
}

// TestRunCancel ends the context while faults are in effect.
func TestRunCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(5), &transcript{}
		s := schedule(5,
			Step{At: seconds(1), Fault: "kill", Variant: "majority", Targets: []string{"n1", "n2", "n3"}, Duration: seconds(20)},
			Step{At: seconds(2), Fault: "partition", Variant: "one", Targets: []string{"n5"}, Duration: seconds(20)},
			Step{At: seconds(9), Fault: "pause", Variant: "one", Targets: []string{"n4"}, Duration: seconds(1)},
		)
		ctx, cancel := context.WithTimeout(t.Context(), seconds(5))
		defer cancel()
		begin := time.Now()
		outcomes, err := Run(ctx, s, e, r)
		if !errors.Is(err, context.DeadlineExceeded) || len(outcomes) != 2 {
			t.Fatalf("%d outcomes, error %v; want 2 and the context's", len(outcomes), err)
		}
		if took := time.Since(begin); took > seconds(7) {
			t.Errorf("ended %s after the start, want soon after 5 s", took)
		}
		for i := range outcomes {
			if got := r.phases(i); got != "start effective heal healed" {
				t.Errorf("step %d: phases %q", i, got)
			}
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
	})
}

// TestRunNotEffective: a fault that changes nothing must not pass for one, and
// is healed all the same.
func TestRunNotEffective(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		e.deaf = true
		s := schedule(3, Step{Fault: "partition", Variant: "one", Targets: []string{"n2"}, Duration: seconds(1)})
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 1 || outcomes[0].Effective || outcomes[0].Err == nil {
			t.Fatalf("%+v, %v", outcomes, err)
		}
		if got := r.phases(0); got != "start effective! heal healed" {
			t.Errorf("phases %q", got)
		}
	})
}

func TestRunUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		e.partitionErr = Unavailable("partition", "no iptables")
		s := schedule(3, Step{Fault: "partition", Variant: "one", Targets: []string{"n2"}, Duration: seconds(1)})
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 1 || !outcomes[0].Unavailable() || outcomes[0].Effective {
			t.Fatalf("%+v, %v", outcomes, err)
		}
		if text := outcomes[0].Err.Error(); !strings.Contains(text, "partition: no iptables") {
			t.Errorf("error %q does not name the fault", text)
		}
	})
}

// TestRunCrash: a process that ended by itself is not a kill.
func TestRunCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		e.states["n2"] = Down
		s := schedule(3, Step{Fault: "kill", Variant: "one", Targets: []string{"n2"}, Duration: seconds(1)})
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 1 || !errors.Is(outcomes[0].Err, ErrCrashed) || outcomes[0].Effective {
			t.Fatalf("%+v, %v", outcomes, err)
		}
	})
}

// TestRunCrashWhilePaused: a process that ends during a pause is started again,
// and reported.
func TestRunCrashWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		time.AfterFunc(seconds(2), func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.states["n2"] = Down
		})
		s := schedule(3, Step{Fault: "pause", Variant: "one", Targets: []string{"n2"}, Duration: seconds(4)})
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 1 || !errors.Is(outcomes[0].Err, ErrCrashed) || !outcomes[0].Effective {
			t.Fatalf("%+v, %v", outcomes, err)
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
	})
}

// TestRunHealAgain: a heal that fails once is tried again.
func TestRunHealAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		e.unblockErrs = 1
		s := schedule(3, Step{Fault: "partition", Variant: "one", Targets: []string{"n2"}, Duration: seconds(1)})
		outcomes, err := Run(t.Context(), s, e, r)
		if err != nil || len(outcomes) != 1 || outcomes[0].Err != nil || !outcomes[0].Healed {
			t.Fatalf("%+v, %v", outcomes, err)
		}
		if err := e.untouched(); err != nil {
			t.Error(err)
		}
	})
}

func TestRunLeader(t *testing.T) {
	for leader, want := range map[string]string{"n3": "n3", "": "n1"} {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnsemble(3), &transcript{}
			e.leader = leader
			s := schedule(3, Step{Fault: "pause", Variant: "leader", Targets: []string{RoleLeader}, Duration: seconds(1)})
			outcomes, err := Run(t.Context(), s, e, r)
			if err != nil || len(outcomes) != 1 || !slices.Equal(outcomes[0].Targets, []string{want}) || !outcomes[0].Effective {
				t.Errorf("leader %q: %+v, %v", leader, outcomes, err)
			}
			if detail := r.events[0].Detail; !strings.Contains(detail, want) {
				t.Errorf("leader %q: detail %q does not say who was taken", leader, detail)
			}
		})
	}
}

// runProved carries a schedule out: each step must be proved, and nothing of it stay.
func runProved(t *testing.T, s Schedule, e *ensemble) {
	t.Helper()
	outcomes, err := Run(t.Context(), s, e, &transcript{})
	if err != nil {
		t.Fatal(err)
	}
	allProved(t, outcomes)
	if err := e.untouched(); err != nil {
		t.Error(err)
	}
}

// allProved wants every fault to have been in effect, and every heal to have healed.
func allProved(t *testing.T, outcomes []Outcome) {
	t.Helper()
	for _, o := range outcomes {
		if o.Err != nil || !o.Effective || !o.Healed {
			t.Errorf("%+v", o)
		}
	}
}

// TestSlowEnd: a process that ends only after nobody waits for it any more was still told to.
func TestSlowEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := newEnsemble(3), &transcript{}
		s := schedule(3, Step{Fault: "stop", Variant: "one", Targets: []string{"n1"}, Duration: seconds(1)})
		outcomes, err := Run(t.Context(), s, slowEnd{e}, r)
		if err != nil || len(outcomes) != 1 || !outcomes[0].Healed || errors.Is(outcomes[0].Err, ErrCrashed) {
			t.Errorf("%+v, %v", outcomes, err)
		}
	})
}

// slowEnd takes longer to end a process than anybody waits.
type slowEnd struct{ *ensemble }

func (e slowEnd) Terminate(ctx context.Context, member string) error {
	<-ctx.Done()
	return errors.Join(ctx.Err(), e.ensemble.Terminate(ctx, member))
}
