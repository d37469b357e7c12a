package zk

import (
	"fmt"
	"slices"
	"strings"

	"zoolab/zk/jute"
)

// setWatchesBytes bounds the paths of one setWatches request.
const setWatchesBytes = 128 << 10

// watchKind is what a watch looks at.
type watchKind int

const (
	watchData watchKind = iota
	watchExist
	watchChild
	watchPersistent
	watchRecursive
	watchKinds
)

// oneShot reports whether a watch of the kind ends with its first event.
func (k watchKind) oneShot() bool { return k <= watchChild }

// firedBy are the one-shot watches that end with an event.
var firedBy = map[EventType][]watchKind{
	EventCreated:                {watchData, watchExist},
	EventDeleted:                {watchData, watchExist, watchChild},
	EventDataChanged:            {watchData, watchExist},
	EventChildrenChanged:        {watchChild},
	EventDataWatchRemoved:       nil,
	EventChildWatchRemoved:      nil,
	EventPersistentWatchRemoved: nil,
}

// watchTable holds the watches that are set, by path with chroot. It is guarded by
// Client.mu, under which all events are sent: so a channel's free places can only grow
// while one is being sent.
type watchTable struct {
	// Invariant: no list is empty; a persistent kind's list has a channel once.
	byPath [watchKinds]map[string][]chan Event
	told   []chan Event // scratch of fire
}

// watchRemoval selects watches to be ended.
type watchRemoval struct {
	c     *Client
	path  string // with the chroot
	which WatchType
	only  <-chan Event // nil for all channels
}

func newWatchTable() watchTable {
	var t watchTable
	for kind := range t.byPath {
		t.byPath[kind] = make(map[string][]chan Event)
	}
	return t
}

func (t *watchTable) add(kind watchKind, path string, events chan Event) {
	if !kind.oneShot() && slices.Contains(t.byPath[kind][path], events) {
		return
	}
	t.byPath[kind][path] = append(t.byPath[kind][path], events)
}

// fire sends an event to the watches that it concerns, and reports whether there are any.
func (t *watchTable) fire(path string, event Event) bool {
	kinds := firedBy[event.Type]
	if kinds == nil {
		return false
	}
	fired := false
	for _, kind := range kinds {
		for _, events := range t.byPath[kind][path] {
			events <- event
			close(events)
			fired = true
		}
		delete(t.byPath[kind], path)
	}
	t.told = t.told[:0]
	t.tell(t.byPath[watchPersistent][path], event)
	if len(t.byPath[watchRecursive]) > 0 && event.Type != EventChildrenChanged {
		t.tellAbove(path, event)
	}
	return fired || len(t.told) > 0
}

// tellAbove sends an event to the recursive watches of a path and of those above it.
func (t *watchTable) tellAbove(path string, event Event) {
	for parent := path; ; parent = parentPath(parent) {
		t.tell(t.byPath[watchRecursive][parent], event)
		if parent == "/" {
			return
		}
	}
}

