package history

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"olympos.io/encoding/edn"

	"zoolab/workloads"
)

// TestEDNIsReadByAnotherParser reads what is written here with a parser of the
// format that knows nothing of this package.
func TestEDNIsReadByAnotherParser(t *testing.T) {
	ops := []workloads.Op{
		{Index: 0, TimeNs: 5, Type: workloads.Invoke, F: "append/txn", Value: []any{[]any{"append", "k\"\\\n\x01ü", int64(1)}, []any{"r", "x", nil}}, Version: -1, Session: -7},
		{Index: 1, TimeNs: 6, Type: workloads.Info, Process: workloads.NemesisProcess, F: "kill/one/two 3", Value: "n1, n2", Version: -1},
		{Index: 2, TimeNs: 9, Type: workloads.Fail, F: "cas", Key: "r1", Value: [2]int64{1, 2}, Error: "lost: \"conn\"", Zxid: 1 << 40},
	}
	var text bytes.Buffer
	if err := WriteEDN(&text, ops); err != nil {
		t.Fatal(err)
	}
	type operation struct {
		Index   int         `edn:"index"`
		Time    int64       `edn:"time"`
		Type    edn.Keyword `edn:"type"`
		Process any         `edn:"process"`
		F       edn.Keyword `edn:"f"`
		Value   any         `edn:"value"`
		Error   string      `edn:"error"`
	}
	decoder := edn.NewDecoder(&text)
	var read []operation
	for range ops {
		var op operation
		if err := decoder.Decode(&op); err != nil {
			t.Fatalf("operation %d: %v", len(read), err)
		}
		read = append(read, op)
	}
	for i := range ops {
		if read[i].Index != ops[i].Index || read[i].Time != ops[i].TimeNs || string(read[i].Type) != ops[i].Type.String() || read[i].Error != ops[i].Error {
			t.Errorf("operation %d was read as %+v", i, read[i])
		}
	}
	if read[1].Process != edn.Keyword("nemesis") || read[0].Process != int64(0) {
		t.Errorf("processes %v and %v, want :nemesis and 0", read[1].Process, read[0].Process)
	}
	step := read[0].Value.([]any)[0].([]any)
	if step[1] != "k\"\\\n\x01ü" || step[2] != int64(1) {
		t.Errorf("a string with marks was read as %q", step[1])
	}
	if pair := read[2].Value.([]any); pair[0] != "r1" || pair[1].([]any)[1] != int64(2) {
		t.Errorf("the value of an independent key was read as %v", pair)
	}
}

