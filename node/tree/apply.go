package tree

import (
	"fmt"

	"zoolab/zk/jute"
)

// Result is what a transaction did, as far as its client is to be told.
type Result struct {
	Type jute.OpCode
	// Err is CodeOK, the code of an error transaction, or what a replay met. For a
	// multi it is the first failed part's; the reply's header says ok all the same.
	Err  jute.ErrorCode
	Path string
	// Stat is the znode's after a create, setData or setACL.
	Stat jute.Stat
	// Multi has a result for each part of a multi. If one failed, all are of type
	// OpError: 0 before the failed one, its code at it, CodeRuntimeInconsistency after.
	// In the answer a create that is not of type OpCreate is labelled OpCreate2.
	Multi []Result
	// Fired has the events of the whole transaction that somebody watched, valid until the
	// next Apply. It is empty in the results of a multi's parts.
	Fired []Fired
}

// Fired is an event and how many watchers were told of it.
type Fired struct {
	Event    jute.EventType
	Watchers int
}

// Validate reports why a transaction can't be applied by this version: a body that is
// not of the header's type, or a part of a multi that can't be decoded. It looks at
// the transaction only. A server should call it before it logs one from elsewhere.
func Validate(txn *jute.LoggedTxn) error {
	if _, err := decodeMulti(txn); err != nil {
		return fmt.Errorf("transaction 0x%x of type %v: %w", txn.Header.Zxid, txn.Header.Type, err)
	}
	return nil
}

// Apply applies one committed transaction, fires its watches and returns what to
// answer. The tree copies what it keeps. It panics on a transaction that Validate
// rejects: going on without it would diverge from the other servers.
func (t *Tree) Apply(txn *jute.LoggedTxn) Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.apply(txn)
}

// Batch runs fn with the lock taken once for all the transactions that fn applies.
// fn must not call any other method of the tree.
func (t *Tree) Batch(fn func(apply func(*jute.LoggedTxn) Result)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn(t.apply)
}

func (t *Tree) apply(txn *jute.LoggedTxn) Result {
	parts, err := decodeMulti(txn)
	if err != nil {
		panic(fmt.Sprintf("tree: transaction 0x%x of type %v can't be applied: %v", txn.Header.Zxid, txn.Header.Type, err))
	}
	t.watches.fired = t.watches.fired[:0]
	var r Result
	if txn.Header.Type == jute.OpMulti {
		r = t.applyMulti(&txn.Header, parts)
	} else {
		r = t.applyOne(&txn.Header, txn.Header.Type, txn.Body)
	}
	if zxid := txn.Header.Zxid; zxid > t.lastZxid.Load() {
		t.lastZxid.Store(zxid)
	}
	r.Fired = t.watches.fired
	t.compareDigest(txn)
	if t.settled() {
		t.digestLog.add(txn.Header.Zxid, t.digest)
	}
	return r
}

// part is one decoded operation of a multi.
type part struct {
	op   jute.OpCode
	body jute.Record
}

// decodeMulti checks a transaction's body and decodes the parts of a multi, all of
// them before the first is applied.
func decodeMulti(txn *jute.LoggedTxn) ([]part, error) {
	multi, isMulti := txn.Body.(*jute.MultiTxn)
	if isMulti != (txn.Header.Type == jute.OpMulti) || !bodyFits(txn.Header.Type, txn.Body) {
		return nil, fmt.Errorf("%w: body is a %T", jute.ErrMalformed, txn.Body)
	}
	if !isMulti {
		return nil, nil
	}
	parts := make([]part, len(multi.Txns))
	for i := range multi.Txns {
		sub := &multi.Txns[i]
		body := jute.TxnRecord(sub.Type)
		switch sub.Type {
		case jute.OpCreate, jute.OpCreate2, jute.OpCreateTTL, jute.OpCreateContainer, jute.OpDelete,
			jute.OpDeleteContainer, jute.OpSetData, jute.OpCheck, jute.OpError:
		default:
			return nil, fmt.Errorf("%w: part %d is of type %v", jute.ErrMalformed, i, sub.Type)
		}
		if err := decodePart(sub, body); err != nil {
			return nil, fmt.Errorf("part %d, of type %v: %w", i, sub.Type, err)
		}
		parts[i] = part{sub.Type, body}
	}
	return parts, nil
}

