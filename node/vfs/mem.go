package vfs

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that remembers, beside what readers see, what
// was made durable. Crash goes back to that. The zero value is no file system:
// use NewMem. It is safe for concurrent use; what it does depends on nothing but
// the calls and the random source given to Crash.
type Mem struct {
	mu         sync.Mutex
	root       *memNode
	generation int // counts crashes: a handle of an earlier one is dead
}

// memNode is a file or a directory. A name that points to it is an entry of a directory.
type memNode struct {
	// File: data is what readers see. Invariant: applying pending to durable gives data.
	data    []byte
	durable []byte
	pending []memWrite

	// Directory (entries is not nil). Invariant: applying changes to durableEntries gives entries.
	entries        map[string]*memNode
	durableEntries map[string]*memNode
	changes        []memChange
}

// memWrite is a write or, when data is nil, a change of size, not yet synced.
type memWrite struct {
	offset int64 // the new size, for a change of size
	data   []byte
}

// newMemWrite copies what is written; nothing written is still a write.
func newMemWrite(p []byte, offset int64) memWrite {
	return memWrite{offset: offset, data: append(make([]byte, 0, len(p)), p...)}
}

// memChange is a change of a directory, not yet synced: name is given to node, or
// removed when node is nil; oldName, unless empty, is given up in the same step.
type memChange struct {
	name, oldName string
	node          *memNode
}

func newMemDir() *memNode {
	return &memNode{entries: map[string]*memNode{}, durableEntries: map[string]*memNode{}}
}

// NewMem makes an empty file system. Its root is both "/" and ".".
func NewMem() *Mem { return &Mem{root: newMemDir()} }

// pathError names the operation and path of a failure as package os does.
func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// find returns the node at a path, nil if there is none.
func (m *Mem) find(name string) *memNode {
	node := m.root
	for part := range strings.SplitSeq(path.Clean("/"+name), "/") {
		if part == "" {
			continue
		}
		if node == nil || node.entries == nil {
			return nil
		}
		node = node.entries[part]
	}
	return node
}

// findParent returns the directory of a path and the last name in it.
func (m *Mem) findParent(op, name string) (*memNode, string, error) {
	dir, base := path.Split(path.Clean("/" + name))
	parent := m.find(dir)
	if parent == nil || base == "" {
		return nil, "", pathError(op, name, fs.ErrNotExist)
	}
	if parent.entries == nil {
		return nil, "", pathError(op, name, syscall.ENOTDIR)
	}
	return parent, base, nil
}

// change applies a change of a directory, to be made durable by SyncDir.
func (n *memNode) change(c memChange) {
	n.changes = append(n.changes, c)
	applyChange(n.entries, c)
}

func applyChange(entries map[string]*memNode, c memChange) {
	if c.oldName != "" && entries[c.oldName] == c.node {
		delete(entries, c.oldName)
	}
	if c.node == nil {
		delete(entries, c.name)
		return
	}
	entries[c.name] = c.node
}

// Create makes an empty file.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	parent, base, err := m.findParent("create", name)
	if err != nil {
		return nil, err
	}
	node := parent.entries[base]
	switch {
	case node == nil:
		node = &memNode{}
		parent.change(memChange{name: base, node: node})
	case node.entries != nil:
		return nil, pathError("create", name, syscall.EISDIR)
	default:
		node.write(memWrite{})
	}
	return &memFile{fs: m, node: node, name: name, generation: m.generation, writable: true}, nil
}

// Open opens an existing file for reading.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenReadWrite opens an existing file for reading and writing.
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, writable bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.find(name)
	if node == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	if node.entries != nil {
		return nil, pathError("open", name, syscall.EISDIR)
	}
	return &memFile{fs: m, node: node, name: name, generation: m.generation, writable: writable}, nil
}

// Remove removes a file or an empty directory.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	parent, base, err := m.findParent("remove", name)
	if err != nil {
		return err
	}
	node := parent.entries[base]
	if node == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	if len(node.entries) > 0 {
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	parent.change(memChange{name: base})
	return nil
}

// Rename gives a file a new name. Between two directories it is not atomic: a
// crash may leave both names or none.
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase, err := m.findParent("rename", oldName)
	if err != nil {
		return err
	}
	to, newBase, err := m.findParent("rename", newName)
	if err != nil {
		return err
	}
	node := from.entries[oldBase]
	if node == nil {
		return pathError("rename", oldName, fs.ErrNotExist)
	}
	if there := to.entries[newBase]; there != nil && (there.entries != nil || node.entries != nil) {
		return pathError("rename", newName, fs.ErrExist)
	}
	if from == to {
		if oldBase != newBase {
			from.change(memChange{name: newBase, oldName: oldBase, node: node})
		}
		return nil
	}
	to.change(memChange{name: newBase, node: node})
	from.change(memChange{name: oldBase})
	return nil
}

