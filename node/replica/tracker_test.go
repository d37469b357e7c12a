package replica

import (
	"encoding/hex"
	"slices"
	"testing"
)

// TestPassword compares with what Apache ZooKeeper 3.8.0 gave out (zk/jute/testdata/client.txt).
func TestPassword(t *testing.T) {
	for session, want := range map[int64]string{
		0x0100002670bc0001: "99d12e6b3b0a04fdc978305fb0342fad",
		0x0100002670bc0002: "606e406b5b27662eeaaffadc359af145",
		0x0100002670bc0007: "bf13236b7ba1c286b4fefeb557465847",
		0x0100002670bc0008: "1fb9056b9b1b1fdf7e4d038f79f2be48",
	} {
		if got := hex.EncodeToString(Password(session)); got != want {
			t.Errorf("session %x: password %s, Apache's is %s", session, got, want)
		}
	}
}

// TestTracker plays moves against buckets of 100 ms; at each the expired sessions are listed.
func TestTracker(t *testing.T) {
	type move struct {
		nowMs     int64
		add       int64 // session, 0 for none
		timeoutMs int32
		touch     int64
		alive     bool // what touch must say
		close     int64
		remove    int64
		pardon    bool
		expired   []int64
	}
	for name, moves := range map[string][]move{
		"expires once its timeout is over, by the end of a bucket": {
			{nowMs: 10, add: 1, timeoutMs: 250},
			{nowMs: 299}, {nowMs: 300, expired: []int64{1}}, {nowMs: 1000},
		},
		"several in the order of their buckets, then of their ids": {
			{add: 9, timeoutMs: 150}, {add: 3, timeoutMs: 250}, {add: 7, timeoutMs: 150}, {add: 1, timeoutMs: 950},
			{nowMs: 900, expired: []int64{7, 9, 3}}, {nowMs: 1000, expired: []int64{1}},
		},
		"a touch begins the timeout anew, and may change it": {
			{add: 1, timeoutMs: 200}, {nowMs: 150, touch: 1, timeoutMs: 200, alive: true},
			{nowMs: 300}, {nowMs: 350, touch: 1, timeoutMs: 100, alive: true}, {nowMs: 500, expired: []int64{1}},
		},
		"what is not there can't be touched": {{touch: 1}},
		"a session that is closing neither expires nor lives on": {
			{add: 1, timeoutMs: 200}, {close: 1}, {touch: 1, timeoutMs: 900}, {nowMs: 2000},
			{add: 1, timeoutMs: 200}, {nowMs: 4000},
		},
		"a removed session may come again": {
			{add: 1, timeoutMs: 200}, {close: 1}, {remove: 1}, {nowMs: 500, add: 1, timeoutMs: 100},
			{nowMs: 700, expired: []int64{1}},
		},
		"a timeout that nobody should have sent expires soon, not never": {
			{nowMs: 950}, {nowMs: 960, add: 1, timeoutMs: -5000}, {nowMs: 1000, expired: []int64{1}},
		},
		"a pardon is a touch of all that are not closing": {
			{add: 1, timeoutMs: 200}, {add: 2, timeoutMs: 300}, {add: 3, timeoutMs: 200}, {close: 3},
			{nowMs: 1000, pardon: true, expired: nil}, {nowMs: 1300, expired: []int64{1}}, {nowMs: 1400, expired: []int64{2}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTracker(100, 0)
			for i, m := range moves {
				if m.add != 0 {
					tr.add(m.add, m.timeoutMs, noOwner, m.nowMs)
				}
				if m.touch != 0 && tr.touch(m.touch, m.timeoutMs, m.nowMs) != m.alive {
					t.Fatalf("move %d: touching session %d must say %v", i, m.touch, m.alive)
				}
				if m.close != 0 {
					tr.startClosing(m.close)
				}
				if m.remove != 0 {
					tr.remove(m.remove)
				}
				if m.pardon {
					tr.pardon(m.nowMs)
				}
				got := tr.expired(m.nowMs)
				if !slices.Equal(got, m.expired) {
					t.Fatalf("move %d, at %d ms: expired %v, want %v", i, m.nowMs, got, m.expired)
				}
				for _, id := range got {
					tr.startClosing(id)
				}
				checkBuckets(t, tr)
			}
		})
	}
}

// checkBuckets holds the invariant of tracker.buckets.
func checkBuckets(t *testing.T, tr *tracker) {
	t.Helper()
	n := 0
	for at, ids := range tr.buckets {
		if at < tr.nextMs || at%tr.bucketMs != 0 || len(ids) == 0 {
			t.Errorf("bucket %d holds %v, the next to expire is %d", at, ids, tr.nextMs)
		}
		for id := range ids {
			n++
			if s := tr.sessions[id]; s == nil || s.closing || s.expiresMs != at {
				t.Errorf("bucket %d holds session %d, which is %+v", at, id, s)
			}
		}
	}
	for _, s := range tr.sessions {
		if !s.closing {
			n--
		}
	}
	if n != 0 {
		t.Errorf("%d sessions too many in the buckets", n)
	}
}
