package replica

import (
	"sync/atomic"

	"zoolab/node/fifo"
	"zoolab/node/tree"
	"zoolab/zk/jute"
	"zoolab/zk/sasl"
)

// Client is the far end of a connection. Its methods only queue, never block, and
// keep the order of their calls, Notify's among them. They are called from Step,
// from Serve and, for Notify, with the tree locked.
type Client interface {
	tree.Watcher
	// Connected queues the answer to the first frame.
	Connected(jute.ReadOnlyConnectResponse)
	// Reply queues an answer; body is nil where there is none.
	Reply(jute.ReplyHeader, jute.Record)
	// Close ends the connection after sending what is queued, and nothing that is queued
	// later. ClientClosed follows.
	Close(reason string)
}

// Conn is a client's connection as the replica knows it.
type Conn struct {
	client Client

	// Shared with the connection's goroutine.
	caller  atomic.Pointer[tree.Caller] // who the client proved to be; replaced, never changed
	ready   atomic.Bool                 // a session is attached and the client not cut off: requests are welcome
	waiting atomic.Int32                // requests submitted to Step and not yet answered
	touched atomic.Bool                 // something came from the client since the last look
	sasl    *sasl.Server                // the exchange, begun or over; Serve and Step never use it at once

	// Set before ready, constant afterwards.
	session     int64
	timeoutMs   int32
	hasReadOnly bool

	// Owned by Step. Invariant between two steps: the first request, if any, is a write or
	// a sync whose outcome is not known; local requests stand only behind one.
	queue fifo.Queue[queued]
	// unconfirmed counts the syncs in queue whose outcome is not known.
	unconfirmed int
	serial      uint64 // rises with each connection
	closed      bool   // ClientClosed came, or Close was called
	// sinceMs is when the connection asked for its session.
	sinceMs int64
	// attachedAt is where the log ended, here or at the leader that answered for the session,
	// when it was attached. What is in it was asked for on an earlier connection, though it
	// may bear one of this one's xids.
	attachedAt int64
}

// queued is a request that waits for its turn or its outcome.
type queued struct {
	header jute.RequestHeader
	body   []byte // of a write only where it is audited, or held
	// held is who asks, of a write that is not submitted yet: see holds. Nil for all others.
	held *tree.Caller
	// done says that the outcome of a write or a sync is known, or that any request was
	// throttled. It is answered, with what stands below, when it is first in line.
	done   bool
	code   jute.ErrorCode
	answer jute.Record
	// onLocal says that it is to make an ephemeral and will fail, as the session is known to
	// this member alone.
	onLocal bool
}

// outcomeOf returns the request that a transaction of the session answers, if it is one of
// this connection: the oldest write whose outcome is not known.
func (c *Conn) outcomeOf(h *jute.TxnHeader) *queued {
	if h.Zxid <= c.attachedAt {
		return nil
	}
	for i := range c.queue.All() {
		q := &c.queue.All()[i]
		if q.done || kindOf(q.header.Type) != kindWrite {
			continue
		}
		if q.header.Xid == h.Cxid && (q.header.Type == h.Type || h.Type == jute.OpError) {
			return q
		}
		return nil
	}
	return nil
}

// holds reports whether a write must not be submitted yet. A sync costs a round, and a write
// behind it may take effect first; a read that stands between the two, and waits for the
// sync, would see what its client wrote later.
func (c *Conn) holds() bool {
	return c.unconfirmed > 0 && !c.eachFree(func(*queued) {})
}

// eachFree goes through the queue up to the first read behind an unconfirmed sync, and reports
// whether there is no such read. Writes behind it are held.
func (c *Conn) eachFree(do func(*queued)) bool {
	syncs := false
	for i := range c.queue.All() {
		q := &c.queue.All()[i]
		switch kind := kindOf(q.header.Type); {
		case kind == kindSync && !q.done:
			syncs = true
		case kind == kindLocal && syncs:
			return false
		}
		do(q)
	}
	return true
}

// NewConn makes a connection's state. ids are what the transport itself proves, such as
// the client's address.
func NewConn(client Client, ids ...jute.ID) *Conn {
	c := &Conn{client: client}
	c.caller.Store(&tree.Caller{IDs: ids})
	return c
}

// Caller returns who the client is: what a tree.Reader must know. Safe from any goroutine.
func (c *Conn) Caller() tree.Caller { return *c.caller.Load() }

// Submitted counts a request that is about to be given to Step. Only the connection's
// own goroutine calls it, so Serve sees it in order.
func (c *Conn) Submitted() { c.waiting.Add(1) }

// Waiting returns how many submitted requests are not yet answered: the transport
// stops reading from a client that has too many.
func (c *Conn) Waiting() int { return int(c.waiting.Load()) }

// Session returns the attached session's id and timeout, 0 before there is one.
func (c *Conn) Session() (id int64, timeoutMs int32) {
	if !c.ready.Load() {
		return 0, 0
	}
	return c.session, c.timeoutMs
}

// cutOff ends a connection from either side of it, the client's goroutine or Step: what
// the client sent behind its failure is not carried out.
func (c *Conn) cutOff(reason string) {
	c.ready.Store(false)
	c.client.Close(reason)
}

// end forgets what waits: nothing is answered any more.
func (c *Conn) end() {
	c.closed = true
	c.ready.Store(false)
	c.queue, c.unconfirmed = fifo.Queue[queued]{}, 0
}
