// Package faultfs is a directory with a disk that can be made to fail: a file
// system in user space (FUSE) that passes everything on to a directory behind
// it, unless a fault says otherwise. A process that works in it meets the errors
// that a bad or full disk gives, from the same system calls.
//
// The file system lives in this process and ends with it. What it has passed on
// stays in the directory behind it.
//
// Concurrency: every method may be called from any goroutine.
package faultfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Fault is what is wrong with the disk. The zero Fault is a disk in order.
type Fault struct {
	Full   bool          // nothing more can be written: ENOSPC
	Broken bool          // writes and syncs fail: EIO; wins over Full
	Sync   time.Duration // how much longer a sync takes
}

// write is the error that a write meets, 0 for none.
func (f Fault) write() syscall.Errno {
	switch {
	case f.Broken:
		return syscall.EIO
	case f.Full:
		return syscall.ENOSPC
	}
	return 0
}

// FS is a mounted directory.
type FS struct {
	server *fuse.Server
	fault  atomic.Pointer[Fault]
}

// Mount makes the directory behind appear at mountpoint. Both must exist. It
// needs root, and a kernel with FUSE.
func Mount(behind, mountpoint string) (*FS, error) {
	f := &FS{}
	f.Set(Fault{})
	root := &fs.LoopbackRoot{Path: behind}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, disk: f}
	root.RootNode = top
	var err error
	f.server, err = fs.Mount(mountpoint, top, &fs.Options{
		MountOptions: fuse.MountOptions{AllowOther: true, DirectMountStrict: true, FsName: behind, Name: "zoolab"},
	})
	if err != nil {
		return nil, fmt.Errorf("faultfs: mount %s at %s: %w", behind, mountpoint, err)
	}
	if err := keepDevices(); err != nil {
		return nil, errors.Join(fmt.Errorf("faultfs: mount %s: %w", behind, err), Unmount(mountpoint))
	}
	return f, nil
}

// keepDevices keeps the connections to the kernel from processes that this one
// starts, which go-fuse does not. A server that had one would keep its own file
// system from ending with this process, and wait for an answer for ever, out of
// reach of SIGKILL.
func keepDevices() error {
	const list = "/proc/self/fd"
	entries, err := os.ReadDir(list)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(list, entry.Name())); err != nil || target != "/dev/fuse" {
			continue // one that is closed again is no device either
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return err
		}
		syscall.CloseOnExec(fd)
	}
	return nil
}

// Set replaces the fault. Operations that are under way may still meet the one
// before.
func (f *FS) Set(fault Fault) { f.fault.Store(&fault) }

// Unmount ends the file system, also while somebody uses it, and whoever serves
// it: what waits for an answer gets an error.
func Unmount(mountpoint string) error {
	err := syscall.Unmount(mountpoint, syscall.MNT_FORCE|syscall.MNT_DETACH)
	if err != nil && err != syscall.EINVAL && err != syscall.ENOENT {
		return fmt.Errorf("faultfs: unmount %s: %w", mountpoint, err)
	}
	return nil
}

// node is a file or directory.
type node struct {
	fs.LoopbackNode
	disk *FS
}

// WrapChild implements fs.NodeWrapChilder.
func (n *node) WrapChild(context.Context, fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: fs.LoopbackNode{RootData: n.RootData}, disk: n.disk}
}

func (n *node) path() string {
	return filepath.Join(n.RootData.Path, n.Path(n.Root()))
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.disk.fault.Load().write(); errno != 0 {
		return nil, nil, 0, errno
	}
	inode, handle, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, n.wrap(handle), fuseFlags, errno
}

// Mkdir implements fs.NodeMkdirer.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.disk.fault.Load().write(); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

// Open implements fs.NodeOpener.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	handle, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	return n.wrap(handle), fuseFlags, errno
}

// OpendirHandle implements fs.NodeOpendirHandler.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	handle, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &directory{stream: handle.(stream), node: n}, fuseFlags, 0
}

// Fsync implements fs.NodeFsyncer, for files and directories.
func (n *node) Fsync(ctx context.Context, handle fs.FileHandle, flags uint32) syscall.Errno {
	fault := n.disk.fault.Load()
	if fault.Sync > 0 {
		time.Sleep(fault.Sync)
	}
	if fault.Broken {
		return syscall.EIO
	}
	if f, isFile := handle.(*file); isFile {
		return f.LoopbackFile.Fsync(ctx, flags)
	}
	dir, err := os.Open(n.path())
	if err != nil {
		return fs.ToErrno(err)
	}
	defer dir.Close()
	return fs.ToErrno(dir.Sync())
}

func (n *node) wrap(handle fs.FileHandle) fs.FileHandle {
	if f, isFile := handle.(*fs.LoopbackFile); isFile {
		return &file{LoopbackFile: f, disk: n.disk}
	}
	return handle
}

// stream is what an open directory of go-fuse's loopback file system offers.
type stream interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
}

// directory is an open directory.
type directory struct {
	stream
	node *node
}

// Fsyncdir implements fs.FileFsyncdirer.
func (d *directory) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	return d.node.Fsync(ctx, nil, flags)
}

// file is an open file.
type file struct {
	*fs.LoopbackFile
	disk *FS
}

// PassthroughFd keeps the kernel from passing this file system by.
func (f *file) PassthroughFd() (int, bool) { return 0, false }

// Write implements fs.FileWriter.
func (f *file) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := f.disk.fault.Load().write(); errno != 0 {
		return 0, errno
	}
	return f.LoopbackFile.Write(ctx, data, off)
}

// Allocate implements fs.FileAllocater.
func (f *file) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if errno := f.disk.fault.Load().write(); errno != 0 {
		return errno
	}
	return f.LoopbackFile.Allocate(ctx, off, size, mode)
}
