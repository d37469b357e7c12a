package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"olympos.io/encoding/edn"

	"zoolab/lab/history"
	"zoolab/workloads"
)

var start = time.Date(2026, 7, 4, 12, 30, 59, 123_000_000, time.FixedZone("", 2*3600))

func newRun(t *testing.T, s *Store, name string, at time.Time) *Run {
	t.Helper()
	run, err := s.Create(name, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.WriteMeta(Meta{Name: name, Start: at, Seed: 5, Nemesis: []string{"kill"}}); err != nil {
		t.Fatal(err)
	}
	return run
}

func TestLayoutIsJepsens(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "store"))
	run := newRun(t, s, "register-kill", start)
	if want := filepath.Join(s.Root(), "register-kill", "20260704T123059.123+0200"); run.Dir != want {
		t.Errorf("directory %s, want %s", run.Dir, want)
	}
	again := newRun(t, s, "register-kill", start)
	other := newRun(t, s, "register-none", start.Add(time.Second))
	for link, want := range map[string]string{
		"latest":               other.Dir,
		"register-kill/latest": again.Dir,
		"register-none/latest": other.Dir,
	} {
		target, err := os.Readlink(filepath.Join(s.Root(), link))
		if err != nil || filepath.IsAbs(target) {
			t.Errorf("link %s: %q, %v; want a relative one", link, target, err)
		}
		found, err := Find(filepath.Join(s.Root(), link))
		if err != nil {
			t.Fatal(err)
		}
		if found.Dir != want {
			t.Errorf("%s leads to %s, want %s", link, found.Dir, want)
		}
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{"", "latest", "../up", "a/b", ".hidden"} {
		if run, err := Open(t.TempDir()).Create(name, start); err == nil {
			t.Errorf("name %q made %s", name, run.Dir)
		}
	}
}

func TestListNewestFirst(t *testing.T) {
	s := Open(t.TempDir())
	old := newRun(t, s, "a", start)
	recent := newRun(t, s, "b", start.Add(time.Hour))
	if err := old.WriteResults(Results{Verdict: workloads.VerdictFail, Cause: "lost"}); err != nil {
		t.Fatal(err)
	}
	broken := newRun(t, s, "c", start)
	if err := broken.WriteFile(RunFile, []byte("{")); err != nil {
		t.Fatal(err)
	}
	headless := newRun(t, s, "d", start)
	if err := os.Remove(headless.Path(RunFile)); err != nil {
		t.Fatal(err)
	}
	damaged := newRun(t, s, "e", start)
	if err := damaged.WriteFile(ResultsFile, []byte("[]")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.Root(), "notes"), 0o755); err != nil { // nobody's
		t.Fatal(err)
	}
	runs, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	problems := make(map[string]string)
	for _, run := range runs {
		dirs = append(dirs, run.Dir)
		problems[run.Dir] = run.Problem
	}
	if want := []string{recent.Dir, old.Dir, broken.Dir, headless.Dir, damaged.Dir}; !slices.Equal(dirs, want) {
		t.Fatalf("listed %q, want %q", dirs, want)
	}
	if runs[0].Checked || !runs[1].Checked || runs[1].Results.Verdict != workloads.VerdictFail {
		t.Errorf("listed %+v", runs)
	}
	for dir, want := range map[string]string{
		recent.Dir: "", old.Dir: "", broken.Dir: "is damaged, or of another version of the lab", headless.Dir: "it has no run.json", damaged.Dir: "go run ./lab check",
	} {
		if got := problems[dir]; (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("the problem of %s is %q, want %q", dir, got, want)
		}
	}
	if runs[2].Meta.Name != "c" || !runs[2].Meta.Start.Equal(start) {
		t.Errorf("a run that can't be read is named %q at %s, want what its directory says", runs[2].Meta.Name, runs[2].Meta.Start)
	}
	if empty, err := Open(filepath.Join(t.TempDir(), "none")).List(); err != nil || len(empty) != 0 {
		t.Errorf("an absent store lists %v, %v", empty, err)
	}
}

func TestFindNamesWhatIsWrong(t *testing.T) {
	if _, err := Find(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no run at") {
		t.Errorf("error %v", err)
	}
	if _, err := Find(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has no run.json") {
		t.Errorf("error %v", err)
	}
}

