// Package zab is ZooKeeper's atomic broadcast as a pure state machine: fast leader
// election, discovery, synchronization and broadcast, wire-compatible with Apache
// ZooKeeper 3.4 to 3.9 members.
//
// A Core takes one Input at a time and answers with Effects, which the caller must
// carry out in order. The core starts no goroutine, reads no clock (the time in
// milliseconds is an argument and never goes back), draws no random number and
// does no I/O. It is not safe for concurrent use.
//
// What a transaction says is no business of this package: it is a zxid and a payload.
//
// # Disk
//
// Effects on the disk (Append, SaveAcceptedEpoch, SaveCurrentEpoch, Truncate,
// InstallSnapshot) carry a Seq that rises by one. They must become durable in the
// order of their Seq; DiskDone reports that all up to a Seq are. The order is what
// makes the protocol safe: what a learner synchronized, then currentEpoch, then the
// acknowledgement of NEWLEADER, which is sent only after the DiskDone of both
// (bugs 4643, 4646, 4785 of ZooKeeper were this order violated).
//
// # The log and the tree
//
// Deliver hands out committed transactions in zxid order. When a member leaves a
// role for LOOKING, what it logged and did not yet deliver is delivered too, so that
// outside of a role the tree always equals the log (bug 2845); Truncate takes both
// back, InstallSnapshot replaces both.
package zab
