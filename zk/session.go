package zk

import (
	"context"
	"errors"
	"fmt"
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

// Pauses of the search for a server with a quorum double from the first to the last.
const (
	firstSearchPause = 100 * time.Millisecond
	lastSearchPause  = time.Minute
)

var (
	errRebalanced     = errors.New("moved to another server of the new list")
	errFoundReadWrite = errors.New("found a server that is not read-only")
)

// run keeps the session until it ends: it connects, serves the connection until it
// breaks, and connects again.
func (c *Client) run(ctx context.Context) {
	defer close(c.ended)
	if c.onSession != nil { // a channel of SessionEvents begins with the state anyway
		c.onSession(SessionEvent{State: StateConnecting, Session: c.Session()})
	}
	failures := 0 // since the last connection
	var l *link   // a connection that was made by the search for one
	for {
		if l == nil {
			if failures > 0 && !c.pause(ctx, failures) {
				break
			}
			server := c.nextServer()
			var err error
			l, err = c.open(ctx, server, c.readOnly)
			if c.final(server, err) {
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
		}
		c.connected(l)
		better, err := c.serve(ctx, l)
		if !c.disconnected(l, err) {
			if better != nil {
				better.conn.Close()
			}
			break
		}
		if c.final(l.server, err) {
			return
		}
		l, failures = better, 1
	}
	c.end(StateClosed, "", ErrClosed)
}

// final ends the session if err says that it has ended.
func (c *Client) final(server string, err error) bool {
	switch {
	case errors.Is(err, ErrSessionExpired):
		c.end(StateExpired, server, ErrSessionExpired)
	case errors.Is(err, errSASL):
		c.end(StateAuthFailed, server, err)
	default:
		return false
	}
	return true
}

// serve serves a connection until it breaks. While the server is read-only it looks
// for a better one, and returns the connection to it.
func (c *Client) serve(ctx context.Context, l *link) (*link, error) {
	if !l.readOnly {
		return nil, l.serve(ctx)
	}
	searching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var better *link
	wg.Go(func() {
		var err error
		if better, err = c.search(searching); err == nil {
			err = errFoundReadWrite
		}
		if searching.Err() == nil {
			c.mu.Lock()
			l.abandon(err)
			c.mu.Unlock()
		}
	})
	err := l.serve(ctx)
	stop()
	wg.Wait()
	return better, err
}

// search connects to a server that is not read-only. It returns without one when ctx
// or the session has ended.
func (c *Client) search(ctx context.Context) (*link, error) {
	for pause := firstSearchPause; ; pause = min(pause*2, lastSearchPause) {
		for _, server := range c.Servers() {
			l, err := c.open(ctx, server, false)
			if err == nil || ctx.Err() != nil || errors.Is(err, ErrSessionExpired) || errors.Is(err, errSASL) {
				return l, err
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) nextServer() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hosts.nextServer(c.rng)
}

// pause waits before the next attempt. It returns false when the client was stopped.
func (c *Client) pause(ctx context.Context, failures int) bool {
	c.mu.Lock()
	pause := lastPause
	if round := (failures - 1) / len(c.hosts.servers); round < 6 {
		pause = min(firstPause<<round, lastPause)
	}
	pause = pause/2 + time.Duration(c.rng.Int64N(int64(pause/2)))
	c.mu.Unlock()
	timer := time.NewTimer(pause)
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
	state := StateConnected
	if l.readOnly {
		state = StateConnectedReadOnly
	}
	c.mu.Lock()
	// A read-only server makes up sessions that no other server knows.
	if !l.readOnly || !c.known {
		c.session.ID, c.session.Password = l.granted.SessionID, jute.Clone(l.granted.Passwd)
	}
	c.session.Timeout = l.timeout
	c.known = c.known || !l.readOnly
	c.link, c.dialErr, c.heardAt, c.state = l, nil, l.greetedAt, state
	l.greet(c.auths, c.watches.frames(c.told))
	c.watches.lost()
	close(c.up)
	session := c.sessionLocked()
	c.mu.Unlock()
	c.log.Info("connected", "server", l.server, "session", fmt.Sprintf("%#x", session.ID),
		"timeout", session.Timeout, "readOnly", l.readOnly)
	if l.authenticated {
		c.tell(SessionEvent{State: StateSaslAuthenticated, Server: l.server, Session: session})
	}
	c.tell(SessionEvent{State: state, Server: l.server, Session: session})
}

// disconnected fails what was handed to the link. It returns false when the client
// shall not connect again.
func (c *Client) disconnected(l *link, cause error) bool {
	c.mu.Lock()
	c.link, c.state, c.up = nil, StateDisconnected, make(chan struct{})
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
	c.tell(SessionEvent{State: StateDisconnected, Server: l.server, Session: session, Err: cause})
	return true
}

// end fails all that waits, for good.
func (c *Client) end(state State, server string, cause error) {
	c.mu.Lock()
	c.err, c.state = cause, state
	c.failQueue(cause)
	c.watches.end(state, cause)
	session := c.sessionLocked()
	c.mu.Unlock()
	c.log.Info("session ended", "state", state.String(), "session", fmt.Sprintf("%#x", session.ID))
	c.tell(SessionEvent{State: state, Server: server, Session: session, Err: cause})
}

// failQueue fails what was not sent; the caller holds mu.
func (c *Client) failQueue(cause error) {
	for k := c.queue.pop(); k != nil; k = c.queue.pop() {
		k.fail(cause, false)
	}
}
