package nemesis

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"time"
)

// Changer changes what members run.
type Changer interface {
	// Change prepares a member, whose process is down, for the fault of that name,
	// or takes it back.
	Change(ctx context.Context, member, fault string, changed bool) error
	// Changed reports whether the running process has the change, and what it saw.
	Changed(ctx context.Context, member, fault string) (bool, string, error)
	// Serves reports whether a member says that it leads or follows.
	Serves(ctx context.Context, member string) bool
}

// changeFault stops its targets gently, one after the other, and starts them
// with something changed, each serving before the next; the heal takes the change
// back in the same way. It is alone, as a person who does it would have it: what a
// member runs must not depend on which fault started it last.
//
// Variants: one, minority, rolling (all).
type changeFault struct{ kind }

var changeFaults = []Fault{
	changeFault{kind{"config", "restarts members with a changed zoo.cfg, one after the other, and back"}},
	changeFault{kind{"upgrade", "restarts members with another server (-image2, -binary2), one after the other, and back"}},
}

func (f changeFault) Variants(members int) []string {
	if members < 3 {
		return nil
	}
	return []string{"one", "minority", "rolling"}
}

func (f changeFault) Targets(rng *rand.Rand, variant string, members []string) []string {
	if variant == "rolling" {
		return pick(rng, members, len(members))
	}
	return memberTargets(rng, variant, members)
}

func (f changeFault) available(ctx context.Context, injector Injector, variant string) error {
	_, changes := injector.(Changer)
	if _, stops := injector.(Terminator); !changes || !stops {
		return Unavailable(f.name, "the cluster driver can't change what members run")
	}
	return f.kind.available(ctx, injector, variant)
}

// turn changes one member.
func (f changeFault) turn(ctx context.Context, w *world, s activeStep, member string, changed bool) error {
	w.hold(member, s.id, hold{state: Down, graceful: true})
	err := w.reconcile(ctx, member)
	if err == nil {
		err = w.injector.(Changer).Change(ctx, member, f.name, changed)
	}
	w.release(member, s.id)
	if err == nil {
		w.setChanged(member, s.id, changed)
		err = w.reconcile(ctx, member)
	}
	return err
}

func (f changeFault) inject(ctx context.Context, w *world, s activeStep) error {
	return f.turn(ctx, w, s, s.targets[0], true)
}

// act takes the other targets, all of them, however long that lasts.
func (f changeFault) act(ctx context.Context, e *executor, s activeStep, until time.Duration) (string, error) {
	turns := 1
	for _, member := range s.targets[1:] {
		if ctx.Err() != nil {
			break
		}
		err := e.change(ctx, func(ctx context.Context) error { return f.turn(ctx, e.world, s, member, true) })
		if err == nil {
			err = f.serves(ctx, e.world, member)
		}
		if err == nil {
			_, err = e.prove(ctx, f, s, healTimeout)
		}
		if err != nil {
			return "", fmt.Errorf("turn of %s: %w", member, err)
		}
		turns++
	}
	_ = e.sleepUntil(ctx, until) // the heal follows also when ctx ends
	return fmt.Sprintf("%d members had their turn", turns), nil
}

// serveTimeout bounds the time until a restarted member serves.
const serveTimeout = 20 * time.Second

func (f changeFault) serves(ctx context.Context, w *world, member string) error {
	return w.await(ctx, serveTimeout, func() error {
		if !w.injector.(Changer).Serves(ctx, member) {
			return fmt.Errorf("%s neither leads nor follows", member)
		}
		return nil
	})
}

func (f changeFault) heal(ctx context.Context, w *world, s activeStep) error {
	for _, member := range s.targets {
		if !w.isChanged(member, s.id) {
			continue
		}
		if err := f.turn(ctx, w, s, member, false); err != nil {
			return err
		}
		if err := f.serves(ctx, w, member); err != nil {
			return err
		}
	}
	return nil
}

// check asks every target whether it has the change, as far as its turn has come.
func (f changeFault) check(ctx context.Context, w *world, s activeStep) (string, error) {
	var seen []string
	for _, member := range s.targets {
		want := w.isChanged(member, s.id)
		changed, detail, err := w.injector.(Changer).Changed(ctx, member, f.name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", member, err)
		}
		if changed != want || !w.injector.Answers(ctx, member) {
			return "", fmt.Errorf("%s: %s, has the change: %v, want %v; answers: %v", member, detail, changed, want, w.injector.Answers(ctx, member))
		}
		seen = append(seen, fmt.Sprintf("%s: %s, changed: %v", member, detail, changed))
	}
	slices.Sort(seen)
	return strings.Join(seen, "; "), nil
}

func (f changeFault) solitary() {}
