package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"zoolab/lab/cluster"
)

// overlaid is the overlay file that this binary was built with, for rebuilt. The linker sets it.
var overlaid string

// rebuilt says that a simulation of the server as an overlay file has it needs another
// binary than this: the lab has the server's code in itself.
func (o *options) rebuilt() bool {
	return o.simulated() && o.Overlay != "" && o.Overlay != overlaid
}

// rebuild builds the lab with the overlay file and lets that carry the command out.
func rebuild(ctx context.Context, o *options, args []string, stdout, stderr *os.File) (code int) {
	dir, err := cluster.MakeScratch()
	if err != nil {
		return crash(stderr, err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			code = crash(stderr, err)
		}
	}()
	binary := filepath.Join(dir, "lab")
	fmt.Fprintf(stdout, "Building the lab with %s\n", o.Overlay)
	if err := o.goBuild(ctx, dir, nil, "-ldflags", "-X main.overlaid="+o.Overlay, "-o", binary, "./lab"); err != nil {
		return noVerdict(ctx, stderr, fmt.Errorf("%w: build the lab: %w", errNotStarted, err))
	}
	return other(ctx, stdout, stderr, binary, args...)
}

// other runs another lab, and ends with its exit code.
func other(ctx context.Context, stdout, stderr *os.File, binary string, args ...string) int {
	lab := exec.CommandContext(ctx, binary, args...)
	lab.Stdout, lab.Stderr = stdout, stderr
	// Ctrl+C goes to all of a terminal's foreground group. In a group of its own the
	// other lab gets it once, from here: a second one would end it at once.
	lab.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	lab.Cancel = func() error { return lab.Process.Signal(syscall.SIGTERM) }
	lab.WaitDelay = time.Minute // it still checks what there is
	err := lab.Run()
	// Its own word counts, also where it was asked to end.
	if lab.ProcessState != nil && lab.ProcessState.Exited() {
		return lab.ProcessState.ExitCode()
	}
	return crash(stderr, err)
}
