package vfs

import (
	"fmt"
	"path"
	"strings"
	"sync"
)

// Op is a kind of operation that can fail, or a set of kinds.
type Op uint16

// The kinds of operations.
const (
	OpCreate Op = 1 << iota
	OpOpen      // Open and OpenReadWrite
	OpRemove
	OpRename // matched by its new name
	OpList
	OpStat
	OpMkdirAll
	OpSyncDir
	OpRead // Read and ReadAt
	OpWrite
	OpTruncate
	OpPreallocate
	OpSync
	OpClose

	// OpMutate is every operation that changes what a crash would leave.
	OpMutate = OpCreate | OpRemove | OpRename | OpMkdirAll | OpSyncDir | OpWrite |
		OpTruncate | OpPreallocate | OpSync
	OpAny = 1<<iota - 1
)

var opNames = [...]string{"create", "open", "remove", "rename", "list", "stat", "mkdirall",
	"syncdir", "read", "write", "truncate", "preallocate", "sync", "close"}

// String joins the names of the kinds with "|".
func (op Op) String() string {
	if op == OpAny {
		return "any"
	}
	if op == OpMutate {
		return "mutate"
	}
	var names []string
	for i, name := range opNames {
		if op&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// When is the moment of a failure relative to the operation's effect.
type When uint8

// The moments of a failure.
const (
	Before  When = iota // nothing has happened
	Partial             // a write has written half; other operations nothing
	After               // the effect is there, but the caller is told otherwise
)

// String returns the moment's name.
func (w When) String() string { return [...]string{"before", "partial", "after"}[w] }

// Fault says which operations fail, and how. It is data, to be made from a seed
// and printed.
type Fault struct {
	Ops     Op     // the kinds that count
	Pattern string // path.Match pattern of the last name in the path; "" matches all
	Nth     int    // the first of the matching operations that fails, from 1 (0 is 1)
	Count   int    // how many fail from there on; 0 means all
	Err     error  // for instance syscall.ENOSPC
	When    When
}

// String describes the fault on one line.
func (f Fault) String() string {
	pattern := f.Pattern
	if pattern == "" {
		pattern = "*"
	}
	count := "and on"
	if f.Count > 0 {
		count = fmt.Sprintf("times %d", f.Count)
	}
	return fmt.Sprintf("%v %s #%d %s: %v %v the effect", f.Ops, pattern, max(f.Nth, 1), count, f.Err, f.When)
}

// armedFault is a fault with the number of operations that matched it.
type armedFault struct {
	Fault
	seen int
}

// Faulty passes operations on to another file system and makes those fail that
// its faults name. It is safe for concurrent use.
type Faulty struct {
	fs FS

	mu     sync.Mutex
	faults []armedFault
	count  map[Op]int
}

// NewFaulty wraps fs; files opened through it are subject to its faults.
func NewFaulty(fs FS, faults ...Fault) *Faulty {
	f := &Faulty{fs: fs, count: map[Op]int{}}
	for _, fault := range faults {
		f.Inject(fault)
	}
	return f
}

// Inject adds a fault, which counts operations from now on.
func (f *Faulty) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, armedFault{Fault: fault})
}

// Clear removes all faults.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Count returns how many operations of the kinds were tried.
func (f *Faulty) Count(ops Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	total := 0
	for op, count := range f.count {
		if ops&op != 0 {
			total += count
		}
	}
	return total
}

// check counts an operation and returns the error it fails with, if it does.
func (f *Faulty) check(op Op, name string) (When, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[op]++
	var failed *Fault
	for i := range f.faults {
		fault := &f.faults[i]
		if fault.Ops&op == 0 || !fault.matches(name) {
			continue
		}
		fault.seen++
		nth := max(fault.Nth, 1)
		if fault.seen >= nth && (fault.Count == 0 || fault.seen < nth+fault.Count) && failed == nil {
			failed = &fault.Fault
		}
	}
	if failed == nil {
		return Before, nil
	}
	return failed.When, pathError(op.String(), name, failed.Err)
}

func (f *Fault) matches(name string) bool {
	if f.Pattern == "" {
		return true
	}
	ok, err := path.Match(f.Pattern, path.Base(name))
	return ok && err == nil
}

