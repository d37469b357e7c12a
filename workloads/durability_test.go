package workloads

import (
	"strings"
	"testing"
)

func TestDurabilityStories(t *testing.T) {
	did := func(s *script, kind Type, f string, value any, mzxid int64) {
		from := len(s.history)
		s.did(from, kind, f, value, value)
		for i := range s.history[from:] {
			s.history[from+i].Key = "d"
		}
		if f == "read" {
			s.history[from].Value = nil
		}
		s.history[from+1].Mzxid = mzxid
	}
	runStories(t, CheckDurability, []storyTest{
		{"fine", "", func(s *script) {
			did(s, OK, "read", nil, 0)
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "change", int64(2), 11)
			did(s, OK, "read", int64(2), 11)
			did(s, OK, "drop", nil, 12)
			did(s, OK, "read", nil, 0)
			did(s, OK, "make", int64(3), 13)
			did(s, OK, "read", int64(3), 13)
		}},
		{"lost creation", "a change is lost: read 2 of d found no znode, but make 0 had proved zxid 0xa, and nobody can have deleted it since", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "read", nil, 0)
		}},
		{"lost change", "a change is lost: read 4 of d shows zxid 0xa, but change 2 had proved zxid 0xb", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "change", int64(2), 11)
			did(s, OK, "read", int64(1), 10)
		}},
		{"lost deletion", "read 4 of d shows zxid 0xa, but drop 2 had deleted it at zxid 0xb", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "drop", nil, 11)
			did(s, OK, "read", int64(1), 10)
		}},
		{"shown and lost", "read 4 of d found no znode, but read 2 had proved zxid 0xa", func(s *script) {
			did(s, Info, "make", int64(1), 0)
			did(s, OK, "read", int64(1), 10)
			did(s, OK, "read", nil, 0)
		}},
		{"perhaps deleted", "", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, Info, "drop", nil, 0)
			did(s, OK, "read", nil, 0)
		}},
		{"an older deletion explains nothing", "nobody can have deleted it since", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "drop", nil, 11)
			did(s, OK, "make", int64(2), 12)
			did(s, OK, "read", nil, 0)
		}},
		{"damaged", "read 2 of d shows what nobody wrote (-1)", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "read", int64(-1), 10)
		}},
		{"at another zxid", "read 4 of d shows 2 at zxid 0xd, but change 2 wrote it at zxid 0xb", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "change", int64(2), 11)
			did(s, OK, "read", int64(2), 13)
		}},
		{"failed and there", "make 0 of it certainly failed", func(s *script) {
			did(s, Fail, "make", int64(1), 0)
			did(s, OK, "read", int64(1), 10)
		}},
		{"another's data", "shows 2 at zxid 0xa, but that is the zxid of make 0, which wrote 1", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, Info, "change", int64(2), 0)
			did(s, OK, "read", int64(2), 10)
		}},
	})
	at := func(s *script, version int32) { s.history[len(s.history)-1].Version = version }
	runStories(t, CheckDurability, []storyTest{
		{"versions count changes", "", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			at(s, 0)
			did(s, OK, "change", int64(2), 11)
			at(s, 1)
			did(s, OK, "read", int64(2), 11)
			at(s, 1)
			did(s, OK, "drop", nil, 12)
			did(s, OK, "make", int64(3), 13)
			at(s, 0)
			did(s, OK, "read", int64(3), 13)
			at(s, 0)
		}},
		{"a read of another version", "read 4 of d shows version 2 at zxid 0xb, but change 2 had shown version 1 at that", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			at(s, 0)
			did(s, OK, "change", int64(2), 11)
			at(s, 1)
			did(s, OK, "read", int64(2), 11)
			at(s, 2)
		}},
		{"made at another version", "make 0 of d shows version 1 at zxid 0xa, which was at least 0 and at most 0 then: nothing had made it", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			at(s, 1)
		}},
		{"a change that does not count", "change 2 of d shows version 0 at zxid 0xb, which was at least 1 and at most 1 then", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			at(s, 0)
			did(s, OK, "change", int64(2), 11)
			at(s, 0)
		}},
		{"a version too many", "read 4 of d shows version 3 at zxid 0xc, which was at least 1 and at most 1 then", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			at(s, 0)
			did(s, Info, "change", int64(2), 0)
			did(s, OK, "read", int64(2), 12)
			at(s, 3)
			did(s, Info, "change", int64(3), 0)
		}},
		{"changes without an answer count or not", "", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			at(s, 0)
			did(s, Info, "change", int64(2), 0)
			did(s, Info, "change", int64(3), 0)
			did(s, OK, "change", int64(4), 12)
			at(s, 2)
			did(s, OK, "read", int64(4), 12)
			at(s, 2)
		}},
		{"versions begin anew with what was made without an answer", "", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			at(s, 0)
			did(s, OK, "change", int64(2), 11)
			at(s, 1)
			did(s, Info, "drop", nil, 0)
			did(s, Info, "make", int64(3), 0)
			did(s, OK, "change", int64(4), 15)
			at(s, 1)
		}},
		{"a change without an answer that comes late", "", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			at(s, 0)
			did(s, Info, "change", int64(2), 0)
			did(s, OK, "change", int64(3), 11)
			at(s, 1)
			did(s, OK, "read", int64(2), 12)
			at(s, 2)
		}},
		{"made twice", "make 2 of d proves that it was made at zxid 0xb, but it was there: make 0 had proved a make at zxid 0xa", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "make", int64(2), 11)
		}},
		{"made twice, perhaps deleted between", "", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, Info, "drop", nil, 0)
			did(s, OK, "make", int64(2), 12)
		}},
		{"changed though it was not there", "change 0 of d proves a change at zxid 0xa, but it was not there: nothing had made it", func(s *script) {
			did(s, OK, "change", int64(1), 10)
		}},
		{"deleted twice", "drop 4 of d proves a drop at zxid 0xc, but it was not there: drop 2 had proved a drop at zxid 0xb", func(s *script) {
			did(s, OK, "make", int64(1), 10)
			did(s, OK, "drop", nil, 11)
			did(s, OK, "drop", nil, 12)
		}},
	})
	for _, value := range []int64{1, 99, 12345} {
		data := largeData(value)
		if got := largeValue(data); got != value || len(data) > durabilityBytes {
			t.Errorf("%d became %d, with %d bytes", value, got, len(data))
		}
		data[len(data)/2] ^= 1
		if got := largeValue(data); got != -1 {
			t.Errorf("damaged data of %d read as %d", value, got)
		}
	}
}

