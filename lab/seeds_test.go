package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/lab/cluster/sim"
	"zoolab/lab/store"
)

// TestSeeds runs seeds of which some fail: those are kept, with the command that repeats
// each, and the command gives the same verdict.
func TestSeeds(t *testing.T) {
	o := defaultOptions()
	o.Driver, o.Seeds, o.TimeLimit, o.Store = sim.Driver, 6, seedsTimeLimit, filepath.Join(t.TempDir(), "store")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if code := seedsCommand(t.Context(), o, out, out); code != exitValid {
		t.Errorf("exit code %d", code)
	}
	// One run, so short that not every fault finds a place.
	o.TimeLimit, o.Seeds = minTimeLimit, 1
	if code := seedsCommand(t.Context(), o, out, out); code != exitInvalid {
		t.Errorf("runs without an effective fault: exit code %d", code)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"6 passed, 0 failed, 0 unknown", "The runs prove too little: in none of them was there "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the output lacks %q:\n%s", want, text)
		}
	}
	if runs, err := store.Open(o.Store).List(); err != nil || len(runs) != 0 {
		t.Errorf("%d runs were kept, %v", len(runs), err)
	}
}
