package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/nemesis"
)

// TestPatchesApply keeps the planted bugs alive: a patch that no longer applies proves
// nothing any more, and whoever changed the code beneath it should hear of it at once.
func TestPatchesApply(t *testing.T) {
	t.Chdir("../..")
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range all {
		listed[m.Name] = true
		if m.Doc == "" || m.Bug == "" || m.Seeds <= 0 || m.Lab != "" && m.Tries <= 0 {
			t.Errorf("%s: doc, bug, seeds and, with lab, tries must be there: %+v", m.Name, m)
		}
		overlay, cleanup, err := plant(m)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if text, err := os.ReadFile(overlay); err != nil || !strings.Contains(string(text), ".go") {
			t.Errorf("%s: the overlay replaces no file: %s %v", m.Name, text, err)
		}
		cleanup()
	}
	patches, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil || len(patches) == 0 {
		t.Fatalf("no patches: %v", err)
	}
	for _, path := range patches {
		if name := strings.TrimSuffix(filepath.Base(path), ".patch"); !listed[name] {
			t.Errorf("%s is not in mutants.yaml", path)
		}
	}
}

// TestSchedules reads the schedules that the lab's flags name.
func TestSchedules(t *testing.T) {
	t.Chdir("../..")
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		_, rest, ok := strings.Cut(m.Lab, "-schedule ")
		if !ok {
			continue
		}
		text, err := os.ReadFile(strings.Fields(rest)[0])
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if s, err := nemesis.ParseSchedule(text); err != nil || len(s.Steps) == 0 {
			t.Errorf("%s: %d steps, %v", m.Name, len(s.Steps), err)
		}
	}
}
