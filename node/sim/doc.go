// Package sim runs a whole ensemble in one goroutine: the replicas and the storage of
// the real server over a file system in memory, with encoded messages, in virtual time.
// Everything that happens follows from one seed, so a failure repeats exactly.
//
// What is real: zab, prep, tree, replica, storage, the codec and the snapshots' streams.
// What is modelled: time, the network between members (ordered connections that are
// delayed, held back by partitions and broken, also on one side only), the disk's latency,
// errors, want of room and crashes (vfs.Mem drops what was not synced; vfs.Faulty ends a
// process between two operations), and clients.
//
// After every step the invariants of truth.go are checked, and diskview.go holds every
// disk to what storage reported. After the faults are healed the ensemble must make
// progress, its trees and sessions must be equal, no znode may outlive its session, and
// the clients' history must be linearizable. No client may read what came of a change
// before the event that it asked for.
package sim

// Units: virtual time is in microseconds, since a busy leader does a lot in a millisecond.
