// Package server is the transport to clients: the client port, its connections and the
// four-letter words.
//
// A connection has one goroutine, which reads requests. Reads are answered right there
// (replica.Serve); everything else goes to the event loop. Answers collect in the
// connection's buffer and leave in as few system calls as possible: a pipelining client's
// when no further request of it is buffered, the event loop's when Flush ends its batch.
//
// A connection's state is guarded by its own lock, the tables by the server's; a server's
// lock may be held when a connection's is taken, never the other way, except for the list
// of unflushed connections, whose lock is the innermost.
//
// Bounds: a frame is at most MaxFrameBytes; a client that does not read its answers is
// cut off at maxUnsentBytes; reading stops while more than GlobalOutstandingLimit requests
// of all clients, or maxConnOutstanding of one, wait for their outcome.
package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"zoolab/node/metrics"
	"zoolab/node/replica"
)

// Config is what the client port needs to know.
type Config struct {
	Address string // host:port
	// MaxFrameBytes bounds a request (jute.maxbuffer).
	MaxFrameBytes int
	// MaxConnsPerIP bounds connections from one address, 0 for no bound (maxClientCnxns).
	MaxConnsPerIP int
	// MaxConns bounds connections from everywhere, 0 for no bound (maxCnxns).
	MaxConns               int
	GlobalOutstandingLimit int
	// SessionlessTimeout is how long a connection may live without asking for a session.
	SessionlessTimeout time.Duration
	// Metrics is where the port counts what passes through it.
	Metrics *metrics.Metrics
}

// Hooks are what the client port needs from the member.
type Hooks struct {
	Replica *replica.Replica
	// Submit gives an input to the event loop. It may be called from any goroutine.
	Submit func(replica.Input)
	// FourLetterWord answers a four-letter word; false means that it is none.
	// rest reads what the client sends behind the word: only stmk has something there.
	FourLetterWord func(word string, rest io.Reader, w io.Writer) bool
}

// Server is the client port.
type Server struct {
	cfg      Config
	hooks    Hooks
	log      *slog.Logger
	listener net.Listener
	running  sync.WaitGroup
	stats    Stats
	shards   sharder
	throttle throttle

	mu     sync.Mutex
	conns  map[*conn]struct{}
	perIP  map[string]int
	total  int // sum of perIP
	closed bool

	unflushedMu sync.Mutex
	unflushed   []*conn
	flushing    []*conn // the other of two lists; owned by Flush
}

// Listen binds the client port. Nobody is accepted before Serve, so that the hooks may
// use what the member makes from the Server.
func Listen(cfg Config, hooks Hooks, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("client port: %w", err)
	}
	s := &Server{
		cfg: cfg, hooks: hooks, log: log, listener: l,
		conns: make(map[*conn]struct{}),
		perIP: make(map[string]int),
		stats: Stats{m: cfg.Metrics},
	}
	s.throttle.init(int64(cfg.GlobalOutstandingLimit))
	return s, nil
}

// Serve starts accepting clients. It is called once, and not beside Shutdown.
func (s *Server) Serve() { s.running.Go(s.accept) }

// Addr returns the address that the port is bound to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stats returns the counters of the port.
func (s *Server) Stats() *Stats { return &s.stats }

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, most likely: connected clients go on, newcomers wait.
			s.log.Error("can't accept a client", "err", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		ip, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		if reason := s.admit(ip); reason != "" {
			s.stats.m.ConnectionsRejected.Add(1)
			s.log.Warn("refused a client", "from", c.RemoteAddr().String(), "reason", reason)
			_ = c.Close()
			continue
		}
		s.running.Go(func() { s.serve(c, ip) })
	}
}

// admit counts a connection in, or says why it can't come in.
func (s *Server) admit(ip string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "shutting down"
	}
	if s.cfg.MaxConnsPerIP > 0 && s.perIP[ip] >= s.cfg.MaxConnsPerIP {
		return fmt.Sprintf("too many connections from %s, at most %d allowed (maxClientCnxns)", ip, s.cfg.MaxConnsPerIP)
	}
	if s.cfg.MaxConns > 0 && s.total >= s.cfg.MaxConns {
		return fmt.Sprintf("too many connections, at most %d allowed (maxCnxns)", s.cfg.MaxConns)
	}
	s.perIP[ip]++
	s.total++
	return ""
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.total--
	if s.perIP[c.ip]--; s.perIP[c.ip] == 0 {
		delete(s.perIP, c.ip)
	}
}

// mark puts a connection on the list of the next Flush.
func (s *Server) mark(c *conn) {
	s.unflushedMu.Lock()
	s.unflushed = append(s.unflushed, c)
	s.unflushedMu.Unlock()
}

// Flush sends what was queued for clients since the last Flush, except what their own
// readers send. The event loop calls it at the end of each batch.
func (s *Server) Flush() {
	s.unflushedMu.Lock()
	conns := s.unflushed
	s.unflushed = s.flushing[:0]
	s.unflushedMu.Unlock()
	for _, c := range conns {
		c.flushFromLoop()
	}
	clear(conns)
	s.flushing = conns
}

// Connections returns what is known of every connection, oldest first.
func (s *Server) Connections() []ConnInfo {
	conns := s.all()
	infos := make([]ConnInfo, len(conns))
	for i, c := range conns {
		infos[i] = c.info()
	}
	return infos
}

// ResetConnections forgets the statistics of every connection, as the word crst asks for.
func (s *Server) ResetConnections() {
	for _, c := range s.all() {
		c.resetStats()
	}
}

// Shed closes each connection for which choose is true, and returns how many it closed.
// Their sessions live on: the clients come back, here or elsewhere.
func (s *Server) Shed(choose func() bool) (closed int) {
	for _, c := range s.all() {
		if choose() {
			c.kill("the administrator asked to shed connections")
			closed++
		}
	}
	return closed
}

// all returns the connections, oldest first.
func (s *Server) all() []*conn {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	slices.SortFunc(conns, func(a, b *conn) int { return a.since.Compare(b.since) })
	return conns
}

// NumConnections returns how many clients are connected.
func (s *Server) NumConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown closes the port and every connection, and waits for their goroutines.
func (s *Server) Shutdown() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.kill("")
	}
	s.mu.Unlock()
	s.throttle.open()
	s.running.Wait()
}

// Outstanding returns how many requests wait for their outcome.
func (s *Server) Outstanding() int64 { return s.throttle.outstanding.Load() }
