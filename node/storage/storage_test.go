package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("the error is %v, not %v", err, want)
	}
}

// payloadOf makes the log form of a transaction that sets a znode's data; the data
// of zxid z has extraBytes bytes and depends on z.
func payloadOf(zxid int64, extraBytes int) []byte {
	txn := jute.LoggedTxn{
		Header: jute.TxnHeader{ClientID: 7, Cxid: int32(zxid), Zxid: zxid, TimeMs: 1, Type: jute.OpSetData},
		Body:   &jute.SetDataTxn{Path: "/a", Data: bytes.Repeat([]byte{byte(zxid)}, extraBytes), Version: 1},
		Digest: &jute.TxnDigest{Version: 2, TreeDigest: zxid * 3},
	}
	return jute.Marshal(&txn)
}

// testTree is a snapshot as a list of what is in it, both source and sink.
type testTree struct {
	zxid     int64
	sessions []testSession
	acls     []testACL
	nodes    []testNode
	digest   *[3]int64
	finished bool
}

type (
	testSession struct {
		id        int64
		timeoutMs int32
	}
	testACL struct {
		id  int64
		acl []jute.ACL
	}
	testNode struct {
		path  string
		data  []byte
		aclID int64
		stat  jute.StatPersisted
	}
)

func (t *testTree) Zxid() int64 { return t.zxid }

func (t *testTree) Sessions(yield func(int64, int32) bool) {
	for _, s := range t.sessions {
		if !yield(s.id, s.timeoutMs) {
			return
		}
	}
}

func (t *testTree) ACLs(yield func(int64, []jute.ACL) bool) {
	for _, a := range t.acls {
		if !yield(a.id, a.acl) {
			return
		}
	}
}

func (t *testTree) Nodes(yield func(string, []byte, int64, *jute.StatPersisted) bool) {
	for _, n := range t.nodes {
		if !yield(n.path, n.data, n.aclID, &n.stat) {
			return
		}
	}
}

func (t *testTree) Digest() (int64, int32, int64, bool) {
	if t.digest == nil {
		return 0, 0, 0, false
	}
	return t.digest[0], int32(t.digest[1]), t.digest[2], true
}

func (t *testTree) AddSession(id int64, timeoutMs int32) error {
	t.sessions = append(t.sessions, testSession{id, timeoutMs})
	return nil
}

func (t *testTree) AddACL(id int64, acl []jute.ACL) error {
	t.acls = append(t.acls, testACL{id, acl})
	return nil
}

func (t *testTree) AddNode(path string, data []byte, aclID int64, stat *jute.StatPersisted) error {
	t.nodes = append(t.nodes, testNode{path, data, aclID, *stat})
	return nil
}

func (t *testTree) SetDigest(zxid int64, version int32, digest int64) error {
	t.digest = &[3]int64{zxid, int64(version), digest}
	return nil
}

func (t *testTree) Finish(zxid int64) error {
	t.zxid, t.finished = zxid, true
	return nil
}

// treeAt makes a tree that says by its root's data which zxid it stands for.
func treeAt(zxid int64) *testTree {
	return &testTree{
		zxid:     zxid,
		sessions: []testSession{{0x100000000000001, 4000}},
		acls:     []testACL{{1, []jute.ACL{{Perms: 31, ID: jute.ID{Scheme: "world", ID: "anyone"}}}}},
		nodes:    []testNode{{"", []byte(fmt.Sprint(zxid)), -1, jute.StatPersisted{}}, {"/a", nil, 1, jute.StatPersisted{Mzxid: zxid}}},
		digest:   &[3]int64{zxid, 2, 99},
	}
}

// restored is what Load gave back: the base and the transactions behind it.
type restored struct {
	Loaded
	base     *testTree
	replayed []int64
}

func loadInto(s *Storage) (restored, error) {
	var r restored
	loaded, err := s.Load(func() SnapshotSink {
		r.base = &testTree{}
		return r.base
	}, func(zxid int64, payload []byte) error {
		r.replayed = append(r.replayed, zxid)
		if payloadZxid(payload) != zxid {
			return errors.New("another transaction's payload")
		}
		return nil
	})
	r.Loaded = loaded
	return r, err
}

// testOptions writes small files, so that preallocation is passed often.
func testOptions(fsys vfs.FS) Options {
	return Options{FS: fsys, DataDir: "/data", DataLogDir: "/log", PreAllocSizeBytes: 16 << 10,
		Now: func() time.Time { return time.Time{} }}
}

func open(t testing.TB, fsys vfs.FS) (*Storage, restored) {
	t.Helper()
	s, err := Open(testOptions(fsys))
	must(t, err)
	r, err := loadInto(s)
	must(t, err)
	return s, r
}

