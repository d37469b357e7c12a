package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"zoolab/internal/sock"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// quorumConn is a connection between a leader and a learner.
type quorumConn struct {
	t        *Transport
	id       zab.ConnID
	peer     string // for the log
	incoming bool   // a learner opened it, so that nobody sends a snapshot on it

	// Owned by the event loop.
	fresh  []byte // packets queued since the last flush
	marked bool   // in Transport.unflushed

	mu      sync.Mutex
	wake    sync.Cond    // signalled when there is something to write, or to stop
	conn    net.Conn     // nil until a dial succeeds
	direct  *sock.Writer // writes past the writer while that has nothing to do
	idle    bool         // the writer waits, and nothing is pending
	pending []item
	queued  int // bytes in pending
	traffic Traffic
	closing bool
	aborted bool
	reason  string
}

// item is something to write: bytes, or a stream that is made while it is written.
type item struct {
	bytes  []byte
	stream func(io.Writer) error
}

// flushBytes is how much the event loop collects before it hands it to a writer ahead of Flush.
const flushBytes = 256 << 10

func (t *Transport) newQuorumConn(id zab.ConnID, c net.Conn, peer string) *quorumConn {
	q := &quorumConn{t: t, id: id, conn: c, peer: peer, incoming: c != nil, traffic: Traffic{Since: time.Now(), LastZxid: -1}}
	q.wake.L = &q.mu
	t.mu.Lock()
	t.quorum[id] = q
	stopping := t.ctx.Err() != nil
	t.mu.Unlock()
	if stopping {
		// Shutdown may have looked before this connection was there to be seen.
		q.abort()
	}
	return q
}

// acceptLearner takes a connection that some member opened to our quorum port.
func (t *Transport) acceptLearner(u *unproven) { t.acceptAt(quorumPort, u) }

// acceptObserver takes one that an observer opened to our observer master port.
func (t *Transport) acceptObserver(u *unproven) { t.acceptAt(masterPort, u) }

func (t *Transport) acceptAt(port string, u *unproven) {
	t.mu.Lock()
	t.lastID += 2
	id := t.lastID
	t.mu.Unlock()
	q := t.newQuorumConn(id, u.Conn, u.RemoteAddr().String())
	t.running.Go(func() {
		defer t.forget(q)
		defer u.Close()
		// Nothing is said about a connection before it has proved to be a learner's, so that
		// a port scanner is no concern of the core's. The buffer stays small until then, too.
		opened, small, first, err := t.readFirstPacket(u, port)
		if err != nil {
			t.refuse(port, u, err)
			return
		}
		t.hooks.Post(zab.ConnOpened{Conn: id, Incoming: true, Master: port == masterPort}, zab.PacketReceived{Conn: id, Packet: first})
		t.serve(q, opened, bufio.NewReaderSize(small, readBufferBytes))
	})
}

// readFirstPacket reads what a learner must say first, and soon, after it was let in.
func (t *Transport) readFirstPacket(u *unproven, port string) (opened net.Conn, br *bufio.Reader, first jute.QuorumPacket, err error) {
	defer t.endHello(u)
	opened, br, err = t.open(u, time.Now().Add(t.cfg.StallTimeout))
	if err == nil {
		err = t.admit(opened, br)
	}
	if err == nil {
		first, err = jute.NewReader(br, helloBufferBytes).QuorumPacket()
	}
	if err == nil && first.Type != jute.PacketObserverInfo && (first.Type != jute.PacketFollowerInfo || port == masterPort) {
		err = fmt.Errorf("%w: first packet is %v", jute.ErrMalformed, first.Type)
	}
	_ = u.SetDeadline(time.Time{})
	return opened, br, first, whyHelloEnded(err)
}

// Dial opens a connection to a member's quorum port, or to its observer master port.
func (t *Transport) Dial(id zab.ConnID, to int64, master bool) {
	q := t.newQuorumConn(id, nil, fmt.Sprintf("member %d", to))
	t.running.Go(func() {
		defer t.forget(q)
		c, br, err := t.callLeader(to, master)
		if err != nil {
			t.hooks.Post(zab.ConnClosed{Conn: id, Reason: err.Error()})
			return
		}
		q.mu.Lock()
		stop := q.aborted || q.closing
		q.conn = c
		q.mu.Unlock()
		if stop {
			_ = c.Close()
			return
		}
		t.hooks.Post(zab.ConnOpened{Conn: id})
		t.serve(q, c, br)
	})
}

