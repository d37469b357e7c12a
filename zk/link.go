package zk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"zoolab/internal/sock"
	"zoolab/zk/jute"
)

const (
	readBufferBytes = 64 << 10
	// batchBytes is how much is handed to a connection at a time. What is not in
	// the batch stays queued, and so certainly did not happen.
	batchBytes = 64 << 10
	// keepBytes is the largest write buffer that is kept between batches.
	keepBytes       = 1 << 20
	passwordBytes   = 16
	headerSizeBytes = 4
)

var errServerClosed = errors.New("the server closed the connection")

// link is one connection of the session. One goroutine reads. What callers ask they write
// themselves where that does not wait, and leave to the writer, a goroutine, where it does.
type link struct {
	c      *Client
	server string
	conn   net.Conn
	socket *sock.Writer // of conn; nil if it is more than a socket
	frames frameReader
	// decoder belongs to the reader; it is here so that a frame costs no allocation.
	decoder jute.Decoder

	// What the server has granted; set before serve.
	granted      jute.ConnectResponse
	readOnly     bool
	timeout      time.Duration // of the session
	greetedAt    time.Time     // when the connect request was sent
	readTimeout  time.Duration
	pingInterval time.Duration
	// authenticated says that SASL has been used.
	authenticated bool

	// What goes out before any call; set before serve.
	credentials []credential
	watches     []*jute.SetWatches2

	out []byte // belongs to the sender: what is encoded and not yet written

	// Guarded by Client.mu.
	sender sender
	sentAt time.Time // when something was put into out
	cause  error     // why the client itself has ended the connection
	mark   mark

	// What was handed to the connection and is not yet answered, oldest first. Both
	// are guarded by Client.mu. Credentials are answered out of the calls' order.
	inflight fifo
	authing  fifo
	resent   []credential // credentials of the greeting that wait for an answer
}

// sender says who writes to the connection. A caller that has written looks into the queue
// again, and leaves to the writer what is there. So does the writer, which alone may wait.
// Who has failed stays the sender: nothing more is handed to a connection that is broken.
type sender uint8

const (
	senderWriter sender = iota // from the beginning, for the greeting
	senderCaller
	senderNobody // Invariant: then out is empty, and so is the queue, or the writer has been woken
)

// mark is a request whose answer will tell that the session was alive when it was sent.
type mark struct {
	xid    int32
	sentAt time.Time // zero if there is no mark
}

