package storage

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"

	"zoolab/node/vfs"
)

// someHistory is 1 to 40 in files of ten, with snapshots at 20 and 30, of which
// files and snapshots before 20 are purged.
func someHistory(t *testing.T) (*vfs.Mem, *Storage) {
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	for first := int64(1); first <= 31; first += 10 {
		appendSynced(t, s, first, first+9)
		if first < 31 {
			_, err := s.SaveSnapshot(treeAt(first + 9))
			must(t, err)
		}
	}
	removed, err := s.Purge(2)
	must(t, err)
	if !slices.Equal(removed, []string{"/data/version-2/snapshot.a", "/log/version-2/log.1"}) {
		t.Fatalf("purged %v", removed)
	}
	return mem, s
}

func TestPurgeKeepsWhatIsNeeded(t *testing.T) {
	mem, s := someHistory(t)
	if removed, err := s.Purge(3); err != nil || removed != nil {
		t.Errorf("with too few snapshots, %v was purged: %v", removed, err)
	}
	if _, err := s.Purge(0); err == nil {
		t.Error("nothing may be retained")
	}
	// The older of the two must be enough.
	writeFile(t, mem, "/data/version-2/snapshot.1e", []byte("damaged"))
	if removed, err := s.Purge(2); err != nil || removed != nil {
		t.Errorf("a damaged snapshot counted: %v was purged: %v", removed, err)
	}
	_, r := open(t, mem)
	wantReplayed(t, r, 21, 40)
}

// TestPurgeKeepsTheStraddlingLog has a snapshot in the middle of a file, as
// Apache's fuzzy ones are.
func TestPurgeKeepsTheStraddlingLog(t *testing.T) {
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	appendSynced(t, s, 1, 10)
	must(t, s.RollLog())
	appendSynced(t, s, 11, 20)
	must(t, writeSnapshotFile(mem, "/data/version-2/snapshot.f", treeAt(15), func() error { return nil }))
	removed, err := s.Purge(1)
	must(t, err)
	if !slices.Equal(removed, []string{"/log/version-2/log.1"}) {
		t.Errorf("purged %v", removed)
	}
	_, r := open(t, mem)
	wantReplayed(t, r, 16, 20)
}

func TestReadLog(t *testing.T) {
	_, s := someHistory(t)
	for zxid := int64(41); zxid <= 45; zxid++ {
		must(t, s.Append(zxid, payloadOf(zxid, 0))) // ReadLog syncs them
	}
	perEntry := int64(len(payloadOf(0, 700)))
	tests := []struct {
		name            string
		after, maxBytes int64
		found, complete bool
	}{
		{"in a file", 25, 1 << 20, true, true},
		{"at a file's end", 30, 1 << 20, true, true},
		{"a snapshot's, not in the log", 20, 1 << 20, true, true},
		{"the end", 45, 0, true, true},
		{"purged", 9, 1 << 20, false, false},
		{"never seen", 46, 1 << 20, false, false},
		{"another epoch's", 1 << 32, 1 << 20, false, false},
		{"the beginning, which was purged", 0, 1 << 20, false, false},
		{"too much", 25, perEntry, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, err := s.ReadLog(test.after, test.maxBytes)
			must(t, err)
			if h.Found != test.found || h.Complete != test.complete {
				t.Errorf("found %v, complete %v", h.Found, h.Complete)
			}
			var got []int64
			for _, entry := range h.Entries {
				got = append(got, entry.Zxid)
				if payloadZxid(entry.Payload) != entry.Zxid {
					t.Errorf("%d has another's payload", entry.Zxid)
				}
			}
			if test.complete && !slices.Equal(got, zxids(test.after+1, 45)) || !test.complete && got != nil {
				t.Errorf("entries %v", got)
			}
		})
	}
	fresh, _ := open(t, vfs.NewMem())
	appendSynced(t, fresh, 1, 3)
	h, err := fresh.ReadLog(0, 1<<20)
	if err != nil || !h.Found || !h.Complete || len(h.Entries) != 3 {
		t.Errorf("a complete log from 0: %+v, %v", h, err)
	}
}

