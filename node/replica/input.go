package replica

import (
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// Input is an event for Step: any zab.Input, or one of the types below. The Handle of a
// zab.SnapshotReceived is a *tree.Builder that was given everything but its end.
type Input any

type (
	// ClientConnect is a connection's first frame.
	ClientConnect struct {
		Conn    *Conn
		Request jute.ReadOnlyConnectRequest
	}

	// ClientRequest is a request that Serve did not answer. The connection must have
	// counted it with Conn.Submitted first. The replica keeps Body.
	ClientRequest struct {
		Conn   *Conn
		Header jute.RequestHeader
		Body   []byte
		// Throttled says that the request waited too long before it came here: it is
		// answered in its turn with jute.CodeThrottledOp and not carried out.
		Throttled bool
	}

	// ClientClosed is the last input of a connection.
	ClientClosed struct{ Conn *Conn }

	// TreeRestored hands over the tree that was loaded after a zab.Truncate was carried
	// out. It must come before the DiskDone of that effect.
	TreeRestored struct{ Tree *tree.Tree }

	// ListSessions asks for all sessions: first those that only this member knows, each part
	// by ascending id. Answer is called from Step and must not block.
	ListSessions struct{ Answer func([]SessionInfo) }

	// ListObservers asks for the observers that this member serves. Answer is called from Step
	// and must not block.
	ListObservers struct{ Answer func([]zab.Observer) }

	// SnapshotNow asks for a snapshot before one is due. Done comes back in the effect.
	SnapshotNow struct {
		Done func(path string, zxid int64, err error)
	}
)

// Effect is what the shell must do: one of zab's SendNotification, Dial, Send, Close,
// ReadHistory, Append, SaveAcceptedEpoch, SaveCurrentEpoch, Truncate and RoleChanged
// (for information), or one of the types below.
type Effect any

type (
	// SendSnapshot is zab's, with the view to send. The shell closes the view.
	SendSnapshot struct {
		Conn zab.ConnID
		View *tree.View
	}

	// InstallSnapshot is zab's, with a view of the tree that was received. The shell
	// replaces log and snapshots by it and closes the view.
	InstallSnapshot struct {
		Seq  uint64
		Zxid int64
		View *tree.View
	}

	// ReadOnlyStarted says that this member found no leader for long enough that it now
	// serves reads without one. Its next role ends that.
	ReadOnlyStarted struct{}

	// OverQuota says that a write breached a quota, and was refused if the limit is hard
	// and enforced. Somebody should be warned.
	OverQuota struct{ Breach tree.QuotaBreach }

	// TakeSnapshot asks for a snapshot beside the running log, and for a new log file.
	// The shell closes the view.
	TakeSnapshot struct {
		View *tree.View
		// Done, unless nil, is told the file, or why there is none.
		Done func(path string, zxid int64, err error)
	}
)
