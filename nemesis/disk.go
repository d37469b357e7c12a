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

// DiskState is what is wrong with a member's disk. The zero DiskState is a disk
// in order.
type DiskState struct {
	Full   bool // nothing can be written: no space left on device
	Broken bool // writes and syncs fail with an I/O error; wins over Full
	SyncMs int  // how much longer a sync takes
}

// DiskBreaker breaks the disks of members.
type DiskBreaker interface {
	// BreakDisk replaces what is wrong with a member's disk.
	BreakDisk(ctx context.Context, member string, state DiskState) error
	// TryDisk writes and syncs a small file where the member's data is, as the
	// member would, and removes it. It returns how long that took, and the
	// system's complaint, "" for none.
	TryDisk(ctx context.Context, member string) (took time.Duration, complaint string, err error)
}

// diskFault breaks the disks of its targets. A server that can't write its log
// must stop, so it may be found down, and is started again when the disk is in
// order. A minority of disks may fail at the same time.
type diskFault struct {
	kind
	params []Param
	state  func(param func(name string) int) DiskState
}

var diskFaults = []Fault{
	diskFault{
		kind:  kind{"disk-full", "lets nothing more be written to the disks of members"},
		state: func(func(string) int) DiskState { return DiskState{Full: true} },
	},
	diskFault{
		kind:  kind{"disk-error", "lets writes and syncs of members fail with an I/O error"},
		state: func(func(string) int) DiskState { return DiskState{Broken: true} },
	},
	diskFault{
		kind:   kind{"disk-slow", "lets each sync of members take long"},
		params: []Param{{"syncMs", 50, 200, 600}},
		state:  func(param func(string) int) DiskState { return DiskState{SyncMs: param("syncMs")} },
	},
}

func (f diskFault) Variants(members int) []string { return minorityVariants(members) }

// minorityVariants are the variants of faults that may hit a minority at once.
func minorityVariants(members int) []string {
	if members < 3 {
		return nil
	}
	return []string{"one", "leader", "follower", "minority"}
}

func (f diskFault) Targets(rng *rand.Rand, variant string, members []string) []string {
	return memberTargets(rng, variant, members)
}

func (f diskFault) Params(string) []Param { return f.params }

func (f diskFault) available(ctx context.Context, injector Injector, variant string) error {
	if _, can := injector.(DiskBreaker); !can {
		return Unavailable(f.name, "the cluster driver can't break disks")
	}
	return f.kind.available(ctx, injector, variant)
}

func (f diskFault) inject(ctx context.Context, w *world, s activeStep) error {
	state := f.state(func(name string) int { return s.step.param(f, name) })
	return w.eachMember(s.targets, func(member string) error {
		w.setDisk(member, s.id, &state)
		return w.injector.(DiskBreaker).BreakDisk(ctx, member, w.diskOf(member))
	})
}

func (f diskFault) heal(ctx context.Context, w *world, s activeStep) error {
	return w.eachMember(s.targets, func(member string) error {
		state := w.setDisk(member, s.id, nil)
		if err := w.injector.(DiskBreaker).BreakDisk(ctx, member, w.diskOf(member)); err != nil {
			w.setDisk(member, s.id, state)
			return err
		}
		// It may have ended since it was last looked at, because of this fault, or still will.
		w.mayEnd(member, s.id, true)
		return w.reconcile(ctx, member)
	})
}

// endsWithin is how long a server may still answer after a write of its log was refused.
const endsWithin = 500 * time.Millisecond

// check tries the disks: each must give the error that the active faults ask
// for, or none. When nothing is wrong any more, the member must serve.
func (f diskFault) check(ctx context.Context, w *world, s activeStep) (string, error) {
	var mu sync.Mutex
	var seen []string
	err := w.eachMember(s.targets, func(member string) error {
		want := w.diskOf(member)
		took, complaint, err := w.injector.(DiskBreaker).TryDisk(ctx, member)
		if err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
		least := time.Duration(want.SyncMs) * time.Millisecond
		text := fmt.Sprintf("%s: a write and sync took %s", member, took.Round(time.Millisecond))
		if complaint != "" {
			text += ", " + complaint
		}
		if !strings.Contains(complaint, want.complaint()) || want.complaint() == "" && complaint != "" || complaint == "" && took < least {
			return fmt.Errorf("%s, want %q and at least %s", text, want.complaint(), least)
		}
		if want == (DiskState{}) {
			if err := ClockOf(w.injector).Sleep(ctx, endsWithin); err != nil {
				return err
			}
			if err := w.revive(ctx, member, s.id); err != nil {
				return err
			}
			state, err := w.checkProcess(ctx, member, s.id)
			if err != nil {
				return err
			}
			text += "; " + state
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, text)
		return nil
	})
	slices.Sort(seen)
	return strings.Join(seen, "; "), err
}

// complaint is what the system says about a disk in this state.
func (s DiskState) complaint() string {
	switch {
	case s.Broken:
		return "Input/output error"
	case s.Full:
		return "No space left on device"
	}
	return ""
}
