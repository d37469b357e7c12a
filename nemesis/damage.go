package nemesis

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"time"
)

// Damager damages the files of members whose process is down.
type Damager interface {
	// Damage does to the member's data what the fault of that name does, and says
	// what it did after having looked.
	Damage(ctx context.Context, member, fault string) (string, error)
	// Serves reports whether a member says that it leads or follows.
	Serves(ctx context.Context, member string) bool
}

// dataLost is the fault after which a member has nothing; it is also what an
// operator does with a member that refuses its damaged data.
const dataLost = "data-lost"

// damageFault kills its targets, damages their data, and starts them again.
//
// It is a fair test, though the targets may forget what they have acknowledged,
// because of three rules. At most f of 2f+1 members are damaged, say k. They come
// back only when an undamaged member leads: an acknowledged transaction was on f+1
// members, so that at least f+1-k undamaged ones have it, and the quorum of f+1
// among the 2f+1-k undamaged that elected the leader must hold one of them. And no
// other fault is in effect meanwhile (solitary), so that this leader stays until
// the damaged members have everything again from it.
//
// A server may take a torn tail for the end of its log, or refuse to start with
// damaged data and say so. Then the lab does what an operator would: it removes
// the data, and the server gets everything from the leader.
type damageFault struct{ kind }

var damageFaults = []Fault{
	damageFault{kind{"log-truncated", "cuts off the end of the newest log of killed members"}},
	damageFault{kind{"log-corrupted", "flips a byte in the newest log of killed members"}},
	damageFault{kind{"snapshot-truncated", "cuts off the end of the newest snapshot of killed members"}},
	damageFault{kind{"snapshot-corrupted", "flips a byte in the newest snapshot of killed members"}},
	damageFault{kind{dataLost, "removes all data of killed members"}},
}

func (f damageFault) solitary() {}

func (f damageFault) Variants(members int) []string { return minorityVariants(members) }

func (f damageFault) Targets(rng *rand.Rand, variant string, members []string) []string {
	return memberTargets(rng, variant, members)
}

func (f damageFault) available(ctx context.Context, injector Injector, variant string) error {
	if _, can := injector.(Damager); !can {
		return Unavailable(f.name, "the cluster driver can't damage data")
	}
	return f.kind.available(ctx, injector, variant)
}

func (f damageFault) inject(ctx context.Context, w *world, s activeStep) error {
	return w.eachMember(s.targets, func(member string) error {
		w.hold(member, s.id, hold{state: Down})
		if err := w.reconcile(ctx, member); err != nil {
			return err
		}
		done, err := w.injector.(Damager).Damage(ctx, member, f.name)
		if err == nil {
			w.note(s.id, member, done)
		}
		return err
	})
}

// Times that a heal waits for. The lock on changes is held, but the step is alone.
const (
	damageLeader = 15 * time.Second // for an undamaged member to lead
	damageServes = 10 * time.Second // for a restarted member to serve, or to end
)

func (f damageFault) heal(ctx context.Context, w *world, s activeStep) error {
	err := w.await(ctx, damageLeader, func() error {
		leader, err := w.injector.Leader(ctx)
		if err == nil && slices.Contains(s.targets, leader) {
			err = fmt.Errorf("%s still counts as leader", leader)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("no undamaged member leads: %w", err)
	}
	return w.eachMember(s.targets, func(member string) error {
		w.mayEnd(member, s.id, true)
		defer w.mayEnd(member, s.id, false)
		w.release(member, s.id)
		if err := w.reconcile(ctx, member); err != nil {
			return err
		}
		return f.replace(ctx, w, s, member)
	})
}

// replace removes the data of a member that refuses to start with it.
func (f damageFault) replace(ctx context.Context, w *world, s activeStep, member string) error {
	var status Status
	err := w.await(ctx, damageServes, func() (err error) {
		if w.injector.(Damager).Serves(ctx, member) {
			return nil
		}
		if status, err = w.injector.Status(ctx, member); err == nil && status.State != Down {
			err = fmt.Errorf("%s neither serves nor ends", member)
		}
		return err
	})
	if err != nil || status.State != Down {
		return err
	}
	done, err := w.injector.(Damager).Damage(ctx, member, dataLost)
	if err != nil {
		return err
	}
	w.note(s.id, member, fmt.Sprintf("it refused to start (%s); %s", status.Detail, done))
	return w.reconcile(ctx, member)
}

// check wants the targets down while the fault is in effect, and serving after.
func (f damageFault) check(ctx context.Context, w *world, s activeStep) (string, error) {
	var mu sync.Mutex
	var seen []string
	err := w.eachMember(s.targets, func(member string) error {
		text, err := w.checkProcess(ctx, member, s.id)
		if err != nil {
			return err
		}
		if w.wanted(member) == Running && !w.injector.(Damager).Serves(ctx, member) {
			return fmt.Errorf("%s neither leads nor follows", member)
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, text+"; "+w.noteOf(s.id, member))
		return nil
	})
	slices.Sort(seen)
	return strings.Join(seen, "; "), err
}
