package workloads

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// script makes a history of transactions, operation by operation.
type script struct{ history []Op }

func (s *script) add(op Op) {
	op.Index, op.TimeNs = len(s.history), int64(len(s.history))
	s.history = append(s.history, op)
}

func (s *script) begin(process int, f string, value any) {
	s.add(Op{Type: Invoke, Process: process, F: f, Value: value, Version: -1})
}

func (s *script) end(process int, kind Type, f string, value any) {
	s.add(Op{Type: kind, Process: process, F: f, Value: value, Version: -1})
}

// did is an operation that nothing runs beside.
func (s *script) did(process int, kind Type, f string, invoked, completed any) {
	s.begin(process, f, invoked)
	s.end(process, kind, f, completed)
}

func ap(key string, value int64) any { return []any{"append", key, value} }

func rd(key string, values ...int64) any {
	list := []any{}
	for _, value := range values {
		list = append(list, value)
	}
	return []any{"r", key, list}
}

// asked is a transaction as it is invoked: reads have no answer yet.
func asked(steps []any) any {
	out := make([]any, 0, len(steps))
	for _, step := range steps {
		parts := step.([]any)
		if parts[0] == "r" {
			parts = []any{"r", parts[1], nil}
		}
		out = append(out, parts)
	}
	return out
}

func (s *script) txn(process int, kind Type, steps ...any) {
	s.did(process, kind, "txn", asked(steps), steps)
}

// atOnce runs committed transactions that all overlap.
func (s *script) atOnce(txns ...[]any) {
	for i, steps := range txns {
		s.begin(i, "txn", asked(steps))
	}
	for i, steps := range txns {
		s.end(i, OK, "txn", steps)
	}
}

func TestAppendStories(t *testing.T) {
	for _, test := range []struct {
		name  string
		tell  func(*script)
		cause string // "" for a valid history
	}{
		{"serial", func(s *script) {
			s.txn(0, OK, rd("x"), ap("x", 1))
			s.txn(1, OK, ap("x", 2), rd("x", 1, 2), ap("y", 1))
			s.txn(0, OK, rd("x", 1, 2), rd("y", 1))
		}, ""},
		{"an unknown append may be read or not", func(s *script) {
			s.txn(0, Info, ap("x", 1))
			s.txn(1, Info, ap("x", 2))
			s.txn(2, OK, rd("x", 2))
		}, ""},
		{"beside each other either order will do", func(s *script) {
			s.atOnce([]any{ap("x", 1), rd("y")}, []any{ap("y", 1), rd("x", 1)})
		}, ""},
		{"internal", func(s *script) { s.txn(0, OK, ap("x", 1), rd("x")) }, "internal: transaction 0 reads [] from x"},
		{"internal, not repeatable", func(s *script) {
			s.txn(0, OK, ap("x", 1))
			s.txn(1, OK, rd("x"), rd("x", 1))
		}, "internal"},
		{"G1a", func(s *script) {
			s.txn(0, Fail, ap("x", 1))
			s.txn(1, OK, rd("x", 1))
		}, "G1a: transaction 2 reads 1 from x"},
		{"G1b", func(s *script) {
			s.atOnce([]any{ap("x", 1), ap("x", 2)}, []any{rd("x", 1)})
		}, "G1b: transaction 1 reads x up to 1"},
		{"garbage", func(s *script) { s.txn(0, OK, rd("x", 9)) }, "garbage: transaction 0 reads 9"},
		{"duplicates", func(s *script) {
			s.txn(0, OK, ap("x", 1))
			s.txn(1, OK, rd("x", 1, 1))
		}, "duplicates: transaction 2 reads 1 in x at places 0 and 1"},
		{"incompatible order", func(s *script) {
			s.atOnce([]any{ap("x", 1)}, []any{ap("x", 2)}, []any{rd("x", 1, 2)}, []any{rd("x", 2)})
		}, "incompatible order"},
		{"lost append", func(s *script) {
			s.txn(0, OK, ap("x", 1))
			s.txn(1, OK, rd("x"))
		}, "lost append: transaction 0 appended 1 to x"},
		{"G0", func(s *script) {
			s.atOnce([]any{ap("x", 1), ap("y", 2)}, []any{ap("x", 2), ap("y", 1)}, []any{rd("x", 1, 2)}, []any{rd("y", 1, 2)})
		}, "G0: T0 appended 1 to x right before 2 (ww T1); T1 appended 1 to y right before 2 (ww T0)"},
		{"G1c", func(s *script) {
			s.atOnce([]any{ap("x", 1), rd("y", 1)}, []any{ap("y", 1), rd("x", 1)})
		}, "G1c: T0 appended 1 to x, which was read (wr T1)"},
		{"G2-single", func(s *script) {
			s.atOnce([]any{ap("x", 1), ap("y", 1)}, []any{rd("x", 1), rd("y")}, []any{rd("y", 1)})
		}, "G2-single: T0 appended 1 to x, which was read (wr T1); T1 read y before 1 was appended (rw T0)"},
		{"G2", func(s *script) {
			s.atOnce([]any{rd("x"), ap("y", 1)}, []any{rd("y"), ap("x", 1)}, []any{rd("x", 1)}, []any{rd("y", 1)})
		}, "G2: T0 read x before 1 was appended (rw T1); T1 read y before 1 was appended (rw T0)"},
		{"stale read", func(s *script) {
			s.begin(9, "txn", asked([]any{rd("x")})) // shows the append, but ends late
			s.txn(0, OK, ap("x", 1))
			s.txn(1, OK, rd("x"))
			s.end(9, OK, "txn", []any{rd("x", 1)})
		}, "G2-single-realtime: T1 was acknowledged before T3 began; T3 read x before 1 was appended (rw T1)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &script{}
			test.tell(s)
			expectVerdict(t, CheckAppend(s.history, DefaultBounds), test.cause)
		})
	}
}

