package jute

import "fmt"

// OpCode is a request's operation and, in a TxnHeader, a transaction's kind.
type OpCode int32

// The operations of ZooKeeper 3.8, with the numbers of its protocol.
const (
	OpNotification         OpCode = 0
	OpCreate               OpCode = 1
	OpDelete               OpCode = 2
	OpExists               OpCode = 3
	OpGetData              OpCode = 4
	OpSetData              OpCode = 5
	OpGetACL               OpCode = 6
	OpSetACL               OpCode = 7
	OpGetChildren          OpCode = 8
	OpSync                 OpCode = 9
	OpPing                 OpCode = 11
	OpGetChildren2         OpCode = 12
	OpCheck                OpCode = 13
	OpMulti                OpCode = 14
	OpCreate2              OpCode = 15
	OpReconfig             OpCode = 16
	OpCheckWatches         OpCode = 17
	OpRemoveWatches        OpCode = 18
	OpCreateContainer      OpCode = 19
	OpDeleteContainer      OpCode = 20
	OpCreateTTL            OpCode = 21
	OpMultiRead            OpCode = 22
	OpAuth                 OpCode = 100
	OpSetWatches           OpCode = 101
	OpSASL                 OpCode = 102
	OpGetEphemerals        OpCode = 103
	OpGetAllChildrenNumber OpCode = 104
	OpSetWatches2          OpCode = 105
	OpAddWatch             OpCode = 106
	OpWhoAmI               OpCode = 107
	OpCreateSession        OpCode = -10
	OpCloseSession         OpCode = -11
	OpError                OpCode = -1
)

var opNames = map[OpCode]string{
	OpNotification: "notification", OpCreate: "create", OpDelete: "delete", OpExists: "exists",
	OpGetData: "getData", OpSetData: "setData", OpGetACL: "getACL", OpSetACL: "setACL",
	OpGetChildren: "getChildren", OpSync: "sync", OpPing: "ping", OpGetChildren2: "getChildren2",
	OpCheck: "check", OpMulti: "multi", OpCreate2: "create2", OpReconfig: "reconfig",
	OpCheckWatches: "checkWatches", OpRemoveWatches: "removeWatches",
	OpCreateContainer: "createContainer", OpDeleteContainer: "deleteContainer",
	OpCreateTTL: "createTTL", OpMultiRead: "multiRead", OpAuth: "auth", OpSetWatches: "setWatches",
	OpSASL: "sasl", OpGetEphemerals: "getEphemerals", OpGetAllChildrenNumber: "getAllChildrenNumber",
	OpSetWatches2: "setWatches2", OpAddWatch: "addWatch", OpWhoAmI: "whoAmI",
	OpCreateSession: "createSession", OpCloseSession: "closeSession", OpError: "error",
}

// String returns the operation's name as ZooKeeper's documentation writes it.
func (op OpCode) String() string {
	if name, ok := opNames[op]; ok {
		return name
	}
	return fmt.Sprintf("op(%d)", int32(op))
}

// The xids that are no request's number.
const (
	XidNotification int32 = -1
	XidPing         int32 = -2
	XidAuth         int32 = -4
	XidSetWatches   int32 = -8
)

// ErrorCode is the err field of a reply. Zero is success.
type ErrorCode int32

