package workloads

import (
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// story writes histories by hand: one line an event, numbered as they come.
type story struct {
	history []Op
	zxid    int64
}

func (s *story) add(op Op) {
	op.Index, op.TimeNs = len(s.history), int64(len(s.history))
	if op.Key == "" {
		op.Key = "x"
	}
	s.history = append(s.history, op)
}

func (s *story) invoke(process int, f string, value any) {
	s.add(Op{Type: Invoke, Process: process, F: f, Value: value, Version: -1})
}

// ok completes with a version; the zxid follows from the version.
func (s *story) ok(process int, f string, value any, version int32) {
	op := Op{Type: OK, Process: process, F: f, Value: value, Version: version}
	if version >= 0 {
		op.Mzxid = 100 + int64(version)
	}
	s.zxid = max(s.zxid, op.Mzxid)
	op.Zxid = s.zxid
	s.add(op)
}

func (s *story) info(process int, f string, value any) {
	s.add(Op{Type: Info, Process: process, F: f, Value: value, Version: -1, Error: "connection loss"})
}

// do is an operation that nothing overlaps.
func (s *story) do(process int, f string, value any, version int32) {
	invoked := value
	if f == "read" {
		invoked = nil
	}
	s.invoke(process, f, invoked)
	s.ok(process, f, value, version)
}

func (s *story) cas(process int, old, new int64, expected, version int32) {
	s.add(Op{Type: Invoke, Process: process, F: "cas", Value: [2]int64{old, new}, Version: expected})
	s.ok(process, "cas", [2]int64{old, new}, version)
}

var stories = []struct {
	name  string
	tell  func(*story)
	cause string // part of the cause of the failure, "" if the history is fine
}{
	{"sequential", func(s *story) {
		s.do(0, "read", nil, -1)
		s.do(0, "write", int64(1), 0)
		s.do(1, "read", int64(1), 0)
		s.cas(1, 1, 2, 0, 1)
		s.do(0, "read", int64(2), 1)
	}, ""},
	{"lost update", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(0, "write", int64(2), 1)
		s.do(1, "write", int64(3), 1)
		s.do(1, "read", int64(3), 1)
	}, "acknowledged as version 1: its acknowledgement says that it made version 1, but the register is already at value"},
	{"stale read", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(0, "write", int64(2), 1)
		s.do(1, "read", int64(1), 0)
	}, "a read of value 1 at version 0: it read value 1, version 0, but before it began the register had already come to value 2, version 1"},
	{"read of an absent znode after its creation", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(1, "read", nil, -1)
	}, "it read no znode"},
	{"acknowledged write lost", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(0, "write", int64(2), 1)
		s.do(1, "read", int64(1), 0)
		s.do(1, "write", int64(3), 1)
	}, "already"},
	{"cas from the wrong version", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(0, "write", int64(2), 1)
		s.cas(1, 1, 3, 0, 2)
	}, "a cas expecting version 0 can only make version 1"},
	{"cas from the wrong value", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(0, "write", int64(2), 1)
		s.cas(1, 1, 3, 1, 2)
	}, "it replaced value 1, but the register has value 2, version 1"},
	{"two writes of one version, concurrent", func(s *story) {
		s.invoke(0, "write", int64(1))
		s.invoke(1, "write", int64(2))
		s.ok(0, "write", int64(1), 0)
		s.ok(1, "write", int64(2), 0)
	}, "made version 0"},
	{"value that nobody wrote", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(1, "read", int64(9), 0)
	}, "no operation of this key ever tried to write"},
	{"garbage read", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(1, "read", "\x00\x01", 0)
	}, "no operation of this key ever tried to write"},
	{"write without an answer took effect later", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.invoke(1, "write", int64(2))
		s.info(1, "write", int64(2))
		s.do(0, "read", int64(1), 0)
		s.do(0, "read", int64(2), 1)
		s.do(0, "write", int64(3), 2)
	}, ""},
	{"write without an answer took effect, unseen", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.invoke(1, "write", int64(2))
		s.info(1, "write", int64(2))
		s.do(0, "read", int64(1), 0)
		s.do(0, "write", int64(3), 2)
	}, ""},
	{"write without an answer never took effect", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.invoke(1, "write", int64(2))
		s.info(1, "write", int64(2))
		s.do(0, "read", int64(1), 0)
		s.do(0, "write", int64(3), 1)
		s.do(0, "read", int64(3), 1)
	}, ""},
	{"write without an answer took effect twice", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.invoke(1, "write", int64(2))
		s.info(1, "write", int64(2))
		s.do(0, "read", int64(2), 1)
		s.do(0, "write", int64(3), 2)
		s.do(0, "read", int64(2), 3)
	}, "version 3"},
	{"write without an answer took effect before it began", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(0, "read", int64(2), 1)
		s.invoke(1, "write", int64(2))
		s.info(1, "write", int64(2))
	}, "no operation is left that can have made version 1"},
	{"version skipped", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(0, "write", int64(2), 2)
	}, "no operation is left that can have made version 1"},
	{"cas without an answer took effect", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.add(Op{Type: Invoke, Process: 1, F: "cas", Value: [2]int64{1, 2}, Version: 0})
		s.info(1, "cas", [2]int64{1, 2})
		s.do(0, "read", int64(2), 1)
	}, ""},
	{"cas without an answer, unseen, fills a version", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.add(Op{Type: Invoke, Process: 1, F: "cas", Value: [2]int64{1, 2}, Version: 0})
		s.info(1, "cas", [2]int64{1, 2})
		s.do(0, "write", int64(3), 2)
	}, ""},
	{"cas without an answer cannot fill another version", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.do(0, "write", int64(2), 1)
		s.add(Op{Type: Invoke, Process: 1, F: "cas", Value: [2]int64{1, 4}, Version: 0})
		s.info(1, "cas", [2]int64{1, 4})
		s.do(0, "write", int64(3), 3)
	}, "no operation is left that can have made version 2"},
	{"cas of the right value at the wrong version", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.cas(1, 1, 2, 5, 1)
	}, "a cas expecting version 5 can only make version 6, but the reply says version 1"},
	{"the gap is explained, the read is not", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.invoke(1, "write", int64(2))
		s.info(1, "write", int64(2))
		s.do(0, "write", int64(3), 2)
		s.do(0, "read", int64(1), 0)
	}, "a read of value 1 at version 0: it read value 1, version 0, but before it began the register had already come to"},
	{"failed write shows up", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.invoke(1, "write", int64(2))
		s.add(Op{Type: Fail, Process: 1, F: "write", Value: int64(2), Version: -1, Error: "refused"})
		s.do(0, "read", int64(2), 1)
	}, "it read value 2, which no operation of this key ever tried to write"},
	{"history without its last completion", func(s *story) {
		s.do(0, "write", int64(1), 0)
		s.invoke(1, "write", int64(2))
		s.do(0, "read", int64(2), 1)
	}, ""},
}