func TestHistoryTextIsJepsens(t *testing.T) {
	var text strings.Builder
	err := WriteText(&text, []workloads.Op{
		{Type: workloads.Invoke, Process: 3, F: "cas", Key: "r1", Value: [2]int64{1, 2}},
		{Type: workloads.Info, Process: workloads.NemesisProcess, F: "kill"},
		{Type: workloads.Fail, Process: 3, F: "cas", Key: "r1", Value: [2]int64{1, 2}, Error: "bad version"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "3\t:invoke\t:cas\t[\"r1\" [1 2]]\n:nemesis\t:info\t:kill\tnil\n3\t:fail\t:cas\t[\"r1\" [1 2]]\t\"bad version\"\n"
	if text.String() != want {
		t.Errorf("history.txt is\n%swant\n%s", text.String(), want)
	}
}

// foreign reads a history as other labs write it, finds its model, and adapts it.
func foreign(t *testing.T, text string) (string, []workloads.Op) {
	t.Helper()
	ops, err := ReadEDN(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	model, err := GuessModel(ops)
	if err != nil {
		t.Fatal(err)
	}
	ops, err = Adapt(model, ops)
	if err != nil {
		t.Fatal(err)
	}
	return model, ops
}

func TestForeignHistories(t *testing.T) {
	bounds := workloads.DefaultBounds
	for _, test := range []struct {
		name, model, text string
		check             func([]workloads.Op, workloads.Bounds) workloads.Result
		want              workloads.Verdict
	}{
		{"register", "register", `
			{:type :invoke, :f :read, :value nil, :process 0, :time 10, :index 0}
			{:type :info, :f :start, :value {:n1 #{true}, "n2" [##NaN 0.5 {:a/b \c}]}, :process :nemesis, :time 11, :index 1, :error {:via [:timeout]}}
			{:type :ok, :f :read, :value 0, :process 0, :time 12, :index 2}
			{:type :invoke, :f :cas, :value [0 3], :process 1, :time 13, :index 3}
			{:type :ok, :f :cas, :value [0 3], :process 1, :time 14, :index 4}
			{:type :invoke, :f :read, :value nil, :process 0, :time 15, :index 5}
			{:type :ok, :f :read, :value 3, :process 0, :time 16, :index 6}`, workloads.CheckPlainRegister, workloads.VerdictOK},
		{"stale register", "register", `
			{:type :invoke, :f :write, :value 1, :process 0} {:type :ok, :f :write, :value 1, :process 0}
			{:type :invoke, :f :write, :value 2, :process 0} {:type :ok, :f :write, :value 2, :process 0}
			{:type :invoke, :f :read, :value nil, :process 1} {:type :ok, :f :read, :value 1, :process 1}`, workloads.CheckPlainRegister, workloads.VerdictFail},
		{"two keys and an open write", "register", `
			[#jepsen.history.Op{:type :invoke, :f :write, :value [:a 1], :process 0}
			 #jepsen.history.Op{:type :info, :f :write, :value [:a 1], :process 0, :error [:timeout #object[java.lang.Object 0x1f "x"]]}
			 {:type :invoke, :f :read, :value [7 nil], :process 1} {:type :ok, :f :read, :value [7 nil], :process 1}
			 {:type :invoke, :f :read, :value [:a nil], :process 1} {:type :ok, :f :read, :value [:a 1], :process 1}]`, workloads.CheckPlainRegister, workloads.VerdictOK},
		{"words that are no keys", "register", `
			{:type :invoke, :f :write, :value "a", :process 0} {:type :ok, :f :write, :value "a", :process 0}
			{:type :invoke, :f :cas, :value ["a" "b"], :process 1} {:type :ok, :f :cas, :value ["a" "b"], :process 1}
			{:type :invoke, :f :write, :value :c, :process 0} {:type :ok, :f :write, :value :c, :process 0}
			{:type :invoke, :f :read, :value nil, :process 0} {:type :ok, :f :read, :value "b", :process 0}`, workloads.CheckPlainRegister, workloads.VerdictFail},
		{"lost element", "set", `
			{:type :invoke, :f :add, :value 1, :process 0} {:type :ok, :f :add, :value 1, :process 0}
			{:type :invoke, :f :read, :value nil, :process 1} {:type :ok, :f :read, :value #{}, :process 1}`, workloads.CheckSet, workloads.VerdictFail},
		{"counter", "counter", `
			{:type :invoke, :f :add, :value 2, :process 0} {:type :ok, :f :add, :value 2, :process 0}
			{:type :invoke, :f :read, :value nil, :process 1} {:type :ok, :f :read, :value 2, :process 1}`, workloads.CheckCounter, workloads.VerdictOK},
		{"drained queue", "queue", `
			{:type :invoke, :f :enqueue, :value 1, :process 0} {:type :ok, :f :enqueue, :value 1, :process 0}
			{:type :invoke, :f :drain, :value nil, :process 1} {:type :ok, :f :drain, :value [1 1], :process 1}`, workloads.CheckQueue, workloads.VerdictFail},
		{"taken perhaps", "queue", `
			{:type :invoke, :f :enqueue, :value 1, :process 0} {:type :ok, :f :enqueue, :value 1, :process 0}
			{:type :invoke, :f :dequeue, :value nil, :process 1} {:type :info, :f :dequeue, :value nil, :process 1}
			{:type :invoke, :f :drain, :value nil, :process 2} {:type :ok, :f :drain, :value [], :process 2}`, workloads.CheckQueue, workloads.VerdictOK},
		{"lost item", "queue", `
			{:type :invoke, :f :enqueue, :value 1, :process 0} {:type :ok, :f :enqueue, :value 1, :process 0}
			{:type :invoke, :f :enqueue, :value 2, :process 0} {:type :ok, :f :enqueue, :value 2, :process 0}
			{:type :invoke, :f :drain, :value nil, :process 2} {:type :ok, :f :drain, :value [2], :process 2}`, workloads.CheckQueue, workloads.VerdictFail},
		{"drain beside a taker", "queue", `
			{:type :invoke, :f :enqueue, :value 1, :process 0} {:type :ok, :f :enqueue, :value 1, :process 0}
			{:type :invoke, :f :enqueue, :value 2, :process 0} {:type :ok, :f :enqueue, :value 2, :process 0}
			{:type :invoke, :f :drain, :value nil, :process 2}
			{:type :invoke, :f :dequeue, :value nil, :process 1} {:type :ok, :f :dequeue, :value 2, :process 1}
			{:type :ok, :f :drain, :value [1], :process 2}`, workloads.CheckQueue, workloads.VerdictOK},
		{"write cycle", "append", `
			{:type :invoke, :f :txn, :value [[:append 1 1] [:r 2 nil]], :process 0} {:type :invoke, :f :txn, :value [[:append 2 1] [:r 1 nil]], :process 1}
			{:type :ok, :f :txn, :value [[:append 1 1] [:r 2 [1]]], :process 0} {:type :ok, :f :txn, :value [[:append 2 1] [:r 1 [1]]], :process 1}`, workloads.CheckAppend, workloads.VerdictFail},
		{"money made", "bank", `
			{:type :invoke, :f :read, :value nil, :process 0} {:type :ok, :f :read, :value {0 10, 1 90}, :process 0}
			{:type :invoke, :f :transfer, :value {:from 0, :to 1, :amount 5}, :process 1} {:type :ok, :f :transfer, :value {:from 0, :to 1, :amount 5}, :process 1}
			{:type :invoke, :f :read, :value nil, :process 0} {:type :ok, :f :read, :value {0 10, 1 95}, :process 0}`, workloads.CheckForeignBank, workloads.VerdictFail},
	} {
		t.Run(test.name, func(t *testing.T) {
			model, ops := foreign(t, test.text)
			if model != test.model {
				t.Errorf("the model is %s, want %s", model, test.model)
			}
			if err := Write(io.Discard, ops); err != nil {
				t.Errorf("the history can't be kept: %v", err)
			}
			if result := test.check(ops, bounds); result.Verdict != test.want {
				t.Errorf("verdict %s (%s), want %s", result.Verdict, result.Cause, test.want)
			}
		})
	}
}

func TestForeignHistoriesThatNobodyCanJudge(t *testing.T) {
	ops, err := ReadEDN(strings.NewReader(`{:type :invoke, :f :generate, :value nil, :process 0}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := GuessModel(ops); !errors.Is(err, ErrNoModel) || !strings.Contains(err.Error(), "register, bank, set") {
		t.Errorf("error %v does not say which models there are", err)
	}
	for _, text := range []string{
		`{:type :ok, :f :read, :value #{"a" "b"}, :process 0}`, `{:type :invoke, :f :add, :value :a, :process 0}`,
		`{:type :invoke, :f :add, :value 1, :process 0} {:type :invoke, :f :add, :value 1, :process 1}`,
	} {
		ops, err := ReadEDN(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Adapt("set", ops); err == nil {
			t.Errorf("the checker of sets would misread %s", text)
		}
	}
	for model, text := range map[string]string{
		"bank":     `{:type :ok, :f :read, :value {:a 10, :b nil}, :process 0}`,
		"counter":  `{:type :invoke, :f :add, :value -1, :process 0}`,
		"register": `{:type :invoke, :f :cas, :value 5, :process 0}`,
		"append":   `{:type :invoke, :f :txn, :value [[:append 1]], :process 0}`,
		"queue  ":  `{:type :invoke, :f :drain, :value nil, :process 0} {:type :ok, :f :drain, :value [:a], :process 0}`,
		"queue ":   `{:type :invoke, :f :enqueue, :value 1.5, :process 0}`,
		"queue":    `{:type :info, :f :drain, :value nil, :process 0}`,
		"set":      `{:type :invoke, :f :read, :value [1 nil], :process 0}`, // keys of sets
		"nothing":  `{:type :invoke, :f :add, :value 1, :process 0}`,
	} {
		ops, err := ReadEDN(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Adapt(strings.TrimSpace(model), ops); err == nil {
			t.Errorf("%s took %s", model, text)
		}
	}
}
