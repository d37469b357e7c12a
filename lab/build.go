package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"
)

// builds says that the server has to be built: no image and no binary is named.
func (o *options) builds() bool { return o.Image == "" && o.Binary == "" }

// serverBinary gives the path of the server to run, "" when an image brings its
// own. It builds a static binary into dir where none was named.
func serverBinary(ctx context.Context, o *options, dir string) (string, error) {
	if o.Image != "" {
		return "", nil
	}
	if o.Binary != "" {
		return filepath.Abs(o.Binary)
	}
	path := filepath.Join(dir, "node")
	if err := o.goBuild(ctx, dir, []string{"CGO_ENABLED=0", "GOOS=linux"}, "-trimpath", "-ldflags=-s -w", "-o", path, "./node"); err != nil {
		return "", fmt.Errorf("build the server: %w", err)
	}
	return path, nil
}

// goBuild runs go build in the root of the repository, with the overlay file if there is one.
// What it leaves when it is interrupted, it leaves in scratch.
func (o *options) goBuild(ctx context.Context, scratch string, env []string, args ...string) error {
	build := exec.CommandContext(ctx, "go", "build")
	if o.Overlay != "" {
		build.Args = append(build.Args, "-overlay", o.Overlay)
	}
	build.Args = append(build.Args, args...)
	build.Env = append(append(os.Environ(), "GOTMPDIR="+scratch), env...)
	build.Dir = filepath.Dir(o.Compose)
	build.Cancel = func() error { return build.Process.Signal(os.Interrupt) } // it ends its compilers
	build.WaitDelay = time.Minute                                             // on a busy machine they take their time
	output, err := build.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w; install Go, or name a finished server with -binary or -image", err)
	}
	return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(string(output)))
}

// versions names what took part in a run.
func versions() map[string]string {
	out := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	out["go"] = info.GoVersion
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			out["lab"] = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				out["lab-modified"] = "true"
			}
		}
	}
	return out
}
