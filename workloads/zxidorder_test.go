package workloads

import (
	"strings"
	"testing"
)

func TestZxidStories(t *testing.T) {
	for _, test := range []struct {
		name  string
		tell  func(*story)
		cause string
	}{
		{"fine", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.cas(1, 1, 2, 0, 1)
			s.do(0, "read", int64(2), 1)
		}, ""},
		{"session goes back", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(0, "write", int64(2), 1)
			s.invoke(0, "write", int64(3))
			s.add(Op{Type: Fail, Process: 0, F: "write", Zxid: 100, Version: -1, Error: "refused"})
		}, "process 0 went back in time: operation 4 was answered at zxid 0x64, after operation 2 had been answered at zxid 0x65"},
		{"session goes back, over two processes", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(0, "write", int64(2), 1)
			s.do(5, "write", int64(3), 2)
			for i := range s.history {
				s.history[i].Session = 7
			}
			s.history[5].Zxid, s.history[5].Mzxid = 90, 90
		}, "session 0x7 went back in time"},
		{"reply shows a change newer than itself", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.history[1].Zxid = 99
		}, "shows a change at zxid 0x64, but its header says that the server had only come to zxid 0x63"},
		{"version made twice", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(1, "read", int64(1), 0)
			s.history[3].Mzxid, s.history[3].Zxid = 101, 101
		}, "version 0 of key x was made at zxid 0x64 (value 1) by one answer and at zxid 0x65 (value 1) by another"},
		{"version with two values", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(1, "read", int64(2), 0)
		}, "version 0 of key x has value 1 in one answer and value 2 in another"},
		{"value at two versions", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(1, "read", int64(1), 1)
		}, "value 1 of key x was written once, but was seen as version 0 and as version 1"},
		{"higher version with a lower zxid", func(s *story) {
			s.invoke(0, "write", int64(1))
			s.do(1, "write", int64(2), 1)
			s.ok(0, "write", int64(1), 0)
			s.history[2].Mzxid = 90
		}, "but the later version 1 has zxid 0x5a, which is not later"},
		{"stale read", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(0, "write", int64(2), 1)
			s.do(1, "read", int64(1), 0)
		}, "read 4 of key x shows zxid 0x64, but write 2 had shown zxid 0x65 before it began"},
		{"read finds no znode", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(1, "read", nil, -1)
		}, "read 2 of key x found no znode"},
		{"two keys with one zxid", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(1, "write", int64(2), 0)
			s.history[2].Key, s.history[3].Key = "y", "y"
		}, "were both acknowledged with zxid 0x64"},
		{"change on another key with an older zxid", func(s *story) {
			s.do(0, "write", int64(1), 0)
			s.do(1, "write", int64(2), 0)
			s.history[2].Key, s.history[3].Key, s.history[3].Mzxid = "y", "y", 99
		}, "write 2 was given zxid 0x63, although write 0 had been acknowledged with zxid 0x64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s story
			test.tell(&s)
			result := CheckZxidOrder(s.history, Bounds{MaxFailures: 20})
			if test.cause == "" {
				if result.Verdict != VerdictOK {
					t.Fatalf("verdict %s: %s", result.Verdict, result.Cause)
				}
				return
			}
			if result.Verdict != VerdictFail {
				t.Fatalf("verdict %s: %s", result.Verdict, result.Cause)
			}
			for _, failure := range result.Failures {
				if strings.Contains(failure.Cause, test.cause) {
					checkFailure(t, s.history, failure)
					return
				}
			}
			t.Fatalf("no failure with %q in %+v", test.cause, result.Failures)
		})
	}
}

func TestNonVacuous(t *testing.T) {
	var good story
	good.do(0, "write", int64(1), 0)
	good.cas(0, 1, 2, 0, 1)
	good.do(0, "read", int64(2), 1)
	var many story
	many.do(0, "write", int64(1), 0)
	many.cas(0, 1, 2, 0, 1)
	for process := range enoughAsks {
		many.invoke(process+1, "read", nil)
		many.info(process+1, "read", nil)
	}
	kinds := []string{"read", "write", "cas"}
	kill := FaultOutcome{Name: "kill", Effective: true, Healed: true}
	for _, test := range []struct {
		name     string
		history  []Op
		asked    []string
		outcomes []FaultOutcome
		verdict  Verdict
		cause    string
	}{
		{"no faults asked for", good.history, nil, nil, VerdictOK, ""},
		{"fault in effect", good.history, []string{"kill"}, []FaultOutcome{kill, {Name: "kill"}}, VerdictOK, ""},
		{"fault never in effect", good.history, []string{"kill"}, []FaultOutcome{{Name: "kill"}}, VerdictUnknown, "no kill was ever seen in effect"},
		{"one of two kinds never in effect", good.history, []string{"kill", "pause"}, []FaultOutcome{kill}, VerdictUnknown, "no pause was ever seen in effect"},
		{"never healed", good.history, []string{"kill"}, []FaultOutcome{{Name: "kill", Effective: true}}, VerdictUnknown, "a kill was never seen healed"},
		{"broken and too busy", many.history, []string{"kill"}, nil, VerdictFail, "no kill was ever seen in effect"},
		{"no read", many.history, nil, nil, VerdictFail, "no read ever succeeded, of 100"},
		{"hardly a read tried", many.history[:len(many.history)-2], nil, nil, VerdictUnknown, "no read ever succeeded, of only 99"},
		{"a read without an answer", good.history[:5], nil, nil, VerdictUnknown, "no read ever succeeded, of only 1"},
		{"no read tried", good.history[:4], nil, nil, VerdictUnknown, "no read ever came to the service"},
		{"reads that were not sent", append(good.history[:5:5], Op{Index: 5, TimeNs: 100, Type: Fail, F: "read"}), nil, nil, VerdictUnknown, "no read ever came to the service"},
		{"reads that were refused", append(good.history[:5:5], Op{Index: 5, TimeNs: 100, Type: Fail, F: "read", Zxid: 9}), nil, nil, VerdictUnknown, "no read ever succeeded, of only 1"},
		{"nothing at all", nil, nil, nil, VerdictUnknown, "no read ever came to the service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := CheckNonVacuous(test.history, kinds, test.asked, test.outcomes)
			if result.Verdict != test.verdict {
				t.Fatalf("verdict %s, want %s: %s", result.Verdict, test.verdict, result.Cause)
			}
			if !strings.Contains(result.Cause, test.cause) {
				t.Fatalf("cause %q, want %q", result.Cause, test.cause)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	verdicts := []Verdict{VerdictOK, VerdictUnknown, VerdictFail}
	for i, a := range verdicts {
		for j, b := range verdicts {
			if got, want := a.Merge(b), verdicts[max(i, j)]; got != want {
				t.Errorf("%s and %s give %s, want %s", a, b, got, want)
			}
		}
	}
	if got := VerdictOK.Merge(""); got != VerdictUnknown {
		t.Errorf("a missing verdict gives %s, want unknown", got)
	}
	if got := MergeResults(nil); got != VerdictUnknown {
		t.Errorf("no result gives %s, want unknown", got)
	}
}
