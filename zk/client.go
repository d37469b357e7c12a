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

// Client is one session. See the package's documentation.
type Client struct {
	settings
	chroot string // "" or a path
	slots  chan struct{}
	taking chan struct{} // held by the Pipeline that takes slots
	wake   chan struct{} // of capacity 1: there may be something in the queue
	stop   context.CancelCauseFunc
	ended  chan struct{} // closed when the session's goroutine has ended
	// signals are channels for call.done that no call uses.
	signals sync.Pool

	mu        sync.Mutex // guards what follows
	state     State
	hosts     hostList
	closing   bool          // Close was called
	err       error         // why the session has ended; nil while it may live
	dialErr   error         // why the last attempt to connect failed
	up        chan struct{} // closed while there is a connection
	queue     fifo          // Invariant: holds calls in state queued only
	link      *link         // nil while not connected
	session   Session       // Invariant: LastZxid never goes down
	lastXid   int32         // of the newest request, on whichever connection: see link.xid
	told      int64         // of all changes up to this zxid the watches' events have come
	known     bool          // a server with a quorum knows the session
	heardAt   time.Time     // when the newest request that was answered was sent
	auths     []credential
	watches   watchTable
	listeners []chan SessionEvent
}

// Connect opens a session on one of the servers of connectString, which has the form
// "host:port,host:port/chroot", and returns when it has been granted. Servers are
// tried in random order until ctx ends.
func Connect(ctx context.Context, connectString string, opts ...Option) (*Client, error) {
	c, err := New(connectString, opts...)
	if err != nil {
		return nil, err
	}
	if err := c.WaitForConnection(ctx); err != nil {
		c.stop(ErrClosed)
		<-c.ended
		return nil, c.connectError(connectString, err)
	}
	return c, nil
}

// New is Connect without the waiting: the session is opened in the background, and
// calls wait for it. See WaitForConnection.
func New(connectString string, opts ...Option) (*Client, error) {
	servers, chroot, err := ParseConnectString(connectString)
	if err != nil {
		return nil, err
	}
	c := &Client{settings: defaults(), chroot: chroot}
	for _, opt := range opts {
		opt(&c.settings)
	}
	c.prepare(servers)
	running, stop := context.WithCancelCause(context.Background())
	c.stop = stop
	go c.run(running)
	return c, nil
}

// prepare fills in what follows from the settings.
func (c *Client) prepare(servers []string) {
	if c.rng == nil {
		c.rng = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	c.hosts = newHostList(c.rng, servers)
	c.slots, c.taking = make(chan struct{}, c.maxPending), make(chan struct{}, 1)
	c.wake = make(chan struct{}, 1)
	c.up = make(chan struct{})
	c.ended = make(chan struct{})
	c.signals.New = func() any { return make(chan struct{}, 1) }
	c.session = c.settings.session
	c.session.Password = slices.Clone(c.session.Password)
	c.known = c.session.ID != 0
	c.auths = slices.Clone(c.settings.auths)
	c.watches = newWatchTable()
}

func (c *Client) connectError(connectString string, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dialErr != nil && !errors.Is(err, ErrSessionExpired) && !errors.Is(err, ErrAuthFailed) {
		return fmt.Errorf("connect to %s: %w (last attempt: %w)", connectString, err, c.dialErr)
	}
	return fmt.Errorf("connect to %s: %w", connectString, err)
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

// Chroot returns the path that all paths of the client are below; empty for none.
func (c *Client) Chroot() string { return c.chroot }

// Servers returns the addresses that the client connects to, in no order.
func (c *Client) Servers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.hosts.servers)
}

// UpdateServers replaces the servers that the client connects to. Its chroot can't
// change, so connectString has the same one or none. When the connected server is not
// among the new ones, or when it has to give up clients so that new servers get their
// share, the client moves to another server, and its session with it: among many
// clients that are told the same list, the load evens out with the fewest moves.
func (c *Client) UpdateServers(connectString string) error {
	servers, chroot, err := ParseConnectString(connectString)
	if err != nil {
		return err
	}
	if chroot != "" && chroot != c.chroot {
		return fmt.Errorf("%w: the chroot is %q and can't become %q", ErrBadArguments, c.chroot, chroot)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hosts.update(c.rng, servers, c.serverLocked()) && c.link != nil {
		c.link.abandon(errRebalanced)
	}
	return nil
}

// String names the client in logs.
func (c *Client) String() string {
	return fmt.Sprintf("session %#x to %s%s", c.Session().ID, strings.Join(c.Servers(), ","), c.chroot)
}
