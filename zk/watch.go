package zk

import (
	"context"
	"fmt"
	"reflect"

	"zoolab/zk/jute"
)

// EventType says what a watch saw.
type EventType = jute.EventType

// The types of events.
const (
	// EventNone is no change: the session has ended, or events were lost.
	EventNone            = jute.EventNone
	EventCreated         = jute.EventNodeCreated
	EventDeleted         = jute.EventNodeDeleted
	EventDataChanged     = jute.EventNodeDataChanged
	EventChildrenChanged = jute.EventNodeChildrenChanged
	// The last event of a watch that RemoveWatch or RemoveWatches has ended.
	EventDataWatchRemoved       = jute.EventDataWatchRemoved
	EventChildWatchRemoved      = jute.EventChildWatchRemoved
	EventPersistentWatchRemoved = jute.EventPersistentWatchRemoved
)

// Event is what a watch saw.
type Event struct {
	Type EventType
	Path string // without the chroot; empty when Type is EventNone
	// Zxid is that of the change. It is -1 from Apache's servers before 3.9, and for what
	// changed while the client was away.
	Zxid int64
	// Err is set when Type is EventNone: ErrEventsLost, or why the session ended.
	Err error
}

// WatchMode is what a watch of AddWatch looks at.
type WatchMode = jute.AddWatchMode

// The modes of AddWatch.
const (
	// WatchPersistent sees a znode created, changed and deleted, and its children
	// come and go.
	WatchPersistent = jute.AddWatchPersistent
	// WatchRecursive sees the znode and all below it created, changed and deleted.
	// It has no events for children, since it sees the children themselves.
	WatchRecursive = jute.AddWatchRecursive
)

// WatchType selects watches of a path for RemoveWatches and CheckWatches.
type WatchType = jute.WatcherType

// The types of watches.
const (
	WatchTypeChildren = jute.WatcherChildren // those of ChildrenW
	WatchTypeData     = jute.WatcherData     // those of GetW and ExistsW
	WatchTypeAny      = jute.WatcherAny      // these and those of AddWatch
)

func validType(t WatchType) error {
	if t < WatchTypeChildren || t > WatchTypeAny {
		return fmt.Errorf("%w: there is no watch type %d", ErrBadArguments, t)
	}
	return nil
}

// AddWatch sends every event of a path to events, until RemoveWatch or the session's
// end. Several watches may share a channel, which then gets each event once.
//
// The channel must have a capacity of at least 2, and the client never waits for room
// in it: when one place is left, an event of type EventNone with ErrEventsLost takes
// it, and nothing follows until that place is free. The same event comes after each
// reconnect, since servers don't replay what a persistent watch has missed. Whoever
// receives it reads again what it watches. The end of the session sends a last event
// of type EventNone, dropped when there is no room; the channel is not closed.
func (c *Client) AddWatch(ctx context.Context, path string, mode WatchMode, events chan Event) (Reply, error) {
	if err := checkPath(path); err != nil {
		return Reply{}, refuse(jute.OpAddWatch, path, err)
	}
	if cap(events) < 2 {
		return Reply{}, refuse(jute.OpAddWatch, path, fmt.Errorf("%w: the channel's capacity is %d, at least 2 are needed", ErrBadArguments, cap(events)))
	}
	kind := watchPersistent
	switch mode {
	case WatchPersistent:
	case WatchRecursive:
		kind = watchRecursive
	default:
		return Reply{}, refuse(jute.OpAddWatch, path, fmt.Errorf("%w: there is no watch mode %d", ErrBadArguments, mode))
	}
	var resp jute.ErrorResponse
	return c.do(ctx, &call{op: jute.OpAddWatch, path: path, resp: &resp,
		req:   &jute.AddWatchRequest{Path: c.serverPath(path), Mode: mode},
		watch: &watchRequest{kind: kind, path: c.serverPath(path), events: events}})
}

// CheckWatches asks the server whether this client has watches of the type on a path;
// without any the error is ErrNoWatcher.
func (c *Client) CheckWatches(ctx context.Context, path string, which WatchType) (Reply, error) {
	if err := checkPath(path); err != nil {
		return Reply{}, refuse(jute.OpCheckWatches, path, err)
	}
	if err := validType(which); err != nil {
		return Reply{}, refuse(jute.OpCheckWatches, path, err)
	}
	return c.do(ctx, &call{op: jute.OpCheckWatches, path: path,
		req: &jute.CheckWatchesRequest{Path: c.serverPath(path), Type: which}})
}

// RemoveWatches ends the client's watches of the type on a path. Their channels get
// an event that says so; those of one-shot watches are then closed. Without such a
// watch the error is ErrNoWatcher. With local set, the client forgets the watches
// even if the server can't be asked.
func (c *Client) RemoveWatches(ctx context.Context, path string, which WatchType, local bool) (Reply, error) {
	if err := checkPath(path); err != nil {
		return Reply{}, refuse(jute.OpRemoveWatches, path, err)
	}
	if err := validType(which); err != nil {
		return Reply{}, refuse(jute.OpRemoveWatches, path, err)
	}
	return c.removeWatches(ctx, path, which, nil, local)
}

