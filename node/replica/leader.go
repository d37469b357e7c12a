package replica

import (
	"bytes"

	"zoolab/node/fifo"
	"zoolab/node/prep"
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// leadership is what a member needs only while it leads.
type leadership struct {
	prep     *prep.Prep
	sessions *tracker
	// proposed holds transactions that were proposed and not yet delivered, oldest
	// first, so that they need not be decoded again; proposedBytes is their size.
	proposed      fifo.Queue[proposal]
	proposedBytes int64
	// syncs waits for a confirmation, by token. Tokens rise, so answers keep the order.
	syncs     map[uint64]syncRequest
	lastToken uint64
	// confirmed are the syncs that only wait for what was proposed before them.
	confirmed fifo.Queue[syncRequest]
	sizes     ProposalSizes
	sweeper   sweeper
}

// syncRequest is who asked for a sync: a client of ours, or one of a learner's.
type syncRequest struct {
	own     *Conn
	learner zab.ConnID
	behind  int64 // on a leader: zxid of the newest transaction that was proposed before it
}

func (r *Replica) startLeading() {
	t := r.Tree()
	r.lead = leadership{
		prep:     prep.New(t, r.prepOptions()),
		sessions: newTracker(r.cfg.Zab.TickMs, r.now.MonoMs),
		syncs:    make(map[uint64]syncRequest),
		sizes:    ProposalSizes{Last: -1, Least: -1, Most: -1},
	}
	r.startSweeper()
	// Every session gets its whole timeout to find a member again.
	t.Sessions(func(id int64, timeoutMs int32) bool {
		r.lead.sessions.add(id, timeoutMs, noOwner, r.now.MonoMs)
		return true
	})
}

// proposal is a transaction that was proposed, and when, by MonoUs.
type proposal struct {
	txn  *jute.LoggedTxn
	atUs int64
}

// takeProposed returns a transaction that this leader proposed; without one txn is nil.
func (l *leadership) takeProposed(entry zab.Entry) proposal {
	if l.proposed.Len() == 0 || l.proposed.All()[0].txn.Header.Zxid != entry.Zxid {
		return proposal{atUs: -1}
	}
	l.proposedBytes -= int64(len(entry.Payload))
	return l.proposed.Pop()
}

// applied tells preparation and the tracker what the tree now knows.
func (l *leadership) applied(txn *jute.LoggedTxn) {
	l.prep.Committed(txn.Header.Zxid)
	if txn.Header.Type == jute.OpCloseSession {
		l.sessions.remove(txn.Header.ClientID)
	}
}

// request is a write as the leader gets it, from its own clients or a learner's.
type request struct {
	session int64
	cxid    int32
	op      jute.OpCode
	body    []byte
	who     tree.Caller
	owner   owner
	local   jute.ErrorCode // prep.Request's Local
}

// propose turns a write into a transaction and starts its broadcast. Every request
// becomes a transaction, if only one that says why it was refused.
func (r *Replica) propose(q request) {
	zxid, ok := r.core.NextZxid()
	if !ok {
		return // the epoch's zxids are used up: an election is under way and clients are cut off
	}
	refuse := r.admit(&q)
	txn := r.lead.prep.Prepare(prep.Request{
		SessionID: q.session, Cxid: q.cxid, Op: q.op, Body: q.body, Who: q.who, Refuse: refuse, Local: q.local,
	}, zxid, r.now.WallMs)
	for _, breach := range r.lead.prep.Breaches() {
		r.emit(OverQuota{breach})
	}
	if txn.Header.Type == jute.OpCloseSession {
		r.lead.sessions.startClosing(q.session)
	}
	r.lead.proposed.Push(proposal{&txn, r.now.MonoUs})
	// What a transaction adds to its request fits in here, but for a long list of ephemerals.
	payload := txn.Append(make([]byte, 0, len(q.body)+txnRoomBytes))
	// The payload is kept for a while, for learners. That of a request which was refused
	// needs little of its room.
	if cap(payload)-len(payload) > maxSpareBytes {
		payload = bytes.Clone(payload)
	}
	r.lead.proposedBytes += int64(len(payload))
	r.lead.sizes.observe(len(payload))
	r.measure(Proposed, int64(len(payload)))
	r.stepCore(zab.Propose{Entry: zab.Entry{Zxid: zxid, Payload: payload}})
}

const (
	// maxProposedBytes is how much may be proposed and not committed. Each member bounds
	// the number of its clients' requests, but not their size; beyond this they are
	// refused, so that a quorum with slow disks does not cost the leader its memory.
	maxProposedBytes = 256 << 20
	// txnRoomBytes is the size of header and digest, and some for an ACL.
	txnRoomBytes = 96
	// maxSpareBytes is the room that a payload may leave unused.
	maxSpareBytes = 4 << 10
)

// admit checks that the session may still act, and through this member, and notes whether
// it is known to one member alone.
func (r *Replica) admit(q *request) jute.ErrorCode {
	if q.op == jute.OpCreateSession {
		var body jute.CreateSessionTxn
		if jute.Unmarshal(q.body, &body) != nil {
			return jute.CodeMarshallingError
		}
		r.lead.sessions.add(q.session, body.TimeoutMs, q.owner, r.now.MonoMs)
		return jute.CodeOK
	}
	if q.op == jute.OpDeleteContainer {
		// Ours alone to ask for: it needs no permission.
		if q.session != 0 || q.owner != owner(r.cfg.Zab.SID) {
			return jute.CodeUnimplemented
		}
		return jute.CodeOK
	}
	s := r.lead.sessions.sessions[q.session]
	switch {
	case s == nil && !r.admitLocal(q) || s != nil && s.closing:
		return jute.CodeSessionExpired
	case s != nil && s.owner == noOwner:
		s.owner = q.owner
	case s != nil && s.owner != q.owner:
		return jute.CodeSessionMoved
	case r.lead.proposedBytes > r.maxProposedBytes && q.op != jute.OpCloseSession:
		return jute.CodeThrottledOp
	}
	if s == nil {
		return jute.CodeOK
	}
	r.lead.sessions.touch(q.session, s.timeoutMs, r.now.MonoMs)
	return jute.CodeOK
}

// expireSessions closes the sessions from which nothing came in time.
func (r *Replica) expireSessions() {
	for id, c := range r.attached {
		if !r.isLocal(id) && c.touched.Swap(false) {
			r.lead.sessions.touch(id, c.timeoutMs, r.now.MonoMs)
		}
	}
	for _, id := range r.lead.sessions.expired(r.now.MonoMs) {
		r.measure(SessionExpired, 1)
		r.propose(request{session: id, op: jute.OpCloseSession, owner: r.lead.sessions.sessions[id].owner})
	}
}

// fromLearner serves a learner that is synchronized.
func (r *Replica) fromLearner(e zab.FromLearner) {
	if r.role != zab.RoleLeaderEstablished {
		r.fromObserver(e)
		return
	}
	d := jute.NewDecoder(e.Packet.Data)
	switch e.Packet.Type {
	case jute.PacketPing:
		for d.Len() > 0 {
			id, timeoutMs := d.Int64(), d.Int32()
			if d.Err() == nil {
				r.lead.sessions.touch(id, timeoutMs, r.now.MonoMs)
			}
		}
	case jute.PacketRevalidate:
		id, timeoutMs := d.Int64(), d.Int32()
		if d.Err() == nil {
			answer := jute.AppendBool(jute.AppendInt64(nil, id), r.claim(id, timeoutMs, owner(e.SID)))
			r.emit(zab.Send{Conn: e.Conn, Packet: jute.QuorumPacket{Type: jute.PacketRevalidate, Zxid: r.core.LastLogged(), Data: answer}})
		}
	case jute.PacketRequest:
		q := request{session: d.Int64(), cxid: d.Int32(), op: jute.OpCode(d.Int32()), owner: owner(e.SID)}
		q.body, q.who = d.Rest(), *r.caller(e.Packet.Authinfo)
		if d.Err() == nil && q.op == jute.OpSync {
			r.confirm(syncRequest{learner: e.Conn})
			return
		}
		if d.Err() == nil {
			r.propose(q)
			return
		}
	}
	r.closeMalformed(e, d)
}

// claim makes a member the owner of a session whose client came to it; false when the session is gone.
func (r *Replica) claim(id int64, timeoutMs int32, who owner) bool {
	if !r.lead.sessions.touch(id, timeoutMs, r.now.MonoMs) {
		return false
	}
	r.lead.sessions.sessions[id].owner = who
	return true
}

// confirm asks for proof that a quorum still follows.
func (r *Replica) confirm(s syncRequest) {
	s.behind = r.core.LastLogged()
	r.lead.lastToken++
	r.lead.syncs[r.lead.lastToken] = s
	r.stepCore(zab.ConfirmLeadership{Token: r.lead.lastToken})
}

// leadershipConfirmed takes the proof for a sync.
func (r *Replica) leadershipConfirmed(token uint64) {
	if s, ok := r.lead.syncs[token]; ok {
		delete(r.lead.syncs, token)
		r.lead.confirmed.Push(s)
		r.answerSyncs()
	}
}

// answerSyncs answers the syncs that are confirmed, once what was proposed before them is
// committed. A client that lost its connection in a write, and reads behind a sync on its
// next one, then sees that write or knows that it will never be. What is committed was sent
// to the learner before this packet, on the same connection.
func (r *Replica) answerSyncs() {
	for r.lead.confirmed.Len() > 0 && r.lead.confirmed.All()[0].behind <= r.Tree().LastZxid() {
		r.syncConfirmed(r.lead.confirmed.Pop())
	}
}

// syncConfirmed answers a sync, or lets the learner do so.
func (r *Replica) syncConfirmed(s syncRequest) {
	if s.own != nil {
		r.syncDone(s.own)
		return
	}
	r.emit(zab.Send{Conn: s.learner, Packet: jute.QuorumPacket{Type: jute.PacketSync}})
}