// expectVerdict wants a pass for an empty cause, else a failure that tells it.
func expectVerdict(t *testing.T, result Result, cause string) {
	t.Helper()
	if cause == "" {
		if result.Verdict != VerdictOK {
			t.Errorf("a valid history: %s, %s", result.Verdict, result.Cause)
		}
		return
	}
	if result.Verdict != VerdictFail || !strings.Contains(result.Cause, cause) {
		t.Errorf("got %s: %s\nwant a failure with %q", result.Verdict, result.Cause, cause)
	}
	if len(result.Failures) == 0 || len(result.Failures[0].Ops) == 0 {
		t.Error("no operation is shown")
	}
}

func TestAppendCountsOnLargeHistories(t *testing.T) {
	s, rng := &script{}, rand.New(rand.NewSource(1))
	generator := appendWorkload.NewGenerator(Options{Concurrency: 10})
	lists := make(map[string][]any)
	for i := range 20_000 {
		op := generator.Next(rng)
		s.begin(i%10, "txn", op.Value)
		var done []any
		for _, step := range op.Value.([]any) {
			parts := step.([]any)
			key := parts[1].(string)
			if parts[0] == "append" {
				lists[key] = append(lists[key], parts[2])
				done = append(done, step)
			} else {
				done = append(done, []any{"r", key, append([]any{}, lists[key]...)})
			}
		}
		s.end(i%10, OK, "txn", done)
	}
	if result := CheckAppend(s.history, DefaultBounds); result.Verdict != VerdictOK || result.Stats["transactions"] != 20_000 {
		t.Errorf("%s: %s", result.Verdict, result.Cause)
	}
}

func TestBankStories(t *testing.T) {
	balances := func(values ...int64) any {
		list := []any{}
		for _, value := range values {
			list = append(list, value)
		}
		return list
	}
	for _, test := range []struct {
		name, cause string
		read        any
	}{
		{"fine", "", balances(90, 110, 100, 100, 100, 100)},
		{"fine, with versions", "", snapshot(90, 110)},
		{"half a transfer, with versions", "read 0 found 590 in all accounts together instead of 600", snapshot(90, 100)},
		{"no list of accounts", "shows 0 accounts", numbers(1, 2, 3).([]any)[:0]},
		{"another account's balance", "shows 0 accounts", []any{numbers(1, 0, 100), numbers(0, 0, 100)}},
		{"half a transfer", "read 0 found 590 in all accounts together instead of 600", balances(90, 100, 100, 100, 100, 100)},
		{"overdrawn", "account 1 at -10", balances(210, -10, 100, 100, 100, 100)},
		{"an account is missing", "shows 5 accounts", balances(200, 100, 100, 100, 100)},
	} {
		s := &script{}
		s.did(0, OK, "read", nil, test.read)
		t.Run(test.name, func(t *testing.T) { expectVerdict(t, CheckBank(s.history, DefaultBounds), test.cause) })
	}
}

