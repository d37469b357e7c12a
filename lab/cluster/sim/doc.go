// Package sim runs the lab in a deterministic simulator: a driver like those of package
// cluster, whose members are node/sim's, in virtual time, in this process.
//
// The lab's own code runs in it unchanged: its runner, its clients, the workloads, and the
// executor of the nemesis. Whatever waits there does so by a nemesis.Clock, which the
// Cluster implements, or in a call of a Session; each goroutine becomes a coroutine. So
// everything that happens follows from one seed, and the same seed gives the same history,
// byte for byte. DESIGN.md says why it is done this way.
//
// Ordering: New, then Drive with all that is to happen. The package is not safe for
// concurrent use; several clusters may run beside each other.
//
// It is the only part of the lab that knows the server's code.
package sim
