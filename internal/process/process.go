// Package process keeps a server's process in hand for tests and benchmarks: it starts,
// stops, kills and starts it again, and writes what it prints to a log.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a server's process, running or not. Its exported fields are set before the first
// Restart and not changed any more; its methods may be called from any goroutine.
type Process struct {
	// Title names the server in errors, such as "server 2 on 127.0.0.1:2182".
	Title string
	// Argv is the command with its arguments.
	Argv []string
	// Dir is the directory in which the process runs; it must exist.
	Dir string
	// LogFile receives the process' output, appended over restarts.
	LogFile string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the current process has been reaped
}

// Restart launches the process, for the first time or again after Stop or Kill.
func (p *Process) Restart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		select {
		case <-p.done:
		default:
			return fmt.Errorf("%s is still running; stop it before a restart", p.Title)
		}
	}
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open the log file: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(p.Argv[0], p.Argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = p.Dir
	// The kernel ends the server with its parent, so that an aborted test run
	// leaves no server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Argv[0], err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		// The exit status carries nothing: every server here ends by a signal.
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}

// PID is the id of the current process, 0 if none was started.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.Process == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Await returns when ready, which is asked every 20 ms, gives no error, or with an error that
// ends in the log's last lines when the context is done or the process has exited.
func (p *Process) Await(ctx context.Context, ready func() error) error {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ready() == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("%s exited before it served:\n%s", p.Title, p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w; its log ends:\n%s", p.Title, ctx.Err(), p.logTail())
		case <-ticker.C:
		}
	}
}

// Stop ends the process with SIGTERM, and with SIGKILL after half a minute: what comes last, such
// as a line in a log, takes its time on a busy machine.
func (p *Process) Stop() error { return p.end(syscall.SIGTERM) }

// Kill ends the process with SIGKILL, as a power failure of that process would.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Signal sends a signal to the process, for SIGSTOP and SIGCONT. SIGSTOP has stopped every thread
// when it returns: on a busy machine a server of many threads else works on for a while.
func (p *Process) Signal(signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return errors.New("the server was never started")
	}
	if err := p.cmd.Process.Signal(signal); err != nil || signal != syscall.SIGSTOP {
		return err
	}
	for end := time.Now().Add(time.Minute); !stopped(p.cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s runs on after SIGSTOP", p.Title)
		}
	}
	return nil
}

// stopped reports whether every thread of a process is stopped.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		if state := stateOf(thread); state != "" && state != "T" {
			return false
		}
	}
	return true
}

// stateOf reads the state of a process or thread from its file stat; it is empty if that ended.
func stateOf(statFile string) string {
	stat, err := os.ReadFile(statFile)
	if err != nil {
		return ""
	}
	// It stands behind the name, which is in parentheses and may have any in it.
	state, _, _ := strings.Cut(strings.TrimSpace(string(stat[bytes.LastIndexByte(stat, ')')+1:])), " ")
	return state
}

// KillDaemon ends a process that is no child of this one with SIGKILL, and returns when it
// writes no more into its directory, which is about to be removed.
func KillDaemon(pid int) {
	if syscall.Kill(pid, syscall.SIGKILL) != nil {
		return
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if state := stateOf(fmt.Sprintf("/proc/%d/stat", pid)); state == "" || state == "Z" {
			return
		}
	}
}

func (p *Process) end(signal syscall.Signal) error {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", cmd.Process.Pid, err)
	}
	select {
	case <-done:
		return nil
	case <-time.After(30 * time.Second):
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", cmd.Process.Pid, err)
	}
	<-done
	return nil
}

// logTail gives the end of the log for an error message.
func (p *Process) logTail() string {
	const tailBytes = 2000
	text, err := os.ReadFile(p.LogFile)
	if err != nil {
		return err.Error()
	}
	if len(text) > tailBytes {
		text = text[len(text)-tailBytes:]
	}
	return strings.TrimSpace(string(text))
}
