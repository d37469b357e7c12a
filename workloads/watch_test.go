package workloads

import "testing"

func TestWatchStories(t *testing.T) {
	const once, followed, exists, parent = "w0", "followed/k0", "x0", "c0"
	kinds := map[string]EventKind{once: EventChanged, exists: EventCreated, parent: EventChildren, keptKey: EventChanged, "": EventLost}
	// ev is an event of the kind that its key mostly has.
	ev := func(key string, zxid int64) any {
		kind, ok := kinds[key]
		if !ok {
			kind = EventChanged
		}
		return []any{key, string(kind), zxid}
	}
	as := func(key string, kind EventKind, zxid int64) any { return []any{key, string(kind), zxid} }
	// did is an answered operation of session 1 unless it is a change, which is
	// another's and has no events of its own.
	did := func(s *script, kind Type, f, key string, zxid, mzxid int64, events ...any) {
		from, session := len(s.history), int64(1)
		if changeKinds[f] != "" {
			session = 2
		}
		s.did(from, kind, f, nil, events)
		for i := from; i < len(s.history); i++ {
			s.history[i].Session, s.history[i].Key = session, key
		}
		if kind == OK {
			s.history[from+1].Zxid, s.history[from+1].Mzxid = zxid, mzxid
		}
	}
	runStories(t, CheckWatches, []storyTest{
		{"fine", "", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "read", once, 10, 10)
			did(s, OK, "read", once, 11, 11, ev(once, 11))
			did(s, OK, "write", once, 12, 12)
			did(s, OK, "read", once, 12, 12)
		}},
		{"data before its event", "shows key w0 at zxid 0xb, but the watch that operation 0 set at zxid 0xa had not fired", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "read", once, 11, 11)
		}},
		{"fires twice", "the session had no watch on it, or it had fired before", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "write", once, 12, 12)
			did(s, OK, "read", once, 12, 12, ev(once, 11), ev(once, 12))
		}},
		{"a watch that may have been set", "", func(s *script) {
			did(s, Fail, "watch", once, 0, 0)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "read", once, 11, 11, ev(once, 11))
		}},
		{"a watch that may have been set fires before the next is set", "", func(s *script) {
			did(s, Fail, "watch", once, 0, 0)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "watch", once, 11, 11, ev(once, 11))
			did(s, OK, "write", once, 12, 12)
			did(s, OK, "read", once, 12, 12, ev(once, 12))
		}},
		{"an event of before the watch that comes with its answer", "the session had no watch on it, or it had fired before", func(s *script) {
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "watch", once, 11, 11, ev(once, 11))
		}},
		{"fires with the answer that set it", "", func(s *script) {
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "watch", once, 10, 10, ev(once, -1))
			did(s, OK, "read", once, 11, 11)
		}},
		{"one watch, set again, fires once", "", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "watch", once, 10, 10, ev(once, 11))
			did(s, OK, "read", once, 11, 11)
		}},
		{"two watches fire with one answer", "", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "write", once, 12, 12)
			did(s, OK, "watch", once, 11, 11, ev(once, 11), ev(once, 12))
			did(s, OK, "read", once, 12, 12)
		}},
		{"one watch fires twice with one answer", "it had fired before", func(s *script) {
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "watch", once, 10, 10, ev(once, 11), ev(once, 11))
		}},
		{"invented", "but nobody can have changed it since operation 0", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "read", once, 10, 10, ev(once, -1))
		}},
		{"perhaps an unknown write", "", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, Info, "write", once, 0, 0)
			did(s, OK, "read", "w1", 11, 0, ev(once, -1))
		}},
		{"an old event", "at zxid 0xa came before the answer of operation 4, but the session had come to zxid 0xa by operation 0 before", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "read", once, 11, 11, ev(once, 10))
		}},
		{"a zxid too high", "says changed at zxid 0xc, at which nobody can have changed it", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "read", once, 12, 11, ev(once, 12))
		}},
		{"the zxid of another change", "says changed at zxid 0xc, but at that key w1 was changed", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, Info, "write", once, 0, 0)
			did(s, OK, "write", "w1", 12, 12)
			did(s, OK, "read", "w2", 12, 0, ev(once, 12))
		}},
		{"the zxid of a later change", "is of zxid 0xc, but the first change since operation 0 set the watch was at zxid 0xb", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "write", once, 12, 12)
			did(s, OK, "read", once, 12, 12, ev(once, 12))
		}},
		{"the zxid of a change without an answer", "", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, Info, "write", once, 0, 0)
			did(s, OK, "write", once, 12, 12)
			did(s, OK, "read", once, 12, 12, ev(once, 11))
		}},
		{"the zxid of a change without an answer that was read", "", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, Info, "write", once, 0, 0)
			did(s, OK, "read", once, 11, 11, ev(once, 11))
		}},
		{"set again, and told without a zxid", "", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "write", once, 12, 12)
			did(s, OK, "read", once, 12, 12, ev(once, -1))
		}},
		{"waited for, missed, and made again", "", func(s *script) {
			did(s, OK, "await", exists, 10, 0)
			did(s, OK, "make", exists, 11, 11)
			did(s, OK, "drop", exists, 12, 12)
			did(s, OK, "make", exists, 13, 13)
			did(s, OK, "read", exists, 13, 13, ev(exists, 13))
		}},
		{"a list of children at another zxid", "says children at zxid 0xd, at which nobody can have changed it", func(s *script) {
			did(s, OK, "listen", parent, 10, 10)
			did(s, OK, "make", parent+"/k0", 11, 11)
			did(s, OK, "listen", parent, 11, 11, ev(parent, 13))
		}},
		{"an event behind other news", "operation 4 was answered at zxid 0xb, but the watch that operation 0 set on key w0 at zxid 0xa had not fired, though that was changed at zxid 0xb", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "read", "w1", 11, 0)
			did(s, OK, "read", "w1", 12, 0, ev(once, -1))
		}},
		{"no event of a list of children, and other news", "had not fired, though that was changed at zxid 0xb", func(s *script) {
			did(s, OK, "listen", parent, 10, 10)
			did(s, OK, "make", parent+"/k0", 11, 11)
			did(s, OK, "read", once, 11, 0)
		}},
		{"other news of before the change", "", func(s *script) {
			did(s, OK, "watch", once, 10, 10)
			did(s, OK, "write", once, 11, 11)
			did(s, OK, "read", "w1", 10, 0)
			did(s, OK, "read", "w1", 12, 0, ev(once, 11))
		}},
		{"made and dropped while nobody looked, and other news", "", func(s *script) {
			did(s, OK, "await", exists, 10, 0)
			did(s, OK, "make", exists, 11, 11)
			did(s, OK, "drop", exists, 12, 12)
			did(s, OK, "read", "w1", 12, 0)
		}},
		{"an event of an unknown change behind other news", "the event of key followed/k0 at zxid 0xb came before the answer of operation 6, but the session had come to zxid 0xc by operation 4 before", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, Info, "write", followed, 0, 0)
			did(s, OK, "read", "w1", 12, 0)
			did(s, OK, "read", "w1", 13, 0, ev(followed, 11))
		}},
		{"follows", "", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "write", followed, 11, 11)
			did(s, OK, "write", followed, 12, 12)
			did(s, OK, "read", followed, 12, 12, ev(followed, 11), ev(followed, 12))
		}},
		{"follows with a gap", "", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "write", followed, 11, 11)
			did(s, OK, "read", followed, 11, 11, ev("", -1))
		}},
		{"a change is not told", "the persistent watch of operation 0 had not told of the change of key followed/k0 at zxid 0xb", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "write", followed, 11, 11)
			did(s, OK, "write", followed, 12, 12)
			did(s, OK, "read", "w1", 12, 0, ev(followed, 12))
		}},
		{"out of order", "at zxid 0xb, before the answer of operation 6, came after one at zxid 0xc", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "write", followed, 11, 11)
			did(s, OK, "write", followed, 12, 12)
			did(s, OK, "read", followed, 12, 12, ev(followed, 12), ev(followed, 11))
		}},
		{"of another key", "is said to be of key followed/k1, but that change was of key followed/k0", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "write", followed, 11, 11)
			did(s, OK, "read", followed, 11, 11, ev("followed/k1", 11))
		}},
		{"of no write", "is of no change", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "read", followed, 11, 0, ev(followed, 11))
		}},
		{"a znode comes and goes", "", func(s *script) {
			did(s, OK, "await", exists, 10, 0)
			did(s, OK, "make", exists, 11, 11)
			did(s, OK, "await", exists, 11, 11, ev(exists, 11))
			did(s, OK, "drop", exists, 12, 12)
			did(s, OK, "read", exists, 12, 0, as(exists, EventDeleted, 12))
		}},
		{"a znode that is waited for is there before its event", "shows key x0 at zxid 0xb, but the watch that operation 0 set at zxid 0x0 had not fired", func(s *script) {
			did(s, OK, "await", exists, 10, 0)
			did(s, OK, "make", exists, 11, 11)
			did(s, OK, "read", exists, 11, 11)
		}},
		{"a watched znode is gone before its event", "shows key x0 at zxid 0x0, but the watch that operation 2 set at zxid 0xb had not fired", func(s *script) {
			did(s, OK, "make", exists, 11, 11)
			did(s, OK, "await", exists, 11, 11)
			did(s, OK, "drop", exists, 12, 12)
			did(s, OK, "read", exists, 12, 0)
		}},
		{"made and dropped while nobody looked", "", func(s *script) {
			did(s, OK, "await", exists, 10, 0)
			did(s, OK, "make", exists, 11, 11)
			did(s, OK, "drop", exists, 12, 12)
			did(s, OK, "read", exists, 12, 0)
		}},
		{"deleted instead of created", "says deleted, but the watch that operation 0 set, at zxid 0x0, can only see created", func(s *script) {
			did(s, OK, "await", exists, 10, 0)
			did(s, OK, "make", exists, 11, 11)
			did(s, OK, "read", exists, 11, 11, as(exists, EventDeleted, 11))
		}},
		{"children", "", func(s *script) {
			did(s, OK, "listen", parent, 10, 10)
			did(s, OK, "make", parent+"/k0", 11, 11)
			did(s, OK, "listen", parent, 11, 11, ev(parent, 11))
		}},
		{"a list of children before its event", "shows key c0 at zxid 0xb, but the watch that operation 0 set at zxid 0xa had not fired", func(s *script) {
			did(s, OK, "listen", parent, 10, 10)
			did(s, OK, "make", parent+"/k0", 11, 11)
			did(s, OK, "listen", parent, 11, 11)
		}},
		{"children that nobody made", "nobody can have changed it since operation 0", func(s *script) {
			did(s, OK, "listen", parent, 10, 10)
			did(s, OK, "read", once, 10, 10, ev(parent, -1))
		}},
		{"keeps data and children", "", func(s *script) {
			did(s, OK, "follow", keptKey, 10, 0)
			did(s, OK, "write", keptKey, 11, 11)
			did(s, OK, "make", keptKey+"/m0", 12, 12)
			did(s, OK, "read", keptKey, 12, 11, ev(keptKey, 11), as(keptKey, EventChildren, 12))
		}},
		{"children of what is kept are not told", "had not told of the change of key kept/m0 at zxid 0xb", func(s *script) {
			did(s, OK, "follow", keptKey, 10, 0)
			did(s, OK, "make", keptKey+"/m0", 11, 11)
			did(s, OK, "read", "w1", 11, 0)
		}},
		{"follows what is made and dropped", "", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "make", followedKey+"/m0", 11, 11)
			did(s, OK, "drop", followedKey+"/m0", 12, 12)
			did(s, OK, "read", "w1", 12, 0, as(followedKey+"/m0", EventCreated, 11), as(followedKey+"/m0", EventDeleted, 12))
		}},
		{"a recursive watch is told of a list of children", "the event at zxid 0xb is said to be of key followed, but that change was of key followed/m0", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "make", followedKey+"/m0", 11, 11)
			did(s, OK, "read", "w1", 11, 0, as(followedKey, EventChildren, 11), as(followedKey+"/m0", EventCreated, 12))
		}},
		{"the same by a server that does not tell zxids", "", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "make", followedKey+"/m0", 11, 11)
			did(s, OK, "read", "w1", 11, 0, as(followedKey, EventChildren, -1), as(followedKey+"/m0", EventCreated, -1))
		}},
		{"made, and told as changed", "says changed, but that change was one of created", func(s *script) {
			did(s, OK, "follow", followedKey, 10, 0)
			did(s, OK, "make", followedKey+"/m0", 11, 11)
			did(s, OK, "read", "w1", 11, 0, ev(followedKey+"/m0", 11))
		}},
		{"follows nothing", "its session follows nothing", func(s *script) {
			did(s, OK, "write", followed, 11, 11)
			did(s, OK, "read", followed, 11, 11, ev(followed, 11))
		}},
	})
}