// callLeader opens a connection to a member that leads, or serves observers, and is let in.
func (t *Transport) callLeader(to int64, master bool) (net.Conn, *bufio.Reader, error) {
	address, err := t.addressOf(to)
	if err != nil {
		return nil, nil, err
	}
	at := address.Quorum
	if master {
		at = address.Master
	}
	if len(at) == 0 {
		return nil, nil, fmt.Errorf("member %d has no observer master port", to)
	}
	c, err := t.dial(t.ctx, at)
	if err != nil {
		return nil, nil, err
	}
	br := bufio.NewReaderSize(c, readBufferBytes)
	if err := t.prove(c, br); err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	return c, br, nil
}

func (t *Transport) forget(q *quorumConn) {
	t.mu.Lock()
	delete(t.quorum, q.id)
	t.mu.Unlock()
}

// serve runs both directions until either ends, and says so once.
func (t *Transport) serve(q *quorumConn, c net.Conn, br *bufio.Reader) {
	q.mu.Lock()
	q.direct = sock.NewWriter(c)
	q.mu.Unlock()
	t.running.Go(func() { q.write(c) })
	err := q.read(br)
	q.mu.Lock()
	if q.reason == "" {
		q.reason = describe(err)
	}
	reason := q.reason
	q.aborted = true
	q.wake.Signal()
	q.mu.Unlock()
	_ = c.Close()
	if errors.Is(err, jute.ErrMalformed) {
		t.log.Warn("closed a quorum connection that sent a malformed packet", "peer", q.peer, "err", err)
	}
	t.hooks.Post(zab.ConnClosed{Conn: q.id, Reason: reason})
}

func describe(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the peer closed the connection"
	}
	return err.Error()
}

const (
	readBufferBytes = 128 << 10
	// helloBufferBytes is enough for what a peer must send before it is believed to be one.
	helloBufferBytes = 4 << 10
)

// read posts packets, as many at a time as have arrived whole.
func (q *quorumConn) read(br *bufio.Reader) error {
	packets := jute.NewReader(br, q.t.cfg.MaxFieldBytes)
	var batch []zab.Input
	for {
		p, err := packets.QuorumPacket()
		if err != nil {
			q.t.hooks.Post(batch...)
			return err
		}
		if p.Type < jute.PacketRequest || p.Type > jute.PacketInformAndActivate {
			q.t.hooks.Post(batch...)
			return fmt.Errorf("%w: no quorum packet has type %d", jute.ErrMalformed, p.Type)
		}
		if p.Type == jute.PacketSnap && q.incoming {
			q.t.hooks.Post(batch...)
			return fmt.Errorf("%w: a learner sent a snapshot", jute.ErrMalformed)
		}
		q.countIn(p.Type)
		batch = append(batch, zab.PacketReceived{Conn: q.id, Packet: p})
		if p.Type == jute.PacketSnap {
			q.t.hooks.Post(batch...)
			batch = batch[:0]
			handle, err := q.t.hooks.ReadSnapshot(br)
			if err != nil {
				return fmt.Errorf("snapshot from the leader: %w", err)
			}
			batch = append(batch, zab.SnapshotReceived{Conn: q.id, Handle: handle})
		}
		if !wholePacketWaits(br) {
			q.t.hooks.Post(batch...)
			clear(batch)
			batch = batch[:0]
		}
	}
}

// wholePacketWaits reports whether the next packet can be read without waiting.
func wholePacketWaits(br *bufio.Reader) bool {
	const headBytes, tailBytes = 16, 4 // type, zxid and length before the data; the count of ids after it
	if br.Buffered() < headBytes+tailBytes {
		return false
	}
	head, _ := br.Peek(headBytes)
	size := max(0, int64(int32(binary.BigEndian.Uint32(head[12:]))))
	if int64(br.Buffered()) < headBytes+size+tailBytes {
		return false
	}
	all, _ := br.Peek(headBytes + int(size) + tailBytes)
	return int32(binary.BigEndian.Uint32(all[len(all)-tailBytes:])) <= 0
}

func (t *Transport) conn(id zab.ConnID) *quorumConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.quorum[id]
}

// PeerOf returns who is at the other end of a connection, for the log; "" if it is gone.
func (t *Transport) PeerOf(id zab.ConnID) string {
	if q := t.conn(id); q != nil {
		return q.peer
	}
	return ""
}

// Send queues a packet; on a connection that is gone it does nothing.
func (t *Transport) Send(id zab.ConnID, p *jute.QuorumPacket) {
	q := t.conn(id)
	if q == nil {
		return
	}
	q.fresh = p.Append(q.fresh)
	q.countOut(p)
	if !q.marked {
		q.marked = true
		t.unflushed = append(t.unflushed, q)
	}
	if len(q.fresh) >= flushBytes {
		q.flush()
	}
}

