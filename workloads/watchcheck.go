package workloads

import (
	"fmt"
	"strings"
)

// CheckWatches judges the events of each session against the changes that are
// known. Keys are never deleted. For a watch that fires once, set by an answer
// that showed its key at zxid m:
//
//   - none is lost, and the event comes before the data: once the session is
//     shown the key above m, the watch has fired;
//   - it fires once: another event needs another watch;
//   - none is invented: some write of the key, acknowledged above m or of
//     unknown outcome, began before the event was handed over, and where servers
//     tell an event's zxid, that is above m.
//
// These hold across reconnects, because the next member is told which watches
// there are and how far the session had come. A watch whose setting failed may
// have been set; its event is let pass.
//
// For the persistent watch, from the zxid of the answer that set it:
//
//   - events come in the order of changes, none twice, and each is that of a
//     write;
//   - none is lost: when an answer's header says that the member had come to
//     zxid z, all known changes up to z were told before it. Events that may have
//     been missed, as the client reports after a reconnect, start this anew at
//     the header of the answer that they came with: the documented gap.
//
// The rules of the persistent watch need the events' zxids, which servers before
// 3.9 don't send: it is then counted and not judged.
func CheckWatches(history []Op, bounds Bounds) Result {
	result := Result{Checker: "watches", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	c := &watchCheck{
		faults: &faultList{max: bounds.MaxFailures}, sessions: make(map[string]*watchedSession),
		known: make(map[string][]knownChange), byZxid: make(map[int64]string), firstOpen: make(map[string]int),
	}
	for _, key := range splitByKey(operations) {
		c.note(key)
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

type watchCheck struct {
	faults    *faultList
	sessions  map[string]*watchedSession
	known     map[string][]knownChange // by key, by zxid
	byZxid    map[int64]string         // of known changes -> key
	firstOpen map[string]int           // key -> Index of its first write of unknown outcome

	followedKeys                        []string
	events, followed, gaps, withoutZxid int
}

type watchedSession struct {
	armed  map[string]*Operation // key -> the answer that set the watch
	maybe  map[string]bool       // watches that may have been set
	fired  bool                  // the watch of the present answer has fired with it
	follow *Operation            // the answer that set the persistent watch, nil without
	from   int64                 // all changes above it must be told
	last   int64                 // zxid of the newest event of the persistent watch
	told   map[int64]bool        // zxids of its events
}

func (c *watchCheck) note(key keyOperations) {
	c.known[key.key] = knownChanges(key)
	for _, change := range c.known[key.key] {
		c.byZxid[change.mzxid] = key.key
	}
	if strings.HasPrefix(key.key, followedPrefix+"/") {
		c.followedKeys = append(c.followedKeys, key.key)
	}
	for _, operation := range key.operations {
		if operation.Invoke.F != "write" || operation.Complete.Type != Info {
			continue
		}
		if _, ok := c.firstOpen[key.key]; !ok {
			c.firstOpen[key.key] = operation.Invoke.Index
		}
	}
}

func (c *watchCheck) answer(operation *Operation) {
	name := sessionName(&operation.Invoke)
	s := c.sessions[name]
	if s == nil {
		s = &watchedSession{armed: make(map[string]*Operation), maybe: make(map[string]bool), told: make(map[int64]bool)}
		c.sessions[name] = s
	}
	key := operation.Invoke.Key
	if operation.Complete.Type != OK {
		if operation.Invoke.F == "watch" {
			s.maybe[key] = true
		}
		return
	}
	gap := false
	s.fired = false
	events, _ := operation.Complete.Value.([]any)
	for _, item := range events {
		event, _ := item.([]any)
		if len(event) != 2 {
			continue
		}
		path, _ := event[0].(string)
		zxid, _ := event[1].(int64)
		switch {
		case path == "":
			gap, s.last = true, 0
		case strings.HasPrefix(path, followedPrefix+"/"):
			c.followedEvent(s, operation, path, zxid)
		default:
			c.onceEvent(s, operation, path, zxid)
		}
	}
	c.gap(s, operation, gap)
	c.owed(s, operation)
	if armed := s.armed[key]; armed != nil && operation.Complete.Mzxid > armed.Complete.Mzxid {
		c.faults.add(key, fmt.Sprintf("%s %d shows key %s at zxid %s, but the watch that operation %d set at zxid %s had not fired", operation.Invoke.F, operation.Invoke.Index, key, hex(operation.Complete.Mzxid), armed.Invoke.Index, hex(armed.Complete.Mzxid)), armed, operation)
		delete(s.armed, key)
	}
	switch operation.Invoke.F {
	case "watch":
		if s.armed[key] == nil && !s.fired {
			s.armed[key] = operation
		}
	case "follow":
		s.follow, s.from = operation, operation.Complete.Zxid
	}
}

func (c *watchCheck) onceEvent(s *watchedSession, operation *Operation, key string, zxid int64) {
	c.events++
	armed := s.armed[key]
	delete(s.armed, key)
	if armed == nil && operation.Invoke.F == "watch" && operation.Invoke.Key == key && !s.fired {
		// It fired between the answer that set it and the handing over.
		armed, s.fired = operation, true
	} else if armed != nil && operation.Invoke.Key == key && operation.Invoke.F == "watch" && armed.Complete.Mzxid == operation.Complete.Mzxid {
		s.fired = true // both are one watch, and the event came after the answer
	}
	if armed == nil {
		if !s.maybe[key] {
			c.faults.add(key, fmt.Sprintf("an event of key %s came before the answer of operation %d, but the session had no watch on it, or it had fired before", key, operation.Invoke.Index), operation)
		}
		delete(s.maybe, key)
		return
	}
	if zxid > 0 && zxid <= armed.Complete.Mzxid {
		c.faults.add(key, fmt.Sprintf("the event of key %s that came before the answer of operation %d is of zxid %s, but its watch was set by operation %d when the key was at zxid %s already", key, operation.Invoke.Index, hex(zxid), armed.Invoke.Index, hex(armed.Complete.Mzxid)), armed, operation)
		return
	}
	for _, change := range c.known[key] {
		if change.mzxid > armed.Complete.Mzxid {
			return
		}
	}
	if open, ok := c.firstOpen[key]; ok && open < operation.Complete.Index {
		return
	}
	c.faults.add(key, fmt.Sprintf("an event of key %s came before the answer of operation %d, but nobody can have changed it since operation %d set the watch at zxid %s", key, operation.Invoke.Index, armed.Invoke.Index, hex(armed.Complete.Mzxid)), armed, operation)
}

func (c *watchCheck) followedEvent(s *watchedSession, operation *Operation, key string, zxid int64) {
	c.followed++
	if s.follow == nil && operation.Invoke.F != "follow" && !s.maybe[followedPrefix] {
		c.faults.add(key, fmt.Sprintf("an event of key %s came before the answer of operation %d, but its session follows nothing", key, operation.Invoke.Index), operation)
		return
	}
	if zxid <= 0 {
		c.withoutZxid++
		return
	}
	if zxid <= s.last {
		c.faults.add(key, fmt.Sprintf("the event of key %s at zxid %s, before the answer of operation %d, came after one at zxid %s", key, hex(zxid), operation.Invoke.Index, hex(s.last)), operation)
	}
	s.last = max(s.last, zxid)
	s.told[zxid] = true
	if changed, ok := c.byZxid[zxid]; ok && changed != key {
		c.faults.add(key, fmt.Sprintf("the event at zxid %s is said to be of key %s, but that change was of key %s (operation %d)", hex(zxid), key, changed, operation.Invoke.Index), operation)
	} else if open, some := c.firstOpen[key]; !ok && (!some || open > operation.Complete.Index) {
		c.faults.add(key, fmt.Sprintf("the event of key %s at zxid %s, before the answer of operation %d, is of no write", key, hex(zxid), operation.Invoke.Index), operation)
	}
}

// gap starts the persistent watch anew where the client says that it may have
// missed something.
func (c *watchCheck) gap(s *watchedSession, operation *Operation, gap bool) {
	if gap {
		c.gaps++
		s.from = max(s.from, operation.Complete.Zxid)
	}
}

// owed finds changes that an answer proves the member to have had, and that the
// persistent watch did not tell before it.
func (c *watchCheck) owed(s *watchedSession, operation *Operation) {
	if s.follow == nil || c.withoutZxid > 0 || operation.Complete.Zxid <= s.from {
		return
	}
	for _, key := range c.followedKeys {
		changes := c.known[key]
		for i := len(changes) - 1; i >= 0 && changes[i].mzxid > s.from; i-- {
			change := changes[i]
			if change.mzxid <= operation.Complete.Zxid && !s.told[change.mzxid] {
				s.told[change.mzxid] = true // once is enough
				c.faults.add(key, fmt.Sprintf("operation %d was answered at zxid %s, but the persistent watch of operation %d had not told of the change of key %s at zxid %s", operation.Invoke.Index, hex(operation.Complete.Zxid), s.follow.Invoke.Index, key, hex(change.mzxid)), s.follow, change.operation, operation)
			}
		}
	}
	s.from = operation.Complete.Zxid
}
