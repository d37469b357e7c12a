package workloads

import "testing"

func TestQueueStories(t *testing.T) {
	put := func(s *script, kind Type, value int64) { s.did(len(s.history), kind, "put", value, value) }
	take := func(s *script, kind Type, value any) { s.did(len(s.history), kind, "take", nil, value) }
	left := func(s *script, values ...int64) { s.did(len(s.history), OK, "left", nil, numbers(values...)) }
	runStories(t, CheckQueue, []storyTest{
		{"fine", "", func(s *script) {
			put(s, OK, 1)
			put(s, OK, 2)
			put(s, Info, 3)
			take(s, OK, int64(1))
			take(s, Info, int64(2))
			left(s, 3)
		}},
		{"beside each other either may be first", "", func(s *script) {
			s.begin(0, "put", int64(1))
			put(s, OK, 2)
			s.end(0, OK, "put", int64(1))
			take(s, OK, int64(2))
			take(s, OK, int64(1))
		}},
		{"a taker that is slow", "", func(s *script) {
			put(s, OK, 1)
			put(s, OK, 2)
			s.begin(90, "take", nil)
			take(s, OK, int64(2))
			s.end(90, OK, "take", int64(1))
		}},
		{"taken twice", "take 2 and take 4 were both given 1", func(s *script) {
			put(s, OK, 1)
			take(s, OK, int64(1))
			take(s, OK, int64(1))
		}},
		{"lost", "1 is lost: put 0 was acknowledged", func(s *script) {
			put(s, OK, 1)
			left(s)
		}},
		{"taken and left", "1 was taken by take 2, but left 4", func(s *script) {
			put(s, OK, 1)
			take(s, OK, int64(1))
			left(s, 1)
		}},
		{"out of order", "take 4 was given 2 although 1 was in the queue before it was put", func(s *script) {
			put(s, OK, 1)
			put(s, OK, 2)
			take(s, OK, int64(2))
			take(s, OK, int64(1))
		}},
		{"overtook what is left", "take 4 was given 2 although 1 was in the queue before it was put, and is still there in left 6", func(s *script) {
			put(s, OK, 1)
			put(s, OK, 2)
			take(s, OK, int64(2))
			left(s, 1)
		}},
		{"taken while it was listed", "", func(s *script) {
			put(s, OK, 1)
			put(s, OK, 2)
			s.begin(90, "left", nil)
			take(s, OK, int64(1))
			take(s, OK, int64(2))
			s.end(90, OK, "left", numbers(1))
		}},
		{"left in another order", "left 4 shows 2 before 1, which was in the queue when that was put", func(s *script) {
			put(s, OK, 1)
			put(s, OK, 2)
			left(s, 2, 1)
		}},
		{"put beside each other, and left in either order", "", func(s *script) {
			s.begin(0, "put", int64(1))
			put(s, OK, 2)
			s.end(0, OK, "put", int64(1))
			left(s, 2, 1)
		}},
		{"left twice", "left 2 shows 1 twice", func(s *script) {
			put(s, OK, 1)
			left(s, 1, 1)
		}},
		{"nobody put it", "which nobody put", func(s *script) { take(s, OK, int64(9)) }},
		{"put in vain", "but put 0 of it certainly failed", func(s *script) {
			put(s, Fail, 1)
			left(s, 1)
		}},
		{"taken too early", "before put 2 of it began", func(s *script) {
			take(s, OK, int64(1))
			put(s, OK, 1)
		}},
		{"a take without an end may have had it", "", func(s *script) {
			put(s, OK, 1)
			s.begin(50, "take", nil)
			left(s)
		}},
	})
}
