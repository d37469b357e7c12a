package member

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/node/vfs"
)

// createMany makes znodes with so much data, from several goroutines.
func createMany(t *testing.T, c *zk.Conn, name string, count, dataBytes int) {
	t.Helper()
	const writers = 16
	data := []byte(strings.Repeat("x", dataBytes))
	errs := make([]error, writers)
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			for i := w; i < count && errs[w] == nil; i += writers {
				_, errs[w] = c.Create(fmt.Sprintf("/%s%d", name, i), data, 0, zk.WorldACL(zk.PermAll))
			}
		})
	}
	done.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestHowALearnerIsSynchronized: a follower that is 1200 transactions behind gets them from
// memory (commitLogCount), from the leader's disk (snapshotSizeFactor), or a snapshot.
func TestHowALearnerIsSynchronized(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings []string
		snapshot bool
	}{
		{[]string{"commitLogCount=500", "snapshotSizeFactor=-1"}, true},
		{[]string{"commitLogCount=3000", "snapshotSizeFactor=-1"}, false},
		{[]string{"commitLogCount=500", "snapshotSizeFactor=0"}, false},
		{[]string{"commitLogCount=500"}, true}, // 0.33 of the snapshot of an empty tree
		{[]string{"commitLogCount=500", "snapshotSizeFactor=2000"}, false},
	} {
		t.Run(strings.Join(test.settings, " "), func(t *testing.T) {
			cfgs := ensemble(t, 3, test.settings...)
			members := startAll(t, cfgs)
			lagging := (leaderOf(members) + 1) % 3
			members[lagging].stop()
			rest := append(append([]*running(nil), members[:lagging]...), members[lagging+1:]...)
			c := connect(t, rest...)
			createMany(t, c, "n", 1200, 10)
			back := start(t, cfgs[lagging], vfs.OS{})
			eventually(t, "the member is back", back.serves)
			if got := back.log.count("installing the leader's snapshot") > 0; got != test.snapshot {
				t.Errorf("it was sent a snapshot: %v, want %v", got, test.snapshot)
			}
			if _, _, err := connect(t, back).Get("/n1199"); err != nil {
				t.Errorf("what it missed is not there: %v", err)
			}
			c.Close()
		})
	}
}

