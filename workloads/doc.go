// Package workloads says what the lab asks of a coordination service and how
// the recorded answers are judged: operations, generators, models, checkers.
//
// Everything here is a pure function of its arguments. Randomness is a seeded
// *rand.Rand that the caller passes in, time is the number in each Op, and the
// only way to the outside is the Client interface, which the lab implements.
// The package starts no goroutine of its own (the linearizability search of
// porcupine does) and logs nothing.
//
// Ordering rules that every checker relies on: a history is sorted by Index,
// Index counts up by one, TimeNs never goes down, a process has at most one
// operation in flight, and a process whose operation ended in info never acts
// again.
//
// A workload is a Generator (what a process does next), an Executor (how one
// operation is carried out with a Client) and a list of Checkers. New
// workloads are added in the table of Lookup.
package workloads
