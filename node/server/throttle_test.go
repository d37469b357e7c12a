package server

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zoolab/zk/jute"
)

func newThrottle(limit int64) *throttle {
	t := new(throttle)
	t.init(limit)
	return t
}

// goOn is a request that waits for as long as it takes.
func goOn() bool { return true }

func TestThrottleNeverExceedsItsLimit(t *testing.T) {
	const limit, readers, rounds = 3, 16, 2000
	th := newThrottle(limit)
	var inside, most atomic.Int64
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for range rounds {
				th.enter(patience, goOn)
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
	th.tryEnter()
	if th.tryEnter() {
		t.Fatal("two got in where one may be")
	}
	entered := make(chan struct{})
	go func() { th.enter(patience, goOn); close(entered) }()
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

// TestThrottleStalls: who waits is looked at again and again, until it gives up.
func TestThrottleStalls(t *testing.T) {
	th := newThrottle(1)
	th.tryEnter()
	looks := 0
	if th.enter(time.Millisecond, func() bool { looks++; return looks < 4 }) {
		t.Error("a request that gave up is let in")
	}
	if looks != 4 || th.outstanding.Load() != 1 || th.waiting != 0 {
		t.Errorf("%d looks, %d inside, %d waiting; want 4, 1 and 0", looks, th.outstanding.Load(), th.waiting)
	}
}

func TestThrottleTakesTheSmallestLimit(t *testing.T) {
	for _, test := range []struct {
		limits []int64
		want   int64
	}{{[]int64{0, 0}, 0}, {[]int64{1000, 0}, 1000}, {[]int64{1000, 7}, 7}, {[]int64{0, 7}, 7}, {[]int64{-1, 7}, 7}, {[]int64{7, 1000}, 7}} {
		th := new(throttle)
		if th.init(test.limits...); th.limit != test.want {
			t.Errorf("the limit of %d is %d, want %d", test.limits, th.limit, test.want)
		}
	}
}

// fill makes a client write until the server lets no more requests in, and stalls the disk.
func fill(s *shell, limit int, timeoutMs int32) *client {
	s.t.Helper()
	greedy := s.dial()
	greedy.send(jute.Marshal(&jute.ConnectRequest{TimeoutMs: timeoutMs, Passwd: make([]byte, 16)}))
	greedy.read()
	greedy.create(1, "/a", nil)
	s.stall(true)
	for xid := range int32(limit) {
		greedy.send(setData(100+xid, "/a", nil))
	}
	eventually(s.t, "the server is full", func() bool { return s.Outstanding() == int64(limit) })
	return greedy
}

// TestThrottledOps: what waited too long is refused in its turn and not carried out; what
// closes a session, and what came in time, is.
func TestThrottledOps(t *testing.T) {
	// Long, so that only what has to wait does so for longer, also where the machine is busy.
	const opWait = time.Second
	s := start(t, Config{Requests: RequestThrottle{MaxRequests: 5, Stall: 5 * time.Millisecond, OpWait: opWait}})
	greedy := fill(s, 5, 30_000)
	m := s.cfg.Metrics
	greedy.send(setData(200, "/a", []byte("late")))
	greedy.send(getData(201, "/a", false))
	eventually(t, "the request was looked at again and again", func() bool { return m.ThrottleWaits.Load() > 10 })
	time.Sleep(opWait)
	s.stall(false)
	for xid := range int32(5) {
		greedy.expect(100 + xid)
	}
	var h jute.ReplyHeader
	if h.Decode(jute.NewDecoder(greedy.read())); h.Xid != 200 || h.Err != jute.CodeThrottledOp {
		t.Fatalf("the late write is answered with %+v, want %v", h, jute.CodeThrottledOp)
	}
	answer := greedy.read()
	if h.Decode(jute.NewDecoder(answer)); h.Xid != 201 || bytes.Contains(answer, []byte("late")) {
		t.Fatalf("the read behind it: %+v", h)
	}
	if n := m.ThrottledOps.Load(); n < 1 || n > 2 {
		t.Errorf("%d operations were throttled", n)
	}
	greedy.send(setData(202, "/a", []byte("in time")))
	greedy.expect(202)
	if n := s.Outstanding(); n != 0 {
		t.Errorf("%d requests are still outstanding", n)
	}
}

// TestStaleRequests: a client whose request waits for longer than its session lives is
// given up, if the server is told so, and its place is free.
func TestStaleRequests(t *testing.T) {
	// Long enough for a busy machine to fill the server before the session has expired.
	const timeoutMs = 2000
	for _, drop := range []bool{true, false} {
		s := start(t, Config{Requests: RequestThrottle{
			MaxRequests: 3, Stall: 5 * time.Millisecond, DropStale: drop, StaleLatency: true,
		}})
		greedy := fill(s, 3, timeoutMs)
		greedy.send(setData(200, "/a", nil))
		m := s.cfg.Metrics
		if drop {
			eventually(t, "the request is dropped", func() bool { return m.StaleDropped.Load() == 1 })
			greedy.expectEnd()
			eventually(t, "its place is free", func() bool { return s.Outstanding() == 0 })
			continue
		}
		eventually(t, "the request waits", func() bool { return m.ThrottleWaits.Load() > 0 })
		time.Sleep((timeoutMs + 50) * time.Millisecond)
		s.stall(false)
		eventually(t, "the stale request is let in", func() bool { return m.StaleRequests.Load() == 1 })
		if m.StaleDropped.Load() != 0 {
			t.Error("a request was dropped although that is off")
		}
	}
}

func TestLargeRequests(t *testing.T) {
	const largeBytes, mostBytes = 1000, 5000
	s := start(t, Config{LargeBytes: largeBytes, MaxLargeBytes: mostBytes})
	greedy := s.connect()
	greedy.create(1, "/a", make([]byte, largeBytes))
	s.stall(true)
	for xid := range int32(4) {
		greedy.send(setData(100+xid, "/a", make([]byte, largeBytes+100)))
		greedy.send(setData(200+xid, "/a", make([]byte, 500))) // no large one
	}
	eventually(t, "the requests came", func() bool { return s.Outstanding() == 8 })
	other := s.dial()
	other.sendConnect()
	held := s.large.heldBytes.Load()
	if held < 4*largeBytes || held > mostBytes {
		t.Errorf("large requests hold %d bytes", held)
	}
	// There is no room for a fifth, whose client is refused. What it had in flight is free.
	greedy.send(setData(300, "/a", make([]byte, largeBytes+100)))
	greedy.expectEnd()
	eventually(t, "the room is free", func() bool { return s.large.heldBytes.Load() == 0 })
	if n := s.cfg.Metrics.LargeRejected.Load(); n != 1 {
		t.Errorf("%d large requests rejected, want one", n)
	}
	s.stall(false)
	c := s.connect()
	for xid := range int32(20) { // one after the other they fit
		c.send(setData(xid, "/a", make([]byte, largeBytes+100)))
		c.expect(xid)
		c.send(request(100+xid, jute.OpExists, &jute.ExistsRequest{Path: "/" + strings.Repeat("x", 2*largeBytes)}))
		c.read()
	}
	if held := s.large.heldBytes.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}