func TestConfigurationStories(t *testing.T) {
	did := func(s *script, version int64, servers string) {
		s.did(len(s.history), OK, "config", nil, []any{version, servers})
	}
	runStories(t, CheckConfigurations, []storyTest{
		{"fine", "", func(s *script) {
			did(s, 0, "a b")
			did(s, 10, "a b c")
			did(s, 10, "a b c")
		}},
		{"goes back", "operation 4 was shown version 0 of the membership, but operation 2 had been shown version a before it began", func(s *script) {
			did(s, 0, "a b")
			did(s, 10, "a b c")
			did(s, 0, "a b")
		}},
		{"one version, two memberships", `version a of the membership is "a b" to operation 0 and "a b c" to operation 2`, func(s *script) {
			did(s, 10, "a b")
			did(s, 10, "a b c")
		}},
	})
	for name, tell := range map[string]func(*script){
		"nobody asked":          func(*script) {},
		"nobody was told":       func(s *script) { s.did(0, Fail, "config", nil, nil) },
		"the last is under way": func(s *script) { s.begin(0, "config", nil) },
	} {
		s := &script{}
		tell(s)
		if result := CheckConfigurations(s.history, DefaultBounds); result.Verdict != VerdictUnknown || !strings.Contains(result.Cause, "no read of the membership succeeded") {
			t.Errorf("%s: %s: %s", name, result.Verdict, result.Cause)
		}
	}
	version, servers, ok := parseMembership("server.1=a:1:2:participant\nserver.2=b:1:2\nversion=10000001f")
	if version != 0x10000001f || servers != "server.1=a:1:2:participant server.2=b:1:2" || !ok {
		t.Errorf("%x, %q, %v", version, servers, ok)
	}
	if _, _, ok := parseMembership("server.1=a:1:2"); ok {
		t.Error("a membership without a version was read")
	}
}
