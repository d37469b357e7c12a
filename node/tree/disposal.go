package tree

import "zoolab/zk/jute"

// Disposal says when the leader may delete containers and TTL znodes. The zero value
// deletes containers that had children, and no TTL znodes.
type Disposal struct {
	// TTLs lets TTL znodes be deleted; without extended types their mark means nothing.
	TTLs bool
	// MaxNeverUsedMs is how long a container may be there without ever having had a
	// child; 0 for as long as it likes.
	MaxNeverUsedMs int64
}

// Due reports whether a znode may be deleted now: a container that has lost its last
// child, or got none in time, and a TTL znode without children that was not written for
// longer than its time to live.
func (d Disposal) Due(stat *jute.StatPersisted, numChildren int32, nowMs int64) bool {
	if numChildren > 0 {
		return false
	}
	idleMs := nowMs - stat.Mtime
	switch KindOf(stat.EphemeralOwner) {
	case Container:
		return stat.Cversion != 0 || d.MaxNeverUsedMs != 0 && idleMs > d.MaxNeverUsedMs
	case TTL:
		ttlMs := stat.EphemeralOwner & MaxTTLMs
		return d.TTLs && ttlMs != 0 && idleMs > ttlMs
	}
	return false
}

// disposables are the containers and TTL znodes. A slice and not a set, so that a sweep
// can go through it piece by piece and equal runs find them in equal order.
type disposables struct {
	list   []handle
	places map[handle]int // in list
	// containers and ttls count them by kind.
	containers, ttls int
}

// add notes a new znode, if it is of these kinds.
func (ds *disposables) add(h handle, owner int64) {
	if !ds.count(owner, 1) {
		return
	}
	if ds.places == nil {
		ds.places = make(map[handle]int)
	}
	ds.places[h] = len(ds.list)
	ds.list = append(ds.list, h)
}

// remove forgets a znode. The last one takes its place.
func (ds *disposables) remove(h handle, owner int64) {
	if !ds.count(owner, -1) {
		return
	}
	place, last := ds.places[h], len(ds.list)-1
	ds.list[place] = ds.list[last]
	ds.places[ds.list[place]] = place
	ds.list = ds.list[:last]
	delete(ds.places, h)
}

func (ds *disposables) count(owner int64, n int) (disposable bool) {
	switch KindOf(owner) {
	case Container:
		ds.containers += n
	case TTL:
		ds.ttls += n
	default:
		return false
	}
	return true
}

// Sweep is one way through the containers and TTL znodes of a tree, in pieces. It goes
// from the end to the beginning: what moves meanwhile moves to where it has been.
type Sweep struct{ left int }

// StartSweep begins a sweep.
func (t *Tree) StartSweep() Sweep {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return Sweep{len(t.disposables.list)}
}

// sweepPiece bounds how many znodes one call of Due looks at.
const sweepPiece = 4096

// Due returns up to limit paths of znodes that are due now, of the sweep's next piece.
func (t *Tree) Due(s *Sweep, d Disposal, nowMs int64, limit int) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var paths []string
	s.left = min(s.left, len(t.disposables.list))
	for looked := 0; s.left > 0 && looked < sweepPiece && len(paths) < limit; looked++ {
		s.left--
		h := t.disposables.list[s.left]
		n := t.store.node(h)
		stat := n.persisted()
		if d.Due(&stat, n.numChildren, nowMs) {
			paths = append(paths, t.store.path(h))
		}
	}
	return paths
}

// Done reports whether the sweep has seen all.
func (s *Sweep) Done() bool { return s.left == 0 }
