package tree

import (
	"slices"
	"sort"

	"zoolab/zk/jute"
)

const viewBatchLen = 512

// View is the tree as it was after one transaction, while the tree goes on. It copies
// nothing ahead but sessions and ACLs: znodes are read from the tree when their turn
// comes, and a write to one whose turn has not come first keeps the old state in the
// view. What a view costs is thus bounded by what is written while it is open.
//
// A View is used by one goroutine; several may be open at once. Close must be called.
type View struct {
	tree     *Tree
	zxid     int64
	digest   int64
	noDigest bool // the tree was between two states: see Tree.settled
	sessions []session
	acls     []viewACL

	// The fields below are written under the tree's lock (by writers) or its read
	// lock (by the one walker).

	// next is the znode whose turn is next. Znodes with a seq from firstSeq to lastSeq
	// are still to come; lastSeq is the youngest of the view's.
	next              handle
	firstSeq, lastSeq uint64
	// kept holds the old state of znodes that were changed before their turn.
	kept map[uint64]viewNode
	// deleted has the znodes that were deleted before their turn. They come last: a
	// znode's children are younger and go before it, so parents are still first.
	deleted []viewNode
}

type viewACL struct {
	id  int64
	acl []jute.ACL
}

// viewNode is a znode as the view shows it.
type viewNode struct {
	seq  uint64
	path string
	data []byte
	acl  int32
	stat jute.StatPersisted
}

// View opens a view of the tree as it is now.
func (t *Tree) View() *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := &View{
		tree: t, zxid: t.lastZxid.Load(), digest: t.digest, noDigest: !t.settled(),
		sessions: t.sessionList(),
		next:     t.store.oldest, firstSeq: 1, lastSeq: t.store.lastSeq,
		kept: make(map[uint64]viewNode),
	}
	for i, e := range t.acls.entries {
		if e.uses > 0 {
			v.acls = append(v.acls, viewACL{int64(i + 1), e.acl})
		}
	}
	t.views = append(t.views, v)
	return v
}

// Close ends the view; writes no longer keep anything for it.
func (v *View) Close() {
	v.tree.mu.Lock()
	defer v.tree.mu.Unlock()
	if i := slices.Index(v.tree.views, v); i >= 0 {
		v.tree.views = slices.Delete(v.tree.views, i, i+1)
	}
	v.kept, v.deleted = nil, nil
}

// Zxid is the last transaction that the view contains.
func (v *View) Zxid() int64 { return v.zxid }

// Digest returns the view's digest. It is not ok while a snapshot of Apache's, which
// is not of one moment, has not been replayed to its end.
func (v *View) Digest() (zxid int64, version int32, digest int64, ok bool) {
	return v.zxid, DigestVersion, v.digest, !v.noDigest
}

// Sessions yields the sessions by ascending id.
func (v *View) Sessions(yield func(id int64, timeoutMs int32) bool) {
	for _, s := range v.sessions {
		if !yield(s.id, s.timeoutMs) {
			return
		}
	}
}

// ACLs yields the ACLs that the znodes name. Those of znodes that everybody may use
// have the id -1 and are not among them.
func (v *View) ACLs(yield func(id int64, acl []jute.ACL) bool) {
	for _, a := range v.acls {
		if !yield(a.id, a.acl) {
			return
		}
	}
}

// Nodes yields every znode once, parents before their children, the root first, under
// the path "". The stat is valid until yield returns. Nothing is locked while yield runs. A second call goes on where the
// first was stopped.
func (v *View) Nodes(yield func(path string, data []byte, aclID int64, stat *jute.StatPersisted) bool) {
	batch := make([]viewNode, 0, min(viewBatchLen, v.lastSeq))
	for {
		batch = v.read(batch[:0])
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			n := &batch[i]
			if !yield(n.path, n.data, snapshotACLID(n.acl), &n.stat) {
				return
			}
		}
	}
}

func snapshotACLID(id int32) int64 {
	if id == deniedACL {
		return missingACLID
	}
	return int64(id)
}

// read fills the batch with the next znodes.
func (v *View) read(batch []viewNode) []viewNode {
	t := v.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := &t.store
	var parent handle
	var prefix string // the path of parent
	for v.next != noNode && len(batch) < cap(batch) {
		h, n := v.next, s.node(v.next)
		if n.seq > v.lastSeq {
			v.next = noNode
			break
		}
		out, changed := v.kept[n.seq]
		if changed {
			delete(v.kept, n.seq)
		} else {
			out = viewNode{data: s.content(h).data, acl: n.acl, stat: n.persisted()}
		}
		if h != rootNode {
			if n.parent != parent {
				parent = n.parent
				prefix = s.path(parent) + "/"
				if parent == rootNode {
					prefix = "/"
				}
			}
			out.path = prefix + s.content(h).name
		}
		batch = append(batch, out)
		v.firstSeq, v.next = n.seq+1, n.newer
	}
	if v.next == noNode && len(batch) == 0 {
		v.firstSeq = v.lastSeq + 1
		sort.Slice(v.deleted, func(i, j int) bool { return v.deleted[i].seq < v.deleted[j].seq })
		n := min(cap(batch), len(v.deleted))
		batch = append(batch, v.deleted[:n]...)
		clear(v.deleted[:n])
		v.deleted = v.deleted[n:]
	}
	return batch
}

// keep is called before a znode changes.
func (v *View) keep(h handle) {
	n := v.tree.store.node(h)
	if n.seq < v.firstSeq || n.seq > v.lastSeq {
		return
	}
	if _, there := v.kept[n.seq]; !there {
		v.kept[n.seq] = viewNode{seq: n.seq, data: v.tree.store.content(h).data, acl: n.acl, stat: n.persisted()}
	}
}

// keepDeleted is called before a znode is removed.
func (v *View) keepDeleted(h handle) {
	n := v.tree.store.node(h)
	// Also one that is younger than the view may be where the walk stopped.
	if v.next == h {
		v.next = n.newer
	}
	if n.seq < v.firstSeq || n.seq > v.lastSeq {
		return
	}
	v.keep(h)
	old := v.kept[n.seq]
	old.path = v.tree.store.path(h)
	v.deleted = append(v.deleted, old)
	delete(v.kept, n.seq)
}
