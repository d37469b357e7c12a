package workloads

import "testing"

// storyTest is a history by hand and what its checker must say; no cause means
// that it is valid.
type storyTest struct {
	name, cause string
	tell        func(*script)
}

func runStories(t *testing.T, check func([]Op, Bounds) Result, tests []storyTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &script{}
			test.tell(s)
			expectVerdict(t, check(s.history, DefaultBounds), test.cause)
		})
	}
}

func numbers(values ...int64) any {
	list := []any{}
	for _, value := range values {
		list = append(list, value)
	}
	return list
}

func TestSetStories(t *testing.T) {
	add := func(s *script, kind Type, value int64) { s.did(int(value), kind, "add", value, value) }
	read := func(s *script, values ...int64) { s.did(100, OK, "read", nil, numbers(values...)) }
	runStories(t, CheckSet, []storyTest{
		{"fine", "", func(s *script) {
			add(s, OK, 1)
			add(s, Info, 2)
			read(s, 1)
			read(s, 1, 2)
		}},
		{"still under way", "", func(s *script) {
			s.begin(0, "add", int64(1))
			read(s)
			read(s, 1)
			s.end(0, OK, "add", int64(1))
		}},
		{"lost", "1 is lost: add 0 had proved it to be there before read 2 began", func(s *script) {
			add(s, OK, 1)
			read(s)
		}},
		{"shown and gone", "2 is lost: read 2", func(s *script) {
			add(s, Info, 2)
			read(s, 2)
			read(s)
		}},
		{"two lists at once, of which neither comes first", "which read 5 doesn't show, but that shows others", func(s *script) {
			add(s, Info, 1)
			add(s, Info, 2)
			s.begin(100, "read", nil)
			s.begin(101, "read", nil)
			s.end(100, OK, "read", numbers(2))
			s.end(101, OK, "read", numbers(1))
		}},
		{"two lists at once", "", func(s *script) {
			add(s, Info, 1)
			s.begin(100, "read", nil)
			s.begin(101, "read", nil)
			s.end(100, OK, "read", numbers(1))
			s.end(101, OK, "read", numbers())
		}},
		{"of a zxid to come", "read 1 shows 1 at zxid 0xa, but add 0 added it at zxid 0xb", func(s *script) {
			s.begin(1, "add", int64(1))
			read(s, 1)
			s.history[2].Zxid = 10
			s.end(1, OK, "add", int64(1))
			s.history[3].Mzxid = 11
		}},
		{"phantom", "9, which nobody tried to add", func(s *script) { read(s, 9) }},
		{"failed and there", "add 0 of it certainly failed", func(s *script) {
			add(s, Fail, 1)
			read(s, 1)
		}},
		{"too early", "shows 1 before add 2 of it began", func(s *script) {
			read(s, 1)
			add(s, OK, 1)
		}},
		{"twice", "shows 1 twice", func(s *script) {
			add(s, OK, 1)
			read(s, 1, 1)
		}},
	})
}

func TestUniqueStories(t *testing.T) {
	create := func(s *script, process int, number any) { s.did(process, OK, "make", nil, number) }
	runStories(t, CheckUnique, []storyTest{
		{"fine", "", func(s *script) {
			create(s, 0, int64(0))
			s.did(5, Info, "make", nil, nil)
			create(s, 1, int64(2))
			s.did(2, OK, "read", nil, numbers(0, 1, 2))
		}},
		{"given twice", "number 3 was given to make 0 and to make 2", func(s *script) {
			create(s, 0, int64(3))
			create(s, 1, int64(3))
		}},
		{"falls", "make 2 was given 2, although make 0 had been given 3", func(s *script) {
			create(s, 0, int64(3))
			create(s, 1, int64(2))
		}},
		{"falls by zxids", "make 0 was given 3 at zxid 0xa, but make 1 was given 2 at zxid 0xb", func(s *script) {
			s.begin(0, "make", nil)
			s.begin(1, "make", nil)
			s.end(0, OK, "make", int64(3))
			s.end(1, OK, "make", int64(2))
			s.history[2].Zxid, s.history[3].Zxid = 10, 11
		}},
		{"rises by zxids", "", func(s *script) {
			s.begin(0, "make", nil)
			s.begin(1, "make", nil)
			s.end(0, OK, "make", int64(3))
			s.end(1, OK, "make", int64(2))
			s.history[2].Zxid, s.history[3].Zxid = 11, 10
		}},
		{"two lists at once, of which neither comes first", "neither of them can have come first", func(s *script) {
			s.did(0, Info, "make", nil, nil)
			s.did(1, Info, "make", nil, nil)
			s.begin(100, "read", nil)
			s.begin(101, "read", nil)
			s.end(100, OK, "read", numbers(2))
			s.end(101, OK, "read", numbers(1))
		}},
		{"lost", "number 3 is lost", func(s *script) {
			create(s, 0, int64(3))
			s.did(2, OK, "read", nil, numbers(1))
		}},
		{"shown and gone", "number 3 is lost: read 2 had proved it to be there before read 4 began", func(s *script) {
			s.did(0, Info, "make", nil, nil)
			s.did(2, OK, "read", nil, numbers(3))
			s.did(2, OK, "read", nil, numbers())
		}},
		{"phantom", "read 2 shows 2 numbers that no make was given, but only 1 of unknown outcome had begun", func(s *script) {
			s.did(0, Info, "make", nil, nil)
			s.did(2, OK, "read", nil, numbers(3, 4))
			s.did(1, Info, "make", nil, nil)
		}},
		{"shown too early", "read 0 shows number 3 before make 2, which was given it, began", func(s *script) {
			s.did(2, OK, "read", nil, numbers(3))
			create(s, 0, int64(3))
		}},
		{"shown twice", "read 2 shows number 3 twice", func(s *script) {
			create(s, 0, int64(3))
			s.did(2, OK, "read", nil, numbers(3, 3))
		}},
		{"no number", "was answered with no number", func(s *script) { create(s, 0, int64(-1)) }},
	})
	for name, want := range map[string]int64{"/a/n0000000000": 0, "n0000000120": 120, "n-000000001": -1, "short": -1} {
		if got := sequence(name); got != want {
			t.Errorf("sequence(%q) = %d, want %d", name, got, want)
		}
	}
}

