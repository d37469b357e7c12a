package zab

import (
	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// ConnID names one connection of the quorum port in this process. It is never used
// again. Connections that the core dials are numbered by the core with odd numbers,
// those that learners open by the shell with even ones.
type ConnID uint64

// Config is what a Core must know of its ensemble.
type Config struct {
	SID      int64           // this member's id
	Verifier quorum.Verifier // decides what a quorum is, and knows the voters
	TickMs   int64           // length of a tick; the leader pings twice a tick

	InitLimitTicks int64 // time for a learner to connect and synchronize
	SyncLimitTicks int64 // silence after which a synchronized peer is given up
	// ConnectLimitTicks is the time for a learner to connect alone (connectToLearnerMasterLimit);
	// InitLimitTicks if 0.
	ConnectLimitTicks int64
	// EpochWaitMs is for how long a candidate may lack the epochs of a quorum before a voter
	// that looks for a leader makes it look again (leader.maxTimeToWaitForEpoch); no such limit
	// if 0.
	EpochWaitMs int64
	// FirstResendMs is the first interval at which a vote is sent again while nothing is heard.
	// It doubles each time, up to MostResendMs (fastleader.*NotificationInterval). 0 stands for
	// the defaults.
	FirstResendMs, MostResendMs int64

	// ElectionConfig is the membership text that travels in notifications and in
	// NEWLEADER ("server.1=host:2888:3888:participant;0.0.0.0:2181\n...version=0").
	ElectionConfig []byte
	ConfigVersion  int64
	// QuorumAddresses are the quorum ports of the members, by sid. Who is here and does not
	// vote is an observer: it learns from every leader and is never one. A voter may be
	// missing where the membership is fixed.
	QuorumAddresses map[int64]string
	// ObserverMasters says that followers serve observers too, at a port of their own, and that
	// observers go there rather than to the leader (observerMasterPort).
	ObserverMasters bool
	// Reconfig makes all of this the first of several memberships; nil for a fixed one.
	Reconfig *Reconfig

	CommitLogCount  int   // committed transactions kept in memory for DIFF
	FinalizeWaitMs  int64 // how long a winning vote waits for a better one (ZooKeeper: 200)
	MaxSyncLogBytes int64 // a learner further behind than this many log bytes gets a snapshot

	// How many learners may be sent a snapshot, or a difference, at a time before an
	// observer is turned away; no bound at 0. Voters are needed and never turned away.
	MaxSnapSyncs, MaxDiffSyncs int

	// LastCounter is the counter at which an epoch ends, the protocol's if 0. It is less in
	// tests of what happens beyond.
	LastCounter int64

	// Check reports why an entry that a leader sent is no transaction that could be logged
	// and applied; nil takes everything. It is called once for each, in the order of the log.
	Check func(Entry) error
}

// Entry is one logged transaction. The payload is header, body and digest, the same
// bytes in a PROPOSAL and in the log; it must not be changed.
type Entry struct {
	Zxid    int64
	Payload []byte
}

// Boot is what a member finds on its disk.
type Boot struct {
	AcceptedEpoch int64
	CurrentEpoch  int64
	LastZxid      int64   // end of the log; the tree equals the log up to here
	Floor         int64   // the log can be truncated to here and not below: the oldest snapshot's zxid
	Recent        []Entry // the newest logged transactions, oldest first, at most CommitLogCount
}

// Input is an event. The types below are all there are.
type Input interface{ input() }

type (
	// Tick lets time pass. It must come at least four times a tick; more often
	// makes timeouts more exact.
	Tick struct{}

	// NotificationReceived is a vote from another member's election port.
	NotificationReceived struct {
		From int64
		N    jute.Notification
	}

	// VoterUnreachable reports that no connection to a member's election port could be
	// opened. It is over with the next NotificationReceived from there.
	VoterUnreachable struct{ SID int64 }

	// ConnOpened reports that a learner connected to our quorum port, or to our observer
	// master port (Incoming), or that a Dial succeeded.
	ConnOpened struct {
		Conn     ConnID
		Incoming bool
		Master   bool // the port is the observer master port
	}

	// ConnClosed reports that a connection ended, for whatever reason, or that a Dial
	// failed. It is the last input of its connection. The core ignores connections
	// that it closed itself.
	ConnClosed struct {
		Conn   ConnID
		Reason string
	}

	// PacketReceived is one packet of a quorum connection. The core keeps Packet.Data.
	PacketReceived struct {
		Conn   ConnID
		Packet jute.QuorumPacket
	}

	// SnapshotReceived follows the PacketReceived of a SNAP once its stream was read
	// whole and checked. Handle is the shell's: it comes back in InstallSnapshot.
	SnapshotReceived struct {
		Conn   ConnID
		Handle any
	}

	// TreeReplaced tells the membership text in the tree of an InstallSnapshot. It must
	// come before any other input.
	TreeReplaced struct{ MembershipText []byte }

	// DiskDone reports that all disk effects up to Seq are durable.
	DiskDone struct{ Seq uint64 }

	// HistoryRead answers ReadHistory. Found says that the log holds After itself (or
	// After is 0 and the log is complete from its beginning), and Complete that Entries
	// is all that follows it up to the log's end as it was at the time.
	HistoryRead struct {
		Conn     ConnID
		Found    bool
		Complete bool
		Entries  []Entry
	}

	// Propose asks an established leader to broadcast a transaction. Its zxid must be
	// NextZxid. To any other member it is a programming error.
	Propose struct{ Entry }

	// ConfirmLeadership asks for a LeadershipConfirmed with this token: proof, by a
	// round of pings that started after this input, that a quorum still follows us.
	// Any number may wait; they share rounds.
	ConfirmLeadership struct{ Token uint64 }
)

func (Tick) input()                 {}
func (NotificationReceived) input() {}
func (VoterUnreachable) input()     {}
func (ConnOpened) input()           {}
func (ConnClosed) input()           {}
func (PacketReceived) input()       {}
func (SnapshotReceived) input()     {}
func (TreeReplaced) input()         {}
func (DiskDone) input()             {}
func (HistoryRead) input()          {}
func (Propose) input()              {}
func (ConfirmLeadership) input()    {}

// Effect is something the caller must do. The types below are all there are.
type Effect interface{ effect() }

type (
	// SendNotification sends a vote to a member's election port. Only the newest one
	// to each member matters; it is sent again when that member connects.
	SendNotification struct {
		To int64
		N  jute.Notification
	}

	// Dial opens a connection to a member's quorum port, or to its observer master port:
	// ConnOpened or ConnClosed follows.
	Dial struct {
		Conn   ConnID
		To     int64
		Master bool
	}

	// Send queues a packet on a connection, in order.
	Send struct {
		Conn   ConnID
		Packet jute.QuorumPacket
	}

	// SendSnapshot queues the stream of the tree as it is at this effect (everything
	// delivered before it is in, nothing after) behind what is queued on the connection.
	SendSnapshot struct{ Conn ConnID }

	// Close closes a connection after sending what is queued on it. Reason is for the log.
	// Breach says that the peer did what no honest member of this ensemble does, so that
	// somebody should look at it; Suspect that one does so at most for a moment.
	Close struct {
		Conn    ConnID
		Reason  string
		Breach  bool
		Suspect bool
	}

	// ReadHistory asks for the logged transactions behind After, at most MaxBytes of
	// them: HistoryRead follows.
	ReadHistory struct {
		Conn     ConnID
		After    int64
		MaxBytes int64
	}

	// Append adds a transaction to the log.
	Append struct {
		Seq uint64
		Entry
	}

	// SaveAcceptedEpoch makes an accepted epoch durable.
	SaveAcceptedEpoch struct {
		Seq   uint64
		Epoch int64
	}

	// SaveCurrentEpoch makes a current epoch durable.
	SaveCurrentEpoch struct {
		Seq   uint64
		Epoch int64
	}

	// SaveMembership makes the memberships durable that count: the newest that is known to
	// be committed, and a newer one that is proposed, if any. Who may be talked to, and
	// where, changes at once.
	SaveMembership struct {
		Seq       uint64
		Committed Membership
		Next      *Membership
	}

	// Truncate drops everything after Zxid from log and tree.
	Truncate struct {
		Seq  uint64
		Zxid int64
	}

	// InstallSnapshot replaces log and tree by a snapshot that was received, whose last zxid is Zxid.
	InstallSnapshot struct {
		Seq    uint64
		Zxid   int64
		Handle any
	}

	// Deliver hands out the next transaction to apply.
	Deliver struct{ Entry }

	// RoleChanged says that the member took a role. See Role.
	RoleChanged struct {
		Role   Role
		Leader int64  // sid of the leader, -1 while there is none
		Epoch  int64  // epoch of an established role, else 0
		Conn   ConnID // a learner's connection to its leader, else 0
		Reason string // why the role before was given up, for people; of RoleLooking only
	}

	// LearnerEstablished tells a leader, or a follower that serves observers, that a learner is synchronized and may send requests.
	LearnerEstablished struct {
		Conn ConnID
		SID  int64
	}

	// LearnerGone tells such a member that a learner's connection ended.
	LearnerGone struct {
		Conn ConnID
		SID  int64
	}

	// FromLearner hands such a member what is no business of this package: REQUEST,
	// REVALIDATE and PING packets of a synchronized learner (a PING for its list of live sessions).
	FromLearner struct {
		Conn   ConnID
		SID    int64
		Packet jute.QuorumPacket
	}

	// FromLeader hands a follower what is no business of this package: REVALIDATE and
	// SYNC packets, and PING, to which the follower must answer with a PING of the same
	// zxid that lists its live sessions.
	FromLeader struct{ Packet jute.QuorumPacket }

	// LeadershipConfirmed answers ConfirmLeadership. A token is never answered when the
	// leadership ends first.
	LeadershipConfirmed struct{ Token uint64 }
)

func (SendNotification) effect()    {}
func (Dial) effect()                {}
func (Send) effect()                {}
func (SendSnapshot) effect()        {}
func (Close) effect()               {}
func (ReadHistory) effect()         {}
func (Append) effect()              {}
func (SaveAcceptedEpoch) effect()   {}
func (SaveCurrentEpoch) effect()    {}
func (SaveMembership) effect()      {}
func (Truncate) effect()            {}
func (InstallSnapshot) effect()     {}
func (Deliver) effect()             {}
func (RoleChanged) effect()         {}
func (LearnerEstablished) effect()  {}
func (LearnerGone) effect()         {}
func (FromLearner) effect()         {}
func (FromLeader) effect()          {}
func (LeadershipConfirmed) effect() {}

// Role is where a member stands.
type Role uint8

// The roles. Only the established ones serve clients.
const (
	RoleLooking             Role = iota // electing
	RoleFollowing                       // found a leader, not yet synchronized
	RoleLeading                         // elected, not yet followed by a quorum
	RoleFollowerEstablished             // UPTODATE received
	RoleLeaderEstablished               // a quorum acknowledged NEWLEADER
	RoleObserverEstablished             // an observer received UPTODATE
)

// String returns the role for logs.
func (r Role) String() string {
	return [...]string{"looking", "following", "leading", "follower established", "leader established", "observer established"}[r]
}

// Established reports whether the role serves clients.
func (r Role) Established() bool { return r >= RoleFollowerEstablished }
