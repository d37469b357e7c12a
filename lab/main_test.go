package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/lab/history"
	"zoolab/lab/store"
)

func recorderAt(t *testing.T, path string) *history.Recorder {
	t.Helper()
	recorder, err := history.NewRecorder(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return recorder
}

// lab runs the program and returns its exit code and what it printed.
func lab(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	var files [2]*os.File
	for i := range files {
		file, err := os.Create(filepath.Join(dir, string(rune('a'+i))))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files[i] = file
	}
	code = runMain(args, files[0], files[1])
	read := func(file *os.File) string {
		data, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	return code, read(files[0]), read(files[1])
}

func TestExitCodes(t *testing.T) {
	inRepository(t)
	good := goodRun().write(t)
	stale := goodRun()
	stale.ops[5].Value, stale.ops[5].Version = int64(1), 0
	interrupted := goodRun()
	interrupted.meta.Interrupted = true
	broken := goodRun().write(t)
	if err := os.Remove(broken.Path(store.HistoryFile)); err != nil {
		t.Fatal(err)
	}
	older := goodRun()
	older.meta.Format, older.meta.Versions = 1, map[string]string{"lab": "v0.1"}
	unstarted := goodRun()
	unstarted.meta.HistoryStart = time.Time{}
	neverStarted := unstarted.write(t)
	for _, test := range []struct {
		args []string
		code int
		want string // in stdout or stderr
	}{
		{[]string{"help"}, exitValid, "go run ./lab -nemesis partition"},
		{[]string{"-h"}, exitValid, "Exit codes"},
		{[]string{"replay", "-h"}, exitValid, "Exit codes"},
		{[]string{"shrink", "store/latest", "--help"}, exitValid, "Exit codes"},
		{[]string{"import", "-h"}, exitValid, "history.edn of Jepsen's"},
		{[]string{"check", good.Dir}, exitValid, "Verdict: ok."},
		{[]string{"check", stale.write(t).Dir}, exitInvalid, "Verdict: fail. linearizable"},
		{[]string{"check", interrupted.write(t).Dir}, exitUnknown, "Verdict: unknown."},
		{[]string{"check", broken.Dir}, exitCrash, store.HistoryFile},
		{[]string{"check", older.write(t).Dir}, exitCrash, "format 1, this version reads 2; check it with the version that made it (v0.1)"},
		{[]string{"check", neverStarted.Dir}, exitCrash, "the run did not start, so that there is nothing to check; the lab's log is " + neverStarted.Path(store.LabLog)},
		{[]string{"list", "-store", filepath.Dir(filepath.Dir(neverStarted.Dir))}, exitValid, "did not start; the lab's log is " + neverStarted.Path(store.LabLog)},
		{[]string{"check"}, exitUsage, "want the directory of one run"},
		{[]string{"check", "/none"}, exitUsage, "no run at /none"},
		{[]string{"list", "-store", filepath.Dir(filepath.Dir(good.Dir))}, exitValid, "register-kill"},
		{[]string{"list", "-store", "/none"}, exitUsage, "/none: no such file or directory: `go run ./lab` keeps its runs in store"},
		{[]string{"serve", "-store", "/none"}, exitUsage, "/none: no such file or directory"},
		{[]string{"list", "extra"}, exitUsage, "want at most -store"},
		{[]string{"clean", "extra"}, exitUsage, "want at most -force"},
		{[]string{"explode"}, exitUsage, "there are faults, list, serve, check, compare, import, replay, shrink, clean and help"},
		{[]string{"-nemesis", "explode"}, exitUsage, "unknown fault"},
		{[]string{"-plan", "/none"}, exitUsage, "/none"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			code, stdout, stderr := lab(t, test.args...)
			if code != test.code || !strings.Contains(stdout+stderr, test.want) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s\nwant %q", code, test.code, stdout, stderr, test.want)
			}
		})
	}
}
