package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"zoolab/internal/sock"
	"zoolab/node/auth"
	"zoolab/node/replica"
	"zoolab/zk/jute"
)

const (
	readBufferBytes = 4 << 10
	// maxConnectBytes bounds the first frame: a ConnectRequest has some 45 bytes, so that
	// nobody without a session can make the server wait for a megabyte.
	maxConnectBytes = 1 << 10
	// maxUnsentBytes is how much may wait for a client that does not read when one more
	// answer is added. That one may be larger by itself: the children of a znode are listed
	// in one answer, however many they are.
	maxUnsentBytes = 16 << 20
	// highUnsentBytes is how much of its own answers the reading goroutine lets wait
	// before it stops to write them, or to let somebody else do so.
	highUnsentBytes = 256 << 10
	// maxAllUnsentBytes is how much may wait for all clients for which more than
	// highUnsentBytes does. Beyond it, one that is to get more although fairUnsentBytes
	// wait for it is cut off.
	maxAllUnsentBytes = 128 << 20
	fairUnsentBytes   = 1 << 20
	// stepBytes is as much of a frame's length as is believed before anything of it came.
	stepBytes = 64 << 10
	// closeTimeout is how long a client has to take what is sent before its connection is closed.
	closeTimeout = 5 * time.Second
	// argumentTimeout is how long the rest of a four-letter word may take to come behind it.
	argumentTimeout = 200 * time.Millisecond
	// maxConnOutstanding bounds the requests of one client that wait for their outcome.
	maxConnOutstanding = 1000
	// keepBytes is the largest buffer that a connection keeps between answers.
	keepBytes = 32 << 10
)

// conn is a client's connection. It implements replica.Client.
type conn struct {
	s       *Server
	net     net.Conn
	direct  *sock.Writer // for who may not block; used by who has set writing
	raw     net.Conn     // what net encrypts, or net itself: closing it never waits
	secure  bool
	replica *replica.Conn
	since   time.Time
	shard   int // of the server's metrics

	// Owned by the reading goroutine. The event loop looks at serving in Reply, which it
	// never calls while the reader serves: the two take turns (replica.Conn.MayServe).
	serving     bool
	clock       time.Time // what it was when the reader last asked
	scratch     []byte    // body of a request that is answered at once
	deadlineSet time.Time
	servedOp    jute.OpCode // that of the request that is served now
	servedXid   int32
	servedAt    time.Time // when it came
	servedBytes int       // what waited for the client after the last answer that was served
	answerBytes int       // the size of that answer, 0 for an error
	reads       namespaces

	mu   sync.Mutex
	turn sync.Cond // the reader waits here: signalled when a field below allows it to go on
	out  []byte    // answers and events not yet given to a writer
	// late is the answer of the reader's that comes next, while it is made; what is queued
	// meanwhile, events, collects in behind.
	late    *lateAnswer
	behind  []byte
	writing bool // somebody writes: it will take what is in out, too
	// writingBytes is what that one has taken, accountedBytes what of all this is in
	// Server.unsentBytes.
	writingBytes   int
	accountedBytes int64
	// opening is when a new session was asked for; zero where an old one was. Written before the
	// request is submitted.
	opening  time.Time
	attached bool // the first frame was answered
	// Invariant: closing or dead implies len(inFlight) == 0, for nothing submitted before
	// is answered any more. Otherwise a reader could wait for room that only it can make.
	closing bool // close once out is written
	dead    bool // the connection is closed
	marked  bool // in Server.unflushed
	// inFlight has each request that waits for its outcome, oldest first. The throttle
	// counts as many.
	inFlight []submitted
	reason   string // why the server closed the connection
	stats    connStats

	received  atomic.Int64
	closesOwn atomic.Bool  // the client asked to close its session
	expiresMs atomic.Int64 // when a silent client is given up, in Unix time
}

// submitted is a request that waits for its outcome.
type submitted struct {
	at        time.Time
	op        jute.OpCode
	xid       int32
	heldBytes int64 // of a large request
}

