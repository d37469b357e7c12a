package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// electionPeer is another member as the election port sees it. A pair of members keeps
// one connection, the one that the member with the larger sid opened: a smaller sid's
// is taken as a wish to be called, closed and dialled back.
//
// Only the newest vote matters, so one is kept for each peer; it is sent again whenever
// a connection is made, since nobody knows what became of the last one's bytes.
type electionPeer struct {
	t       *Transport
	sid     int64
	address string

	mu      sync.Mutex
	vote    []byte // newest frame, nil before the first
	fresh   bool   // vote was not yet written to conn
	conn    net.Conn
	wake    chan struct{} // of the current conn's writer, capacity 1
	dialing bool
	nudge   chan struct{} // ends the dialer's pause, capacity 1
	stopped bool
}

// Pauses between attempts to reach a peer that was talked to before: it is likely
// restarting, and an election goes on without it meanwhile.
const (
	redialFirst = 50 * time.Millisecond
	redialMost  = 2 * time.Second
)

// SendNotification queues a vote in place of an older one.
func (t *Transport) SendNotification(to int64, n *jute.Notification) {
	p := t.election[to]
	if p == nil {
		return
	}
	frame := n.Append(make([]byte, 4, 64+len(n.Config)))
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vote, p.fresh = frame, true
	if p.conn != nil {
		p.signal()
		return
	}
	p.startDialing(0)
}

func (p *electionPeer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// startDialing dials after a pause unless somebody does already; without a pause it ends
// the one of whoever does. p.mu is held.
func (p *electionPeer) startDialing(pause time.Duration) {
	if p.dialing && pause == 0 {
		select {
		case p.nudge <- struct{}{}:
		default:
		}
	}
	if p.dialing || p.stopped {
		return
	}
	p.dialing = true
	p.t.running.Go(func() { p.dialUntilConnected(pause) })
}

func (p *electionPeer) dialUntilConnected(pause time.Duration) {
	for {
		select {
		case <-time.After(pause):
		case <-p.nudge:
		case <-p.t.ctx.Done():
			return
		}
		p.mu.Lock()
		if p.conn != nil || p.stopped {
			p.dialing = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if err := p.dialOnce(); err == nil {
			p.mu.Lock()
			p.dialing = false
			p.mu.Unlock()
			return
		} else {
			p.t.log.Debug("can't reach a peer's election port", "member", p.sid, "address", p.address, "err", err)
		}
		pause = min(max(2*pause, redialFirst), redialMost)
	}
}

// dialOnce says who we are; the connection stays only if our sid is the larger one.
func (p *electionPeer) dialOnce() error {
	c, err := p.t.dial(p.address)
	if err != nil {
		return err
	}
	hello := jute.InitialMessage{
		ProtocolVersion: jute.ElectionProtocolV1,
		ServerID:        p.t.cfg.SID,
		Addresses:       p.t.cfg.Members[p.t.cfg.SID].Election,
	}
	_ = c.SetWriteDeadline(time.Now().Add(p.t.cfg.StallTimeout))
	if _, err := c.Write(jute.Marshal(&hello)); err != nil {
		_ = c.Close()
		return err
	}
	if p.sid > p.t.cfg.SID {
		return c.Close()
	}
	p.adopt(c, bufio.NewReader(c))
	return nil
}

// acceptElection takes a connection that some member opened to our election port.
func (t *Transport) acceptElection(c net.Conn) {
	t.mu.Lock()
	t.accepted[c] = struct{}{}
	stopping := t.ctx.Err() != nil
	t.mu.Unlock()
	if stopping {
		_ = c.Close() // Shutdown may have looked before this connection was there to be seen
	}
	t.running.Go(func() {
		br := bufio.NewReaderSize(c, helloBufferBytes)
		p, err := t.readHello(c, br)
		t.mu.Lock()
		delete(t.accepted, c)
		t.mu.Unlock()
		switch {
		case err != nil:
			_ = c.Close()
			t.log.Warn("closed a connection to the election port that no peer opened", "from", c.RemoteAddr().String(), "err", err)
		case p.sid > t.cfg.SID:
			p.adopt(c, br)
		default:
			_ = c.Close()
			p.callBack()
		}
	})
}

// readHello reads who calls, who must say so soon.
func (t *Transport) readHello(c net.Conn, br *bufio.Reader) (*electionPeer, error) {
	t.startHello(c)
	defer t.endHello(c)
	_ = c.SetReadDeadline(time.Now().Add(t.cfg.StallTimeout))
	hello, err := readInitialMessage(br)
	_ = c.SetReadDeadline(time.Time{})
	if err != nil {
		return nil, t.whyHelloEnded(err)
	}
	if hello.ServerID == t.cfg.SID {
		return nil, fmt.Errorf("it says that it is member %d, which is us", hello.ServerID)
	}
	p := t.election[hello.ServerID]
	if p == nil {
		return nil, fmt.Errorf("member %d is not in our configuration", hello.ServerID)
	}
	return p, nil
}

// callBack dials a peer with a smaller sid, which asked for it by calling. It has no
// connection to us, or it would not have called: what we hold is dead.
func (p *electionPeer) callBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropConn()
	p.startDialing(0)
}

// readInitialMessage reads the first message, whose length only its fields tell.
func readInitialMessage(br *bufio.Reader) (jute.InitialMessage, error) {
	var m jute.InitialMessage
	r := jute.NewReader(br, jute.MaxInitialMessageBytes)
	m.ProtocolVersion = r.Int64()
	if r.Err() == nil && m.ProtocolVersion >= 0 {
		m.ServerID = m.ProtocolVersion
		return m, nil
	}
	if r.Err() == nil && m.ProtocolVersion != jute.ElectionProtocolV1 && m.ProtocolVersion != jute.ElectionProtocolV2 {
		return m, fmt.Errorf("%w: election protocol version %d", jute.ErrMalformed, m.ProtocolVersion)
	}
	m.ServerID = r.Int64()
	m.Addresses = r.String()
	return m, r.Err()
}

// adopt makes c the connection to the peer in place of an older one, sends the newest vote
// on it and serves it.
func (p *electionPeer) adopt(c net.Conn, br *bufio.Reader) {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		_ = c.Close()
		return
	}
	p.dropConn()
	wake := make(chan struct{}, 1)
	p.conn, p.wake = c, wake
	p.fresh = p.vote != nil
	p.signal()
	p.mu.Unlock()
	p.t.running.Go(func() { p.write(c, wake) })
	p.t.running.Go(func() {
		err := p.read(br)
		if errors.Is(err, jute.ErrMalformed) {
			p.t.log.Warn("closed an election connection that sent a malformed message", "member", p.sid, "err", err)
		}
		p.lost(c)
	})
}

