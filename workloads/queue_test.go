package workloads

import "testing"

func TestQueueStories(t *testing.T) {
	put := func(s *script, kind Type, value int64) { s.did(len(s.history), kind, "put", value, value) }
	take := func(s *script, kind Type, value any) { s.did(len(s.history), kind, "take", nil, value) }
	left := func(s *script, values ...int64) { s.did(len(s.history), OK, "left", nil, numbers(values...)) }
	// at ends an operation that was answered with a zxid.
	at := func(s *script, process int, f string, value, zxid int64) {
		s.end(process, OK, f, value)
		s.history[len(s.history)-1].Zxid = zxid
	}
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
		{"lost", "1 is lost: put 0 had proved it to be there", func(s *script) {
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
		{"shown and lost, its put without an answer", "1 is lost: left 2 had proved it to be there, nobody took it, and left 4 doesn't show it", func(s *script) {
			put(s, Info, 1)
			left(s, 1)
			left(s)
		}},
		{"not shown, and taken later", "1 is lost: put 0 had proved it to be there", func(s *script) {
			put(s, OK, 1)
			left(s)
			take(s, OK, int64(1))
		}},
		{"empty though something was in it", "take 2 found the queue empty, but put 0 of 1 was acknowledged before", func(s *script) {
			put(s, OK, 1)
			take(s, Fail, numbers())
			take(s, OK, int64(1))
		}},
		{"empty though something stays in it", "take 4 found the queue empty, but put 0 of 1 was acknowledged before", func(s *script) {
			put(s, OK, 1)
			put(s, Info, 2)
			take(s, Fail, numbers())
		}},
		{"empty, for another one is at it", "", func(s *script) {
			put(s, OK, 1)
			s.begin(90, "take", nil)
			take(s, Fail, numbers())
			s.end(90, OK, "take", int64(1))
			take(s, Fail, numbers())
			put(s, OK, 2)
		}},
		{"empty, for one without an answer may have had it", "", func(s *script) {
			put(s, OK, 1)
			take(s, Info, int64(1))
			take(s, Fail, numbers())
		}},
		{"others were quicker, or it was refused", "", func(s *script) {
			put(s, OK, 1)
			take(s, Fail, nil)
			take(s, Fail, int64(1))
			take(s, OK, int64(1))
		}},
		{"out of order by zxids", "take 4 was given 2 at zxid 0x14 although 1, which was put before it, was still there: take 5 was given it at zxid 0x15", func(s *script) {
			s.begin(0, "put", int64(1))
			s.begin(1, "put", int64(2))
			at(s, 0, "put", 1, 11)
			at(s, 1, "put", 2, 12)
			s.begin(2, "take", nil)
			s.begin(3, "take", nil)
			at(s, 2, "take", 2, 20)
			at(s, 3, "take", 1, 21)
		}},
		{"beside each other, in the order of zxids", "", func(s *script) {
			s.begin(0, "put", int64(1))
			s.begin(1, "put", int64(2))
			at(s, 0, "put", 1, 12)
			at(s, 1, "put", 2, 11)
			s.begin(2, "take", nil)
			s.begin(3, "take", nil)
			at(s, 2, "take", 1, 21)
			at(s, 3, "take", 2, 20)
			left(s)
		}},
		{"taken before it was put", "1 was taken by take 1 at zxid 0xa, but put 0 put it at zxid 0xb", func(s *script) {
			s.begin(0, "put", int64(1))
			s.begin(1, "take", nil)
			at(s, 0, "put", 1, 11)
			at(s, 1, "take", 1, 10)
		}},
		{"overtook what is left, by zxids", "take 4 was given 2, put at zxid 0xc, although 1, put at zxid 0xb, is still there in left 6", func(s *script) {
			s.begin(0, "put", int64(1))
			s.begin(1, "put", int64(2))
			at(s, 0, "put", 1, 11)
			at(s, 1, "put", 2, 12)
			take(s, OK, int64(2))
			left(s, 1)
		}},
		{"left in another order, by zxids", "left 4 shows 2 before 1, but they were put at zxids 0xc and 0xb", func(s *script) {
			s.begin(0, "put", int64(1))
			s.begin(1, "put", int64(2))
			at(s, 0, "put", 1, 11)
			at(s, 1, "put", 2, 12)
			left(s, 2, 1)
		}},
		{"a take without an end may have had it", "", func(s *script) {
			put(s, OK, 1)
			s.begin(50, "take", nil)
			left(s)
		}},
	})
}
