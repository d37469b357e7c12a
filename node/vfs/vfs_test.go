package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"syscall"
	"testing"
)

// both runs a test on every real implementation: what storage sees must not differ.
func both(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("OS", func(t *testing.T) { test(t, OS{}, t.TempDir()) })
	t.Run("Mem", func(t *testing.T) { test(t, NewMem(), "/") })
	t.Run("Faulty", func(t *testing.T) { test(t, NewFaulty(OS{}), t.TempDir()) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, fsys FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n != len(b) {
		t.Fatalf("read %d of %d bytes: %v", n, len(b), err)
	}
	return b
}

func TestFilesAndNames(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		sub := dir + "/a/b"
		must(t, fsys.MkdirAll(sub))
		f, err := fsys.Create(sub + "/one")
		must(t, err)
		_, err = f.Write([]byte("hello "))
		must(t, err)
		_, err = f.Write([]byte("world"))
		must(t, err)
		_, err = f.WriteAt([]byte("W"), 6)
		must(t, err)
		must(t, f.Truncate(8))
		must(t, f.Preallocate(10))
		must(t, f.Preallocate(4))
		must(t, f.Sync())
		must(t, f.Close())
		if got := content(t, fsys, sub+"/one"); string(got) != "hello Wo\x00\x00" {
			t.Errorf("content %q", got)
		}
		must(t, fsys.Rename(sub+"/one", sub+"/two"))
		must(t, fsys.SyncDir(sub))
		if _, err := fsys.Open(sub + "/one"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the old name: %v", err)
		}
		f, err = fsys.OpenReadWrite(sub + "/two")
		must(t, err)
		_, err = f.WriteAt([]byte("!"), 9)
		must(t, err)
		must(t, f.Close())
		info, err := fsys.Stat(sub + "/two")
		if err != nil || info != (Info{SizeBytes: 10}) {
			t.Errorf("Stat: %+v, %v", info, err)
		}
		names, err := fsys.List(sub)
		if err != nil || !reflect.DeepEqual(names, []string{"two"}) {
			t.Errorf("List: %v, %v", names, err)
		}
		if err := fsys.Remove(dir + "/a"); err == nil {
			t.Error("a directory with content was removed")
		}
		must(t, fsys.Remove(sub+"/two"))
		if err := fsys.Remove(sub + "/two"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the second Remove: %v", err)
		}
		f, err = fsys.Create(sub + "/three")
		must(t, err)
		must(t, f.Close())
		if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("write to a closed file: %v", err)
		}
	})
}

func writeFile(t *testing.T, m *Mem, name, text string, sync bool) File {
	t.Helper()
	f, err := m.Create(name)
	must(t, err)
	_, err = f.Write([]byte(text))
	must(t, err)
	if sync {
		must(t, f.Sync())
	}
	return f
}

// TestCrashKeepsWhatWasSynced checks the two certainties, and that everything
// uncertain is seen both ways over the seeds.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		m := NewMem()
		must(t, m.MkdirAll("d"))
		must(t, m.SyncDir("."))
		f := writeFile(t, m, "d/kept", "synced", true)
		must(t, m.SyncDir("d"))
		_, err := f.Write(bytes.Repeat([]byte("+"), 3*pageSizeBytes))
		must(t, err)
		writeFile(t, m, "d/nameless", "synced", true)
		writeFile(t, m, "d/tmp", "new", true)
		must(t, m.Rename("d/tmp", "d/kept2"))
		m.Crash(rand.New(rand.NewPCG(seed, 1)))

		if _, err := f.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("a handle survived the crash: %v", err)
		}
		kept := content(t, m, "d/kept")
		if !bytes.HasPrefix(kept, []byte("synced")) {
			t.Fatalf("seed %d: %q is left of a synced file", seed, kept)
		}
		hole := bytes.Contains(kept, append(make([]byte, 10), '+'))
		seen[fmt.Sprintf("tail kept %v", len(kept) == 6+3*pageSizeBytes)] = true
		seen[fmt.Sprintf("tail cut %v", len(kept) > 6 && len(kept) < 6+3*pageSizeBytes)] = true
		seen[fmt.Sprintf("hole %v", hole)] = true
		names, err := m.List("d")
		must(t, err)
		seen[fmt.Sprint(names)] = true
	}
	for _, want := range []string{"tail kept true", "tail kept false", "tail cut true", "hole true",
		"[kept]", "[kept kept2 nameless]", "[kept nameless]", "[kept nameless tmp]"} {
		if !seen[want] {
			t.Errorf("never seen in 200 crashes: %s", want)
		}
	}
}

func TestCrashIsRepeatable(t *testing.T) {
	run := func() string {
		m := NewMem()
		must(t, m.MkdirAll("d"))
		for i := range 20 {
			writeFile(t, m, fmt.Sprintf("d/%d", i), fmt.Sprintf("%01000d", i), i%3 == 0)
			if i%5 == 0 {
				must(t, m.SyncDir("d"))
				must(t, m.SyncDir("/"))
			}
		}
		m.Crash(rand.New(rand.NewPCG(7, 7)))
		names, err := m.List("d")
		must(t, err)
		var out string
		for _, name := range names {
			out += fmt.Sprintf("%s %x\n", name, content(t, m, "d/"+name))
		}
		return out
	}
	if first, second := run(), run(); first != second {
		t.Error("the same seed left different content")
	}
}

func TestFaults(t *testing.T) {
	for _, when := range []When{Before, Partial, After} {
		mem := NewMem()
		fsys := NewFaulty(mem, Fault{Ops: OpWrite, Pattern: "log.*", Nth: 2, Count: 1, Err: syscall.ENOSPC, When: when})
		f, err := fsys.Create("log.1")
		must(t, err)
		other, err := fsys.Create("snapshot.1")
		must(t, err)
		for range 3 {
			_, err = other.Write([]byte("free"))
			must(t, err)
		}
		_, err = f.Write([]byte("1111"))
		must(t, err)
		if _, err = f.Write([]byte("2222")); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%v: the second write: %v", when, err)
		}
		_, err = f.Write([]byte("3333"))
		must(t, err)
		want := map[When]string{Before: "11113333", Partial: "1111223333", After: "111122223333"}[when]
		if got := content(t, mem, "log.1"); string(got) != want {
			t.Errorf("%v: %q is in the file, not %q", when, got, want)
		}
		if got := fsys.Count(OpWrite); got != 6 {
			t.Errorf("%d writes counted", got)
		}
	}
	fault := Fault{Ops: OpSync | OpWrite, Pattern: "log.*", Nth: 3, Err: syscall.EIO, When: After}
	if got := fault.String(); got != "write|sync log.* #3 and on: input/output error after the effect" {
		t.Errorf("String: %q", got)
	}
}