// RemoveWatch ends the client's watch on a path whose events go to the channel: one
// of AddWatch, GetW, ExistsW or ChildrenW. It is else like RemoveWatches, and leaves
// other watches of the path alone.
func (c *Client) RemoveWatch(ctx context.Context, path string, events <-chan Event, local bool) (Reply, error) {
	if err := checkPath(path); err != nil {
		return Reply{}, refuse(jute.OpRemoveWatches, path, err)
	}
	return c.removeWatches(ctx, path, WatchTypeAny, events, local)
}

// removeWatches ends the watches on path of the type and, if only is not nil, of that
// channel. The server is asked only when no other watch of the path remains here: it
// keeps a path's watches of one connection together and would end those too. What it
// then fires for nobody is ignored.
func (c *Client) removeWatches(ctx context.Context, path string, which WatchType, only <-chan Event, local bool) (Reply, error) {
	serverPath := c.serverPath(path)
	removal := &watchRemoval{c: c, path: serverPath, which: which, only: only}
	c.mu.Lock()
	found, others := c.watches.count(removal)
	if found > 0 && others > 0 {
		removed := c.watches.remove(removal)
		c.mu.Unlock()
		c.report(removed...)
		return Reply{}, nil
	}
	c.mu.Unlock()
	if found == 0 {
		return Reply{}, refuse(jute.OpRemoveWatches, path, ErrNoWatcher)
	}
	reply, err := c.do(ctx, &call{op: jute.OpRemoveWatches, path: path, removal: removal,
		req: &jute.RemoveWatchesRequest{Path: serverPath, Type: jute.WatcherAny}})
	if err == nil || !local {
		return reply, err
	}
	c.mu.Lock()
	removed := c.watches.remove(removal)
	c.mu.Unlock()
	c.report(removed...)
	return reply, nil
}

// report gives events to who asked for all of them; the caller does not hold mu.
func (c *Client) report(events ...Event) {
	if c.onWatch == nil {
		return
	}
	for _, event := range events {
		c.onWatch(event)
	}
}

// watchRequest asks to be told once the call has been answered.
type watchRequest struct {
	kind   watchKind
	path   string // with the chroot
	events chan Event
}

func newWatch(kind watchKind, serverPath string) *watchRequest {
	return &watchRequest{kind: kind, path: serverPath, events: make(chan Event, 1)}
}

// settle does to the watches what the server has done to them with its answer. An
// exists of a missing znode leaves a watch for its creation; other refusals leave none.
func (c *Client) settle(k *call, code jute.ErrorCode) {
	if k.watch == nil && k.removal == nil {
		return
	}
	if k.removal != nil {
		if code == jute.CodeOK || code == jute.CodeNoWatcher {
			c.mu.Lock()
			removed := c.watches.remove(k.removal)
			c.rewatch(k.removal.path, k.zxid)
			c.mu.Unlock()
			c.report(removed...)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := k.watch.kind
	switch {
	case code == jute.CodeOK && kind == watchExist:
		kind = watchData
	case code == jute.CodeNoNode && kind == watchExist:
	case code != jute.CodeOK:
		return
	}
	c.watches.add(kind, k.watch.path, k.watch.events)
}

// rewatch sets again the watches on a path that were under way when the server was
// asked to remove all of them; the caller holds mu. It fires what has changed since
// the removal, whose zxid is given.
func (c *Client) rewatch(path string, zxid int64) {
	frame := c.watches.frameOf(path, zxid)
	if frame == nil || c.link == nil {
		return
	}
	c.queue.push(&call{op: jute.OpSetWatches2, req: frame, done: make(chan struct{}, 1)})
	c.wakeWriter()
}

// notify delivers a server's event to the watches that it fires.
func (c *Client) notify(zxid int64, d *jute.Decoder) error {
	var event jute.WatcherEvent
	event.Decode(d)
	if d.Err() != nil || d.Len() > 0 {
		return fmt.Errorf("%w: watch event with %d bytes too many: %v", jute.ErrMalformed, d.Len(), d.Err())
	}
	if event.Type == EventNone {
		return nil // a server's note on the session, whose state the client knows
	}
	if _, known := firedBy[event.Type]; !known {
		return fmt.Errorf("%w: watch event of type %d", jute.ErrMalformed, event.Type)
	}
	seen := Event{Type: event.Type, Path: c.clientPath(event.Path), Zxid: zxid}
	c.mu.Lock()
	// A change may have more events than this one.
	c.session.LastZxid, c.told = max(c.session.LastZxid, zxid), max(c.told, zxid-1)
	fired := c.watches.fire(event.Path, seen)
	c.mu.Unlock()
	switch {
	case fired:
		c.report(seen)
	case c.onStray != nil:
		c.onStray(seen)
	}
	return nil
}

// sameChannel reports whether both are the same channel, of whatever direction.
func sameChannel(a chan Event, b <-chan Event) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}
