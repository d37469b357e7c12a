package replica

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// clientConnect starts or re-attaches a session.
func (r *Replica) clientConnect(c *Conn, req *jute.ReadOnlyConnectRequest) {
	r.lastSerial++
	c.serial, c.sinceMs = r.lastSerial, r.now.MonoMs
	r.prove(c) // gives the transport's identities this server's rules
	r.conns[c] = struct{}{}
	if !r.role.Established() && !r.readOnly {
		r.early.Push(early{c, *req})
		return
	}
	r.startSession(c, req)
}

// early is a client that came while there was no quorum. Most come because they lost
// their member or its leader, and an election is quicker than clients that are sent away
// are to come back. So they are kept for a moment.
type early struct {
	conn *Conn
	req  jute.ReadOnlyConnectRequest
}

const earlyMs = 500

// admitEarly lets in who waited until this member serves.
func (r *Replica) admitEarly() {
	for r.early.Len() > 0 {
		if e := r.early.Pop(); !e.conn.closed {
			r.startSession(e.conn, &e.req)
		}
	}
}

func (r *Replica) startSession(c *Conn, req *jute.ReadOnlyConnectRequest) {
	if r.cfg.LeaderServesNobody && r.role == zab.RoleLeaderEstablished {
		r.close(c, "this member leads, and leaderServes=no leaves clients to the others")
		return
	}
	if r.readOnly && !req.ReadOnly {
		r.close(c, "this member is read-only, and the client is not content with that")
		return
	}
	if last := r.Tree().LastZxid(); req.LastZxidSeen > last {
		r.close(c, fmt.Sprintf("client has seen zxid 0x%x, our last is 0x%x: it must try another member", req.LastZxidSeen, last))
		return
	}
	c.hasReadOnly = req.HasReadOnly
	c.timeoutMs = min(max(req.TimeoutMs, r.cfg.MinSessionTimeoutMs), r.cfg.MaxSessionTimeoutMs)
	if req.SessionID == 0 {
		r.createSession(c)
		return
	}
	if _, global := r.Tree().SessionTimeout(req.SessionID); global && r.readOnly {
		r.close(c, "the session is the ensemble's, and this read-only member can't speak for that")
		return
	}
	c.session = req.SessionID
	if !bytes.Equal(req.Passwd, Password(req.SessionID)) {
		r.attach(c, false)
		return
	}
	r.replaceClient(req.SessionID)
	if r.readOnly || r.isLocal(c.session) {
		r.attach(c, r.touchLocal(c))
		return
	}
	if r.role == zab.RoleLeaderEstablished {
		r.attach(c, r.claim(c.session, c.timeoutMs, owner(r.cfg.Zab.SID)))
		return
	}
	r.revalidating[c.session] = c
	r.revalidations.Push(revalidation{session: c.session})
	r.emit(zab.Send{Conn: r.leaderConn, Packet: jute.QuorumPacket{
		Type: jute.PacketRevalidate, Data: jute.AppendInt32(jute.AppendInt64(nil, c.session), c.timeoutMs),
	}})
}

// replaceClient cuts off whoever held the session before on this member.
func (r *Replica) replaceClient(session int64) {
	for _, table := range []map[int64]*Conn{r.attached, r.creating, r.revalidating} {
		if old := table[session]; old != nil {
			delete(table, session)
			r.close(old, "the session's client connected anew")
		}
	}
}

func (r *Replica) createSession(c *Conn) {
	// Ids begin with the time, so they only meet when the clock went back before a restart.
	for used := true; used; {
		c.session = r.nextSessionID
		r.nextSessionID++
		_, used = r.Tree().SessionTimeout(c.session)
		used = used || r.isLocal(c.session)
	}
	if r.localSessions != nil {
		r.localSessions.add(c.session, c.timeoutMs, owner(r.cfg.Zab.SID), r.now.MonoMs)
		r.attach(c, true)
		return
	}
	r.creating[c.session] = c
	r.openSession(c)
}

// openSession asks for the transaction that makes a connection's session the ensemble's.
func (r *Replica) openSession(c *Conn) {
	r.submit(request{
		session: c.session, op: jute.OpCreateSession,
		body: jute.Marshal(&jute.CreateSessionTxn{TimeoutMs: c.timeoutMs}), who: *c.caller.Load(),
	})
}

