// Package server is the transport to clients: the client ports, their connections and the
// four-letter words.
//
// A TLS handshake runs on its connection's goroutine; behind it plain and encrypted
// connections are the same to everybody. A connection has one goroutine, which reads
// requests (conn.go). Reads are answered right there (replica.Serve); everything else goes
// to the event loop. Answers collect in the connection's buffer (answer.go) and leave in as
// few system calls as possible: a pipelining client's when no further request of it is
// buffered, the event loop's when Flush ends its batch. A large answer to a read is put on
// the wire when Serve has let go of the tree.
//
// A connection's state is guarded by its own lock, the tables by the server's; a server's
// lock may be held when a connection's is taken, never the other way, except for the list
// of unflushed connections, whose lock is the innermost.
//
// Bounds: a frame is at most MaxFrameBytes; a client that does not read its answers is
// cut off at maxUnsentBytes, earlier when too many such clients are there; reading stops while more than GlobalOutstandingLimit requests
// of all clients, or maxConnOutstanding of one, wait for their outcome; a connection must
// have shaken hands and asked for a session SessionlessTimeout after each began.
package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"zoolab/node/metrics"
	"zoolab/node/replica"
)

// Config is what the client ports need to know.
type Config struct {
	Address       string // host:port of plain clients, "" for no such port
	SecureAddress string // host:port of TLS clients, "" for no such port
	// TLS is nil where no connection is encrypted.
	TLS *TLS
	// MaxFrameBytes bounds a request (jute.maxbuffer).
	MaxFrameBytes int
	// MaxConnsPerIP bounds connections from one address, 0 for no bound (maxClientCnxns).
	MaxConnsPerIP int
	// MaxConns bounds connections from everywhere, 0 for no bound (maxCnxns).
	MaxConns int
	// GlobalOutstandingLimit bounds the requests of all clients that wait for their
	// outcome, 0 for no bound.
	GlobalOutstandingLimit int
	// Requests bounds the same, and says what becomes of requests that wait to be let in.
	Requests RequestThrottle
	// Connections bounds how many sessions are asked for in a time.
	Connections ConnectionThrottle
	// LargeBytes is the length beyond which a request is large, 0 or less for no limit on those
	// (largeRequestThreshold); MaxLargeBytes is what all large ones that wait for their
	// outcome may have together (largeRequestMaxBytes).
	LargeBytes, MaxLargeBytes int
	// SessionlessTimeout is how long a connection may live without asking for a session.
	SessionlessTimeout time.Duration
	// Metrics is where the port counts what passes through it.
	Metrics *metrics.Metrics
}

// RequestThrottle is how requests wait to be let in.
type RequestThrottle struct {
	// MaxRequests bounds the requests that wait for their outcome, 0 for no throttle
	// (request_throttle_max_requests).
	MaxRequests int
	// Stall is how often a request that waits is looked at (request_throttle_stall_time).
	Stall time.Duration
	// DropStale ends the connection of a stale request while it waits. One is stale whose
	// connection is closed, and with StaleLatency one that is older than its session's
	// timeout. Closing a session never is.
	DropStale, StaleConnection, StaleLatency bool
	// OpWait is how long a request may have waited and still be carried out, 0 for any
	// time: later it is answered with jute.CodeThrottledOp (throttled_op_wait_time).
	OpWait time.Duration
}

// defaultStall is the Stall of a RequestThrottle that has none.
const defaultStall = 100 * time.Millisecond

// Hooks are what the client ports need from the member.
type Hooks struct {
	Replica *replica.Replica
	// Submit gives an input to the event loop. It may be called from any goroutine.
	Submit func(replica.Input)
	// FourLetterWord answers a four-letter word; false means that it is none.
	// rest reads what the client sends behind the word: only stmk has something there.
	FourLetterWord func(word string, rest io.Reader, w io.Writer) bool
}

// Server is the client ports.
type Server struct {
	cfg      Config
	hooks    Hooks
	log      *slog.Logger
	began    time.Time
	running  sync.WaitGroup
	stats    Stats
	shards   sharder
	throttle throttle
	sessions bucket // of tokens for asking for one
	large    largeRequests
	// unsentBytes is what waits for clients for which more than highUnsentBytes does.
	unsentBytes     atomic.Int64
	mostUnsentBytes int64 // maxAllUnsentBytes

	mu      sync.Mutex
	conns   map[*conn]struct{}
	opening map[net.Conn]struct{} // not yet known to be plain or encrypted
	perIP   map[string]int
	total   int // sum of perIP
	closed  bool
	ports   []port
	moves   int // of the plain port

	unflushedMu sync.Mutex
	unflushed   []*conn
	flushing    []*conn // the other of two lists; owned by Flush
}

