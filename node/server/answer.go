package server

import (
	"encoding/binary"
	"fmt"
	"time"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// Connected implements replica.Client.
func (c *conn) Connected(r jute.ReadOnlyConnectResponse) {
	if !c.opening.IsZero() {
		c.mu.Lock()
		now := time.Now()
		c.stats.observe(now, now.Sub(c.opening))
		c.stats.lastOp, c.stats.lastZxid = jute.OpCreateSession, c.s.hooks.Replica.Tree().LastZxid()
		c.mu.Unlock()
	}
	c.queue(message{}, true, func(b []byte) []byte { return r.Append(b) })
	c.mu.Lock()
	c.attached = true
	c.turn.Signal()
	c.mu.Unlock()
}

// Reply implements replica.Client.
func (c *conn) Reply(h jute.ReplyHeader, body jute.Record) {
	if h.Err == jute.CodeAuthFailed {
		c.s.stats.m.AuthFailures.Add(1)
	}
	serving := c.serving
	if serving && isLarge(body) {
		c.mu.Lock()
		c.late = &lateAnswer{h, body}
		c.mu.Unlock()
		return
	}
	unsentBytes := c.queue(message{answers: true, zxid: h.Zxid}, !serving, func(b []byte) []byte {
		if isLarge(body) {
			b = withRoom(b, sizeOf(body))
		}
		start := len(b)
		b = h.Append(b)
		if body != nil {
			b = body.Append(b)
		}
		if serving && h.Err == jute.CodeOK {
			c.answerBytes = len(b) - start
		}
		return b
	})
	if serving {
		c.servedBytes = unsentBytes
	}
}

// lateAnswer is a large answer that is put on the wire when the tree is no longer locked.
type lateAnswer struct {
	header jute.ReplyHeader
	body   jute.Record
}

// Answers from so many bytes of data, or children, are made late.
const (
	lateBytes    = 32 << 10
	lateChildren = 1000
)

// isLarge reports whether an answer is made late. Its data and names are shared with the
// tree, which never changes them.
func isLarge(body jute.Record) bool {
	switch r := body.(type) {
	case *jute.GetDataResponse:
		return len(r.Data) >= lateBytes
	case *jute.GetChildrenResponse:
		return len(r.Children) >= lateChildren
	case *jute.GetChildren2Response:
		return len(r.Children) >= lateChildren
	}
	return false
}

// sizeOf is about what an answer takes: the data or names, and what stands around them.
func sizeOf(body jute.Record) int {
	const aroundBytes = lengthBytes + 128
	var names []string
	switch r := body.(type) {
	case *jute.GetDataResponse:
		return aroundBytes + len(r.Data)
	case *jute.GetChildrenResponse:
		names = r.Children
	case *jute.GetChildren2Response:
		names = r.Children
	}
	sizeBytes := aroundBytes
	for _, name := range names {
		sizeBytes += 4 + len(name)
	}
	return sizeBytes
}

// withRoom returns b with room for n more bytes. It doubles b where append would add a
// quarter: each time, all megabytes that wait are copied.
func withRoom(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, max(2*cap(b), len(b)+n)), b...)
}

// finishLate makes the answer that was put off while Serve held the tree, if there is one,
// and lets follow it what was queued meanwhile. A listing of a million children, which
// takes a while, holds up nobody else's writes so.
func (c *conn) finishLate() {
	late := c.late
	if late == nil {
		return
	}
	frame := late.body.Append(late.header.Append(make([]byte, lengthBytes, sizeOf(late.body))))
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-lengthBytes))
	c.answerBytes = len(frame) - lengthBytes
	c.mu.Lock()
	defer c.mu.Unlock()
	behind := c.behind
	c.late, c.behind = nil, nil
	if c.ends() {
		return
	}
	c.answered(late.header.Zxid)
	c.count(message{}, len(frame)-lengthBytes)
	start := len(c.out)
	if start == 0 {
		c.out = frame
	} else {
		c.out = append(c.out, frame...)
	}
	if len(behind) > 0 {
		c.out = append(c.out, behind...)
		c.mark()
	}
	c.servedBytes = c.bound(start)
}

var _ tree.Reader = (*conn)(nil)

// Caller implements tree.Reader.
func (c *conn) Caller() tree.Caller { return c.replica.Caller() }

// Notify implements tree.Watcher.
func (c *conn) Notify(ev jute.WatcherEvent, zxid int64) {
	c.queue(message{event: true}, true, func(b []byte) []byte {
		// As from 3.9 on; before, an event did not say which change it tells of.
		h := jute.ReplyHeader{Xid: jute.XidNotification, Zxid: zxid}
		return ev.Append(h.Append(b))
	})
}

// message says what a frame to the client is.
type message struct {
	answers bool // the request that is served, or the oldest one that was submitted
	event   bool
	zxid    int64
}

// answered takes the request that is being answered out of the books. c.mu is held.
func (c *conn) answered(zxid int64) {
	q := submitted{at: c.servedAt, op: c.servedOp, xid: c.servedXid}
	if !c.serving {
		if len(c.inFlight) == 0 {
			return
		}
		q = c.inFlight[0]
		c.inFlight = c.inFlight[1:]
		c.turn.Signal()
		c.s.throttle.leave(1)
		c.s.large.release(q.heldBytes)
	}
	now := time.Now()
	if c.serving {
		c.clock = now
	}
	if q.op == jute.OpAuth || q.op == jute.OpSASL {
		return // as in Apache's servers, no operation
	}
	latency := now.Sub(q.at)
	c.s.stats.observe(c.shard, writes(q.op), latency)
	c.stats.observe(now, latency)
	c.stats.lastOp = q.op
	if q.xid >= 0 {
		c.stats.lastXid = q.xid
	}
	if zxid > 0 {
		c.stats.lastZxid = zxid
	}
}

