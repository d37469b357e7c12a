package tree

import (
	"sync"

	"zoolab/zk/jute"
)

// Watcher receives the events of one client connection. It must be comparable, a
// pointer: the same value is told of an event once.
type Watcher interface {
	// Notify is called with the tree locked: it must not block and must not call the
	// tree. zxid is the transaction's, NoZxid from SetWatches.
	Notify(ev jute.WatcherEvent, zxid int64)
}

// NoZxid is the zxid of an event that tells of changes that are past.
const NoZxid = -1

// Reader is a Watcher that is told only of znodes that it may read. Its watch is spent
// all the same. Caller is called as Notify is.
type Reader interface {
	Watcher
	Caller() Caller
}

// WatchSummary is how many watches of one kind there are.
type WatchSummary struct {
	Connections int // watchers with at least one watch
	Paths       int
	Watches     int
}

// watches is what is watched. Its mutex is taken below the tree's; no watcher is called
// under it.
type watches struct {
	mu    sync.Mutex
	table watchTable
	// event numbers what watchers are told of; due is who must be told, from one event
	// to the next only to save its memory. Both are used under the tree's write lock.
	event uint64
	due   []Watcher
	fired []Fired // by the transaction that is applied
}

func (ws *watches) init() { ws.table.init() }

// add sets a one-shot watch, unless there is no watcher.
func (ws *watches) add(path string, w Watcher, kind watchKind) {
	if w != nil {
		ws.mu.Lock()
		ws.table.set(path, w, kind, oneShot)
		ws.mu.Unlock()
	}
}

// occasion is a znode of which watchers are to be told.
type occasion struct {
	path string
	acl  []jute.ACL
}

func (ws *watches) fireCreated(node, parent occasion, zxid int64) {
	ws.mu.Lock()
	ws.begin()
	created := ws.collect(dataWatch, node.path, jute.EventNodeCreated)
	ws.event++
	changed := ws.collect(childWatch, parent.path, jute.EventNodeChildrenChanged)
	ws.mu.Unlock()
	ws.notify(ws.due[:created], jute.EventNodeCreated, node, zxid)
	ws.notify(ws.due[created:changed], jute.EventNodeChildrenChanged, parent, zxid)
	clear(ws.due)
}

// fireDeleted tells each watcher of the znode once, though it may have a data and a
// child watch, and then the parent's child watchers.
func (ws *watches) fireDeleted(node, parent occasion, zxid int64) {
	ws.mu.Lock()
	ws.begin()
	ws.collect(dataWatch, node.path, jute.EventNodeDeleted)
	deleted := ws.collect(childWatch, node.path, jute.EventNodeDeleted)
	ws.event++
	changed := ws.collect(childWatch, parent.path, jute.EventNodeChildrenChanged)
	ws.mu.Unlock()
	ws.notify(ws.due[:deleted], jute.EventNodeDeleted, node, zxid)
	ws.notify(ws.due[deleted:changed], jute.EventNodeChildrenChanged, parent, zxid)
	clear(ws.due)
}

func (ws *watches) fireData(node occasion, zxid int64) {
	ws.mu.Lock()
	ws.begin()
	ws.collect(dataWatch, node.path, jute.EventNodeDataChanged)
	ws.mu.Unlock()
	ws.notify(ws.due, jute.EventNodeDataChanged, node, zxid)
	clear(ws.due)
}

// begin starts an event of which nobody was told.
func (ws *watches) begin() {
	ws.event++
	ws.due = ws.due[:0]
	ws.table.reap(reapLinksLater)
}

// collect adds to due and returns its length.
func (ws *watches) collect(kind watchKind, path string, event jute.EventType) int {
	ws.due = ws.table.collect(ws.due, kind, path, event == jute.EventNodeChildrenChanged, ws.event)
	return len(ws.due)
}

// notify tells those of an event who may read its znode.
func (ws *watches) notify(list []Watcher, event jute.EventType, node occasion, zxid int64) {
	if len(list) == 0 {
		return
	}
	ws.fired = append(ws.fired, Fired{event, len(list)})
	everybody := Allowed(node.acl, jute.PermRead, Caller{})
	for _, w := range list {
		if r, reads := w.(Reader); reads && !everybody && !Allowed(node.acl, jute.PermRead, r.Caller()) {
			continue
		}
		w.Notify(jute.WatcherEvent{Type: event, State: jute.StateSyncConnected, Path: node.path}, zxid)
	}
}

// AddWatch sets a watch of both kinds that stays. It needs neither a znode nor a
// permission. It replaces what the watcher has on the path, as a later one-shot watch
// replaces it: 3.8 keeps one watch of a kind for each path. The code is
// CodeMarshallingError for a mode that does not exist.
func (t *Tree) AddWatch(path string, mode jute.AddWatchMode, w Watcher) jute.ErrorCode {
	stays := persistent
	switch mode {
	case jute.AddWatchPersistent:
	case jute.AddWatchRecursive:
		stays = recursive
	default:
		return jute.CodeMarshallingError
	}
	t.watches.addBoth(path, stays, w)
	return jute.CodeOK
}

