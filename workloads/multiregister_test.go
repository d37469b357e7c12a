package workloads

import "testing"

func TestMultiRegisterStories(t *testing.T) {
	at := func(register, version, value int64) any { return numbers(register, version, value) }
	// change and read are operations on group g at a zxid.
	did := func(s *script, kind Type, f string, zxid int64, touched ...any) {
		from := len(s.history)
		s.did(from, kind, f, nil, touched)
		for i := range s.history[from:] {
			s.history[from+i].Key = "g"
		}
		if kind == OK {
			s.history[from+1].Zxid = zxid
		}
	}
	runStories(t, CheckMultiRegister, []storyTest{
		{"fine", "", func(s *script) {
			did(s, OK, "change", 10, at(0, 0, 1), at(1, 0, 1))
			did(s, OK, "change", 11, at(1, 1, 2), at(2, 0, 2))
			did(s, OK, "read", 12, at(0, 1, 1), at(1, 2, 2), at(2, 1, 2), at(3, 0, 0))
		}},
		{"half a change", "read 2 can't stand where its zxid 0xb puts it: it found register 1 at version 0, but the register is at version 1", func(s *script) {
			did(s, OK, "change", 10, at(0, 0, 1), at(1, 0, 1))
			did(s, OK, "read", 11, at(0, 1, 1), at(1, 0, 0), at(2, 0, 0), at(3, 0, 0))
		}},
		{"lost update", "change 2 can't stand where its zxid 0xb puts it: it found register 0 at version 0, but the register is at version 1", func(s *script) {
			did(s, OK, "change", 10, at(0, 0, 1))
			did(s, OK, "change", 11, at(0, 0, 2))
		}},
		{"another value", "it read value 7 in register 0, but at version 1 the register has value 1", func(s *script) {
			did(s, OK, "change", 10, at(0, 0, 1))
			did(s, OK, "read", 11, at(0, 1, 7))
		}},
		{"against real time", "change 2 was given zxid 0x9, but change 0, which ended before it began, has zxid 0xa", func(s *script) {
			did(s, OK, "change", 10, at(0, 0, 1))
			did(s, OK, "change", 9, at(1, 0, 2))
		}},
		{"one zxid for two", "change 0 and change 2 were both given zxid 0xa", func(s *script) {
			did(s, OK, "change", 10, at(0, 0, 1))
			did(s, OK, "change", 10, at(1, 0, 2))
		}},
		{"a change without an answer is needed", "", func(s *script) {
			did(s, Info, "change", 0, at(0, 0, 1), at(1, 0, 1))
			did(s, OK, "read", 10, at(0, 1, 1), at(1, 1, 1), at(2, 0, 0), at(3, 0, 0))
		}},
		{"but not half of it", "can't stand where its zxid 0xa puts it", func(s *script) {
			did(s, Info, "change", 0, at(0, 0, 1), at(1, 0, 1))
			did(s, OK, "read", 10, at(0, 1, 1), at(1, 0, 0), at(2, 0, 0), at(3, 0, 0))
		}},
		{"it began too late", "it found register 0 at version 1, but the register is at version 0", func(s *script) {
			did(s, OK, "read", 10, at(0, 1, 1))
			did(s, Info, "change", 0, at(0, 0, 1))
		}},
		{"of two without an answer the other one", "", func(s *script) {
			did(s, Info, "change", 0, at(0, 0, 1), at(1, 0, 1))
			did(s, Info, "change", 0, at(0, 0, 2))
			did(s, OK, "change", 10, at(0, 1, 3))
			did(s, OK, "read", 11, at(0, 2, 3), at(1, 0, 0), at(2, 0, 0), at(3, 0, 0))
		}},
		{"one without an answer leads to another", "", func(s *script) {
			did(s, Info, "change", 0, at(0, 0, 1), at(1, 0, 1))
			did(s, Info, "change", 0, at(1, 1, 2), at(2, 0, 2))
			did(s, OK, "change", 10, at(2, 1, 3))
		}},
	})
	s := &script{}
	s.begin(0, "change", numbers(1, 0))
	if result := CheckMultiRegister(s.history, DefaultBounds); result.Verdict != VerdictUnknown {
		t.Errorf("of a change that never ended: verdict %s: %s", result.Verdict, result.Cause)
	}
}
