package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
)

// processFault holds the processes of its targets in a state for a while: kill
// (SIGKILL, then restart) and pause (freeze, then thaw).
//
// Variants: one (any member), leader, minority (as many as may be missing),
// majority (as few as cost the quorum), all. Targets are the members hit.
type processFault struct {
	name  string
	holds ProcessState
}

func (f processFault) Name() string { return f.name }

func (f processFault) Variants(members int) []string {
	switch {
	case members < 1:
		return nil
	case members < 3:
		return []string{"one", "leader", "all"}
	}
	return []string{"one", "leader", "minority", "majority", "all"}
}

func (f processFault) Targets(rng *rand.Rand, variant string, members []string) []string {
	switch variant {
	case "leader":
		return []string{RoleLeader}
	case "minority":
		return pick(rng, members, minority(len(members)))
	case "majority":
		return pick(rng, members, len(members)-minority(len(members)))
	case "all":
		return append([]string(nil), members...)
	}
	return pick(rng, members, 1)
}

func (f processFault) inject(ctx context.Context, w *world, s activeStep) error {
	for _, member := range s.targets {
		w.hold(member, s.id, f.holds)
	}
	return w.eachMember(s.targets, func(member string) error { return w.reconcile(ctx, member) })
}

func (f processFault) heal(ctx context.Context, w *world, s activeStep) error {
	for _, member := range s.targets {
		w.release(member, s.id)
	}
	return w.eachMember(s.targets, func(member string) error { return w.reconcile(ctx, member) })
}

// check wants each target in the state that the active faults ask for, and its
// client port to answer exactly if that state is Running.
func (f processFault) check(ctx context.Context, w *world, s activeStep) (string, error) {
	var mu sync.Mutex
	var seen []string
	err := w.eachMember(s.targets, func(member string) error {
		want := w.wanted(member)
		status, err := w.injector.Status(ctx, member)
		if err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
		if status.State != want {
			return fmt.Errorf("%s is %s (%s), want %s", member, status.State, status.Detail, want)
		}
		answers := w.injector.Answers(ctx, member)
		if answers != (want == Running) {
			return fmt.Errorf("%s is %s, answers on its client port: %v", member, want, answers)
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %s, answers: %v", member, want, answers))
		return nil
	})
	slices.Sort(seen)
	return strings.Join(seen, "; "), err
}

// eachMember calls f for all members at the same time and joins the errors.
func (w *world) eachMember(members []string, f func(member string) error) error {
	errs := make([]error, len(members))
	tasks := make([]func(), len(members))
	for i, member := range members {
		tasks[i] = func() { errs[i] = f(member) }
	}
	Together(ClockOf(w.injector), tasks...)
	return errors.Join(errs...)
}