// appendSynced appends the zxids from first to last and syncs.
func appendSynced(t testing.TB, s *Storage, first, last int64) {
	t.Helper()
	for zxid := first; zxid <= last; zxid++ {
		must(t, s.Append(zxid, payloadOf(zxid, int(zxid%7)*100)))
	}
	must(t, s.Sync())
}

func zxids(first, last int64) []int64 {
	var list []int64
	for ; first <= last; first++ {
		list = append(list, first)
	}
	return list
}

func wantReplayed(t testing.TB, r restored, first, last int64) {
	t.Helper()
	if !slices.Equal(r.replayed, zxids(first, last)) {
		t.Fatalf("replayed %v, not %d to %d", r.replayed, first, last)
	}
	if r.LastZxid != max(last, r.SnapshotZxid) {
		t.Fatalf("LastZxid is %d", r.LastZxid)
	}
}

// names lists both directories.
func names(t testing.TB, fsys vfs.FS) string {
	t.Helper()
	snapshots, err := fsys.List("/data/version-2")
	must(t, err)
	logs, err := fsys.List("/log/version-2")
	must(t, err)
	return strings.Join(append(snapshots, logs...), " ")
}

func readFile(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	file, err := fsys.Open(name)
	must(t, err)
	defer file.Close()
	b, err := io.ReadAll(file)
	must(t, err)
	return b
}

func writeFile(t testing.TB, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	must(t, fsys.MkdirAll(path.Dir(name)))
	file, err := fsys.Create(name)
	must(t, err)
	_, err = file.Write(b)
	must(t, err)
	must(t, file.Sync())
	must(t, file.Close())
	must(t, fsys.SyncDir(path.Dir(name)))
}

func TestRestart(t *testing.T) {
	for _, fsys := range []vfs.FS{vfs.NewMem(), vfs.OS{}} {
		opts := testOptions(fsys)
		if fsys == (vfs.OS{}) {
			opts.DataDir, opts.DataLogDir = t.TempDir(), t.TempDir()
		}
		s, err := Open(opts)
		must(t, err)
		r, err := loadInto(s)
		must(t, err)
		if !r.Empty || r.base == nil || r.base.finished {
			t.Fatalf("a new directory gives %+v", r)
		}
		appendSynced(t, s, 1, 100)
		must(t, s.Append(101, payloadOf(101, 10))) // not synced
		must(t, s.Close())

		s, err = Open(opts)
		must(t, err)
		r, err = loadInto(s)
		must(t, err)
		wantReplayed(t, r, 1, 100)
		appendSynced(t, s, 101, 150)
		name, err := s.SaveSnapshot(treeAt(150))
		must(t, err)
		if path.Base(name) != "snapshot.96" {
			t.Errorf("the snapshot is named %s", name)
		}
		appendSynced(t, s, 151, 200)

		s, err = Open(opts)
		must(t, err)
		r, err = loadInto(s)
		must(t, err)
		wantReplayed(t, r, 151, 200)
		if want := treeAt(150); !r.base.finished || string(r.base.nodes[0].data) != "150" ||
			r.base.zxid != 150 || *r.base.digest != *want.digest || len(r.base.sessions) != 1 {
			t.Errorf("the base is %+v", r.base)
		}
		if size, err := s.LogSizeBytes(); err != nil || size < 50*100 {
			t.Errorf("LogSizeBytes: %d, %v", size, err)
		}
		if size, err := s.DataSizeBytes(); err != nil || size < 100 {
			t.Errorf("DataSizeBytes: %d, %v", size, err)
		}
	}
}

func TestNewEpochs(t *testing.T) {
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	for _, zxid := range []int64{1<<32 | 1, 1<<32 | 2, 4<<32 | 1} {
		must(t, s.Append(zxid, payloadOf(zxid, 1)))
		must(t, s.RollLog())
	}
	_, r := open(t, mem)
	if len(r.replayed) != 3 || r.LastZxid != 4<<32|1 {
		t.Errorf("%+v", r)
	}
}

func TestProgrammingErrorsAreFatal(t *testing.T) {
	for name, call := range map[string]func(*Storage) error{
		"zxid does not rise":       func(s *Storage) error { return s.Append(5, payloadOf(5, 0)) },
		"payload of another zxid":  func(s *Storage) error { return s.Append(6, payloadOf(7, 0)) },
		"payload without a header": func(s *Storage) error { return s.Append(6, make([]byte, 31)) },
		"accepted epoch goes down": func(s *Storage) error { return s.SetAcceptedEpoch(2) },
		"current epoch goes down":  func(s *Storage) error { return s.SetCurrentEpoch(1) },
		"current exceeds accepted": func(s *Storage) error { return s.SetCurrentEpoch(4) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, vfs.NewMem())
			appendSynced(t, s, 1, 5)
			must(t, s.SetAcceptedEpoch(3))
			must(t, s.SetCurrentEpoch(2))
			mustBe(t, call(s), ErrFatal)
			mustBe(t, s.Append(6, payloadOf(6, 0)), ErrFatal)
			mustBe(t, s.Sync(), ErrFatal)
			_, err := s.ReadLog(0, 1<<20)
			mustBe(t, err, ErrFatal)
		})
	}
}