// errorTxnBytes is the length of an ErrorTxn.
const errorTxnBytes = 4

// decodePart decodes a part of a multi into body.
//
// Apache's server renames the parts of a failed multi that stand before the failure to
// errors when it applies the multi, and leaves them their data. What it logs, or sends to a
// learner from its memory, after that has such parts: errors without a code of their own.
func decodePart(sub *jute.Txn, body jute.Record) error {
	if sub.Type == jute.OpError && len(sub.Data) > errorTxnBytes {
		return nil // body has CodeOK, which is what the client of such a part was answered
	}
	return jute.Unmarshal(sub.Data, body)
}

// bodyFits reports whether body is the record that transactions of kind op have.
func bodyFits(op jute.OpCode, body jute.Record) (ok bool) {
	switch op {
	case jute.OpCreate, jute.OpCreate2:
		_, ok = body.(*jute.CreateTxn)
	case jute.OpCreateTTL:
		_, ok = body.(*jute.CreateTTLTxn)
	case jute.OpCreateContainer:
		_, ok = body.(*jute.CreateContainerTxn)
	case jute.OpDelete, jute.OpDeleteContainer:
		_, ok = body.(*jute.DeleteTxn)
	case jute.OpSetData, jute.OpReconfig:
		_, ok = body.(*jute.SetDataTxn)
	case jute.OpSetACL:
		_, ok = body.(*jute.SetACLTxn)
	case jute.OpCheck:
		_, ok = body.(*jute.CheckVersionTxn)
	case jute.OpMulti:
		_, ok = body.(*jute.MultiTxn)
	case jute.OpCreateSession:
		_, ok = body.(*jute.CreateSessionTxn)
	case jute.OpCloseSession:
		_, ok = body.(*jute.CloseSessionTxn)
		ok = ok || body == nil
	case jute.OpError:
		_, ok = body.(*jute.ErrorTxn)
	}
	return ok
}

func (t *Tree) applyMulti(h *jute.TxnHeader, parts []part) Result {
	r := Result{Type: jute.OpMulti, Multi: make([]Result, len(parts))}
	failed := false
	for i := range parts {
		failed = failed || parts[i].op == jute.OpError
	}
	behindFailure := false
	for i, p := range parts {
		sub := &r.Multi[i]
		switch {
		case !failed:
			*sub = t.applyOne(h, p.op, p.body)
		case p.op == jute.OpError:
			behindFailure = true
			*sub = Result{Type: jute.OpError, Err: p.body.(*jute.ErrorTxn).Err}
		default:
			sub.Type = jute.OpError
			if behindFailure {
				sub.Err = jute.CodeRuntimeInconsistency
			}
		}
		if r.Err == jute.CodeOK {
			r.Err = sub.Err
		}
	}
	return r
}

func (t *Tree) applyOne(h *jute.TxnHeader, op jute.OpCode, body jute.Record) Result {
	r := Result{Type: op}
	switch b := body.(type) {
	case *jute.CreateTxn:
		var owner int64
		if b.Ephemeral {
			owner = h.ClientID
		}
		t.create(&r, h, created{b.Path, b.Data, b.ACL, owner, b.ParentCVersion})
	case *jute.CreateTTLTxn:
		t.create(&r, h, created{b.Path, b.Data, b.ACL, OwnerOfTTL(b.TtlMs), b.ParentCVersion})
	case *jute.CreateContainerTxn:
		t.create(&r, h, created{b.Path, b.Data, b.ACL, containerOwner, b.ParentCVersion})
	case *jute.DeleteTxn:
		r.Path = b.Path
		r.Err = t.delete(b.Path, h.Zxid)
	case *jute.SetDataTxn:
		t.setData(&r, h, b)
	case *jute.SetACLTxn:
		t.setACL(&r, b)
	case *jute.CheckVersionTxn:
		r.Path = b.Path
	case *jute.CreateSessionTxn:
		t.sessions[h.ClientID] = b.TimeoutMs
	case *jute.CloseSessionTxn:
		t.closeSession(h, b.Paths2Delete)
	case *jute.ErrorTxn:
		r.Err = b.Err
	case nil:
		t.closeSession(h, nil)
	}
	return r
}

