package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"zoolab/nemesis"
	nodesim "zoolab/node/sim"
	"zoolab/node/vfs"
)

var (
	_ nemesis.DiskBreaker = (*Cluster)(nil)
	_ nemesis.Damager     = (*Cluster)(nil)
)

// BreakDisk implements nemesis.DiskBreaker, as does the method below.
func (c *Cluster) BreakDisk(_ context.Context, member string, state nemesis.DiskState) error {
	id, err := c.id(member)
	if err != nil {
		return err
	}
	var fails error
	switch {
	case state.Broken:
		fails = syscall.EIO
	case state.Full:
		fails = syscall.ENOSPC
	}
	c.ensemble.BreakDisk(id, fails, time.Duration(state.SyncMs)*time.Millisecond)
	return nil
}

// TryDisk tells what a write and sync would meet, in the words of the system.
func (c *Cluster) TryDisk(_ context.Context, member string) (took time.Duration, complaint string, err error) {
	id, err := c.id(member)
	if err != nil {
		return 0, "", err
	}
	took, failed := c.ensemble.TryDisk(id)
	switch {
	case failed == nil:
		return took, "", nil
	case errors.Is(failed, syscall.EIO):
		return took, "Input/output error", nil
	case errors.Is(failed, syscall.ENOSPC):
		return took, "No space left on device", nil
	}
	return took, failed.Error(), nil
}

// Serves implements nemesis.Damager, as does the method below.
func (c *Cluster) Serves(_ context.Context, member string) bool {
	_, _, err := c.Mode(member)
	return err == nil
}

// Damage does to a member's files what package cluster does to those of real ones.
func (c *Cluster) Damage(_ context.Context, member, fault string) (string, error) {
	id, err := c.id(member)
	if err != nil {
		return "", err
	}
	disk, dir := c.ensemble.Disk(id), path.Join(nodesim.DataDir, "version-2")
	names, err := disk.List(dir)
	if err != nil {
		return "", fmt.Errorf("damage the data of %s: %w", member, err)
	}
	if fault == "data-lost" {
		for _, name := range names {
			err = errors.Join(err, disk.Remove(path.Join(dir, name)))
		}
		return fmt.Sprintf("%d files are gone", len(names)), errors.Join(err, disk.SyncDir(dir))
	}
	kind, how, _ := strings.Cut(fault, "-")
	newest := newestOf(names, kind)
	if newest == "" {
		return "", fmt.Errorf("damage the data of %s: there is no %s in %s", member, kind, dir)
	}
	done, err := damage(disk, path.Join(dir, newest), how == "truncated")
	if err != nil {
		return "", fmt.Errorf("damage %s of %s: %w", newest, member, err)
	}
	return newest + done, nil
}

// newestOf picks the file of a kind whose name has the highest zxid, "" if there is none.
func newestOf(names []string, kind string) (newest string) {
	var last uint64
	for _, name := range names {
		hex, ok := strings.CutPrefix(name, kind+".")
		zxid, err := strconv.ParseUint(hex, 16, 64)
		if ok && err == nil && (newest == "" || zxid > last) {
			newest, last = name, zxid
		}
	}
	return newest
}

// damage cuts off the last fifth of a file, or flips a byte behind three quarters of it.
func damage(disk vfs.FS, name string, truncate bool) (done string, err error) {
	file, err := disk.OpenReadWrite(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Sync(), file.Close()) }()
	content, err := io.ReadAll(file)
	if err != nil {
		return "", err
	}
	// A log is preallocated: its end is behind the last byte that isn't zero.
	end := len(bytes.TrimRight(content, "\x00"))
	if truncate {
		cut := max(0, end-end/5-1)
		return fmt.Sprintf(" ends at %d, it ended at %d", cut, end), file.Truncate(int64(cut))
	}
	if end == 0 {
		return "", errors.New("it is empty")
	}
	at := end * 3 / 4
	_, err = file.WriteAt([]byte{^content[at]}, int64(at))
	return fmt.Sprintf(": byte %d of %d is flipped", at, end), err
}

// damages are the faults of nemesis.Damager, and breaks those of nemesis.DiskBreaker.
var (
	damages = []string{"log-truncated", "log-corrupted", "snapshot-truncated", "snapshot-corrupted", "data-lost"}
	breaks  = []string{"disk-full", "disk-error", "disk-slow"}
)
