// Package recipes builds coordination out of a ZooKeeper session: Mutex, RWMutex,
// Election, Barrier, DoubleBarrier, Queue and Counter.
//
// # Connections and sessions
//
// A lost connection is no error: the recipes wait for the next one and find out what
// became of a change whose answer was lost. What a session holds, such as a lock, goes
// with it: when it expires, servers delete its ephemeral znodes. A holder learns that
// from Lost, at the latest when the servers may have expired the session, as far as
// this machine's clock can tell. A paused process learns it too late; therefore every
// lock and leadership has a token, which is larger than those of all earlier holders.
// Pass it along with each effect and let the receiver refuse smaller ones.
//
// # Who is woken
//
// A contender watches only the one before it, so a release wakes one. Waiting for an
// empty queue to fill, or for a barrier, wakes all that wait.
//
// # Znodes
//
// Missing parents are made. The znode of a recipe is a container, which servers delete
// when it has been used and is empty; only a Counter's is persistent. Contenders' names have the form GUID-KIND-SEQUENCE.
// Each value keeps an ephemeral marker change-GUID there, by which it learns whether a
// change of unknown outcome has happened, and keeps it from happening later. Other
// children of a recipe's znode are ignored.
//
// # Concurrency
//
// All methods may be called by several goroutines. What one value holds, such as a
// Lock, is released once.
package recipes