// created is what the three kinds of create have in common.
type created struct {
	path           string
	data           []byte
	acl            []jute.ACL
	owner          int64
	parentCVersion int32
}

func (t *Tree) create(r *Result, h *jute.TxnHeader, c created) {
	r.Path = c.path
	parentPath, name := splitPath(c.path)
	if parentPath == "" || name == "" {
		r.Err = jute.CodeBadArguments
		return
	}
	parent := t.store.find(parentPath)
	if parent == noNode {
		r.Err = jute.CodeNoNode
		return
	}
	t.countCreate(parent, c.parentCVersion, h.Zxid)
	if there := t.store.child(parent, name); there != noNode {
		// Only a replay over a snapshot of Apache's, which is taken while the tree
		// changes, comes here: the znode is newer than this transaction.
		if t.store.node(there).acl == deniedACL {
			t.changeACL(there, c.acl)
		}
		r.Err = jute.CodeNodeExists
		return
	}
	child := t.store.add(parent, name)
	n := t.store.node(child)
	n.czxid, n.mzxid, n.pzxid = h.Zxid, h.Zxid, h.Zxid
	n.ctimeMs, n.mtimeMs = h.TimeMs, h.TimeMs
	n.owner = c.owner
	n.acl = t.acls.acquire(c.acl)
	n.undigested = Undigested(c.path)
	t.dataSizeBytes += int64(len(c.path))
	t.setContent(child, c.path, jute.Clone(c.data))
	t.digest += t.nodeDigest(child)
	if KindOf(c.owner) == Ephemeral {
		t.addEphemeral(c.owner, child)
	}
	t.disposables.add(child, c.owner)
	r.Stat = t.store.stat(child)
	t.quotas.created(t, c.path, len(c.data))
	t.watches.fireCreated(occasion{c.path, c.acl}, occasion{parentPath, t.aclOf(parent)}, h.Zxid)
}

// countCreate moves the parent's counters. A replayed create, which is behind what the
// parent has seen, does not turn them back.
func (t *Tree) countCreate(parent handle, cversion int32, zxid int64) {
	n := t.store.node(parent)
	if cversion == -1 {
		cversion = n.cversion + 1
	}
	// The difference, so that the counter may wrap around.
	if cversion-n.cversion <= 0 {
		return
	}
	t.beforeChange(parent)
	n.cversion, n.pzxid = cversion, zxid
	t.afterChange(parent)
}

func (t *Tree) delete(path string, zxid int64) jute.ErrorCode {
	parentPath, name := splitPath(path)
	if parentPath == "" || name == "" {
		return jute.CodeBadArguments
	}
	parent := t.store.find(parentPath)
	if parent == noNode {
		return jute.CodeNoNode
	}
	// The parent saw the delete also when, in a replay, the child is gone already.
	if n := t.store.node(parent); zxid > n.pzxid {
		t.beforeChange(parent)
		n.pzxid = zxid
		t.afterChange(parent)
	}
	h := t.store.child(parent, name)
	if h == noNode {
		return jute.CodeNoNode
	}
	dataBytes, acl := len(t.store.content(h).data), t.aclOf(h)
	t.removeSubtree(h)
	t.quotas.deleted(t, path, dataBytes)
	t.watches.fireDeleted(occasion{path, acl}, occasion{parentPath, t.aclOf(parent)}, zxid)
	return jute.CodeOK
}

// removeSubtree removes a znode. It has children only in a replay, when the snapshot
// holds a later znode of that path; they are created again later in the log.
func (t *Tree) removeSubtree(top handle) {
	at := top
	for {
		for first := t.store.node(at).firstChild; first != noNode; first = t.store.node(at).firstChild {
			at = first
		}
		parent := t.store.node(at).parent
		t.removeLeaf(at)
		if at == top {
			return
		}
		at = parent
	}
}

