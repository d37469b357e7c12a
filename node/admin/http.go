package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is an HTTP port: the AdminServer's, or that of Prometheus.
type Server struct {
	http     http.Server
	listener net.Listener
	log      *slog.Logger
	running  sync.WaitGroup

	view      *View
	url       string        // of the commands, without a slash at its end
	interval  time.Duration // of the guarded commands
	snapshots limiter
	restores  limiter
}

const (
	// headerTimeout bounds how long a request may take to come.
	headerTimeout  = 10 * time.Second
	maxHeaderBytes = 16 << 10
	// shutdownTimeout is how long answers may take to leave when the server stops.
	shutdownTimeout = time.Second
)

// ListenCommands opens the AdminServer's port.
func ListenCommands(v *View, log *slog.Logger) (*Server, error) {
	c := v.Config.Admin
	s := &Server{
		view: v, log: log, url: strings.TrimRight(c.CommandURL, "/"),
		interval: time.Duration(c.RateLimiterIntervalMs) * time.Millisecond,
	}
	err := s.listen(c.Addr, c.Port, http.HandlerFunc(s.serveCommand), time.Duration(c.IdleTimeoutMs)*time.Millisecond, v.secure)
	if err != nil {
		return nil, fmt.Errorf("AdminServer (admin.serverAddress, admin.serverPort; admin.enableServer=false turns it off): %w", err)
	}
	log.Info("the AdminServer listens", "address", s.Addr(), "url", s.url)
	return s, nil
}

// ListenMetrics opens the port that Prometheus scrapes.
func ListenMetrics(v *View, log *slog.Logger) (*Server, error) {
	c := v.Config.Admin
	s := &Server{view: v, log: log}
	if err := s.listen(c.MetricsHost, c.MetricsPort, v.Prometheus(c.MetricsJVMInfo), time.Minute, nil); err != nil {
		return nil, fmt.Errorf("metrics (metricsProvider.httpHost, metricsProvider.httpPort): %w", err)
	}
	log.Info("metrics can be scraped", "address", s.Addr(), "path", "/metrics")
	return s, nil
}

// listen opens the port. secure, unless nil, puts TLS in front of it.
func (s *Server) listen(host string, port int, handler http.Handler, idle time.Duration,
	secure func(net.Listener, *slog.Logger) (net.Listener, error)) (err error) {
	if host == "0.0.0.0" {
		host = "" // both families, as in Java
	}
	if s.listener, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err != nil {
		return err
	}
	if secure != nil {
		plain := s.listener
		if s.listener, err = secure(plain, s.log); err != nil {
			_ = plain.Close()
			return err
		}
	}
	s.http = http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idle, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.running.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("an HTTP port failed; the server goes on without it", "address", s.Addr(), "err", err)
		}
	})
	return nil
}

// Addr returns the address that the port is bound to.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Shutdown closes the port, after what is being answered or a moment.
func (s *Server) Shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	s.running.Wait()
}

// serveCommand answers a request to the AdminServer.
func (s *Server) serveCommand(w http.ResponseWriter, q *http.Request) {
	if s.view.Config.Admin.HTTPS {
		w.Header().Set("Strict-Transport-Security", "max-age=86400; includeSubDomains")
	}
	// Go's server does not know what Apache's answers to these.
	if q.Method == http.MethodTrace {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	rest, ok := strings.CutPrefix(q.URL.Path, s.url)
	if !ok || rest != "" && rest[0] != '/' {
		http.Error(w, "404 not found: commands are at "+s.url, http.StatusNotFound)
		return
	}
	name := strings.TrimPrefix(rest, "/")
	if name == "" {
		s.list(w)
		return
	}
	c := commandOf(name)
	wanted := http.MethodGet
	if c != nil && c.post {
		wanted = http.MethodPost
	}
	if q.Method != wanted && !(wanted == http.MethodGet && q.Method == http.MethodHead) {
		w.Header().Set("Allow", wanted)
		http.Error(w, fmt.Sprintf("405 method not allowed: %s takes %s", name, wanted), http.StatusMethodNotAllowed)
		return
	}
	s.write(w, q, name, s.run(c, name, q))
}

// run carries a command out, if it may be.
func (s *Server) run(c *command, name string, q *http.Request) answer {
	switch {
	case c == nil:
		return answer{problem: "Unknown command: " + name}
	case !c.always && !s.view.serving():
		return answer{problem: strings.TrimSpace(notServing)}
	}
	if c.guarded {
		if refusal := s.view.authorize(q); refusal != nil {
			return *refusal
		}
	}
	return c.run(s.view, &request{Request: q, server: s})
}

// list shows the commands as links.
func (s *Server) list(w http.ResponseWriter) {
	for i := range commands {
		name := commands[i].names[0]
		fmt.Fprintf(w, "<a href=\"%s/%s\">%s</a>\n<br/>\n", s.url, name, name)
	}
}

func (s *Server) write(w http.ResponseWriter, q *http.Request, name string, a answer) {
	for key, values := range a.header {
		w.Header()[key] = values
	}
	status := cmp.Or(a.status, http.StatusOK)
	if a.stream != nil {
		defer a.stream.file.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(a.stream.size, 10))
		w.WriteHeader(status)
		if _, err := io.CopyN(w, a.stream.file, a.stream.size); err != nil {
			s.log.Warn("a snapshot could not be sent whole", "to", q.RemoteAddr, "err", err)
		}
		return
	}
	if c := commandOf(name); c != nil && a.problem == "" {
		name = c.names[0]
	}
	// As in Apache's: what a command itself says is wrong stands among its fields.
	own := a.fields.has("error")
	fields := append(a.fields, field{"command", name})
	switch {
	case a.problem != "":
		fields = append(fields, field{"error", a.problem})
	case !own:
		fields = append(fields, field{"error", nil})
	}
	var b strings.Builder
	appendJSON(&b, fields, "")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, b.String())
}