// snapshot shows what the first transfer, from account 0 to account 1, may have changed.
func snapshot(first, second int64) any {
	changed := int64(0)
	if first != bankStart {
		changed = 1
	}
	return []any{numbers(0, changed, first), numbers(1, changed, second), numbers(2, 0, 100), numbers(3, 0, 100), numbers(4, 0, 100), numbers(5, 0, 100)}
}

func TestBankOrderStories(t *testing.T) {
	did := func(s *script, kind Type, f string, zxid int64, value any) {
		s.did(len(s.history), kind, f, nil, value)
		s.history[len(s.history)-1].Zxid = zxid
	}
	transfer := func(account, version, balance, other, otherVersion, otherBalance int64) any {
		return []any{numbers(account, version, balance), numbers(other, otherVersion, otherBalance)}
	}
	runStories(t, CheckBankOrder, []storyTest{
		{"fine", "", func(s *script) {
			did(s, OK, "read", 10, snapshot(100, 100))
			did(s, OK, "transfer", 11, transfer(0, 0, 90, 1, 0, 110))
			did(s, OK, "read", 12, snapshot(90, 110))
		}},
		{"a stale snapshot with the right total", "read 2 can't stand where its zxid 0xc puts it: it found account 0 at version 0, but the account is at version 1", func(s *script) {
			did(s, OK, "transfer", 11, transfer(0, 0, 90, 1, 0, 110))
			did(s, OK, "read", 12, snapshot(100, 100))
		}},
		{"the same with the zxid of the time before", "read 2 was given zxid 0xa, but transfer 0, which ended before it began, has zxid 0xb", func(s *script) {
			did(s, OK, "transfer", 11, transfer(0, 0, 90, 1, 0, 110))
			did(s, OK, "read", 10, snapshot(100, 100))
		}},
		{"a stale snapshot beside the transfer", "", func(s *script) {
			s.begin(50, "transfer", nil)
			did(s, OK, "read", 10, snapshot(100, 100))
			s.end(50, OK, "transfer", transfer(0, 0, 90, 1, 0, 110))
			s.history[len(s.history)-1].Zxid = 11
		}},
		{"the right versions, and money of another account", "it read value 80 in account 0, but at version 1 the account has value 90", func(s *script) {
			did(s, OK, "transfer", 11, transfer(0, 0, 90, 1, 0, 110))
			did(s, OK, "read", 12, snapshot(80, 120))
		}},
		{"without an answer it was done or not", "", func(s *script) {
			did(s, Info, "transfer", 0, transfer(0, 0, 90, 1, 0, 110))
			did(s, OK, "read", 11, snapshot(100, 100))
			did(s, OK, "read", 12, snapshot(90, 110))
		}},
		{"without an answer it was not undone", "read 4 can't stand where its zxid 0xc puts it", func(s *script) {
			did(s, Info, "transfer", 0, transfer(0, 0, 90, 1, 0, 110))
			did(s, OK, "read", 11, snapshot(90, 110))
			did(s, OK, "read", 12, snapshot(100, 100))
		}},
		{"refused, and done", "read 2 can't stand where its zxid 0xb puts it", func(s *script) {
			did(s, Fail, "transfer", 0, numbers(0, 1, 10))
			did(s, OK, "read", 11, snapshot(90, 110))
		}},
	})
}

