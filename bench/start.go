package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// sourceDir holds the data of which each start is given a copy.
const sourceDir = "source"

// start measures how long a server alone takes to answer when it has to load -znodes.
func (b *bench) start(ctx context.Context, dir string) (err error) {
	data, err := b.largeData(ctx)
	if err != nil {
		return err
	}
	if err := copyDir(data, filepath.Join(dir, "data")); err != nil {
		return err
	}
	const limit = 2 * time.Minute
	startCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	server, err := b.system.startAlone(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Kill()) }()
	if err := server.WaitReady(startCtx); err != nil {
		return fmt.Errorf("start with %d znodes: %w", b.opts.znodes, err)
	}
	seconds := time.Since(began).Seconds()
	if err := checkEntries(server, b.opts.znodes); err != nil {
		return err
	}
	mb, err := residentMB(server.PID(), allPages)
	if err != nil {
		return err
	}
	anonymousMB, err := residentMB(server.PID(), anonymousPages)
	if err != nil {
		return err
	}
	b.progress("start with %d znodes: %.2f s, %.0f MB resident, %.0f MB of them anonymous", b.opts.znodes, seconds, mb, anonymousMB)
	b.record(measureStart, "time", "s", seconds)
	b.record(measureStart, "memory", "MB", mb)
	b.record(measureStart, "anonymous", "MB", anonymousMB)
	return nil
}

// checkEntries fails when the server did not load its data: a quick start with
// nothing is no start.
func checkEntries(m member, atLeast int) error {
	count, err := m.Entries()
	if err != nil {
		return err
	}
	if count < atLeast {
		return fmt.Errorf("the server has %d znodes after its start, its data hold %d", count, atLeast)
	}
	return nil
}

// largeData makes the data directory with -znodes once, and returns its path.
func (b *bench) largeData(ctx context.Context) (string, error) {
	dir := filepath.Join(b.dir, sourceDir, b.system.protocol())
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	b.progress("writing data of %d znodes", b.opts.znodes)
	if err := b.system.fill(ctx, dir, b.opts.znodes); err != nil {
		return "", fmt.Errorf("write data of %d znodes: %w", b.opts.znodes, err)
	}
	return dir, nil
}

// copyDir copies a directory with its files. Copies, not links: servers change their files at
// their start.
func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		return errors.Join(err, target.Close())
	}
	// What the copy left to be written must not slow the start that follows.
	return errors.Join(target.Sync(), target.Close())
}
