package workloads

import "testing"

// TestClaimStories judges locks; elections have the same rules.
func TestClaimStories(t *testing.T) {
	// act is an operation of a session on lock q0.
	act := func(s *script, session int64, kind Type, f string, value any) {
		from := len(s.history)
		s.did(int(session)*100+from, kind, f, nil, value)
		for i := from; i < len(s.history); i++ {
			s.history[i].Session, s.history[i].Key = session, "q0"
		}
	}
	hold := func(s *script, session int64, c claim) { act(s, session, OK, "hold", c.value()) }
	for name, check := range map[string]func([]Op, Bounds) Result{"lock": CheckLocks, "election": CheckElections} {
		t.Run(name, func(t *testing.T) {
			runStories(t, check, []storyTest{
				{"one after the other", "", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 10, entered: 11, left: 12})
					hold(s, 2, claim{token: 2, made: 11, granted: 13, entered: 14, left: 15})
					act(s, 3, OK, "read", int64(2))
				}},
				{"without an answer nothing is proved", "", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 10, entered: 11})
					act(s, 2, Info, "hold", (&claim{token: 2, made: 11, granted: 12}).value())
					act(s, 3, OK, "read", int64(1))
				}},
				{"two at once", "two held q0 at once: operation 2 was shown to be first, with token 2, at zxid 0xc, but operation 0 still held it, with token 1, at zxid 0xe", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 10, entered: 11, left: 14})
					hold(s, 2, claim{token: 2, made: 11, granted: 12, entered: 15})
				}},
				{"overtaken", "two held q0 at once", func(s *script) {
					hold(s, 2, claim{token: 2, made: 11, granted: 12, entered: 13, left: 14})
					hold(s, 1, claim{token: 1, made: 10, granted: 15, entered: 16, left: 17})
				}},
				{"the token goes back", "the fencing token of q0 goes back: operation 0 changed it with token 2 at zxid 0xd, operation 2 with token 1 at zxid 0x10", func(s *script) {
					hold(s, 2, claim{token: 2, made: 11, entered: 13})
					hold(s, 1, claim{token: 1, made: 10, granted: 15, entered: 16})
				}},
				{"one token for two", "token 1 of q0 was given to session 0x1 and to session 0x2", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 10, entered: 11})
					hold(s, 2, claim{token: 1, made: 12, granted: 13, entered: 14})
				}},
				{"tokens against the order of zxids", "token 2 of q0 was made at zxid 0x9, but the lower token 1 at zxid 0xa", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10})
					hold(s, 2, claim{token: 2, made: 9})
				}},
				{"evicted", "operation 0 lost its place in q0, with token 1, although its session 0x1 was alive", func(s *script) {
					act(s, 1, Fail, "hold", (&claim{token: 1, made: 10, granted: 11, note: noteEvicted}).value())
				}},
				{"a token that nobody held", "read 2 of q0 shows token 9, with which nobody changed it", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 10, entered: 11})
					act(s, 3, OK, "read", int64(9))
				}},
				{"a token that was refused", "read 2 of q0 shows token 2, with which nobody changed it", func(s *script) {
					act(s, 2, Fail, "hold", (&claim{token: 2, made: 11, granted: 12}).value())
					act(s, 3, OK, "read", int64(2))
				}},
				{"a token of a change without an answer", "", func(s *script) {
					act(s, 2, Info, "hold", (&claim{token: 2, made: 11, granted: 12}).value())
					act(s, 3, OK, "read", int64(2))
				}},
				{"a token of a change that never ended", "", func(s *script) {
					s.begin(99, "hold", nil)
					s.history[0].Key = "q0"
					act(s, 3, OK, "read", int64(2))
				}},
				{"a token before its time", "read 0 of q0 shows token 1 before operation 2, which was the first to change it with that, began", func(s *script) {
					act(s, 3, OK, "read", int64(1))
					hold(s, 1, claim{token: 1, made: 10, granted: 10, entered: 11})
				}},
				{"another's token at the zxid of a change", "read 4 of q0 shows token 2 at zxid 0xb, but at that operation 0 changed it with token 1", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 10, entered: 11})
					act(s, 2, Info, "hold", (&claim{token: 2, made: 11, granted: 12}).value())
					act(s, 3, OK, "read", int64(2))
					s.history[5].Mzxid = 11
				}},
				{"a candidate that its session did not make", "operation 0 claims q0 with token 7, but its session 0x1 never made such a candidate", func(s *script) {
					act(s, 1, OK, "lead", (&claim{token: 7, granted: 11, entered: 12}).value())
				}},
				{"a candidate that another session made", "token 7 of q0 was given to session 0x2 and to session 0x1", func(s *script) {
					act(s, 2, OK, "stand", (&claim{token: 7, made: 10}).value())
					act(s, 1, OK, "lead", (&claim{token: 7, granted: 11, entered: 12}).value())
				}},
				{"a candidate whose making had no answer", "", func(s *script) {
					act(s, 1, Info, "stand", nil)
					act(s, 1, OK, "lead", (&claim{token: 7, granted: 11, entered: 12}).value())
				}},
				{"a candidate that was made before", "", func(s *script) {
					act(s, 1, OK, "stand", (&claim{token: 7, made: 10}).value())
					act(s, 1, OK, "lead", (&claim{token: 7, granted: 10, entered: 11}).value())
					act(s, 1, OK, "lead", (&claim{token: 7, granted: 11, entered: 12}).value())
				}},
				{"first before it was made", "the claim of operation 2 on q0, with token 7, was shown to be the first at zxid 0x9, but made at zxid 0xa", func(s *script) {
					act(s, 1, OK, "stand", (&claim{token: 7, made: 10}).value())
					act(s, 1, OK, "lead", (&claim{token: 7, granted: 9, entered: 11}).value())
				}},
				{"a change of before its turn", "with token 1, was proved by a change at zxid 0xc, but shown to be the first at zxid 0xc", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 12, entered: 12})
				}},
				{"the name of another one", "operation 0 made a candidate in q0, and was given the name of another one", func(s *script) {
					act(s, 1, OK, "stand", (&claim{token: -1, made: 10}).value())
				}},
				{"perhaps given up", "", func(s *script) {
					act(s, 1, OK, "stand", (&claim{token: 1, made: 10}).value())
					act(s, 1, Info, "resign", nil)
					act(s, 1, Fail, "lead", (&claim{token: 1, granted: 11, note: noteEvicted}).value())
				}},
				{"disturbed", "operation 0 held q0, with token 1, but somebody else changed what it protects", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 11, entered: 12, note: noteDisturbed})
				}},
				{"a stale read", "read 2 of q0 shows token -1, but operation 0 had changed it with token 1 before", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 11, entered: 12})
					act(s, 3, OK, "read", int64(-1))
				}},
				{"expired while it held", "", func(s *script) {
					act(s, 1, OK, "vanish", (&claim{token: 1, made: 10, granted: 11, entered: 12}).value())
					act(s, 2, OK, "final-queue", numbers(2))
				}},
				{"a list of six candidates is no claim", "", func(s *script) {
					hold(s, 1, claim{token: 1, made: 10, granted: 11, entered: 12})
					act(s, 2, OK, "final-queue", numbers(21, 22, 23, 24, 25, 26))
					act(s, 3, OK, "read", int64(1))
				}},
				{"never expired", "still has a candidate of session 0x1, which operation 0 had left", func(s *script) {
					act(s, 1, OK, "vanish", (&claim{token: 1, made: 10, granted: 11, entered: 12}).value())
					act(s, 2, OK, "final-queue", numbers(1))
				}},
			})
		})
	}
}
