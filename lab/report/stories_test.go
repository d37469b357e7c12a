package report

import (
	"strings"
	"testing"

	"zoolab/workloads"
)

// story writes a history one operation after another, a few milliseconds each.
type story struct {
	history []workloads.Op
}

func (s *story) add(op workloads.Op) {
	op.Index, op.TimeNs = len(s.history), int64(len(s.history)+1)*3*msNs
	s.history = append(s.history, op)
}

func (s *story) did(op workloads.Op, value any) {
	op.Node, op.Session = synthMembers[op.Process%5], int64(0x100000000+op.Process)
	invoke := op
	invoke.Type, invoke.Version, invoke.Zxid, invoke.Mzxid = workloads.Invoke, -1, 0, 0
	s.add(invoke)
	op.Type, op.Value = workloads.OK, value
	s.add(op)
}

func list(values ...any) []any { return append([]any{}, values...) }

// appendStory has two transactions of which each has read what the other wrote.
func appendStory() Input {
	s := &story{}
	step := func(f, key string, value any) any { return list(f, key, value) }
	begin := func(process int, steps ...any) {
		s.add(workloads.Op{Type: workloads.Invoke, Process: process, F: "append/txn", Value: list(steps...), Version: -1, Node: synthMembers[process]})
	}
	end := func(process int, steps ...any) {
		s.add(workloads.Op{Type: workloads.OK, Process: process, F: "append/txn", Value: list(steps...), Version: -1, Node: synthMembers[process], Zxid: 0x100000000 + int64(len(s.history))})
	}
	begin(0, step("append", "x", int64(1)), step("r", "y", nil))
	begin(1, step("append", "y", int64(1)), step("r", "x", nil))
	end(1, step("append", "y", int64(1)), step("r", "x", list(int64(1))))
	end(0, step("append", "x", int64(1)), step("r", "y", list(int64(1))))
	begin(2, step("append", "x", int64(2)))
	end(2, step("append", "x", int64(2)))
	begin(3, step("r", "x", nil), step("r", "y", nil))
	end(3, step("r", "x", list(int64(1))), step("r", "y", list(int64(1))))
	begin(1, step("r", "x", nil))
	end(1, step("r", "x", list(int64(1), int64(2))))
	return judged("append", s.history)
}

// watchStory has a session that is shown data before the event of its watch.
func watchStory() Input {
	s := &story{}
	s.did(workloads.Op{Process: 0, F: "watch/write", Key: "w1", Mzxid: 0x100000001, Zxid: 0x100000001, Value: int64(1)}, list())
	s.did(workloads.Op{Process: 1, F: "watch/watch", Key: "w1", Mzxid: 0x100000001, Zxid: 0x100000001}, list())
	s.did(workloads.Op{Process: 0, F: "watch/write", Key: "w1", Mzxid: 0x100000002, Zxid: 0x100000002, Value: int64(2), Version: 1}, list())
	s.did(workloads.Op{Process: 1, F: "watch/read", Key: "w1", Mzxid: 0x100000002, Zxid: 0x100000002, Version: 1}, list(list("w1", int64(0x100000002))))
	s.did(workloads.Op{Process: 1, F: "watch/follow", Key: "followed", Zxid: 0x100000002}, list())
	s.did(workloads.Op{Process: 1, F: "watch/watch", Key: "w1", Mzxid: 0x100000002, Zxid: 0x100000002, Version: 1}, list())
	s.did(workloads.Op{Process: 0, F: "watch/write", Key: "w1", Mzxid: 0x100000003, Zxid: 0x100000003, Value: int64(3), Version: 2}, list())
	s.did(workloads.Op{Process: 1, F: "watch/read", Key: "w1", Mzxid: 0x100000003, Zxid: 0x100000003, Version: 2}, list())
	return judged("watch", s.history)
}

// ephemeralStory has a znode that outlives its session.
func ephemeralStory() Input {
	s := &story{}
	s.did(workloads.Op{Process: 0, F: "ephemeral/make", Value: int64(1), Zxid: 0x100000001, Version: -1}, int64(1))
	s.did(workloads.Op{Process: 1, F: "ephemeral/look", Zxid: 0x100000001, Version: -1}, list(int64(1)))
	s.did(workloads.Op{Process: 0, F: "ephemeral/close", Version: -1}, nil)
	s.did(workloads.Op{Process: 1, F: "ephemeral/look", Zxid: 0x100000002, Version: -1}, list(int64(1)))
	return judged("ephemeral", s.history)
}

// queueStory loses an item.
func queueStory() Input {
	s := &story{}
	s.did(workloads.Op{Process: 0, F: "queue/put", Value: int64(1), Zxid: 0x100000001, Version: -1}, int64(1))
	s.did(workloads.Op{Process: 0, F: "queue/put", Value: int64(2), Zxid: 0x100000002, Version: -1}, int64(2))
	s.did(workloads.Op{Process: 1, F: "queue/take", Zxid: 0x100000003, Version: -1}, int64(2))
	s.did(workloads.Op{Process: 1, F: "queue/left", Zxid: 0x100000003, Version: -1}, list())
	return judged("queue", s.history)
}

// judged lets the checkers of a workload speak about a history, as the lab does
// when it runs the workload beside others.
func judged(name string, history []workloads.Op) Input {
	workload, err := workloads.Lookup(name + ",counter")
	if err != nil {
		panic(err)
	}
	in := Input{Name: name, Title: name + ", a story", History: history, Members: synthMembers, Command: "go run ./lab -workload " + name}
	for _, checker := range workload.Checkers(workloads.DefaultBounds) {
		if strings.HasPrefix(checker.Name, name+"/") {
			in.Results = append(in.Results, checker.Check(history))
		}
	}
	in.Verdict = workloads.MergeResults(in.Results)
	in.Cause = in.Results[0].Checker + ": " + in.Results[0].Cause
	return in
}

// TestCounterexamplesOfEveryKind looks for what makes each kind of violation
// understandable.
func TestCounterexamplesOfEveryKind(t *testing.T) {
	for _, test := range []struct {
		in    Input
		wants []string
	}{
		{appendStory(), []string{`class="edge`, `<ol class="cycle">`, "wr →", "append 1 to x, read y → [1]", "G1c"}},
		{watchStory(), []string{"had not fired", "session 0x100000001", "Impossible: process 1, watch/read"}},
		{ephemeralStory(), []string{"had been closed by operation", "look → [1]", "Impossible: process 1"}},
		{queueStory(), []string{"is lost: put 0 had proved it to be there"}},
	} {
		html := written(t, test.in)
		if test.in.Verdict != workloads.VerdictFail {
			t.Errorf("%s: verdict %s, want a violation to show: %s", test.in.Name, test.in.Verdict, test.in.Cause)
		}
		for _, want := range test.wants {
			if !strings.Contains(html, want) {
				t.Errorf("the counterexample of %s does not show %q", test.in.Name, want)
			}
		}
	}
}