func (t *Tree) removeLeaf(h handle) {
	for _, v := range t.views {
		v.keepDeleted(h)
	}
	n := t.store.node(h)
	t.digest -= t.nodeDigest(h)
	t.acls.release(n.acl)
	t.dataSizeBytes -= int64(t.store.pathLen(h) + len(t.store.content(h).data))
	if KindOf(n.owner) == Ephemeral {
		t.removeEphemeral(n.owner, h)
	}
	t.disposables.remove(h, n.owner)
	t.store.remove(h)
}

func (t *Tree) setData(r *Result, h *jute.TxnHeader, b *jute.SetDataTxn) {
	r.Path = b.Path
	at := t.store.find(b.Path)
	if at == noNode {
		r.Err = jute.CodeNoNode
		return
	}
	grownBytes := len(b.Data) - len(t.store.content(at).data)
	t.beforeChange(at)
	t.setContent(at, b.Path, jute.Clone(b.Data))
	n := t.store.node(at)
	n.mtimeMs, n.mzxid, n.version = h.TimeMs, h.Zxid, b.Version
	t.afterChange(at)
	r.Stat = t.store.stat(at)
	t.quotas.resized(t, b.Path, grownBytes)
	t.watches.fireData(occasion{b.Path, t.aclOf(at)}, h.Zxid)
}

func (t *Tree) setACL(r *Result, b *jute.SetACLTxn) {
	r.Path = b.Path
	at := t.store.find(b.Path)
	if at == noNode {
		r.Err = jute.CodeNoNode
		return
	}
	t.beforeChange(at)
	t.store.node(at).aversion = b.Version
	t.afterChange(at)
	t.changeACL(at, b.ACL)
	r.Stat = t.store.stat(at)
}

func (t *Tree) aclOf(h handle) []jute.ACL { return t.acls.get(t.store.node(h).acl) }

// changeACL replaces the ACL, which is no part of the digest.
func (t *Tree) changeACL(h handle, acl []jute.ACL) {
	for _, v := range t.views {
		v.keep(h)
	}
	n := t.store.node(h)
	old := n.acl
	n.acl = t.acls.acquire(acl)
	t.acls.release(old)
}

// closeSession removes the session, the znodes that the transaction lists, and then
// what else the session owns: nothing, unless the writer was older than 3.6.
func (t *Tree) closeSession(h *jute.TxnHeader, paths []string) {
	delete(t.sessions, h.ClientID)
	for _, path := range paths {
		t.delete(path, h.Zxid)
	}
	for _, path := range t.ephemeralPaths(h.ClientID) {
		t.delete(path, h.Zxid)
	}
}

func (t *Tree) addEphemeral(owner int64, h handle) {
	set := t.ephemerals[owner]
	if set == nil {
		set = make(map[handle]struct{}, 1)
		t.ephemerals[owner] = set
	}
	set[h] = struct{}{}
	t.ephemeralCount++
}

func (t *Tree) removeEphemeral(owner int64, h handle) {
	set := t.ephemerals[owner]
	delete(set, h)
	if len(set) == 0 {
		delete(t.ephemerals, owner)
	}
	t.ephemeralCount--
}

// compareDigest counts where the tree is not what the transaction's writer had. Behind a
// fuzzy snapshot it begins once the replay reaches the snapshot's digest, or, if the tree
// does not have that one, with the next transaction: Apache's server may have written a
// znode into the snapshot before it computed the digest that has it, so the tree may be
// one transaction ahead.
func (t *Tree) compareDigest(txn *jute.LoggedTxn) {
	if t.noDigest {
		return
	}
	if p := t.pendingDigest; p != nil {
		if txn.Header.Zxid < p.zxid || txn.Header.Zxid == p.zxid && p.digest != t.digest {
			return
		}
		t.pendingDigest = nil
	}
	d := txn.Digest
	if d == nil || d.Version != DigestVersion {
		return
	}
	switch right := d.TreeDigest == t.digest; {
	case right:
		t.unsettled = 0
	case t.unsettled > 0:
		t.unsettled--
	default:
		t.digestMismatches.Add(1)
	}
}

// settled reports whether the tree is as it was at one moment. It is not while a snapshot of
// Apache's, which is taken while the tree changes, is not replayed to its end.
func (t *Tree) settled() bool { return t.pendingDigest == nil && t.unsettled == 0 && !t.noDigest }
