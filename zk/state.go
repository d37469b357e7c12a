package zk

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// State is where a session stands.
type State int

// The states of a session, and two that only events have.
const (
	// StateConnecting is before the first connection.
	StateConnecting State = iota
	StateConnected
	// StateConnectedReadOnly is connected to a server that has lost its quorum. It
	// answers reads, from what it knew then; the client looks for a better one.
	StateConnectedReadOnly
	// StateDisconnected is after a connection was lost; the session may be alive.
	StateDisconnected
	// StateExpired is final: a server said that the session has ended.
	StateExpired
	// StateClosed is final: Close or Detach was called.
	StateClosed
	// StateAuthFailed says that a server has refused a credential. After a refused
	// SASL authentication it is final; a refused credential of AddAuth or WithAuth
	// is dropped and the session goes on.
	StateAuthFailed
	// StateSaslAuthenticated says, in events, that the connection that follows has
	// been authenticated with SASL.
	StateSaslAuthenticated
)

// String names the state.
func (s State) String() string {
	names := [...]string{"connecting", "connected", "connected read-only", "disconnected", "expired", "closed",
		"authentication failed", "SASL authenticated"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// Connected reports whether there is a connection.
func (s State) Connected() bool { return s == StateConnected || s == StateConnectedReadOnly }

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

// sessionEventsHeld is how many events a channel of SessionEvents holds.
const sessionEventsHeld = 64

// SessionEvents gives the session's state as it is now, and then each change of it,
// until ctx ends; the channel is then closed, as it is after the session's last event.
// Who reads slowly misses the oldest events beyond 64, never the newest.
func (c *Client) SessionEvents(ctx context.Context) <-chan SessionEvent {
	events := make(chan SessionEvent, sessionEventsHeld)
	c.mu.Lock()
	defer c.mu.Unlock()
	events <- SessionEvent{State: c.state, Server: c.serverLocked(), Session: c.sessionLocked(), Err: c.err}
	if c.err != nil {
		close(events)
		return events
	}
	c.listeners = append(c.listeners, events)
	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.listeners, events); i >= 0 {
			c.listeners = slices.Delete(c.listeners, i, i+1)
			close(events)
		}
	})
	return events
}

// tell reports a change of the state; the session's goroutine alone calls it.
func (c *Client) tell(event SessionEvent) {
	c.mu.Lock()
	for _, events := range c.listeners {
		if len(events) == cap(events) {
			select {
			case <-events:
			default: // it was read meanwhile
			}
		}
		events <- event // there is room: nobody else sends
	}
	if c.err != nil {
		for _, events := range c.listeners {
			close(events)
		}
		c.listeners = nil
	}
	c.mu.Unlock()
	if c.onSession != nil {
		c.onSession(event)
	}
}

// WaitForConnection returns when there is a connection, or with an error when ctx or
// the session ends.
func (c *Client) WaitForConnection(ctx context.Context) error {
	for {
		c.mu.Lock()
		err, connected, up := c.err, c.link != nil, c.up
		c.mu.Unlock()
		switch {
		case err != nil:
			return err
		case connected:
			return nil
		}
		select {
		case <-up:
		case <-c.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Done is closed when the session has ended for this client: it has expired, its
// authentication was refused, or Close or Detach was called. Err says which.
func (c *Client) Done() <-chan struct{} { return c.ended }

// Err returns why the session has ended, nil while it may live.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// State returns the session's state as it is now.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Session returns the session as it is now. To continue it elsewhere: see Detach and
// WithSession.
func (c *Client) Session() Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessionLocked()
}

func (c *Client) sessionLocked() Session {
	s := c.session
	s.Password = slices.Clone(s.Password)
	return s
}

// AliveUntil is the time, by this machine's clock, before which the servers can't have
// expired the session: its timeout after the sending of the newest request that was
// answered. Once it has passed without a connection, the session's ephemeral znodes
// may be gone. It is zero before the first connection.
func (c *Client) AliveUntil() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heardAt.IsZero() {
		return time.Time{}
	}
	return c.heardAt.Add(c.session.Timeout)
}

// Server returns the address of the connected server, empty if there is none.
func (c *Client) Server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.serverLocked()
}

func (c *Client) serverLocked() string {
	if c.link == nil {
		return ""
	}
	return c.link.server
}
