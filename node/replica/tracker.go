package replica

import "slices"

// tracker knows, on the leader, which sessions live, where they are attached and when
// they expire. Sessions expire in buckets, so that touching one costs no sorting.
type tracker struct {
	bucketMs int64
	sessions map[int64]*tracked
	// buckets holds sessions by the end of the bucket in which they expire, a multiple of bucketMs.
	// Invariant: a session that is not closing is in buckets[its expiresMs], and nowhere else.
	buckets map[int64]map[int64]struct{}
	// nextMs is the first bucket that was not yet expired.
	nextMs int64
}

type tracked struct {
	timeoutMs int32
	expiresMs int64
	owner     owner
	closing   bool // a closeSession is on its way: nothing may be done in its name any more
}

// owner is the member through which a session's client talks: a learner's sid, or our own.
// A request from elsewhere is from a client that was already replaced.
type owner int64

// noOwner marks sessions that nobody has claimed since this leader was elected.
const noOwner owner = -1

func newTracker(bucketMs, nowMs int64) *tracker {
	return &tracker{
		bucketMs: bucketMs,
		sessions: make(map[int64]*tracked),
		buckets:  make(map[int64]map[int64]struct{}),
		nextMs:   (nowMs/bucketMs + 1) * bucketMs,
	}
}

// count returns how many sessions are tracked; none by no tracker.
func (t *tracker) count() int {
	if t == nil {
		return 0
	}
	return len(t.sessions)
}

// add starts tracking a session, or changes nothing but its timeout when it is there.
func (t *tracker) add(id int64, timeoutMs int32, who owner, nowMs int64) {
	s := t.sessions[id]
	if s == nil {
		s = &tracked{owner: who}
		t.sessions[id] = s
	}
	if !s.closing {
		s.timeoutMs = timeoutMs
		t.schedule(id, s, nowMs)
	}
}

// touch keeps a session alive; false means that there is none to keep.
func (t *tracker) touch(id int64, timeoutMs int32, nowMs int64) bool {
	s := t.sessions[id]
	if s == nil || s.closing {
		return false
	}
	s.timeoutMs = timeoutMs
	t.schedule(id, s, nowMs)
	return true
}

// pardon gives every session its whole timeout again.
func (t *tracker) pardon(nowMs int64) {
	for id, s := range t.sessions {
		if !s.closing {
			t.schedule(id, s, nowMs)
		}
	}
}

func (t *tracker) schedule(id int64, s *tracked, nowMs int64) {
	// A bucket that was expired is not looked at again.
	at := max(((nowMs+int64(s.timeoutMs))/t.bucketMs+1)*t.bucketMs, t.nextMs)
	if at == s.expiresMs {
		return
	}
	t.unschedule(id, s)
	s.expiresMs = at
	if t.buckets[at] == nil {
		t.buckets[at] = make(map[int64]struct{})
	}
	t.buckets[at][id] = struct{}{}
}

func (t *tracker) unschedule(id int64, s *tracked) {
	if b := t.buckets[s.expiresMs]; b != nil {
		delete(b, id)
		if len(b) == 0 {
			delete(t.buckets, s.expiresMs)
		}
	}
}

// startClosing marks a session whose closeSession is being proposed.
func (t *tracker) startClosing(id int64) {
	if s := t.sessions[id]; s != nil && !s.closing {
		t.unschedule(id, s)
		s.closing = true
	}
}

func (t *tracker) remove(id int64) {
	if s := t.sessions[id]; s != nil {
		t.unschedule(id, s)
		delete(t.sessions, id)
	}
}

// expired returns the sessions whose time is over, in the order of their ids so that
// every run of the same inputs closes them in the same order. They stay tracked until
// startClosing.
func (t *tracker) expired(nowMs int64) []int64 {
	var ids []int64
	for ; t.nextMs <= nowMs; t.nextMs += t.bucketMs {
		from := len(ids)
		for id := range t.buckets[t.nextMs] {
			ids = append(ids, id)
		}
		slices.Sort(ids[from:])
	}
	return ids
}