// open connects to a server and makes or takes over the session; readOnly says whether
// a server without a quorum will do.
func (c *Client) open(ctx context.Context, server string, readOnly bool) (*link, error) {
	timeout := c.connectTimeout
	if timeout == 0 {
		c.mu.Lock()
		timeout = c.sessionTimeout / time.Duration(len(c.hosts.servers))
		c.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := c.dialServer(ctx, server)
	if err != nil {
		return nil, err
	}
	l := &link{c: c, server: server, conn: conn}
	if tcp, ok := conn.(*net.TCPConn); ok { // and nothing around it that has to see what is written
		l.socket = sock.NewWriter(tcp)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := l.handshake(readOnly); err != nil {
		conn.Close()
		if ctx.Err() != nil && !errors.Is(err, ErrSessionExpired) && !errors.Is(err, errSASL) {
			err = fmt.Errorf("no answer to the connect request in %v", timeout)
		}
		return nil, err
	}
	if ctx.Err() != nil {
		conn.Close()
		return nil, ctx.Err()
	}
	return l, nil
}

// handshake sends the connect request and keeps what the server grants.
func (l *link) handshake(readOnly bool) error {
	c := l.c
	c.mu.Lock()
	session, known := c.sessionLocked(), c.known
	c.mu.Unlock()
	request := jute.ReadOnlyConnectRequest{HasReadOnly: true, ReadOnly: readOnly}
	request.LastZxidSeen = session.LastZxid
	request.TimeoutMs = int32(c.sessionTimeout.Milliseconds())
	if known {
		request.SessionID = session.ID
		request.Passwd = session.Password
	}
	if request.Passwd == nil {
		request.Passwd = make([]byte, passwordBytes)
	}
	l.greetedAt = time.Now()
	if _, err := l.conn.Write(appendFrame(nil, &request)); err != nil {
		return err
	}
	l.frames = frameReader{maxSizeBytes: c.maxReplySizeBytes,
		r: bufio.NewReaderSize(&deadlineReader{l: l}, readBufferBytes)}
	frame, err := l.frames.next()
	if err != nil {
		return err
	}
	var response jute.ReadOnlyConnectResponse
	if err := jute.Unmarshal(frame, &response); err != nil {
		return fmt.Errorf("connect response: %w", err)
	}
	switch {
	case response.ReadOnly && !readOnly:
		return errors.New("the server is read-only")
	case response.TimeoutMs > 0 && response.SessionID != 0:
		l.grant(&response)
		if c.sasl != nil {
			return l.authenticate(*c.sasl)
		}
		return nil
	case known && !response.ReadOnly:
		return ErrSessionExpired
	}
	return errors.New("the server refused a new session")
}

// grant keeps what the server has answered with.
func (l *link) grant(response *jute.ReadOnlyConnectResponse) {
	l.granted = response.ConnectResponse
	l.granted.Passwd = jute.Clone(response.Passwd)
	l.readOnly = response.ReadOnly
	l.timeout = time.Duration(response.TimeoutMs) * time.Millisecond
	l.pingInterval = l.timeout / 3
	l.readTimeout = l.c.readTimeout
	if l.readTimeout == 0 {
		l.readTimeout = l.timeout * 2 / 3
	}
}

// greet keeps what tells a server about the session: credentials, then watches. The caller
// holds Client.mu.
func (l *link) greet(auths []credential, watches []*jute.SetWatches2) {
	l.resent = append(l.resent, auths...)
	l.credentials, l.watches = append(l.credentials, auths...), watches
	l.sentAt = time.Now()
}

// abandon ends the connection for a reason of the client's own; the caller holds
// Client.mu.
func (l *link) abandon(cause error) {
	if l.cause == nil {
		l.cause = cause
	}
	l.conn.Close()
}

// serve carries calls and answers until the connection ends, and says why it did.
func (l *link) serve(ctx context.Context) error {
	stopped := context.AfterFunc(ctx, func() { l.conn.Close() })
	defer stopped()
	var wg sync.WaitGroup
	dead := make(chan struct{})
	var writeErr error
	wg.Go(func() {
		writeErr = l.write(dead)
		l.conn.Close() // wakes the reader
	})
	err := l.read()
	close(dead)
	l.conn.Close() // wakes the writer
	wg.Wait()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		l.c.mu.Lock()
		cause := l.cause
		l.c.mu.Unlock()
		if cause != nil {
			return cause
		}
		if writeErr != nil {
			return writeErr
		}
	}
	return err
}

// write sends what is queued, and pings when there is nothing, until the connection
// or dead ends it.
func (l *link) write(dead <-chan struct{}) error {
	ping := time.NewTimer(l.pingInterval)
	defer ping.Stop()
	if err := l.writeGreeting(); err != nil {
		return err
	}
	for {
		if l.take() {
			if err := l.flush(); err != nil {
				return err
			}
			continue
		}
		select {
		case <-l.c.wake:
		case <-ping.C:
			ping.Reset(l.ping())
		case <-dead:
			return nil
		}
	}
}

// take lets the writer be the sender, unless a caller is or there is nothing to send.
func (l *link) take() bool {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.sender == senderCaller {
		return false
	}
	l.fill()
	if len(l.out) == 0 {
		l.sender = senderNobody
		return false
	}
	l.sender = senderWriter
	return true
}

// send writes what is queued, as far as the connection takes it at once. The caller holds
// Client.mu, which is free while it writes.
func (l *link) send() {
	if l.sender != senderNobody {
		return // who looks into the queue when it is done
	}
	l.sender = senderCaller
	l.fill()
	l.c.mu.Unlock()
	n, err := l.socket.TryWrite(l.out)
	l.c.mu.Lock()
	if err != nil {
		l.abandon(fmt.Errorf("write: %w", err))
		return
	}
	l.written(n)
	l.sender = senderNobody
	if len(l.out) > 0 || l.c.queue.len() > 0 {
		l.sender = senderWriter
		l.c.wakeWriter()
	}
}

// writeGreeting sends what goes before any call. What is sent with the last of it
// follows in the same write.
func (l *link) writeGreeting() error {
	for _, a := range l.credentials {
		l.out = appendRequest(l.out, jute.XidAuth, jute.OpAuth, &jute.AuthPacket{Scheme: a.scheme, Auth: a.auth})
	}
	for _, frame := range l.watches {
		if len(l.out) > batchBytes {
			if err := l.flush(); err != nil {
				return err
			}
		}
		op, record := setWatches(frame)
		l.out = appendRequest(l.out, jute.XidSetWatches, op, record)
	}
	l.credentials, l.watches = nil, nil
	return nil
}

// ping puts a ping into the batch if nothing was sent for the interval, and returns after
// which time that has to be looked at again.
func (l *link) ping() time.Duration {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	now := time.Now()
	if idle := now.Sub(l.sentAt); idle < l.pingInterval {
		return l.pingInterval - idle
	}
	if l.sender == senderNobody {
		l.out = appendRequest(l.out, jute.XidPing, jute.OpPing, nil)
		l.sender, l.sentAt = senderWriter, now
		l.setMark(jute.XidPing)
	}
	return l.pingInterval
}

// setMark lets the answer to a request that is about to be sent tell that the session
// was alive by now, unless an older request is to tell. The caller holds Client.mu.
func (l *link) setMark(xid int32) {
	if l.mark.sentAt.IsZero() {
		l.mark = mark{xid, l.sentAt}
	}
}

// flush writes the batch, however long that takes.
func (l *link) flush() error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.readTimeout)); err != nil {
		return err
	}
	n, err := l.conn.Write(l.out)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	l.written(n)
	return l.conn.SetWriteDeadline(time.Time{}) // what a caller writes later has none
}

