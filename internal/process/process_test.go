package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell is a process that runs a script of sh.
func shell(t *testing.T, script string) *Process {
	dir := t.TempDir()
	p := &Process{Title: "a shell", Argv: []string{"sh", "-c", script}, Dir: dir, LogFile: filepath.Join(dir, "log")}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

// TestRestart ends a process in both ways; it may run only once at a time.
func TestRestart(t *testing.T) {
	p := shell(t, "touch up; sleep 60")
	if p.PID() != 0 || p.Stop() != nil {
		t.Error("a process that was never started")
	}
	for _, end := range []func() error{p.Stop, p.Kill} {
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
		if err := p.Restart(); err == nil || !strings.Contains(err.Error(), "still running") {
			t.Errorf("a second start: %v", err)
		}
		up := filepath.Join(p.Dir, "up")
		if err := p.Await(t.Context(), func() error { _, err := os.Stat(up); return err }); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(end(), os.Remove(up)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(p.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", p.PID(), err)
		}
	}
}

// TestKillDaemon ends a process that another one has started, and that does not end with it.
func TestKillDaemon(t *testing.T) {
	p := shell(t, "(n=0; while [ $n -lt 50000 ]; do n=$((n+1)); touch alive; done) & echo $! > pid.new; mv pid.new pid; sleep 60")
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	var text []byte
	err := p.Await(t.Context(), func() (err error) { text, err = os.ReadFile(filepath.Join(p.Dir, "pid")); return err })
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	KillDaemon(pid)
	if state := stateOf(fmt.Sprintf("/proc/%d/stat", pid)); state != "" && state != "Z" {
		t.Errorf("the daemon is %q", state)
	}
	KillDaemon(pid) // of one that is gone nobody waits
}

// TestAwait gives the log's end where a process doesn't serve.
func TestAwait(t *testing.T) {
	never := func() error { return errors.New("not yet") }
	p := shell(t, "echo no configuration >&2")
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := p.Await(t.Context(), never); err == nil || !strings.Contains(err.Error(), "a shell exited before it served:\nno configuration") {
		t.Errorf("of one that exited: %v", err)
	}
	p = shell(t, "sleep 60")
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Await(ctx, never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of one that never serves: %v", err)
	}
}
