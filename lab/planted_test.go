package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"zoolab/lab/store"
	"zoolab/workloads"
)

// plantedLab builds the lab with a bug of lab/mutants in the server that it simulates.
func plantedLab(t *testing.T, name, file string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	patch, err := filepath.Abs(filepath.Join("mutants", name+".patch"))
	if err != nil {
		t.Fatal(err)
	}
	spoilt := filepath.Join(dir, filepath.Base(file))
	if out, err := exec.Command("patch", "--fuzz=0", "-o", spoilt, original, patch).CombinedOutput(); err != nil {
		t.Fatalf("%s.patch does not apply to %s alone: %v\n%s", name, file, err, out)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: spoilt}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "lab")
	if out, err := exec.Command("go", "build", "-overlay", overlayFile, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// labCommand runs the planted lab and demands an exit code.
func labCommand(t *testing.T, want int, binary string, args ...string) (output string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), binary, args...)
	c.Dir = ".." // where compose.yaml is
	text, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || c.ProcessState.ExitCode() != want {
		t.Fatalf("%q ended with %v, want exit code %d:\n%s", args, err, want, text)
	}
	return string(text)
}

// TestPlantedBugIsCaughtRepeatedAndShrunk plants a leader that commits with two of five
// members. A checker of a workload must see it; the run must repeat exactly, and shrink
// to one fault, whose command fails too.
func TestPlantedBugIsCaughtRepeatedAndShrunk(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the lab once more")
	}
	binary := plantedLab(t, "commit-at-two", "node/zab/leader.go")
	root := filepath.Join(t.TempDir(), "store")
	var failed *store.Run
	for seed := 1; failed == nil && seed < 200; seed += 10 {
		c := exec.CommandContext(t.Context(), binary, "-cluster", "sim", "-nemesis", "partition:halves+leader+thirds",
			"-seed", strconv.Itoa(seed), "-seeds", "10", "-store", root)
		c.Dir = ".."
		_ = c.Run() // its exit code says whether some seed failed, and so does the store
		runs, err := store.Open(root).List()
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			if run.Results.Verdict == workloads.VerdictFail && strings.HasPrefix(run.Results.Cause, "linearizable: ") {
				failed = &store.Run{Dir: run.Dir}
			}
		}
	}
	if failed == nil {
		t.Fatal("no seed caught the bug by its answers")
	}
	if out := labCommand(t, exitInvalid, binary, "replay", failed.Dir); !strings.Contains(out, "the same history, byte for byte") {
		t.Errorf("the run was not repeated:\n%s", out)
	}
	interruptedShrink(t, binary, failed)
	labCommand(t, exitValid, binary, "shrink", failed.Dir, "-for", (5 * time.Minute).String()) // it needs some seconds
	shrunk, err := failed.ReadShrunk()
	if err != nil {
		t.Fatal(err)
	}
	if shrunk.Checker != "linearizable" || !strings.HasPrefix(shrunk.Cause, "linearizable: ") {
		t.Errorf("the small run fails by %s (%s)", shrunk.Checker, shrunk.Cause)
	}
	if shrunk.Faults != 1 || shrunk.Operations*4 > shrunk.OperationsBefore || !shrunk.Exact {
		t.Errorf("shrunk to %d faults and %d of %d operations", shrunk.Faults, shrunk.Operations, shrunk.OperationsBefore)
	}
	again := strings.Fields(strings.TrimPrefix(shrunk.Command, commandPrefix))
	labCommand(t, exitInvalid, binary, append(again, "-store", root)...)
	report, err := os.ReadFile(failed.Path(store.ReportFile))
	if err != nil || !strings.Contains(string(report), "Smallest failing run") {
		t.Errorf("the report does not show the small run: %v", err)
	}
}

// interruptedShrink ends a search by Ctrl+C as soon as it has found something, and demands
// that it is kept, and is no larger than the run was.
func interruptedShrink(t *testing.T, binary string, failed *store.Run) {
	t.Helper()
	c := exec.CommandContext(t.Context(), binary, "shrink", failed.Dir)
	c.Dir = ".."
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !told && strings.Contains(lines.Text(), "still fails") {
			told = true // a second signal would end it at once
			if err := c.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
	if err := c.Wait(); err != nil {
		t.Errorf("the interrupted search ended with %v", err)
	}
	shrunk, err := failed.ReadShrunk()
	if err != nil {
		t.Fatal(err)
	}
	if shrunk.Faults > shrunk.FaultsBefore || shrunk.Faults == shrunk.FaultsBefore && shrunk.Operations >= shrunk.OperationsBefore {
		t.Errorf("the interrupted search kept %d faults and %d operations of %d and %d", shrunk.Faults, shrunk.Operations, shrunk.FaultsBefore, shrunk.OperationsBefore)
	}
}