// ConnInfo describes a connection for the cons and stat words.
type ConnInfo struct {
	Remote         string
	Secure         bool // encrypted with TLS
	Queued         int
	Received, Sent int64
	SessionID      int64
	TimeoutMs      int32
	Since          time.Time
	Expires        time.Time // when the connection is given up if nothing comes
	// Of the last answered request. Before the first they are 0; after a reset -1, an operation
	// that is none.
	LastXid    int32
	LastOp     jute.OpCode
	LastZxid   int64
	LastAnswer time.Time // zero before the first
	// Latencies of the answered requests in microseconds, 0 before the first.
	LastUs, LeastUs, MeanUs, MostUs int64
}

func (c *conn) info() ConnInfo {
	id, timeoutMs := c.replica.Session()
	c.mu.Lock()
	st := c.stats
	c.mu.Unlock()
	return ConnInfo{
		Remote: c.net.RemoteAddr().String(), Secure: c.secure, Queued: c.replica.Waiting(),
		Received: c.received.Load(), Sent: st.sent, SessionID: id, TimeoutMs: timeoutMs,
		Since: c.since, Expires: time.UnixMilli(c.expiresMs.Load()),
		LastXid: st.lastXid, LastOp: st.lastOp, LastZxid: st.lastZxid, LastAnswer: st.lastAnswer,
		LastUs: st.lastUs, LeastUs: st.leastUs, MostUs: st.mostUs, MeanUs: st.latencySumUs / max(1, st.answered),
	}
}

// SessionID returns the attached session's id, 0 before there is one. A watcher is told
// apart by it.
func (c *conn) SessionID() int64 {
	id, _ := c.replica.Session()
	return id
}

// resetStats forgets what the word cons shows.
func (c *conn) resetStats() {
	c.received.Store(0)
	c.mu.Lock()
	c.stats.reset()
	c.mu.Unlock()
}

var (
	errFrame = errors.New("a frame's length is out of bounds")
	// errNoRequest marks a connection that ended, or waited too long, with part of a
	// first frame: something else than a client.
	errNoRequest = errors.New("no whole connect request came")
	// errEnding ends the reader of a connection that is being closed anyway.
	errEnding = errors.New("the connection is being closed")
	// errTooManySessions ends a client that the connection throttle refuses.
	errTooManySessions = errors.New("too many sessions are asked for (connection_throttle_tokens)")
)

