package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"

	"zoolab/internal/cmdline"
	"zoolab/lab/cluster/sim"
)

// plan is a YAML file with a list of runs. The keys of a run are the names of
// flags; what a run does not say comes from the command line.
type plan struct {
	Runs []map[string]string `yaml:"runs"`
}

// planFlags are the flags that a run of a plan may set.
var planFlags = []string{"workload", "nemesis", "time-limit", "concurrency", "rate", "seed", "nodes", "cluster", "image", "image2", "binary", "binary2", "overlay", "config", "schedule"}

// readPlan gives the options of each run of the plan, all of them valid.
func readPlan(path string, base options) ([]options, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("-plan: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	var p plan
	if err := decoder.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("-plan %s: %w", path, err)
	}
	if len(p.Runs) == 0 {
		return nil, fmt.Errorf("-plan %s: no runs; want a list such as\nruns:\n  - {nemesis: kill, time-limit: 30s}", path)
	}
	base.Plan = ""
	runs := make([]options, 0, len(p.Runs))
	for i, entries := range p.Runs {
		run, err := planRun(base, entries)
		if err != nil {
			return nil, fmt.Errorf("-plan %s: run %d: %w", path, i+1, err)
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func planRun(base options, entries map[string]string) (options, error) {
	run := base
	run.Config = append(configLines(nil), base.Config...)
	flags := newFlagSet(&run)
	keys := make([]string, 0, len(entries))
	for key := range entries {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	allowed := " " + strings.Join(planFlags, " ") + " "
	for _, key := range keys {
		if !strings.Contains(allowed, " "+key+" ") {
			return run, fmt.Errorf("unknown key %q; want some of %s", key, strings.Join(planFlags, ", "))
		}
		if err := flags.Set(key, entries[key]); err != nil {
			if want := cmdline.Want(flags.Lookup(key)); want != "" {
				err = fmt.Errorf("%w; want %s", err, want)
			}
			return run, fmt.Errorf("%s: %q: %w", key, entries[key], err)
		}
	}
	if err := run.settle(); err != nil {
		return run, err
	}
	if run.rebuilt() && run.Overlay != base.Overlay {
		return run, fmt.Errorf("overlay %s: a simulated run needs a lab that is built with it; give it to all runs, with -cluster %s -overlay", run.Overlay, sim.Driver)
	}
	return run, nil
}
