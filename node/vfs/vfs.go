// Package vfs is the file system seam of the server: what storage needs of a disk,
// small enough that the memory in a simulation and a fault injector can stand in.
//
// OS is the operating system's. Mem lives in memory and knows what a crash would
// leave. Faulty wraps either one and makes chosen operations fail.
//
// Durability is explicit, as on a disk: a write survives a crash for certain only
// after File.Sync, and the creation, renaming or removal of a name only after
// FS.SyncDir of its directory. Between the two, anything may be left: all, nothing
// or parts of it. A rename is atomic: the new name is the old or the new file.
//
// Errors wrap io/fs's sentinels (fs.ErrNotExist) and the system's numbers
// (syscall.ENOSPC) and name the path. An FS may be used by several goroutines at
// once; one File by several goroutines only with ReadAt and WriteAt.
package vfs

import "io"

// FS is a file system. Paths are separated by slashes.
type FS interface {
	// Create makes an empty file, or empties the one that is there, for reading and writing.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing, without emptying it.
	OpenReadWrite(name string) (File, error)
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// Rename gives a file a new name in place of what bears it already.
	Rename(oldName, newName string) error
	// List returns the sorted names in a directory.
	List(dir string) ([]string, error)
	// Stat describes a file or directory.
	Stat(name string) (Info, error)
	// MkdirAll makes a directory and the missing ones above it.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	// Truncate sets the size; a longer file ends in zeros.
	Truncate(sizeBytes int64) error
	// Sync makes content and size durable, not the name.
	Sync() error
	// Preallocate grows the file with zeros to sizeBytes, if it is shorter, and
	// reserves room for them where the file system can.
	Preallocate(sizeBytes int64) error
	// Size returns the size in bytes.
	Size() (int64, error)
}

// Info describes a file or directory.
type Info struct {
	SizeBytes int64
	IsDir     bool
}
