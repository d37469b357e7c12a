package zk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"zoolab/zk/jute"
)

// Pauses between attempts to connect double from the first to the last, each drawn
// from its upper half, so that the clients of a failed server don't return at once.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// State is where a session stands.
type State int

const (
	StateConnecting State = iota // no connection; the session may be alive
	StateConnected
	StateExpired // a server said so; final
	StateClosed  // by Close or Detach; final
)

// String names the state.
func (s State) String() string {
	names := [...]string{"connecting", "connected", "expired", "closed"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// SessionEvent is a change of the session's state.
type SessionEvent struct {
	State   State
	Server  string  // the server that was connected or lost; empty when there is none
	Session Session // as it is after the change
	Err     error   // why a connection or the session was lost
}

// Session is what a session is known by. It can be attached to again: see WithSession.
type Session struct {
	ID       int64 // 0 if there is none yet
	Password []byte
	// Timeout is what the server granted.
	Timeout time.Duration
	// LastZxid is the highest zxid seen. Only servers that are as far are connected to.
	LastZxid int64
}

// Client is one session. See the package's documentation.
type Client struct {
	settings
	servers []string // in the order in which they are tried
	chroot  string   // "" or a path
	slots   chan struct{}
	wake    chan struct{} // of capacity 1: there may be something in the queue
	stop    context.CancelCauseFunc
	started chan struct{} // closed when there is a session, or will be none
	ended   chan struct{} // closed when the session's goroutine has ended

	mu      sync.Mutex // guards what follows
	closing bool       // Close was called
	err     error      // why the session has ended; nil while it may live
	dialErr error      // why the last attempt to connect failed
	queue   fifo       // Invariant: holds calls in state queued only
	link    *link      // nil while not connected
	session Session    // Invariant: LastZxid never goes down
	auths   []credential
	watches watchTable
}

// Connect opens a session on one of the servers of connectString, which has the form
// "host:port,host:port/chroot", and returns when it has been granted. Servers are
// tried in random order until ctx ends.
func Connect(ctx context.Context, connectString string, opts ...Option) (*Client, error) {
	servers, chroot, err := ParseConnectString(connectString)
	if err != nil {
		return nil, err
	}
	c := &Client{settings: defaults(), servers: servers, chroot: chroot}
	for _, opt := range opts {
		opt(&c.settings)
	}
	c.prepare()
	running, stop := context.WithCancelCause(context.Background())
	c.stop = stop
	go c.run(running)
	select {
	case <-c.started:
	case <-ctx.Done():
		stop(ErrClosed)
		<-c.ended
		return nil, c.connectError(connectString, ctx.Err())
	}
	if err := c.ending(); err != nil {
		<-c.ended
		return nil, c.connectError(connectString, err)
	}
	return c, nil
}

// prepare fills in what follows from the settings.
func (c *Client) prepare() {
	if c.rng == nil {
		c.rng = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	c.rng.Shuffle(len(c.servers), func(i, j int) { c.servers[i], c.servers[j] = c.servers[j], c.servers[i] })
	if c.connectTimeout == 0 {
		c.connectTimeout = c.sessionTimeout / time.Duration(len(c.servers))
	}
	c.slots = make(chan struct{}, c.maxPending)
	c.wake = make(chan struct{}, 1)
	c.started = make(chan struct{})
	c.ended = make(chan struct{})
	c.session = c.settings.session
	c.session.Password = slices.Clone(c.session.Password)
	c.auths = slices.Clone(c.settings.auths)
	c.watches = newWatchTable()
}

func (c *Client) connectError(connectString string, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dialErr != nil && !errors.Is(err, ErrSessionExpired) {
		return fmt.Errorf("connect to %s: %w (last attempt: %w)", connectString, err, c.dialErr)
	}
	return fmt.Errorf("connect to %s: %w", connectString, err)
}

// ending returns why the session has ended, nil while it may live.
func (c *Client) ending() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// run keeps the session until it ends: it connects, serves the connection until it
// breaks, and connects again.
func (c *Client) run(ctx context.Context) {
	defer close(c.ended)
	failures := 0 // since the last connection
	for next := 0; ; next = (next + 1) % len(c.servers) {
		if failures > 0 && !c.pause(ctx, failures) {
			break
		}
		server := c.servers[next]
		l, err := c.open(ctx, server)
		if errors.Is(err, ErrSessionExpired) {
			c.end(StateExpired, server, ErrSessionExpired)
			return
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			c.mu.Lock()
			c.dialErr = fmt.Errorf("%s: %w", server, err)
			c.mu.Unlock()
			c.log.Debug("can't connect", "server", server, "err", err)
			failures++
			continue
		}
		c.connected(l)
		err = l.serve(ctx)
		if !c.disconnected(l, err) {
			break
		}
		failures = 1
	}
	c.end(StateClosed, "", ErrClosed)
}

// pause waits before the next attempt. It returns false when the client was stopped.
func (c *Client) pause(ctx context.Context, failures int) bool {
	pause := lastPause
	if round := (failures - 1) / len(c.servers); round < 6 {
		pause = min(firstPause<<round, lastPause)
	}
	timer := time.NewTimer(pause/2 + time.Duration(c.rng.Int64N(int64(pause/2))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// connected makes the link the one that calls are sent on.
func (c *Client) connected(l *link) {
	c.mu.Lock()
	c.link, c.dialErr = l, nil
	l.greet(c.auths, c.watches.frames(c.session.LastZxid))
	session := c.sessionLocked()
	c.mu.Unlock()
	c.log.Info("connected", "server", l.server, "session", fmt.Sprintf("%#x", session.ID), "timeout", session.Timeout)
	c.tell(SessionEvent{State: StateConnected, Server: l.server, Session: session})
	select {
	case <-c.started:
	default:
		close(c.started)
	}
}

// disconnected fails what was handed to the link. It returns false when the client
// shall not connect again.
func (c *Client) disconnected(l *link, cause error) bool {
	c.mu.Lock()
	c.link = nil
	for k := l.inflight.pop(); k != nil; k = l.inflight.pop() {
		k.fail(lost(cause), true)
	}
	for k := l.authing.pop(); k != nil; k = l.authing.pop() {
		k.fail(lost(cause), true)
	}
	if c.failFast {
		c.failQueue(ErrDisconnected)
	}
	closing, session := c.closing, c.sessionLocked()
	c.mu.Unlock()
	if closing || errors.Is(cause, ErrClosed) {
		return false
	}
	c.log.Info("disconnected", "server", l.server, "err", cause)
	c.tell(SessionEvent{State: StateConnecting, Server: l.server, Session: session, Err: cause})
	return true
}

// end fails all that waits, for good.
func (c *Client) end(state State, server string, cause error) {
	c.mu.Lock()
	c.err = cause
	c.failQueue(cause)
	c.watches.end(state, cause)
	session := c.sessionLocked()
	c.mu.Unlock()
	c.log.Info("session ended", "state", state.String(), "session", fmt.Sprintf("%#x", session.ID))
	c.tell(SessionEvent{State: state, Server: server, Session: session, Err: cause})
	select {
	case <-c.started:
	default:
		close(c.started)
	}
}

// failQueue fails what was not sent; the caller holds mu.
func (c *Client) failQueue(cause error) {
	for k := c.queue.pop(); k != nil; k = c.queue.pop() {
		k.fail(cause, false)
	}
}

func (c *Client) tell(event SessionEvent) {
	if c.onSession != nil {
		c.onSession(event)
	}
}

func (c *Client) sessionLocked() Session {
	s := c.session
	s.Password = slices.Clone(s.Password)
	return s
}

// Session returns the session as it is now.
func (c *Client) Session() Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessionLocked()
}

// State returns the session's state as it is now.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(c.err, ErrSessionExpired):
		return StateExpired
	case c.err != nil:
		return StateClosed
	case c.link == nil:
		return StateConnecting
	}
	return StateConnected
}

// Server returns the address of the connected server, empty if there is none.
func (c *Client) Server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return ""
	}
	return c.link.server
}

// Close asks the server to end the session, which deletes its ephemeral znodes, waits
// for what was asked before, and ends the client. An error says that the server did
// not confirm in time, or that there was no connection: the session then ends by its
// timeout at the latest. The client is ended in any case.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	first := !c.closing && c.err == nil
	c.closing = c.closing || first
	connected := c.link != nil
	c.mu.Unlock()
	if !first {
		<-c.ended
		return nil
	}
	var err error
	if connected {
		_, err = c.do(ctx, &call{op: jute.OpCloseSession, changes: true})
	} else {
		err = refuse(jute.OpCloseSession, "", ErrDisconnected)
	}
	c.stop(ErrClosed)
	<-c.ended
	return err
}

// Detach ends the client and leaves the session to its timeout, or to whoever attaches
// to it with WithSession. Calls in flight fail.
func (c *Client) Detach() Session {
	c.stop(ErrClosed)
	<-c.ended
	return c.Session()
}

// String names the client in logs.
func (c *Client) String() string {
	return fmt.Sprintf("session %#x to %s%s", c.Session().ID, strings.Join(c.servers, ","), c.chroot)
}
