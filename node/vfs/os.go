package vfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// OS is the operating system's file system. Files are made for the owner to write
// and the group to read: they hold what clients store.
type OS struct{}

const (
	filePerm = 0o640
	dirPerm  = 0o750
)

// Create makes an empty file.
func (OS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// Open opens an existing file for reading.
func (OS) Open(name string) (File, error) { return openOS(name, os.O_RDONLY) }

// OpenReadWrite opens an existing file for reading and writing.
func (OS) OpenReadWrite(name string) (File, error) { return openOS(name, os.O_RDWR) }

// Remove removes a file or an empty directory.
func (OS) Remove(name string) error { return os.Remove(name) }

// Rename gives a file a new name.
func (OS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

// List returns the sorted names in a directory.
func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// Stat describes a file or directory.
func (OS) Stat(name string) (Info, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{SizeBytes: info.Size(), IsDir: info.IsDir()}, nil
}

// MkdirAll makes a directory and the missing ones above it.
func (OS) MkdirAll(dir string) error { return os.MkdirAll(dir, dirPerm) }

// SyncDir makes the names in a directory durable.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type osFile struct{ *os.File }

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, filePerm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Sync flushes content and size with fdatasync, which leaves out the times that
// nobody reads back.
func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// Preallocate reserves blocks with fallocate; a file system without it gets a hole.
func (f osFile) Preallocate(sizeBytes int64) error {
	size, err := f.Size()
	if err != nil || size >= sizeBytes {
		return err
	}
	for {
		err := unix.Fallocate(int(f.Fd()), 0, size, sizeBytes-size)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.ENOSYS:
			return f.Truncate(sizeBytes)
		default:
			return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		}
	}
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
