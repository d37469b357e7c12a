package workloads

import "testing"

func TestBarrierStories(t *testing.T) {
	act := func(s *script, kind Type, f string, participant int64, answer int64) {
		from := len(s.history)
		s.did(from, kind, f, participant, numbers(participant, answer))
		for i := from; i < len(s.history); i++ {
			s.history[i].Key = "b0"
		}
	}
	enterAll := func(s *script) {
		act(s, OK, "enter", 0, barrierDone)
		act(s, OK, "enter", 1, barrierDone)
		act(s, OK, "enter", 2, barrierOpen)
	}
	runStories(t, CheckBarriers, []storyTest{
		{"fine", "", func(s *script) {
			act(s, OK, "enter", 0, barrierDone)
			act(s, OK, "in", 0, barrierShut)
			act(s, OK, "enter", 1, barrierDone)
			act(s, OK, "enter", 2, barrierOpen)
			for participant := range int64(3) {
				act(s, OK, "in", participant, barrierOpen)
				act(s, OK, "leave", participant, barrierDone)
			}
			act(s, OK, "out", 0, barrierOpen)
		}},
		{"open with one missing", "in 4 found barrier b0 open, but participant 2 never tried to enter", func(s *script) {
			act(s, OK, "enter", 0, barrierDone)
			act(s, OK, "enter", 1, barrierDone)
			act(s, OK, "in", 0, barrierOpen)
		}},
		{"open with one that only failed", "participant 2 never tried to enter", func(s *script) {
			act(s, OK, "enter", 0, barrierDone)
			act(s, OK, "enter", 1, barrierDone)
			act(s, Fail, "enter", 2, barrierDone)
			act(s, OK, "in", 0, barrierOpen)
		}},
		{"open too early", "in 4 found barrier b0 open before participant 2 began to enter (operation 6)", func(s *script) {
			act(s, OK, "enter", 0, barrierDone)
			act(s, OK, "enter", 1, barrierDone)
			act(s, OK, "in", 0, barrierOpen)
			act(s, OK, "enter", 2, barrierOpen)
		}},
		{"one without an answer may have been the last", "", func(s *script) {
			act(s, OK, "enter", 0, barrierDone)
			act(s, OK, "enter", 1, barrierDone)
			act(s, Info, "enter", 2, barrierDone)
			act(s, OK, "in", 0, barrierOpen)
		}},
		{"nobody opens", "all 3 participants of b0 entered, but none of them saw that it was the last", func(s *script) {
			act(s, OK, "enter", 0, barrierDone)
			act(s, OK, "enter", 1, barrierDone)
			act(s, OK, "enter", 2, barrierDone)
		}},
		{"shuts again", "in 8 found barrier b0 shut, but operation 4 had found it open before", func(s *script) {
			enterAll(s)
			act(s, OK, "in", 1, barrierOpen)
			act(s, OK, "in", 0, barrierShut)
		}},
		{"out before all have left", "out 8 found that all have left b0, but participant 1 had entered and not begun to leave", func(s *script) {
			enterAll(s)
			act(s, OK, "leave", 0, barrierDone)
			act(s, OK, "out", 0, barrierOpen)
		}},
		{"locked in", "out 12 still found somebody in b0, but all had left by operation 10", func(s *script) {
			enterAll(s)
			for participant := range int64(3) {
				act(s, OK, "leave", participant, barrierDone)
			}
			act(s, OK, "out", 0, barrierShut)
		}},
		{"an attempt to enter ends after its participant has left", "", func(s *script) {
			s.begin(99, "enter", numbers(0))
			s.history[0].Key, s.history[0].Value = "b0", int64(0)
			enterAll(s)
			for participant := range int64(3) {
				act(s, OK, "leave", participant, barrierDone)
			}
			s.end(99, OK, "enter", numbers(0, barrierDone))
			s.history[len(s.history)-1].Key = "b0"
			act(s, OK, "out", 0, barrierShut)
		}},
		{"out before one has left whose entering had no answer", "out 14 found that all have left b0, but participant 2 had entered and not begun to leave", func(s *script) {
			act(s, OK, "enter", 0, barrierDone)
			act(s, OK, "enter", 1, barrierDone)
			act(s, Info, "enter", 2, barrierDone)
			act(s, OK, "in", 0, barrierOpen)
			act(s, OK, "leave", 0, barrierDone)
			act(s, OK, "leave", 1, barrierDone)
			act(s, OK, "in", 1, barrierOpen)
			act(s, OK, "out", 0, barrierOpen)
		}},
		{"shut again behind a leave without an answer", "out 14 found somebody in b0, but out 12 had found nobody before, and nobody can have entered since", func(s *script) {
			enterAll(s)
			act(s, OK, "leave", 0, barrierDone)
			act(s, OK, "leave", 1, barrierDone)
			act(s, Info, "leave", 2, barrierDone)
			act(s, OK, "out", 0, barrierOpen)
			act(s, OK, "out", 1, barrierShut)
		}},
		{"a leave without an answer comes late", "", func(s *script) {
			enterAll(s)
			act(s, OK, "leave", 0, barrierDone)
			act(s, OK, "leave", 1, barrierDone)
			act(s, Info, "leave", 2, barrierDone)
			act(s, OK, "out", 0, barrierShut)
			act(s, OK, "out", 1, barrierOpen)
		}},
		{"shut again, by one that had no answer to entering", "", func(s *script) {
			act(s, Info, "enter", 0, barrierDone)
			enterAll(s)
			for participant := range int64(3) {
				act(s, OK, "leave", participant, barrierDone)
			}
			act(s, OK, "out", 0, barrierOpen)
			act(s, OK, "out", 1, barrierShut)
		}},
		{"an attempt to enter comes late", "", func(s *script) {
			act(s, Info, "enter", 0, barrierDone)
			enterAll(s)
			for participant := range int64(3) {
				act(s, OK, "leave", participant, barrierDone)
			}
			act(s, OK, "out", 0, barrierShut)
		}},
	})
}
