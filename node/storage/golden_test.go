package storage

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

// goldenDir holds files that Apache ZooKeeper 3.8.0 wrote.
const goldenDir = "../../zk/jute/testdata/disk"

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(goldenDir, name))
	must(t, err)
	return b
}

func TestApacheSnapshotIsRewrittenAlike(t *testing.T) {
	want := golden(t, "standalone.snapshot")
	mem := vfs.NewMem()
	writeFile(t, mem, "/in/snapshot.1", want)
	var tree testTree
	must(t, ReadSnapshot(mem, "/in/snapshot.1", 1, &tree))
	if !tree.finished || len(tree.nodes) < 5 || tree.digest == nil {
		t.Fatalf("read %d nodes, digest %v", len(tree.nodes), tree.digest)
	}
	must(t, writeSnapshotFile(mem, "/in/again", &tree, func() error { return nil }))
	if got := readFile(t, mem, "/in/again"); !bytes.Equal(got, want) {
		t.Errorf("rewritten differently:\n%x\n%x", got, want)
	}
}

func TestApacheLogIsRewrittenAlike(t *testing.T) {
	for _, name := range []string{"standalone.log", "reconfig.log"} {
		want := golden(t, name)
		mem := vfs.NewMem()
		writeFile(t, mem, "/in/log", want)
		s, _ := open(t, mem)
		var first int64
		var end int64
		must(t, ScanLog(mem, "/in/log", func(r Record) error {
			if first == 0 {
				first = r.Zxid
			}
			end = r.OffsetBytes + recordHeaderBytes + int64(len(r.Payload)) + 1
			var txn jute.LoggedTxn
			if err := jute.Unmarshal(r.Payload, &txn); err != nil {
				return err
			}
			return s.Append(r.Zxid, r.Payload)
		}))
		must(t, s.RollLog())
		got := readFile(t, mem, "/log/version-2/log."+hexZxid(first))
		if !bytes.Equal(got, want[:end]) || len(bytes.TrimRight(want[end:], "\x00")) > 0 {
			t.Errorf("%s: rewritten differently:\n%x\n%x", name, got, want)
		}
	}
}

func TestApacheEpochs(t *testing.T) {
	mem := vfs.NewMem()
	for _, name := range []string{"acceptedEpoch", "currentEpoch"} {
		writeFile(t, mem, "/data/version-2/"+name, golden(t, name))
	}
	writeFile(t, mem, "/data/version-2/snapshot.0", golden(t, "standalone.snapshot"))
	s, _ := open(t, mem)
	accepted, current, err := s.Epochs()
	if err != nil || accepted != 1 || current != 1 {
		t.Errorf("%d, %d, %v", accepted, current, err)
	}
}

// TestApacheStartsFromOurFiles lets Apache ZooKeeper make a data directory, writes
// it anew with this package (snapshot, log behind it, epochs), starts Apache on
// that, and reads what Apache then wrote.
func TestApacheStartsFromOurFiles(t *testing.T) {
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts Java processes; run without -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // for Java, on a machine that does much else
	defer cancel()
	ports, err := apache.FreePorts(1)
	must(t, err)
	server, err := apache.Start(t.TempDir(), apache.Config{ClientPort: ports[0]})
	must(t, err)
	defer server.Kill()
	must(t, server.WaitReady(ctx))
	_, err = apache.RunCLIScript(ctx, server.ClientAddr, "create /a hello", "create -s /a/s- one", "create /secret x world:anyone:r",
		"set /a world", "create /gone x", "delete /gone")
	must(t, err)
	must(t, server.Kill())

	// Read Apache's files: an empty snapshot and a log.
	from, err := Open(Options{FS: vfs.OS{}, DataDir: server.DataDir, Now: time.Now})
	must(t, err)
	var tree *testTree
	var log []Entry
	loaded, err := from.Load(func() SnapshotSink { tree = &testTree{}; return tree }, func(zxid int64, payload []byte) error {
		log = append(log, Entry{zxid, payload})
		return nil
	})
	must(t, err)
	must(t, from.Close())
	if loaded.SnapshotPath == "" || len(log) < 6 {
		t.Fatalf("read %+v from Apache's directory", loaded)
	}

	// Write them anew, in three files, the last of which stays preallocated.
	ours := t.TempDir()
	to, err := Open(Options{FS: vfs.OS{}, DataDir: ours, Now: time.Now, PreAllocSizeBytes: 1 << 20})
	must(t, err)
	_, err = loadInto(to)
	must(t, err)
	must(t, to.InstallSnapshot(tree))
	for i, entry := range log {
		if i == len(log)/2 {
			must(t, to.RollLog())
		}
		must(t, to.Append(entry.Zxid, entry.Payload))
	}
	must(t, to.Sync())
	must(t, os.RemoveAll(server.DataDir))
	must(t, os.Rename(ours, server.DataDir))

	must(t, server.Restart())
	must(t, server.WaitReady(ctx))
	output, err := apache.RunCLIScript(ctx, server.ClientAddr, "get /a", "ls /a", "ls /", "set /a again")
	must(t, err)
	for _, want := range []string{"world", "s-0000000000", "secret"} {
		if !strings.Contains(output, want) {
			t.Errorf("Apache does not show %q: %s", want, output)
		}
	}
	if strings.Contains(output, "gone") {
		t.Errorf("Apache shows a deleted node: %s", output)
	}
	must(t, server.Kill())

	again, err := Open(Options{FS: vfs.OS{}, DataDir: server.DataDir, Now: time.Now})
	must(t, err)
	r, err := loadInto(again)
	must(t, err)
	if r.LastZxid <= loaded.LastZxid {
		t.Errorf("Apache's writes are missing: %+v", r.Loaded)
	}
}