// serve runs a connection from its first byte to its end.
func (s *Server) serve(raw net.Conn, ip string, wants encryption) {
	defer s.leave(ip)
	s.mu.Lock()
	closed := s.closed
	s.opening[raw] = struct{}{}
	s.mu.Unlock()
	var c *conn
	err := net.ErrClosed
	if !closed {
		c, err = s.newConn(raw, ip, wants)
	}
	s.mu.Lock()
	delete(s.opening, raw)
	if err == nil && s.closed {
		err = net.ErrClosed
	}
	if err == nil {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if err != nil {
		_ = raw.Close()
		s.notOpened(raw.RemoteAddr().String(), err)
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	c.run()
}

// newConn opens a connection and knows who the client is as far as the transport can tell.
func (s *Server) newConn(raw net.Conn, ip string, wants encryption) (*conn, error) {
	opened, encrypted, ids, err := s.open(raw, wants)
	if err != nil {
		return nil, err
	}
	c := &conn{s: s, net: opened, raw: raw, secure: encrypted, since: time.Now(), shard: s.shards.deal()}
	if !encrypted {
		c.direct = sock.NewWriter(raw)
	}
	c.turn.L = &c.mu
	c.reads.all = &s.stats.m.ReadPerNamespace
	c.expiresMs.Store(c.since.Add(s.cfg.SessionlessTimeout).UnixMilli())
	c.replica = replica.NewConn(c, append([]jute.ID{auth.Address(ip)}, ids...)...)
	return c, nil
}

// run serves a connection whose peer is known.
func (c *conn) run() {
	_ = c.net.SetReadDeadline(time.Now().Add(c.s.cfg.SessionlessTimeout))
	br := bufio.NewReaderSize(c.net, readBufferBytes)
	connected, err := c.first(br)
	if !connected && errors.Is(err, os.ErrDeadlineExceeded) {
		c.s.stats.m.Sessionless.Add(1)
	}
	if connected {
		err = c.requests(br)
		c.s.hooks.Submit(replica.ClientClosed{Conn: c.replica})
	}
	c.end(err)
}

// end closes the connection and says so, once, where somebody should know.
func (c *conn) end(err error) {
	c.kill("")
	c.mu.Lock()
	reason := c.reason
	c.mu.Unlock()
	log, from := c.s.log, c.net.RemoteAddr().String()
	switch {
	case reason != "" && c.closesOwn.Load():
		log.Debug("a client closed its session", "from", from, "reason", reason)
	case reason != "":
		log.Info("closed a client's connection", "from", from, "reason", reason)
	case errors.Is(err, jute.ErrMalformed) || errors.Is(err, errFrame) || errors.Is(err, errNoRequest):
		log.Warn("closed a connection that does not speak the client protocol", "from", from, "err", err)
	case errors.Is(err, errTooManySessions) || errors.Is(err, errLargeRequests):
		log.Warn("refused a client", "from", from, "reason", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		log.Info("closed the connection of a silent client", "from", from, "err", err)
	default:
		c.s.stats.m.ConnectionsDropped.Add(1)
		log.Debug("a client's connection ended", "from", from, "err", err)
	}
}

// kill closes the connection at once, and wakes the reader wherever it waits.
func (c *conn) kill(reason string) {
	c.mu.Lock()
	c.killLocked(reason)
	c.mu.Unlock()
}

func (c *conn) killLocked(reason string) {
	c.dead = true
	if c.reason == "" {
		c.reason = reason
	}
	c.out, c.behind = nil, nil
	c.account()
	c.release()
	_ = c.raw.Close()
}

// release gives up waiting for outcomes. c.mu is held.
func (c *conn) release() {
	c.s.throttle.leave(int64(len(c.inFlight)))
	for _, q := range c.inFlight {
		c.s.large.release(q.heldBytes)
	}
	c.inFlight = nil
	c.turn.Signal()
}

// first reads a four-letter word, which ends the connection, or a ConnectRequest, and
// waits for its answer: what a client sends behind it must find its session attached.
func (c *conn) first(br *bufio.Reader) (connected bool, err error) {
	head, err := br.Peek(4)
	if err != nil {
		if len(head) > 0 {
			err = fmt.Errorf("%w: %w", errNoRequest, err)
		}
		return false, err
	}
	if size := binary.BigEndian.Uint32(head); size > uint32(c.s.cfg.MaxFrameBytes) {
		_ = c.net.SetWriteDeadline(time.Now().Add(closeTimeout))
		_ = c.net.SetReadDeadline(time.Now().Add(argumentTimeout))
		c.countIn(len(head))
		word := string(head)
		_, _ = br.Discard(len(head))
		if c.s.hooks.FourLetterWord(word, br, c.net) {
			c.s.stats.m.PacketsSent.Add(1)
			_ = c.net.Close() // TLS says goodbye, so that nobody takes the answer for half of one
			return false, nil
		}
		return false, fmt.Errorf("%w: %w: %q is neither a four-letter word nor the length of a connect request", errNoRequest, errFrame, word)
	}
	frame, err := c.frame(br, nil, min(maxConnectBytes, c.s.cfg.MaxFrameBytes))
	if err != nil {
		return false, fmt.Errorf("%w: %w", errNoRequest, err)
	}
	c.countIn(len(frame))
	var req jute.ReadOnlyConnectRequest
	d := jute.NewRequestDecoder(frame) // more may follow: later versions of the record are longer
	if req.Decode(d); d.Err() != nil {
		return false, fmt.Errorf("connect request: %w", d.Err())
	}
	deficit, ok := c.s.sessions.take(time.Since(c.s.began).Milliseconds(), req.SessionID != 0)
	if !ok {
		c.s.stats.m.ConnectionsRejected.Add(1)
		return false, errTooManySessions
	}
	c.s.stats.m.TokenDeficit.Observe(int64(deficit))
	c.s.stats.m.ConnectRequests.Add(1)
	if req.SessionID == 0 {
		c.opening = time.Now()
	}
	c.s.hooks.Submit(replica.ClientConnect{Conn: c.replica, Request: req})
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.attached && !c.closing && !c.dead {
		c.turn.Wait()
	}
	return true, nil
}

// size returns the length of the frame that comes next, once its first bytes are there.
func (c *conn) size(br *bufio.Reader, mostBytes int) (int, error) {
	head, err := br.Peek(4)
	if err != nil {
		return 0, err
	}
	size := int32(binary.BigEndian.Uint32(head))
	if size < 0 || int(size) > mostBytes {
		return 0, fmt.Errorf("%w: %d bytes, at most %d allowed (jute.maxbuffer)", errFrame, size, mostBytes)
	}
	return int(size), nil
}

// frame reads one frame into buf, or into a new slice where it is too small. A length is
// believed only as far as bytes follow it.
func (c *conn) frame(br *bufio.Reader, buf []byte, mostBytes int) ([]byte, error) {
	size, err := c.size(br, mostBytes)
	if err != nil {
		return nil, err
	}
	_, _ = br.Discard(4)
	if size <= stepBytes {
		buf = slices.Grow(buf[:0], size)[:size]
		_, err := io.ReadFull(br, buf)
		return buf, err
	}
	return longFrame(br, size)
}

// longFrame reads a frame in pieces, which are put together once all came: what is
// announced and not sent takes no memory.
func longFrame(r io.Reader, size int) ([]byte, error) {
	var pieces [][]byte
	for left := size; left > 0; left -= stepBytes {
		piece := make([]byte, min(left, stepBytes))
		if _, err := io.ReadFull(r, piece); err != nil {
			return nil, err
		}
		pieces = append(pieces, piece)
	}
	return slices.Concat(pieces...), nil
}

const (
	lengthBytes = 4 // before each frame
	headerBytes = 8 // of a request
)

// requests reads requests until the connection ends.
func (c *conn) requests(br *bufio.Reader) error {
	for {
		waits := wholeFrameWaits(br)
		if !waits {
			c.flush()
			c.clock = time.Now()
		}
		c.extendDeadline(c.clock)
		if err := c.request(br, waits); err != nil {
			return err
		}
	}
}

// wholeFrameWaits reports whether the next frame can be read without waiting.
func wholeFrameWaits(br *bufio.Reader) bool {
	if br.Buffered() < 4 {
		return false
	}
	head, _ := br.Peek(4)
	return int64(br.Buffered()) >= 4+int64(binary.BigEndian.Uint32(head))
}

// request reads one request and answers it or hands it over. One that waits already
// came when the reader turned to it: to ask for the time is not cheap.
func (c *conn) request(br *bufio.Reader, waits bool) error {
	size, err := c.size(br, c.s.cfg.MaxFrameBytes)
	if err != nil {
		return err
	}
	if size < headerBytes {
		return fmt.Errorf("%w: a request of %d bytes has no header", jute.ErrMalformed, size)
	}
	if !c.s.large.fits(size) {
		return c.tooLarge()
	}
	head, err := br.Peek(4 + headerBytes)
	if err != nil {
		return err
	}
	if !waits {
		c.clock = time.Now()
	}
	now := c.clock
	h := jute.RequestHeader{
		Xid:  int32(binary.BigEndian.Uint32(head[4:])),
		Type: jute.OpCode(binary.BigEndian.Uint32(head[8:])),
	}
	// What is answered here needs its body no longer; a transaction's is kept.
	mayServe := c.replica.MayServe(h.Type)
	var buf []byte
	if mayServe {
		buf = c.scratch
	}
	frame, err := c.frame(br, buf, c.s.cfg.MaxFrameBytes)
	if err != nil {
		return err
	}
	c.countIn(len(frame))
	heldBytes, ok := c.s.large.hold(size)
	if !ok {
		return c.tooLarge()
	}
	body := frame[headerBytes:]
	if !mayServe {
		return c.submit(h, body, submitted{now, h.Type, h.Xid, heldBytes})
	}
	if cap(frame) <= keepBytes {
		c.scratch = frame
	}
	c.serving, c.servedAt, c.answerBytes = true, now, 0
	c.servedOp, c.servedXid = h.Type, h.Xid
	c.s.hooks.Replica.Serve(c.replica, h, body)
	c.finishLate()
	c.serving = false
	c.s.large.release(heldBytes)
	if c.answerBytes > 0 {
		if path, sizeBytes := readOf(h.Type, body, c.answerBytes); path != nil {
			c.reads.read(path, sizeBytes)
		}
	}
	if c.servedBytes > highUnsentBytes {
		c.flushOrWait()
	}
	return nil
}

// tooLarge counts a large request for which there is no room.
func (c *conn) tooLarge() error {
	c.s.stats.m.LargeRejected.Add(1)
	return errLargeRequests
}

// submit gives a request to the event loop, waiting while too many others are there.
func (c *conn) submit(h jute.RequestHeader, body []byte, q submitted) error {
	c.mu.Lock()
	for len(c.inFlight) >= maxConnOutstanding {
		c.turn.Wait()
	}
	c.mu.Unlock()
	throttled, ok := c.letIn(q)
	if !ok {
		c.s.large.release(q.heldBytes)
		return errEnding
	}
	c.mu.Lock()
	ending := c.ends()
	if !ending {
		c.inFlight = append(c.inFlight, q)
	}
	c.mu.Unlock()
	if ending {
		c.s.throttle.leave(1)
		c.s.large.release(q.heldBytes)
		return errEnding
	}
	if h.Type == jute.OpCloseSession {
		c.closesOwn.Store(true)
	}
	c.replica.Submitted()
	c.s.hooks.Submit(replica.ClientRequest{Conn: c.replica, Header: h, Body: body, Throttled: throttled})
	return nil
}

// letIn waits until a request is let in, and reports whether that took too long for it to
// be carried out. A stale request may not be let in any more: that ends its connection.
func (c *conn) letIn(q submitted) (throttled, ok bool) {
	m, rules := c.s.stats.m, &c.s.cfg.Requests
	if c.s.throttle.tryEnter() {
		m.ThrottleQueueTime.ObserveAt(c.shard, 0)
		return false, true
	}
	c.flush()
	began := time.Now()
	if !c.s.throttle.enter(rules.Stall, func() bool {
		m.ThrottleWaits.Add(1)
		return rules.MaxRequests <= 0 || !rules.DropStale || !c.stale(q)
	}) {
		m.StaleDropped.Add(1)
		c.kill("one of its requests became stale while it waited to be let in (request_throttle_drop_stale)")
		return false, false
	}
	if c.stale(q) {
		m.StaleRequests.Add(1)
	}
	waited := time.Since(began)
	m.ThrottleQueueTime.ObserveAt(c.shard, waited.Microseconds())
	throttled = rules.OpWait > 0 && waited > rules.OpWait && q.op != jute.OpPing && q.op != jute.OpCloseSession
	if throttled {
		m.ThrottledOps.Add(1)
	}
	return throttled, true
}

// stale reports whether nobody waits for a request's answer any more.
func (c *conn) stale(q submitted) bool {
	rules := &c.s.cfg.Requests
	if q.op == jute.OpCloseSession {
		return false
	}
	if rules.StaleConnection {
		c.mu.Lock()
		ending := c.ends()
		c.mu.Unlock()
		if ending {
			return true
		}
	}
	_, timeoutMs := c.replica.Session()
	return rules.StaleLatency && time.Since(q.at) > time.Duration(timeoutMs)*time.Millisecond
}

// ends reports whether the connection is closed, or about to be. c.mu is held.
func (c *conn) ends() bool { return c.dead || c.closing }

// extendDeadline gives up a client from which nothing came for its session's whole
// timeout: by then the session has expired, here or on the member that the client moved to.
func (c *conn) extendDeadline(now time.Time) {
	_, timeoutMs := c.replica.Session()
	timeout := time.Duration(timeoutMs) * time.Millisecond
	if timeoutMs == 0 || now.Sub(c.deadlineSet) < timeout/4 {
		return
	}
	c.deadlineSet = now
	deadline := now.Add(timeout + timeout/4)
	c.expiresMs.Store(deadline.UnixMilli())
	_ = c.net.SetReadDeadline(deadline)
}

func (c *conn) countIn(sizeBytes int) {
	c.received.Add(1)
	c.s.stats.m.PacketsReceived.AddAt(c.shard, 1)
	c.s.stats.m.BytesReceived.AddAt(c.shard, int64(sizeBytes))
}
