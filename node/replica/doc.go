// Package replica is one member of the ensemble as a deterministic step function:
// broadcast (zab), request preparation (prep), the tree and the sessions, put
// together. It does no I/O, starts no goroutine and reads no clock.
//
// Step takes one input with the time and returns effects for the shell to carry
// out in order. Inputs are those of package zab and the ones in input.go; effects
// are zab's network and disk effects, passed on, and the ones in input.go.
//
// What clients are to see does not travel as effects but through the Client
// interface, at once: a watch event must be queued while the tree is locked, before
// any reader can see the change that caused it.
//
// # Concurrency
//
// Step belongs to one goroutine. Serve may be called by each connection's own
// goroutine beside it: it answers reads directly from the tree, unless requests of
// that connection are still with Step, for a session's requests are answered in
// their order.
//
// # Rules kept here
//
// A client gets an answer to a write only after the transaction was delivered, so a
// quorum has it durable, and applied to the tree of this member. Clients are cut off
// when the member loses its role. Sync is answered only after the leader proved, by
// a round through a quorum that began later, that it still leads.
package replica
