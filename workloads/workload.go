package workloads

import (
	"context"
	"fmt"
	"math/rand"
	"sort"
	"strings"
)

// Workload is everything the lab needs to run one kind of operations and to
// judge what came of them.
type Workload struct {
	Name string
	Doc  string // one line, for people

	// Kinds are the operations that must succeed at least once in a run that
	// is worth anything.
	Kinds []string

	// Roams lets the sessions of every second client move between all members;
	// otherwise each stays with one.
	Roams bool

	// Reconfigurable asks for members that can be reconfigured, whether a fault does so
	// or not: others don't show who they are.
	Reconfigurable bool

	// SettleMs is how long the healed ensemble is left alone before the final
	// operations.
	SettleMs int

	// NewGenerator starts the stream of operations of one run.
	NewGenerator func(Options) Generator

	// Setup prepares the ensemble, once, before the first operation. It may be
	// called again after it failed.
	Setup func(context.Context, Client) error

	// Do carries out one invocation and returns its completion. It keeps no
	// state and may be called by many goroutines with a Client each. Session of the
	// invocation must be that of the client: some workloads know by it which znodes
	// are their own.
	Do func(context.Context, Client, Op) Op

	// Checkers judge a history of this workload.
	Checkers func(Bounds) []Checker
}

// Options shape the operations of one run.
type Options struct {
	Concurrency int // client processes at a time, at least 1
}

// Generator decides what processes do next. It is not safe for concurrent use:
// the caller serializes Next, Completed and Final. With the same sequence of
// calls and the same random source it gives the same operations.
type Generator interface {
	// Next gives the next invocation: F, Key, Value and, where it has a
	// meaning, Version. The caller fills in the rest.
	Next(rng *rand.Rand) Op
	// Completed tells the generator how an operation ended.
	Completed(Op)
	// Final gives the invocations that read everything once more after the
	// ensemble has recovered.
	Final() []Op
}

// ReadGenerator is a Generator for clients that only read, beside others that don't.
type ReadGenerator interface {
	NextRead(rng *rand.Rand) Op
}

// Checker judges a history.
type Checker struct {
	Name  string
	Check func(history []Op) Result
}

// Bounds limit what a checker may spend. A checker that meets a bound answers
// unknown.
type Bounds struct {
	KeyTimeMs   int64 // search of one key
	MemoryBytes int64 // search as a whole
	MaxFailures int   // failures that are worked out in full
}

// DefaultBounds suit a machine with two cores and a few gigabytes.
var DefaultBounds = Bounds{KeyTimeMs: 10_000, MemoryBytes: 512 << 20, MaxFailures: 5}

var table = map[string]Workload{
	"acl":           aclWorkload,
	"append":        appendWorkload,
	"bank":          bankWorkload,
	"barrier":       barrierWorkload,
	"counter":       counterWorkload,
	"durability":    durabilityWorkload,
	"election":      electionWorkload,
	"ephemeral":     ephemeralWorkload,
	"lock":          lockWorkload,
	"membership":    membershipWorkload,
	"multiregister": multiRegisterWorkload,
	"pipeline":      pipelineWorkload,
	"queue":         queueWorkload,
	"register":      registerWorkload,
	"session":       sessionWorkload,
	"set":           setWorkload,
	"unique":        uniqueWorkload,
	"watch":         watchWorkload,
}

// Lookup finds a workload by its name. Several names with commas, or "all", give
// one that has them side by side.
func Lookup(name string) (Workload, error) {
	if name == "all" {
		return combine(name, Names())
	}
	if strings.Contains(name, ",") {
		return combine(name, strings.Split(name, ","))
	}
	workload, ok := table[name]
	if !ok {
		return Workload{}, fmt.Errorf("no workload %q; there are: %s; all, or several with commas, run side by side", name, strings.Join(Names(), ", "))
	}
	return workload, nil
}

// Names lists the workloads in alphabetical order.
func Names() []string {
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
