package tree

import "strings"

// watchKind tells apart what may be watched of a path.
type watchKind uint8

const (
	dataWatch  watchKind = iota // the znode's coming, data and going
	childWatch                  // its children's coming and going, and its own going
	watchKinds
)

// watchMode says when a watch ends. A watcher has at most one watch of a kind on a path:
// the mode in which it was set last counts, as in 3.8.
type watchMode uint8

const (
	unwatched  watchMode = iota
	oneShot              // with its first event
	persistent           // when it is removed
	recursive            // as persistent, and it sees what is below the path, too
)

// watchTable has the watches by path and by watcher. What a watch costs is kept small,
// for a client may have a million: both lists run through one record of 28 bytes.
type watchTable struct {
	ids   map[string]uint32 // of watched paths
	paths slab[watchedPath]

	watcherIDs map[Watcher]uint32
	watchers   slab[watching]

	pairs map[pair]uint32 // finds the link of a watcher and a path
	links slab[link]

	// gone lists watchers that were removed and whose links are still to be released.
	gone []uint32

	// counts has, by kind, what the summaries tell. The links of watchers that are gone
	// count until they are released.
	counts [watchKinds]WatchSummary
	// recursives counts the watches of mode recursive, by kind.
	recursives [watchKinds]int
}

// watchedPath is a path with at least one link.
type watchedPath struct {
	path           string
	oldest, newest uint32 // links
	count          [watchKinds]uint32
	recursives     uint32 // of both kinds
}

// watching is a watcher with at least one link.
type watching struct {
	watcher Watcher // nil once it is gone
	first   uint32  // link
	count   [watchKinds]uint32
	told    uint64 // the event of which it was told last
}

// link is what one watcher watches of one path. Invariant: one of its modes is set.
type link struct {
	watcher, path uint32
	older, newer  uint32 // of the path, in the order in which they came
	prev, next    uint32 // of the watcher
	modes         [watchKinds]watchMode
}

type pair struct{ watcher, path uint32 }

const (
	// reapLinks is how many links of a watcher that is gone are released with its
	// removal, and reapLinksLater with every later use of the table: a client with a
	// million watches must not make all others wait when it goes.
	reapLinks      = 4096
	reapLinksLater = 64
)

func (wt *watchTable) init() {
	wt.ids = make(map[string]uint32)
	wt.watcherIDs = make(map[Watcher]uint32)
	wt.pairs = make(map[pair]uint32)
}

// set gives a watcher's watch of one kind a mode, other than unwatched.
func (wt *watchTable) set(path string, w Watcher, kind watchKind, mode watchMode) {
	wt.reap(reapLinksLater)
	pathID, there := wt.ids[path]
	if !there {
		pathID = wt.paths.alloc()
		path = strings.Clone(path) // the caller's may be a piece of something large
		wt.paths.at(pathID).path = path
		wt.ids[path] = pathID
	}
	watcherID, there := wt.watcherIDs[w]
	if !there {
		watcherID = wt.watchers.alloc()
		wt.watchers.at(watcherID).watcher = w
		wt.watcherIDs[w] = watcherID
	}
	at, there := wt.pairs[pair{watcherID, pathID}]
	if !there {
		at = wt.connect(watcherID, pathID)
	}
	wt.change(at, kind, mode)
}

// connect makes a link, the newest of its path.
func (wt *watchTable) connect(watcherID, pathID uint32) uint32 {
	at := wt.links.alloc()
	p, w := wt.paths.at(pathID), wt.watchers.at(watcherID)
	*wt.links.at(at) = link{watcher: watcherID, path: pathID, older: p.newest, next: w.first}
	if p.newest != 0 {
		wt.links.at(p.newest).newer = at
	} else {
		p.oldest = at
	}
	p.newest = at
	if w.first != 0 {
		wt.links.at(w.first).prev = at
	}
	w.first = at
	wt.pairs[pair{watcherID, pathID}] = at
	return at
}

// change moves a link to another mode, and releases it when it has none any more.
func (wt *watchTable) change(at uint32, kind watchKind, mode watchMode) {
	l := wt.links.at(at)
	old := l.modes[kind]
	l.modes[kind] = mode
	p, w, c := wt.paths.at(l.path), wt.watchers.at(l.watcher), &wt.counts[kind]
	switch {
	case old == unwatched && mode != unwatched:
		countUp(&w.count[kind], &c.Connections)
		countUp(&p.count[kind], &c.Paths)
		c.Watches++
	case old != unwatched && mode == unwatched:
		countDown(&w.count[kind], &c.Connections)
		countDown(&p.count[kind], &c.Paths)
		c.Watches--
	}
	if old != recursive && mode == recursive {
		p.recursives++
		wt.recursives[kind]++
	}
	if old == recursive && mode != recursive {
		p.recursives--
		wt.recursives[kind]--
	}
	if l.modes == [watchKinds]watchMode{} {
		wt.disconnect(at)
	}
}

