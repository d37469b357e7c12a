package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/workloads"
)

// inRepository makes the tests see the files that the defaults name.
func inRepository(t *testing.T) {
	t.Helper()
	t.Chdir("..")
}

func TestOptionsSayWhatIsAllowed(t *testing.T) {
	inRepository(t)
	for _, test := range []struct{ args, want string }{
		{"-nemesis boom", "unknown fault \"boom\", have [kill pause partition"},
		{"-nemesis kill,", "unknown fault"},
		{"-workload foo", "there are: acl, append"},
		{"-nodes 0", "want 1 to 9"},
		{"-nodes 10", "want 1 to 9"},
		{"-nodes 1 -nemesis partition", "makes no sense with 1 members"},
		{"-time-limit 1s", "want 5s to 24h0m0s"},
		{"-time-limit soon", "invalid value"},
		{"-time-limit 30", "such as 30s"},
		{"-concurrency many", "such as 2n"},
		{"-concurrency 0", "want a number from 1 to 1000"},
		{"-concurrency 500n", "want a number from 1 to 1000"},
		{"-rate 0", "want more than 0"},
		{"-drift", "add -cluster sim"},
		{"-readers 10", "want 1 to 9, of 10 clients"},
		{"-readers 2 -workload bank", "with -workload register"},
		{"-rate NaN", "want more than 0"},
		{"-cluster cloud", "want auto, docker, local or sim"},
		{"-image x -binary compose.yaml", "leave out -binary"},
		{"-image x -cluster local", "needs -cluster docker"},
		{"-binary compose.yaml -overlay compose.yaml", "nothing is built"},
		{"-binary /none", "/none"},
		{"-nemesis none,kill", "none stands alone"},
		{"-config novalue", "want key=value"},
		{"-frobnicate", "not defined"},
		{"-seed 1 extra", "unexpected \"extra\""},
	} {
		t.Run(test.args, func(t *testing.T) {
			_, err := parseOptions(strings.Fields(test.args))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	inRepository(t)
	o, err := parseOptions(strings.Fields("-nemesis kill,pause,kill -concurrency 3n -nodes 3 -seed 9 -config a=b -config c=d -time-limit 90s"))
	if err != nil {
		t.Fatal(err)
	}
	if kinds, _, err := o.kinds(); err != nil || strings.Join(kinds, " ") != "kill pause" {
		t.Errorf("kinds %v, %v", kinds, err)
	}
	if count, err := o.clients(); err != nil || count != 9 {
		t.Errorf("%d clients, %v", count, err)
	}
	if name := o.name(); name != "register-kill-pause-kill" {
		t.Errorf("name %q", name)
	}
	again, err := parseOptions(strings.Fields(strings.TrimPrefix(o.command(), "go run ./lab ")))
	if err != nil {
		t.Fatalf("the command %q is refused: %v", o.command(), err)
	}
	if again.command() != o.command() || again.Seed != 9 || len(again.Config) != 2 || again.TimeLimit != 90*time.Second {
		t.Errorf("the command %q comes back as %q", o.command(), again.command())
	}
}

// The newest run's schedule is what people replay, by the link that the next run moves.
func TestScheduleOfTheNewestRun(t *testing.T) {
	inRepository(t)
	dir := t.TempDir()
	const text = "seed: 7\nmembers: [n1, n2, n3, n4, n5]\ntotal: 20s\nsteps:\n" +
		"  - {at: 2s, fault: partition, variant: one-way, targets: [leader], duration: 11s}\n"
	path := filepath.Join(dir, "first", "schedule.yaml")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	latest := filepath.Join(dir, "latest")
	if err := os.Symlink("first", latest); err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions([]string{"-seed", "1", "-schedule", filepath.Join(latest, "schedule.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(latest); err != nil {
		t.Fatal(err)
	}
	again, err := parseOptions(strings.Fields(strings.TrimPrefix(o.command(), "go run ./lab ")))
	if err != nil {
		t.Fatalf("the command %q is refused once the link leads elsewhere: %v", o.command(), err)
	}
	if again.Nemesis != "partition" || again.TimeLimit != 20*time.Second || len(again.replay.Steps) != 1 {
		t.Errorf("the run is %q with %+v, want 20s of the schedule's one partition", again.command(), again.replay)
	}
	if _, err := parseOptions([]string{"-nodes", "3", "-schedule", path}); err == nil || !strings.Contains(err.Error(), "add -nodes 5") {
		t.Errorf("five members' schedule with three nodes: %v", err)
	}
	if err := os.WriteFile(path, []byte("total: soon"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := parseOptions([]string{"-schedule", path}); err == nil || !strings.Contains(err.Error(), "schedule.yaml") {
		t.Errorf("a schedule that can't be read: %v", err)
	}
}

func TestSeedIsDrawnOnce(t *testing.T) {
	o := defaultOptions()
	o.drawSeed()
	seed := o.Seed
	o.drawSeed()
	if seed == 0 || o.Seed != seed {
		t.Errorf("seeds %d and %d", seed, o.Seed)
	}
}

func TestPlans(t *testing.T) {
	inRepository(t)
	base := defaultOptions()
	base.Seed = 5
	// Each plan has every workload; the standard one under five families of faults, the
	// full one each alone besides.
	for path, families := range map[string]int{"lab/plan.yaml": 5, "lab/plan-short.yaml": 1, "lab/plan-full.yaml": 5} {
		runs, err := readPlan(path, base)
		if err != nil {
			t.Fatal(err)
		}
		of, nemeses := make(map[string]bool), make(map[string]bool)
		for _, run := range runs {
			of[run.Workload], nemeses[run.Nemesis] = true, true
			if run.Seed != 5 {
				t.Errorf("%s: seed %d", path, run.Seed)
			}
		}
		if !of["all"] || len(nemeses) < families {
			t.Errorf("%s: workloads %v under %v", path, of, nemeses)
		}
		for _, name := range workloads.Names() {
			if path == "lab/plan-full.yaml" && !of[name] {
				t.Errorf("%s: %s never runs alone", path, name)
			}
		}
	}
	for _, test := range []struct{ text, want string }{
		{"", "no runs"},
		{"runs: []", "no runs"},
		{"runs: [{nemesis: boom}]", "run 1: -nemesis"},
		{"runs: [{}, {colour: red}]", "run 2: unknown key \"colour\"; want some of workload, nemesis"},
		{"runs: [{store: x}]", "unknown key \"store\""},
		{"runs: [{rate: fast}]", "rate: \"fast\""},
		{"runs: [{time-limit: 30}]", "such as 30s"},
		{"other: 1", "other"},
		{"runs: {", "did not find"},
	} {
		path := filepath.Join(t.TempDir(), "plan.yaml")
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readPlan(path, base); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %q", test.text, err, test.want)
		}
	}
}

func TestPlanRunsDoNotShareConfig(t *testing.T) {
	inRepository(t)
	path := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, []byte("runs: [{config: snapCount=10}, {nemesis: kill}]"), 0o644); err != nil {
		t.Fatal(err)
	}
	base := defaultOptions()
	base.Config = configLines{"tickTime=1000"}
	runs, err := readPlan(path, base)
	if err != nil {
		t.Fatal(err)
	}
	if got := runs[0].Config.String(); got != "tickTime=1000,snapCount=10" {
		t.Errorf("first run has %q", got)
	}
	if got := runs[1].Config.String(); got != "tickTime=1000" {
		t.Errorf("second run has %q", got)
	}
}
