package workloads

import "fmt"

// following is a persistent watch of one session.
type following struct {
	set  *Operation     // the answer that set it, nil without
	from int64          // all changes above it must be told
	last int64          // zxid of the newest event
	told map[int64]bool // zxids of its events
}

func newFollowing() *following { return &following{told: make(map[int64]bool)} }

func (f *following) start(operation *Operation) {
	f.set, f.from = operation, operation.Complete.Zxid
}

// changesUnder lists the changes that a persistent watch must tell, by zxid.
func (c *watchChanges) changesUnder(root string) []watchChange {
	if root == followedKey {
		return c.followed
	}
	return c.known[root]
}

// followedEvent judges an event of a persistent watch.
func (c *watchCheck) followedEvent(s *watchingSession, operation *Operation, root string, event watchEventOf) {
	c.followed++
	f, at := s.follows[root], operation.Invoke.Index
	if f.set == nil && !(operation.Invoke.F == "follow" && operation.Invoke.Key == root) && s.maybe[root] == 0 {
		c.faults.add(event.key, fmt.Sprintf("an event of key %s came before the answer of operation %d, but its session follows nothing", event.key, at), operation)
		return
	}
	if event.zxid <= 0 {
		c.withoutZxid++
		return
	}
	if event.zxid <= f.last {
		c.faults.add(event.key, fmt.Sprintf("the event of key %s at zxid %s, before the answer of operation %d, came after one at zxid %s", event.key, hex(event.zxid), at, hex(f.last)), operation)
	}
	f.last = max(f.last, event.zxid)
	f.told[event.zxid] = true
	c.eventIsTrue(operation, root, event)
}

// eventIsTrue compares an event with the change that has its zxid.
func (c *watchCheck) eventIsTrue(operation *Operation, root string, event watchEventOf) {
	at, says := operation.Invoke.Index, watched{event.key, event.kind}
	var is watched
	known := false
	if root == followedKey {
		is, known = c.changes.keys[event.zxid]
	} else {
		for _, change := range c.changes.known[root] {
			if change.zxid == event.zxid {
				is, known = watched{root, change.kind}, true
			}
		}
	}
	switch {
	case !known:
		if !c.changes.possible(says, operation.Complete.Index) {
			c.faults.add(event.key, fmt.Sprintf("the event of key %s (%s) at zxid %s, before the answer of operation %d, is of no change", event.key, event.kind, hex(event.zxid), at), operation)
		}
	case is.key != says.key:
		c.faults.add(event.key, fmt.Sprintf("the event at zxid %s is said to be of key %s, but that change was of key %s (operation %d)", hex(event.zxid), says.key, is.key, at), operation)
	case is.kind != says.kind:
		c.faults.add(event.key, fmt.Sprintf("the event of key %s at zxid %s says %s, but that change was one of %s (operation %d)", says.key, hex(event.zxid), says.kind, is.kind, at), operation)
	}
}

// owed finds changes that an answer proves the member to have had, and that a persistent
// watch did not tell before it. Where events may have been missed, it starts anew.
func (c *watchCheck) owed(s *watchingSession, operation *Operation, gap bool) {
	for _, root := range []string{followedKey, keptKey} {
		f := s.follows[root]
		if gap {
			f.from = max(f.from, operation.Complete.Zxid)
		}
		if f.set == nil || c.withoutZxid > 0 || operation.Complete.Zxid <= f.from {
			continue
		}
		changes := c.changes.changesUnder(root)
		for i := len(changes) - 1; i >= 0 && changes[i].zxid > f.from; i-- {
			change := changes[i]
			if change.zxid > operation.Complete.Zxid || f.told[change.zxid] {
				continue
			}
			f.told[change.zxid] = true // once is enough
			c.faults.add(change.by.Invoke.Key, fmt.Sprintf("operation %d was answered at zxid %s, but the persistent watch of operation %d had not told of the change of key %s at zxid %s", operation.Invoke.Index, hex(operation.Complete.Zxid), f.set.Invoke.Index, change.by.Invoke.Key, hex(change.zxid)), f.set, change.by, operation)
		}
		f.from = operation.Complete.Zxid
	}
}