// countUp counts one more, and in users that there is a first one; countDown the reverse.
func countUp(n *uint32, users *int) {
	if *n == 0 {
		*users++
	}
	*n++
}

func countDown(n *uint32, users *int) {
	*n--
	if *n == 0 {
		*users--
	}
}

// disconnect releases a link, and path and watcher with their last one.
func (wt *watchTable) disconnect(at uint32) {
	l := *wt.links.at(at)
	p, w := wt.paths.at(l.path), wt.watchers.at(l.watcher)
	if l.older != 0 {
		wt.links.at(l.older).newer = l.newer
	} else {
		p.oldest = l.newer
	}
	if l.newer != 0 {
		wt.links.at(l.newer).older = l.older
	} else {
		p.newest = l.older
	}
	if l.prev != 0 {
		wt.links.at(l.prev).next = l.next
	} else {
		w.first = l.next
	}
	if l.next != 0 {
		wt.links.at(l.next).prev = l.prev
	}
	delete(wt.pairs, pair{l.watcher, l.path})
	wt.links.release(at)
	if p.oldest == 0 {
		delete(wt.ids, p.path)
		wt.paths.release(l.path)
	}
	// One that is gone is released by reap, which still counts on it.
	if w.first == 0 && w.watcher != nil {
		delete(wt.watcherIDs, w.watcher)
		wt.watchers.release(l.watcher)
	}
}

// remove ends a watcher's watch of one kind; false means that there was none.
func (wt *watchTable) remove(path string, w Watcher, kind watchKind) bool {
	at, there := wt.pairs[pair{wt.watcherIDs[w], wt.ids[path]}]
	if !there || wt.links.at(at).modes[kind] == unwatched {
		return false
	}
	wt.change(at, kind, unwatched)
	return true
}

// removeWatcher ends all watches of a watcher, which is told of nothing any more.
func (wt *watchTable) removeWatcher(w Watcher) {
	id, there := wt.watcherIDs[w]
	if !there {
		return
	}
	delete(wt.watcherIDs, w)
	wt.watchers.at(id).watcher = nil
	wt.gone = append(wt.gone, id)
	wt.reap(reapLinks)
}

// reap releases up to limit links of watchers that are gone.
func (wt *watchTable) reap(limit int) {
	for ; len(wt.gone) > 0 && limit > 0; limit-- {
		id := wt.gone[len(wt.gone)-1]
		at := wt.watchers.at(id).first
		for kind := range watchKinds {
			// The first change that leaves no mode releases the link.
			if at != 0 && wt.links.at(at).modes[kind] != unwatched {
				wt.change(at, kind, unwatched)
			}
		}
		if wt.watchers.at(id).first == 0 {
			wt.watchers.release(id)
			wt.gone = wt.gone[:len(wt.gone)-1]
		}
	}
}

// collect appends to due who must be told of an event at path and was not yet told of
// the event of that number, and ends the one-shot watches among theirs. Recursive
// watches, at the path or above, see every event but that of changed children.
func (wt *watchTable) collect(due []Watcher, kind watchKind, path string, childrenChanged bool, event uint64) []Watcher {
	if id, there := wt.ids[path]; there {
		next := wt.paths.at(id).oldest
		for next != 0 {
			at := next
			l := wt.links.at(at)
			next = l.newer
			mode := l.modes[kind]
			if mode == unwatched || mode == recursive && childrenChanged {
				continue
			}
			due = wt.tell(due, l.watcher, event)
			if mode == oneShot {
				wt.change(at, kind, unwatched)
			}
		}
	}
	if wt.recursives[kind] == 0 || childrenChanged {
		return due
	}
	for path != "/" && path != "" {
		path, _ = splitPath(path)
		id, there := wt.ids[path]
		if !there || wt.paths.at(id).recursives == 0 {
			continue
		}
		for at := wt.paths.at(id).oldest; at != 0; at = wt.links.at(at).newer {
			if l := wt.links.at(at); l.modes[kind] == recursive {
				due = wt.tell(due, l.watcher, event)
			}
		}
	}
	return due
}

func (wt *watchTable) tell(due []Watcher, watcherID uint32, event uint64) []Watcher {
	w := wt.watchers.at(watcherID)
	if w.watcher == nil || w.told == event {
		return due
	}
	w.told = event
	return append(due, w.watcher)
}
