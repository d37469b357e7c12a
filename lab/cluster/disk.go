package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/lab/cluster/faultfs"
	"zoolab/nemesis"
)

// Members whose disks may be broken have their data on a file system of the
// lab's own (package faultfs). Below the run's directory in localRoot, each has
// diskName, the mountpoint, and dataName behind it. Without such a fault in sight
// no run has it, so that nothing stands between the servers and the real disk.
const diskName = "disk"

// diskFaultPrefix begins the names of the faults that need it.
const diskFaultPrefix = "disk-"

type tryFunc func(ctx context.Context, member, script string, argv ...string) (string, error)

// disks are the members' disks, for all drivers.
type disks struct {
	mounted map[string]*faultfs.FS
	// try runs a script of bash at a member. Its first argument is the directory of
	// the data, as it is seen there.
	try tryFunc
	// missing says why disks can't be broken.
	missing string
}

// mountDisks mounts a disk for each member, in the run's directory. Where that
// can't be done it isn't an error: disks can't be broken then.
func mountDisks(o *Options, members []Member, try tryFunc) (*disks, error) {
	d := &disks{mounted: make(map[string]*faultfs.FS), try: try}
	switch _, err := os.Stat("/dev/fuse"); {
	case !slices.ContainsFunc(o.Faults, func(name string) bool { return strings.HasPrefix(name, diskFaultPrefix) }):
		d.missing = "the cluster was started without disks that can be broken"
		return d, nil
	case os.Geteuid() != 0:
		d.missing = "file systems are mounted by root: run the lab with sudo"
		return d, nil
	case err != nil:
		d.missing = "it takes a file system in user space, and this kernel has no /dev/fuse"
		return d, nil
	}
	// Its owner first, so that no sweep takes it for a leftover.
	dir := filepath.Join(localRoot(), o.Run)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, ownerName), []byte(owner()), 0o644)); err != nil {
		return d, fmt.Errorf("cluster: disks: %w", err)
	}
	for _, m := range members {
		behind, mountpoint := d.behind(o.Run, m.Name), d.mountpoint(o.Run, m.Name)
		if err := errors.Join(os.MkdirAll(behind, 0o755), os.MkdirAll(mountpoint, 0o755)); err != nil {
			return d, fmt.Errorf("cluster: disk of %s: %w", m.Name, err)
		}
		fs, err := faultfs.Mount(behind, mountpoint)
		if err != nil {
			d.missing = err.Error()
			return d, d.unmount(o.Run)
		}
		d.mounted[m.Name] = fs
	}
	return d, nil
}

func (d *disks) behind(run, member string) string {
	return filepath.Join(localRoot(), run, member, dataName)
}

func (d *disks) mountpoint(run, member string) string {
	return filepath.Join(localRoot(), run, member, diskName)
}

func (d *disks) unmount(run string) error {
	clear(d.mounted)
	return unmountDisks(filepath.Join(localRoot(), run))
}

// unmountDisks unmounts what is mounted in a run's directory, whoever did it.
func unmountDisks(dir string) error {
	mountpoints, err := filepath.Glob(filepath.Join(dir, "*", diskName))
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, mountpoint := range mountpoints {
		err = errors.Join(err, faultfs.Unmount(mountpoint))
	}
	return err
}

// can is nil if disks can be broken.
func (d *disks) can(fault string) error {
	if d.missing != "" {
		return nemesis.Unavailable(fault, d.missing)
	}
	return nil
}

// BreakDisk implements nemesis.DiskBreaker.
func (d *disks) BreakDisk(_ context.Context, member string, state nemesis.DiskState) error {
	fs, found := d.mounted[member]
	if !found {
		return fmt.Errorf("cluster: %s has no disk that can be broken", member)
	}
	fs.Set(faultfs.Fault{Full: state.Full, Broken: state.Broken, Sync: time.Duration(state.SyncMs) * time.Millisecond})
	return nil
}

// tryScript writes and syncs, and prints the microseconds that it took and, in
// the lines after them, the complaint.
const tryScript = `
file=$1/.zoolab-probe
begin=${EPOCHREALTIME/./}
text=$(LC_ALL=C dd if=/dev/zero of="$file" bs=512 count=1 conv=fsync status=none 2>&1)
end=${EPOCHREALTIME/./}
rm -f "$file"
echo $((end - begin))
echo "$text"`

// TryDisk implements nemesis.DiskBreaker.
func (d *disks) TryDisk(ctx context.Context, member string) (time.Duration, string, error) {
	out, err := d.try(ctx, member, tryScript)
	if err != nil {
		return 0, "", err
	}
	first, rest, _ := strings.Cut(out, "\n")
	us, err := strconv.Atoi(first)
	if err != nil {
		return 0, "", fmt.Errorf("cluster: probe of the disk of %s: got %q", member, out)
	}
	return time.Duration(us) * time.Microsecond, strings.TrimSpace(rest), nil
}

// healDisks puts all disks in order.
func (d *disks) healDisks() {
	for _, fs := range d.mounted {
		fs.Set(faultfs.Fault{})
	}
}
