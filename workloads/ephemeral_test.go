package workloads

import "testing"

func TestEphemeralStories(t *testing.T) {
	// did is an operation of a session, whose processes are its own.
	did := func(s *script, session int64, kind Type, f string, invoked, completed any) {
		from := len(s.history)
		s.did(int(session)*10+from, kind, f, invoked, completed)
		for i := from; i < len(s.history); i++ {
			s.history[i].Session = session
		}
	}
	create := func(s *script, session, value int64, kind Type) { did(s, session, kind, "make", value, value) }
	look := func(s *script, values ...int64) { did(s, 99, OK, "look", nil, numbers(values...)) }
	finalLook := func(s *script, values ...int64) {
		did(s, 99, OK, "final-look", nil, numbers(values...))
		for i := len(s.history) - 2; i < len(s.history); i++ {
			s.history[i].TimeNs += expirySettleMs * 1_000_000
		}
	}
	// later moves all that follows the first operation, and late behind the sessions' timeout.
	later := func(s *script, ms int64) {
		for i := 2; i < len(s.history); i++ {
			s.history[i].TimeNs += ms * 1_000_000
		}
	}
	late := func(s *script) { later(s, SessionTimeoutMs) }
	runStories(t, CheckEphemerals, []storyTest{
		{"fine", "", func(s *script) {
			create(s, 1, 1, OK)
			create(s, 2, 2, OK)
			look(s, 1, 2)
			did(s, 1, OK, "close", nil, nil)
			did(s, 2, OK, "abandon", nil, nil)
			look(s, 2)
			finalLook(s)
		}},
		{"an unknown one may come late", "", func(s *script) {
			create(s, 1, 1, Info)
			look(s)
			look(s, 1)
		}},
		{"expired without a word", "", func(s *script) {
			create(s, 1, 1, OK)
			look(s)
			late(s)
		}},
		{"expired before its time", "look 2 doesn't show 1, although its session 0x1 carried out a change (operation 0) only 0 ms before", func(s *script) {
			create(s, 1, 1, OK)
			look(s)
		}},
		{"just before what is certainly its time", "only 4800 ms before", func(s *script) {
			create(s, 1, 1, OK)
			look(s)
			later(s, 4800)
		}},
		{"its member ended before the leader was told that it lives", "", func(s *script) {
			create(s, 1, 1, OK)
			look(s)
			later(s, 6000)
		}},
		{"perhaps closed", "", func(s *script) {
			create(s, 1, 1, OK)
			did(s, 1, Fail, "close", nil, nil)
			look(s)
		}},
		{"early", "look 2 doesn't show 1, although make 0 had proved it to be there before and its session 0x1 carried out a change later", func(s *script) {
			create(s, 1, 1, OK)
			look(s)
			create(s, 1, 2, OK)
		}},
		{"shown, and early, its making without an answer", "look 4 doesn't show 1, although look 2 had proved it to be there before and its session 0x1 carried out a change later (operation 6)", func(s *script) {
			create(s, 1, 1, Info)
			look(s, 1)
			look(s)
			create(s, 1, 2, OK)
		}},
		{"early, by a change without an answer that is shown later", "look 2 doesn't show 1, although make 0 had proved it to be there before and its session 0x1 carried out a change later (operation 4)", func(s *script) {
			create(s, 1, 1, OK)
			look(s)
			create(s, 1, 2, Info)
			look(s, 2)
		}},
		{"shown, and missing before its time, its making without an answer", "look 4 doesn't show 1, although its session 0x1 carried out a change (operation 0) only 0 ms before", func(s *script) {
			create(s, 1, 1, Info)
			look(s, 1)
			look(s)
		}},
		{"shown, and expired, its making without an answer", "", func(s *script) {
			create(s, 1, 1, Info)
			look(s, 1)
			look(s)
			late(s)
		}},
		{"its making without an answer, and no list has shown it", "", func(s *script) {
			create(s, 1, 1, Info)
			look(s)
			create(s, 1, 2, OK)
		}},
		{"there after close", "look 4 shows 1, but its session 0x1 had been closed by operation 2", func(s *script) {
			create(s, 1, 1, OK)
			did(s, 1, OK, "close", nil, nil)
			look(s, 1)
		}},
		{"not expired", "the final look 4 shows 1, but its session 0x1 was left by operation 2", func(s *script) {
			create(s, 1, 1, OK)
			did(s, 1, OK, "abandon", nil, nil)
			finalLook(s, 1)
		}},
		{"ghost", "1 is a ghost: look 2 did not show it any more, but look 4", func(s *script) {
			create(s, 1, 1, OK)
			look(s)
			look(s, 1)
			late(s)
		}},
		{"stranger", "which nobody tried to make", func(s *script) { look(s, 7) }},
		{"too early", "look 0 shows 1 before make 2 of it began", func(s *script) {
			look(s, 1)
			create(s, 1, 1, OK)
		}},
		{"twice", "look 2 shows 1 twice", func(s *script) {
			create(s, 1, 1, OK)
			look(s, 1, 1)
		}},
		{"failed", "make 0 of it certainly failed", func(s *script) {
			create(s, 1, 1, Fail)
			look(s, 1)
		}},
	})
}
