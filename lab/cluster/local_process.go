package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"zoolab/nemesis"
)

func (l *localCluster) process(member string) (*localProcess, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, found := l.processes[member]
	if !found {
		return nil, fmt.Errorf("cluster: no member %q, or it was not started", member)
	}
	return p, nil
}

func (l *localCluster) signal(member string, s syscall.Signal) (*localProcess, error) {
	p, err := l.process(member)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.done:
		return nil, fmt.Errorf("cluster: %s has ended already: %s", member, p.exit)
	default:
	}
	if err := syscall.Kill(p.pid, s); err != nil {
		return nil, fmt.Errorf("cluster: send %s to %s: %w", s, member, err)
	}
	return p, nil
}

func awaitEnd(ctx context.Context, member string, p *localProcess, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: %s (pid %d) has not ended: %w", member, p.pid, ctx.Err())
	}
}

// Kill implements nemesis.Injector.
func (l *localCluster) Kill(ctx context.Context, member string) error {
	return l.end(ctx, member, syscall.SIGKILL, killTimeout)
}

// Terminate implements nemesis.Terminator.
func (l *localCluster) Terminate(ctx context.Context, member string) error {
	return l.end(ctx, member, syscall.SIGTERM, termTimeout)
}

// end ends a process, which Restart or HealAll will start again.
func (l *localCluster) end(ctx context.Context, member string, s syscall.Signal, timeout time.Duration) error {
	p, err := l.signal(member, s)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.killed[member] = true
	l.mu.Unlock()
	return awaitEnd(ctx, member, p, timeout)
}

// Restart implements nemesis.Injector.
func (l *localCluster) Restart(_ context.Context, member string) error {
	p, err := l.process(member)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	default:
		return fmt.Errorf("cluster: %s runs already", member)
	}
	for _, m := range l.list {
		if m.Name != member {
			continue
		}
		if err := l.startProcess(m); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.killed[member] = false
	return nil
}

// Pause implements nemesis.Injector.
func (l *localCluster) Pause(_ context.Context, member string) error {
	_, err := l.signal(member, syscall.SIGSTOP)
	return err
}

// Resume implements nemesis.Injector.
func (l *localCluster) Resume(_ context.Context, member string) error {
	_, err := l.signal(member, syscall.SIGCONT)
	return err
}

// Status implements nemesis.Injector: the kernel's word for the process' state.
func (l *localCluster) Status(_ context.Context, member string) (nemesis.Status, error) {
	p, err := l.process(member)
	if err != nil {
		return nemesis.Status{}, err
	}
	select {
	case <-p.done:
		return nemesis.Status{State: nemesis.Down, Detail: p.exit}, nil
	default:
	}
	detail := fmt.Sprintf("pid %d", p.pid)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if errors.Is(err, fs.ErrNotExist) {
		return nemesis.Status{State: nemesis.Down, Detail: detail}, nil
	}
	if err != nil {
		return nemesis.Status{}, fmt.Errorf("cluster: state of %s: %w", member, err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	switch {
	case len(fields) == 0 || fields[0] == "Z" || fields[0] == "X":
		return nemesis.Status{State: nemesis.Down, Detail: detail}, nil
	case fields[0] == "T":
		return nemesis.Status{State: nemesis.Paused, Detail: detail + " stopped"}, nil
	}
	return nemesis.Status{State: nemesis.Running, Detail: detail}, nil
}

// StopNodes implements Cluster.
func (l *localCluster) StopNodes(ctx context.Context) error {
	if l.netfilter == nil {
		return nil
	}
	return l.each(func(m Member) error {
		status, err := l.Status(ctx, m.Name)
		if err != nil || status.State == nemesis.Down {
			return err
		}
		p, err := l.signal(m.Name, syscall.SIGTERM)
		if err != nil {
			return err
		}
		if awaitEnd(ctx, m.Name, p, termTimeout) == nil {
			return nil
		}
		// As a container engine does: SIGKILL after the grace period.
		if _, err := l.signal(m.Name, syscall.SIGKILL); err != nil {
			return err
		}
		return awaitEnd(ctx, m.Name, p, killTimeout)
	})
}

func fileHash(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("cluster: collect: %w", err)
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("cluster: collect: %w", err)
	}
	if err := errors.Join(copySparse(target, source), target.Close()); err != nil {
		return fmt.Errorf("cluster: collect %s: %w", from, err)
	}
	return nil
}

// copyTree copies regular files and directories. A file that goes away while
// it is copied, as a purged snapshot may, is left out.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cluster: collect: %w", err)
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return fmt.Errorf("cluster: collect: %w", err)
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if err := copyFile(path, target); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