func (ws *watches) addBoth(path string, mode watchMode, w Watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.table.set(path, w, dataWatch, mode)
	ws.table.set(path, w, childWatch, mode)
}

// HasWatch reports whether a path is watched in a kind that the type names, with
// CodeNoWatcher if not. As in 3.8, it does not matter by whom, and a recursive watch
// above the path does not count. CodeMarshallingError stands for an unknown type.
func (t *Tree) HasWatch(path string, which jute.WatcherType) jute.ErrorCode {
	kinds, known := kindsOf(which)
	if !known {
		return jute.CodeMarshallingError
	}
	ws := &t.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if id, there := ws.table.ids[path]; there {
		for _, kind := range kinds {
			if ws.table.paths.at(id).count[kind] > 0 {
				return jute.CodeOK
			}
		}
	}
	return jute.CodeNoWatcher
}

// RemoveWatch ends the watcher's watches of a path, of the kinds that the type names and
// of whatever mode. CodeNoWatcher says that there were none.
func (t *Tree) RemoveWatch(path string, which jute.WatcherType, w Watcher) jute.ErrorCode {
	kinds, known := kindsOf(which)
	if !known {
		return jute.CodeMarshallingError
	}
	ws := &t.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	code := jute.CodeNoWatcher
	for _, kind := range kinds {
		if ws.table.remove(path, w, kind) {
			code = jute.CodeOK
		}
	}
	return code
}

func kindsOf(which jute.WatcherType) (kinds []watchKind, known bool) {
	switch which {
	case jute.WatcherChildren:
		return []watchKind{childWatch}, true
	case jute.WatcherData:
		return []watchKind{dataWatch}, true
	case jute.WatcherAny:
		return []watchKind{childWatch, dataWatch}, true
	}
	return nil, false
}

// SetWatches sets the watches of a client that comes back having seen relativeZxid
// last. What changed since fires at once instead: a data watch if the znode was
// written later, an exist watch if the znode is there, a child watch if children came
// or went later, and "deleted" for a data or child watch of a znode that is gone. Of
// what the persistent watches missed the client is not told.
func (t *Tree) SetWatches(q *jute.SetWatches2, w Watcher) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	fire := func(event jute.EventType, path string) {
		w.Notify(jute.WatcherEvent{Type: event, State: jute.StateSyncConnected, Path: path}, NoZxid)
	}
	for _, path := range q.DataWatches {
		switch h := t.store.find(path); {
		case h == noNode:
			fire(jute.EventNodeDeleted, path)
		case t.store.node(h).mzxid > q.RelativeZxid:
			fire(jute.EventNodeDataChanged, path)
		default:
			t.watches.add(path, w, dataWatch)
		}
	}
	for _, path := range q.ExistWatches {
		if t.store.find(path) != noNode {
			fire(jute.EventNodeCreated, path)
		} else {
			t.watches.add(path, w, dataWatch)
		}
	}
	for _, path := range q.ChildWatches {
		switch h := t.store.find(path); {
		case h == noNode:
			fire(jute.EventNodeDeleted, path)
		case t.store.node(h).pzxid > q.RelativeZxid:
			fire(jute.EventNodeChildrenChanged, path)
		default:
			t.watches.add(path, w, childWatch)
		}
	}
	for _, path := range q.PersistentWatches {
		t.watches.addBoth(path, persistent, w)
	}
	for _, path := range q.PersistentRecursiveWatches {
		t.watches.addBoth(path, recursive, w)
	}
}

// RemoveWatcher forgets a closed connection. No read may be made for it afterwards.
func (t *Tree) RemoveWatcher(w Watcher) {
	t.watches.mu.Lock()
	defer t.watches.mu.Unlock()
	t.watches.table.removeWatcher(w)
}

// WatchSummaries returns the figures of both kinds; Apache's wchs shows the first.
func (t *Tree) WatchSummaries() (data, child WatchSummary) {
	ws := &t.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.table.counts[dataWatch], ws.table.counts[childWatch]
}

// DataWatch is one watcher's watch of a znode's data.
type DataWatch struct {
	Path    string
	Watcher Watcher
}

// DataWatches lists the data watches, of which Apache's wchc and wchp tell. Those of one
// path are together. The list is a copy: with a million watches it takes 32 MB.
func (t *Tree) DataWatches() []DataWatch {
	ws := &t.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	wt := &ws.table
	list := make([]DataWatch, 0, wt.counts[dataWatch].Watches)
	for id := uint32(1); id <= wt.paths.used; id++ {
		p := wt.paths.at(id)
		for at := p.oldest; at != 0; at = wt.links.at(at).newer {
			if l := wt.links.at(at); l.modes[dataWatch] != unwatched {
				if w := wt.watchers.at(l.watcher).watcher; w != nil {
					list = append(list, DataWatch{p.path, w})
				}
			}
		}
	}
	return list
}