// attach answers the client's first frame. A session that is gone is answered with id 0.
func (r *Replica) attach(c *Conn, valid bool) {
	if c.closed {
		return
	}
	answer := jute.ReadOnlyConnectResponse{HasReadOnly: c.hasReadOnly, ReadOnly: r.readOnly}
	answer.Passwd = make([]byte, 16)
	if !valid {
		c.client.Connected(answer)
		r.close(c, "the session has expired")
		return
	}
	answer.TimeoutMs, answer.SessionID, answer.Passwd = c.timeoutMs, c.session, Password(c.session)
	r.attached[c.session] = c
	c.attachedAt = max(c.attachedAt, r.core.LastLogged())
	c.ready.Store(true)
	c.client.Connected(answer)
}

// close cuts a client off; whatever it still waits for is never answered.
func (r *Replica) close(c *Conn, reason string) {
	if c.closed {
		return
	}
	c.end()
	c.client.Close(reason)
}

// closeLate cuts off clients whose session was not confirmed for as long as it would live.
// They have long turned to another member, but until a session is attached the transport
// has no reason to read from them and to see it.
func (r *Replica) closeLate() {
	for r.early.Len() > 0 && r.now.MonoMs-r.early.All()[0].conn.sinceMs >= earlyMs {
		r.measure(ClosedEarly, 1)
		r.close(r.early.Pop().conn, "this member has no quorum")
	}
	for _, table := range []map[int64]*Conn{r.creating, r.revalidating} {
		for _, id := range slices.Sorted(maps.Keys(table)) {
			if c := table[id]; r.now.MonoMs-c.sinceMs > int64(c.timeoutMs) {
				delete(table, id)
				r.close(c, "its session was not confirmed in time")
			}
		}
	}
}

func (r *Replica) clientClosed(c *Conn) {
	if n := c.queue.Len(); n > 0 {
		r.measure(AnsweredNobody, int64(n))
	}
	c.end()
	delete(r.conns, c)
	for _, table := range []map[int64]*Conn{r.attached, r.creating, r.revalidating} {
		if table[c.session] == c {
			delete(table, c.session)
		}
	}
	r.Tree().RemoveWatcher(c.client)
}

// clientRequest takes a request in the order of its session.
func (r *Replica) clientRequest(in *ClientRequest) {
	c, h, body := in.Conn, in.Header, in.Body
	if c.closed || !c.ready.Load() {
		r.close(c, "a request came before the session was attached")
		return
	}
	c.touched.Store(true)
	if r.isClosing(c.session) || !provesIdentity(h.Type) && r.refuse(c, h.Xid) {
		return
	}
	if in.Throttled && !provesIdentity(h.Type) {
		c.queue.Push(queued{header: h, done: true, code: jute.CodeThrottledOp})
		r.advance(c)
		return
	}
	kind := kindOf(h.Type)
	switch {
	case kind == kindLocal:
		if c.queue.Len() > 0 && !provesIdentity(h.Type) {
			c.queue.Push(queued{header: h, body: body})
			return
		}
		r.answerLocal(c, h, body)
	case kind != kindUnknown && (r.readOnly || h.Type == jute.OpCloseSession && r.isLocal(c.session)):
		r.answerAlone(c, h)
	case kind == kindWrite:
		q := queued{header: h}
		if r.cfg.Audit {
			q.body = body
		}
		if r.isLocal(c.session) && makesEphemeral(h.Type, body) {
			q.onLocal = !r.upgradeSession(c)
		}
		if c.holds() {
			q.held, q.body = c.caller.Load(), body
			c.queue.Push(q)
			return
		}
		c.queue.Push(q)
		r.submit(request{session: c.session, cxid: h.Xid, op: h.Type, body: body, who: *c.caller.Load()})
	case kind == kindSync:
		c.queue.Push(queued{header: h, body: body})
		c.unconfirmed++
		r.submitSync(c, h, body)
	default:
		c.client.Reply(jute.ReplyHeader{Xid: h.Xid, Zxid: -1, Err: jute.CodeUnimplemented}, nil)
		r.close(c, fmt.Sprintf("operation %v is unknown", h.Type))
	}
}

