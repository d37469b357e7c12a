package admin

import (
	"context"
	"fmt"
	"io"
	"time"

	"zoolab/node/config"
	"zoolab/node/metrics"
	"zoolab/node/peer"
	"zoolab/node/replica"
	"zoolab/node/server"
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// Disk is what is asked about the files.
type Disk interface {
	// DataSizeBytes is the size of all snapshots, LogSizeBytes of all logs.
	DataSizeBytes() (int64, error)
	LogSizeBytes() (int64, error)
	// LastSnapshot returns the zxid and the time of the newest snapshot, -1 and the zero
	// time while there is none.
	LastSnapshot() (zxid int64, at time.Time)
	// SlowSyncs counts syncs of the log that took longer than fsync.warningthresholdms.
	SlowSyncs() int64
}

// View is a running server as its operators see it. All exported fields must be set.
type View struct {
	Config  *config.Config
	Replica *replica.Replica
	Clients *server.Server
	Disk    Disk
	Metrics *metrics.Metrics
	// Version is what the server calls itself, with the time when it was built.
	Version string
	Started time.Time
	// Submit gives the event loop an input.
	Submit func(replica.Input)
	// Authenticate returns the identities that credentials of a scheme prove; have are
	// those that the connection proves by itself.
	Authenticate func(scheme string, credentials []byte, have []jute.ID) (ids []jute.ID, ok bool)
	// TakeSnapshot takes a snapshot and returns its file and the zxid that it shows.
	TakeSnapshot func(context.Context) (path string, zxid int64, err error)
	// RestoreSnapshot makes a snapshot the data of the whole ensemble and returns the zxid
	// that it got. The member must lead.
	RestoreSnapshot func(context.Context, io.Reader) (zxid int64, err error)
	// Observers tells of the observers that the server serves, and ResetObservers counts their
	// packets from zero.
	Observers      func(context.Context) ([]Observer, error)
	ResetObservers func(context.Context) error
	// ConfigText is the text of zoo.cfg.
	ConfigText string

	mask traceMask
}

// Observer is a connection of an observer that the server serves.
type Observer struct {
	SID int64
	peer.Traffic
}

// answerTimeout is how long a command waits for the event loop.
const answerTimeout = 5 * time.Second

// serving reports whether clients are served, without which most commands have no answer.
func (v *View) serving() bool {
	status := v.Replica.Status()
	return status.Role.Established() || status.ReadOnly
}

// readOnly reports whether the server serves reads although it has no quorum.
func (v *View) readOnly() bool { return v.Replica.Status().ReadOnly }

// leads reports whether the server leads an ensemble.
func (v *View) leads() bool {
	return v.Config.Distributed && v.Replica.Status().Role == zab.RoleLeaderEstablished
}

// follows reports whether the server follows a leader, with a vote or as an observer.
func (v *View) follows() bool {
	role := v.Replica.Status().Role
	return role == zab.RoleFollowerEstablished || role == zab.RoleObserverEstablished
}

// servesObservers reports whether observers may learn from the server: from a leader, and
// from a follower that has a port for them.
func (v *View) servesObservers() bool {
	return v.leads() || v.Config.Ensemble.ObserverMasterPort > 0 && v.Replica.Status().Role == zab.RoleFollowerEstablished
}

// observes reports whether the server observes a leader.
func (v *View) observes() bool { return v.Replica.Status().Role == zab.RoleObserverEstablished }

// knowsExpiry reports whether the server knows when the ensemble's sessions expire: as a
// leader, or alone.
func (v *View) knowsExpiry() bool { return v.Replica.Status().Role == zab.RoleLeaderEstablished }

// hasLocalSessions reports whether there may be sessions that only this server knows.
func (v *View) hasLocalSessions() bool {
	return v.readOnly() || v.Config.Distributed && v.Config.Clients.LocalSessionsEnabled
}

// mode is the server's role as Apache names it.
func (v *View) mode() string {
	switch {
	case !v.Config.Distributed:
		return "standalone"
	case v.leads():
		return "leader"
	case v.observes():
		return "observer"
	case v.follows():
		return "follower"
	case v.readOnly():
		return "read-only"
	}
	return "looking"
}

// peerState is the role with the phase of the protocol, "" where Apache's has none.
func (v *View) peerState() string {
	switch {
	case !v.Config.Distributed || v.readOnly():
		return ""
	case v.leads():
		return "leading - broadcast"
	case v.observes():
		return "observing - broadcast"
	case v.follows():
		return "following - broadcast"
	}
	return "looking"
}

// shownZxid is the zxid of the tree. A leader shows the beginning of its epoch until the
// epoch's first transaction, so that the epoch can be seen at once.
func (v *View) shownZxid() int64 {
	last := v.Replica.Tree().LastZxid()
	if status := v.Replica.Status(); v.Config.Distributed && status.Role == zab.RoleLeaderEstablished {
		last = max(last, status.Epoch<<32)
	}
	return last
}

// elapsedMs is how long the server has run.
func (v *View) elapsedMs() int64 { return time.Since(v.Started).Milliseconds() }

// at turns a time of the event loop's clock into one of the calendar.
func (v *View) at(monoMs int64) time.Time {
	return time.Now().Add(time.Duration(monoMs-v.elapsedMs()) * time.Millisecond)
}

// sessions asks the event loop for the sessions and their expiry.
func (v *View) sessions() ([]replica.SessionInfo, error) {
	answer := make(chan []replica.SessionInfo, 1)
	v.Submit(replica.ListSessions{Answer: func(s []replica.SessionInfo) { answer <- s }})
	select {
	case s := <-answer:
		return s, nil
	case <-time.After(answerTimeout):
		return nil, fmt.Errorf("the event loop did not answer within %v", answerTimeout)
	}
}

// sizes returns the bytes of snapshots and logs, 0 where they can't be read.
func (v *View) sizes() (snapshots, logs int64) {
	snapshots, _ = v.Disk.DataSizeBytes()
	logs, _ = v.Disk.LogSizeBytes()
	return snapshots, logs
}

// resetStats forgets what srst resets: counters, latencies and sizes.
func (v *View) resetStats() {
	v.Metrics.Reset()
	v.Clients.Stats().ResetAnswerBytes()
}

// sessionOf returns the session of a watcher, 0 for one that has none any more.
func sessionOf(w tree.Watcher) int64 {
	if c, ok := w.(interface{ SessionID() int64 }); ok {
		return c.SessionID()
	}
	return 0
}

func hex(v int64) string { return fmt.Sprintf("0x%x", uint64(v)) }
