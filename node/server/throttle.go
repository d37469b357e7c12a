package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// throttle holds readers back while too many requests wait for their outcome.
type throttle struct {
	limit       int64 // no bound at 0 or below
	outstanding atomic.Int64

	mu      sync.Mutex
	freed   chan struct{} // closed, and replaced, when outstanding falls below the limit
	waiting int           // who looks at freed
	opened  bool          // shutdown: nobody waits any more
}

// init sets the limit: the smallest of those above zero, none if there is no such one.
func (t *throttle) init(limits ...int64) {
	for _, limit := range limits {
		if limit > 0 && (t.limit <= 0 || limit < t.limit) {
			t.limit = limit
		}
	}
	t.freed = make(chan struct{})
}

// tryEnter counts a request in if there is room.
func (t *throttle) tryEnter() bool {
	for {
		n := t.outstanding.Load()
		if t.limit > 0 && n >= t.limit {
			return false
		}
		if t.outstanding.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// enter counts a request in, after waiting until there is room. It calls stalled before
// it waits, and again each time that it has waited for so long in vain; false from there
// means that the request is not to be let in any more.
func (t *throttle) enter(stall time.Duration, stalled func() bool) bool {
	for !t.tryEnter() {
		if !stalled() {
			return false
		}
		if t.await(stall) {
			t.outstanding.Add(1)
			return true
		}
	}
	return true
}

// await waits until there may be room, at most for so long. It reports whether everybody
// is let in.
func (t *throttle) await(stall time.Duration) (opened bool) {
	t.mu.Lock()
	if t.opened || t.outstanding.Load() < t.limit {
		defer t.mu.Unlock()
		return t.opened
	}
	t.waiting++
	freed := t.freed
	t.mu.Unlock()
	timer := time.NewTimer(stall)
	select {
	case <-freed:
	case <-timer.C:
	}
	timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting--
	return t.opened
}

// leave counts n requests out.
func (t *throttle) leave(n int64) {
	if was := t.outstanding.Add(-n) + n; t.limit > 0 && was >= t.limit {
		t.mu.Lock()
		if t.waiting > 0 {
			t.wake()
		}
		t.mu.Unlock()
	}
}

// wake lets everybody who waits look again. t.mu is held.
func (t *throttle) wake() {
	close(t.freed)
	t.freed = make(chan struct{})
}

// open lets everybody in from now on.
func (t *throttle) open() {
	t.mu.Lock()
	t.opened = true
	t.wake()
	t.mu.Unlock()
}