// parentPath returns the path above; above what is no path there is the root.
func parentPath(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// tell sends an event to persistent watches, once to each channel.
func (t *watchTable) tell(watchers []chan Event, event Event) {
	for _, events := range watchers {
		if !slices.Contains(t.told, events) {
			t.told = append(t.told, events)
			offer(events, event)
		}
	}
}

// offer sends an event to a persistent watch's channel without waiting. The last free
// place is for the event that stands for all that don't fit.
func offer(events chan Event, event Event) {
	switch cap(events) - len(events) {
	case 0:
		return // the event of the loss is still in the channel
	case 1:
		event = Event{Type: EventNone, Err: ErrEventsLost}
	}
	select {
	case events <- event:
	default: // somebody else sends on the channel too
	}
}

// lost tells each channel of persistent watches that there may have been events.
func (t *watchTable) lost() {
	told := make(map[chan Event]bool)
	for _, kind := range []watchKind{watchPersistent, watchRecursive} {
		for _, watchers := range t.byPath[kind] {
			for _, events := range watchers {
				if !told[events] {
					told[events] = true
					offer(events, Event{Type: EventNone, Err: ErrEventsLost})
				}
			}
		}
	}
}

// kinds are what a type of watches selects.
func (r *watchRemoval) kinds() []watchKind {
	switch r.which {
	case WatchTypeChildren:
		return []watchKind{watchChild}
	case WatchTypeData:
		return []watchKind{watchData, watchExist}
	}
	return []watchKind{watchData, watchExist, watchChild, watchPersistent, watchRecursive}
}

func (r *watchRemoval) selects(events chan Event) bool {
	return r.only == nil || sameChannel(events, r.only)
}

// count returns how many watches a removal selects, and how many others its path has.
func (t *watchTable) count(r *watchRemoval) (selected, others int) {
	for kind := range watchKinds {
		inKinds := slices.Contains(r.kinds(), kind)
		for _, events := range t.byPath[kind][r.path] {
			if inKinds && r.selects(events) {
				selected++
			} else {
				others++
			}
		}
	}
	return selected, others
}

// remove ends the watches that a removal selects, and returns the events that say so,
// each once.
func (t *watchTable) remove(r *watchRemoval) []Event {
	var removed []Event
	for _, kind := range r.kinds() {
		var kept []chan Event
		for _, events := range t.byPath[kind][r.path] {
			if !r.selects(events) {
				kept = append(kept, events)
				continue
			}
			event := Event{Type: removedEvent[kind], Path: r.c.clientPath(r.path)}
			if !slices.Contains(removed, event) {
				removed = append(removed, event)
			}
			if kind.oneShot() {
				events <- event
				close(events)
			} else {
				offer(events, event)
			}
		}
		if kept == nil {
			delete(t.byPath[kind], r.path)
		} else {
			t.byPath[kind][r.path] = kept
		}
	}
	return removed
}

var removedEvent = [watchKinds]EventType{
	watchData: EventDataWatchRemoved, watchExist: EventDataWatchRemoved, watchChild: EventChildWatchRemoved,
	watchPersistent: EventPersistentWatchRemoved, watchRecursive: EventPersistentWatchRemoved,
}

// end tells all watches that the session is over.
func (t *watchTable) end(state State, cause error) {
	event := Event{Type: EventNone, Err: fmt.Errorf("session %v: %w", state, cause)}
	told := make(map[chan Event]bool)
	for kind := range watchKinds {
		for _, watchers := range t.byPath[kind] {
			for _, events := range watchers {
				switch {
				case kind.oneShot():
					events <- event
					close(events)
				case !told[events]:
					told[events] = true
					select {
					case events <- event:
					default:
					}
				}
			}
		}
		clear(t.byPath[kind])
	}
}

// frames tells a server about all watches, in requests that it accepts. It fires at
// once what has changed since zxid.
func (t *watchTable) frames(zxid int64) []*jute.SetWatches2 {
	var frames []*jute.SetWatches2
	size := setWatchesBytes
	for kind := range watchKinds {
		for path := range t.byPath[kind] {
			if size += len(path) + 4; size > setWatchesBytes {
				frames = append(frames, &jute.SetWatches2{RelativeZxid: zxid})
				size = len(path) + 4
			}
			addPath(frames[len(frames)-1], kind, path)
		}
	}
	return frames
}

// frameOf tells a server about the watches of one path; nil if there are none.
func (t *watchTable) frameOf(path string, zxid int64) *jute.SetWatches2 {
	var frame *jute.SetWatches2
	for kind := range watchKinds {
		if len(t.byPath[kind][path]) > 0 {
			if frame == nil {
				frame = &jute.SetWatches2{RelativeZxid: zxid}
			}
			addPath(frame, kind, path)
		}
	}
	return frame
}

func addPath(frame *jute.SetWatches2, kind watchKind, path string) {
	paths := [watchKinds]*[]string{&frame.DataWatches, &frame.ExistWatches, &frame.ChildWatches,
		&frame.PersistentWatches, &frame.PersistentRecursiveWatches}[kind]
	*paths = append(*paths, path)
}

// setWatches gives a frame in its oldest form: servers before 3.6 know no persistent
// watches and not the request that sets them.
func setWatches(frame *jute.SetWatches2) (jute.OpCode, jute.Record) {
	if len(frame.PersistentWatches)+len(frame.PersistentRecursiveWatches) > 0 {
		return jute.OpSetWatches2, frame
	}
	return jute.OpSetWatches, &jute.SetWatches{RelativeZxid: frame.RelativeZxid, DataWatches: frame.DataWatches,
		ExistWatches: frame.ExistWatches, ChildWatches: frame.ChildWatches}
}
