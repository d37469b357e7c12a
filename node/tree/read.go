package tree

import (
	"sort"
	"strings"

	"zoolab/zk/jute"
)

// Every read below is atomic with setting its watch: no transaction is applied
// between the two. A nil Watcher sets none. Errors are jute.ErrorCode values.

// readable returns the znode if it is there and the caller has one of the permissions.
func (t *Tree) readable(path string, perm int32, who Caller) (handle, error) {
	h := t.store.find(path)
	if h == noNode {
		return noNode, jute.CodeNoNode
	}
	if !Allowed(t.aclOf(h), perm, who) {
		return noNode, jute.CodeNoAuth
	}
	return h, nil
}

// GetData returns data, which must not be changed, and stat. A watch sees the next
// setData or delete; none is set where the read fails.
func (t *Tree) GetData(path string, who Caller, w Watcher) ([]byte, jute.Stat, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	h, err := t.readable(path, jute.PermRead, who)
	if err != nil {
		return nil, jute.Stat{}, err
	}
	t.watches.add(path, w, dataWatch)
	return t.store.content(h).data, t.store.stat(h), nil
}

// Config returns the ensemble's configuration, nil if the tree has none.
func (t *Tree) Config() []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	h := t.store.find(ConfigPath)
	if h == noNode {
		return nil
	}
	return t.store.content(h).data
}

// Exists returns the stat. It needs no permission. The watch is set whether or not
// the znode is there, and sees its create, setData or delete.
func (t *Tree) Exists(path string, _ Caller, w Watcher) (jute.Stat, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return jute.Stat{}, jute.CodeBadArguments
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.watches.add(path, w, dataWatch)
	h := t.store.find(path)
	if h == noNode {
		return jute.Stat{}, jute.CodeNoNode
	}
	return t.store.stat(h), nil
}

// Children returns the children's names, oldest first. A watch sees the next create
// or delete of a child, or the znode's own delete.
func (t *Tree) Children(path string, who Caller, w Watcher) ([]string, error) {
	names, _, err := t.ChildrenStat(path, who, w)
	return names, err
}

// ChildrenStat is Children with the parent's stat.
func (t *Tree) ChildrenStat(path string, who Caller, w Watcher) ([]string, jute.Stat, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	h, err := t.readable(path, jute.PermRead, who)
	if err != nil {
		return nil, jute.Stat{}, err
	}
	t.watches.add(path, w, childWatch)
	n := t.store.node(h)
	names := make([]string, 0, n.numChildren)
	for c := n.firstChild; c != noNode; c = t.store.node(c).nextSibling {
		names = append(names, t.store.content(c).name)
	}
	return names, t.store.stat(h), nil
}

// GetACL returns the ACL, which must not be changed, and the stat. It takes READ or
// ADMIN; without ADMIN the hashes of digest ids are masked.
func (t *Tree) GetACL(path string, who Caller) ([]jute.ACL, jute.Stat, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	h, err := t.readable(path, jute.PermRead|jute.PermAdmin, who)
	if err != nil {
		return nil, jute.Stat{}, err
	}
	acl := t.aclOf(h)
	if !Allowed(acl, jute.PermAdmin, who) {
		acl = maskDigests(acl)
	}
	return acl, t.store.stat(h), nil
}

// AllChildrenNumber counts the znodes below path, at all depths.
func (t *Tree) AllChildrenNumber(path string, who Caller) (int32, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	h, err := t.readable(path, jute.PermRead, who)
	if err != nil {
		return 0, err
	}
	if h == rootNode {
		if path == "" {
			return int32(t.store.count), nil // the root itself is below it, as Apache counts
		}
		return int32(t.store.count - 1), nil
	}
	return int32(t.store.descendants(h)), nil
}

// Ephemerals returns the paths of the session's ephemerals in ascending order.
func (t *Tree) Ephemerals(session int64) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.ephemeralPaths(session)
}

func (t *Tree) ephemeralPaths(session int64) []string {
	set := t.ephemerals[session]
	if len(set) == 0 {
		return nil
	}
	paths := make([]string, 0, len(set))
	for h := range set {
		paths = append(paths, t.store.path(h))
	}
	sort.Strings(paths)
	return paths
}

// SessionsWithEphemerals returns the ids of the sessions that own one, ascending.
func (t *Tree) SessionsWithEphemerals() []int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	ids := make([]int64, 0, len(t.ephemerals))
	for id := range t.ephemerals {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids
}

// Counts are the figures of the monitoring commands, as Apache counts them.
type Counts struct {
	Znodes        int // the root counts twice
	Ephemerals    int
	Containers    int
	TTLs          int
	Sessions      int
	DataSizeBytes int64 // paths and data
	Watches       int
}

// Counts returns the figures of one moment.
func (t *Tree) Counts() Counts {
	t.mu.RLock()
	defer t.mu.RUnlock()
	data, child := t.WatchSummaries()
	return Counts{
		Znodes: t.store.count + 1, Ephemerals: t.ephemeralCount, Containers: t.disposables.containers, TTLs: t.disposables.ttls,
		Sessions:      len(t.sessions),
		DataSizeBytes: t.dataSizeBytes, Watches: data.Watches + child.Watches,
	}
}

// Info is a znode as the leader's preparation of transactions needs it.
type Info struct {
	Stat        jute.StatPersisted
	NumChildren int32
	ACL         []jute.ACL // must not be changed
	ContentCRC  uint32     // see ContentCRC
	DataBytes   int
}

// Lookup returns the znode, without any check of permissions.
func (t *Tree) Lookup(path string) (Info, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	h := t.store.find(path)
	if h == noNode {
		return Info{}, false
	}
	n := t.store.node(h)
	return Info{
		Stat: n.persisted(), NumChildren: n.numChildren, ACL: t.acls.get(n.acl),
		ContentCRC: n.contentCRC, DataBytes: len(t.store.content(h).data),
	}, true
}
