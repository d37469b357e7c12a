package server

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"zoolab/zk/jute"
)

func newBucket(cfg ConnectionThrottle) *bucket {
	b := new(bucket)
	b.init(cfg, 0)
	return b
}

// admitted counts who gets in of so many that come at one moment.
func admitted(b *bucket, nowMs int64, n int, renews bool) (in int) {
	for range n {
		if _, ok := b.take(nowMs, renews); ok {
			in++
		}
	}
	return in
}

func TestBucketOfTokens(t *testing.T) {
	b := newBucket(ConnectionThrottle{Tokens: 10, FillMs: 100, FillCount: 3, FreezeMs: -1})
	for _, step := range []struct {
		nowMs int64
		want  int
	}{
		{0, 10},      // a burst
		{100, 0},     // the time must be over
		{101, 3},     // and is counted exactly
		{150, 0},     // from then on
		{302, 6},     // 201 ms: two fills
		{10_000, 10}, // never more than it holds
	} {
		if in := admitted(b, step.nowMs, 50, false); in != step.want {
			t.Errorf("at %d ms %d get in, want %d", step.nowMs, in, step.want)
		}
	}
	if deficit, ok := b.take(20_000, false); deficit != 1 || !ok {
		t.Errorf("the deficit is %d, want 1", deficit)
	}
	if in := admitted(newBucket(ConnectionThrottle{}), 0, 10_000, false); in != 10_000 {
		t.Errorf("no throttle lets %d of 10000 in", in)
	}
}

func TestBucketOfWeights(t *testing.T) {
	cfg := ConnectionThrottle{Tokens: 10, FillMs: 1, FillCount: 1, FreezeMs: -1, GlobalWeight: 3, NewWeight: 3, RenewWeight: 2}
	for _, test := range []struct {
		weighted, renews bool
		newWeight, want  int
	}{{false, true, 3, 10}, {true, false, 3, 10}, {true, true, 3, 15}, {true, false, 1, 30}} {
		cfg.Weighted, cfg.NewWeight = test.weighted, test.newWeight
		if in := admitted(newBucket(cfg), 0, 100, test.renews); in != test.want {
			t.Errorf("%+v: %d get in", test, in)
		}
	}
}

// TestBucketDrawsLots: under lasting overload the odds rise until about as many come to
// the bucket as it has tokens, and fall to nothing afterwards.
func TestBucketDrawsLots(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	b := newBucket(ConnectionThrottle{
		Tokens: 10, FillMs: 100, FillCount: 10, FreezeMs: 10, DropIncrease: 0.02, DropDecrease: 0.002, DecreaseRatio: 0.5,
		Draw: random.Float64,
	})
	in := 0
	for now := int64(0); now < 20_000; now += 10 {
		in += admitted(b, now, 5, false)
	}
	if odds := b.refusals(); odds < 0.3 || odds > 0.98 {
		t.Errorf("the odds of a refusal are %v", odds)
	}
	if in < 1000 || in > 2010 {
		t.Errorf("%d got in, want most of 2000", in)
	}
	for now := int64(21_000); now < 60_000; now += 20 {
		b.take(now, false)
	}
	if odds := b.refusals(); math.Abs(odds) > 1e-9 {
		t.Errorf("the odds stay at %v", odds)
	}
}

func TestConnectionThrottle(t *testing.T) {
	s := start(t, Config{Connections: ConnectionThrottle{Tokens: 2, FillMs: 3_600_000, FillCount: 1, FreezeMs: -1}})
	s.connect()
	c := s.connect()
	c.create(1, "/a", nil)
	s.dial().send(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 30_000, Passwd: make([]byte, 16)}))
	m := s.cfg.Metrics
	eventually(t, "the third is refused", func() bool { return m.ConnectionsRejected.Load() == 1 })
	eventually(t, "its connection is gone", func() bool { return s.NumConnections() == 2 && len(s.log.lines()) > 0 })
	if m.ConnectionsRejected.Load() != 1 || m.ConnectRequests.Load() != 2 {
		t.Errorf("%d rejected, %d connected; want one and two", m.ConnectionsRejected.Load(), m.ConnectRequests.Load())
	}
	if lines := s.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "connection_throttle_tokens") {
		t.Errorf("the log says:\n%s", strings.Join(lines, "\n"))
	}
	c.send(setData(2, "/a", nil)) // who is in is not throttled
	c.expect(2)
}
