// Package storage keeps transactions, snapshots and epochs on disk, in Apache
// ZooKeeper's own format: version-2/log.<hexzxid> in the log directory,
// version-2/snapshot.<hexzxid>, acceptedEpoch and currentEpoch in the data directory.
//
// # Duties
//
// What Sync reported durable is there after any crash; what Truncate or
// InstallSnapshot dropped never returns once they reported success; a crash in the
// middle of any of them leaves the state before or one that leads to the state
// after. Damage that a crash can explain (a torn or empty end of the log) is
// repaired by Load with a warning. Damage that it can't explain is ErrCorrupt, and
// the server must not start: it might have acknowledged what is lost.
//
// # Failures
//
// A failed write or sync of log or epochs is ErrFatal and final: whether the bytes
// are on the disk is unknown, and asking the kernel again would give a false yes.
// Every later call fails as well; the process must end and start anew. A failed
// snapshot costs nothing but the snapshot.
//
// # Concurrency
//
// One goroutine, the disk goroutine, calls all methods of Storage, except those that
// say otherwise: SnapshotJob.Write, Purge and the sizes may run beside it.
//
// Why things happen in the order they do stands in DESIGN.md.
package storage