func TestStories(t *testing.T) {
	for _, test := range stories {
		t.Run(test.name, func(t *testing.T) {
			var s story
			test.tell(&s)
			result := CheckLinearizable(s.history, DefaultBounds)
			if test.cause == "" {
				if result.Verdict != VerdictOK {
					t.Fatalf("verdict %s (%s), want ok", result.Verdict, result.Cause)
				}
				return
			}
			if result.Verdict != VerdictFail || !strings.Contains(result.Cause, test.cause) {
				t.Fatalf("verdict %s, cause %q; want fail with %q", result.Verdict, result.Cause, test.cause)
			}
			checkFailure(t, s.history, result.Failures[0])
		})
	}
}

// checkFailure holds the promises of the Failure type against one.
func checkFailure(t *testing.T, history []Op, failure Failure) {
	t.Helper()
	if len(failure.Steps) == 0 || failure.Steps[len(failure.Steps)-1].Legal {
		t.Fatalf("the counterexample does not end in an impossible step: %+v", failure.Steps)
	}
	if !slices.IsSorted(failure.Ops) {
		t.Errorf("operations out of order: %v", failure.Ops)
	}
	for _, step := range failure.Steps {
		if !slices.Contains(failure.Ops, step.Op) {
			t.Errorf("step %d is not among the operations %v", step.Op, failure.Ops)
		}
		if step.Legal != (step.Why == "") {
			t.Errorf("step %d: legal %v, why %q", step.Op, step.Legal, step.Why)
		}
	}
	for _, index := range failure.Ops {
		if history[index].Type != Invoke {
			t.Errorf("operation %d is no invocation", index)
		}
	}
}

