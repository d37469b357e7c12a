package tree

import (
	"errors"
	"fmt"
	"math"

	"zoolab/zk/jute"
)

// ErrBadSnapshot marks a snapshot whose parts don't make a tree. It must not be used;
// an older one may be good.
var ErrBadSnapshot = errors.New("snapshot does not make a tree")

// missingACLID is what a view gives for an ACL that the tree itself does not know; no
// ACL has it, so that a reader finds the same gap.
const missingACLID = math.MaxInt32 + 1

// Builder makes a tree of a snapshot's parts, in their order there: sessions, ACLs,
// znodes with parents first, digest, Finish. It is used by one goroutine.
type Builder struct {
	tree   *Tree
	acls   map[int64]int32 // from the snapshot's ids
	held   []int32         // the ids that the builder uses itself, until Finish
	digest *snapshotDigest
	// parent of the last znode, whose siblings often follow.
	parent     handle
	parentPath string
}

// NewBuilder starts an empty tree.
func NewBuilder() *Builder {
	return &Builder{tree: newBare(), acls: make(map[int64]int32)}
}

// NewBuilderWithoutDigest starts an empty tree that keeps no digest and compares none.
func NewBuilderWithoutDigest() *Builder {
	b := NewBuilder()
	b.tree.noDigest, b.tree.digest = true, 0
	return b
}

// AddSession adds a session.
func (b *Builder) AddSession(id int64, timeoutMs int32) error {
	b.tree.sessions[id] = timeoutMs
	return nil
}

// AddACL names an ACL for the znodes to come.
func (b *Builder) AddACL(id int64, acl []jute.ACL) error {
	if acl == nil {
		acl = []jute.ACL{}
	}
	cached := b.tree.acls.acquire(acl)
	b.acls[id] = cached
	b.held = append(b.held, cached)
	return nil
}

// AddNode adds a znode; the root's path is "". The tree keeps data.
func (b *Builder) AddNode(path string, data []byte, aclID int64, stat *jute.StatPersisted) error {
	t := b.tree
	h, key := rootNode, "/"
	if path != "" {
		parentPath, name := splitPath(path)
		if parentPath == "" || name == "" {
			return fmt.Errorf("%w: %q is not a path", ErrBadSnapshot, path)
		}
		if b.parent == noNode || parentPath != b.parentPath {
			b.parent, b.parentPath = t.store.find(parentPath), parentPath
		}
		if b.parent == noNode {
			return fmt.Errorf("%w: %q comes before its parent", ErrBadSnapshot, path)
		}
		if t.store.child(b.parent, name) != noNode {
			return fmt.Errorf("%w: %q comes twice", ErrBadSnapshot, path)
		}
		h, key = t.store.add(b.parent, name), path
		t.dataSizeBytes += int64(len(path))
	} else {
		t.digest -= t.nodeDigest(rootNode)
	}
	n := t.store.node(h)
	n.setPersisted(stat)
	n.acl = b.useACL(aclID)
	n.undigested = Undigested(path)
	t.setContent(h, key, data)
	t.digest += t.nodeDigest(h)
	if h == rootNode {
		return nil
	}
	if KindOf(n.owner) == Ephemeral {
		t.addEphemeral(n.owner, h)
	}
	t.disposables.add(h, n.owner)
	return nil
}

func (b *Builder) useACL(id int64) int32 {
	if id == int64(openACL) {
		return openACL
	}
	cached, known := b.acls[id]
	if !known {
		return deniedACL
	}
	b.tree.acls.addUse(cached)
	return cached
}

// SetDigest gives the digest of the tree at zxid, which in a snapshot of Apache's may
// be above the snapshot's own: then it is compared when the replay gets there.
func (b *Builder) SetDigest(zxid int64, version int32, digest int64) error {
	b.digest = &snapshotDigest{zxid, version, digest}
	return nil
}

// maxUnsettled is how many transactions a leader may carry out, at most, while it sends a
// snapshot: a tree that no transaction's digest fits by then differs.
const maxUnsettled = 100_000

// Finish completes the tree, which contains all transactions up to zxid.
func (b *Builder) Finish(zxid int64) error {
	t := b.tree
	for _, id := range b.held {
		t.acls.release(id)
	}
	b.acls, b.held = nil, nil
	t.lastZxid.Store(zxid)
	if b.digest == nil {
		t.unsettled = maxUnsettled
	}
	if d := b.digest; d != nil && d.version == DigestVersion && !t.noDigest {
		switch {
		case d.zxid > zxid:
			t.pendingDigest = d
		case d.zxid == zxid && d.digest != t.digest && zxid != 0:
			t.digestMismatches.Add(1)
		}
	}
	t.quotas.load(t)
	return nil
}

// Tree returns the tree after Finish. A builder that was given nothing, as where there
// is no snapshot, gives the tree of a new server.
func (b *Builder) Tree() *Tree {
	if b.held != nil || b.acls != nil {
		b.tree.addSystemNodes()
		b.held, b.acls = nil, nil
	}
	return b.tree
}