// TestWhenSnapshotsAreTaken by count and by size of the log, and how they are written.
func TestWhenSnapshotsAreTaken(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings  []string
		dataBytes int
		want      string // a pattern of snapshots behind the first; none if empty
	}{
		{[]string{"snapCount=100"}, 10, "snapshot.[1-9a-f]*"},
		{[]string{"snapCount=100", "snapshot.compression.method=gz"}, 10, "snapshot.[1-9a-f]*.gz"},
		{[]string{"snapCount=100", "snapshot.compression.method=Snappy"}, 10, "snapshot.[1-9a-f]*.snappy"},
		{[]string{"snapSizeLimitInKb=100"}, 2000, "snapshot.[1-9a-f]*"},
		{nil, 2000, ""},
		{[]string{"snapSizeLimitInKb=-1", "txnLogSizeLimitInKb=20", "preAllocSize=0", "forceSync=no"}, 2000, ""},
	} {
		t.Run(strings.Join(test.settings, " "), func(t *testing.T) {
			dir := t.TempDir()
			m := start(t, standalone(t, dir, test.settings...), vfs.OS{})
			createMany(t, connect(t, m), "n", 150, test.dataBytes)
			pattern := test.want
			if pattern == "" {
				pattern = "snapshot.[1-9a-f]*"
			}
			taken := func() bool { return len(files(t, dir, pattern)) > 0 }
			if test.want != "" {
				eventually(t, "a snapshot "+test.want, taken)
			} else if taken() {
				t.Errorf("a snapshot was taken: %v", files(t, dir, "snapshot."))
			}
			// A log ends with each snapshot, one of which may be on its way. At most 16 writes of
			// 2 KB go into one batch, so a limit of 20 KB makes at least five of 300 KB.
			limited := strings.Contains(strings.Join(test.settings, " "), "txnLog")
			logs, snapshots := len(files(t, dir, "log.")), len(files(t, dir, "snapshot."))
			if limited != (logs > snapshots+1) {
				t.Errorf("there are %d logs and %d snapshots", logs, snapshots)
			}
			m.stop()
			m = start(t, m.cfg, vfs.OS{})
			if _, _, err := connect(t, m).Get("/n149"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestForceSync counts the syncs of the log.
func TestForceSync(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"yes": true, "no": false} {
		fs := vfs.NewFaulty(vfs.OS{})
		m := start(t, standalone(t, t.TempDir(), "forceSync="+value), fs)
		c := connect(t, m)
		before := fs.Count(vfs.OpSync)
		if _, err := create(c, 0, 20); err != nil {
			t.Fatal(err)
		}
		if got := fs.Count(vfs.OpSync)-before >= 20; got != want {
			t.Errorf("forceSync=%s: %d syncs of 20 writes", value, fs.Count(vfs.OpSync)-before)
		}
	}
}

// TestBatches: maxBatchSize bounds what one sync makes durable; flushDelay holds writes back
// for others to come.
func TestBatches(t *testing.T) {
	t.Parallel()
	const writes = 160 // from 16 goroutines
	for _, test := range []struct {
		settings []string
		one      time.Duration // what a lone write takes at least
		syncs    [2]int        // of the log, at least and at most
	}{
		{[]string{"maxBatchSize=1"}, 0, [2]int{writes, 2 * writes}},
		{[]string{"flushDelay=300"}, 100 * time.Millisecond, [2]int{writes / 16, writes / 2}},
		{[]string{"flushDelay=300", "maxWriteQueuePollTime=30"}, 30 * time.Millisecond, [2]int{writes / 16, writes / 2}},
		{[]string{"flushDelay=60000", "maxWriteQueuePollTime=60000", "maxBatchSize=1"}, 0, [2]int{writes, 2 * writes}},
	} {
		t.Run(strings.Join(test.settings, " "), func(t *testing.T) {
			fs := vfs.NewFaulty(vfs.OS{})
			m := start(t, standalone(t, t.TempDir(), test.settings...), fs)
			c := connect(t, m)
			before := fs.Count(vfs.OpSync)
			createMany(t, c, "n", writes, 10)
			if syncs := int(fs.Count(vfs.OpSync) - before); syncs < test.syncs[0] || syncs > test.syncs[1] {
				t.Errorf("%d syncs of %d writes, want %v", syncs, writes, test.syncs)
			}
			began := time.Now()
			if _, err := create(c, 1000, 1001); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < test.one {
				t.Errorf("a lone write took %v, want at least %v", took, test.one)
			}
		})
	}
}

// TestFirstStart: whether a server may start without directories, without data, and
// without a snapshot is for the operator to say.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	empty := func(*testing.T, string) {}
	made := func(t *testing.T, dir string) {
		if err := os.MkdirAll(filepath.Join(dir, "version-2"), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	initialized := func(t *testing.T, dir string) {
		made(t, dir)
		if err := os.WriteFile(filepath.Join(dir, InitializeName), nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	late := func(t *testing.T, dir string) { // a log whose beginning is missing, and no snapshot
		m := start(t, standalone(t, dir, "snapCount=20"), vfs.OS{})
		createMany(t, connect(t, m), "n", 100, 10)
		m.stop()
		removed := append(files(t, dir, "snapshot."), filepath.Join(dir, "version-2", "log.100000001"))
		for _, name := range removed {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string)
		setting string
		refused string // what the error says; starts if empty
	}{
		"no directory":                  {empty, "", ""},
		"no directory, may not make it": {empty, "datadir.autocreate=false", "datadir.autocreate"},
		"a directory":                   {made, "datadir.autocreate=false", ""},
		"no data":                       {made, "db.autocreate=true", ""},
		"no data, may not start so":     {made, "db.autocreate=false", "db.autocreate"},
		"initialized":                   {initialized, "db.autocreate=false", ""},
		"no snapshot":                   {late, "", "snapshot.trust.empty"},
		"no snapshot, trusted":          {late, "snapshot.trust.empty=true", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.prepare(t, dir)
			cfg := standalone(t, dir, test.setting)
			m, err := Open(cfg, discard)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m.shutdownTransports()
			_ = m.storage.Close()
			m.unlock()
			if _, err := os.Stat(filepath.Join(dir, InitializeName)); err == nil {
				t.Error("the permission to start without data is still there")
			}
		})
	}
}