func TestSyncLimit(t *testing.T) {
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	limit := func(factor float64) int64 {
		t.Helper()
		got, err := s.SyncLimitBytes(factor)
		must(t, err)
		return got
	}
	if got := limit(0.5); got != math.MaxInt64 {
		t.Errorf("without a snapshot it is %d", got)
	}
	appendSynced(t, s, 1, 2)
	for zxid := int64(1); zxid <= 2; zxid++ {
		tree := treeAt(zxid)
		tree.nodes = append(tree.nodes, testNode{path: "/b", data: make([]byte, 10_000*zxid)})
		_, err := s.SaveSnapshot(tree)
		must(t, err)
	}
	newest := float64(len(readFile(t, mem, "/data/version-2/snapshot.2")))
	for factor, want := range map[float64]int64{0: math.MaxInt64, -1: 0, 0.33: int64(newest * 0.33), 2: int64(newest * 2), 1e30: math.MaxInt64} {
		if got := limit(factor); got != want {
			t.Errorf("factor %v: %d, want %d", factor, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, zxid := range []int64{20, 21, 25, 30, 31, 39, 40} {
		mem, s := someHistory(t)
		must(t, s.Truncate(zxid))
		r, err := loadInto(s)
		must(t, err)
		if r.LastZxid != zxid || r.SnapshotZxid > zxid {
			t.Errorf("truncated to %d: %+v", zxid, r.Loaded)
		}
		appendSynced(t, s, zxid+1, zxid+5)
		_, r = open(t, mem)
		wantReplayed(t, r, r.SnapshotZxid+1, zxid+5)
	}
}

func TestTruncateRefuses(t *testing.T) {
	for _, zxid := range []int64{5, 19, 41, 1<<32 | 3} {
		mem, s := someHistory(t)
		before := names(t, mem)
		mustBe(t, s.Truncate(zxid), ErrNotInHistory)
		if after := names(t, mem); after != before {
			t.Errorf("%d: %s became %s", zxid, before, after)
		}
		appendSynced(t, s, 41, 42)
	}
	// 2 is missing in a history of two epochs.
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	for _, zxid := range []int64{1, 1<<32 | 1} {
		must(t, s.Append(zxid, payloadOf(zxid, 0)))
	}
	mustBe(t, s.Truncate(2), ErrNotInHistory)
	must(t, s.Truncate(1<<32)) // the beginning of an epoch has no transaction
	_, r := open(t, mem)
	wantReplayed(t, r, 1, 1)
}

func TestTruncateToNothing(t *testing.T) {
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	appendSynced(t, s, 1, 5)
	_, err := s.SaveSnapshot(treeAt(5))
	must(t, err)
	must(t, s.Truncate(0))
	_, r := open(t, mem)
	if !r.Empty {
		t.Errorf("%+v", r)
	}
}

// TestSnapshotOfDroppedHistory lets a snapshot be written while its history is
// taken back: it must never get its name (bug 4837).
func TestSnapshotOfDroppedHistory(t *testing.T) {
	for name, takeBack := range map[string]func(*Storage) error{
		"truncate": func(s *Storage) error { return s.Truncate(7) },
		"install":  func(s *Storage) error { return s.InstallSnapshot(treeAt(7)) },
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			s, _ := open(t, mem)
			appendSynced(t, s, 1, 10)
			job, err := s.NewSnapshot(treeAt(10))
			must(t, err)
			must(t, s.Append(11, payloadOf(11, 0))) // waits for Sync
			must(t, takeBack(s))
			appendSynced(t, s, 8, 9)
			_, err = job.Write()
			mustBe(t, err, ErrSuperseded)
			_, r := open(t, mem)
			if r.LastZxid != 9 || r.SnapshotZxid > 7 {
				t.Errorf("%+v", r.Loaded)
			}
		})
	}
}

// TestCompressedSnapshotsGoToo leaves nothing that another server would load.
func TestCompressedSnapshotsGoToo(t *testing.T) {
	mem, s := someHistory(t)
	for _, name := range []string{"snapshot.19.gz", "snapshot.1a.gz", "snapshot.1b.snappy", "snapshot.zz.gz"} {
		writeFile(t, mem, "/data/version-2/"+name, []byte("compressed"))
	}
	must(t, s.Truncate(25))
	if got := names(t, mem); got != "snapshot.14 snapshot.19.gz snapshot.zz.gz log.15 log.b" {
		t.Errorf("left are %s", got)
	}
	_, err := loadInto(s)
	must(t, err)
	must(t, s.InstallSnapshot(treeAt(3)))
	if got := names(t, mem); got != "snapshot.3 snapshot.zz.gz" {
		t.Errorf("left are %s", got)
	}
}

// hookFS calls beforeClose when an unfinished snapshot is about to be closed.
type hookFS struct {
	vfs.FS
	beforeClose func()
}

type hookFile struct {
	vfs.File
	beforeClose func()
}

func (h *hookFS) Create(name string) (vfs.File, error) {
	file, err := h.FS.Create(name)
	if err == nil && strings.Contains(name, temporaryPrefix+snapshotPrefix) {
		file = hookFile{file, h.beforeClose}
	}
	return file, err
}

func (h hookFile) Close() error {
	h.beforeClose()
	return h.File.Close()
}

// TestSnapshotLosesTheRace takes history back when the snapshot is complete but for its name.
func TestSnapshotLosesTheRace(t *testing.T) {
	hook := &hookFS{FS: vfs.NewMem()}
	s, _ := open(t, hook)
	appendSynced(t, s, 1, 10)
	hook.beforeClose = func() { must(t, s.Truncate(7)) }
	_, err := s.SaveSnapshot(treeAt(10))
	mustBe(t, err, ErrSuperseded)
	if got := names(t, hook); got != "log.1" {
		t.Errorf("left are %s", got)
	}
}

// TestReadLogDoesNotSpreadHoles has a log that was written with a gap (bug 4925).
func TestReadLogDoesNotSpreadHoles(t *testing.T) {
	s, _ := open(t, vfs.NewMem())
	appendSynced(t, s, 1, 5)
	appendSynced(t, s, 8, 9)
	if h, err := s.ReadLog(3, 1<<20); err != nil || h.Complete || h.Entries != nil {
		t.Errorf("%+v, %v", h, err)
	}
	if h, err := s.ReadLog(8, 1<<20); err != nil || !h.Complete || len(h.Entries) != 1 {
		t.Errorf("behind the gap: %+v, %v", h, err)
	}
}

func TestSnapshotBesideAppends(t *testing.T) {
	s, _ := open(t, vfs.NewMem())
	appendSynced(t, s, 1, 10)
	tree := treeAt(10)
	for range 5000 {
		tree.nodes = append(tree.nodes, testNode{path: "/n", data: make([]byte, 100), aclID: -1})
	}
	job, err := s.NewSnapshot(tree)
	must(t, err)
	done := make(chan error, 2)
	go func() {
		_, err := job.Write()
		done <- err
		_, err = s.Purge(1)
		done <- err
	}()
	for zxid := int64(11); zxid <= 200; zxid += 10 {
		appendSynced(t, s, zxid, zxid+9)
		_, err := s.LogSizeBytes()
		must(t, err)
		_, err = s.ReadLog(zxid, 1<<20)
		must(t, err)
	}
	must(t, errors.Join(<-done, <-done))
	_, r := open(t, s.fs)
	wantReplayed(t, r, 11, 200)
	if len(r.base.nodes) != 5002 {
		t.Errorf("%d nodes", len(r.base.nodes))
	}
}

func TestSnapshotAheadOfTheLog(t *testing.T) {
	s, _ := open(t, vfs.NewMem())
	appendSynced(t, s, 1, 10)
	if _, err := s.SaveSnapshot(treeAt(11)); err == nil {
		t.Error("a snapshot of what was never appended was written")
	}
	_, err := s.SaveSnapshot(treeAt(1 << 32)) // a new leader's epoch
	must(t, err)
	_, r := open(t, s.fs)
	if r.LastZxid != 1<<32 || r.Replayed != 0 {
		t.Errorf("%+v", r.Loaded)
	}
}

func TestEpochs(t *testing.T) {
	tests := []struct {
		name                      string
		accepted, current         string // empty: no file
		wantAccepted, wantCurrent int64
		err                       error
	}{
		{"no files", "", "", 3, 3, nil},
		{"as written", "5", "4", 5, 4, nil},
		{"a newline", "5\n", "4\n", 5, 4, nil},
		{"crash before currentEpoch", "6", "2", 6, 3, nil},
		{"only accepted", "6", "", 6, 3, nil},
		{"only current", "", "7", 7, 7, nil},
		{"accepted behind", "3", "4", 4, 4, nil},
		{"text", "six", "4", 0, 0, ErrCorrupt},
		{"negative", "6", "-1", 0, 0, ErrCorrupt},
		{"too long", "6", "44444444444444444444444444444444444444", 0, 0, ErrCorrupt},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mem := vfs.NewMem()
			s, _ := open(t, mem)
			must(t, s.Append(3<<32|1, payloadOf(3<<32|1, 0)))
			_, err := s.SaveSnapshot(treeAt(3<<32 | 1))
			must(t, err)
			if test.accepted != "" {
				writeFile(t, mem, "/data/version-2/acceptedEpoch", []byte(test.accepted))
			}
			if test.current != "" {
				writeFile(t, mem, "/data/version-2/currentEpoch", []byte(test.current))
			}
			writeFile(t, mem, "/data/version-2/currentEpoch.tmp", []byte("9")) // left by a crash
			for range 2 {
				s, _ := open(t, mem)
				accepted, current, err := s.Epochs()
				mustBe(t, err, test.err)
				if accepted != test.wantAccepted || current != test.wantCurrent {
					t.Errorf("epochs %d and %d", accepted, current)
				}
				if err != nil {
					continue
				}
				must(t, s.SetAcceptedEpoch(accepted+1))
				must(t, s.SetCurrentEpoch(accepted+1))
				if got := string(readFile(t, mem, "/data/version-2/currentEpoch")); got != string('0'+rune(accepted+1)) {
					t.Errorf("the file holds %q", got)
				}
				test.wantAccepted, test.wantCurrent = accepted+1, accepted+1
			}
		})
	}
}

