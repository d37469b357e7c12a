package server

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newThrottle(limit int64) *throttle {
	t := new(throttle)
	t.init(limit)
	return t
}

func TestThrottleNeverExceedsItsLimit(t *testing.T) {
	const limit, readers, rounds = 3, 16, 2000
	th := newThrottle(limit)
	var inside, most atomic.Int64
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for range rounds {
				th.enter()
				raise(&most, inside.Add(1))
				inside.Add(-1)
				th.leave(1)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("somebody waits for room that is there")
	}
	if most.Load() > limit || most.Load() < 1 || th.outstanding.Load() != 0 {
		t.Errorf("%d were inside at once, %d at the end; want at most %d and none", most.Load(), th.outstanding.Load(), limit)
	}
}

func TestThrottleWithoutALimit(t *testing.T) {
	for _, limit := range []int64{0, -1} {
		th := newThrottle(limit)
		for range 10_000 {
			if !th.tryEnter() {
				t.Fatalf("limit %d keeps somebody out", limit)
			}
		}
		th.leave(10_000)
	}
}

func TestThrottleOpens(t *testing.T) {
	th := newThrottle(1)
	th.enter()
	if th.tryEnter() {
		t.Fatal("two got in where one may be")
	}
	entered := make(chan struct{})
	go func() { th.enter(); close(entered) }()
	select {
	case <-entered:
		t.Fatal("it did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	th.open()
	select {
	case <-entered:
	case <-time.After(patience):
		t.Fatal("it waits although the server ends")
	}
}