// The error codes of ZooKeeper 3.8.
const (
	CodeOK                       ErrorCode = 0
	CodeSystemError              ErrorCode = -1
	CodeRuntimeInconsistency     ErrorCode = -2
	CodeDataInconsistency        ErrorCode = -3
	CodeConnectionLoss           ErrorCode = -4
	CodeMarshallingError         ErrorCode = -5
	CodeUnimplemented            ErrorCode = -6
	CodeOperationTimeout         ErrorCode = -7
	CodeBadArguments             ErrorCode = -8
	CodeUnknownSession           ErrorCode = -12
	CodeNewConfigNoQuorum        ErrorCode = -13
	CodeReconfigInProgress       ErrorCode = -14
	CodeAPIError                 ErrorCode = -100
	CodeNoNode                   ErrorCode = -101
	CodeNoAuth                   ErrorCode = -102
	CodeBadVersion               ErrorCode = -103
	CodeNoChildrenForEphemerals  ErrorCode = -108
	CodeNodeExists               ErrorCode = -110
	CodeNotEmpty                 ErrorCode = -111
	CodeSessionExpired           ErrorCode = -112
	CodeInvalidCallback          ErrorCode = -113
	CodeInvalidACL               ErrorCode = -114
	CodeAuthFailed               ErrorCode = -115
	CodeSessionMoved             ErrorCode = -118
	CodeNotReadOnly              ErrorCode = -119
	CodeEphemeralOnLocalSession  ErrorCode = -120
	CodeNoWatcher                ErrorCode = -121
	CodeRequestTimeout           ErrorCode = -122
	CodeReconfigDisabled         ErrorCode = -123
	CodeSessionClosedRequireSASL ErrorCode = -124
	CodeQuotaExceeded            ErrorCode = -125
	CodeThrottledOp              ErrorCode = -127
)

var codeNames = map[ErrorCode]string{
	CodeOK: "ok", CodeSystemError: "system error", CodeRuntimeInconsistency: "runtime inconsistency",
	CodeDataInconsistency: "data inconsistency", CodeConnectionLoss: "connection loss",
	CodeMarshallingError: "marshalling error", CodeUnimplemented: "unimplemented",
	CodeOperationTimeout: "operation timeout", CodeBadArguments: "bad arguments",
	CodeUnknownSession: "unknown session", CodeNewConfigNoQuorum: "new config has no quorum",
	CodeReconfigInProgress: "reconfig in progress", CodeAPIError: "API error", CodeNoNode: "no node",
	CodeNoAuth: "no auth", CodeBadVersion: "bad version",
	CodeNoChildrenForEphemerals: "no children for ephemerals", CodeNodeExists: "node exists",
	CodeNotEmpty: "not empty", CodeSessionExpired: "session expired",
	CodeInvalidCallback: "invalid callback", CodeInvalidACL: "invalid ACL", CodeAuthFailed: "auth failed",
	CodeSessionMoved: "session moved", CodeNotReadOnly: "not read-only",
	CodeEphemeralOnLocalSession: "ephemeral on local session", CodeNoWatcher: "no watcher",
	CodeRequestTimeout: "request timeout", CodeReconfigDisabled: "reconfig disabled",
	CodeSessionClosedRequireSASL: "session closed, SASL required", CodeQuotaExceeded: "quota exceeded",
	CodeThrottledOp: "throttled",
}

// Error makes a code usable as an error value; compare with errors.Is or ==.
func (c ErrorCode) Error() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("error code %d", int32(c))
}

// EventType says what a watch saw.
type EventType int32

// Watch event types.
const (
	EventNone                   EventType = -1
	EventNodeCreated            EventType = 1
	EventNodeDeleted            EventType = 2
	EventNodeDataChanged        EventType = 3
	EventNodeChildrenChanged    EventType = 4
	EventDataWatchRemoved       EventType = 5
	EventChildWatchRemoved      EventType = 6
	EventPersistentWatchRemoved EventType = 7
)

// KeeperState is the session state that accompanies a watch event.
type KeeperState int32

// Session states. Servers send StateSyncConnected with every watch event.
const (
	StateDisconnected      KeeperState = 0
	StateSyncConnected     KeeperState = 3
	StateAuthFailed        KeeperState = 4
	StateConnectedReadOnly KeeperState = 5
	StateSASLAuthenticated KeeperState = 6
	StateExpired           KeeperState = -112
	StateClosed            KeeperState = 7
)

// WatcherType says which watches a CheckWatchesRequest or RemoveWatchesRequest means.
type WatcherType int32

