package member

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"zoolab/node/admin"
	"zoolab/node/auth"
	"zoolab/node/replica"
	"zoolab/node/storage"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// Version is what the server calls itself where Apache's prints its own version. It
// begins with the version whose behaviour clients and tools may expect.
var Version = "3.8.0-zoolab"

// newView shows this member to words, commands and metrics.
func (m *Member) newView() *admin.View {
	v := &admin.View{
		Config: m.cfg, Replica: m.replica, Clients: m.clients, Disk: m.files, Metrics: m.metrics,
		Version: fmt.Sprintf("%s, built on %s", Version, buildTime()), Started: m.started, Submit: m.post,
		TakeSnapshot: m.takeSnapshot, Observers: m.observers, ResetObservers: m.resetObservers, RestoreSnapshot: m.restoreSnapshot,
	}
	authenticator := authenticator(m.cfg)
	v.Authenticate = func(scheme string, credentials []byte, have []jute.ID) ([]jute.ID, bool) {
		ids, verdict := authenticator.Authenticate(scheme, credentials, have)
		return ids, verdict == auth.Accepted
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

// takeSnapshot takes a snapshot of what is applied now.
func (m *Member) takeSnapshot(ctx context.Context) (path string, zxid int64, err error) {
	type result struct {
		path string
		zxid int64
		err  error
	}
	done := make(chan result, 1)
	m.post(replica.SnapshotNow{Done: func(path string, zxid int64, err error) { done <- result{path, zxid, err} }})
	select {
	case r := <-done:
		return r.path, r.zxid, r.err
	case <-ctx.Done():
		return "", 0, ctx.Err()
	}
}

// observers tells of the observers that this member serves.
func (m *Member) observers(ctx context.Context) ([]admin.Observer, error) {
	served, err := m.served(ctx)
	var list []admin.Observer
	for _, o := range served {
		if traffic, there := m.peers.TrafficOf(o.Conn); there {
			list = append(list, admin.Observer{SID: o.SID, Traffic: traffic})
		}
	}
	return list, err
}

// resetObservers counts their packets from zero.
func (m *Member) resetObservers(ctx context.Context) error {
	served, err := m.served(ctx)
	for _, o := range served {
		m.peers.ResetTraffic(o.Conn)
	}
	return err
}

// served asks the event loop for the observers that this member serves.
func (m *Member) served(ctx context.Context) ([]zab.Observer, error) {
	answer := make(chan []zab.Observer, 1)
	m.post(replica.ListObservers{Answer: func(list []zab.Observer) { answer <- list }})
	select {
	case list := <-answer:
		return list, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// openPorts opens the AdminServer's port and that of the metrics. A server whose
// AdminServer can't be had goes on without it, as a member of an ensemble of Apache's does:
// it is on by default, and its port is a popular one. Metrics are there because somebody
// asked for them, so a server that can't export them does not start.
func (m *Member) openPorts() error {
	a := &m.cfg.Admin
	if a.PrometheusExporter {
		s, err := admin.ListenMetrics(m.admin, m.log)
		if err != nil {
			return err
		}
		m.httpPorts = append(m.httpPorts, s)
	}
	if !a.Enabled {
		return nil
	}
	s, err := admin.ListenCommands(m.admin, m.log)
	if err != nil {
		m.log.Error("the server goes on without its AdminServer", "err", err)
		return nil
	}
	m.httpPorts = append(m.httpPorts, s)
	return nil
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
