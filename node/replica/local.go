package replica

import (
	"slices"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// leastReadOnlyMs is how long a member looks for a leader, at least, before it serves
// reads without one.
const leastReadOnlyMs = 2000

// startReadOnly begins to serve reads once no leader was found for long, where that is
// wanted. What is read then equals the log, so it may be old, and may yet be taken back.
func (r *Replica) startReadOnly() {
	waitMs := max(leastReadOnlyMs, r.cfg.Zab.TickMs)
	if !r.cfg.ReadOnlyMode || r.readOnly || r.role != zab.RoleLooking || r.now.MonoMs-r.sinceMs < waitMs || !r.core.TreeIsThere() {
		return
	}
	r.readOnly = true
	r.localSessions = newTracker(r.cfg.Zab.TickMs, r.now.MonoMs)
	r.emit(ReadOnlyStarted{})
	r.admitEarly()
}

// endReadOnly cuts off all clients, so that they find a server that takes writes.
func (r *Replica) endReadOnly() {
	r.readOnly, r.localSessions = false, nil
	r.dropClients("this member is not read-only any more")
}

// isLocal reports whether a session is known to this member alone.
func (r *Replica) isLocal(session int64) bool {
	return r.localSessions != nil && r.localSessions.sessions[session] != nil
}

// isClosing reports whether a client asked to close its local session: nothing behind that
// is carried out or answered.
func (r *Replica) isClosing(session int64) bool {
	return r.isLocal(session) && r.localSessions.sessions[session].closing
}

// touchLocal keeps a connection's session alive; false means that it is no local one.
func (r *Replica) touchLocal(c *Conn) bool {
	return r.localSessions != nil && r.localSessions.touch(c.session, c.timeoutMs, r.now.MonoMs)
}

// answerAlone takes a request that the ensemble would have to answer, if it is not one
// that this member can and must answer alone: to close a local session.
func (r *Replica) answerAlone(c *Conn, h jute.RequestHeader) {
	q := queued{header: h, done: true, code: jute.CodeNotReadOnly}
	if h.Type == jute.OpCloseSession {
		q.code = jute.CodeOK
		r.localSessions.startClosing(c.session)
	}
	c.queue.Push(q)
	r.advance(c)
}

// upgradeSession makes a local session one of the ensemble's, where that is allowed.
func (r *Replica) upgradeSession(c *Conn) bool {
	if !r.cfg.UpgradeSessions {
		return false
	}
	r.localSessions.remove(c.session)
	r.openSession(c)
	return true
}

// makesEphemeral reports whether a write is to make an ephemeral. One that can't be read
// makes none.
func makesEphemeral(op jute.OpCode, body []byte) bool {
	switch op {
	case jute.OpCreate, jute.OpCreate2:
		var q jute.CreateRequest
		return decode(body, &q) == nil && q.Flags.Ephemeral()
	case jute.OpMulti:
		var q jute.MultiRequest
		return decode(body, &q) == nil && slices.ContainsFunc(q.Ops, func(part jute.MultiOp) bool {
			create, ok := part.Record.(*jute.CreateRequest)
			return ok && create.Flags.Ephemeral()
		})
	}
	return false
}

// admitLocal lets a leader take a write of a session that the ensemble does not know, if it
// may be a member's own: whether it still lives there only that member knows. It may not
// make ephemerals.
func (r *Replica) admitLocal(q *request) bool {
	sid := r.cfg.Zab.SID
	switch {
	case !r.cfg.LocalSessions || q.op == jute.OpCloseSession:
		return false
	case q.owner == owner(sid):
		q.local = jute.CodeEphemeralOnLocalSession
		return r.isLocal(q.session)
	}
	q.local = jute.CodeSessionExpired
	return byte(q.session>>56) != byte(sid)
}

// endLocal forgets a local session and cuts its client off.
func (r *Replica) endLocal(session int64) {
	r.localSessions.remove(session)
	if c := r.attached[session]; c != nil {
		delete(r.attached, session)
		r.close(c, "the session was closed or has expired")
	}
}

// expireLocalSessions ends the local sessions from which nothing came in time, unless this
// member could not have heard of it.
func (r *Replica) expireLocalSessions(pardon bool) {
	if pardon {
		r.localSessions.pardon(r.now.MonoMs)
	}
	for id, c := range r.attached {
		if r.isLocal(id) && c.touched.Swap(false) {
			r.touchLocal(c)
		}
	}
	for _, id := range r.localSessions.expired(r.now.MonoMs) {
		r.measure(SessionExpired, 1)
		r.endLocal(id)
	}
}
