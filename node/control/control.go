// Package control starts and stops a server in the background, as Apache ZooKeeper's
// zkServer.sh does: with a file of the process id in the data directory and a file of
// what the server writes. It runs the server as a process of its own and keeps nothing
// in memory: everything that a later stop needs is in the file system, so start and stop
// are two runs of the program.
//
// # Which process is ours
//
// A process id alone proves nothing: after a reboot it may be anybody's. A process counts
// as the server only if it was started with the same arguments, which hold the absolute
// path of the configuration. Where there is no /proc to ask, the id has to do.
//
// Two starts at the same time are kept apart by the server's lock on its data directory:
// the second server ends at once.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"zoolab/node/config"
)

// Server is one server as start and stop see it.
type Server struct {
	Config  *config.Config
	Program string   // the path of this program
	Args    []string // what makes it serve: "serve" and the configuration's absolute path, if there is one
	// PIDFile is the file of the process id; LogFile takes what the server writes.
	PIDFile, LogFile string
	Out              io.Writer // what is done, in zkServer.sh's words
}

// Errors of Start and Stop.
var (
	// ErrRunning says that the server runs already.
	ErrRunning = errors.New("already running")
	// ErrFailed says that the server ended while it started.
	ErrFailed = errors.New("the server ended while it started")
)

const (
	// startPatience is how long Start waits for the server to bind its ports. A large
	// snapshot takes longer to load; then Start says so and leaves it to it.
	startPatience = 30 * time.Second
	// stopPatience is how long Stop waits for the end of the process.
	stopPatience = 60 * time.Second
	pollEvery    = 20 * time.Millisecond
	// logTailBytes is how much of the log a failed start shows.
	logTailBytes = 4096
)

// New describes the server of a configuration. getenv is os.Getenv: ZOOPIDFILE, ZOO_LOG_DIR
// and USER count as they do for zkServer.sh.
func New(cfg *config.Config, program string, args []string, getenv func(string) string, out io.Writer) *Server {
	pidFile := getenv("ZOOPIDFILE")
	if pidFile == "" {
		pidFile = filepath.Join(cfg.Storage.DataDir, "zookeeper_server.pid")
	}
	logDir := getenv("ZOO_LOG_DIR")
	if logDir == "" {
		logDir = "logs"
	}
	name := getenv("USER")
	if u, err := user.Current(); name == "" && err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	logFile := filepath.Join(logDir, fmt.Sprintf("zookeeper-%s-server-%s.out", filepath.Base(name), filepath.Base(host)))
	return &Server{Config: cfg, Program: program, Args: args, PIDFile: pidFile, LogFile: logFile, Out: out}
}

// Command is the command line of the server, for a shell.
func (s *Server) Command() string {
	words := []string{quote(s.Program)}
	for _, arg := range s.Args {
		words = append(words, quote(arg))
	}
	return strings.Join(words, " ") + " >> " + quote(s.LogFile) + " 2>&1 < /dev/null"
}

// quote makes one word of a shell of a text.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// Start runs the server in the background and returns when it has bound its ports.
func (s *Server) Start(ctx context.Context) error {
	fmt.Fprint(s.Out, "Starting zookeeper ... ")
	if pid, err := s.readPID(); err == nil && s.isServer(pid) {
		fmt.Fprintf(s.Out, "already running as process %d.\n", pid)
		return ErrRunning
	}
	for _, dir := range []string{filepath.Dir(s.PIDFile), filepath.Dir(s.LogFile)} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return s.failed(fmt.Errorf("make the directory: %w", err))
		}
	}
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return s.failed(fmt.Errorf("open the log, set ZOO_LOG_DIR for another place: %w", err))
	}
	defer log.Close()
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return s.failed(fmt.Errorf("open the log: %w", err))
	}
	ready, err := listenReady()
	if err != nil {
		return s.failed(err)
	}
	defer ready.close()
	cmd := exec.Command(s.Program, s.Args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), notifyVariable+"="+ready.address)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a closed terminal does not end it
	if err := cmd.Start(); err != nil {
		return s.failed(err)
	}
	if err := os.WriteFile(s.PIDFile, strconv.AppendInt(nil, int64(cmd.Process.Pid), 10), 0o640); err != nil {
		return s.failed(errors.Join(fmt.Errorf("write the process id: %w", err), cmd.Process.Kill(), cmd.Wait()))
	}
	return s.await(ctx, cmd, ready, logStart)
}