func TestCorrectRegisterIsAlwaysOK(t *testing.T) {
	for seed := range int64(150) {
		history := simulate(seed, 600, 2+int(seed%9), int(seed%5)*10)
		for _, checker := range registerWorkload.Checkers(DefaultBounds) {
			if result := checker.Check(history); result.Verdict != VerdictOK {
				t.Fatalf("seed %d: %s: verdict %s: %s", seed, checker.Name, result.Verdict, result.Cause)
			}
		}
	}
}

// mutations break a correct history. Each says whether the zxid checker must
// see it too.
var mutations = []struct {
	name   string
	byZxid bool
	mutate func(history []Op, rng *rand.Rand) bool
}{
	{"a read shows an older value", true, func(history []Op, rng *rand.Rand) bool {
		// The older answer must have been overtaken by one that ended before
		// the read began.
		for _, i := range rng.Perm(len(history)) {
			read := &history[i]
			if read.Type != OK || read.F != "read" || read.Version < 2 {
				continue
			}
			invoked := invocationOf(history, i)
			var old *Op
			overtaken := false
			for j := range invoked {
				other := &history[j]
				if other.Type != OK || other.Key != read.Key || other.Version < 0 {
					continue
				}
				if old == nil {
					old = other
				} else if other.Version > old.Version {
					overtaken = true
				}
			}
			if overtaken {
				value := old.Value
				if _, new, ok := casValues(value); ok {
					value = new
				}
				read.Value, read.Version, read.Mzxid = value, old.Version, old.Mzxid
				return true
			}
		}
		return false
	}},
	{"a read shows a value that was never written", false, func(history []Op, rng *rand.Rand) bool {
		for _, i := range rng.Perm(len(history)) {
			if op := &history[i]; op.Type == OK && op.F == "read" && op.Version >= 0 {
				op.Value = int64(1 << 40)
				return true
			}
		}
		return false
	}},
	{"two writes are acknowledged as one version", true, func(history []Op, rng *rand.Rand) bool {
		for _, i := range rng.Perm(len(history)) {
			op := &history[i]
			if op.Type != OK || op.F != "write" || op.Version < 1 {
				continue
			}
			for j := range i {
				if other := &history[j]; other.Type == OK && other.F == "write" && other.Key == op.Key && other.Version != op.Version {
					op.Version = other.Version
					return true
				}
			}
		}
		return false
	}},
	{"an acknowledged write is reported as failed", false, func(history []Op, rng *rand.Rand) bool {
		for _, i := range rng.Perm(len(history)) {
			op := &history[i]
			if op.Type != OK || op.F != "write" {
				continue
			}
			for j := range history {
				if read := &history[j]; read.Type == OK && read.F == "read" && read.Key == op.Key && read.Version == op.Version {
					op.Type, op.Version, op.Mzxid = Fail, -1, 0
					return true
				}
			}
		}
		return false
	}},
	{"a cas is acknowledged one version too high", true, func(history []Op, rng *rand.Rand) bool {
		for _, i := range rng.Perm(len(history)) {
			op := &history[i]
			if op.Type != OK || op.F != "cas" {
				continue
			}
			for j := range history {
				if other := &history[j]; other.Type == OK && other.Key == op.Key && other.Version == op.Version+1 {
					op.Version++
					return true
				}
			}
		}
		return false
	}},
}

// invocationOf gives the position of the invocation that history[i] completes.
func invocationOf(history []Op, i int) int {
	for j := i - 1; j >= 0; j-- {
		if history[j].Process == history[i].Process {
			return j
		}
	}
	panic("completion without an invocation")
}

func TestMutationsAreCaught(t *testing.T) {
	for _, mutation := range mutations {
		t.Run(mutation.name, func(t *testing.T) {
			applied := 0
			for seed := range int64(40) {
				history := simulate(seed, 400, 5, 10)
				if !mutation.mutate(history, rand.New(rand.NewSource(seed))) {
					continue
				}
				applied++
				result := CheckLinearizable(history, DefaultBounds)
				if result.Verdict != VerdictFail {
					t.Fatalf("seed %d: verdict %s: %s", seed, result.Verdict, result.Cause)
				}
				checkFailure(t, history, result.Failures[0])
				if len(result.Failures[0].Ops) > 12 {
					t.Errorf("seed %d: the counterexample has %d operations: %+v", seed, len(result.Failures[0].Ops), result.Failures[0])
				}
				if mutation.byZxid {
					if result := CheckZxidOrder(history, DefaultBounds); result.Verdict != VerdictFail {
						t.Fatalf("seed %d: zxid-order: verdict %s: %s", seed, result.Verdict, result.Cause)
					}
				}
			}
			if applied < 20 {
				t.Fatalf("the mutation applied to %d of 40 histories only", applied)
			}
		})
	}
}

