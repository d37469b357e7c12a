package zk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"zoolab/zk/jute"
)

// callState is where a call stands. It is guarded by Client.mu.
type callState uint8

const (
	callQueued   callState = iota // not handed to a connection: it did not happen
	callSent                      // handed to a connection: a change may have happened
	callAnswered                  // its end is decided; done is or will at once be signalled
)

// call is one request on its way. The goroutine that asked owns req; resp, zxid and
// err belong to the connection's reader until done is signalled.
type call struct {
	op      jute.OpCode
	path    string // as the caller gave it, for errors
	req     jute.Record
	resp    jute.Record   // nil if the answer has no body
	watch   *watchRequest // what the answer sets, if anything
	removal *watchRemoval // what the answer ends, if anything
	changes bool          // whether the operation can change anything

	state callState
	xid   int32
	zxid  int64
	err   *OpError
	done  chan struct{} // of capacity 1
}

// fail decides the call. The caller holds Client.mu, or is the reader that took the
// call from those in flight.
func (k *call) fail(cause error, mayHaveHappened bool) {
	k.err = &OpError{Op: k.op.String(), Path: k.path, Err: cause, Zxid: k.zxid,
		MayHaveHappened: mayHaveHappened && k.changes}
	k.state = callAnswered
	k.done <- struct{}{}
}

// refuse is the error of a call that is not even queued.
func refuse(op jute.OpCode, path string, cause error) error {
	return &OpError{Op: op.String(), Path: path, Err: cause}
}

// do sends a call and waits for its end.
func (c *Client) do(ctx context.Context, k *call) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, refuse(k.op, k.path, err)
	}
	if c.requestTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.requestTimeout, ErrRequestTimeout)
		defer cancel()
	}
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return Reply{}, refuse(k.op, k.path, fmt.Errorf("%w while %d calls are pending", ended(ctx), cap(c.slots)))
		}
	}
	defer func() { <-c.slots }()
	if err := c.enqueue(k); err != nil {
		return Reply{}, refuse(k.op, k.path, err)
	}
	if err := c.await(ctx, k); err != nil {
		return Reply{}, err
	}
	if k.err != nil {
		return Reply{Zxid: k.zxid}, k.err
	}
	return Reply{Zxid: k.zxid}, nil
}

// await waits for the end of a call that was queued. An error says that it was given up
// before, with its context.
func (c *Client) await(ctx context.Context, k *call) error {
	select {
	case <-k.done:
	case <-ctx.Done():
		if err := c.cancel(k, ended(ctx)); err != nil {
			return err
		}
	}
	c.signals.Put(k.done) // it was signalled once, and will not be again
	return nil
}

// ended says why a context has ended: by the client's own limit or as it says itself.
func ended(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), ErrRequestTimeout) {
		return ErrRequestTimeout
	}
	return ctx.Err()
}

// enqueue queues all calls that are not nil, one behind the other, or none, and sends them
// where that does not wait.
func (c *Client) enqueue(calls ...*call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case c.closing && (len(calls) != 1 || calls[0].op != jute.OpCloseSession):
		return ErrClosed
	case c.failFast && c.link == nil:
		return ErrDisconnected
	}
	for _, k := range calls {
		if k != nil {
			k.done = c.signals.Get().(chan struct{})
			c.queue.push(k)
		}
	}
	if c.link != nil {
		c.link.send()
	}
	return nil
}

func (c *Client) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default: // the writer has been woken and not yet looked
	}
}

// cancel gives up a call whose context has ended. It returns nil if the call was
// decided meanwhile; its fields may be read then.
func (c *Client) cancel(k *call, cause error) error {
	c.mu.Lock()
	state := k.state
	if state == callQueued {
		c.queue.remove(k)
	}
	c.mu.Unlock()
	switch state {
	case callAnswered:
		<-k.done
		return nil
	case callSent:
		return &OpError{Op: k.op.String(), Path: k.path, Err: cause, MayHaveHappened: k.changes}
	}
	return refuse(k.op, k.path, cause)
}

// fifo is a queue of calls that does not allocate while it stays short.
type fifo struct {
	calls []*call
	head  int // calls[:head] are nil
}

func (q *fifo) len() int { return len(q.calls) - q.head }

func (q *fifo) push(k *call) {
	if q.head > 64 && q.head > len(q.calls)/2 {
		q.calls = slices.Delete(q.calls, 0, q.head)
		q.head = 0
	}
	q.calls = append(q.calls, k)
}

// peek returns the oldest call, nil if there is none.
func (q *fifo) peek() *call {
	if q.len() == 0 {
		return nil
	}
	return q.calls[q.head]
}

func (q *fifo) pop() *call {
	k := q.peek()
	if k == nil {
		return nil
	}
	q.calls[q.head] = nil
	q.head++
	if q.head == len(q.calls) {
		q.calls, q.head = q.calls[:0], 0
	}
	return k
}

func (q *fifo) remove(k *call) {
	if i := slices.Index(q.calls, k); i >= 0 {
		q.calls = slices.Delete(q.calls, i, i+1)
	}
}