// await waits until a server that was started is ready or has ended.
func (s *Server) await(ctx context.Context, cmd *exec.Cmd, ready *readySocket, logStart int64) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	patience := time.NewTimer(startPatience)
	defer patience.Stop()
	select {
	case <-ready.heard:
		fmt.Fprintln(s.Out, "STARTED")
	case <-patience.C:
		fmt.Fprintf(s.Out, "STARTED, but it does not take clients yet: it may be loading its data; see %s\n", s.LogFile)
	case err := <-ended:
		// The process id is another's, if two were started at the same time.
		if pid, readErr := s.readPID(); readErr == nil && pid == cmd.Process.Pid {
			err = errors.Join(err, os.Remove(s.PIDFile))
		}
		fmt.Fprintf(s.Out, "FAILED TO START\n%s", s.logSince(logStart))
		return fmt.Errorf("%w: %v; its log is %s", ErrFailed, err, s.LogFile)
	case <-ctx.Done():
		fmt.Fprintf(s.Out, "it goes on starting as process %d; see %s\n", cmd.Process.Pid, s.LogFile)
		return ctx.Err()
	}
	return nil
}

func (s *Server) failed(err error) error {
	fmt.Fprintln(s.Out, "FAILED TO START")
	return err
}

// logSince returns what the server wrote behind an offset, at most the end of it.
func (s *Server) logSince(offset int64) string {
	f, err := os.Open(s.LogFile)
	if err != nil {
		return ""
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		offset = max(offset, end-logTailBytes)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, offset, logTailBytes))
	if err != nil {
		return ""
	}
	return string(text)
}

// Stop asks the server to end and returns when it has. That it does not run is no error,
// as with zkServer.sh.
func (s *Server) Stop(ctx context.Context) error {
	fmt.Fprint(s.Out, "Stopping zookeeper ... ")
	pid, err := s.readPID()
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(s.Out, "no zookeeper to stop (could not find file %s)\n", s.PIDFile)
		return nil
	}
	if err != nil {
		fmt.Fprintln(s.Out, "FAILED")
		return err
	}
	if !s.isServer(pid) {
		fmt.Fprintf(s.Out, "no zookeeper to stop (process %d of %s is not this server any more)\n", pid, s.PIDFile)
		return os.Remove(s.PIDFile)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		fmt.Fprintln(s.Out, "FAILED")
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for s.isServer(pid) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			fmt.Fprintln(s.Out, "FAILED")
			return fmt.Errorf("process %d was asked to end and still runs (%w); its log is %s, and kill -9 %d ends it without harm to the data",
				pid, ctx.Err(), s.LogFile, pid)
		}
	}
	if err := os.Remove(s.PIDFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fmt.Fprintln(s.Out, "STOPPED")
	return nil
}

func (s *Server) readPID() (int, error) {
	text, err := os.ReadFile(s.PIDFile)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		return 0, fmt.Errorf("%s holds %q instead of a process id: end the server by hand and remove the file", s.PIDFile, text)
	}
	return pid, nil
}

// isServer reports whether a process is this server: see the package comment. One that has
// ended and only waits for its parent to notice has no arguments any more.
func (s *Server) isServer(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) || !hasProc()
	}
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	return slices.Equal(args[1:], s.Args)
}

// hasProc reports whether processes can be looked at.
func hasProc() bool {
	_, err := os.Stat("/proc/self/cmdline")
	return err == nil
}