func TestShrinkLeavesFewOperations(t *testing.T) {
	history := simulate(3, 20_000, 6, 10)
	last := len(history)
	history = append(history,
		Op{Index: last, TimeNs: int64(last) * 1000, Type: Invoke, Process: 1 << 20, F: "read", Key: "k00010", Version: -1},
		Op{Index: last + 1, TimeNs: int64(last+1) * 1000, Type: OK, Process: 1 << 20, F: "read", Key: "k00010", Version: -1})
	result := CheckLinearizable(history, DefaultBounds)
	if result.Verdict != VerdictFail || len(result.Failures) != 1 {
		t.Fatalf("verdict %s with %d failures: %s", result.Verdict, len(result.Failures), result.Cause)
	}
	if failure := result.Failures[0]; failure.Key != "k00010" || len(failure.Steps) > 2 {
		t.Errorf("key %q, %d steps: %+v", failure.Key, len(failure.Steps), failure)
	}
}

// TestManyOpenChanges has sixty changes without an answer in one key, of which
// some must have taken effect: the search must not try their orders.
func TestManyOpenChanges(t *testing.T) {
	var s story
	s.do(0, "write", int64(1), 0)
	for i := range int64(30) {
		s.invoke(100+int(i), "write", 1000+i)
		s.info(100+int(i), "write", 1000+i)
		s.add(Op{Type: Invoke, Process: 200 + int(i), F: "cas", Value: [2]int64{1, 2000 + i}, Version: 0})
		s.info(200+int(i), "cas", [2]int64{1, 2000 + i})
	}
	s.do(0, "read", int64(1), 0)
	s.do(0, "write", int64(2), 12)
	s.do(0, "read", int64(1007), 13)
	s.do(0, "write", int64(3), 20)
	bounds := Bounds{KeyTimeMs: 60_000, MemoryBytes: 16 << 20, MaxFailures: 1}
	if result := CheckLinearizable(s.history, bounds); result.Verdict != VerdictOK {
		t.Errorf("verdict %s: %s", result.Verdict, result.Cause)
	}
	s.do(0, "read", int64(1), 0)
	result := CheckLinearizable(s.history, bounds)
	if result.Verdict != VerdictFail {
		t.Fatalf("verdict %s: %s", result.Verdict, result.Cause)
	}
	if failure := result.Failures[0]; len(failure.Ops) > 4 {
		t.Errorf("the counterexample has %d operations", len(failure.Ops))
	}
}

func TestBrokenHistoryIsUnknown(t *testing.T) {
	invoke := Op{Type: Invoke, F: "read", Key: "x", Version: -1}
	second := invoke
	second.Index = 1
	crashed := second
	crashed.Type = Info
	after := invoke
	after.Index = 2
	early := second
	early.TimeNs = -1
	other := second
	other.Type, other.Key = OK, "y"
	for _, test := range []struct {
		history []Op
		want    string
	}{
		{[]Op{invoke, second}, "in flight"},
		{[]Op{invoke, crashed, after}, "ended in info"},
		{[]Op{invoke, invoke}, "stands after"},
		{[]Op{invoke, early}, "time goes back"},
		{[]Op{crashed}, "completes nothing"},
		{[]Op{invoke, other}, "completes read of key \"y\""},
	} {
		for _, checker := range registerWorkload.Checkers(DefaultBounds) {
			result := checker.Check(test.history)
			if result.Verdict != VerdictUnknown || !strings.Contains(result.Cause, test.want) {
				t.Errorf("%s: verdict %s: %s; want %q", checker.Name, result.Verdict, result.Cause, test.want)
			}
		}
	}
}

func TestSearchIsFast(t *testing.T) {
	history := simulate(7, 100_000, 30, 2)
	start := time.Now()
	result := CheckLinearizable(history, DefaultBounds)
	t.Logf("%v keys, %v operations in %s", result.Stats["keys"], result.Stats["operations"], time.Since(start))
	if result.Verdict != VerdictOK {
		t.Fatalf("verdict %s: %s", result.Verdict, result.Cause)
	}
}
