package apache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Peer is one member's line in the configuration of an ensemble.
type Peer struct {
	ID int64
	// Host is empty for 127.0.0.1.
	Host         string
	QuorumPort   int
	ElectionPort int
	Observer     bool
}

// Config describes one member. The zero value of each optional field selects
// the default that its comment names.
type Config struct {
	// ID is the member's id, written to myid when Peers is not empty.
	ID int64
	// ClientPort is the loopback port for clients; it must be free.
	ClientPort int
	// Peers lists all members, this one included; empty for a standalone server.
	Peers []Peer
	// Observer makes the member one that does not vote, where StartEnsemble fills Peers in.
	Observer bool
	// Host is where the member listens for the others, where StartEnsemble fills Peers in; empty
	// for 127.0.0.1.
	Host string
	// HeapMB is the maximum of the Java heap; default 256.
	HeapMB int
	// TickTimeMs is tickTime; default 2000.
	TickTimeMs int
	// Extra holds further lines of zoo.cfg; they override those written here.
	Extra map[string]string
	// JavaFlags are further flags of the Java machine, such as -Dname=value.
	JavaFlags []string
	// Command, when not empty, runs instead of Apache's server, with the path of
	// zoo.cfg as its last argument: so another server runs under the same hands,
	// and one ensemble may have members of both kinds.
	Command []string
}

// Server is one running (or stopped) server process.
type Server struct {
	// ClientAddr is host:port of the client port.
	ClientAddr string
	// Dir holds zoo.cfg, log and data; DataDir is its data directory.
	Dir     string
	DataDir string
	// LogFile receives the process' output, appended over restarts.
	LogFile string

	cfg Config

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the current process has been reaped
}

// Start writes zoo.cfg and myid below dir, which it creates, launches the
// server and returns at once. A member of an ensemble answers only when a
// quorum of its peers runs: start all of them, then call WaitReady on each.
func Start(dir string, cfg Config) (*Server, error) {
	if err := Available(); err != nil && len(cfg.Command) == 0 {
		return nil, err
	}
	if cfg.HeapMB == 0 {
		cfg.HeapMB = 256
	}
	if cfg.TickTimeMs == 0 {
		cfg.TickTimeMs = 2000
	}
	server := &Server{
		ClientAddr: fmt.Sprintf("127.0.0.1:%d", cfg.ClientPort),
		Dir:        dir,
		DataDir:    filepath.Join(dir, "data"),
		LogFile:    filepath.Join(dir, "server.log"),
		cfg:        cfg,
	}
	if err := os.MkdirAll(server.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	zooCfg := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(zooCfg, []byte(ZooCfg(server.DataDir, cfg)), 0o644); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	if len(cfg.Peers) > 0 {
		myid := strconv.FormatInt(cfg.ID, 10)
		if err := os.WriteFile(filepath.Join(server.DataDir, "myid"), []byte(myid), 0o644); err != nil {
			return nil, fmt.Errorf("write myid: %w", err)
		}
	}
	if err := server.Restart(); err != nil {
		return nil, err
	}
	return server, nil
}

// ZooCfg gives the text of zoo.cfg for a member whose data lies in dataDir. It
// has no line that only one of the two servers would understand, so that the
// benchmark can give the same file to both.
func ZooCfg(dataDir string, cfg Config) string {
	lines := map[string]string{
		"tickTime":               strconv.Itoa(cfg.TickTimeMs),
		"initLimit":              "10",
		"syncLimit":              "5",
		"dataDir":                dataDir,
		"clientPort":             strconv.Itoa(cfg.ClientPort),
		"clientPortAddress":      "127.0.0.1",
		"maxClientCnxns":         "0",
		"admin.enableServer":     "false",
		"4lw.commands.whitelist": "*",
	}
	for _, peer := range cfg.Peers {
		host, role := peer.Host, "participant"
		if host == "" {
			host = "127.0.0.1"
		}
		if peer.Observer {
			role = "observer"
		}
		if peer.Observer && peer.ID == cfg.ID {
			lines["peerType"] = "observer"
		}
		lines[fmt.Sprintf("server.%d", peer.ID)] = fmt.Sprintf("%s:%d:%d:%s", host, peer.QuorumPort, peer.ElectionPort, role)
	}
	for key, value := range cfg.Extra {
		lines[key] = value
	}
	return formatProperties(lines)
}

// Restart launches the process again after Stop or Kill, on the same data.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		select {
		case <-s.done:
		default:
			return fmt.Errorf("server %d on %s is still running; stop it before a restart", s.cfg.ID, s.ClientAddr)
		}
	}
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open the log file: %w", err)
	}
	defer log.Close()
	argv := append(s.argv(), filepath.Join(s.Dir, "zoo.cfg"))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = s.Dir
	// The kernel ends the server with its parent, so that an aborted test run
	// leaves no Java process behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	done := make(chan struct{})
	s.cmd, s.done = cmd, done
	go func() {
		// The exit status carries nothing: every server here ends by a signal.
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}

// argv gives the command line up to the path of zoo.cfg.
func (s *Server) argv() []string {
	if len(s.cfg.Command) > 0 {
		return slices.Clone(s.cfg.Command)
	}
	argv := []string{
		"java",
		fmt.Sprintf("-Xmx%dm", s.cfg.HeapMB),
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dzookeeper.extendedTypesEnabled=true",
	}
	argv = append(argv, s.cfg.JavaFlags...)
	return append(argv, "-cp", ClassPath(), "org.apache.zookeeper.server.quorum.QuorumPeerMain")
}

// PID is the id of the current process, 0 if none was started.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil || s.cmd.Process == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// WaitReady returns when the server serves requests (its srvr command gives a
// mode), or with an error that ends in the log's last lines when the context
// is done or the process has exited.
func (s *Server) WaitReady(ctx context.Context) error {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := Mode(s.ClientAddr); err == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("server %d on %s exited before it served:\n%s", s.cfg.ID, s.ClientAddr, s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("server %d on %s does not serve: %w; its log ends:\n%s", s.cfg.ID, s.ClientAddr, ctx.Err(), s.logTail())
		case <-ticker.C:
		}
	}
}

// Stop ends the process with SIGTERM, and with SIGKILL after five seconds.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

// Kill ends the process with SIGKILL, as a power failure of that process would.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Signal sends a signal to the process, for SIGSTOP and SIGCONT.
func (s *Server) Signal(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return errors.New("the server was never started")
	}
	return s.cmd.Process.Signal(signal)
}

func (s *Server) end(signal syscall.Signal) error {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", cmd.Process.Pid, err)
	}
	select {
	case <-done:
		return nil
	case <-time.After(5 * time.Second):
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", cmd.Process.Pid, err)
	}
	<-done
	return nil
}

// logTail gives the end of the log for an error message.
func (s *Server) logTail() string {
	const tailBytes = 2000
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	if len(text) > tailBytes {
		text = text[len(text)-tailBytes:]
	}
	return strings.TrimSpace(string(text))
}
