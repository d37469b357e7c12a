package main

import (
	"context"
	"encoding/xml"
	"html"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/lab/store"
	"zoolab/workloads"
)

// judgedRuns makes a store with a run that passes, one that fails, and one that
// can't be read.
func judgedRuns(t *testing.T) (root string, good, bad *store.Run) {
	t.Helper()
	root = t.TempDir()
	good, stale := goodRun().writeIn(t, root), goodRun()
	stale.meta.Name = "register-stale"
	stale.ops[5].Value, stale.ops[5].Version = int64(1), 0
	bad = stale.writeIn(t, root)
	broken := goodRun()
	broken.meta.Name = "register-broken"
	if err := broken.writeIn(t, root).WriteFile(store.RunFile, []byte("{")); err != nil {
		t.Fatal(err)
	}
	for _, run := range []*store.Run{good, bad} {
		if _, err := check(run); err != nil {
			t.Fatal(err)
		}
	}
	return root, good, bad
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantAll(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s does not show %q", what, want)
		}
	}
}

// TestServedPages asks a server of a store for everything that it has.
func TestServedPages(t *testing.T) {
	root, good, bad := judgedRuns(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serveStore(ctx, listener, root) }()
	get := func(path string) (int, string) {
		t.Helper()
		response, err := http.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	idOf := func(run *store.Run) string { return relativeTo(root, run.Dir) }
	_, index := get("/")
	wantAll(t, "the page of all runs", html.UnescapeString(index), "register-stale", idOf(good)+"/report.html", "broken</span>", "is damaged, or of another version", "Compare the two chosen", `data-fault="kill"`)
	if code, page := get("/" + idOf(bad) + "/report.html"); code != http.StatusOK || !strings.Contains(page, "Impossible") {
		t.Errorf("the report of the failing run: %d", code)
	}
	if code, _ := get("/register-stale/latest/results.json"); code != http.StatusOK {
		t.Errorf("results.json of the newest run: %d", code)
	}
	_, comparison := get("/compare?a=" + url.QueryEscape(idOf(good)) + "&b=" + url.QueryEscape(idOf(bad)))
	wantAll(t, "the comparison", comparison, "Two runs side by side", "differs", "latency p99")
	outside, err := filepath.Rel(root, goodRun().write(t).Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", outside, "/etc", "register-stale/none"} {
		if code, text := get("/compare?a=" + url.QueryEscape(idOf(good)) + "&b=" + url.QueryEscape(id)); code != http.StatusNotFound || text == "" {
			t.Errorf("a comparison with %q: %d %s", id, code, text)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

func TestCompareCommand(t *testing.T) {
	_, good, bad := judgedRuns(t)
	code, stdout, stderr := lab(t, "compare", good.Dir, bad.Dir)
	if code != exitValid {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	wantAll(t, "the table", stdout, "B against A", "differs", "kill", "first write after heal, worst")
	wantAll(t, "the page", readFile(t, bad.Path(compareFile)), "Two runs side by side")
	for _, args := range [][]string{{"compare"}, {"compare", good.Dir}, {"compare", good.Dir, "/none"}} {
		if code, _, stderr := lab(t, args...); code != exitUsage || stderr == "" {
			t.Errorf("%v: exit code %d, want %d, and what to do: %s", args, code, exitUsage, stderr)
		}
	}
}

func TestListShowsBrokenRuns(t *testing.T) {
	root, _, _ := judgedRuns(t)
	code, stdout, _ := lab(t, "list", "-store", root)
	if code != exitValid {
		t.Errorf("exit code %d", code)
	}
	wantAll(t, "the list", stdout, "ok ", "fail ", "broken ", "remove the directory, or look at it with the version that made it")
}

// TestCIFiles reads the JUnit XML with Go's own parser, and the Markdown.
func TestCIFiles(t *testing.T) {
	root, good, bad := judgedRuns(t)
	outcomes := []outcome{}
	for _, run := range []*store.Run{good, bad} {
		meta, err := run.ReadMeta()
		if err != nil {
			t.Fatal(err)
		}
		results, err := run.ReadResults()
		if err != nil {
			t.Fatal(err)
		}
		outcomes = append(outcomes, outcome{run: run, meta: meta, results: results})
	}
	outcomes[0].meta.Name = "odd | <b> `name` \x01"
	crashed := outcomes[0]
	crashed.results, crashed.err = store.Results{}, os.ErrDeadlineExceeded
	outcomes = append(outcomes, crashed)
	jobPage := filepath.Join(t.TempDir(), "page.md")
	t.Setenv(githubSummary, jobPage)
	var told strings.Builder
	if err := concludePlan(root, outcomes, &told); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal([]byte(readFile(t, filepath.Join(root, store.JUnitFile))), &suites); err != nil {
		t.Fatal(err)
	}
	failed := outcomes[1].results.Checkers
	if len(suites.Suites) != 3 || suites.Tests != 2*len(failed)+1 || suites.Failures == 0 || suites.Errors != 1 {
		t.Errorf("%d suites, %d tests, %d failures, %d errors", len(suites.Suites), suites.Tests, suites.Failures, suites.Errors)
	}
	if test := suites.Suites[1].Cases[0]; test.Name != "linearizable" || test.Failure == nil || !strings.Contains(test.Failure.Text, "to reproduce: go run ./lab -seed 1") {
		t.Errorf("the failing checker is the test case %+v", test)
	}
	markdown := readFile(t, jobPage)
	wantAll(t, "the job's page", markdown, "| ✅ ok | odd \\| &lt;b> \\`name\\`", "❌ fail", "❓ unknown", "go run ./lab -seed 1", "**linearizable** (fail)", "i/o timeout")
	if markdown != readFile(t, filepath.Join(root, store.SummaryFile)) {
		t.Error("the job's page and summary.md differ")
	}
	wantAll(t, "the page of all runs", readFile(t, filepath.Join(root, indexFile)), "register-stale", "Coverage")
	wantAll(t, "the output", told.String(), "fail     register-stale", indexFile)
}

// TestFilesOfAJudgedRun looks for every file that Jepsen's users know.
func TestFilesOfAJudgedRun(t *testing.T) {
	_, good, _ := judgedRuns(t)
	for _, name := range []string{"latency-raw.png", "latency-quantiles.png", "rate.png"} {
		file, err := os.Open(good.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		file.Close()
	}
	wantAll(t, "history.txt", readFile(t, good.Path(store.HistoryText)), "0\t:invoke\t:write\t[\"k\" 1]\n")
	wantAll(t, "timeline.html", readFile(t, good.Path("timeline.html")), "<!DOCTYPE html>")
	wantAll(t, "results.xml", readFile(t, good.Path(store.JUnitFile)), `name="linearizable"`)
}

func TestImportCommand(t *testing.T) {
	inRepository(t)
	root := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "history.edn")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const write1 = `{:type :invoke, :f :write, :value 1, :process 0, :time 1} {:type :ok, :f :write, :value 1, :process 0, :time 2}
		{:type :info, :f :start-partition, :process :nemesis, :time 3} {:type :info, :f :start-partition, :process :nemesis, :time 4}
		{:type :info, :f :stop-partition, :process :nemesis, :time 5} `
	good := write(write1 + `{:type :invoke, :f :read, :value nil, :process 1, :time 6} {:type :ok, :f :read, :value 1, :process 1, :time 7}`)
	bad := write(write1 + `{:type :invoke, :f :read, :value nil, :process 1, :time 6} {:type :ok, :f :read, :value 2, :process 1, :time 7}`)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{good}, exitValid, "Verdict: ok."},
		{[]string{bad}, exitInvalid, "the read of 2 by process 1 has no place"},
		{[]string{"-model", "register", good}, exitValid, "Verdict: ok."},
		{[]string{"-model", "lock", good}, exitUsage, "there are models for register"},
		{[]string{write(`{:type :invoke`)}, exitUsage, "EDN at byte"},
		{[]string{write(``)}, exitUsage, "holds no operation"},
		{[]string{"/none"}, exitUsage, "/none"},
		{nil, exitUsage, "want [-model NAME]"},
	} {
		code, stdout, stderr := lab(t, append([]string{"import", "-store", root}, test.args...)...)
		if code != test.code || !strings.Contains(stdout+stderr, test.want) {
			t.Errorf("import %v: exit code %d, want %d; %s%s does not say %q", test.args, code, test.code, stdout, stderr, test.want)
		}
	}
	run, err := store.Find(filepath.Join(root, "import-register", "latest"))
	if err != nil {
		t.Fatal(err)
	}
	meta, err := run.ReadMeta()
	if err != nil {
		t.Fatal(err)
	}
	if len(meta.Faults) != 1 || meta.Faults[0].Name != "partition" || meta.Faults[0].StartNs != 3 || meta.Faults[0].EndNs != 5 {
		t.Errorf("faults %+v, want one partition from 3 to 5", meta.Faults)
	}
	if results, err := check(run); err != nil || results.Verdict != workloads.VerdictOK {
		t.Errorf("checked again: %s, %v", results.Verdict, err)
	}
}

// TestDamagedHistories spoils a history in ways that a disk or a person may. Each must
// come to an error or a verdict of unknown, and say what to do.
func TestDamagedHistories(t *testing.T) {
	counter := goodRun()
	counter.meta.Workload = "counter"
	counter.ops = []workloads.Op{{Type: workloads.Invoke, F: "add", Value: "many", Version: -1}, {Type: workloads.OK, F: "add", Value: "many", Version: -1}}
	code, stdout, stderr := lab(t, "check", counter.write(t).Dir)
	if code == exitValid || code == exitCrash || !strings.Contains(stdout, "the checker could not read the history") {
		t.Errorf("a value that is no number: exit code %d, %s%s", code, stdout, stderr)
	}
	torn := goodRun().write(t)
	text := readFile(t, torn.Path(store.HistoryFile))
	if err := torn.WriteFile(store.HistoryFile, []byte(strings.Replace(text, `"type":"ok"`, `"type":`, 1))); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := lab(t, "check", torn.Dir); code != exitCrash || !strings.Contains(stderr, "is damaged: line 2") || !strings.Contains(stderr, "cut the file off there") {
		t.Errorf("a torn line: exit code %d, %s", code, stderr)
	}
	for _, name := range []string{store.TreesFile, store.ResultsFile} {
		broken := goodRun().write(t)
		if err := broken.WriteFile(name, []byte("{")); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := lab(t, "compare", broken.Dir, broken.Dir); code != exitValid {
			t.Errorf("comparing a run with a broken %s: exit code %d, %s", name, code, stderr)
		}
		code, stdout, stderr := lab(t, "check", broken.Dir)
		if want := map[string]int{store.TreesFile: exitCrash, store.ResultsFile: exitValid}[name]; code != want || strings.Contains(stdout+stderr, "goroutine") {
			t.Errorf("checking a run with a broken %s: exit code %d, want %d; %s", name, code, want, stderr)
		}
	}
}
