package history

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"zoolab/workloads"
)

// sample has every field, every type of value and text that needs escaping.
func sample() []workloads.Op {
	ops := []workloads.Op{
		{Type: workloads.Invoke, Process: 0, F: "read", Key: "k1", Node: "n1", Version: -1, Session: math.MinInt64 + 5},
		{Type: workloads.OK, Process: 0, F: "read", Key: "k1", Value: int64(7), Node: "n1", Zxid: 5<<32 | 9, Mzxid: 5<<32 | 8, Version: 0},
		{Type: workloads.Invoke, Process: 3, F: "cas", Key: "k1", Value: [2]int64{7, 8}, Node: "n2", Version: 0, Session: 0x7200000000000001},
		{Type: workloads.Info, Process: workloads.NemesisProcess, F: "partition", Value: []any{"start", int64(1), "halves", "detail"}, Node: "n1,n2", Version: -1},
		{Type: workloads.Info, Process: 3, F: "cas", Key: "k1", Value: [2]int64{7, 8}, Node: "n2", Version: -1, Error: "connection \"lost\"\n\ttab \\ \x01 \u00e9"},
		{Type: workloads.OK, Process: 1, F: "read", Key: "k2", Value: "odd, {text} [here]", Version: 2},
		{Type: workloads.Invoke, Process: 5, F: "register/cas", Key: "k2", Value: [2]int64{1, 2}, Version: 3},
		{Type: workloads.Fail, Process: 1, F: "add", Value: []any{int64(1), nil, []any{}}, Version: -1},
	}
	for i := range ops {
		ops[i].Index, ops[i].TimeNs = i, int64(i)*1_000_000_007
	}
	return ops
}

