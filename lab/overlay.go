package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
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
	dir, err := os.MkdirTemp("", "zoolab-lab-")
	if err != nil {
		return crash(stderr, err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			code = crash(stderr, err)
		}
	}()
	binary := filepath.Join(dir, "lab")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", o.Overlay, "-ldflags", "-X main.overlaid="+o.Overlay, "-o", binary, "./lab")
	build.Dir = filepath.Dir(o.Compose) // the root of the repository
	if output, err := build.CombinedOutput(); err != nil {
		return crash(stderr, fmt.Errorf("build the lab with %s: %w\n%s", o.Overlay, err, strings.TrimSpace(string(output))))
	}
	lab := exec.CommandContext(ctx, binary, args...)
	lab.Stdout, lab.Stderr = stdout, stderr
	lab.Cancel = func() error { return lab.Process.Signal(syscall.SIGTERM) }
	lab.WaitDelay = time.Minute // it still checks what there is
	err = lab.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode()
	}
	if err != nil {
		return crash(stderr, err)
	}
	return exitValid
}