func TestSlowSyncIsLogged(t *testing.T) {
	var text bytes.Buffer
	now := time.Unix(0, 0)
	opts := testOptions(vfs.NewMem())
	opts.Log = slog.New(slog.NewTextHandler(&text, nil))
	opts.Now = func() time.Time { now = now.Add(1001 * time.Millisecond); return now }
	opts.FsyncWarnMs = 1000
	var observed time.Duration
	opts.OnSync = func(elapsed time.Duration, sizeBytes int) { observed = elapsed }
	s, err := Open(opts)
	must(t, err)
	_, err = loadInto(s)
	must(t, err)
	appendSynced(t, s, 1, 1)
	if !strings.Contains(text.String(), "elapsedMs=1001") || observed != 1001*time.Millisecond {
		t.Errorf("logged %q, observed %v", text.String(), observed)
	}
}

// TestFsyncWarning is about the threshold, which is not a matter of "at least".
func TestFsyncWarning(t *testing.T) {
	for warnMs, want := range map[int64]bool{0: true, 6: true, 7: false, 1000: false} {
		var text bytes.Buffer
		now := time.Unix(0, 0)
		opts := testOptions(vfs.NewMem())
		opts.Log = slog.New(slog.NewTextHandler(&text, nil))
		opts.Now = func() time.Time { now = now.Add(7 * time.Millisecond); return now }
		opts.FsyncWarnMs = warnMs
		s, err := Open(opts)
		must(t, err)
		_, err = loadInto(s)
		must(t, err)
		appendSynced(t, s, 1, 1)
		if got := strings.Contains(text.String(), "elapsedMs=7"); got != want {
			t.Errorf("threshold %d: logged %q", warnMs, text.String())
		}
	}
}

// TestTxnLogSizeLimit ends logs that grow too large; what is in them is all there.
func TestTxnLogSizeLimit(t *testing.T) {
	for limit, want := range map[int64]int{0: 1, -1: 1, 1 << 20: 1, 10 << 10: 5} {
		mem := vfs.NewMem()
		opts := testOptions(mem)
		opts.TxnLogSizeLimitBytes = limit
		s, err := Open(opts)
		must(t, err)
		_, err = loadInto(s)
		must(t, err)
		for zxid := int64(1); zxid <= 25; zxid++ {
			must(t, s.Append(zxid, payloadOf(zxid, 2000)))
			must(t, s.Sync())
		}
		logs, err := listLogs(mem, "/log/version-2")
		must(t, err)
		if len(logs) != want {
			t.Errorf("limit %d: %d logs, want %d", limit, len(logs), want)
		}
		_, r := open(t, mem)
		wantReplayed(t, r, 1, 25)
	}
}

func TestPreallocationCanBeOff(t *testing.T) {
	for size, want := range map[int64]int64{0: 0, -1: 0, 1 << 10: 5 << 10, 1 << 20: 1 << 20} {
		mem := vfs.NewMem()
		opts := testOptions(mem)
		opts.PreAllocSizeBytes = size
		s, err := Open(opts)
		must(t, err)
		_, err = loadInto(s)
		must(t, err)
		appendSynced(t, s, 1, 1)
		if want == 0 {
			want = s.fileEnd
		}
		if got := int64(len(readFile(t, mem, "/log/version-2/log.1"))); got != want {
			t.Errorf("preAllocSize %d: the log has %d bytes, want %d", size, got, want)
		}
	}
}

func TestLargeBatchesAreSplit(t *testing.T) {
	mem := vfs.NewMem()
	faulty := vfs.NewFaulty(mem)
	s, _ := open(t, faulty)
	before := faulty.Count(vfs.OpSync)
	for zxid := int64(1); zxid <= 30; zxid++ {
		must(t, s.Append(zxid, payloadOf(zxid, 100<<10)))
	}
	if got := faulty.Count(vfs.OpSync) - before; got != 2 {
		t.Errorf("3 MB were appended with %d syncs", got)
	}
	must(t, s.Sync())
	must(t, s.Sync())
	if got := faulty.Count(vfs.OpSync) - before; got != 3 {
		t.Errorf("%d syncs", got)
	}
}

func TestUseBeforeLoad(t *testing.T) {
	s, err := Open(testOptions(vfs.NewMem()))
	must(t, err)
	if s.Append(1, payloadOf(1, 0)) == nil || s.Sync() == nil {
		t.Error("a storage that was not loaded was written")
	}
	if _, err := s.fs.Stat("/log/version-2"); errors.Is(err, fs.ErrNotExist) {
		t.Error("Open made no directory")
	}
}