// SendSnapshot queues a stream behind what is queued already. The stream function is
// called once, in any case and on another goroutine: with a writer that fails when the
// connection is gone.
func (t *Transport) SendSnapshot(id zab.ConnID, stream func(io.Writer) error) {
	q := t.conn(id)
	if q == nil {
		t.running.Go(func() { _ = stream(failedWriter{}) })
		return
	}
	q.flush()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.aborted || q.closing {
		t.running.Go(func() { _ = stream(failedWriter{}) })
		return
	}
	q.idle = false
	q.pending = append(q.pending, item{stream: stream})
	q.wake.Signal()
}

type failedWriter struct{}

func (failedWriter) Write([]byte) (int, error) { return 0, net.ErrClosed }

// Close ends a connection once what is queued on it is written.
func (t *Transport) Close(id zab.ConnID, reason string) {
	q := t.conn(id)
	if q == nil {
		return
	}
	q.flush()
	q.mu.Lock()
	q.closing = true
	if q.reason == "" {
		q.reason = reason
	}
	q.wake.Signal()
	q.mu.Unlock()
}

// Flush hands everything queued since the last one to the writers.
func (t *Transport) Flush() {
	for i, q := range t.unflushed {
		q.flush()
		q.marked = false
		t.unflushed[i] = nil
	}
	t.unflushed = t.unflushed[:0]
}

func (q *quorumConn) flush() {
	if len(q.fresh) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.idle && !q.closing && !q.aborted {
		// An error is left to the writer, which meets it again with the rest.
		n, _ := q.direct.TryWrite(q.fresh)
		if n == len(q.fresh) {
			q.fresh = q.fresh[:0]
			q.traffic.QueuedPackets = 0
			return
		}
		q.fresh = q.fresh[n:]
	}
	q.idle = false
	if n := len(q.pending); n > 0 && q.pending[n-1].stream == nil {
		q.pending[n-1].bytes = append(q.pending[n-1].bytes, q.fresh...)
		q.queued += len(q.fresh)
		q.fresh = q.fresh[:0]
	} else {
		q.pending = append(q.pending, item{bytes: q.fresh})
		q.queued += len(q.fresh)
		q.fresh = nil
	}
	if q.queued > q.t.cfg.MaxQueuedBytes && !q.aborted {
		q.abortLocked(fmt.Sprintf("%d bytes wait for the peer, more than the %d allowed", q.queued, q.t.cfg.MaxQueuedBytes))
	}
	q.wake.Signal()
}

func (q *quorumConn) abort() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.abortLocked("shutdown")
}

func (q *quorumConn) abortLocked(reason string) {
	q.aborted = true
	if q.reason == "" {
		q.reason = reason
	}
	if q.conn != nil {
		_ = q.conn.Close()
	}
	q.wake.Signal()
}

// write sends what is queued until the connection ends. It closes the connection at
// the end, which ends the reader too.
func (q *quorumConn) write(c net.Conn) {
	defer c.Close()
	for {
		items, stop := q.next()
		for i := range items {
			err := q.writeItem(c, &items[i], stop)
			if err != nil && !stop {
				q.mu.Lock()
				q.abortLocked(fmt.Sprintf("write to %s: %v", q.peer, err))
				q.mu.Unlock()
				stop = true
			}
		}
		if stop {
			return
		}
	}
}

// next waits for something to write. stop says that nothing may be written any more.
func (q *quorumConn) next() (items []item, stop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) == 0 && !q.closing && !q.aborted {
		q.idle = true
		q.wake.Wait()
	}
	q.idle = false
	items = q.pending
	q.pending, q.queued, q.traffic.QueuedPackets = nil, 0, 0
	return items, q.aborted || len(items) == 0
}

func (q *quorumConn) writeItem(c net.Conn, it *item, stop bool) error {
	if it.stream != nil {
		var w io.Writer = stallWriter{c, q.t.cfg.StallTimeout}
		if stop {
			w = failedWriter{}
		}
		return it.stream(w)
	}
	if stop {
		return net.ErrClosed
	}
	_, err := stallWriter{c, q.t.cfg.StallTimeout}.Write(it.bytes)
	return err
}

// stallWriter fails a write that makes no progress for too long. (A follower once hung
// in a write to a black-holed leader for as long as TCP let it: ZOOKEEPER-4074.)
type stallWriter struct {
	c       net.Conn
	timeout time.Duration
}

func (w stallWriter) Write(b []byte) (int, error) {
	// TLS takes no more writes once one came too late, so a step is what a slow link takes in time.
	const stepBytes = 64 << 10
	done := 0
	for done < len(b) {
		step := b[done:min(len(b), done+stepBytes)]
		_ = w.c.SetWriteDeadline(time.Now().Add(w.timeout))
		n, err := w.c.Write(step)
		done += n
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			continue // slow, not stalled
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