// written takes what was written from the batch.
func (l *link) written(n int) {
	l.out = append(l.out[:0], l.out[n:]...)
	if cap(l.out) > keepBytes && len(l.out) == 0 {
		l.out = nil
	}
}

// fill moves calls from the queue to the batch. Their requests are encoded under the
// lock, since a caller whose context ends may change its data at once. The caller holds
// Client.mu.
func (l *link) fill() {
	c := l.c
	if c.queue.len() > 0 {
		l.sentAt = time.Now()
	}
	for c.queue.len() > 0 && len(l.out) < batchBytes {
		k := c.queue.pop()
		k.xid = l.xid(k.op)
		start := len(l.out)
		l.out = appendRequest(l.out, k.xid, k.op, k.req)
		if size := len(l.out) - start - headerSizeBytes; size > c.maxRequestSizeBytes {
			l.out = l.out[:start]
			k.fail(fmt.Errorf("%w: %d bytes, at most %d allowed", ErrRequestTooLarge, size, c.maxRequestSizeBytes), false)
			continue
		}
		k.state = callSent
		if k.op == jute.OpAuth {
			l.authing.push(k)
		} else {
			l.inflight.push(k)
			l.setMark(k.xid)
		}
	}
}

// xid numbers a request: from 1 up, and never one of the negative, special ones. Numbers go on
// over the client's connections: Apache's servers tell the answers to a session's requests apart
// by them alone, also those to what was sent before the session moved. The caller holds
// Client.mu.
func (l *link) xid(op jute.OpCode) int32 {
	if op == jute.OpAuth {
		return jute.XidAuth
	}
	c := l.c
	c.lastXid++
	if c.lastXid <= 0 {
		c.lastXid = 1
	}
	return c.lastXid
}

// read takes what the server sends until the connection ends.
func (l *link) read() error {
	for {
		frame, err := l.frames.next()
		if err != nil {
			return l.readError(err)
		}
		if err := l.receive(frame); err != nil {
			return fmt.Errorf("the server broke the protocol: %w", err)
		}
	}
}

func (l *link) readError(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF):
		return errServerClosed
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("the server was silent for %v", l.readTimeout)
	}
	return err
}

// receive handles one frame: an answer or an event.
func (l *link) receive(frame []byte) error {
	d := &l.decoder
	*d = *jute.NewDecoder(frame)
	var header jute.ReplyHeader
	header.Decode(d)
	if err := d.Err(); err != nil {
		return fmt.Errorf("reply header: %w", err)
	}
	if header.Xid == jute.XidNotification {
		return l.c.notify(header.Zxid, d)
	}
	k, err := l.answered(&header)
	if header.Xid == jute.XidAuth && header.Err != jute.CodeOK {
		l.c.tell(SessionEvent{State: StateAuthFailed, Server: l.server, Session: l.c.Session(), Err: header.Err})
	}
	if err != nil || k == nil {
		return err
	}
	if header.Err != jute.CodeOK {
		l.c.settle(k, header.Err)
		k.fail(header.Err, !Refusal(header.Err))
		return nil
	}
	if k.resp != nil {
		k.resp.Decode(d)
		if d.Err() != nil || d.Len() > 0 {
			err := fmt.Errorf("%w: answer to %v with %d bytes too many: %v", jute.ErrMalformed, k.op, d.Len(), d.Err())
			k.fail(lost(err), true)
			return err
		}
	}
	l.c.settle(k, jute.CodeOK)
	k.done <- struct{}{}
	return nil
}

