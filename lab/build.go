package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
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
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", path}
	if o.Overlay != "" {
		args = append(args, "-overlay", o.Overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, "./node")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	build.Dir = filepath.Dir(o.Compose) // the root of the repository
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, strings.TrimSpace(string(output)))
	}
	return path, nil
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
