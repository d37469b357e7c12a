package workloads

import "testing"

func TestPipelineStories(t *testing.T) {
	write := func(key string, value int64, end string, zxid int64) any {
		return []any{"write", key, value, end, zxid, zxid}
	}
	read := func(key string, value, zxid, mzxid int64) any {
		return []any{"read", key, value, "ok", zxid, mzxid}
	}
	burst := func(s *script, session int64, kind Type, ends ...any) {
		from := len(s.history)
		s.did(int(session)*100+from, kind, "burst", nil, ends)
		for i := from; i < len(s.history); i++ {
			s.history[i].Session = session
		}
	}
	runStories(t, CheckPipeline, []storyTest{
		{"fine", "", func(s *script) {
			burst(s, 1, OK, write("a", 1, "ok", 11), read("a", 1, 11, 11), []any{"sync", "a", nil, "ok", int64(11), int64(0)}, write("b", 2, "ok", 12))
			burst(s, 2, OK, read("a", 1, 12, 11), read("b", 2, 12, 12))
		}},
		{"an open write in its place", "", func(s *script) {
			burst(s, 1, Info, write("a", 1, "info", 0), write("b", 2, "info", 0))
			burst(s, 1, OK, write("b", 3, "ok", 12))
			burst(s, 2, OK, read("a", 1, 12, 11), read("b", 3, 12, 12))
		}},
		{"another session's open write may come late", "", func(s *script) {
			burst(s, 1, Info, write("a", 1, "info", 0))
			burst(s, 2, OK, write("b", 2, "ok", 11), read("a", 1, 12, 12))
		}},
		{"two writes at one zxid", "the values 1 (operation 0) and 2 (operation 2) both took effect at zxid 0xb", func(s *script) {
			burst(s, 1, OK, write("a", 1, "ok", 11))
			burst(s, 2, OK, write("b", 2, "ok", 11))
		}},
		{"read before it was sent", "operation 0 shows value 1 in key a before operation 2, which sent it, began", func(s *script) {
			burst(s, 2, OK, read("a", 1, 11, 11))
			burst(s, 1, OK, write("a", 1, "ok", 11))
		}},
		{"writes change places", "session 0x1 sent the write of 1 to key a (operation 0) before that of 2 to key b (operation 0), but they took effect at zxid 0xc and 0xb", func(s *script) {
			burst(s, 1, OK, write("a", 1, "ok", 12), write("b", 2, "ok", 11))
		}},
		{"an open write comes late", "before that of 2 to key b (operation 2), but they took effect at zxid 0xc and 0xb", func(s *script) {
			burst(s, 1, Info, write("a", 1, "info", 0))
			burst(s, 1, OK, write("b", 2, "ok", 11))
			burst(s, 2, OK, read("a", 1, 12, 12))
		}},
		{"zxids go back", "session 0x1 was answered at zxid 0x14 (read of key a, operation 2), and then at zxid 0x13", func(s *script) {
			burst(s, 2, OK, write("a", 1, "ok", 5))
			burst(s, 1, OK, read("a", 1, 20, 5), read("a", 1, 19, 5))
		}},
		{"own write unseen", "session 0x1 had come to zxid 0xb of key a with a write of operation 2, but a read that it sent later (operation 2) shows zxid 0x5", func(s *script) {
			burst(s, 2, OK, write("a", 1, "ok", 5))
			burst(s, 1, OK, write("a", 2, "ok", 11), read("a", 1, 11, 5))
		}},
		{"a read sees what was sent behind it", "session 0x1 read key a at zxid 0xb (operation 0), which is not before its own write of 1, which it sent later (operation 0)", func(s *script) {
			burst(s, 1, OK, read("a", 1, 11, 11), write("a", 1, "ok", 11))
		}},
		{"twice", "value 1 took effect twice: in key a at zxid 0xb (operation 0), and in key a at zxid 0xd (operation 2)", func(s *script) {
			burst(s, 1, OK, write("a", 1, "ok", 11))
			burst(s, 2, OK, read("a", 1, 13, 13))
		}},
		{"failed and done", "the write of 1 in operation 0 certainly failed, but operation 2 shows it", func(s *script) {
			burst(s, 1, OK, write("a", 1, "fail", 0))
			burst(s, 2, OK, read("a", 1, 11, 11))
		}},
		{"stranger", "operation 0 shows value 7 in key a, which nobody sent", func(s *script) { burst(s, 1, OK, read("a", 7, 11, 11)) }},
		{"an answer to another connection's request", "a member answered something that session 0x1 had not asked on that connection, while operation 0 waited", func(s *script) {
			burst(s, 1, Info, write("a", 1, "broken", 0))
		}},
	})
}

// TestPipelineWithoutCompletion reads the requests of bursts and leaps that the history
// leaves open.
func TestPipelineWithoutCompletion(t *testing.T) {
	s := &script{}
	s.begin(1, "leap", []any{int64(3), []any{[]any{"write", "a", int64(1)}}, []any{[]any{"write", "b", int64(2)}}})
	s.did(2, OK, "burst", nil, []any{[]any{"read", "a", int64(1), "ok", int64(12), int64(12)}, []any{"read", "b", int64(2), "ok", int64(12), int64(11)}})
	expectVerdict(t, CheckPipeline(s.history, DefaultBounds), "sent the write of 1 to key a (operation 0) before that of 2 to key b (operation 0), but they took effect at zxid 0xc and 0xb")
}
