package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"zoolab/internal/apache"
)

// captureDisk kills the server while it has sessions, ephemerals, containers and
// TTL nodes, restarts it, so that it writes a snapshot of what it restored, and
// copies the log and that snapshot.
func captureDisk(ctx context.Context, server *apache.Server, out string) error {
	// An empty container goes about a second later, by a txn of its own kind.
	if err := sleep(ctx, 2500*time.Millisecond); err != nil {
		return err
	}
	if err := server.Kill(); err != nil {
		return err
	}
	if err := server.Restart(); err != nil {
		return err
	}
	if err := server.WaitReady(ctx); err != nil {
		return err
	}
	if err := server.Kill(); err != nil {
		return err
	}
	version2 := filepath.Join(server.DataDir, "version-2")
	log, err := largest(version2, "log.*")
	if err != nil {
		return err
	}
	if err := copyTrimmed(log, filepath.Join(out, "standalone.log")); err != nil {
		return err
	}
	snapshot, err := largest(version2, "snapshot.*")
	if err != nil {
		return err
	}
	if err := copyTrimmed(snapshot, filepath.Join(out, "standalone.snapshot")); err != nil {
		return err
	}
	for _, method := range []string{"gz", "snappy"} {
		if err := captureCompressed(ctx, server.Dir, method, out); err != nil {
			return err
		}
	}
	return nil
}

// captureCompressed starts a server on the same data once more, so that it
// writes its snapshot in a compressed form.
func captureCompressed(ctx context.Context, dir, method, out string) error {
	ports, err := apache.FreePorts(1)
	if err != nil {
		return err
	}
	server, err := apache.Start(dir, apache.Config{
		ClientPort: ports[0],
		HeapMB:     128,
		JavaFlags:  []string{"-Dzookeeper.snapshot.compression.method=" + method},
	})
	if err != nil {
		return err
	}
	defer server.Kill()
	if err := server.WaitReady(ctx); err != nil {
		return err
	}
	if err := server.Kill(); err != nil {
		return err
	}
	snapshot, err := largest(filepath.Join(server.DataDir, "version-2"), "snapshot.*."+method)
	if err != nil {
		return err
	}
	// Compressed bytes may end in zeros of their own.
	content, err := os.ReadFile(snapshot)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "standalone.snapshot."+method), content, 0o644)
}

// largest gives the file with the most bytes that are not padding among those
// that match; a data directory also has the empty snapshot of the first start.
func largest(dir, pattern string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return "", err
	}
	var best string
	bestSizeBytes := 0
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if size := len(bytes.TrimRight(content, "\x00")); size > bestSizeBytes {
			best, bestSizeBytes = path, size
		}
	}
	if best == "" {
		return "", fmt.Errorf("no %s in %s", pattern, dir)
	}
	return best, nil
}

// copyTrimmed copies a file without the zeros that pad a log. Neither a log nor
// a snapshot that is complete ends in a zero.
func copyTrimmed(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, bytes.TrimRight(content, "\x00"), 0o644)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
