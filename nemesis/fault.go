package nemesis

import (
	"context"
	"fmt"
	"math/rand"
)

// Fault is one kind of fault. Its value holds no state: what is active is kept
// in the world, which the executor passes in.
type Fault interface {
	Name() string
	// Variants lists the variants that make sense with so many members, in a
	// fixed order; empty if the fault needs more members.
	Variants(members int) []string
	// Targets draws the targets of a variant.
	Targets(rng *rand.Rand, variant string, members []string) []string

	// inject and heal change the cluster; the world's lock is held. inject is
	// called with roles resolved to names.
	inject(ctx context.Context, w *world, s activeStep) error
	heal(ctx context.Context, w *world, s activeStep) error
	// check probes whether the cluster is as the active faults want it, as far
	// as this step concerns it, and says in words what it saw. It is called
	// without the lock, after inject and after heal alike.
	check(ctx context.Context, w *world, s activeStep) (string, error)
}

// faults is the table of all kinds; a later kind is added here.
var faults = []Fault{
	processFault{name: "kill", holds: Down},
	processFault{name: "pause", holds: Paused},
	partition{},
}

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
