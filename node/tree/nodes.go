package tree

import (
	"hash/maphash"
	"strings"

	"zoolab/zk/jute"
)

// handle names a znode: an index into the slabs. Zero is no znode.
type handle uint32

const (
	noNode   handle = 0
	rootNode handle = 1

	chunkBits = 10
	chunkLen  = 1 << chunkBits
)

// node is the part of a znode without pointers, which the collector never scans.
type node struct {
	czxid, mzxid, pzxid int64
	ctimeMs, mtimeMs    int64
	// owner is the session of an ephemeral, or the mark of a container or TTL
	// znode as it stands in a snapshot; 0 for a persistent one.
	owner int64
	// seq numbers znodes in the order of their creation.
	// Invariant: it rises along the list from oldest to newest, so a parent's is
	// below its children's. 0 marks a free slot.
	seq uint64

	version, cversion, aversion int32
	numChildren                 int32
	// acl is the id of the ACL in the cache, or openACL.
	acl int32
	// contentCRC is the CRC-32 of path and data, from which the digest is continued
	// over the stat.
	contentCRC uint32

	parent, firstChild handle
	// prevSibling of a first child is its last sibling, so that children are
	// appended in constant time. nextSibling of a last child is noNode.
	prevSibling, nextSibling handle
	// older and newer link all znodes; newer links the free slots.
	older, newer handle

	// undigested marks the znodes below /zookeeper, which the digest leaves out.
	undigested bool
}

// content is the part with pointers.
type content struct {
	name string
	data []byte // nil is a null of the wire, which clients can tell from empty
}

// store keeps the znodes: slabs, the index by parent and name, and the list in
// order of creation. It knows nothing of views or digests.
type store struct {
	nodes    []*[chunkLen]node
	contents []*[chunkLen]content
	used     handle // slots ever used
	free     handle
	count    int

	oldest, newest handle
	lastSeq        uint64

	index index
}

func (s *store) init() {
	s.index.seed = maphash.MakeSeed()
	root := s.alloc()
	s.link(root)
}

func (s *store) node(h handle) *node { return &s.nodes[h>>chunkBits][h&(chunkLen-1)] }

func (s *store) content(h handle) *content { return &s.contents[h>>chunkBits][h&(chunkLen-1)] }

func (s *store) alloc() handle {
	if h := s.free; h != noNode {
		n := s.node(h)
		s.free = n.newer
		*n = node{}
		return h
	}
	s.used++
	if s.used == 0 {
		panic("tree: more than 4 billion znodes")
	}
	if int(s.used>>chunkBits) == len(s.nodes) {
		s.nodes = append(s.nodes, new([chunkLen]node))
		s.contents = append(s.contents, new([chunkLen]content))
	}
	return s.used
}

// link numbers a new znode and appends it to the list of all.
func (s *store) link(h handle) {
	n := s.node(h)
	s.lastSeq++
	n.seq, n.older, n.newer = s.lastSeq, s.newest, noNode
	if s.newest != noNode {
		s.node(s.newest).newer = h
	} else {
		s.oldest = h
	}
	s.newest = h
	s.count++
}

// child returns the child of that name, or noNode.
func (s *store) child(parent handle, name string) handle {
	return s.index.get(s, parent, name, s.index.hash(parent, name))
}

// add makes an empty znode below parent, which must not have a child of that name.
// It copies the name, which is usually a piece of a longer path.
func (s *store) add(parent handle, name string) handle {
	h := s.alloc()
	s.content(h).name = strings.Clone(name)
	n := s.node(h)
	n.parent = parent
	p := s.node(parent)
	if first := p.firstChild; first == noNode {
		p.firstChild, n.prevSibling = h, h
	} else {
		last := s.node(first).prevSibling
		s.node(last).nextSibling = h
		n.prevSibling = last
		s.node(first).prevSibling = h
	}
	p.numChildren++
	s.index.put(h, s.index.hash(parent, name))
	s.link(h)
	return h
}

