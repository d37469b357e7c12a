package prep

import (
	"sort"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// Options are the settings that decide what is accepted. The zero value is Apache's default.
type Options struct {
	// ExtendedTypes allows TTL znodes (zookeeper.extendedTypesEnabled).
	ExtendedTypes bool
	// ReconfigEnabled lets reconfigurations be asked for (reconfigEnabled).
	ReconfigEnabled bool
	// Reconfigure makes the text of the membership that a request asks for, whose version is
	// the zxid. It is nil on a server that stands alone, which has no members to change.
	Reconfigure func(q *jute.ReconfigRequest, zxid int64) ([]byte, jute.ErrorCode)
	// MaxNeverUsedMs is Disposal's (znode.container.maxNeverUsedIntervalMs).
	MaxNeverUsedMs int64
	// EnforceQuota refuses writes that breach a hard limit of a quota (enforceQuota).
	EnforceQuota bool
	// NoDigest makes transactions without a digest (digest.enabled=false).
	NoDigest bool
}

// Disposal is when containers and TTL znodes may be deleted.
func (o Options) Disposal() tree.Disposal {
	return tree.Disposal{TTLs: o.ExtendedTypes, MaxNeverUsedMs: o.MaxNeverUsedMs}
}

// Request is a write request as it came from a client, or from the server itself for
// an expired session (OpCloseSession) or an empty container (OpDeleteContainer).
type Request struct {
	SessionID int64
	Cxid      int32
	Op        jute.OpCode
	// Body is the request's record: for OpCreateSession the timeout in ms as an int,
	// for OpDeleteContainer the bare path. The transaction shares its memory.
	Body []byte
	Who  tree.Caller
	// Refuse, if not CodeOK, makes the request fail with this code: the caller knows a
	// reason of its own, such as CodeSessionMoved.
	Refuse jute.ErrorCode
	// Local, if not CodeOK, says that the session is known to one member alone, so that no
	// transaction opened it: it may do all but create ephemerals, which fails with this code.
	Local jute.ErrorCode
}

// Prep prepares transactions. New makes one.
type Prep struct {
	tree *tree.Tree
	opts Options

	// latest has the newest outstanding change of each path. queue has all of them,
	// oldest first, by rising zxid, from index head on.
	latest map[string]*change
	queue  []*change
	head   int
	// digest is the tree's digest after the last outstanding change; meaningless
	// while there is none.
	digest   int64
	digester tree.Digester

	// undo has, for each change since the request began, what was in latest before.
	undo       []undo
	undoDigest int64

	local jute.ErrorCode // Request.Local of the request that is prepared

	breaches []tree.QuotaBreach // by the request that was prepared last

	sessions     map[int64]*sessionChange
	sessionQueue []*sessionChange
}

// change is a znode after an outstanding transaction. It is not modified once it is queued.
type change struct {
	zxid        int64
	path        string // the root's is "/"
	exists      bool   // false: deleted
	stat        jute.StatPersisted
	numChildren int32
	acl         []jute.ACL
	contentCRC  uint32
	dataBytes   int
}

type undo struct {
	path   string
	before *change // nil where the path had no outstanding change
}

type sessionChange struct {
	zxid, id int64
	open     bool
}

// New prepares for the tree, which must hold all that is committed when the epoch begins.
func New(t *tree.Tree, opts Options) *Prep {
	p := &Prep{tree: t, opts: opts}
	p.Reset()
	return p
}

// Reset forgets all outstanding changes.
func (p *Prep) Reset() {
	p.latest = make(map[string]*change)
	p.sessions = make(map[int64]*sessionChange)
	p.queue, p.head, p.sessionQueue, p.undo = nil, 0, nil, nil
}

// Committed forgets the changes up to zxid, which the tree has applied.
func (p *Prep) Committed(zxid int64) {
	for p.head < len(p.queue) && p.queue[p.head].zxid <= zxid {
		c := p.queue[p.head]
		p.queue[p.head] = nil
		p.head++
		if p.latest[c.path] == c {
			delete(p.latest, c.path)
		}
	}
	if 2*p.head >= len(p.queue) {
		n := copy(p.queue, p.queue[p.head:])
		clear(p.queue[n:])
		p.queue, p.head = p.queue[:n], 0
	}
	done := 0
	for ; done < len(p.sessionQueue) && p.sessionQueue[done].zxid <= zxid; done++ {
		if s := p.sessionQueue[done]; p.sessions[s.id] == s {
			delete(p.sessions, s.id)
		}
	}
	p.sessionQueue = append(p.sessionQueue[:0], p.sessionQueue[done:]...)
}

// Outstanding is how many changes of znodes are kept.
func (p *Prep) Outstanding() int { return len(p.queue) - p.head }

// Breaches returns the quotas that the request breached which was prepared last, whether
// it was refused for it or not. The slice is valid until the next Prepare.
func (p *Prep) Breaches() []tree.QuotaBreach { return p.breaches }

// maxBreaches bounds what Breaches returns of a multi.
const maxBreaches = 16

// Prepare makes the transaction of a request. A request that fails becomes an error
// transaction, which is logged and takes its zxid like any other.
func (p *Prep) Prepare(req Request, zxid, nowMs int64) jute.LoggedTxn {
	txn := jute.LoggedTxn{Header: jute.TxnHeader{
		ClientID: req.SessionID, Cxid: req.Cxid, Zxid: zxid, TimeMs: nowMs, Type: req.Op,
	}}
	p.begin()
	p.local = req.Local
	p.breaches = p.breaches[:0]
	body, code := p.body(&req, &txn.Header)
	if code != jute.CodeOK {
		p.rollback()
		txn.Header.Type = jute.OpError
		txn.Body = &jute.ErrorTxn{Err: code}
		return txn
	}
	txn.Body = body
	if !p.opts.NoDigest {
		txn.Digest = &jute.TxnDigest{Version: tree.DigestVersion, TreeDigest: p.currentDigest()}
	}
	return txn
}

// body prepares one request; what it recorded before it failed is rolled back by the caller.
func (p *Prep) body(req *Request, h *jute.TxnHeader) (jute.Record, jute.ErrorCode) {
	if req.Refuse != jute.CodeOK {
		return nil, req.Refuse
	}
	switch req.Op {
	case jute.OpCreateSession:
		return p.createSession(req, h)
	case jute.OpCloseSession:
		return p.closeSession(h), jute.CodeOK
	case jute.OpDeleteContainer:
		return p.deleteContainer(h, string(req.Body))
	case jute.OpMulti:
		return p.multi(req, h)
	case jute.OpReconfig:
		return p.reconfig(req, h)
	}
	record := requestRecord(req.Op)
	if record == nil {
		return nil, jute.CodeUnimplemented
	}
	// As in Apache, a body that can't be read is reported to creates of a session that
	// is gone, but not to its other requests.
	_, isCreate := record.(*jute.CreateRequest)
	isCreate = isCreate || req.Op == jute.OpCreateTTL
	if !isCreate && !p.sessionLive(req.SessionID) {
		return nil, jute.CodeSessionExpired
	}
	if code := decode(req.Body, record); code != jute.CodeOK {
		return nil, code
	}
	return p.operation(h, req.Who, req.Op, record)
}

// reconfig prepares a change of the ensemble: the new membership as data of the znode that
// shows it. That the client may do so is checked last, as in Apache.
func (p *Prep) reconfig(req *Request, h *jute.TxnHeader) (jute.Record, jute.ErrorCode) {
	var q jute.ReconfigRequest
	if code := decode(req.Body, &q); code != jute.CodeOK {
		return nil, code
	}
	switch {
	case !p.opts.ReconfigEnabled:
		return nil, jute.CodeReconfigDisabled
	case !p.sessionLive(h.ClientID):
		return nil, jute.CodeSessionExpired
	case p.opts.Reconfigure == nil:
		return nil, jute.CodeUnimplemented
	}
	text, code := p.opts.Reconfigure(&q, h.Zxid)
	if code != jute.CodeOK {
		return nil, code
	}
	node, there := p.lookup(tree.ConfigPath)
	if !there {
		return nil, jute.CodeNoNode
	}
	if !tree.Allowed(node.acl, jute.PermWrite, req.Who) {
		return nil, jute.CodeNoAuth
	}
	node.stat.Version, node.stat.Mtime, node.stat.Mzxid = -1, h.TimeMs, h.Zxid
	node.contentCRC, node.dataBytes = p.digester.ContentCRC(tree.ConfigPath, text), len(text)
	p.record(h, node)
	return &jute.SetDataTxn{Path: tree.ConfigPath, Data: text, Version: -1}, jute.CodeOK
}

func requestRecord(op jute.OpCode) jute.Record {
	switch op {
	case jute.OpCreate, jute.OpCreate2, jute.OpCreateContainer:
		return new(jute.CreateRequest)
	case jute.OpCreateTTL:
		return new(jute.CreateTTLRequest)
	case jute.OpDelete:
		return new(jute.DeleteRequest)
	case jute.OpSetData:
		return new(jute.SetDataRequest)
	case jute.OpSetACL:
		return new(jute.SetACLRequest)
	case jute.OpCheck:
		return new(jute.CheckVersionRequest)
	}
	return nil
}

// decode reads a request's record. Bytes behind it are ignored, as Apache does.
func decode(body []byte, record jute.Record) jute.ErrorCode {
	d := jute.NewRequestDecoder(body)
	record.Decode(d)
	if d.Err() != nil {
		return jute.CodeMarshallingError
	}
	return jute.CodeOK
}

// operation prepares an operation that may stand alone or in a multi.
func (p *Prep) operation(h *jute.TxnHeader, who tree.Caller, op jute.OpCode, record jute.Record) (jute.Record, jute.ErrorCode) {
	switch r := record.(type) {
	case *jute.CreateRequest:
		return p.create(h, who, op, jute.CreateTTLRequest{Path: r.Path, Data: r.Data, ACL: r.ACL, Flags: r.Flags, TtlMs: -1})
	case *jute.CreateTTLRequest:
		return p.create(h, who, op, *r)
	}
	if !p.sessionLive(h.ClientID) {
		return nil, jute.CodeSessionExpired
	}
	switch r := record.(type) {
	case *jute.DeleteRequest:
		return p.delete(h, who, r)
	case *jute.SetDataRequest:
		return p.setData(h, who, r)
	case *jute.SetACLRequest:
		return p.setACL(h, who, r)
	case *jute.CheckVersionRequest:
		return p.check(who, r)
	}
	return nil, jute.CodeUnimplemented
}

// multi prepares all parts or none. A failed multi is logged too: the parts before the
// failed one as they would have been, then errors.
func (p *Prep) multi(req *Request, h *jute.TxnHeader) (jute.Record, jute.ErrorCode) {
	var request jute.MultiRequest
	if code := decode(req.Body, &request); code != jute.CodeOK {
		return nil, code
	}
	txn := &jute.MultiTxn{Txns: make([]jute.Txn, 0, len(request.Ops))}
	failed := false
	for _, part := range request.Ops {
		op := partOp(part)
		if requestRecord(op) == nil {
			return nil, jute.CodeMarshallingError
		}
		if failed {
			txn.Txns = append(txn.Txns, errorPart(jute.CodeRuntimeInconsistency))
			continue
		}
		if _, hasTTL := part.Record.(*jute.CreateTTLRequest); op == jute.OpCreateTTL && !hasTTL {
			// A TTL mode in a create that brings no time to live spoils the whole multi, in
			// Apache by an accident: unless a part before it has failed.
			return nil, jute.CodeMarshallingError
		}
		body, code := p.operation(h, req.Who, op, part.Record)
		if code == jute.CodeMarshallingError {
			return nil, code // a quota that can't be read is no part's fault
		}
		if code != jute.CodeOK {
			failed = true
			p.rollback()
			txn.Txns = append(txn.Txns, errorPart(code))
			continue
		}
		txn.Txns = append(txn.Txns, jute.Txn{Type: op, Data: jute.Marshal(body)})
	}
	return txn, jute.CodeOK
}

// partOp is the type under which a part of a multi is logged. For creates it follows
// from the mode. A create2 becomes a create: followers of version 3.8 drop a multi
// that has any other in it, without a word.
func partOp(part jute.MultiOp) jute.OpCode {
	var flags jute.CreateFlags
	switch r := part.Record.(type) {
	case *jute.CreateRequest:
		flags = r.Flags
	case *jute.CreateTTLRequest:
		flags = r.Flags
	default:
		return part.Type
	}
	switch flags {
	case jute.ModeContainer:
		return jute.OpCreateContainer
	case jute.ModeTTL, jute.ModeTTLSequential:
		return jute.OpCreateTTL
	}
	return jute.OpCreate
}

func errorPart(code jute.ErrorCode) jute.Txn {
	return jute.Txn{Type: jute.OpError, Data: jute.Marshal(&jute.ErrorTxn{Err: code})}
}

func (p *Prep) createSession(req *Request, h *jute.TxnHeader) (jute.Record, jute.ErrorCode) {
	d := jute.NewDecoder(req.Body)
	timeoutMs := d.Int32()
	if d.Err() != nil {
		return nil, jute.CodeMarshallingError
	}
	p.recordSession(h, true)
	return &jute.CreateSessionTxn{TimeoutMs: timeoutMs}, jute.CodeOK
}

// closeSession lists the session's ephemerals as they will be: with those whose create
// is outstanding, without those whose delete is.
func (p *Prep) closeSession(h *jute.TxnHeader) jute.Record {
	owned := make(map[string]struct{})
	for _, path := range p.tree.Ephemerals(h.ClientID) {
		owned[path] = struct{}{}
	}
	for path, c := range p.latest {
		// The kind keeps a request for session 0 from taking persistent znodes.
		if c.exists && c.stat.EphemeralOwner == h.ClientID && tree.KindOf(h.ClientID) == tree.Ephemeral {
			owned[path] = struct{}{}
		} else {
			delete(owned, path)
		}
	}
	paths := make([]string, 0, len(owned))
	for path := range owned {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	for _, path := range paths {
		p.recordDelete(h, path)
	}
	p.recordSession(h, false)
	return &jute.CloseSessionTxn{Paths2Delete: paths}
}

func (p *Prep) recordSession(h *jute.TxnHeader, open bool) {
	s := &sessionChange{zxid: h.Zxid, id: h.ClientID, open: open}
	p.sessions[s.id] = s
	p.sessionQueue = append(p.sessionQueue, s)
}

// sessionLive reports whether the session will be open, or is its member's own.
func (p *Prep) sessionLive(id int64) bool {
	if p.local != jute.CodeOK {
		return true
	}
	if s, outstanding := p.sessions[id]; outstanding {
		return s.open
	}
	_, open := p.tree.SessionTimeout(id)
	return open
}