// Watcher types.
const (
	WatcherChildren WatcherType = 1
	WatcherData     WatcherType = 2
	WatcherAny      WatcherType = 3
)

// AddWatchMode says what a watch that stays sees.
type AddWatchMode int32

// The modes of an AddWatchRequest.
const (
	AddWatchPersistent AddWatchMode = 0 // its path, as a data and a child watch do
	AddWatchRecursive  AddWatchMode = 1 // its path and all below, but no changes of children as such
)

// CreateFlags is the create mode of a CreateRequest.
type CreateFlags int32

// Create modes.
const (
	ModePersistent           CreateFlags = 0
	ModeEphemeral            CreateFlags = 1
	ModePersistentSequential CreateFlags = 2
	ModeEphemeralSequential  CreateFlags = 3
	ModeContainer            CreateFlags = 4
	ModeTTL                  CreateFlags = 5
	ModeTTLSequential        CreateFlags = 6
)

// Valid reports whether the mode is one of the seven.
func (f CreateFlags) Valid() bool { return f >= ModePersistent && f <= ModeTTLSequential }

// Ephemeral reports whether the znode dies with its session.
func (f CreateFlags) Ephemeral() bool { return f == ModeEphemeral || f == ModeEphemeralSequential }

// Sequential reports whether the server appends a sequence number to the path.
func (f CreateFlags) Sequential() bool {
	return f == ModePersistentSequential || f == ModeEphemeralSequential || f == ModeTTLSequential
}

// TTL reports whether the znode has a time to live.
func (f CreateFlags) TTL() bool { return f == ModeTTL || f == ModeTTLSequential }

// The permission bits of an ACL.
const (
	PermRead   int32 = 1
	PermWrite  int32 = 2
	PermCreate int32 = 4
	PermDelete int32 = 8
	PermAdmin  int32 = 16
	PermAll    int32 = 31
)

// PacketType is the type of a QuorumPacket.
type PacketType int32

// The quorum packets.
const (
	PacketRequest           PacketType = 1
	PacketProposal          PacketType = 2
	PacketAck               PacketType = 3
	PacketCommit            PacketType = 4
	PacketPing              PacketType = 5
	PacketRevalidate        PacketType = 6
	PacketSync              PacketType = 7
	PacketInform            PacketType = 8
	PacketCommitAndActivate PacketType = 9
	PacketNewLeader         PacketType = 10
	PacketFollowerInfo      PacketType = 11
	PacketUpToDate          PacketType = 12
	PacketDiff              PacketType = 13
	PacketTrunc             PacketType = 14
	PacketSnap              PacketType = 15
	PacketObserverInfo      PacketType = 16
	PacketLeaderInfo        PacketType = 17
	PacketAckEpoch          PacketType = 18
	PacketInformAndActivate PacketType = 19
)

var packetNames = [...]string{
	PacketRequest: "REQUEST", PacketProposal: "PROPOSAL", PacketAck: "ACK", PacketCommit: "COMMIT",
	PacketPing: "PING", PacketRevalidate: "REVALIDATE", PacketSync: "SYNC", PacketInform: "INFORM",
	PacketCommitAndActivate: "COMMITANDACTIVATE", PacketNewLeader: "NEWLEADER",
	PacketFollowerInfo: "FOLLOWERINFO", PacketUpToDate: "UPTODATE", PacketDiff: "DIFF",
	PacketTrunc: "TRUNC", PacketSnap: "SNAP", PacketObserverInfo: "OBSERVERINFO",
	PacketLeaderInfo: "LEADERINFO", PacketAckEpoch: "ACKEPOCH",
	PacketInformAndActivate: "INFORMANDACTIVATE",
}

// String returns the packet's name as the protocol documentation writes it.
func (t PacketType) String() string {
	if t > 0 && int(t) < len(packetNames) {
		return packetNames[t]
	}
	return fmt.Sprintf("packet(%d)", int32(t))
}