// List returns the sorted names in a directory.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.find(dir)
	if node == nil {
		return nil, pathError("list", dir, fs.ErrNotExist)
	}
	if node.entries == nil {
		return nil, pathError("list", dir, syscall.ENOTDIR)
	}
	return slices.Sorted(maps.Keys(node.entries)), nil
}

// Stat describes a file or directory.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.find(name)
	if node == nil {
		return Info{}, pathError("stat", name, fs.ErrNotExist)
	}
	return Info{SizeBytes: int64(len(node.data)), IsDir: node.entries != nil}, nil
}

// MkdirAll makes a directory and the missing ones above it.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.root
	for part := range strings.SplitSeq(path.Clean("/"+dir), "/") {
		if part == "" {
			continue
		}
		next := node.entries[part]
		if next == nil {
			next = newMemDir()
			node.change(memChange{name: part, node: next})
		}
		if next.entries == nil {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
		node = next
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.find(dir)
	if node == nil || node.entries == nil {
		return pathError("sync", dir, fs.ErrNotExist)
	}
	node.durableEntries = maps.Clone(node.entries)
	node.changes = nil
	return nil
}

// memFile is an open handle.
type memFile struct {
	fs         *Mem
	node       *memNode
	name       string
	position   int64
	generation int
	writable   bool
	closed     bool
}

// lock takes the file system's lock, or fails for a handle that is closed, did not
// survive a crash or may not do what is asked.
func (f *memFile) lock(op string, write bool) error {
	f.fs.mu.Lock()
	err := error(nil)
	switch {
	case f.closed || f.generation != f.fs.generation:
		err = pathError(op, f.name, fs.ErrClosed)
	case write && !f.writable:
		err = pathError(op, f.name, fs.ErrPermission)
	}
	if err != nil {
		f.fs.mu.Unlock()
	}
	return err
}

func (f *memFile) Read(p []byte) (int, error) {
	if err := f.lock("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	n, err := f.node.readAt(p, f.position)
	f.position += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.lock("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	return f.node.readAt(p, offset)
}

func (f *memFile) Write(p []byte) (int, error) {
	if err := f.lock("write", true); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	f.node.write(newMemWrite(p, f.position))
	f.position += int64(len(p))
	return len(p), nil
}

func (f *memFile) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.lock("write", true); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	f.node.write(newMemWrite(p, offset))
	return len(p), nil
}

func (f *memFile) Truncate(sizeBytes int64) error {
	if err := f.lock("truncate", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.node.write(memWrite{offset: sizeBytes})
	return nil
}

func (f *memFile) Preallocate(sizeBytes int64) error {
	if err := f.lock("preallocate", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if int64(len(f.node.data)) < sizeBytes {
		f.node.write(memWrite{offset: sizeBytes})
	}
	return nil
}

func (f *memFile) Sync() error {
	if err := f.lock("sync", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	for _, w := range f.node.pending {
		f.node.durable = applyWrite(f.node.durable, w)
	}
	f.node.pending = nil
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.lock("stat", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *memFile) Close() error {
	if err := f.lock("close", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.closed = true
	return nil
}

func (n *memNode) readAt(p []byte, offset int64) (int, error) {
	if offset >= int64(len(n.data)) {
		return 0, io.EOF
	}
	copied := copy(p, n.data[offset:])
	if copied < len(p) {
		return copied, io.EOF
	}
	return copied, nil
}

// write applies a write that Sync will make durable.
func (n *memNode) write(w memWrite) {
	n.pending = append(n.pending, w)
	n.data = applyWrite(n.data, w)
}

func applyWrite(content []byte, w memWrite) []byte {
	if w.data == nil {
		return resize(content, w.offset)
	}
	if end := w.offset + int64(len(w.data)); end > int64(len(content)) {
		content = resize(content, end)
	}
	copy(content[w.offset:], w.data)
	return content
}

// resize cuts content or fills it up with zeros.
func resize(content []byte, sizeBytes int64) []byte {
	size := int(sizeBytes)
	if size <= len(content) {
		return content[:size]
	}
	old := len(content)
	content = slices.Grow(content, size-old)[:size]
	clear(content[old:])
	return content
}