// do carries out an operation with the fault that meets it.
func (f *Faulty) do(op Op, name string, effect func() error) error {
	when, fault := f.check(op, name)
	if fault != nil && when != After {
		return fault
	}
	if err := effect(); err != nil {
		return err
	}
	return fault
}

func (f *Faulty) open(op Op, name string, open func(string) (File, error)) (File, error) {
	var file File
	err := f.do(op, name, func() (err error) {
		file, err = open(name)
		return err
	})
	if err == nil {
		return &faultyFile{fs: f, file: file, name: name}, nil
	}
	if file != nil {
		file.Close()
	}
	return nil, err
}

// Create makes an empty file.
func (f *Faulty) Create(name string) (File, error) { return f.open(OpCreate, name, f.fs.Create) }

// Open opens an existing file for reading.
func (f *Faulty) Open(name string) (File, error) { return f.open(OpOpen, name, f.fs.Open) }

// OpenReadWrite opens an existing file for reading and writing.
func (f *Faulty) OpenReadWrite(name string) (File, error) {
	return f.open(OpOpen, name, f.fs.OpenReadWrite)
}

// Remove removes a file or an empty directory.
func (f *Faulty) Remove(name string) error {
	return f.do(OpRemove, name, func() error { return f.fs.Remove(name) })
}

// Rename gives a file a new name.
func (f *Faulty) Rename(oldName, newName string) error {
	return f.do(OpRename, newName, func() error { return f.fs.Rename(oldName, newName) })
}

// List returns the sorted names in a directory.
func (f *Faulty) List(dir string) (names []string, err error) {
	err = f.do(OpList, dir, func() (err error) {
		names, err = f.fs.List(dir)
		return err
	})
	return names, err
}

// Stat describes a file or directory.
func (f *Faulty) Stat(name string) (info Info, err error) {
	err = f.do(OpStat, name, func() (err error) {
		info, err = f.fs.Stat(name)
		return err
	})
	return info, err
}

// MkdirAll makes a directory and the missing ones above it.
func (f *Faulty) MkdirAll(dir string) error {
	return f.do(OpMkdirAll, dir, func() error { return f.fs.MkdirAll(dir) })
}

// SyncDir makes the names in a directory durable.
func (f *Faulty) SyncDir(dir string) error {
	return f.do(OpSyncDir, dir, func() error { return f.fs.SyncDir(dir) })
}

// faultyFile is a file whose operations may be made to fail.
type faultyFile struct {
	fs   *Faulty
	file File
	name string
}

func (f *faultyFile) Read(p []byte) (n int, err error) {
	err = f.fs.do(OpRead, f.name, func() (err error) {
		n, err = f.file.Read(p)
		return err
	})
	return n, err
}

func (f *faultyFile) ReadAt(p []byte, offset int64) (n int, err error) {
	err = f.fs.do(OpRead, f.name, func() (err error) {
		n, err = f.file.ReadAt(p, offset)
		return err
	})
	return n, err
}

func (f *faultyFile) Write(p []byte) (int, error) {
	return f.write(p, f.file.Write)
}

func (f *faultyFile) WriteAt(p []byte, offset int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.file.WriteAt(p, offset) })
}

func (f *faultyFile) write(p []byte, write func([]byte) (int, error)) (int, error) {
	when, fault := f.fs.check(OpWrite, f.name)
	if fault == nil {
		return write(p)
	}
	switch when {
	case Partial:
		n, err := write(p[:len(p)/2])
		if err != nil {
			return n, err
		}
		return n, fault
	case After:
		if _, err := write(p); err != nil {
			return 0, err
		}
	}
	return 0, fault
}

func (f *faultyFile) Truncate(sizeBytes int64) error {
	return f.fs.do(OpTruncate, f.name, func() error { return f.file.Truncate(sizeBytes) })
}

func (f *faultyFile) Preallocate(sizeBytes int64) error {
	return f.fs.do(OpPreallocate, f.name, func() error { return f.file.Preallocate(sizeBytes) })
}

func (f *faultyFile) Sync() error { return f.fs.do(OpSync, f.name, f.file.Sync) }

// Size asks for no fault: it says nothing that Stat would not.
func (f *faultyFile) Size() (int64, error) { return f.file.Size() }

// Close always closes, so that a fault leaves no open file behind.
func (f *faultyFile) Close() error {
	_, fault := f.fs.check(OpClose, f.name)
	if err := f.file.Close(); err != nil {
		return err
	}
	return fault
}
