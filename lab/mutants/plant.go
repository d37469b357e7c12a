package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// dir holds the patches. This program works from the root of the repository.
const dir = "lab/mutants"

// mutant is one planted bug.
type mutant struct {
	Name string `yaml:"name"`
	Doc  string `yaml:"doc"` // what is wrong, in a sentence
	Bug  string `yaml:"bug"` // the historical bug that it re-creates, or what kind of mistake it is
	// Needs is the interleaving without which the bug does no harm; empty where it shows
	// whatever else happens.
	Needs      string        `yaml:"needs"`
	Sim        *simRun       `yaml:"sim"` // of the invariants of the simulator
	Lab        *simRun       `yaml:"lab"` // of the lab's workloads and checkers in the simulator
	Containers *containerRun `yaml:"containers"`
}

// simRun is what must catch a bug in the simulator.
type simRun struct {
	Flags string `yaml:"flags"`
	Seeds int    `yaml:"seeds"` // within which it must be caught
}

// containerRun is what must catch a bug on real processes.
type containerRun struct {
	Flags string `yaml:"flags"` // of the lab
	Tries int    `yaml:"tries"` // runs, with a seed each, within which it must be caught
	// Always says that the bug is planted whenever all are. The others wait for -full.
	Always bool `yaml:"always"`
}

// load reads the list.
func load() ([]mutant, error) {
	text, err := os.ReadFile(filepath.Join(dir, "mutants.yaml"))
	if err != nil {
		return nil, fmt.Errorf("%w (run it from the root of the repository)", err)
	}
	var list struct {
		Mutants []mutant `yaml:"mutants"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("%s/mutants.yaml: %w", dir, err)
	}
	return list.Mutants, nil
}

// plant applies the bug's patch to copies in work and returns the overlay file that puts
// them in place.
func plant(m mutant, work string) (overlay string, err error) {
	patch, err := os.ReadFile(filepath.Join(dir, m.Name+".patch"))
	if err != nil {
		return "", err
	}
	replace := make(map[string]string)
	for line := range strings.Lines(string(patch)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "+++ b/")
		if !ok {
			continue
		}
		original, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(work, path)
		if err := copyFile(replace[original], path); err != nil {
			return "", err
		}
	}
	apply := exec.Command("patch", "-p1", "--no-backup-if-mismatch", "--fuzz=0")
	apply.Dir, apply.Stdin = work, bytes.NewReader(patch)
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s.patch does not apply any more: %w\n%s", m.Name, err, out)
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(work, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o644)
}

func copyFile(to, from string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
