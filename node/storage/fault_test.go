package storage

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"zoolab/node/vfs"
)

// TestDiskFaultsAreFatal makes each operation of a member's life fail once, before and
// in the middle of or after its effect. The storage must stop at once, except where only a
// snapshot or preallocation is lost; the next start finds all that was reported.
func TestDiskFaultsAreFatal(t *testing.T) {
	counting := vfs.NewFaulty(vfs.NewMem())
	must(t, runLife(counting, NoCompression).err)
	steps := counting.Count(vfs.OpAny)
	fatal, survived := 0, 0
	for step := 1; step <= steps; step++ {
		cause := []error{syscall.EIO, syscall.ENOSPC}[step/2%2]
		for _, when := range []vfs.When{vfs.Before, vfs.When(1 + step%2)} {
			fault := vfs.Fault{Ops: vfs.OpAny, Nth: step, Count: 1, Err: cause, When: when}
			mem := vfs.NewMem()
			c := runLife(vfs.NewFaulty(mem, fault), NoCompression)
			switch {
			case c.err == nil:
				survived++
			case !errors.Is(c.err, cause):
				t.Fatalf("%v: the error hides its cause: %v", fault, c.err)
			case errors.Is(c.err, ErrFatal):
				fatal++
				mustBe(t, c.s.Append(1<<40|1, payloadOf(1<<40|1, 0)), ErrFatal)
				mustBe(t, c.s.Sync(), ErrFatal)
			}
			s, history, err := reload(mem, NoCompression)
			if err != nil {
				t.Fatalf("%v: restart: %v", fault, err)
			}
			if err := c.k.check(s, history); err != nil {
				t.Fatalf("%v: %v", fault, err)
			}
		}
	}
	if fatal < 100 || survived < 10 {
		t.Errorf("of %d steps, %d failures were fatal and %d lives went on", steps, fatal, survived)
	}
}

func TestLogFailuresAreFatal(t *testing.T) {
	for _, fault := range []vfs.Fault{
		{Ops: vfs.OpCreate, Pattern: "*log.*"},
		{Ops: vfs.OpWrite, Pattern: "*log.*"},
		{Ops: vfs.OpSync, Pattern: "*log.*"},
		{Ops: vfs.OpSyncDir, Pattern: "version-2"},
	} {
		faulty := vfs.NewFaulty(vfs.NewMem())
		s, _ := open(t, faulty)
		fault.Err, fault.Count = syscall.EIO, 1
		faulty.Inject(fault)
		must(t, s.Append(1, payloadOf(1, 0)))
		err := s.Sync()
		mustBe(t, err, ErrFatal)
		mustBe(t, err, syscall.EIO)
		mustBe(t, s.Sync(), ErrFatal) // the fault is over, but it stays failed
		mustBe(t, s.SetAcceptedEpoch(1), ErrFatal)
		mustBe(t, s.Truncate(0), ErrFatal)
		mustBe(t, s.InstallSnapshot(treeAt(1)), ErrFatal)
		_, err = s.SaveSnapshot(treeAt(1))
		mustBe(t, err, ErrFatal)
		must(t, s.Close())
	}
}

func TestPreallocationIsOptional(t *testing.T) {
	mem := vfs.NewMem()
	s, _ := open(t, vfs.NewFaulty(mem, vfs.Fault{Ops: vfs.OpPreallocate, Err: syscall.ENOSPC}))
	appendSynced(t, s, 1, 300)
	_, r := open(t, mem)
	wantReplayed(t, r, 1, 300)
}

func TestPreallocationGrowsInSteps(t *testing.T) {
	mem := vfs.NewMem()
	faulty := vfs.NewFaulty(mem)
	s, _ := open(t, faulty)
	for zxid := int64(1); zxid <= 200; zxid++ {
		must(t, s.Append(zxid, payloadOf(zxid, 200)))
		must(t, s.Sync())
		info, err := mem.Stat(firstLog)
		must(t, err)
		if info.SizeBytes%(16<<10) != 0 || info.SizeBytes < s.OpenLogSizeBytes() {
			t.Fatalf("%d bytes are preallocated for %d", info.SizeBytes, s.OpenLogSizeBytes())
		}
	}
	if got := faulty.Count(vfs.OpPreallocate); got < 3 || got > 6 {
		t.Errorf("preallocated %d times for %d bytes", got, s.OpenLogSizeBytes())
	}
}

// TestFailedSnapshotIsNotFatal fills the disk while a snapshot is written.
func TestFailedSnapshotIsNotFatal(t *testing.T) {
	mem := vfs.NewMem()
	faulty := vfs.NewFaulty(mem)
	s, _ := open(t, faulty)
	appendSynced(t, s, 1, 5)
	faulty.Inject(vfs.Fault{Ops: vfs.OpWrite | vfs.OpSync | vfs.OpRename, Pattern: "*snapshot.*", Err: syscall.ENOSPC})
	_, err := s.SaveSnapshot(treeAt(5))
	if mustBe(t, err, syscall.ENOSPC); errors.Is(err, ErrFatal) {
		t.Error("the failure is fatal")
	}
	appendSynced(t, s, 6, 9)
	if got := names(t, mem); got != "log.1 log.6" {
		t.Errorf("left are %s", got)
	}
}

func TestSnapshotStream(t *testing.T) {
	tree := treeAt(9)
	tree.nodes = append(tree.nodes,
		testNode{path: "/large", data: bytes.Repeat([]byte("x"), 3<<20)},
		testNode{path: "/empty", data: []byte{}},
		testNode{path: "/" + strings.Repeat("long", 5000)})
	var stream bytes.Buffer
	must(t, WriteSnapshotStream(&stream, tree))
	whole := stream.Bytes()

	r := bufio.NewReader(io.MultiReader(bytes.NewReader(whole), strings.NewReader("next packet")))
	got := &testTree{}
	must(t, ReadSnapshotStream(r, got, 4<<20))
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "next packet" {
		t.Errorf("behind the snapshot stands %q, %v", rest, err)
	}
	same := func(a, b testNode) bool {
		return a.path == b.path && bytes.Equal(a.data, b.data) && (a.data == nil) == (b.data == nil) && a.aclID == b.aclID && a.stat == b.stat
	}
	if !slices.EqualFunc(got.nodes, tree.nodes, same) || !slices.Equal(got.sessions, tree.sessions) || got.finished {
		t.Error("the tree changed on the way")
	}
	mustBe(t, ReadSnapshotStream(bufio.NewReader(bytes.NewReader(whole)), &testTree{}, 1<<20), ErrCorrupt)
	for size := 0; size < len(whole); size += 1 + size/3 {
		err := ReadSnapshotStream(bufio.NewReader(bytes.NewReader(whole[:size])), &testTree{}, 4<<20)
		mustBe(t, err, io.ErrUnexpectedEOF)
	}
	bad := append(slices.Clone(whole[:len(whole)-1]), 'f')
	mustBe(t, ReadSnapshotStream(bufio.NewReader(bytes.NewReader(bad)), &testTree{}, 4<<20), ErrCorrupt)
	mustBe(t, WriteSnapshotStream(brokenWriter{}, tree), io.ErrClosedPipe)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
