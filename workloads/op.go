package workloads

import (
	"encoding/json"
	"fmt"
)

// Type says where an operation stands in its life, in Jepsen's terms.
type Type uint8

const (
	// Invoke starts an operation. Its completion has the same process.
	Invoke Type = iota
	// OK completes an operation that certainly took effect.
	OK
	// Fail completes an operation that certainly did not take effect.
	Fail
	// Info completes an operation of which nobody knows whether it took, or
	// will still take, effect. Its process never acts again.
	Info
)

var typeNames = [...]string{Invoke: "invoke", OK: "ok", Fail: "fail", Info: "info"}

// String gives the name that histories use: invoke, ok, fail or info.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// ParseType is the inverse of Type.String.
func ParseType(name string) (Type, error) {
	for t, n := range typeNames {
		if n == name {
			return Type(t), nil
		}
	}
	return 0, fmt.Errorf("operation type %q: want invoke, ok, fail or info", name)
}

// MarshalJSON writes the type's name.
func (t Type) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON reads the type's name.
func (t *Type) UnmarshalJSON(data []byte) error {
	var name string
	if err := json.Unmarshal(data, &name); err != nil {
		return fmt.Errorf("operation type: %w", err)
	}
	parsed, err := ParseType(name)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// NemesisProcess is Process of the nemesis' own operations.
const NemesisProcess = -1

// Op is one line of a history: an invocation or its completion.
type Op struct {
	Index   int    // position in the history, from 0
	TimeNs  int64  // ns since the start of the run
	Type    Type   // invoke, ok, fail or info
	Process int    // client process, or NemesisProcess
	F       string // "read", "write", "cas", ...; for the nemesis the fault's name
	Key     string // independent key (znode path below the workload's root), "" where there is none
	Value   any    // nil, int64, [2]int64 (cas: old value, new value), string, or []any of these; what EDN and JSON can print
	Node    string // member the client was bound to ("n1"); for the nemesis its targets, comma separated
	Zxid    int64  // zxid of the reply header, 0 if none
	Mzxid   int64  // Stat.Mzxid of the reply, 0 if none
	Version int32  // Stat.Version of the reply, -1 if none; in the invocation of a cas the version that it expects
	Error   string // why fail or info
	Session int64  // session the client used, 0 if none
}
