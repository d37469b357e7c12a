package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zoolab/zk"
)

// connectTimeout is how long a person waits to learn that no server answers.
const connectTimeout = 10 * time.Second

// connect opens the session unless there is one that lives.
func (s *shell) connect(ctx context.Context) error {
	if s.closed {
		return errNotConnected
	}
	if s.client != nil && s.client.State() != zk.StateExpired {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	client, err := zk.Connect(ctx, s.server, zk.WithSessionTimeout(s.timeout), zk.WithSessionEvents(s.sessionEvent))
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

// sessionEvent tells a person what happens to the session.
func (s *shell) sessionEvent(event zk.SessionEvent) {
	state := map[zk.State]string{
		zk.StateConnected: "SyncConnected", zk.StateDisconnected: "Disconnected", zk.StateExpired: "Expired",
	}[event.State]
	if s.interactive && state != "" {
		s.printEvent(state, "None", "null")
	}
}

func (s *shell) printEvent(state, kind, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.printWatches {
		fmt.Fprintf(s.streams.Out, "\nWATCHER::\n\nWatchedEvent state:%s type:%s path:%s\n", state, kind, path)
	}
}

// watch prints the event when it comes.
func (s *shell) watch(events <-chan zk.Event) {
	w := &watch{events: events, printed: make(chan struct{})}
	s.mu.Lock()
	s.watches = append(s.watches, w)
	s.mu.Unlock()
	go func() {
		defer close(w.printed)
		if event, ok := <-events; ok {
			s.printWatch(event)
		}
	}()
}

func (s *shell) printWatch(event zk.Event) {
	kind, ok := map[zk.EventType]string{
		zk.EventCreated: "NodeCreated", zk.EventDeleted: "NodeDeleted",
		zk.EventDataChanged: "NodeDataChanged", zk.EventChildrenChanged: "NodeChildrenChanged",
	}[event.Type]
	if ok {
		s.printEvent("SyncConnected", kind, event.Path)
	}
}

// drain makes sure that what has fired is printed, so that a script's output has the
// event in front of what the next command prints.
func (s *shell) drain() {
	s.mu.Lock()
	watches := s.watches
	s.watches = nil
	s.mu.Unlock()
	for _, w := range watches {
		select {
		case event, ok := <-w.events:
			if ok {
				s.printWatch(event)
			}
			<-w.printed
		default:
			s.mu.Lock()
			s.watches = append(s.watches, w)
			s.mu.Unlock()
		}
	}
}

// message is an error that is a sentence for people, with the words of zkCli.sh where
// it has some.
type message string

func (m message) Error() string { return string(m) }

func say(format string, args ...any) error { return message(fmt.Sprintf(format, args...)) }

// words puts an error as zkCli.sh does.
func words(err error) string {
	var op *zk.OpError
	if !errors.As(err, &op) {
		return err.Error()
	}
	for _, known := range [...]struct {
		cause error
		text  string
	}{
		{zk.ErrNoNode, "Node does not exist: "},
		{zk.ErrNodeExists, "Node already exists: "},
		{zk.ErrNotEmpty, "Node not empty: "},
		{zk.ErrNoChildrenForEphemerals, "Ephemerals cannot have children: "},
		{zk.ErrBadVersion, "version No is not valid : "},
		{zk.ErrNoAuth, "Insufficient permission : "},
		{zk.ErrInvalidACL, "Acl is not valid : "},
		{zk.ErrQuotaExceeded, "Quota has exceeded : "},
	} {
		if errors.Is(err, known.cause) {
			return known.text + op.Path
		}
	}
	return err.Error()
}
