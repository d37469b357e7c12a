package zk_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// network is a fake one: whoever dials gets a pipe, whose other end the test plays.
type network struct {
	t     *testing.T
	dials chan *peer
	down  bool // refuse whoever dials; set only while no dial is under way
}

func newNetwork(t *testing.T) *network { return &network{t: t, dials: make(chan *peer)} }

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if n.down {
		return nil, errors.New("refused")
	}
	ours, theirs := net.Pipe()
	select {
	case n.dials <- &peer{t: n.t, conn: ours, r: bufio.NewReader(ours), address: address}:
		return theirs, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// accept waits until the client dials.
func (n *network) accept() *peer {
	n.t.Helper()
	select {
	case p := <-n.dials:
		return p
	case <-time.After(time.Hour):
		n.t.Fatal("nobody dialled")
		return nil
	}
}

const (
	sessionID      = 0x1234
	sessionTimeout = 9 * time.Second
)

// connect gives a client with a session, and the server's end of its connection.
func (n *network) connect(opts ...zk.Option) (*zk.Client, *peer) {
	n.t.Helper()
	type result struct {
		c   *zk.Client
		err error
	}
	done := make(chan result)
	go func() {
		opts = append([]zk.Option{zk.WithDialer(n.dial), zk.WithSessionTimeout(sessionTimeout)}, opts...)
		c, err := zk.Connect(n.t.Context(), "server/root", opts...)
		done <- result{c, err}
	}()
	p := n.accept()
	p.welcome(sessionID)
	r := <-done
	if r.err != nil {
		n.t.Fatal(r.err)
	}
	return r.c, p
}

// peer is the server's end of one connection.
type peer struct {
	t       *testing.T
	conn    net.Conn
	r       *bufio.Reader
	address string
}

// frame reads one frame.
func (p *peer) frame() []byte {
	p.t.Helper()
	b, err := p.tryFrame()
	if err != nil {
		p.t.Fatalf("read a frame: %v", err)
	}
	return b
}

func (p *peer) tryFrame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(p.r, b)
	return b, err
}

// welcome answers the connect request and returns it.
func (p *peer) welcome(id int64) jute.ReadOnlyConnectRequest {
	p.t.Helper()
	return p.welcomeFor(id, sessionTimeout)
}

// welcomeFor is welcome with a session timeout.
func (p *peer) welcomeFor(id int64, timeout time.Duration) jute.ReadOnlyConnectRequest {
	p.t.Helper()
	var request jute.ReadOnlyConnectRequest
	if err := jute.Unmarshal(p.frame(), &request); err != nil {
		p.t.Fatal(err)
	}
	response := jute.ReadOnlyConnectResponse{HasReadOnly: true}
	response.SessionID = id
	response.Passwd = []byte("0123456789abcdef")
	if id != 0 {
		response.TimeoutMs = int32(timeout.Milliseconds())
	}
	p.send(jute.Marshal(&response))
	return request
}

// request reads a request and checks its operation; body may be nil.
func (p *peer) request(op jute.OpCode, body jute.Record) (xid int32) {
	p.t.Helper()
	d := jute.NewDecoder(p.frame())
	var header jute.RequestHeader
	header.Decode(d)
	if header.Type != op {
		p.t.Fatalf("the client asked %v, expected %v", header.Type, op)
	}
	if body != nil {
		body.Decode(d)
	}
	if d.Err() != nil {
		p.t.Fatal(d.Err())
	}
	return header.Xid
}

// send writes one frame; a closed connection is the client's matter.
func (p *peer) send(frame []byte) {
	_, _ = p.conn.Write(append(jute.AppendInt32(nil, int32(len(frame))), frame...))
}

func (p *peer) reply(xid int32, zxid int64, code jute.ErrorCode, body jute.Record) {
	header := jute.ReplyHeader{Xid: xid, Zxid: zxid, Err: code}
	frame := header.Append(nil)
	if body != nil {
		frame = body.Append(frame)
	}
	p.send(frame)
}

func (p *peer) event(kind zk.EventType, path string) {
	p.reply(jute.XidNotification, -1, 0, &jute.WatcherEvent{Type: kind, State: jute.StateSyncConnected, Path: path})
}

// pings answers pings until the connection ends, and tells when they came.
func (p *peer) pings() <-chan time.Time {
	times := make(chan time.Time, 100)
	go func() {
		defer close(times)
		for {
			b, err := p.tryFrame()
			if err != nil {
				return
			}
			times <- time.Now()
			if len(b) != 8 {
				p.t.Errorf("%x is no ping", b)
			}
			p.reply(jute.XidPing, 1, 0, nil)
		}
	}()
	return times
}

// closed waits until the client has closed the connection.
func (p *peer) closed() {
	p.t.Helper()
	for {
		if _, err := p.tryFrame(); err != nil {
			return
		}
	}
}

// leave ends a client at once, with nobody to say goodbye to.
func leave(c *zk.Client, p *peer) {
	p.conn.Close()
	c.Detach()
}