func TestJSONRoundTrip(t *testing.T) {
	var file bytes.Buffer
	if err := Write(&file, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if want := sample(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEDNRoundTrip(t *testing.T) {
	var file bytes.Buffer
	if err := WriteEDN(&file, sample()); err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(file.Bytes(), []byte("\n")); lines != len(sample()) {
		t.Errorf("%d lines for %d operations", lines, len(sample()))
	}
	got, err := ReadEDN(&file)
	if err != nil {
		t.Fatal(err)
	}
	if want := sample(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEDNIsJepsens(t *testing.T) {
	var file bytes.Buffer
	if err := WriteEDN(&file, sample()[:4]); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{:index 0, :time 0, :type :invoke, :process 0, :f :read, :value ["k1" nil], :node "n1", :session -9223372036854775803}`,
		`{:index 1, :time 1000000007, :type :ok, :process 0, :f :read, :value ["k1" 7], :node "n1", :zxid 21474836489, :mzxid 21474836488, :version 0}`,
		`{:index 2, :time 2000000014, :type :invoke, :process 3, :f :cas, :value ["k1" [7 8]], :node "n2", :version 0, :session 8214565720323784705}`,
		`{:index 3, :time 3000000021, :type :info, :process :nemesis, :f :partition, :value ["start" 1 "halves" "detail"], :node "n1,n2"}`,
	}
	if got := strings.Split(strings.TrimSpace(file.String()), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The example of Jepsen's documentation, with what other tools may add.
func TestReadsJepsensOwn(t *testing.T) {
	ops, err := ReadEDN(strings.NewReader(`; a history
{:index 0, :time 3291485317, :type :invoke, :process 0, :f :read, :value nil}
{:value 3 :f :read :process 0 :type :ok :time 3296209422 :index 1, :extra {:deep (1 2.5 true)}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []workloads.Op{
		{Index: 0, TimeNs: 3291485317, Type: workloads.Invoke, F: "read", Version: -1},
		{Index: 1, TimeNs: 3296209422, Type: workloads.OK, F: "read", Value: int64(3), Version: -1},
	}
	if !reflect.DeepEqual(ops, want) {
		t.Errorf("got  %+v\nwant %+v", ops, want)
	}
}

func TestBadEDN(t *testing.T) {
	for _, text := range []string{
		`{:index 0`, `{:index}`, `{1 2}`, `[1]`, `{:type :perhaps}`, `{:process :somebody}`, `{:f "open`, `{:f what}`, `}`,
		`{:f 12x}`, `{:f 1/0}`, `{:f ##Infinite}`, `#`, `#_`, `#tag`, `\`, `[#_]`,
		strings.Repeat("[", 1000), strings.Repeat("#_", 1000), strings.Repeat("#a ", 1000),
	} {
		if ops, err := ReadEDN(strings.NewReader(text)); err == nil {
			t.Errorf("%.20q was read as %+v", text, ops)
		}
	}
}

// What the printers of Clojure and the JVM write where they are not asked.
func TestEDNOfOtherPrinters(t *testing.T) {
	for text, want := range map[string]any{
		`1/4`: 0.25, `-1/2`: -0.5, `##Inf`: math.Inf(1), `##-Inf`: math.Inf(-1), `12N`: int64(12), `1.5M`: 1.5,
		`123456789012345678901234567890N`: 123456789012345678901234567890.0, `+7`: int64(7), `0x1f`: int64(31),
		`\(`: "(", `\newline`: "\n", `\u00e9`: "é", `\a`: "a", `\;`: ";", `[\a \"]`: []any{"a", `"`},
		`"a\fb\u0041\/"`: "a\fbA/", `"\ud83d\ude00"`: "😀", "\"raw\nline\x01\"": "raw\nline\x01", `#"\d+"`: `\d+`,
		`#_ gone here`: "here", `[1 #_ 2 #_ #_ 3 4]`: []any{int64(1)}, `{:a #_ x 1}`: []Entry{{"a", int64(1)}},
		`#'clojure.core/map`: "'clojure.core/map", `#:jepsen{:a 1}`: []Entry{{"a", int64(1)}}, `#inst "2020-01-01"`: "2020-01-01",
		`#object[a.B$fn__1 0x1f "x"]`: []any{"a.B$fn__1", int64(31), "x"}, `:a/b`: Keyword("a/b"), `-`: "-", `...`: "...", `clojure.lang/x`: "clojure.lang/x",
		`{"n1" #{:a}, 2 nil}`: []any{[]any{"n1", []any{Keyword("a")}}, []any{int64(2), nil}},
	} {
		got, rest, err := ParseEDN([]byte(text))
		if err != nil || len(rest) != 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s was read as %#v, rest %q, error %v; want %#v", text, got, rest, err, want)
		}
	}
	if nan, _, err := ParseEDN([]byte("##NaN")); err != nil || !math.IsNaN(nan.(float64)) {
		t.Errorf("##NaN was read as %v, error %v", nan, err)
	}
}

func FuzzEDN(f *testing.F) {
	var file bytes.Buffer
	if err := WriteEDN(&file, sample()); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte(`{:a #_ 1 \( "\ud83d\u" ##NaN 1/2 #'x #"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ops, err := ReadEDN(bytes.NewReader(data))
		if err != nil {
			return
		}
		if err := WriteEDN(&bytes.Buffer{}, ops); err != nil {
			t.Error(err)
		}
	})
}

func TestRecorderIsConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	recorder, err := NewRecorder(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for process := range 8 {
		wg.Go(func() {
			for range 100 {
				invoked := recorder.Record(workloads.Op{Type: workloads.Invoke, Process: process, F: "read", Version: -1})
				if done := recorder.Record(workloads.Op{Type: workloads.OK, Process: process, F: "read", Version: -1}); done.Index <= invoked.Index || done.TimeNs < invoked.TimeNs {
					t.Errorf("completion %+v before its invocation %+v", done, invoked)
				}
			}
		})
	}
	wg.Wait()
	ops, err := recorder.Close()
	if err != nil {
		t.Fatal(err)
	}
	if len(ops) != 1600 || recorder.Len() != 1600 {
		t.Fatalf("%d operations, Len says %d", len(ops), recorder.Len())
	}
	if _, err := workloads.Pair(ops); err != nil {
		t.Error(err)
	}
	recorder.Record(workloads.Op{})
	read, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, ops) {
		t.Error("the file holds another history than the memory")
	}
}

func TestKilledLabKeepsItsHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	recorder, err := NewRecorder(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	recorder.Record(workloads.Op{Type: workloads.Invoke, F: "read", Version: -1})
	// No Close: what was recorded must come into the file all the same, and half a line
	// at its end must not spoil the rest.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(flushInterval / 10) {
		if ops, err := ReadFile(path); err == nil && len(ops) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the operation did not come into the file")
		}
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"index":1,"ti`); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if ops, err := ReadFile(path); err != nil || len(ops) != 1 {
		t.Errorf("%d operations, error %v", len(ops), err)
	}
	if _, err := recorder.Close(); err != nil {
		t.Error(err)
	}
}

func TestBadJSONNamesTheLine(t *testing.T) {
	_, err := Read(strings.NewReader("{\"index\":0,\"type\":\"ok\",\"f\":\"read\"}\n{\"index\":1,\"type\":\"perhaps\"}\n"))
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v", err)
	}
}

// The quick reader takes what the lab writes, but for escaped text, and reads it as
// encoding/json does.
func TestLinesAreReadAsJSON(t *testing.T) {
	quick := 0
	for _, op := range sample() {
		line, err := appendJSON(nil, op)
		if err != nil {
			t.Fatal(err)
		}
		l := lineReader{texts: make(map[string]string)}
		if got, ok := l.read(line); ok {
			quick++
			if !reflect.DeepEqual(got, op) {
				t.Errorf("%s reads %+v", line, got)
			}
		}
	}
	if escaped := 1; quick != len(sample())-escaped {
		t.Errorf("%d of %d lines were read without encoding/json", quick, len(sample()))
	}
}

func FuzzLine(f *testing.F) {
	for _, op := range sample() {
		line, err := appendJSON(nil, op)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte(`{"index":01,"time":-0,"type":"ok","process":0,"f":"read","value":[1 2],"version":4294967296}` + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		l := lineReader{texts: make(map[string]string)}
		got, ok := l.read(line)
		if !ok {
			return
		}
		if want, err := parseJSON(line); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q reads %+v, want %+v, %v", line, got, want, err)
		}
	})
}

// Blocks of lines keep their order, and a bad line its number, wherever they are cut. A last
// line without its end is left out.
func TestLongHistoriesAreReadInOrder(t *testing.T) {
	const lines = 30_000 // some megabytes
	ops := make([]workloads.Op, lines)
	for i := range ops {
		ops[i] = workloads.Op{Index: i, F: "write", Key: strings.Repeat("k", i%97), Value: int64(i), Version: -1}
	}
	var file bytes.Buffer
	if err := Write(&file, ops); err != nil {
		t.Fatal(err)
	}
	got, err := Read(iotest.OneByteReader(io.MultiReader(bytes.NewReader(file.Bytes()), strings.NewReader(`{"index":3`))))
	if err != nil || !reflect.DeepEqual(got, ops) {
		t.Errorf("read %d operations of %d, error %v", len(got), lines, err)
	}
	file.WriteString("what\n")
	if _, err := Read(io.MultiReader(&file, strings.NewReader(strings.Repeat("never read\n", 1_000_000)))); err == nil || !strings.Contains(err.Error(), "line 30001:") {
		t.Errorf("error %v", err)
	}
	broken := errors.New("broken disk")
	if _, err := Read(io.MultiReader(strings.NewReader("{\"index\":0,\"type\":\"ok\",\"f\":\"read\"}\n"), iotest.ErrReader(broken))); !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 2:") {
		t.Errorf("error %v", err)
	}
}
