package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"time"
)

// processFault holds the processes of its targets in a state for a while: kill
// (SIGKILL, then restart), stop (SIGTERM, then restart) and pause (freeze, then
// thaw).
//
// Variants: one (any member), leader, follower, minority (as many as may be
// missing), majority (as few as cost the quorum), all, rolling (all, one after
// the other, each back before the next). Targets are the members hit.
type processFault struct {
	kind
	holds hold
}

func (f processFault) Variants(members int) []string {
	switch {
	case members < 1:
		return nil
	case members < 2:
		return []string{"one", "leader", "all"}
	case members < 3:
		return []string{"one", "leader", "all", "rolling", "follower"}
	}
	return []string{"one", "leader", "minority", "majority", "all", "rolling", "follower"}
}

func (f processFault) Targets(rng *rand.Rand, variant string, members []string) []string {
	switch variant {
	case "majority":
		return pick(rng, members, len(members)-minority(len(members)))
	case "all":
		return slices.Clone(members)
	case "rolling":
		return pick(rng, members, len(members))
	}
	return memberTargets(rng, variant, members)
}

// memberTargets draws the targets of the variants that many faults have: one,
// leader, follower, minority.
func memberTargets(rng *rand.Rand, variant string, members []string) []string {
	switch variant {
	case "leader":
		return []string{RoleLeader}
	case "follower":
		return []string{RoleFollower}
	case "minority":
		return pick(rng, members, minority(len(members)))
	}
	return pick(rng, members, 1)
}

func (f processFault) available(ctx context.Context, injector Injector, variant string) error {
	if _, can := injector.(Terminator); f.holds.graceful && !can {
		return Unavailable(f.name, "the cluster driver can't end a process gently")
	}
	return f.kind.available(ctx, injector, variant)
}

func (f processFault) inject(ctx context.Context, w *world, s activeStep) error {
	targets := s.targets
	if s.step.Variant == "rolling" {
		targets = targets[:1]
	}
	return f.take(ctx, w, s.id, targets)
}

// take and giveBack change what the step with this id holds.
func (f processFault) take(ctx context.Context, w *world, id string, members []string) error {
	for _, member := range members {
		w.hold(member, id, f.holds)
	}
	return w.eachMember(members, func(member string) error { return w.reconcile(ctx, member) })
}

func (f processFault) giveBack(ctx context.Context, w *world, id string, members []string) error {
	for _, member := range members {
		w.release(member, id)
	}
	return w.eachMember(members, func(member string) error { return w.reconcile(ctx, member) })
}

// act takes the members of a rolling fault in turns. Every return is proved
// before the next member is taken, and all of them get their turn, however long
// that lasts.
func (f processFault) act(ctx context.Context, e *executor, s activeStep, until time.Duration) (string, error) {
	if s.step.Variant != "rolling" {
		_ = e.sleepUntil(ctx, until) // the heal follows also when ctx ends
		return "", nil
	}
	begin := e.elapsed()
	turn := (until - begin) / time.Duration(len(s.targets))
	for i := range s.targets {
		if e.sleepUntil(ctx, begin+turn*time.Duration(i+1)) != nil {
			return fmt.Sprintf("cut short after %d members", i+1), nil
		}
		if i+1 == len(s.targets) {
			break
		}
		err := e.change(ctx, func(ctx context.Context) error { return f.giveBack(ctx, e.world, s.id, s.targets[i:i+1]) })
		if err == nil {
			_, err = e.prove(ctx, f, s, healTimeout)
		}
		if err != nil {
			return "", fmt.Errorf("return of %s: %w", s.targets[i], err)
		}
		err = e.change(ctx, func(ctx context.Context) error { return f.take(ctx, e.world, s.id, s.targets[i+1:i+2]) })
		if err == nil {
			_, err = e.prove(ctx, f, s, effectiveTimeout)
		}
		if err != nil {
			return "", fmt.Errorf("turn of %s: %w", s.targets[i+1], err)
		}
	}
	return fmt.Sprintf("%d members had their turn", len(s.targets)), nil
}

func (f processFault) heal(ctx context.Context, w *world, s activeStep) error {
	return f.giveBack(ctx, w, s.id, s.targets)
}

// check looks at each target.
func (f processFault) check(ctx context.Context, w *world, s activeStep) (string, error) {
	var mu sync.Mutex
	var seen []string
	err := w.eachMember(s.targets, func(member string) error {
		state, err := w.checkProcess(ctx, member, s.id)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, state)
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
