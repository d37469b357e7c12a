package tree

import (
	"strings"
	"sync"

	"zoolab/zk/jute"
)

// Watcher receives the events of one client connection. It must be comparable, a
// pointer: the same value is told of an event once.
type Watcher interface {
	// Notify is called with the tree locked: it must not block and must not call the
	// tree. zxid is the transaction's; for SetWatches it is the last one applied.
	Notify(ev jute.WatcherEvent, zxid int64)
}

// WatchSummary is how many watches a table holds.
type WatchSummary struct {
	Connections int // watchers with at least one watch
	Paths       int
	Watches     int
}

// watches has the two tables of one-shot watches. Its mutex is taken below the
// tree's; no watcher is called under it.
type watches struct {
	mu          sync.Mutex
	data, child watchTable
}

// watchTable has the watches of one kind by path and by watcher.
type watchTable struct {
	// byPath lists the watchers of a path, in the order in which they came as long as
	// none is removed, so that equal runs notify in equal order.
	byPath map[string][]Watcher
	// byWatcher gives, for each path that a watcher watches, its place in byPath.
	byWatcher map[Watcher]map[string]int
	count     int
}

func (ws *watches) init() {
	ws.data.init()
	ws.child.init()
}

func (wt *watchTable) init() {
	wt.byPath = make(map[string][]Watcher)
	wt.byWatcher = make(map[Watcher]map[string]int)
}

func (wt *watchTable) add(path string, w Watcher) {
	places := wt.byWatcher[w]
	if places == nil {
		places = make(map[string]int)
		wt.byWatcher[w] = places
	}
	if _, there := places[path]; there {
		return
	}
	// The path may share memory with a request.
	path = strings.Clone(path)
	list := wt.byPath[path]
	places[path] = len(list)
	wt.byPath[path] = append(list, w)
	wt.count++
}

// take removes all watches of the path and returns their watchers.
func (wt *watchTable) take(path string) []Watcher {
	list, there := wt.byPath[path]
	if !there {
		return nil
	}
	delete(wt.byPath, path)
	for _, w := range list {
		wt.forget(w, path)
	}
	wt.count -= len(list)
	return list
}

func (wt *watchTable) forget(w Watcher, path string) {
	places := wt.byWatcher[w]
	delete(places, path)
	if len(places) == 0 {
		delete(wt.byWatcher, w)
	}
}

// removeWatcher removes a watcher everywhere. The last watcher of each path takes its place.
func (wt *watchTable) removeWatcher(w Watcher) {
	for path, place := range wt.byWatcher[w] {
		list := wt.byPath[path]
		last := len(list) - 1
		list[place] = list[last]
		wt.byWatcher[list[place]][path] = place
		list[last] = nil
		if last == 0 {
			delete(wt.byPath, path)
		} else {
			wt.byPath[path] = list[:last]
		}
		wt.count--
	}
	delete(wt.byWatcher, w)
}

func (wt *watchTable) summary() WatchSummary {
	return WatchSummary{Connections: len(wt.byWatcher), Paths: len(wt.byPath), Watches: wt.count}
}

func (ws *watches) addData(path string, w Watcher) {
	if w != nil {
		ws.mu.Lock()
		ws.data.add(path, w)
		ws.mu.Unlock()
	}
}

func (ws *watches) addChild(path string, w Watcher) {
	if w != nil {
		ws.mu.Lock()
		ws.child.add(path, w)
		ws.mu.Unlock()
	}
}

func (ws *watches) fireCreated(path, parentPath string, zxid int64) {
	ws.mu.Lock()
	created := ws.data.take(path)
	changed := ws.child.take(parentPath)
	ws.mu.Unlock()
	notify(created, jute.EventNodeCreated, path, zxid)
	notify(changed, jute.EventNodeChildrenChanged, parentPath, zxid)
}

// fireDeleted tells each watcher of the znode once, though it may have a data and a
// child watch, and then the parent's child watchers.
func (ws *watches) fireDeleted(path, parentPath string, zxid int64) {
	ws.mu.Lock()
	data := ws.data.take(path)
	child := ws.child.take(path)
	changed := ws.child.take(parentPath)
	ws.mu.Unlock()
	notify(data, jute.EventNodeDeleted, path, zxid)
	if len(data) > 0 && len(child) > 0 {
		child = without(child, data)
	}
	notify(child, jute.EventNodeDeleted, path, zxid)
	notify(changed, jute.EventNodeChildrenChanged, parentPath, zxid)
}

func (ws *watches) fireData(path string, zxid int64) {
	ws.mu.Lock()
	changed := ws.data.take(path)
	ws.mu.Unlock()
	notify(changed, jute.EventNodeDataChanged, path, zxid)
}

func notify(list []Watcher, event jute.EventType, path string, zxid int64) {
	for _, w := range list {
		w.Notify(jute.WatcherEvent{Type: event, State: jute.StateSyncConnected, Path: path}, zxid)
	}
}

func without(list, told []Watcher) []Watcher {
	set := make(map[Watcher]struct{}, len(told))
	for _, w := range told {
		set[w] = struct{}{}
	}
	rest := list[:0]
	for _, w := range list {
		if _, there := set[w]; !there {
			rest = append(rest, w)
		}
	}
	return rest
}

func (ws *watches) summaries() (data, child WatchSummary) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.data.summary(), ws.child.summary()
}

// SetWatches sets the watches of a client that comes back having seen relativeZxid
// last. What changed since fires at once instead: a data watch if the znode was
// written later, an exist watch if the znode is there, a child watch if children came
// or went later, and "deleted" for a data or child watch of a znode that is gone.
func (t *Tree) SetWatches(relativeZxid int64, data, exist, child []string, w Watcher) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	zxid := t.lastZxid.Load()
	fire := func(event jute.EventType, path string) {
		w.Notify(jute.WatcherEvent{Type: event, State: jute.StateSyncConnected, Path: path}, zxid)
	}
	for _, path := range data {
		switch h := t.store.find(path); {
		case h == noNode:
			fire(jute.EventNodeDeleted, path)
		case t.store.node(h).mzxid > relativeZxid:
			fire(jute.EventNodeDataChanged, path)
		default:
			t.watches.addData(path, w)
		}
	}
	for _, path := range exist {
		if t.store.find(path) != noNode {
			fire(jute.EventNodeCreated, path)
		} else {
			t.watches.addData(path, w)
		}
	}
	for _, path := range child {
		switch h := t.store.find(path); {
		case h == noNode:
			fire(jute.EventNodeDeleted, path)
		case t.store.node(h).pzxid > relativeZxid:
			fire(jute.EventNodeChildrenChanged, path)
		default:
			t.watches.addChild(path, w)
		}
	}
}

// RemoveWatcher forgets a closed connection. No read may be made for it afterwards.
func (t *Tree) RemoveWatcher(w Watcher) {
	t.watches.mu.Lock()
	defer t.watches.mu.Unlock()
	t.watches.data.removeWatcher(w)
	t.watches.child.removeWatcher(w)
}

// WatchSummaries returns the figures of both tables; Apache's wchs shows the first.
func (t *Tree) WatchSummaries() (data, child WatchSummary) { return t.watches.summaries() }