// TestEpochsWithoutData: a member whose data is gone must not claim the history it had.
func TestEpochsWithoutData(t *testing.T) {
	mem := vfs.NewMem()
	writeFile(t, mem, "/data/version-2/acceptedEpoch", []byte("6"))
	writeFile(t, mem, "/data/version-2/currentEpoch", []byte("5"))
	var text bytes.Buffer
	opts := testOptions(mem)
	opts.Log = slog.New(slog.NewTextHandler(&text, nil))
	s, err := Open(opts)
	must(t, err)
	r, err := loadInto(s)
	must(t, err)
	if !r.Empty || !strings.Contains(text.String(), "level=WARN") || !strings.Contains(text.String(), "currentEpoch=5") {
		t.Errorf("%+v, logged %q", r.Loaded, text.String())
	}
	for range 2 { // also after the next start, when there is a snapshot
		accepted, current, err := s.Epochs()
		must(t, err)
		if accepted != 6 || current != 0 {
			t.Errorf("the epochs are %d and %d", accepted, current)
		}
		_, err = s.SaveSnapshot(treeAt(0))
		must(t, err)
		text.Reset()
		s, _ = open(t, mem)
	}
	if text.Len() > 0 {
		t.Errorf("with a snapshot it logged %q", text.String())
	}
}

func TestSetCurrentEpochSyncsTheLog(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.NewMem())
	s, _ := open(t, faulty)
	must(t, s.SetAcceptedEpoch(1))
	must(t, s.Append(1, payloadOf(1, 0)))
	faulty.Inject(vfs.Fault{Ops: vfs.OpSync, Pattern: "*log.*", Err: errPower})
	mustBe(t, s.SetCurrentEpoch(1), ErrFatal)
	if _, err := faulty.Stat("/data/version-2/currentEpoch"); err != nil {
		t.Fatal(err)
	}
	if got := string(readFile(t, faulty, "/data/version-2/currentEpoch")); got != "0" {
		t.Errorf("currentEpoch %s was written before the log was durable", got)
	}
}
