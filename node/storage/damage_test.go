package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"zoolab/node/vfs"
)

const firstLog = "/log/version-2/log.1"

// logBytes returns a log with the zxids from 1 to last, without padding, and the
// offset of each record and of the end.
func logBytes(t testing.TB, last int64, extraBytes int) (b []byte, offsets []int64) {
	t.Helper()
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	for zxid := int64(1); zxid <= last; zxid++ {
		must(t, s.Append(zxid, payloadOf(zxid, extraBytes)))
	}
	must(t, s.RollLog())
	must(t, ScanLog(mem, firstLog, func(r Record) error {
		offsets = append(offsets, r.OffsetBytes)
		return nil
	}))
	b = readFile(t, mem, firstLog)
	return b, append(offsets, int64(len(b)))
}

// loadLog loads a directory with nothing but one log.
func loadLog(t testing.TB, b []byte) (*Storage, restored, error) {
	t.Helper()
	mem := vfs.NewMem()
	writeFile(t, mem, firstLog, b)
	s, err := Open(testOptions(mem))
	must(t, err)
	r, err := loadInto(s)
	return s, r, err
}

func TestTornTailIsRepaired(t *testing.T) {
	whole, offsets := logBytes(t, 3, 40)
	for size := range len(whole) {
		cut := whole[:size:size]
		padded := append(slices.Clone(cut), make([]byte, 10000)...)
		for _, b := range [][]byte{cut, padded} {
			s, r, err := loadLog(t, b)
			if err != nil {
				t.Fatalf("%d of %d bytes, padded to %d: %v", size, len(whole), len(b), err)
			}
			valid, _ := slices.BinarySearch(offsets[1:], int64(size)+1)
			wantReplayed(t, r, 1, int64(valid))
			// Life goes on behind the repair, and the next start finds both.
			appendSynced(t, s, int64(valid)+1, 6)
			again, err := Open(s.opts)
			must(t, err)
			r, err = loadInto(again)
			must(t, err)
			wantReplayed(t, r, 1, 6)
		}
	}
}

// TestRepeatedRecords: a log may have records twice, as Apache's server leaves them, but not
// two records with one zxid.
func TestRepeatedRecords(t *testing.T) {
	whole, offsets := logBytes(t, 6, 40)
	record := func(zxid int64) []byte { return whole[offsets[zxid-1]:offsets[zxid]] }
	b := slices.Concat(whole[:offsets[4]], record(3), record(4), record(5), record(4), record(6))
	s, r, err := loadLog(t, b)
	must(t, err)
	wantReplayed(t, r, 1, 6)
	h, err := s.ReadLog(2, 1<<20)
	must(t, err)
	if !h.Complete || len(h.Entries) != 4 {
		t.Errorf("%d entries for a learner, complete %v; want the four after 2", len(h.Entries), h.Complete)
	}
	must(t, s.Truncate(4))
	r, err = loadInto(s)
	must(t, err)
	wantReplayed(t, r, 1, 4)

	other, otherOffsets := logBytes(t, 4, 41)
	b = slices.Concat(whole[:offsets[4]], other[otherOffsets[2]:otherOffsets[3]])
	_, _, err = loadLog(t, b)
	mustBe(t, err, ErrCorrupt)
}

// TestEveryDamagedByteIsSeen flips each bit position once in every byte of a log.
// None may pass, and none may be taken for a torn end.
func TestEveryDamagedByteIsSeen(t *testing.T) {
	whole, _ := logBytes(t, 3, 40)
	for i := range whole {
		if i >= 8 && i < 16 {
			continue // the database's id is not looked at
		}
		b := append(slices.Clone(whole), make([]byte, 5000)...)
		b[i] ^= 1 << (i % 8)
		_, r, err := loadLog(t, b)
		if err == nil {
			t.Fatalf("byte %d was damaged, and Load gave %+v", i, r)
		}
		mustBe(t, err, ErrCorrupt)
		if !strings.Contains(err.Error(), firstLog) || !strings.Contains(err.Error(), "offset") {
			t.Fatalf("the error names no place: %v", err)
		}
	}
}

// TestLostPages tells a crash's gap from a gap that no crash makes.
func TestLostPages(t *testing.T) {
	whole, offsets := logBytes(t, 40, 60<<10)
	lose := func(offset int64) []byte {
		b := slices.Clone(whole)
		clear(b[offset : offset+4096])
		return b
	}
	// Within the last write, the rest of which survived: torn.
	torn := (offsets[30] + 5000) &^ 4095
	_, r, err := loadLog(t, lose(torn))
	must(t, err)
	wantReplayed(t, r, 1, 30)
	// More follows than one write can hold: damage.
	_, _, err = loadLog(t, lose((offsets[10]+5000)&^4095))
	mustBe(t, err, ErrCorrupt)
	// A record that begins in the lost page looks like the end of the log.
	_, _, err = loadLog(t, lose(offsets[3]))
	mustBe(t, err, ErrCorrupt)
	// The first page of a new file.
	_, r, err = loadLog(t, append(make([]byte, 4096), whole[4096:offsets[10]]...))
	must(t, err)
	if !r.Empty {
		t.Errorf("%+v", r)
	}
}