// remove takes a childless znode out and frees its slot.
func (s *store) remove(h handle) {
	n := s.node(h)
	s.index.delete(h, s.index.hash(n.parent, s.content(h).name))
	p := s.node(n.parent)
	p.numChildren--
	switch {
	case p.firstChild == h:
		p.firstChild = n.nextSibling
		if n.nextSibling != noNode {
			s.node(n.nextSibling).prevSibling = n.prevSibling
		}
	case n.nextSibling == noNode:
		s.node(n.prevSibling).nextSibling = noNode
		s.node(p.firstChild).prevSibling = n.prevSibling
	default:
		s.node(n.prevSibling).nextSibling = n.nextSibling
		s.node(n.nextSibling).prevSibling = n.prevSibling
	}
	// The root is never removed, so there is always an older znode.
	s.node(n.older).newer = n.newer
	if n.newer != noNode {
		s.node(n.newer).older = n.older
	} else {
		s.newest = n.older
	}
	*n = node{newer: s.free}
	*s.content(h) = content{}
	s.free = h
	s.count--
}

// find returns the znode at the path, or noNode. The empty path is the root's too,
// as it is in snapshots.
func (s *store) find(path string) handle {
	if path == "" || path == "/" {
		return rootNode
	}
	if path[0] != '/' {
		return noNode
	}
	h, rest, more := rootNode, path[1:], true
	for more && h != noNode {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		h = s.child(h, name)
	}
	return h
}

// path returns the full path; the root's is "/".
func (s *store) path(h handle) string {
	if h == rootNode {
		return "/"
	}
	sizeBytes := s.pathLen(h)
	b := make([]byte, sizeBytes)
	for a := h; a != rootNode; a = s.node(a).parent {
		name := s.content(a).name
		sizeBytes -= len(name)
		copy(b[sizeBytes:], name)
		sizeBytes--
		b[sizeBytes] = '/'
	}
	return string(b)
}

// pathLen returns the length of the path in bytes, 0 for the root.
func (s *store) pathLen(h handle) int {
	sizeBytes := 0
	for a := h; a != rootNode; a = s.node(a).parent {
		sizeBytes += 1 + len(s.content(a).name)
	}
	return sizeBytes
}

// descendants counts the znodes below h.
func (s *store) descendants(h handle) int {
	total := 0
	for at := s.next(h, h); at != noNode; at = s.next(h, at) {
		total++
	}
	return total
}

// next walks the subtree of top in preorder; at is where the walk is. noNode ends it.
func (s *store) next(top, at handle) handle {
	if child := s.node(at).firstChild; child != noNode {
		return child
	}
	for at != top {
		if sibling := s.node(at).nextSibling; sibling != noNode {
			return sibling
		}
		at = s.node(at).parent
	}
	return noNode
}

func (n *node) persisted() jute.StatPersisted {
	return jute.StatPersisted{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctimeMs, Mtime: n.mtimeMs,
		Version: n.version, Cversion: n.cversion, Aversion: n.aversion,
		EphemeralOwner: n.owner, Pzxid: n.pzxid,
	}
}

func (n *node) setPersisted(p *jute.StatPersisted) {
	n.czxid, n.mzxid, n.pzxid = p.Czxid, p.Mzxid, p.Pzxid
	n.ctimeMs, n.mtimeMs = p.Ctime, p.Mtime
	n.version, n.cversion, n.aversion = p.Version, p.Cversion, p.Aversion
	n.owner = p.EphemeralOwner
}

// stat returns what a client sees. The stored cversion counts creates; a client's
// counts creates and deletes.
func (s *store) stat(h handle) jute.Stat {
	n := s.node(h)
	st := jute.Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctimeMs, Mtime: n.mtimeMs,
		Version: n.version, Cversion: n.cversion*2 - n.numChildren, Aversion: n.aversion,
		DataLength: int32(len(s.content(h).data)), NumChildren: n.numChildren, Pzxid: n.pzxid,
	}
	if KindOf(n.owner) == Ephemeral {
		st.EphemeralOwner = n.owner
	}
	return st
}
