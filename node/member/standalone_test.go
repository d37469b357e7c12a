package member

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/node/storage"
	"zoolab/node/tree"
	"zoolab/node/vfs"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// TestRestartKeepsData: what was acknowledged is there after a restart, sessions and their
// ephemerals too, and a clean end leaves nothing behind: no goroutine, no preallocated room.
func TestRestartKeepsData(t *testing.T) {
	dir := t.TempDir()
	cfg := standalone(t, dir)
	before := runtime.NumGoroutine()
	m := start(t, cfg, vfs.OS{})
	c := connect(t, m)
	if _, err := create(c, 0, 50); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create("/mine", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	session := c.SessionID()
	m.stop()
	for _, log := range files(t, dir, "log.") {
		info, err := os.Stat(log)
		if err != nil || info.Size() > 1<<20 {
			t.Errorf("%s keeps its preallocated room: %v, %v", log, info, err)
		}
	}

	m = start(t, cfg, vfs.OS{})
	// Its state may still be that of before.
	eventually(t, "the client is back", func() bool { _, _, err := c.Exists("/"); return err == nil })
	if c.SessionID() != session {
		t.Errorf("the session is %x, it was %x", c.SessionID(), session)
	}
	check(t, c, 50)
	if _, stat, err := c.Get("/mine"); err != nil || stat.EphemeralOwner != session {
		t.Errorf("the ephemeral after the restart: %+v, %v", stat, err)
	}
	c.Close()
	m.stop()
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// TestDiskFails: a member that can't write its log ends, with an error that says where,
// and has acknowledged nothing that is not there when the disk works again.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, fault := range []vfs.Fault{
		{Ops: vfs.OpSync, Pattern: "*log.*", Nth: 5, Err: syscall.EIO},
		{Ops: vfs.OpSync, Pattern: "*log.*", Nth: 5, Err: syscall.EIO, When: vfs.After},
		{Ops: vfs.OpWrite, Pattern: "*log.*", Nth: 7, Err: syscall.ENOSPC, When: vfs.Partial},
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cfg := standalone(t, dir)
			fs := vfs.NewFaulty(vfs.OS{})
			m := start(t, cfg, fs)
			c := connect(t, m)
			acknowledged, err := create(c, 0, 20)
			if err != nil {
				t.Fatal(err)
			}
			fs.Inject(fault)
			go func(ended chan struct{}) {
				// The client tries to come back, which must not hide what it was told.
				<-ended
				c.Close()
			}(m.ended)
			more, err := create(c, 20, 200)
			if err == nil {
				t.Fatal("the disk fails, and writes go on")
			}
			acknowledged += more
			failure := m.wait()
			if !errors.Is(failure, storage.ErrFatal) || !errors.Is(failure, fault.Err) || !strings.Contains(failure.Error(), dir) {
				t.Errorf("Run ended with: %v", failure)
			}
			m = start(t, cfg, vfs.OS{})
			check(t, connect(t, m), acknowledged)
		})
	}
}

// TestEpochCantBeSaved: without its epochs a member must not take part at all.
func TestEpochCantBeSaved(t *testing.T) {
	t.Parallel()
	// The first time is when an empty directory is opened.
	fs := vfs.NewFaulty(vfs.OS{}, vfs.Fault{Ops: vfs.OpRename, Pattern: "currentEpoch", Nth: 2, Err: syscall.EROFS})
	m := start(t, standalone(t, t.TempDir()), fs)
	if err := m.wait(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Run ended with: %v", err)
	}
	if m.serves() {
		t.Error("the member serves")
	}
}

// TestDiskHangs: what waits for the disk is bounded.
func TestDiskHangs(t *testing.T) {
	m, err := Open(standalone(t, t.TempDir()), discard)
	if err != nil {
		t.Fatal(err)
	}
	defer m.shutdownTransports()
	m.disk.maxPendingBytes = 1000
	for range 3 {
		select {
		case <-m.failed:
			t.Fatal("too early")
		default:
		}
		m.disk.queue(zab.Append{Entry: zab.Entry{Payload: make([]byte, 400)}})
		m.disk.flush()
	}
	select {
	case <-m.failed:
	default:
		t.Error("1200 bytes wait, 1000 are allowed, and the member goes on")
	}
}

