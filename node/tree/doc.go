// Package tree is the replicated state of a ZooKeeper server: znodes with their
// ACLs, sessions, ephemerals and watches, and the digest over all of it. Committed
// transactions go in through Apply; reads come out of it from any goroutine.
//
// # Ordering
//
// Transactions are applied in zxid order by one caller. Apply is deterministic: it
// reads no clock and draws nothing that a caller could see. A watch fires while the
// write lock is still held, so its event is queued at the watcher before any reader
// can see the new data. LastZxid moves only after the whole transaction, all parts
// of a multi included.
//
// Applying is idempotent in the sense that restoring needs: a snapshot of Apache
// ZooKeeper holds effects of transactions that are replayed over it afterwards. A
// create of a znode that is there corrects the parent's counters, a delete of one
// that is not is NoNode and changes nothing else.
//
// # Concurrency
//
// A Tree is safe for concurrent use. One RWMutex guards the znodes; watches have a
// mutex of their own below it, so that readers can set them side by side. Data and
// ACL slices that leave the tree are shared and must not be written to; the tree
// never writes to them either, a set replaces the slice.
//
// # Memory
//
// Znodes live in slabs and are named by 32-bit handles. What the collector must scan
// (name and data) is kept apart from what it need not (stat and links), children are
// an intrusive list, and one hash table finds a child by parent and name, so a znode
// costs no map, no set and no copy of its path. A View walks the list of all znodes
// in the order of their creation, parents first, while writes go on.
//
// Watches are records in slabs, too: a million of one client take some 180 bytes each,
// the path included, and what has a recursive watch above it is found by going up its
// path, not by looking through the watches.
package tree