// submit takes a write of one of our clients to the leader, be it this member.
func (r *Replica) submit(q request) {
	q.owner = owner(r.cfg.Zab.SID)
	if r.role == zab.RoleLeaderEstablished {
		r.propose(q)
		return
	}
	r.forward(q)
}

func (r *Replica) submitSync(c *Conn, h jute.RequestHeader, body []byte) {
	if r.role == zab.RoleLeaderEstablished {
		r.confirm(syncRequest{own: c})
		return
	}
	r.syncs.Push(syncRequest{own: c})
	r.forward(request{session: c.session, cxid: h.Xid, op: jute.OpSync, body: body, who: *c.caller.Load()})
}

// syncDone notes that a connection's oldest unconfirmed sync is confirmed.
func (r *Replica) syncDone(c *Conn) {
	for i := range c.queue.All() {
		if q := &c.queue.All()[i]; !q.done && kindOf(q.header.Type) == kindSync {
			q.done = true
			c.unconfirmed--
			q.answer, q.code = syncReply(q.body)
			break
		}
	}
	r.advance(c)
	r.release(c)
}

// release submits the writes of a connection that need not be held any more.
func (r *Replica) release(c *Conn) {
	c.eachFree(func(q *queued) {
		if q.held == nil {
			return
		}
		asked := request{session: c.session, cxid: q.header.Xid, op: q.header.Type, body: q.body, who: *q.held}
		q.held = nil
		if !r.cfg.Audit {
			q.body = nil
		}
		r.submit(asked)
	})
}

// answer finishes what waits on this member for a transaction that was just applied.
func (r *Replica) answer(txn *jute.LoggedTxn, result *tree.Result) {
	h := &txn.Header
	if h.Type == jute.OpCreateSession {
		if c := r.creating[h.ClientID]; c != nil {
			delete(r.creating, h.ClientID)
			r.attach(c, true)
		}
		return
	}
	c := r.attached[h.ClientID]
	if c == nil {
		return
	}
	if q := c.outcomeOf(h); q != nil {
		if result.Err == jute.CodeSessionMoved {
			delete(r.attached, h.ClientID)
			r.close(c, "the session moved to another member")
			return
		}
		r.auditAnswer(c, q, txn, result)
		q.done, q.code, q.answer = true, replyCode(txn, result), writeReply(q.header.Type, result)
		if t, ok := txn.Body.(*jute.SetDataTxn); ok && h.Type == jute.OpReconfig {
			q.answer = &jute.GetDataResponse{Data: t.Data, Stat: result.Stat}
		}
		if q.onLocal && q.code != jute.CodeOK {
			q.code = jute.CodeEphemeralOnLocalSession // the leader does not know the session, and says that it has expired
		}
	}
	r.advance(c)
	if h.Type == jute.OpCloseSession {
		delete(r.attached, h.ClientID)
		r.close(c, "the session was closed or has expired")
	}
}

// advance answers what has no write or sync of unknown outcome before it.
func (r *Replica) advance(c *Conn) {
	for c.queue.Len() > 0 {
		first := &c.queue.All()[0]
		local := kindOf(first.header.Type) == kindLocal && !first.done
		if !local && !first.done {
			return
		}
		q := c.queue.Pop()
		if local {
			r.answerLocal(c, q.header, q.body)
			continue
		}
		c.client.Reply(r.header(q.header.Xid, q.code), q.answer)
		c.waiting.Add(-1)
		if q.header.Type == jute.OpCloseSession && q.code == jute.CodeOK && r.isLocal(c.session) {
			r.endLocal(c.session)
		}
	}
}

// answerLocal answers a request that Step got because something stood before it.
func (r *Replica) answerLocal(c *Conn, h jute.RequestHeader, body []byte) {
	r.serveLocal(c, h, body)
	c.waiting.Add(-1)
}

func (r *Replica) header(xid int32, code jute.ErrorCode) jute.ReplyHeader {
	return jute.ReplyHeader{Xid: xid, Zxid: r.Tree().LastZxid(), Err: code}
}
