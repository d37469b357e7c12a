package replica

import (
	"encoding/binary"

	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// What says what a Sample measures.
type What uint8

// What is measured, and the unit of its value.
const (
	Proposed         What = iota // a leader proposed a transaction: bytes
	Committed                    // a leader's transaction was committed: microseconds since it was proposed
	ProposalReceived             // a follower got a proposal: milliseconds since the leader got the request, by two clocks
	CommitReceived               // a follower's transaction is committed: likewise
	Applied                      // a transaction was applied: likewise
	Written                      // a znode below Path was made, changed or deleted: bytes of path and data
	WatchesFired                 // an event fired watches: how many; Event says which
	SessionExpired               // a leader closes a session from which nothing came
	ClosedEarly                  // a client was sent away because there is no quorum
)

// Sample is one measurement. They decide nothing: who runs the replica may drop them.
type Sample struct {
	What  What
	Value int64
	Path  string
	Event jute.EventType
}

// Samples returns what the last Step measured. The slice is reused by the next one.
func (r *Replica) Samples() []Sample { return r.samples }

func (r *Replica) measure(what What, value int64) {
	r.samples = append(r.samples, Sample{What: what, Value: value})
}

// learns reports whether this member follows or observes an established leader.
func (r *Replica) learns() bool { return r.role.Established() && r.role != zab.RoleLeaderEstablished }

// measureProposal measures a proposal that a follower logs. Payloads begin with the
// transaction's header, whose time stands behind session, cxid and zxid.
func (r *Replica) measureProposal(payload []byte) {
	const timeAt = 8 + 4 + 8
	if r.learns() && len(payload) >= timeAt+8 {
		r.measure(ProposalReceived, r.now.WallMs-int64(binary.BigEndian.Uint64(payload[timeAt:])))
	}
}

// measureApplied measures a transaction that was applied. proposedUs is when this leader
// proposed it, negative if it did not.
func (r *Replica) measureApplied(txn *jute.LoggedTxn, result *tree.Result, proposedUs int64) {
	if !r.role.Established() {
		return
	}
	sinceMs := r.now.WallMs - txn.Header.TimeMs
	switch {
	case proposedUs >= 0:
		r.measure(Committed, r.now.MonoUs-proposedUs)
	case r.learns():
		r.measure(CommitReceived, sinceMs)
	}
	r.measure(Applied, sinceMs)
	for _, fired := range result.Fired {
		r.samples = append(r.samples, Sample{What: WatchesFired, Value: int64(fired.Watchers), Event: fired.Event})
	}
	if result.Err != jute.CodeOK {
		return
	}
	path, dataBytes := "", 0
	switch body := txn.Body.(type) {
	case *jute.CreateTxn:
		path, dataBytes = body.Path, len(body.Data)
	case *jute.CreateTTLTxn:
		path, dataBytes = body.Path, len(body.Data)
	case *jute.CreateContainerTxn:
		path, dataBytes = body.Path, len(body.Data)
	case *jute.DeleteTxn:
		path = body.Path
	case *jute.SetDataTxn:
		path, dataBytes = body.Path, len(body.Data)
	}
	if path != "" {
		r.samples = append(r.samples, Sample{What: Written, Value: int64(len(path) + dataBytes), Path: path})
	}
}
