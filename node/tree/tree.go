package tree

import (
	"math"
	"sort"
	"sync"
	"sync/atomic"

	"zoolab/zk/jute"
)

// The znodes that every tree has.
const (
	ZookeeperPath = "/zookeeper"
	QuotaPath     = "/zookeeper/quota"
	ConfigPath    = "/zookeeper/config"
)

// Tree is the state of one server. New makes one; see the package comment for what
// may run at the same time.
type Tree struct {
	mu    sync.RWMutex
	store store
	acls  aclCache

	sessions   map[int64]int32 // timeout in ms
	ephemerals map[int64]map[handle]struct{}
	// ephemeralCount is the number of handles in ephemerals.
	ephemeralCount int

	quotas quotas

	disposables disposables

	// dataSizeBytes is the sum over all znodes of path (the root's is "/") and data.
	dataSizeBytes int64

	// lastZxid is written under mu and read without it.
	lastZxid atomic.Int64

	// noDigest is set where no digest is kept, compared or shown.
	noDigest bool
	digest   int64
	digester Digester // used under the write lock
	// pendingDigest is the digest that came with a snapshot of a later zxid than the
	// snapshot's own. Until that zxid is replayed the tree is between two states and
	// the digests of transactions are not compared.
	pendingDigest *snapshotDigest
	// unsettled is for a snapshot that came without a digest, as a leader sends it. Apache's
	// sends its tree while it changes, so the snapshot may hold effects of transactions that
	// follow it, and nothing says of which. The digests of transactions are compared from the
	// first on that is right; unsettled is how many more may be wrong until then.
	// Invariant: 0 <= unsettled <= maxUnsettled.
	unsettled        int
	digestMismatches atomic.Int64
	digestLog        digestLog

	views []*View

	watches watches
}

type snapshotDigest struct {
	zxid    int64
	version int32
	digest  int64
}

// New makes the tree of an empty server: the root and /zookeeper with quota and config.
func New() *Tree {
	t := newBare()
	t.addSystemNodes()
	return t
}

func (t *Tree) addSystemNodes() {
	for _, path := range []string{ZookeeperPath, QuotaPath} {
		t.addSystemNode(path)
	}
	t.addConfigNode()
}

// newBare makes a tree that has only a root.
func newBare() *Tree {
	t := &Tree{
		sessions:   make(map[int64]int32),
		ephemerals: make(map[int64]map[handle]struct{}),
	}
	t.store.init()
	t.watches.init()
	root := t.store.node(rootNode)
	root.acl = openACL
	root.contentCRC = t.digester.ContentCRC("/", nil)
	t.store.content(rootNode).data = []byte{}
	t.digest = t.nodeDigest(rootNode)
	t.dataSizeBytes = int64(len("/"))
	return t
}

func (t *Tree) addSystemNode(path string) handle {
	parent, name := splitPath(path)
	h := t.store.add(t.store.find(parent), name)
	n := t.store.node(h)
	n.acl = openACL
	t.dataSizeBytes += int64(len(path))
	t.setContent(h, path, []byte{})
	n.undigested = Undigested(path)
	t.digest += t.nodeDigest(h)
	return h
}

// addConfigNode makes /zookeeper/config, which everybody may read and nobody write.
func (t *Tree) addConfigNode() handle {
	h := t.addSystemNode(ConfigPath)
	n := t.store.node(h)
	n.aversion = -1
	n.acl = t.acls.acquire([]jute.ACL{{Perms: jute.PermRead, ID: jute.ID{Scheme: "world", ID: "anyone"}}})
	return h
}

// SetConfig puts the ensemble's configuration into /zookeeper/config. Each server does
// so on its own when it starts to serve; version is the configuration's, a zxid.
func (t *Tree) SetConfig(data []byte, version, nowMs int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.store.find(ConfigPath)
	if h == noNode {
		if t.store.find(ZookeeperPath) == noNode {
			return
		}
		h = t.addConfigNode()
	}
	t.beforeChange(h)
	t.setContent(h, ConfigPath, jute.Clone(data))
	n := t.store.node(h)
	n.version, n.mzxid, n.mtimeMs = -1, version, nowMs
	t.afterChange(h)
}

