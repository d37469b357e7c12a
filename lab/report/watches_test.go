package report

import (
	"testing"

	"zoolab/workloads"
)

// TestWatchSpans follows two watches of the story: one fires, the other is still
// open when its session ends, and the event of a watch that stays is its own.
func TestWatchSpans(t *testing.T) {
	s := &story{}
	answer := func(process int, f, key string, events ...any) {
		s.did(workloads.Op{Process: process, F: "watch/" + f, Key: key, Version: -1}, list(events...))
	}
	answer(1, "watch", "w1")                                                                                               // answered at 6 ms
	answer(1, "await", "x1")                                                                                               // at 12 ms
	answer(1, "follow", "f")                                                                                               // at 18 ms
	answer(2, "write", "w1")                                                                                               // another session
	answer(1, "read", "w1", list("w1", "data", int64(7)), list("f/k1", "data", int64(8)), list("other", "data", int64(9))) // at 30 ms
	answer(1, "read", "w1", list("w1", "data", int64(9)))                                                                  // at 36 ms: of no watch
	spans := watchSpans(newRun(Input{History: s.history}))
	if len(spans) != 3 {
		t.Fatalf("%d watches, want 3: %+v", len(spans), spans)
	}
	for i, want := range []columnWatch{
		{Key: "w1", FromUs: 6000, ToUs: 30000, Fired: true}, {Key: "x1", FromUs: 12000, ToUs: 36000}, {Key: "f", FromUs: 18000, ToUs: 36000, EventsUs: []int64{30000}},
	} {
		got := spans[i]
		if got.Key != want.Key || got.FromUs != want.FromUs || got.ToUs != want.ToUs || got.Fired != want.Fired || len(got.EventsUs) != len(want.EventsUs) {
			t.Errorf("watch %d is %+v, want %+v", i, got, want)
		}
		if got.Session != "0x100000001" {
			t.Errorf("watch %d is of session %s", i, got.Session)
		}
	}
}
