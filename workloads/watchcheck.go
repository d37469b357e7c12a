package workloads

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// CheckWatches judges the events of each session against the changes that are known.
// For a watch that fires once, set by an answer that showed what it watches - data, a
// znode that is there or not, a list of children - as it was at zxid m:
//
//   - none is lost, and the event comes before the data: once the session is shown
//     anything newer than that, by whatever answer, the watch has fired;
//   - nor is it late: once an answer's header says that the member had come to a known change
//     above m, the watch has fired. Only a watch of a znode that was not there may have missed
//     what was made and deleted again;
//   - it fires once: another event needs another watch;
//   - none is invented: some change that it is for, acknowledged above m or of unknown
//     outcome, began before the event was handed over;
//   - where servers tell an event's zxid, that is above m, it is that of such a change, and
//     of the first that is known. A watch of a znode that was not there may have missed what
//     was made and deleted again while the session was away. What a member finds out as a
//     session comes back to it has no zxid;
//   - its kind is that of such a change. A watch of existence that was set on a znode
//     may call one that was deleted and made again, while the session was away, changed.
//
// An event with a zxid is told before any answer of a member that has come to it, of
// persistent watches too. These hold across reconnects, because the next member is told which watches there are
// and how far the session had come. What is made and deleted again while a session that
// waits for it is away is the documented gap: nothing shows it, so nothing is asked. A
// watch whose setting failed may have been set; its event is let pass.
//
// For a persistent watch, of one znode or of all below it, from the zxid of the answer
// that set it:
//
//   - events come in the order of changes, none twice, and each is that of a change,
//     with its kind;
//   - none is lost: when an answer's header says that the member had come to zxid z, all
//     known changes up to z were told before it. Events that may have been missed, as
//     the client reports after a reconnect, start this anew at the header of the answer
//     that they came with: the documented gap.
//
// The rules of persistent watches need the events' zxids, which servers before 3.9 don't
// send: they are then counted and not judged.
func CheckWatches(history []Op, bounds Bounds) Result {
	result := Result{Checker: "watches", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	c := &watchCheck{
		faults: &faultList{max: bounds.MaxFailures}, changes: newWatchChanges(operations),
		sessions: make(map[string]*watchingSession),
	}
	for i := range operations {
		// One session has one operation in flight, so that the order of invocations
		// is the order of its answers.
		c.answer(&operations[i])
	}
	result.Stats["sessions"], result.Stats["events"], result.Stats["followed"] = len(c.sessions), c.events, c.followed
	result.Stats["gaps"], result.Stats["without-zxid"] = c.gaps, c.withoutZxid
	return c.faults.judge(result, fmt.Sprintf("%d events of watches that fire once and %d of persistent ones were neither lost nor invented, and came in order (%d sessions, %d documented gaps)", c.events, c.followed, len(c.sessions), c.gaps), "events that can't be, or are missing")
}

// watchEventOf is an event as histories hold it.
type watchEventOf struct {
	key  string
	kind EventKind
	zxid int64 // 0 or below where the server does not tell
}

func watchEvents(operation *Operation) (events []watchEventOf) {
	list, _ := operation.Complete.Value.([]any)
	for _, item := range list {
		fields, _ := item.([]any)
		if len(fields) != 3 {
			continue
		}
		key, _ := fields[0].(string)
		kind, _ := fields[1].(string)
		zxid, _ := fields[2].(int64)
		events = append(events, watchEventOf{key, EventKind(kind), zxid})
	}
	return events
}

// watchChange is a change that some answer proves, as a watch sees it.
type watchChange struct {
	zxid int64
	kind EventKind
	by   *Operation
}

// watched is what an event speaks of.
type watched struct {
	key  string
	kind EventKind
}

// watchChanges are all changes, by the key whose watches see them.
type watchChanges struct {
	known     map[string][]watchChange // by zxid
	followed  []watchChange            // those below followedKey, by zxid
	keys      map[int64]watched        // zxid of a change below followedKey -> its event
	firstOpen map[watched]int          // Index of the first change of unknown outcome

	acknowledged map[int64]watched // zxid of a change that was answered -> its event
}

var changeKinds = map[string]EventKind{"write": EventChanged, "make": EventCreated, "drop": EventDeleted}

// seenBy lists which events a change of a key makes: of the key itself, and of the
// parent whose children are watched.
func seenBy(key string, kind EventKind) []watched {
	parent, _, below := strings.Cut(key, "/")
	if below && parent != followedKey {
		return []watched{{parent, EventChildren}}
	}
	return []watched{{key, kind}}
}

func newWatchChanges(operations []Operation) *watchChanges {
	c := &watchChanges{known: make(map[string][]watchChange), keys: make(map[int64]watched), firstOpen: make(map[watched]int), acknowledged: make(map[int64]watched)}
	seen := make(map[string]map[int64]bool)
	for i := range operations {
		operation := &operations[i]
		kind, changes := changeKinds[operation.Invoke.F]
		if !changes {
			kind = EventChanged
		}
		for _, sees := range seenBy(operation.Invoke.Key, kind) {
			if _, ok := c.firstOpen[sees]; !ok && changes && operation.Complete.Type == Info {
				c.firstOpen[sees] = operation.Invoke.Index
			}
			if changes && operation.Complete.Type == OK {
				c.acknowledged[operation.Complete.Mzxid] = sees
			}
			// A read proves a change whose own answer was lost; of which kind, only its
			// znode can tell.
			zxid, key := operation.Complete.Mzxid, sees.key
			if operation.Complete.Type != OK || zxid == 0 || operation.Invoke.F == "follow" || seen[key][zxid] {
				continue
			}
			if seen[key] == nil {
				seen[key] = make(map[int64]bool)
			}
			change := watchChange{zxid, sees.kind, operation}
			switch {
			case !changes && strings.HasPrefix(key, "x"):
				change.kind = EventCreated
			case !changes && strings.HasPrefix(key, "c"):
				change.kind = EventChildren
			}
			seen[key][zxid] = true
			c.known[key] = append(c.known[key], change)
		}
	}
	for key, changes := range c.known {
		sort.SliceStable(changes, func(i, j int) bool { return changes[i].zxid < changes[j].zxid })
		if below(followedKey, key) {
			c.followed = append(c.followed, changes...)
			for _, change := range changes {
				c.keys[change.zxid] = watched{key, change.kind}
			}
		}
	}
	sort.SliceStable(c.followed, func(i, j int) bool { return c.followed[i].zxid < c.followed[j].zxid })
	return c
}

func below(root, key string) bool { return strings.HasPrefix(key, root+"/") }

// possible says whether a change of unknown outcome, begun before index, may be what an
// event tells of.
func (c *watchChanges) possible(event watched, index int) bool {
	open, ok := c.firstOpen[event]
	return ok && open < index
}

// proved says whether an answer has shown the change that an event tells of.
func (c *watchChanges) proved(event watched, zxid int64) bool {
	for _, change := range c.known[event.key] {
		if change.zxid == zxid {
			return change.kind == event.kind
		}
	}
	return false
}

type watchCheck struct {
	faults   *faultList
	changes  *watchChanges
	sessions map[string]*watchingSession

	events, followed, gaps, withoutZxid int
}

// watchingSession is what one session watches.
type watchingSession struct {
	seen    *Operation            // the newest answer
	armed   map[string]*Operation // key -> the answer that set the watch
	maybe   map[string]int        // how many more watches may have been set
	fired   bool                  // the watch of the present answer has fired with it
	follows map[string]*following // by followedKey and keptKey
}

func (c *watchCheck) session(operation *Operation) *watchingSession {
	name := sessionName(operation.Invoke)
	s := c.sessions[name]
	if s == nil {
		s = &watchingSession{
			armed: make(map[string]*Operation), maybe: make(map[string]int),
			follows: map[string]*following{followedKey: newFollowing(), keptKey: newFollowing()},
		}
		c.sessions[name] = s
	}
	return s
}

func setsOnce(operation *Operation) bool {
	f := operation.Invoke.F
	return f == "watch" || f == "await" || f == "listen"
}

func (c *watchCheck) answer(operation *Operation) {
	s, key := c.session(operation), operation.Invoke.Key
	if operation.Complete.Type != OK {
		if setsOnce(operation) || operation.Invoke.F == "follow" {
			s.maybe[key]++
		}
		return
	}
	s.fired = false
	gap := false
	for _, event := range watchEvents(operation) {
		if s.seen != nil && event.zxid > 0 && event.zxid <= s.seen.Complete.Zxid {
			c.faults.add(event.key, fmt.Sprintf("the event of key %s at zxid %s came before the answer of operation %d, but the session had come to zxid %s by operation %d before", event.key, hex(event.zxid), operation.Invoke.Index, hex(s.seen.Complete.Zxid), s.seen.Invoke.Index), s.seen, operation)
		}
		switch {
		case event.kind == EventLost:
			gap = true
			for _, f := range s.follows {
				f.last = 0
			}
		case event.key == keptKey:
			c.followedEvent(s, operation, keptKey, event)
		case event.key == followedKey || below(followedKey, event.key):
			// Apache's 3.8 also tells a recursive watch of the znode's own children.
			c.followedEvent(s, operation, followedKey, event)
		default:
			c.onceEvent(s, operation, event)
		}
	}
	if gap {
		c.gaps++
	}
	c.owed(s, operation, gap)
	c.shown(s, operation)
	c.late(s, operation)
	s.seen = operation
	switch {
	case operation.Invoke.F == "follow":
		s.follows[key].start(operation)
	case setsOnce(operation) && s.armed[key] == nil && !s.fired:
		s.armed[key] = operation
	}
}

// shown finds a watch that had to fire before an answer that shows something newer.
func (c *watchCheck) shown(s *watchingSession, operation *Operation) {
	kind := changeKinds[operation.Invoke.F]
	for _, sees := range seenBy(operation.Invoke.Key, kind) {
		armed := s.armed[sees.key]
		if armed == nil {
			continue
		}
		was, is := armed.Complete.Mzxid, operation.Complete.Mzxid
		if is > was || was != 0 && is == 0 {
			c.faults.add(sees.key, fmt.Sprintf("%s %d shows key %s at zxid %s, but the watch that operation %d set at zxid %s had not fired", operation.Invoke.F, operation.Invoke.Index, sees.key, hex(is), armed.Invoke.Index, hex(was)), armed, operation)
			delete(s.armed, sees.key)
		}
	}
}

// late finds watches that had to fire before an answer of a member that had come to a change.
func (c *watchCheck) late(s *watchingSession, operation *Operation) {
	for _, key := range slices.Sorted(maps.Keys(s.armed)) {
		armed := s.armed[key]
		changes := c.changes.known[key]
		next := sort.Search(len(changes), func(i int) bool { return changes[i].zxid > armed.Complete.Mzxid })
		if mayMiss(armed) || next == len(changes) || changes[next].zxid > operation.Complete.Zxid {
			continue
		}
		c.faults.add(key, fmt.Sprintf("operation %d was answered at zxid %s, but the watch that operation %d set on key %s at zxid %s had not fired, though that was changed at zxid %s", operation.Invoke.Index, hex(operation.Complete.Zxid), armed.Invoke.Index, key, hex(armed.Complete.Mzxid), hex(changes[next].zxid)), armed, changes[next].by, operation)
		delete(s.armed, key)
	}
}

func (c *watchCheck) onceEvent(s *watchingSession, operation *Operation, event watchEventOf) {
	c.events++
	key, at := event.key, operation.Invoke.Index
	armed := s.armed[key]
	delete(s.armed, key)
	if setsOnce(operation) && operation.Invoke.Key == key {
		switch {
		case armed == nil && !s.fired && (event.zxid <= 0 || event.zxid > operation.Complete.Mzxid):
			// It fired between the answer that set it and the handing over.
			armed, s.fired = operation, true
		case armed != nil && armed.Complete.Mzxid == operation.Complete.Mzxid:
			s.fired = true // both are one watch, and the event came after the answer
			if event.zxid <= 0 {
				// Or it came before, and the session then reconnected to a member that
				// did not know of the change yet: without zxids clients can't tell.
				s.maybe[key]++
			}
		}
	}
	if armed == nil {
		if s.maybe[key] == 0 {
			c.faults.add(key, fmt.Sprintf("an event of key %s came before the answer of operation %d, but the session had no watch on it, or it had fired before", key, at), operation)
		}
		s.maybe[key] = max(0, s.maybe[key]-1)
		return
	}
	was := armed.Complete.Mzxid
	if event.zxid > 0 && event.zxid <= was {
		c.faults.add(key, fmt.Sprintf("the event of key %s that came before the answer of operation %d is of zxid %s, but its watch was set by operation %d when the key was at zxid %s already", key, at, hex(event.zxid), armed.Invoke.Index, hex(was)), armed, operation)
		return
	}
	kinds := expectedKinds(armed)
	right := false
	for _, kind := range kinds {
		right = right || event.kind == kind
	}
	if !right {
		c.faults.add(key, fmt.Sprintf("the event of key %s that came before the answer of operation %d says %s, but the watch that operation %d set, at zxid %s, can only see %s", key, at, event.kind, armed.Invoke.Index, hex(was), kinds[0]), armed, operation)
		return
	}
	if event.zxid > 0 {
		c.onceZxid(armed, operation, event)
		return
	}
	for _, change := range c.changes.known[key] {
		if change.zxid > was {
			return
		}
	}
	for _, kind := range append(kinds, EventCreated) {
		if c.changes.possible(watched{key, kind}, operation.Complete.Index) {
			return
		}
	}
	c.faults.add(key, fmt.Sprintf("an event of key %s came before the answer of operation %d, but nobody can have changed it since operation %d set the watch at zxid %s", key, at, armed.Invoke.Index, hex(was)), armed, operation)
}

// mayMiss says whether what a watch waits for may have come and gone while its session was away.
func mayMiss(armed *Operation) bool {
	return armed.Invoke.F == "await" && armed.Complete.Mzxid == 0
}

// onceZxid judges the zxid of an event that tells one. A member tells a change by its own
// zxid, and none of what it finds out when a watch is set on it again. So the watch was there
// when the change came, and it is the first one since; but what was waited for may have come
// and gone while the session was away.
func (c *watchCheck) onceZxid(armed, operation *Operation, event watchEventOf) {
	says, at := watched{event.key, event.kind}, operation.Invoke.Index
	if is, known := c.changes.acknowledged[event.zxid]; known {
		if is != says {
			c.faults.add(event.key, fmt.Sprintf("the event of key %s that came before the answer of operation %d says %s at zxid %s, but at that key %s was %s", event.key, at, event.kind, hex(event.zxid), is.key, is.kind), armed, operation)
			return
		}
	} else if !c.changes.proved(says, event.zxid) && !c.changes.possible(says, operation.Complete.Index) {
		c.faults.add(event.key, fmt.Sprintf("the event of key %s that came before the answer of operation %d says %s at zxid %s, at which nobody can have changed it", event.key, at, event.kind, hex(event.zxid)), armed, operation)
		return
	}
	changes := c.changes.known[event.key]
	next := sort.Search(len(changes), func(i int) bool { return changes[i].zxid > armed.Complete.Mzxid })
	if !mayMiss(armed) && next < len(changes) && changes[next].zxid < event.zxid {
		c.faults.add(event.key, fmt.Sprintf("the event of key %s that came before the answer of operation %d is of zxid %s, but the first change since operation %d set the watch was at zxid %s", event.key, at, hex(event.zxid), armed.Invoke.Index, hex(changes[next].zxid)), armed, changes[next].by, operation)
	}
}

// expectedKinds lists what a watch that fires once may see first, the plainest in front.
func expectedKinds(armed *Operation) []EventKind {
	switch {
	case armed.Invoke.F == "listen":
		return []EventKind{EventChildren}
	case armed.Invoke.F == "watch":
		return []EventKind{EventChanged}
	case armed.Complete.Mzxid == 0:
		return []EventKind{EventCreated}
	default:
		return []EventKind{EventDeleted, EventChanged}
	}
}
