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
	Acknowledged                 // a follower, member SID, acknowledged a proposal: microseconds since this leader made it
	AckSent                      // a follower acknowledges a proposal: milliseconds since the leader got the request, by two clocks
	AnsweredNobody               // a client left before so many of its requests had their answers
)

// Sample is one measurement. They decide nothing: who runs the replica may drop them.
type Sample struct {
	What  What
	Value int64
	SID   int64
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

// begun remembers when the newest proposals began: those of this leader by its own clock, in
// microseconds, a follower's by the leader's, in milliseconds.
type begun [1024]struct{ zxid, at int64 }

func (b *begun) note(zxid, at int64) {
	e := &b[zxid&int64(len(b)-1)]
	e.zxid, e.at = zxid, at
}

// of is when a proposal began, unless that is too long ago.
func (b *begun) of(zxid int64) (at int64, ok bool) {
	e := b[zxid&int64(len(b)-1)]
	return e.at, e.zxid == zxid && zxid != 0
}

// measureProposal measures a proposal that is logged. Payloads begin with the transaction's
// header, whose time stands behind session, cxid and zxid.
func (r *Replica) measureProposal(e *zab.Append) {
	const timeAt = 8 + 4 + 8
	switch {
	case r.role == zab.RoleLeaderEstablished:
		r.begun.note(e.Zxid, r.now.MonoUs)
	case r.learns() && len(e.Payload) >= timeAt+8:
		at := int64(binary.BigEndian.Uint64(e.Payload[timeAt:]))
		r.begun.note(e.Zxid, at)
		r.measure(ProposalReceived, r.now.WallMs-at)
	}
}

// measureAck measures a follower's acknowledgement that reached this leader.
func (r *Replica) measureAck(in zab.Input) {
	p, ok := in.(zab.PacketReceived)
	if !ok || p.Packet.Type != jute.PacketAck || r.role != zab.RoleLeaderEstablished {
		return
	}
	at, known := r.begun.of(p.Packet.Zxid)
	if sid, served := r.core.LearnerAt(p.Conn); known && served {
		r.samples = append(r.samples, Sample{What: Acknowledged, Value: r.now.MonoUs - at, SID: sid})
	}
}

// measureSend measures a follower's own acknowledgement.
func (r *Replica) measureSend(p *jute.QuorumPacket) {
	if at, known := r.begun.of(p.Zxid); known && p.Type == jute.PacketAck && r.learns() {
		r.measure(AckSent, r.now.WallMs-at)
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
