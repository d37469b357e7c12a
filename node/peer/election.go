package peer

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
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
	t   *Transport
	sid int64

	mu        sync.Mutex
	addresses []string
	vote      []byte // newest frame, nil before the first
	fresh     bool   // vote was not yet written to conn
	conn      net.Conn
	wake      chan struct{} // of the current conn's writer, capacity 1
	dialing   bool
	nudge     chan struct{} // ends the dialer's pause, capacity 1
	attempted time.Time     // when the dialer's attempt began
	abandon   func()        // ends that attempt, nil before the first
	pause     time.Duration // before a connection that is lost is opened again; grows while no vote comes
	told      string        // the last refusal that was logged
	stopped   bool
}

// Pauses between attempts to reach a peer that was talked to before: it is likely
// restarting, and an election goes on without it meanwhile.
const (
	redialFirst = 50 * time.Millisecond
	redialMost  = 2 * time.Second
)

// longAttempt is how long an attempt to dial a peer that is there takes at most, as a rule.
const longAttempt = 500 * time.Millisecond

// SendNotification queues a vote in place of an older one.
func (t *Transport) SendNotification(to int64, n *jute.Notification) {
	p := t.peer(to)
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
		ctx, cancel := context.WithCancel(p.t.ctx)
		p.attempted, p.abandon = time.Now(), cancel
		p.mu.Unlock()
		err := p.dialOnce(ctx)
		abandoned := ctx.Err() != nil
		cancel()
		if abandoned {
			continue // it was called for: the nudge that came with it ends the pause
		}
		if err != nil {
			p.tell(err)
			p.t.hooks.Post(zab.VoterUnreachable{SID: p.sid})
		} else if p.connected() {
			return
		}
		pause = min(max(2*pause, redialFirst), redialMost)
	}
}

// connected ends the dialing, unless the connection was lost while nobody could begin to
// dial anew. Of a peer with a larger sid a call is all that is wanted.
func (p *electionPeer) connected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = p.conn == nil && p.sid < p.t.cfg.SID && !p.stopped
	return !p.dialing
}

// tell logs why a peer can't be reached. That it is down is no news to whoever looks at
// that member; what a person must mend is, once.
func (p *electionPeer) tell(err error) {
	var refused *RefusedError
	var unresolved *net.DNSError
	log := p.t.log.Debug
	if errors.As(err, &refused) || errors.As(err, &unresolved) {
		p.mu.Lock()
		if text := err.Error(); p.told != text {
			p.told, log = text, p.t.log.Warn
		}
		p.mu.Unlock()
	}
	log("can't reach a peer's election port, trying again", "member", p.sid, "addresses", p.where(), "err", err)
}

func (p *electionPeer) where() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addresses
}

// dialOnce says who we are; the connection stays only if our sid is the larger one.
func (p *electionPeer) dialOnce(ctx context.Context) error {
	c, err := p.t.dial(ctx, p.where())
	if err != nil {
		return err
	}
	_ = c.SetWriteDeadline(time.Now().Add(p.t.cfg.StallTimeout))
	if _, err := c.Write(jute.Marshal(p.t.initialMessage())); err != nil {
		_ = c.Close()
		return err
	}
	br := bufio.NewReader(c)
	if err := p.t.prove(c, br); err != nil {
		_ = c.Close()
		return err
	}
	if p.sid > p.t.cfg.SID {
		return c.Close()
	}
	p.adopt(c, br)
	return nil
}

// initialMessage says who this member is and where it can be called back.
func (t *Transport) initialMessage() *jute.InitialMessage {
	t.mu.Lock()
	own := t.members[t.cfg.SID].Election
	t.mu.Unlock()
	if t.cfg.MultiAddress {
		return &jute.InitialMessage{ProtocolVersion: jute.ElectionProtocolV2, ServerID: t.cfg.SID, Addresses: strings.Join(own, "|")}
	}
	return &jute.InitialMessage{ProtocolVersion: jute.ElectionProtocolV1, ServerID: t.cfg.SID, Addresses: own[0]}
}

