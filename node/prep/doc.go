// Package prep turns write requests into transactions on the leader. It checks a
// request against the state as it will be when all transactions prepared before have
// been applied: the tree, and over it the changes that are still outstanding.
//
// A transaction says everything that applying needs, the final path of a sequential
// znode, the versions and the time, so that every server applies it to the same
// effect. It carries the digest that the tree will have after it.
//
// # Ordering and concurrency
//
// A Prep belongs to one goroutine. Prepare is called in zxid order. Committed(zxid)
// is called when the tree has applied everything up to zxid: before the tree has, the
// outstanding changes are needed, afterwards they say what the tree says. What
// Committed is not told is kept, so the caller's limit on outstanding requests is the
// bound on memory. Reset is for a new epoch, in which nothing is outstanding.
package prep
