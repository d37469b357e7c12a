package nemesis

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"time"
)

// Fault is one kind of fault. Its value holds no state: what is active is kept
// in the world, which the executor passes in.
type Fault interface {
	Name() string
	// Doc says in one line what the fault does.
	Doc() string
	// Variants lists the variants that make sense with so many members, in a
	// fixed order; empty if the fault needs more members.
	Variants(members int) []string
	// Targets draws the targets of a variant.
	Targets(rng *rand.Rand, variant string, members []string) []string
	// Params lists the numbers that a step of this fault may carry.
	Params(variant string) []Param

	// available is nil if the cluster can do the fault, in this variant if it
	// isn't empty.
	available(ctx context.Context, injector Injector, variant string) error
	// inject and heal change the cluster; the world's lock is held. inject is
	// called with roles resolved to names.
	inject(ctx context.Context, w *world, s activeStep) error
	heal(ctx context.Context, w *world, s activeStep) error
	// check probes whether the cluster is as the active faults want it, as far
	// as this step concerns it, and says in words what it saw. It is called
	// without the lock, after inject and after heal alike.
	check(ctx context.Context, w *world, s activeStep) (string, error)
}

// actor is a fault that goes on acting while it is in effect.
type actor interface {
	// act is called once the fault is proved to be in effect. It returns when
	// the step's time is over or ctx ends, and says what it did.
	act(ctx context.Context, e *executor, s activeStep, until time.Duration) (string, error)
}

// solitary is a fault that is no fair test while another one is in effect. Its
// steps begin when those before them are healed, and those after them wait.
type solitary interface{ solitary() }

// alone reports whether a step must be alone.
func (s Step) alone() bool {
	fault, err := Lookup(s.Fault)
	if err != nil {
		return false
	}
	_, alone := fault.(solitary)
	return alone
}

// serial is a fault of which one step at a time is carried out.
type serial interface{ serial() }

// excludes reports whether two steps must not overlap.
func (s Step) excludes(other Step) bool {
	if s.alone() || other.alone() {
		return true
	}
	fault, err := Lookup(s.Fault)
	if err != nil {
		return false
	}
	_, one := fault.(serial)
	return one && s.Fault == other.Fault
}

// Param is a number of a step, such as how many percent of packets are lost. A
// step that doesn't have it is carried out with Default; Plan draws it from Min
// to Max.
type Param struct {
	Name              string // with its unit: "percent", "delayMs"
	Min, Default, Max int
}

// kind is what all faults have.
type kind struct{ name, doc string }

func (k kind) Name() string          { return k.name }
func (k kind) Doc() string           { return k.doc }
func (k kind) Params(string) []Param { return nil }

func (k kind) available(ctx context.Context, injector Injector, _ string) error {
	if c, tells := injector.(Capable); tells {
		return c.Can(ctx, k.name)
	}
	return nil
}

// faults is the table of all kinds; a later kind is added here.
var faults = slices.Concat([]Fault{
	processFault{kind{"kill", "ends processes with SIGKILL and starts them again"}, hold{state: Down}},
	processFault{kind{"pause", "freezes processes and thaws them"}, hold{state: Paused}},
	partition{kind{"partition", "drops all packets of links, between members or from clients"}},
	processFault{kind{"stop", "ends processes with SIGTERM and starts them again"}, hold{state: Down, graceful: true}},
}, shapeFaults, diskFaults, damageFaults, limitFaults, changeFaults, reconfigFaults)

// Kinds names all faults, in a fixed order.
func Kinds() []string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.Name()
	}
	return names
}

// Lookup finds a fault by its name.
func Lookup(name string) (Fault, error) {
	for _, f := range faults {
		if f.Name() == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("unknown fault %q, have %v", name, Kinds())
}

// Available is nil if the injector's cluster can do the fault, or an error that
// wraps ErrUnavailable and says what is missing.
func Available(ctx context.Context, injector Injector, name string) error {
	f, err := Lookup(name)
	if err != nil {
		return err
	}
	return f.available(ctx, injector, "")
}

// pick draws n distinct members, in the order of the draw.
func pick(rng *rand.Rand, members []string, n int) []string {
	out := make([]string, n)
	for i, j := range rng.Perm(len(members))[:n] {
		out[i] = members[j]
	}
	return out
}

// minority is the largest number of members without which a quorum remains.
func minority(members int) int { return (members - 1) / 2 }
