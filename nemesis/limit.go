package nemesis

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
)

// Limits are what a member's process may use. The zero Limits are none.
type Limits struct {
	CPUPercent  int // of one processor
	HeadroomMiB int // memory, beyond what the process can't give back when the limit begins
}

// Pressure counts how often a member's process has met its limits, since it
// exists.
type Pressure struct {
	Throttled int // periods in which it had to wait for a processor
	Refused   int // requests for memory that met the limit
}

// Limiter limits processes.
type Limiter interface {
	// Limit replaces a member's limits. They stay when the process is restarted.
	Limit(ctx context.Context, member string, limits Limits) error
	Pressure(ctx context.Context, member string) (Pressure, error)
}

// limitFault limits the processes of its targets. One that gets no more memory
// may end, and is started again when the limit is gone.
type limitFault struct {
	kind
	param  Param
	limits func(value int) Limits
	// met picks what the limit is met by.
	met func(Pressure) int
	// each says that every target must be seen to meet its limit. Of those with little memory
	// one is enough: where the others have ended for want of it, or have no quorum, nobody makes
	// it ask for more.
	each bool
}

var limitFaults = []Fault{
	limitFault{
		kind:   kind{"cpu", "leaves processes a small part of a processor"},
		param:  Param{"percent", 2, 5, 10},
		limits: func(value int) Limits { return Limits{CPUPercent: value} },
		met:    func(p Pressure) int { return p.Throttled },
		each:   true,
	},
	limitFault{
		kind:   kind{"memory", "leaves processes hardly more memory than they have"},
		param:  Param{"headroomMiB", 1, 2, 6},
		limits: func(value int) Limits { return Limits{HeadroomMiB: value} },
		met:    func(p Pressure) int { return p.Refused },
	},
}

func (f limitFault) Variants(members int) []string {
	if members < 3 {
		return []string{"one", "leader", "all"}
	}
	return []string{"one", "leader", "follower", "minority", "all"}
}

func (f limitFault) Targets(rng *rand.Rand, variant string, members []string) []string {
	if variant == "all" {
		return slices.Clone(members)
	}
	return memberTargets(rng, variant, members)
}

func (f limitFault) Params(string) []Param { return []Param{f.param} }

func (f limitFault) available(ctx context.Context, injector Injector, variant string) error {
	if _, can := injector.(Limiter); !can {
		return Unavailable(f.name, "the cluster driver can't limit processes")
	}
	return f.kind.available(ctx, injector, variant)
}

func (f limitFault) inject(ctx context.Context, w *world, s activeStep) error {
	limits := f.limits(s.step.param(f, f.param.Name))
	return w.eachMember(s.targets, func(member string) error {
		w.mayEnd(member, s.id, limits.HeadroomMiB > 0)
		w.setLimits(member, s.id, limits)
		return w.injector.(Limiter).Limit(ctx, member, w.limitsOf(member))
	})
}

func (f limitFault) heal(ctx context.Context, w *world, s activeStep) error {
	return w.eachMember(s.targets, func(member string) error {
		w.setLimits(member, s.id, Limits{})
		if err := w.injector.(Limiter).Limit(ctx, member, w.limitsOf(member)); err != nil {
			return err
		}
		return w.reconcile(ctx, member)
	})
}

// asks is how many requests a check makes, so that the process has something to
// do.
const asks = 30

// check lets the members work and looks whether they met their limits.
func (f limitFault) check(ctx context.Context, w *world, s activeStep) (string, error) {
	var mu sync.Mutex
	var seen, idle []string
	err := w.eachMember(s.targets, func(member string) error {
		limited := f.met(Pressure{Throttled: w.limitsOf(member).CPUPercent, Refused: w.limitsOf(member).HeadroomMiB}) > 0
		before, err := w.injector.(Limiter).Pressure(ctx, member)
		if err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
		for range asks {
			if !w.injector.Answers(ctx, member) {
				break
			}
		}
		after, err := w.injector.(Limiter).Pressure(ctx, member)
		if err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
		times := f.met(after) - f.met(before)
		status, err := w.injector.Status(ctx, member)
		if err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
		text := fmt.Sprintf("%s met its limit %d times, %s (%s)", member, times, status.State, status.Detail)
		if !limited && times > 0 {
			return fmt.Errorf("%s, while it has no limit", text)
		}
		if !limited {
			if err := w.revive(ctx, member, s.id); err != nil {
				return err
			}
			if _, err := w.checkProcess(ctx, member, s.id); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, text)
		if limited && times <= 0 && status.State == Running {
			idle = append(idle, text)
		}
		return nil
	})
	slices.Sort(seen)
	slices.Sort(idle)
	if enough := len(idle) == 0 || !f.each && len(idle) < len(s.targets); err == nil && !enough {
		err = fmt.Errorf("%s, while they have a limit", strings.Join(idle, "; "))
	}
	return strings.Join(seen, "; "), err
}
