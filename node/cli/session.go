package cli

import (
	"context"
	"fmt"
	"time"

	"zoolab/zk"
)

const (
	// connectTimeout is how long somebody waits at most to learn that no server answers.
	connectTimeout = 10 * time.Second
	// closeTimeout bounds the wait for a server's farewell.
	closeTimeout = 2 * time.Second
)

// stateNames are the states of a session as Java's client names them in its events.
var stateNames = map[zk.State]string{
	zk.StateConnected: "SyncConnected", zk.StateConnectedReadOnly: "ConnectedReadOnly",
	zk.StateDisconnected: "Disconnected", zk.StateExpired: "Expired", zk.StateClosed: "Closed",
	zk.StateAuthFailed: "AuthFailed", zk.StateSaslAuthenticated: "SaslAuthenticated",
}

// promptNames are the states as zkCli.sh's prompt has them.
var promptNames = map[zk.State]string{
	zk.StateConnecting: "CONNECTING", zk.StateDisconnected: "CONNECTING",
	zk.StateConnected: "CONNECTED", zk.StateConnectedReadOnly: "CONNECTEDREADONLY",
	zk.StateExpired: "CLOSED", zk.StateClosed: "CLOSED", zk.StateAuthFailed: "AUTH_FAILED",
}

// connect opens the session unless there is one that lives, and waits for a connection.
// A session that has ended is followed by a new one.
func (s *shell) connect(ctx context.Context) error {
	if s.closed {
		return errNotConnected
	}
	limit := s.timeout
	if !s.patient {
		limit = min(limit, connectTimeout)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no connection in %v", limit))
	defer cancel()
	if s.client != nil && s.client.Err() == nil {
		if err := s.client.WaitForConnection(ctx); err != nil {
			return fmt.Errorf("connect to %s: %w", s.server, err)
		}
		return nil
	}
	options := append([]zk.Option{
		zk.WithSessionTimeout(s.timeout),
		zk.WithSessionEvents(s.sessionEvent),
		zk.WithWatchEvents(s.watchEvent),
		// A command waits for a connection here; if that breaks, it is told so at once.
		zk.WithFailFast(),
	}, s.options...)
	client, err := zk.Connect(ctx, s.server, options...)
	if err != nil {
		return err
	}
	s.client = client
	return nil
}

// disconnect ends the session.
func (s *shell) disconnect() {
	if s.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// Without an answer the session ends by its timeout: there is nobody to tell.
	_ = s.client.Close(ctx)
	s.client = nil
}

// sessionEvent prints what happens to the session.
func (s *shell) sessionEvent(event zk.SessionEvent) {
	if name, ok := stateNames[event.State]; ok && s.greets {
		s.printEvent(name, eventNames[zk.EventNone], "null")
	}
}