// TestSnapshots: they are taken under load, shorten the replay, and old ones are purged.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := standalone(t, dir, "snapCount=100", "autopurge.snapRetainCount=3", "autopurge.purgeInterval=1")
	m := start(t, cfg, vfs.OS{})
	c := connect(t, m)
	const n = 1000
	if _, err := create(c, 0, n); err != nil {
		t.Fatal(err)
	}
	eventually(t, "snapshots are taken", func() bool { return len(files(t, dir, "snapshot.")) > 5 })
	m.stop()

	m = start(t, cfg, vfs.OS{})
	check(t, connect(t, m), n)
	eventually(t, "old snapshots are purged", func() bool { return len(files(t, dir, "snapshot.")) <= 4 })
	eventually(t, "old logs are purged", func() bool { return len(files(t, dir, "log.")) <= 5 })
	if n := m.log.count("replayed=1000 "); n > 0 {
		t.Error("all transactions were replayed in spite of the snapshots")
	}
	m.stop()
	// What the purge left is enough.
	m = start(t, cfg, vfs.OS{})
	check(t, connect(t, m), n)
}

// TestDigestMismatchIsLogged: a tree that is not what its log's writer had is reported, once.
func TestDigestMismatchIsLogged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := standalone(t, dir)
	seed(t, dir, 1, func(txn *jute.LoggedTxn) { txn.Digest.TreeDigest++ })
	m := start(t, cfg, vfs.OS{})
	const text = "digests do not match"
	eventually(t, "it is logged", func() bool { return m.log.count(text) > 0 })
	began := m.replica.Status().SinceMs
	eventually(t, "some ticks pass", func() bool { return m.now().MonoMs > began+300 })
	if n := m.log.count(text); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// seed writes a log of sets by a leader of epoch 1 into a data directory.
func seed(t *testing.T, dir string, epoch int64, change func(*jute.LoggedTxn), zxids ...int64) *storage.Storage {
	t.Helper()
	s, err := storage.Open(storage.Options{FS: vfs.OS{}, DataDir: dir, Now: time.Now, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	tr, _, _, err := loadTree(s, 0, tree.NewBuilder)
	if err != nil {
		t.Fatal(err)
	}
	if zxids == nil {
		zxids = []int64{epoch<<32 + 1, epoch<<32 + 2}
	}
	for _, zxid := range zxids {
		txn := &jute.LoggedTxn{
			Header: jute.TxnHeader{Zxid: zxid, Type: jute.OpSetData},
			Body:   &jute.SetDataTxn{Path: "/", Data: []byte("x"), Version: int32(zxid)},
		}
		tr.Apply(txn)
		txn.Digest = &jute.TxnDigest{Version: tree.DigestVersion, TreeDigest: tr.Digest()}
		change(txn)
		if err := s.Append(zxid, jute.Marshal(txn)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Sync(), s.SetAcceptedEpoch(epoch), s.SetCurrentEpoch(epoch)); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAssertionEndsTheProcess runs itself as a process whose event loop is given what it
// must never be given.
func TestAssertionEndsTheProcess(t *testing.T) {
	t.Parallel()
	const variable = "MEMBER_TEST_ASSERT"
	if dir := os.Getenv(variable); dir != "" {
		m := start(t, standalone(t, dir), vfs.OS{})
		m.post(struct{}{})
		m.wait()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestAssertionEndsTheProcess$")
	cmd.Env = append(os.Environ(), variable+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	var status *exec.ExitError
	if !errors.As(err, &status) || status.ExitCode() != 2 || !strings.Contains(string(out), "no input has type struct") {
		t.Errorf("the process ended with %v:\n%s", err, out)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	cfg := standalone(t, dir)
	m := start(t, cfg, vfs.OS{})
	if _, err := Open(cfg, discard); err == nil || !strings.Contains(err.Error(), "another server uses") {
		t.Errorf("the data directory is in use, and Open says: %v", err)
	}
	elsewhere := *cfg
	elsewhere.Storage.DataDir, elsewhere.Storage.DataLogDir = t.TempDir(), ""
	if _, err := Open(&elsewhere, discard); err == nil || !strings.Contains(err.Error(), "client port") {
		t.Errorf("the port is taken, and Open says: %v", err)
	}
	m.stop()
	if err := os.Remove(files(t, dir, "snapshot.")[0]); err != nil {
		t.Fatal(err)
	}
	cfg.Auth.SuperDigest = ""
	if m, err := Open(cfg, discard); err != nil {
		t.Errorf("an empty log and no snapshot: %v", err)
	} else {
		m.shutdownTransports()
	}
	cfg.Distributed, cfg.Ensemble.SSLQuorum = true, true
	cfg.Ensemble.TLS.KeyStore.Path = filepath.Join(dir, "none.p12")
	if _, err := Open(cfg, discard); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "zoo.cfg")+": ssl.quorum.keyStore.location") {
		t.Errorf("TLS between members is asked for without a store, and Open says: %v", err)
	}
}