// port is one of the addresses that clients connect to.
type port struct {
	net.Listener
	wants encryption
}

// PortError says which port could not be opened.
type PortError struct {
	Secure bool // the one of TLS clients
	Err    error
}

// Error names the port.
func (e *PortError) Error() string {
	if e.Secure {
		return fmt.Sprintf("secure client port: %v", e.Err)
	}
	return fmt.Sprintf("client port: %v", e.Err)
}

// Unwrap gives the cause.
func (e *PortError) Unwrap() error { return e.Err }

// Listen binds the client ports. Nobody is accepted before Serve, so that the hooks may
// use what the member makes from the Server. The error is a *PortError.
func Listen(cfg Config, hooks Hooks, log *slog.Logger) (*Server, error) {
	s := &Server{
		cfg: cfg, hooks: hooks, log: log,
		conns:   make(map[*conn]struct{}),
		opening: make(map[net.Conn]struct{}),
		perIP:   make(map[string]int),
		stats:   Stats{m: cfg.Metrics},
	}
	for _, p := range []struct {
		address string
		wants   encryption
	}{{cfg.Address, s.plainWants()}, {cfg.SecureAddress, secure}} {
		if p.address == "" {
			continue
		}
		l, err := net.Listen("tcp", p.address)
		if err != nil {
			s.closePorts()
			return nil, &PortError{Secure: p.wants == secure, Err: err}
		}
		s.ports = append(s.ports, port{l, p.wants})
	}
	s.throttle.init(int64(cfg.GlobalOutstandingLimit), int64(cfg.Requests.MaxRequests))
	s.cfg.Requests.Stall = cmp.Or(cfg.Requests.Stall, defaultStall)
	s.mostUnsentBytes = maxAllUnsentBytes
	s.began = time.Now()
	s.sessions.init(cfg.Connections, 0)
	s.large.overBytes, s.large.mostBytes = int64(cfg.LargeBytes), int64(cfg.MaxLargeBytes)
	return s, nil
}

func (s *Server) closePorts() {
	for _, p := range s.ports {
		_ = p.Close()
	}
}

// Serve starts accepting clients. It is called once, and not beside Shutdown.
func (s *Server) Serve() {
	for _, p := range s.ports {
		s.running.Go(func() { s.accept(p) })
	}
}

// Addr returns the address that the plain port is bound to, nil if there is none.
func (s *Server) Addr() net.Addr { return s.addr(func(w encryption) bool { return w != secure }) }

// SecureAddr returns the address that the TLS port is bound to, nil if there is none.
func (s *Server) SecureAddr() net.Addr { return s.addr(func(w encryption) bool { return w == secure }) }

func (s *Server) addr(which func(encryption) bool) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.ports {
		if which(p.wants) {
			return p.Addr()
		}
	}
	return nil
}

// Stats returns the counters of the ports.
func (s *Server) Stats() *Stats { return &s.stats }

func (s *Server) accept(p port) {
	for {
		c, err := p.Accept()
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
		s.running.Go(func() { s.serve(c, ip, p.wants) })
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

// leave counts a connection out.
func (s *Server) leave(ip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.perIP[ip]--; s.perIP[ip] == 0 {
		delete(s.perIP, ip)
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

// Shutdown closes the ports and every connection, and waits for their goroutines.
func (s *Server) Shutdown() {
	s.mu.Lock()
	s.closed = true
	s.closePorts()
	for c := range s.opening {
		_ = c.Close()
	}
	for c := range s.conns {
		c.kill("")
	}
	s.mu.Unlock()
	s.throttle.open()
	s.running.Wait()
}

// Outstanding returns how many requests wait for their outcome.
func (s *Server) Outstanding() int64 { return s.throttle.outstanding.Load() }

// RefusalOdds returns the probability that the connection throttle refuses the next
// client by lot.
func (s *Server) RefusalOdds() float64 { return s.sessions.refusals() }
