package zk

import (
	"fmt"

	"zoolab/zk/jute"
)

// EventType says what a watch saw.
type EventType = jute.EventType

// The types of events.
const (
	EventNone            = jute.EventNone // the session ended
	EventCreated         = jute.EventNodeCreated
	EventDeleted         = jute.EventNodeDeleted
	EventDataChanged     = jute.EventNodeDataChanged
	EventChildrenChanged = jute.EventNodeChildrenChanged
)

// Event is what a watch saw.
type Event struct {
	Type EventType
	Path string // without the chroot
	// Zxid is the zxid of the event's header. Servers before 3.9 send -1.
	Zxid int64
	// Err says why the watch ended when Type is EventNone.
	Err error
}

// setWatchesBytes bounds the paths of one setWatches request.
const setWatchesBytes = 128 << 10

// watchKind is what a watch looks at.
type watchKind int

const (
	watchData watchKind = iota
	watchExist
	watchChild
	watchKinds
)

// watchRequest asks to be told once the call has been answered.
type watchRequest struct {
	kind   watchKind
	path   string // with the chroot
	events chan Event
}

func newWatch(kind watchKind, serverPath string) *watchRequest {
	return &watchRequest{kind: kind, path: serverPath, events: make(chan Event, 1)}
}

// watchTable holds the watches that were set and have not fired, by path with chroot.
// It is guarded by Client.mu.
type watchTable [watchKinds]map[string][]chan Event

func newWatchTable() watchTable {
	var t watchTable
	for kind := range t {
		t[kind] = make(map[string][]chan Event)
	}
	return t
}

// register keeps the watch that the server has set with its answer. An exists of a
// missing znode leaves a watch for its creation; other refusals leave none.
func (c *Client) register(k *call, code jute.ErrorCode) {
	w := k.watch
	if w == nil {
		return
	}
	kind := w.kind
	switch {
	case code == jute.CodeOK && kind == watchExist:
		kind = watchData
	case code == jute.CodeNoNode && kind == watchExist:
	case code != jute.CodeOK:
		return
	}
	c.mu.Lock()
	c.watches[kind][w.path] = append(c.watches[kind][w.path], w.events)
	c.mu.Unlock()
}

// notify delivers a server's event to the watches that it fires.
func (c *Client) notify(zxid int64, d *jute.Decoder) error {
	var event jute.WatcherEvent
	event.Decode(d)
	if d.Err() != nil || d.Len() > 0 {
		return fmt.Errorf("%w: watch event with %d bytes too many: %v", jute.ErrMalformed, d.Len(), d.Err())
	}
	fires, known := firedBy[event.Type]
	if !known {
		return fmt.Errorf("%w: watch event of type %d", jute.ErrMalformed, event.Type)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.LastZxid = max(c.session.LastZxid, zxid)
	for _, kind := range fires {
		for _, events := range c.watches[kind][event.Path] {
			events <- Event{Type: event.Type, Path: c.clientPath(event.Path), Zxid: zxid}
			close(events)
		}
		delete(c.watches[kind], event.Path)
	}
	return nil
}

var firedBy = map[EventType][]watchKind{
	EventNone:                        nil, // a server's note on the session
	EventCreated:                     {watchData, watchExist},
	EventDeleted:                     {watchData, watchExist, watchChild},
	EventDataChanged:                 {watchData, watchExist},
	EventChildrenChanged:             {watchChild},
	jute.EventDataWatchRemoved:       nil,
	jute.EventChildWatchRemoved:      nil,
	jute.EventPersistentWatchRemoved: nil,
}

// end tells all watches that the session is over.
func (t *watchTable) end(state State, cause error) {
	for kind := range t {
		for path, watchers := range t[kind] {
			for _, events := range watchers {
				events <- Event{Type: EventNone, Err: fmt.Errorf("session %v: %w", state, cause)}
				close(events)
			}
			delete(t[kind], path)
		}
	}
}

// frames tells a server about all watches, in requests that it accepts. It fires at
// once what has changed since zxid.
func (t *watchTable) frames(zxid int64) []jute.SetWatches {
	var frames []jute.SetWatches
	size := setWatchesBytes
	for kind := range t {
		for path := range t[kind] {
			if size += len(path) + 4; size > setWatchesBytes {
				frames = append(frames, jute.SetWatches{RelativeZxid: zxid})
				size = len(path) + 4
			}
			frame := &frames[len(frames)-1]
			switch watchKind(kind) {
			case watchData:
				frame.DataWatches = append(frame.DataWatches, path)
			case watchExist:
				frame.ExistWatches = append(frame.ExistWatches, path)
			case watchChild:
				frame.ChildWatches = append(frame.ChildWatches, path)
			}
		}
	}
	return frames
}
