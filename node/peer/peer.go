// Package peer is the transport between the members: the election port, with one
// connection for each pair of members, and the quorum port, to which learners connect.
//
// It carries out the network effects of package zab and turns what arrives into zab's
// inputs. It decides nothing: who is right is the core's business. What it does keep
// is order (everything on one quorum connection arrives in the order in which it was
// sent, or not at all) and bounds (frames, queues and the time a write may take).
//
// Both ports may be encrypted (TLS) and may want members to prove who they are (SASL):
// see Security. Nothing reaches the core before a peer has passed both, and said first
// what only a peer says.
//
// # Concurrency
//
// The sending methods belong to the event loop's goroutine and never block; Flush
// hands what they queued to the writers. Each connection has a goroutine that reads
// and one that writes. Post is called from any of them.
package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"zoolab/node/zab"
)

// Address is where a member listens for its peers, as host:port: at one address, or, with
// several networks between the members, at as many. Neither of the first two lists is empty.
type Address struct {
	Quorum   []string
	Election []string
	// Master is where it serves observers while it follows; empty for nowhere.
	Master []string
}

// Config describes this member and its peers.
type Config struct {
	SID     int64
	Members map[int64]Address // voters and observers, this member included
	// AcceptStrangers lets members call our election port that are not in Members: they may be
	// about to join.
	AcceptStrangers bool
	// ListenOnAllIPs binds both ports on every address instead of the configured one.
	ListenOnAllIPs bool
	DialTimeout    time.Duration
	// StallTimeout is how long a peer may leave what was sent to it unacknowledged, or a
	// write blocked, before its connection is given up.
	StallTimeout time.Duration
	// ElectionHelloTimeout is how long whoever opens a connection to the election port may take
	// to say who it is; StallTimeout if 0.
	ElectionHelloTimeout time.Duration
	// BindAttempts is how often Listen tries to open a port that can't be opened, with a pause of a
	// second between; 0 for no end. What is wrong may pass: the port of a server that is about to end.
	BindAttempts int
	// MaxFieldBytes bounds a buffer in a packet (jute.maxbuffer and room for headers).
	MaxFieldBytes int
	// MaxQueuedBytes bounds what waits for one connection; a learner further behind is cut off.
	MaxQueuedBytes int
	// MultiAddress tells peers all own election addresses, which only members that are
	// configured so understand (multiAddress.enabled).
	MultiAddress bool
	// ReachableTimeout takes the place of StallTimeout on election connections to a member
	// with several addresses, of which another may answer sooner; 0 for no other bound.
	ReachableTimeout time.Duration
	Security         Security
}

// Hooks are what the transport needs from the member.
type Hooks struct {
	// Post takes inputs, in order, and may be called from any goroutine.
	Post func(...zab.Input)
	// ReadSnapshot reads the stream that follows a SNAP packet, and checks it.
	ReadSnapshot func(*bufio.Reader) (handle any, err error)
}

// Transport is a member's end of all its connections to other members.
type Transport struct {
	cfg   Config
	hooks Hooks
	log   *slog.Logger

	ctx     context.Context // ends with Shutdown
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	listeners map[string][]net.Listener // by the port's name
	moves     map[string]int            // how often a port was moved, by its name
	// generation counts how often a port was closed, so that who waits to open it knows.
	generation map[string]int
	members    map[int64]Address       // replaced, never changed
	election   map[int64]*electionPeer // members are never removed
	strangers  int                     // of them, how many came uninvited
	known      map[string]string       // the address that a name of a member had last
	quorum     map[zab.ConnID]*quorumConn
	lastID     zab.ConnID                      // even numbers, for connections that learners open
	hellos     []*unproven                     // connections to either port whose first message is awaited, oldest first
	places     map[string]int                  // how many of hellos each host has
	trusted    map[string]bool                 // the hosts of members, as far as they are known
	warned     map[string]map[string]time.Time // when the log was told last: by the message, by what it was told of
	turns      turns                           // of the handshakes of hellos

	unflushed []*quorumConn // owned by the event loop
}

// Listen binds both ports and starts accepting.
func Listen(cfg Config, hooks Hooks, log *slog.Logger) (*Transport, error) {
	own, ok := cfg.Members[cfg.SID]
	if !ok {
		return nil, fmt.Errorf("member %d is not in the configuration", cfg.SID)
	}
	t := &Transport{
		cfg: cfg, hooks: hooks, log: log,
		listeners: make(map[string][]net.Listener), moves: make(map[string]int), generation: make(map[string]int), members: maps.Clone(cfg.Members),
		election: make(map[int64]*electionPeer),
		known:    make(map[string]string),
		quorum:   make(map[zab.ConnID]*quorumConn),
		places:   make(map[string]int),
		trusted:  make(map[string]bool),
		warned:   make(map[string]map[string]time.Time),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	for sid, address := range cfg.Members {
		if sid != cfg.SID {
			t.addPeer(sid, address.Election)
		}
	}
	for _, port := range []struct {
		name      string
		addresses []string
		serve     func(*unproven)
	}{
		{quorumPort, own.Quorum, t.acceptLearner},
		{electionPort, own.Election, t.acceptElection},
		{masterPort, own.Master, t.acceptObserver},
	} {
		if err := t.listenPatiently(port.name, port.addresses, port.serve); err != nil {
			t.Shutdown()
			return nil, fmt.Errorf("%s port of member %d: %w", port.name, cfg.SID, err)
		}
	}
	t.running.Go(t.learnNames)
	return t, nil
}

// The names of the ports.
const (
	quorumPort   = "quorum"
	electionPort = "election"
	masterPort   = "observer master"
)

func (t *Transport) accept(l net.Listener, port string, serve func(*unproven)) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, most likely: those who hold connections go on, newcomers wait.
			t.log.Error("can't accept a connection of a peer", "port", port, "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-t.ctx.Done():
				return
			}
			continue
		}
		t.tune(c)
		serve(t.startHello(c)) // here and not where it is read, which may be later by any number of connections
	}
}

// tune makes a connection quick, and makes the kernel give it up when a peer that was
// cut off leaves data unacknowledged: otherwise the retransmission timer, which doubles,
// would go on for minutes after a partition has healed.
func (t *Transport) tune(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
		setUserTimeout(tcp, t.cfg.StallTimeout)
	}
}

// setUserTimeout bounds how long data may stay unacknowledged.
func setUserTimeout(c *net.TCPConn, timeout time.Duration) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	})
}

// Shutdown closes both ports and every connection, and waits for their goroutines.
func (t *Transport) Shutdown() {
	t.cancel()
	t.mu.Lock()
	for name := range t.listeners {
		t.closePort(name)
	}
	for _, q := range t.quorum {
		q.abort()
	}
	for _, u := range t.hellos {
		_ = u.Close()
	}
	peers := slices.Collect(maps.Values(t.election))
	t.mu.Unlock()
	for _, p := range peers {
		p.shutdown()
	}
	t.running.Wait()
}