func TestCounterStories(t *testing.T) {
	add := func(s *script, process int, kind Type, value int64) { s.did(process, kind, "add", value, value) }
	read := func(s *script, value any) { s.did(100, OK, "read", nil, value) }
	// at gives the last answer its zxid and version.
	at := func(s *script, mzxid int64, version int32) {
		last := &s.history[len(s.history)-1]
		last.Mzxid, last.Version = mzxid, version
	}
	runStories(t, CheckCounter, []storyTest{
		{"fine", "", func(s *script) {
			add(s, 0, OK, 2)
			add(s, 1, Info, 3)
			add(s, 2, Fail, 4)
			read(s, int64(2))
			read(s, int64(5))
		}},
		{"lost", "shows 0, but the number was at least 2", func(s *script) {
			add(s, 0, OK, 2)
			read(s, int64(0))
		}},
		{"counted twice", "shows 4, but the number was at least 2 when it began and at most 2", func(s *script) {
			add(s, 0, OK, 2)
			read(s, int64(4))
		}},
		{"failed and counted", "at most 0", func(s *script) {
			add(s, 0, Fail, 2)
			read(s, int64(2))
		}},
		{"goes back", "at least 3", func(s *script) {
			add(s, 0, Info, 3)
			read(s, int64(3))
			read(s, int64(0))
		}},
		{"no number", "shows <nil>", func(s *script) { read(s, nil) }},
		{"versions", "", func(s *script) {
			read(s, int64(0))
			at(s, 5, 0)
			add(s, 0, OK, 2)
			at(s, 10, 1)
			add(s, 1, Info, 3)
			read(s, int64(2))
			at(s, 10, 1)
			add(s, 2, OK, 1)
			at(s, 12, 3)
			read(s, int64(6))
			at(s, 12, 3)
			add(s, 3, Info, 4)
			read(s, int64(10))
			at(s, 14, 4)
		}},
		{"versions of reads, but not of additions", "", func(s *script) {
			add(s, 0, OK, 2)
			read(s, int64(2))
			at(s, 10, 1)
		}},
		{"between the bounds, and no sum", "shows 3: up to that 2 were acknowledged, in 1 additions, and 1 of unknown outcome were done, which are 3 to 3 together", func(s *script) {
			add(s, 0, OK, 2)
			at(s, 10, 1)
			add(s, 1, Info, 3)
			read(s, int64(3))
			at(s, 11, 2)
		}},
		{"an addition without an answer counts, and not its version", "shows 5: up to that 2 were acknowledged, in 1 additions, and 0 of unknown outcome were done", func(s *script) {
			add(s, 0, OK, 2)
			at(s, 10, 1)
			add(s, 1, Info, 3)
			read(s, int64(5))
			at(s, 10, 1)
		}},
		{"more versions than additions", "add 2 was answered with version 3 at zxid 0xb: up to that 2 additions were acknowledged, and at least 0 and at most 0", func(s *script) {
			add(s, 0, OK, 2)
			at(s, 10, 1)
			add(s, 1, OK, 3)
			at(s, 11, 3)
		}},
		{"a version twice", "add 2 was answered with version 1 at zxid 0xb", func(s *script) {
			add(s, 0, OK, 2)
			at(s, 10, 1)
			add(s, 1, OK, 3)
			at(s, 11, 1)
		}},
		{"one zxid, two versions", "read 4 was answered with version 2 at zxid 0xa, but add 0 with version 1", func(s *script) {
			add(s, 0, OK, 2)
			at(s, 10, 1)
			add(s, 1, Info, 2)
			read(s, int64(4))
			at(s, 10, 2)
		}},
		{"one zxid, two numbers", "shows 5, but read 6 shows 4 there", func(s *script) {
			add(s, 0, OK, 2)
			at(s, 10, 1)
			add(s, 1, Info, 2)
			add(s, 3, Info, 3)
			read(s, int64(4))
			at(s, 11, 2)
			read(s, int64(5))
			at(s, 11, 2)
		}},
		{"a change that nobody made", "read 2 was answered with version 1 at zxid 0xb: up to that 1 additions were acknowledged, and at least 1 and at most 0", func(s *script) {
			add(s, 0, OK, 2)
			at(s, 10, 1)
			read(s, int64(2))
			at(s, 11, 1)
		}},
	})
}
