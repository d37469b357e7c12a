package server

import (
	"sync"
	"sync/atomic"
)

// throttle holds readers back while too many requests wait for their outcome.
type throttle struct {
	limit       int64 // no bound at 0 or below
	outstanding atomic.Int64
	mu          sync.Mutex
	below       sync.Cond // signalled when outstanding falls below the limit
	opened      bool      // shutdown: nobody waits any more
}

func (t *throttle) init(limit int64) {
	t.limit = limit
	t.below.L = &t.mu
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

// enter counts a request in, after waiting until there is room.
func (t *throttle) enter() {
	for !t.tryEnter() {
		t.mu.Lock()
		for t.outstanding.Load() >= t.limit && !t.opened {
			t.below.Wait()
		}
		opened := t.opened
		t.mu.Unlock()
		if opened {
			t.outstanding.Add(1)
			return
		}
	}
}

// leave counts n requests out.
func (t *throttle) leave(n int64) {
	if was := t.outstanding.Add(-n) + n; t.limit > 0 && was >= t.limit {
		t.mu.Lock()
		t.below.Broadcast()
		t.mu.Unlock()
	}
}

// open lets everybody in from now on.
func (t *throttle) open() {
	t.mu.Lock()
	t.opened = true
	t.below.Broadcast()
	t.mu.Unlock()
}
