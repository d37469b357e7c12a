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

// A member keeps its newest snapshots: the last few, and more while all together take less
// than so many bytes. In a run of usual length they do.
const (
	keptSnapshots     = 3
	keptSnapshotBytes = 8 << 20
)

// ownSnapshot is one that a member took itself.
type ownSnapshot struct {
	path      string
	sizeBytes int64
}

// thinOut removes the oldest of the snapshots that a member took itself, once there are more
// than it keeps: of a long run they would be most of what this process holds. It follows
// the member's story. The logs stay, as does the first snapshot, so that a log can be cut
// where it could be before; and so do those that came from a leader, which explain a gap.
// Nothing is synced, so that a power failure may bring a file back.
func (c *Cluster) thinOut(i int, text string) {
	if strings.HasPrefix(text, "installs a snapshot") { // which may bear a name that we know
		c.own[i] = nil
	}
	words := strings.Fields(text)
	if len(words) != 3 || words[0] != "snapshot" || words[2] != "<nil>" {
		return
	}
	disk, path := c.ensemble.Disk(c.members[i].ID), words[1]
	info, err := disk.Stat(path)
	if err != nil {
		return // a fault has removed it
	}
	own, sum := append(c.own[i], ownSnapshot{path, info.SizeBytes}), int64(0)
	for _, snapshot := range own {
		sum += snapshot.sizeBytes
	}
	for len(own) > keptSnapshots && sum > c.keptBytes {
		_ = disk.Remove(own[0].path) // which a fault may have done
		sum -= own[0].sizeBytes
		own = own[1:]
	}
	c.own[i] = own
}