// setContent replaces the data and what is computed from it, except the digest. The
// tree keeps data.
func (t *Tree) setContent(h handle, path string, data []byte) {
	c := t.store.content(h)
	t.dataSizeBytes += int64(len(data) - len(c.data))
	c.data = data
	if !t.noDigest {
		t.store.node(h).contentCRC = t.digester.ContentCRC(path, data)
	}
}

// beforeChange must be called before stat, data or ACL of a znode change, and
// afterChange then: views keep the old state, the digest moves to the new one.
func (t *Tree) beforeChange(h handle) {
	for _, v := range t.views {
		v.keep(h)
	}
	t.digest -= t.nodeDigest(h)
}

func (t *Tree) afterChange(h handle) { t.digest += t.nodeDigest(h) }

// splitPath cuts an absolute path into the parent's path and the name.
func splitPath(path string) (parent, name string) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:max(i, 1)], path[i+1:]
		}
	}
	return "", path
}

// LastZxid is the zxid of the last transaction that was applied as a whole.
func (t *Tree) LastZxid() int64 { return t.lastZxid.Load() }

// Digest returns the digest of the whole tree, of DigestVersion.
func (t *Tree) Digest() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.digest
}

// DigestMismatches counts the transactions, and snapshots, whose digest was another
// than the tree's: this server's state differs from what the writer's was.
func (t *Tree) DigestMismatches() int64 { return t.digestMismatches.Load() }

// SessionTimeout returns the timeout of a session, or false if there is none.
func (t *Tree) SessionTimeout(id int64) (timeoutMs int32, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	timeoutMs, ok = t.sessions[id]
	return timeoutMs, ok
}

// Sessions yields the sessions of one moment by ascending id. The tree is not locked
// while yield runs.
func (t *Tree) Sessions(yield func(id int64, timeoutMs int32) bool) {
	t.mu.RLock()
	list := t.sessionList()
	t.mu.RUnlock()
	for _, s := range list {
		if !yield(s.id, s.timeoutMs) {
			return
		}
	}
}

type session struct {
	id        int64
	timeoutMs int32
}

// sessionList copies the sessions by ascending id.
func (t *Tree) sessionList() []session {
	list := make([]session, 0, len(t.sessions))
	for id, timeoutMs := range t.sessions {
		list = append(list, session{id, timeoutMs})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].id < list[j].id })
	return list
}

// Kind says how long a znode lives, from the ephemeralOwner of its StatPersisted.
type Kind int

// The kinds of znodes.
const (
	Persistent Kind = iota
	Ephemeral       // dies with its session
	Container       // may be deleted once its last child is
	TTL             // may be deleted when it has not been written for a while
)

const (
	containerOwner int64 = math.MinInt64
	ttlMark        int64 = -1 << 56 // 0xff in the highest byte
	// ttlReserved bits are zero in a TTL znode's owner. No session's id looks like
	// that: ids of member 255 have the time in them.
	ttlReserved int64 = 0xffff << 40
	// MaxTTLMs is the longest time to live of a TTL znode.
	MaxTTLMs int64 = 1<<40 - 1
)

// KindOf tells the kind of the znode with that owner.
func KindOf(owner int64) Kind {
	switch {
	case owner == 0:
		return Persistent
	case owner == containerOwner:
		return Container
	case owner&ttlMark == ttlMark && owner&ttlReserved == 0:
		return TTL
	}
	return Ephemeral
}

// OwnerOfContainer returns the ephemeralOwner that marks a container.
func OwnerOfContainer() int64 { return containerOwner }

// OwnerOfTTL returns the ephemeralOwner that marks a TTL znode. The time to live must
// be positive and at most MaxTTLMs.
func OwnerOfTTL(ttlMs int64) int64 { return ttlMark | ttlMs&MaxTTLMs }