// answered finds the call that a reply is for and marks it answered; nil if the reply
// is for something that nobody waits for.
func (l *link) answered(header *jute.ReplyHeader) (*call, error) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.LastZxid, c.told = max(c.session.LastZxid, header.Zxid), max(c.told, header.Zxid)
	if header.Xid == l.mark.xid && !l.mark.sentAt.IsZero() {
		c.heardAt, l.mark = l.mark.sentAt, mark{}
	}
	var k *call
	switch header.Xid {
	case jute.XidPing:
		return nil, nil
	case jute.XidSetWatches:
		if header.Err != jute.CodeOK {
			return nil, fmt.Errorf("setWatches: %w", header.Err)
		}
		return nil, nil
	case jute.XidAuth:
		if len(l.resent) > 0 {
			return nil, l.resentAnswered(header.Err)
		}
		k = l.authing.pop()
		if k != nil && header.Err == jute.CodeOK {
			// Kept before the caller knows, so that no later connection misses it.
			packet := k.req.(*jute.AuthPacket)
			c.auths = append(c.auths, credential{packet.Scheme, packet.Auth})
		}
	default:
		if k = l.inflight.peek(); k != nil && k.xid != header.Xid {
			return nil, fmt.Errorf("%w: answer with xid %d, expected %d", jute.ErrMalformed, header.Xid, k.xid)
		}
		l.inflight.pop()
	}
	if k == nil {
		return nil, fmt.Errorf("%w: answer with xid %d to nothing that was asked", jute.ErrMalformed, header.Xid)
	}
	k.state, k.zxid = callAnswered, header.Zxid
	return k, nil
}

// resentAnswered takes the answer to a credential of the greeting; the caller holds
// Client.mu. A refused one is dropped, for the server closes the connection and would
// refuse it again.
func (l *link) resentAnswered(code jute.ErrorCode) error {
	refused := l.resent[0]
	l.resent = l.resent[1:]
	if code == jute.CodeOK {
		return nil
	}
	l.c.auths = slices.DeleteFunc(l.c.auths, func(a credential) bool {
		return a.scheme == refused.scheme && bytes.Equal(a.auth, refused.auth)
	})
	return fmt.Errorf("the %s credential was refused: %w", refused.scheme, code)
}

// deadlineReader gives up a silent connection.
type deadlineReader struct{ l *link }

func (r *deadlineReader) Read(b []byte) (int, error) {
	if timeout := r.l.readTimeout; timeout > 0 { // during the handshake the context counts
		if err := r.l.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			return 0, err
		}
	}
	return r.l.conn.Read(b)
}

// frameReader splits a stream into frames.
type frameReader struct {
	r            *bufio.Reader
	maxSizeBytes int
	held         int    // bytes of the buffer that the last frame occupies
	large        []byte // a frame that does not fit into the buffer
}

// next returns the next frame, which is valid until the following call.
func (f *frameReader) next() ([]byte, error) {
	if _, err := f.r.Discard(f.held); err != nil {
		return nil, err
	}
	f.held, f.large = 0, nil
	head, err := f.r.Peek(headerSizeBytes)
	if err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head)))
	if size < 0 || size > f.maxSizeBytes {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d allowed", jute.ErrMalformed, size, f.maxSizeBytes)
	}
	if size <= f.r.Size()-headerSizeBytes {
		frame, err := f.r.Peek(headerSizeBytes + size)
		if err != nil {
			return nil, err
		}
		f.held = len(frame)
		return frame[headerSizeBytes:], nil
	}
	if _, err := f.r.Discard(headerSizeBytes); err != nil {
		return nil, err
	}
	return f.readLarge(size)
}

// readLarge reads a frame of its own memory, which grows only as bytes arrive.
func (f *frameReader) readLarge(size int) ([]byte, error) {
	const step = 1 << 20
	for len(f.large) < size {
		n := min(size-len(f.large), step)
		f.large = append(f.large, make([]byte, n)...)
		if _, err := io.ReadFull(f.r, f.large[len(f.large)-n:]); err != nil {
			return nil, err
		}
	}
	return f.large, nil
}

func appendFrame(b []byte, r jute.Record) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = r.Append(b)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-headerSizeBytes))
	return b
}

func appendRequest(b []byte, xid int32, op jute.OpCode, r jute.Record) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	header := jute.RequestHeader{Xid: xid, Type: op}
	b = header.Append(b)
	if r != nil {
		b = r.Append(b)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-headerSizeBytes))
	return b
}
