package member

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"zoolab/node/admin"
	"zoolab/node/storage"
)

// Version is what the server calls itself where Apache's prints its own version. It
// begins with the version whose behaviour clients and tools may expect.
var Version = "3.8.0-zoolab"

// newView shows this member to words, commands and metrics.
func (m *Member) newView() *admin.View {
	v := &admin.View{
		Config: m.cfg, Replica: m.replica, Clients: m.clients, Disk: m.files, Metrics: m.metrics,
		Version: fmt.Sprintf("%s, built on %s", Version, buildTime()), Started: m.started, Submit: m.post,
	}
	if text, err := os.ReadFile(m.cfg.File); err == nil {
		v.ConfigText = string(text)
	}
	return v
}

// synced is told of every sync of the log.
func (m *Member) synced(elapsed time.Duration, _ int) {
	m.metrics.Fsync.Observe(elapsed.Microseconds())
	if elapsed.Milliseconds() > m.cfg.Storage.FsyncWarningMs {
		m.files.slowSyncs.Add(1)
	}
}

// diskView is what is known of the disk, for admin.View.
type diskView struct {
	*storage.Storage
	slowSyncs atomic.Int64

	mu           sync.Mutex
	snapshotZxid int64
	snapshotAt   time.Time
}

func newDiskView(s *storage.Storage, loaded storage.Loaded) *diskView {
	f := &diskView{Storage: s, snapshotZxid: -1}
	if info, err := os.Stat(loaded.SnapshotPath); err == nil {
		f.tookSnapshot(loaded.SnapshotZxid, info.ModTime())
	} else if loaded.Empty {
		f.tookSnapshot(0, time.Now()) // of the empty tree, at the first start
	}
	return f
}

func (f *diskView) tookSnapshot(zxid int64, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshotZxid, f.snapshotAt = zxid, at
}

// LastSnapshot implements admin.Disk.
func (f *diskView) LastSnapshot() (zxid int64, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshotZxid, f.snapshotAt
}

// SlowSyncs implements admin.Disk.
func (f *diskView) SlowSyncs() int64 { return f.slowSyncs.Load() }
