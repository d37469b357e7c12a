package storage

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

func addGolden(f *testing.F, pattern string) {
	files, err := filepath.Glob(filepath.Join(goldenDir, pattern))
	must(f, err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		must(f, err)
		f.Add(b)
	}
}

// boundAllocations fails when f allocates out of proportion to its input.
func boundAllocations(t *testing.T, inputBytes int, f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(12<<20+200*inputBytes); got > limit {
		t.Errorf("%d bytes of input made it allocate %d bytes", inputBytes, got)
	}
}

// FuzzLog loads any bytes as a log: it is refused, or what is loaded stays the same
// at the next start, with what was written after it.
func FuzzLog(f *testing.F) {
	whole, _ := logBytes(f, 3, 40)
	f.Add(whole)
	f.Add(append(slices.Clone(whole), make([]byte, 600)...))
	f.Add([]byte{})
	addGolden(f, "*.log")
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		writeFile(t, mem, firstLog, b)
		s, err := Open(testOptions(mem))
		must(t, err)
		var r restored
		boundAllocations(t, len(b), func() { r, err = loadInto(s) })
		if err != nil {
			mustBe(t, err, ErrCorrupt)
			return
		}
		next := r.LastZxid + 1
		if next <= 0 {
			return
		}
		must(t, s.Append(next, payloadOf(next, 10)))
		must(t, s.Sync())
		if r.LastZxid == 0 {
			return
		}
		_, again := open(t, mem)
		if !slices.Equal(again.replayed, append(r.replayed, next)) {
			t.Errorf("first %v, then %v", r.replayed, again.replayed)
		}
	})
}

// FuzzSnapshot reads any bytes as a snapshot; a valid one is rewritten alike.
func FuzzSnapshot(f *testing.F) {
	mem := vfs.NewMem()
	must(f, writeSnapshotFile(mem, "seed", treeAt(3), func() error { return nil }))
	f.Add(readFile(f, mem, "seed"))
	addGolden(f, "*.snapshot")
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		writeFile(t, mem, "/snapshot.1", b)
		var tree testTree
		var err error
		boundAllocations(t, len(b), func() { err = ReadSnapshot(mem, "/snapshot.1", 1, &tree) })
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		must(t, writeSnapshotFile(mem, "/again", &tree, func() error { return nil }))
		var again testTree
		must(t, ReadSnapshot(mem, "/again", 1, &again))
		if len(again.nodes) != len(tree.nodes) {
			t.Errorf("%d nodes became %d", len(tree.nodes), len(again.nodes))
		}
	})
}

// FuzzSnapshotStream reads any bytes as a snapshot from the quorum port.
func FuzzSnapshotStream(f *testing.F) {
	var stream bytes.Buffer
	must(f, WriteSnapshotStream(&stream, treeAt(3)))
	f.Add(stream.Bytes())
	f.Add(append(jute.AppendInt32(nil, 0), 0x7f, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		boundAllocations(t, len(b), func() {
			err := ReadSnapshotStream(bufio.NewReader(bytes.NewReader(b)), &testTree{}, 1<<20)
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the error is %v", err)
			}
		})
	})
}