func TestSessionStories(t *testing.T) {
	// step is one operation of a session; zxid is its reply's, mzxid what it shows.
	type step struct {
		session     int64
		f, key      string
		value       any
		zxid, mzxid int64
		version     int32
	}
	for _, test := range []struct {
		name, cause string
		steps       []step
	}{
		{"stale plain reads are fine", "", []step{
			{1, "write", "x", int64(1), 10, 10, 0}, {1, "write", "x", int64(2), 11, 11, 1},
			{2, "read", "x", int64(1), 10, 10, 0}, {2, "sync-read", "x", int64(2), 11, 11, 1},
		}},
		{"replies go back", "session 0x1 went back in time", []step{
			{1, "write", "x", int64(1), 10, 10, 0}, {1, "read", "y", nil, 9, 0, -1},
		}},
		{"own write unseen", "session 0x1 had come to zxid 0xa by operation 0, but read 2 shows key x at zxid 0x0", []step{
			{1, "write", "x", int64(1), 10, 10, 0}, {1, "read", "x", nil, 10, 0, -1},
		}},
		{"read goes back", "session 0x2 had come to zxid 0xb", []step{
			{1, "write", "x", int64(1), 10, 10, 0}, {1, "write", "x", int64(2), 11, 11, 1},
			{2, "read", "x", int64(2), 11, 11, 1}, {2, "read", "x", int64(1), 11, 10, 0},
		}},
		{"another key is behind", "although it was changed at zxid 0xa", []step{
			{1, "write", "x", int64(1), 10, 10, 0}, {1, "write", "y", int64(2), 11, 11, 0},
			{2, "read", "y", int64(2), 11, 11, 0}, {2, "read", "x", nil, 11, 0, -1},
		}},
		{"sync + read is stale", "sync-read 4 of key x shows zxid 0xa", []step{
			{1, "write", "x", int64(1), 10, 10, 0}, {1, "write", "x", int64(2), 11, 11, 1},
			{2, "sync-read", "x", int64(1), 10, 10, 0},
		}},
		{"one version, two values", "version 0 of key x has value 1 in one answer and value 7", []step{
			{1, "write", "x", int64(1), 10, 10, 0}, {2, "read", "x", int64(7), 10, 10, 0},
		}},
		{"nobody wrote it", "read 0 of key x shows value 7, which nobody wrote to it", []step{
			{2, "read", "x", int64(7), 10, 10, 0}, {1, "write", "y", int64(7), 11, 11, 0},
		}},
		{"read before it was written", "read 0 of key x shows value 1 before write 2 of it began", []step{
			{2, "read", "x", int64(1), 10, 10, 0}, {1, "write", "x", int64(1), 10, 10, 0},
		}},
		{"writes against real time", "was given zxid 0x9", []step{
			{1, "write", "x", int64(1), 10, 10, 0}, {2, "write", "y", int64(2), 9, 9, 0},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &script{}
			for i, step := range test.steps {
				for _, kind := range []Type{Invoke, OK} {
					op := Op{Type: kind, Process: i, F: step.f, Key: step.key, Session: step.session, Version: -1}
					if kind == OK || step.f == "write" {
						op.Value = step.value
					}
					if kind == OK {
						op.Zxid, op.Mzxid, op.Version = step.zxid, step.mzxid, step.version
					}
					s.add(op)
				}
			}
			expectVerdict(t, CheckSessionOrder(s.history, DefaultBounds), test.cause)
		})
	}
}

func TestCombinedWorkloads(t *testing.T) {
	workload, err := Lookup("bank, append")
	if err != nil {
		t.Fatal(err)
	}
	generator, rng := workload.NewGenerator(Options{Concurrency: 4}), rand.New(rand.NewSource(3))
	seen := make(map[string]bool)
	for range 100 {
		seen[generator.Next(rng).F] = true
	}
	for _, f := range workload.Kinds {
		if !seen[f] {
			t.Errorf("no %s among %v", f, seen)
		}
	}
	s := &script{}
	s.did(0, OK, "append/txn", []any{[]any{"r", "x", nil}}, []any{rd("x", 9)})
	s.did(1, OK, "bank/read", nil, []any{[]any{int64(0), int64(0), int64(1)}}) // of no account but one, which began with more
	for _, checker := range workload.Checkers(DefaultBounds) {
		result := checker.Check(s.history)
		if result.Verdict != VerdictFail || result.Checker != checker.Name {
			t.Errorf("%s: %+v", checker.Name, result)
		}
	}
	for _, name := range []string{"bank,bank", "bank,nothing", "bank,all"} {
		if _, err := Lookup(name); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Lookup("all"); err != nil {
		t.Error(fmt.Errorf("all: %w", err))
	}
}

// TestBankOrderOfALongRun has a thousand transfers without an answer in the one group that a
// bank is, half of which took effect.
func TestBankOrderOfALongRun(t *testing.T) {
	s := &script{}
	var versions, balances [bankAccounts]int64
	for account := range balances {
		balances[account] = bankStart
	}
	for i := range 1000 {
		from, to := i%bankAccounts, (i+1)%bankAccounts
		s.did(len(s.history), Info, "transfer", nil, []any{numbers(int64(from), versions[from], balances[from]-1), numbers(int64(to), versions[to], balances[to]+1)})
		if i%2 == 0 {
			versions[from]++
			versions[to]++
			balances[from]--
			balances[to]++
		}
		var shown []any
		for account := range balances {
			shown = append(shown, numbers(int64(account), versions[account], balances[account]))
		}
		s.did(len(s.history), OK, "read", nil, shown)
		s.history[len(s.history)-1].Zxid = int64(1 + i)
	}
	expectVerdict(t, CheckBankOrder(s.history, DefaultBounds), "")
}