// queue adds a frame to what the client is to get and returns how much waits for it now.
// What the reader does not send itself is marked for the event loop's next Flush.
func (c *conn) queue(m message, mark bool, appendBody func([]byte) []byte) (unsentBytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends() {
		return 0
	}
	if m.answers {
		c.answered(m.zxid)
	}
	to := &c.out
	if c.late != nil {
		to = &c.behind
	}
	start := len(*to)
	*to = appendBody(append(*to, make([]byte, lengthBytes)...))
	sizeBytes := len(*to) - start - lengthBytes
	binary.BigEndian.PutUint32((*to)[start:], uint32(sizeBytes))
	c.count(m, sizeBytes)
	if mark {
		c.mark()
	}
	return c.bound(start)
}

// count counts a frame that was queued. c.mu is held.
func (c *conn) count(m message, sizeBytes int) {
	c.stats.sent++
	c.s.stats.observeAnswer(c.shard, sizeBytes)
	if m.event {
		c.s.stats.m.WatchBytes.Add(int64(sizeBytes))
	}
}

// bound gives up a client for which so much waited before one more frame was queued. It
// returns how much waits now. c.mu is held.
func (c *conn) bound(waitedBytes int) (unsentBytes int) {
	allBytes := c.account()
	switch {
	case waitedBytes > maxUnsentBytes:
		c.killLocked(fmt.Sprintf("the client does not read: %d bytes wait for it", waitedBytes))
		return 0
	case waitedBytes > fairUnsentBytes && allBytes > c.s.mostUnsentBytes:
		c.killLocked(fmt.Sprintf("the client does not read: %d bytes wait for it, and %d for all such clients", waitedBytes, allBytes))
		return 0
	}
	return len(c.out)
}

// account tells the server how much waits for the client, if it is worth to, and returns
// how much does for all clients. c.mu is held.
func (c *conn) account() (allBytes int64) {
	n := int64(len(c.out) + len(c.behind) + c.writingBytes)
	if n < highUnsentBytes || c.dead {
		n = 0
	}
	if n != c.accountedBytes {
		c.s.unsentBytes.Add(n - c.accountedBytes)
		c.accountedBytes = n
	}
	return c.s.unsentBytes.Load()
}

// mark puts the connection on the list of the next Flush. c.mu is held.
func (c *conn) mark() {
	if !c.marked {
		c.marked = true
		c.s.mark(c)
	}
}

// Close implements replica.Client.
func (c *conn) Close(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends() {
		return
	}
	c.closing = true
	if c.reason == "" {
		c.reason = reason
	}
	c.release()
	c.mark()
	// A client that does not read must not keep its connection for ever.
	_ = c.net.SetWriteDeadline(time.Now().Add(closeTimeout))
}

// flush writes what is queued, unless somebody does already. It may block. Only the
// reader calls it.
func (c *conn) flush() {
	c.reads.flush()
	if b, ok := c.startWriting(); ok {
		c.drain(b)
	}
}

// flushOrWait is flush for a reader that is ahead of its client: if somebody else writes
// it waits until that one has caught up.
func (c *conn) flushOrWait() {
	c.flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing && len(c.out) > highUnsentBytes && !c.dead {
		c.turn.Wait()
	}
}

// flushFromLoop is flush for the event loop, which must not block: what the socket does
// not take at once is left to a goroutine.
func (c *conn) flushFromLoop() {
	b, ok := c.startWriting()
	for ok {
		n, err := c.direct.TryWrite(b)
		if err != nil {
			c.kill("")
		}
		if rest := b[n:]; len(rest) > 0 {
			c.s.running.Go(func() { c.drain(rest) })
			return
		}
		b, ok = c.written(b)
	}
}

// startWriting makes the caller the writer, until written says otherwise, and gives it
// what is queued. It does not if there is another or nothing to do.
func (c *conn) startWriting() (b []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marked = false
	if c.writing || c.dead || (len(c.out) == 0 && !c.closing) {
		return nil, false
	}
	c.writing = true
	b, c.out = c.out, nil
	c.writingBytes = len(b)
	c.turn.Signal()
	return b, true
}

// drain writes b and then until nothing is queued.
func (c *conn) drain(b []byte) {
	for ok := true; ok; b, ok = c.written(b) {
		if _, err := c.net.Write(b); err != nil {
			c.kill("")
		}
	}
}

// written gives the writer what was queued meanwhile. If that is nothing it is no longer
// the writer, and the connection is closed if that was asked for. The buffer that was
// written is used again.
func (c *conn) written(spare []byte) (b []byte, ok bool) {
	if cap(spare) > keepBytes {
		spare = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn.Signal()
	if len(c.out) > 0 && !c.dead {
		b, c.out = c.out, spare[:0]
		c.writingBytes = len(b)
		c.account()
		return b, true
	}
	c.writing = false
	c.writingBytes = 0
	c.account()
	if c.closing && !c.dead {
		c.hangUp()
	}
	if c.out == nil {
		c.out = spare[:0]
	}
	return nil, false
}

// hangUp closes the connection after all was sent; its reader sees it and reports the end.
// c.mu is held, and the caller may be the event loop: TLS's goodbye, which may have to
// wait for the client, is left to a goroutine.
func (c *conn) hangUp() {
	if c.secure {
		c.s.running.Go(func() { _ = c.net.Close() })
		return
	}
	_ = c.net.Close()
}
