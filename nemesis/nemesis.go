// Package nemesis holds faults and fault schedules as data, a seeded generator
// of schedules, and the executor that carries a schedule out on a cluster.
//
// Duties: a schedule says what happens when (Schedule, Step); Plan draws one
// from a seed; Run carries it out through an Injector, proves by probes that
// each fault is in effect and that each heal has healed, and tells a Recorder.
// How a fault is done is the Injector's business; what it means (which members,
// which links) is decided here, so that every cluster driver agrees on it.
//
// Ordering: within one step the order is start, effective, heal, healed. Steps
// may overlap. Changes to the cluster are made one at a time under one lock;
// probes run beside each other, each against what the active faults together want
// at its start, and are repeated until they succeed or their bound is over.
//
// The package imports neither the server nor the lab.
package nemesis

import (
	"context"
	"errors"
	"fmt"
)

// ErrUnavailable marks a fault that this kernel, engine or driver can't do. A
// run skips such a fault by name; asking for it explicitly is an error.
var ErrUnavailable = errors.New("fault unavailable")

// Unavailable wraps ErrUnavailable with the fault's name and the reason.
func Unavailable(fault, reason string) error {
	return fmt.Errorf("%w: %s: %s", ErrUnavailable, fault, reason)
}

// Clients is an end of a link that stands for all clients of the ensemble.
const Clients = "clients"

// Link is one direction between two members, or a member and Clients: the
// packets that From sends to To.
type Link struct {
	From, To string
}

func (l Link) String() string { return l.From + "->" + l.To }

// LinkState is what a probe of one link has measured. Both are positive
// evidence, so that a machine too busy to send anything proves nothing.
type LinkState struct {
	Passed  bool // packets from From arrived at To and were let through
	Dropped bool // packets from From arrived at To and were dropped by a fault
}

// ProcessState is the state of a member's server process.
type ProcessState uint8

// The states of a process. A frozen process is Paused, an ended one Down.
const (
	Running ProcessState = iota + 1
	Paused
	Down
)

func (s ProcessState) String() string {
	switch s {
	case Running:
		return "running"
	case Paused:
		return "paused"
	case Down:
		return "down"
	}
	return fmt.Sprintf("ProcessState(%d)", uint8(s))
}

// Status is a process state with what is known about it, for people
// ("exit code 137").
type Status struct {
	State  ProcessState
	Detail string
}

// Injector is what a cluster driver offers to the nemesis. Members are named as
// in the schedule. Every method is safe for concurrent use. A driver that can't
// do one of them returns an error that wraps ErrUnavailable.
//
// Further faults declare a small interface of their own, below, which a driver
// may also implement; the fault asks for it with a type assertion and reports
// ErrUnavailable where it is missing.
type Injector interface {
	// Leader names the member that leads now; an error if there is none.
	Leader(ctx context.Context) (string, error)

	// Kill ends the process with SIGKILL, also when it is paused.
	Kill(ctx context.Context, member string) error
	// Restart starts a killed process again, with its address and data.
	Restart(ctx context.Context, member string) error
	// Pause freezes the process; Resume thaws it.
	Pause(ctx context.Context, member string) error
	Resume(ctx context.Context, member string) error
	// Status reports the process' state as the system sees it.
	Status(ctx context.Context, member string) (Status, error)
	// Answers reports whether the process answers a request on the client port
	// that the lab's clients use.
	Answers(ctx context.Context, member string) bool

	// Block drops all packets on the links until Unblock with the same id. Ids
	// are independent: a link blocked twice passes after both are unblocked.
	Block(ctx context.Context, id string, links []Link) error
	Unblock(ctx context.Context, id string) error
	// Probe sends packets over the links and reports what happened to them.
	Probe(ctx context.Context, links []Link) (map[Link]LinkState, error)

	// HealAll undoes every fault that this injector made and is still there.
	HealAll(ctx context.Context) error
}

// PartitionClients is what Capable is asked for a partition between clients and
// members.
const PartitionClients = "partition:clients"

// Capable tells what can be done.
type Capable interface {
	// Can is nil if the driver, the engine and the kernel can do the fault, or an
	// error that wraps ErrUnavailable and says what is missing. It tries rather
	// than guesses, and changes nothing that lasts.
	Can(ctx context.Context, fault string) error
}

// Terminator ends processes gently.
type Terminator interface {
	// Terminate sends SIGTERM and returns when the process has ended. One that
	// does not end is an error. Restart starts it again.
	Terminate(ctx context.Context, member string) error
}