func TestMissingFiles(t *testing.T) {
	build := func() *vfs.Mem {
		mem := vfs.NewMem()
		s, _ := open(t, mem)
		for first := int64(1); first <= 31; first += 10 {
			appendSynced(t, s, first, first+9)
			must(t, s.RollLog())
			if first == 11 {
				_, err := s.SaveSnapshot(treeAt(20))
				must(t, err)
			}
		}
		return mem
	}
	log := func(zxid int64) string { return "/log/version-2/log." + hexZxid(zxid) }
	const snapshot = "/data/version-2/snapshot.14"
	tests := []struct {
		name    string
		remove  []string
		want    error
		message string
	}{
		{"nothing", nil, nil, ""},
		{"the log before the snapshot", []string{log(1)}, nil, ""},
		{"the log behind the snapshot", []string{log(21)}, ErrCorrupt, log(31)},
		{"the snapshot, with all logs", []string{snapshot}, nil, ""},
		{"the snapshot, with a log missing", []string{snapshot, log(1)}, ErrCorrupt, "no valid snapshot"},
		{"the last log", []string{log(31)}, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mem := build()
			for _, name := range test.remove {
				must(t, mem.Remove(name))
			}
			s, err := Open(testOptions(mem))
			must(t, err)
			_, err = loadInto(s)
			mustBe(t, err, test.want)
			if test.want != nil && !strings.Contains(err.Error(), test.message) {
				t.Errorf("the error does not say %q: %v", test.message, err)
			}
		})
	}
	mem := build()
	must(t, mem.Remove(snapshot))
	must(t, mem.Remove(log(1)))
	opts := testOptions(mem)
	opts.TrustEmpty = true
	s, err := Open(opts)
	must(t, err)
	r, err := loadInto(s)
	must(t, err)
	wantReplayed(t, r, 11, 40)
}

// TestNoLogWithoutTransactions: Apache's server does not start from a directory with a log
// that is empty or all zeros, so a crash must leave none, whatever the moment.
func TestNoLogWithoutTransactions(t *testing.T) {
	whole := vfs.NewFaulty(vfs.NewMem())
	must(t, runLife(whole, NoCompression).err)
	for step := 1; step <= whole.Count(vfs.OpMutate); step++ {
		for _, when := range []vfs.When{vfs.Before, vfs.Partial, vfs.After} {
			mem := vfs.NewMem()
			runLife(vfs.NewFaulty(mem, vfs.Fault{Ops: vfs.OpMutate, Nth: step, Err: errPower, When: when}), NoCompression)
			logs, err := listLogs(mem, "/log/version-2")
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			must(t, err)
			for _, log := range logs {
				if b := readFile(t, mem, log.path); len(b) < fileHeaderBytes+recordHeaderBytes || b[0] != 'Z' {
					t.Fatalf("killed %v step %d: %s has %d bytes", when, step, log.path, len(b))
				}
			}
		}
	}
}

func TestEmptyLogsAreRemoved(t *testing.T) {
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	appendSynced(t, s, 1, 4)
	must(t, s.RollLog())
	writeFile(t, mem, "/log/version-2/log.5", nil)
	writeFile(t, mem, "/log/version-2/log.6", []byte("ZKLG\x00"))
	writeFile(t, mem, "/log/version-2/log.7", make([]byte, 70000))
	s, r := open(t, mem)
	wantReplayed(t, r, 1, 4)
	if got := names(t, mem); got != "log.1" {
		t.Errorf("left are %s", got)
	}
	appendSynced(t, s, 5, 6)
	_, r = open(t, mem)
	wantReplayed(t, r, 1, 6)
}

func TestWrongLogs(t *testing.T) {
	whole, _ := logBytes(t, 3, 40)
	mem := vfs.NewMem()
	writeFile(t, mem, "/log/version-2/log.2", whole)
	s, err := Open(testOptions(mem))
	must(t, err)
	_, err = loadInto(s)
	mustBe(t, err, ErrCorrupt)

	_, _, err = loadLog(t, bytes.Repeat([]byte("text\n"), 500))
	mustBe(t, err, ErrCorrupt)
}

// TestDamagedSnapshotIsSkipped damages each byte of the newest snapshot, and cuts
// it at each length: the older one and the log give the same.
func TestDamagedSnapshotIsSkipped(t *testing.T) {
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	appendSynced(t, s, 1, 10)
	_, err := s.SaveSnapshot(treeAt(10))
	must(t, err)
	appendSynced(t, s, 11, 20)
	newest, err := s.SaveSnapshot(treeAt(20))
	must(t, err)
	appendSynced(t, s, 21, 25)
	whole := readFile(t, mem, newest)

	_, r := open(t, mem)
	wantReplayed(t, r, 21, 25)
	damaged := func(what string, b []byte) {
		writeFile(t, mem, newest, b)
		_, r := open(t, mem)
		if r.SnapshotZxid != 10 || !slices.Equal(r.replayed, zxids(11, 25)) {
			t.Fatalf("%s: %+v", what, r.Loaded)
		}
	}
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 1 << (i % 8)
		damaged(fmt.Sprintf("byte %d", i), b)
		digestCut := len(whole) - digestBytes - sealBytes
		if i != digestCut { // there it is a valid snapshot without a digest
			damaged(fmt.Sprintf("cut at %d", i), whole[:i])
		}
	}
	damaged("longer", append(slices.Clone(whole), 0, 0, 0, 1, '/'))
}