func TestResultsRoundTrip(t *testing.T) {
	run := newRun(t, Open(t.TempDir()), "a", start)
	results := Results{Verdict: workloads.VerdictFail, Cause: "1 of 2", Checkers: []workloads.Result{
		{Checker: "linearizable", Verdict: workloads.VerdictFail, Cause: "stale", Failures: []workloads.Failure{
			{Key: "k1", Cause: "why", Ops: []int{3, 5}, Steps: []workloads.Step{{Op: 5, State: "value 1", Why: "no"}}},
		}},
		{Checker: "zxid-order", Verdict: workloads.VerdictOK, Cause: "fine", Stats: map[string]any{"replies": 5.0}},
		{Checker: "logs-agree", Verdict: workloads.VerdictUnknown},
	}}
	if err := run.WriteResults(results); err != nil {
		t.Fatal(err)
	}
	got, err := run.ReadResults()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, results) {
		t.Errorf("got  %+v\nwant %+v", got, results)
	}
	data, err := os.ReadFile(run.Path(ResultsEDN))
	if err != nil {
		t.Fatal(err)
	}
	want := `{:valid? false, :cause "1 of 2", :linearizable {:valid? false, :cause "stale", :failures [{:key "k1", :cause "why", :ops [3 5]}]}, :zxid-order {:valid? true, :cause "fine", :stats {:replies 5.0}}, :logs-agree {:valid? :unknown, :cause ""}}` + "\n"
	if string(data) != want {
		t.Errorf("results.edn is\n%swant\n%s", data, want)
	}
	var foreign map[edn.Keyword]any
	if err := edn.Unmarshal(data, &foreign); err != nil || foreign["valid?"] != false || foreign["zxid-order"].(map[any]any)[edn.Keyword("valid?")] != true {
		t.Errorf("another parser reads results.edn as %v, %v", foreign, err)
	}
	if _, rest, err := history.ParseEDN(data); err != nil || len(rest) != 1 {
		t.Errorf("results.edn can't be read back: %v, rest %q", err, rest)
	}
}

func TestWriteKeepsTheOldFileOnFailure(t *testing.T) {
	run := newRun(t, Open(t.TempDir()), "a", start)
	if err := run.WriteJSON(TreesFile, make(chan int)); err == nil {
		t.Error("a channel was written as JSON")
	}
	if meta, err := run.ReadMeta(); err != nil || meta.Seed != 5 {
		t.Errorf("run.json reads %+v, %v", meta, err)
	}
}

// What was found of a key stands where Jepsen's independent checker has it, until a
// later check finds nothing.
func TestKeysWithViolationsAreKeptAlone(t *testing.T) {
	run := &Run{Dir: t.TempDir()}
	ops := []workloads.Op{
		{Index: 0, Type: workloads.Invoke, F: "read", Key: "../k", Version: -1},
		{Index: 1, Type: workloads.Info, Process: workloads.NemesisProcess, F: "kill", Version: -1},
		{Index: 2, Type: workloads.OK, F: "read", Key: "../k", Value: int64(4), Version: -1},
		{Index: 3, Type: workloads.Invoke, F: "read", Key: "other", Process: 1, Version: -1},
	}
	results := Results{Verdict: workloads.VerdictFail, Checkers: []workloads.Result{
		{Checker: "linearizable", Verdict: workloads.VerdictFail, Failures: []workloads.Failure{{Key: "../k", Cause: "stale", Ops: []int{0}}, {Key: "n1", Cause: "no key"}}},
		{Checker: "complete", Verdict: workloads.VerdictOK},
	}}
	if err := run.WriteKeys(results, ops); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"results.edn": `{:valid? false, :cause "stale", :linearizable {:valid? false, :cause "stale", :failures [{:key "../k", :cause "stale", :ops [0]}]}}` + "\n",
		"history.edn": `{:index 0, :time 0, :type :invoke, :process 0, :f :read, :value nil}` + "\n" +
			`{:index 1, :time 0, :type :info, :process :nemesis, :f :kill, :value nil}` + "\n" +
			`{:index 2, :time 0, :type :ok, :process 0, :f :read, :value 4}` + "\n",
	} {
		if text, err := os.ReadFile(run.Path("independent/..%2Fk/" + name)); err != nil || string(text) != want {
			t.Errorf("%s is %s, error %v; want %s", name, text, err, want)
		}
	}
	if all, err := os.ReadDir(run.Path("independent")); err != nil || len(all) != 1 {
		t.Errorf("there are directories of %v, error %v; want one of ../k alone", all, err)
	}
	if err := run.WriteKeys(Results{}, ops); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(run.Path("independent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old findings are still there: %v", err)
	}
}

// Keys that begin alike, for longer than a name of a directory may be, don't share one.
func TestLongKeysHaveDirectoriesOfTheirOwn(t *testing.T) {
	run := &Run{Dir: t.TempDir()}
	begin := strings.Repeat("/ä", 100)
	var failures []workloads.Failure
	var ops []workloads.Op
	for _, end := range []string{"", "a", "b"} {
		failures = append(failures, workloads.Failure{Key: begin + end, Cause: "stale"})
		ops = append(ops, workloads.Op{Index: len(ops), Type: workloads.OK, F: "read", Key: begin + end, Version: -1})
	}
	results := Results{Verdict: workloads.VerdictFail, Checkers: []workloads.Result{{Checker: "linearizable", Verdict: workloads.VerdictFail, Failures: failures}}}
	if err := run.WriteKeys(results, ops); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(run.Path("independent"))
	if err != nil || len(all) != len(ops) {
		t.Errorf("%d keys have the directories %v, error %v", len(ops), all, err)
	}
}
