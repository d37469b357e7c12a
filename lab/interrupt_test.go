package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"zoolab/lab/store"
)

// TestCheckEndsWhenInterrupted judges a run whose history never comes to its end, since it
// is a pipe into which nothing is written, and wants the lab to end when it is told to all the same.
func TestCheckEndsWhenInterrupted(t *testing.T) {
	t.Parallel()
	run := goodRun().write(t)
	kept := run.Path("kept.jsonl")
	if err := os.Rename(run.Path(store.HistoryFile), kept); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(run.Path(store.HistoryFile), 0o600); err != nil {
		t.Fatal(err)
	}
	check := exec.Command(os.Args[0], "check", run.Dir)
	check.Args[0] = "lab" // as which the test's binary runs the lab: see TestMain
	var stderr strings.Builder
	check.Stderr = &stderr
	if err := check.Start(); err != nil {
		t.Fatal(err)
	}
	// A pipe can be opened for writing at once when somebody reads it: when the lab has come to
	// the history.
	var writer *os.File
	for deadline := time.Now().Add(time.Minute); writer == nil; time.Sleep(10 * time.Millisecond) {
		var err error
		if writer, err = os.OpenFile(run.Path(store.HistoryFile), os.O_WRONLY|syscall.O_NONBLOCK, 0); err != nil && time.Now().After(deadline) {
			t.Fatalf("the lab does not read the history: %v", err)
		}
	}
	defer writer.Close()
	told := time.Now()
	if err := check.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := check.Wait()
	if code := check.ProcessState.ExitCode(); code != exitUnknown || !strings.Contains(stderr.String(), "check it with: go run ./lab check "+run.Dir) {
		t.Errorf("exit code %d, %v: %s", code, err, stderr.String())
	}
	if took := time.Since(told); took > 30*time.Second { // a second of patience, and much for a machine with other work
		t.Errorf("it took %s to end", took)
	}
	if err := os.Rename(kept, run.Path(store.HistoryFile)); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := lab(t, "check", run.Dir); code != exitValid {
		t.Errorf("later: exit code %d: %s", code, stdout)
	}
}
