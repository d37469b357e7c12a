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

// Part is what a member is in the ensemble.
type Part string

// The parts of a member. One that is Absent is not in the membership; its process
// may run all the same.
const (
	Participant Part = "participant"
	Observer    Part = "observer"
	Absent      Part = "absent"
)

// Membership is the ensemble's membership as a member shows it to clients.
type Membership struct {
	Version int64           // rises with every reconfiguration
	Parts   map[string]Part // by member; a member that isn't there is Absent
}

// has reports whether members have these parts.
func (m Membership) has(parts map[string]Part) bool {
	for member, want := range parts {
		part, present := m.Parts[member]
		if !present {
			part = Absent
		}
		if part != want {
			return false
		}
	}
	return true
}

// Reconfigurer changes who belongs to the ensemble, as a client of it.
type Reconfigurer interface {
	// Membership asks one member.
	Membership(ctx context.Context, member string) (Membership, error)
	// Reconfigure gives members their parts if the membership still has that
	// version; all others keep theirs. An error may leave open whether it was done.
	Reconfigure(ctx context.Context, version int64, parts map[string]Part) error
	// Readmit gives a member whose process is down a configuration to start with
	// that has it in the ensemble: a server that is not in its own refuses to start.
	Readmit(ctx context.Context, member string) error
	// Serves reports whether a member says that it leads, follows or observes.
	Serves(ctx context.Context, member string) bool
}

// reconfigFault takes its targets out of the ensemble, or makes them observers,
// while their processes run on, and makes them participants again. At most a
// minority is out at a time: there is one such step at a time.
//
// Variants: one, leader, follower, minority (all of them leave), observer (one
// stays, without a vote), observer-leader.
type reconfigFault struct{ kind }

var reconfigFaults = []Fault{
	reconfigFault{kind{"reconfig", "takes members out of the ensemble, or their votes, by a client's reconfiguration, and back"}},
}

func (f reconfigFault) Variants(members int) []string {
	if members < 3 {
		return nil
	}
	return []string{"one", "leader", "follower", "minority", "observer", "observer-leader"}
}

func (f reconfigFault) Targets(rng *rand.Rand, variant string, members []string) []string {
	if variant == "observer-leader" {
		variant = "leader"
	}
	return memberTargets(rng, variant, members)
}

func (f reconfigFault) available(ctx context.Context, injector Injector, variant string) error {
	if _, can := injector.(Reconfigurer); !can {
		return Unavailable(f.name, "the cluster driver can't reconfigure the ensemble")
	}
	return f.kind.available(ctx, injector, variant)
}

// inject and heal only say what is wanted. A reconfiguration needs a quorum, which
// another fault may have taken, and to wait for one under the lock of changes
// would keep that fault from its heal. So it is check that asks for it, until it is
// in force.
func (f reconfigFault) inject(_ context.Context, w *world, s activeStep) error {
	part := Absent
	if strings.HasPrefix(s.step.Variant, "observer") {
		part = Observer
	}
	for _, member := range s.targets {
		w.mayEnd(member, s.id, part == Absent)
	}
	w.want(s.targets, part)
	return nil
}

func (f reconfigFault) heal(_ context.Context, w *world, s activeStep) error {
	w.want(s.targets, Participant)
	return nil
}

// readTimeout bounds the question for one member's membership, and changeTimeout
// a reconfiguration.
const (
	readTimeout   = 2 * time.Second
	changeTimeout = 5 * time.Second
)

// check wants all members that are in service to show the membership that is wanted,
// with a version that has risen. Those that another fault holds or cuts off need not.
func (f reconfigFault) check(ctx context.Context, w *world, s activeStep) (string, error) {
	r := w.injector.(Reconfigurer)
	parts, first := w.wantedParts()
	back := parts[s.targets[0]] == Participant
	if back {
		if err := f.readmit(ctx, w, s); err != nil {
			return "", err
		}
	}
	shown, errs := f.ask(ctx, w, parts)
	newest := Membership{Version: -1}
	for _, membership := range shown {
		if membership.Version > newest.Version {
			newest = membership
		}
	}
	switch {
	case len(shown) == 0:
		return "", fmt.Errorf("no member shows its membership: %w", errors.Join(errs...))
	case first == nil:
		w.found(newest)
		first = &newest
	}
	if !newest.has(parts) {
		ctx, cancel := ClockOf(w.injector).WithTimeout(ctx, changeTimeout)
		defer cancel()
		if err := r.Reconfigure(ctx, newest.Version, parts); err != nil {
			return "", fmt.Errorf("membership %x is not yet %v: %w", newest.Version, parts, err)
		}
		return "", fmt.Errorf("nobody has yet shown the membership after %x", newest.Version)
	}
	for member, membership := range shown {
		if !membership.has(parts) {
			errs = append(errs, fmt.Errorf("%s still shows membership %x", member, membership.Version))
		}
	}
	if !first.has(parts) && newest.Version <= first.Version {
		errs = append(errs, fmt.Errorf("version %x of the membership has not risen from %x", newest.Version, first.Version))
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	if back {
		if err := f.follow(ctx, w, s); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d members show membership %x, it was %x: %v", len(shown), newest.Version, first.Version, parts), nil
}

// ask reads the memberships of all members but those that left. An error is
// that of a member that nothing keeps from answering.
func (f reconfigFault) ask(ctx context.Context, w *world, parts map[string]Part) (shown map[string]Membership, errs []error) {
	ctx, cancel := ClockOf(w.injector).WithTimeout(ctx, readTimeout)
	defer cancel()
	witnesses := slices.DeleteFunc(slices.Clone(w.members), func(member string) bool {
		return parts[member] == Absent || w.wanted(member) != Running
	})
	var mu sync.Mutex
	shown = make(map[string]Membership)
	_ = w.eachMember(witnesses, func(member string) error {
		membership, err := w.injector.(Reconfigurer).Membership(ctx, member)
		mu.Lock()
		defer mu.Unlock()
		switch cut := w.cutOff(member); {
		case err == nil && (!cut || membership.has(parts)):
			shown[member] = membership
		case err != nil && !cut:
			errs = append(errs, fmt.Errorf("%s: %w", member, err))
		}
		return nil
	})
	return shown, errs
}

// readmit starts targets again whose processes have ended because they were not in
// the ensemble, and lets those start that another fault holds down.
func (f reconfigFault) readmit(ctx context.Context, w *world, s activeStep) error {
	if !w.change.TryLock() {
		return errors.New("another change is being made")
	}
	defer w.change.Unlock()
	return w.eachMember(s.targets, func(member string) error {
		status, err := w.injector.Status(ctx, member)
		if err != nil || status.State != Down {
			return err
		}
		if err := w.injector.(Reconfigurer).Readmit(ctx, member); err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
		return w.reconcile(ctx, member)
	})
}

// follow wants the targets to serve again, unless another fault keeps them from it.
// From then on their processes may not end by themselves.
func (f reconfigFault) follow(ctx context.Context, w *world, s activeStep) error {
	for _, member := range s.targets {
		held := w.wanted(member) != Running || w.cutOff(member)
		if !held && !w.injector.(Reconfigurer).Serves(ctx, member) {
			return fmt.Errorf("%s is a participant again, but neither leads nor follows", member)
		}
	}
	for _, member := range s.targets {
		w.mayEnd(member, s.id, false)
	}
	return nil
}

func (f reconfigFault) serial() {}
