package sim

import (
	"maps"
	"slices"
	"strings"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// watchKind is what a watch looks at.
type watchKind int

const (
	watchData watchKind = iota
	watchExistence
	watchChildren
	onceKinds

	watchPersistent
	watchRecursive
)

// watch is asked for with a call, and set once that is answered.
type watch struct {
	kind   watchKind
	path   string
	events chan zk.Event
}

// watches are those that are set in a session, with the rules of package zk.
type watches struct {
	once [onceKinds]map[string][]chan zk.Event // by path, until they fire
	stay []*watch
}

// onceWatch asks for a watch that fires once.
func onceWatch(kind watchKind, path string) *watch {
	return &watch{kind: kind, path: path, events: make(chan zk.Event, 1)}
}

// answered sets a watch that a member has set with its answer. A look for a znode that is
// not there sets one for its creation; other refusals set none.
func (w *watches) answered(asked *watch, code jute.ErrorCode) {
	switch {
	case asked == nil, code != jute.CodeOK && (asked.kind != watchExistence || code != jute.CodeNoNode):
		return
	case asked.kind > onceKinds:
		w.stay = append(w.stay, asked)
		return
	}
	kind := asked.kind
	if kind == watchExistence && code == jute.CodeOK {
		kind = watchData
	}
	if w.once[kind] == nil {
		w.once[kind] = make(map[string][]chan zk.Event)
	}
	w.once[kind][asked.path] = append(w.once[kind][asked.path], asked.events)
}

// fire sends an event to the watches that it concerns, and reports whether there are any.
func (w *watches) fire(event zk.Event) (fired bool) {
	var kinds []watchKind
	switch event.Type {
	case zk.EventCreated, zk.EventDataChanged:
		kinds = []watchKind{watchData, watchExistence}
	case zk.EventDeleted:
		kinds = []watchKind{watchData, watchExistence, watchChildren}
	case zk.EventChildrenChanged:
		kinds = []watchKind{watchChildren}
	default:
		return false
	}
	for _, kind := range kinds {
		for _, events := range w.once[kind][event.Path] {
			events <- event
			fired = true
		}
		delete(w.once[kind], event.Path)
	}
	for _, stays := range w.stay {
		if stays.sees(event) {
			stays.offer(event)
			fired = true
		}
	}
	return fired
}

func (w *watch) sees(event zk.Event) bool {
	if w.kind == watchPersistent {
		return event.Path == w.path
	}
	return event.Type != zk.EventChildrenChanged && (event.Path == w.path || strings.HasPrefix(event.Path, strings.TrimSuffix(w.path, "/")+"/"))
}

// offer sends an event without waiting; the last free place is for the event that stands
// for all that don't fit.
func (w *watch) offer(event zk.Event) {
	switch cap(w.events) - len(w.events) {
	case 0:
	case 1:
		w.events <- zk.Event{Type: zk.EventNone, Err: zk.ErrEventsLost}
	default:
		w.events <- event
	}
}

// frame sets the watches again on another connection; nil if there are none.
func (w *watches) frame(lastZxid int64) *jute.SetWatches2 {
	frame := &jute.SetWatches2{
		RelativeZxid: lastZxid,
		DataWatches:  slices.Sorted(maps.Keys(w.once[watchData])), ExistWatches: slices.Sorted(maps.Keys(w.once[watchExistence])),
		ChildWatches: slices.Sorted(maps.Keys(w.once[watchChildren])),
	}
	for _, stays := range w.stay {
		if stays.kind == watchPersistent {
			frame.PersistentWatches = append(frame.PersistentWatches, stays.path)
		} else {
			frame.PersistentRecursiveWatches = append(frame.PersistentRecursiveWatches, stays.path)
		}
	}
	if len(frame.DataWatches)+len(frame.ExistWatches)+len(frame.ChildWatches)+len(w.stay) == 0 {
		return nil
	}
	return frame
}

// lost notes that watches that stay may have missed events while there was no connection.
func (w *watches) lost() {
	for _, stays := range w.stay {
		stays.offer(zk.Event{Type: zk.EventNone, Err: zk.ErrEventsLost})
	}
}

// end tells watches that the session is over.
func (w *watches) end() {
	for _, paths := range w.once {
		for _, waiting := range paths { // each has a channel of its own: the order shows nowhere
			for _, events := range waiting {
				events <- zk.Event{Type: zk.EventNone, Err: zk.ErrClosed}
			}
		}
		clear(paths)
	}
}