// acceptElection takes a connection that some member opened to our election port.
func (t *Transport) acceptElection(u *unproven) {
	t.running.Go(func() {
		p, opened, br, err := t.readHello(u)
		switch {
		case err != nil:
			_ = u.Close()
			t.refuse(electionPort, u, err)
		case p.sid > t.cfg.SID:
			p.adopt(opened, br)
		default:
			_ = u.Close()
			p.callBack()
		}
	})
}

// readHello reads who calls, who must say so soon, and lets it in.
func (t *Transport) readHello(u *unproven) (p *electionPeer, opened net.Conn, br *bufio.Reader, err error) {
	defer t.endHello(u)
	deadline := time.Now().Add(cmp.Or(t.cfg.ElectionHelloTimeout, t.cfg.StallTimeout))
	var hello jute.InitialMessage
	if opened, br, err = t.open(u, deadline); err == nil {
		hello, err = readInitialMessage(br)
	}
	if err == nil {
		err = t.admitVoter(opened, br, deadline)
	}
	if err == nil {
		p, err = t.identify(&hello) // not before it is let in: it may become known by this
	}
	_ = u.SetDeadline(time.Time{})
	return p, opened, br, whyHelloEnded(err)
}

func (t *Transport) identify(hello *jute.InitialMessage) (*electionPeer, error) {
	switch {
	case hello.ServerID == t.cfg.SID:
		return nil, fmt.Errorf("it says that it is member %d, which is us", hello.ServerID)
	case hello.ServerID < 0:
		return nil, fmt.Errorf("no member can have the id %d", hello.ServerID)
	}
	return t.caller(hello.ServerID, hello.Addresses)
}

// callBack dials a peer with a smaller sid, which asked for it by calling. It has no
// connection to us, or it would not have called: what we hold is dead. An attempt to dial that
// takes long may have begun before the peer was there, and wait for an address that is cut off.
func (p *electionPeer) callBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropConn()
	p.startDialing(0)
	if p.dialing && p.abandon != nil && time.Since(p.attempted) > longAttempt {
		p.abandon()
	}
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
	if len(p.addresses) > 1 && p.t.cfg.ReachableTimeout > 0 {
		if tcp := socketOf(c); tcp != nil {
			setUserTimeout(tcp, p.t.cfg.ReachableTimeout)
		}
	}
	wake := make(chan struct{}, 1)
	p.conn, p.wake = c, wake
	p.fresh = p.vote != nil
	p.signal()
	p.mu.Unlock()
	p.t.running.Go(func() { p.write(c, wake) })
	p.t.running.Go(func() {
		p.ended(p.read(br))
		p.lost(c)
	})
}

// ended logs what the end of a connection has to say.
func (p *electionPeer) ended(err error) {
	switch {
	case errors.Is(err, jute.ErrMalformed):
		p.t.log.Warn("closed an election connection that sent a malformed message", "member", p.sid, "err", err)
	case errors.Is(err, errWantsSASL):
		p.t.log.Warn("closed an election connection", "member", p.sid, "err", err)
	case isAlert(err):
		p.tell(refusedf("the peer refuses this member's TLS: %w", err))
	}
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
		if size == int32(jute.QuorumAuthMagic>>32) {
			return errWantsSASL
		}
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
		p.heard()
		p.t.hooks.Post(zab.NotificationReceived{From: p.sid, N: n})
	}
}

// heard notes that the peer talks to us: what was wrong before is over.
func (p *electionPeer) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause, p.told = 0, ""
}

// lost forgets a connection that ended. If it was the current one the peer is called
// again at once: it is restarting, or the network broke, and our vote may not have arrived.
// A peer that never says anything, because it refuses us, is called ever more rarely.
func (p *electionPeer) lost(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != c {
		return
	}
	p.dropConn()
	p.pause = min(max(2*p.pause, redialFirst), redialMost)
	p.startDialing(p.pause)
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