func (p *electionPeer) write(c net.Conn, wake chan struct{}) {
	w := stallWriter{c, p.t.cfg.StallTimeout}
	for {
		select {
		case <-wake:
		case <-p.t.ctx.Done():
			_ = c.Close()
			return
		}
		p.mu.Lock()
		if p.conn != c {
			p.mu.Unlock()
			return
		}
		frame := p.vote
		send := p.fresh
		p.fresh = false
		p.mu.Unlock()
		if !send {
			continue
		}
		if _, err := w.Write(frame); err != nil {
			_ = c.Close() // the reader sees it and reports the loss
			return
		}
	}
}

func (p *electionPeer) read(br *bufio.Reader) error {
	var head [4]byte
	for {
		if _, err := io.ReadFull(br, head[:]); err != nil {
			return err
		}
		size := int32(binary.BigEndian.Uint32(head[:]))
		if size <= 0 || size > jute.MaxElectionMessageBytes {
			return fmt.Errorf("%w: election message of %d bytes", jute.ErrMalformed, size)
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(br, frame); err != nil {
			return err
		}
		var n jute.Notification
		d := jute.NewDecoder(frame)
		if n.Decode(d); d.Err() != nil {
			return d.Err()
		}
		p.t.hooks.Post(zab.NotificationReceived{From: p.sid, N: n})
	}
}

// lost forgets a connection that ended. If it was the current one the peer is called
// again at once: it is restarting, or the network broke, and our vote may not have arrived.
func (p *electionPeer) lost(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != c {
		return
	}
	p.dropConn()
	p.startDialing(redialFirst)
}

func (p *electionPeer) shutdown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.dropConn()
}

// dropConn closes the current connection, if any, and ends its writer. p.mu is held.
func (p *electionPeer) dropConn() {
	if p.conn == nil {
		return
	}
	_ = p.conn.Close()
	p.conn = nil
	p.signal()
}
