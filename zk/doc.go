// Package zk is a ZooKeeper client.
//
// A Client is one session. Connect gives it when a server has granted the session;
// from then on the client keeps it alive, moves it to another server when a
// connection breaks, sends credentials again and sets watches again. Only a server
// can tell that a session has expired; then every call fails with ErrSessionExpired
// and a new Client must be made.
//
// # Calls
//
// Every call takes a context and returns a struct with the zxid of the reply's
// header, also beside an error that a server sent. Calls are safe for concurrent use
// and are pipelined: what several goroutines ask at the same time travels together.
// The requests of one session are answered in the order in which they were queued,
// so a goroutine's calls see each other.
//
// A call that is made without a connection waits for one, until its context ends;
// WithFailFast makes it fail at once instead. A call that was handed to a connection
// fails with that connection. No call is ever sent twice.
//
// # Did it happen?
//
// A failed call gives an *OpError. Its MayHaveHappened, or Unknown(err), says whether
// a change may have taken effect or may still: the request was handed to a
// connection and no answer came, or an answer that leaves it open. Otherwise it
// certainly did not happen. A read never "may have happened".
//
// # Watches
//
// GetW, ExistsW and ChildrenW set a watch that fires once. Its channel gets exactly
// one event and is then closed: the change, or, with type EventNone, the end of the
// session. The event is in the channel before any call returns data that is as new as
// the change, so whoever has seen new data can find the event without waiting.
// A lost connection does not end a watch: the next server is told what was seen last
// and fires what has changed since. What it can't see is a znode that was created and
// deleted again in between.
//
// AddWatch sets a watch that stays, on a znode or on all below it too, and sends its
// events to a channel of the caller. Servers don't replay what it misses while there
// is no connection; an event with ErrEventsLost then says so.
//
// # The session
//
// SessionEvents tells each change of the session's state. WithReadOnly lets the client
// fall back to servers without a quorum, which answer reads only, while it looks for a
// better one. Session and WithSession carry a session over to another client.
//
// # Goroutines
//
// A client has one goroutine for the session, which reads while there is a
// connection, one that pings and writes what callers can't write themselves without
// waiting, and one that searches while the connection is read-only. Close and Detach
// wait until all have ended.
package zk
