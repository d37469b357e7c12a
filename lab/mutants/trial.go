package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// runTimeout bounds one run, or one build.
const runTimeout = 5 * time.Minute

// trial plants bugs and collects what became of them.
type trial struct {
	ctx     context.Context
	cluster string
	workers int
	store   string // of the lab's runs

	mu   sync.Mutex // guards what follows
	rows []row
}

// errNotCaught says that all runs with a planted bug passed.
var errNotCaught = errors.New("NOT CAUGHT")

// simulate demands of each bug that some seed fails with it, and of the server without
// any that no seed fails.
func (t *trial) simulate(all []mutant) {
	// The server without a bug runs each shape once, with as many seeds as any bug needs.
	most := make(map[string]uint64)
	jobs := make(chan func(), len(all)+8)
	for _, m := range all {
		if m.Sim != nil {
			most[m.Sim.Shape] = max(most[m.Sim.Shape], m.Sim.Seeds)
			jobs <- func() { t.planted(m, "sim", t.inSimulator) }
		}
	}
	for shape, seeds := range most {
		healthy := mutant{Name: withoutBug, Doc: "the server as it is", Sim: &simRun{Seeds: seeds, Shape: shape}}
		jobs <- func() { t.planted(healthy, "sim", t.inSimulator) }
	}
	close(jobs)
	var workers sync.WaitGroup
	for range t.workers {
		workers.Go(func() {
			for job := range jobs {
				if t.ctx.Err() == nil {
					job()
				}
			}
		})
	}
	workers.Wait()
}

// withoutBug is the name of the server as it is, whose rows prove that the runs can pass.
const withoutBug = "(no bug)"

// contain does the same on containers, one run at a time.
func (t *trial) contain(all []mutant, full bool) {
	passed := make(map[string]bool)
	for _, m := range all {
		if t.ctx.Err() != nil || m.Containers == nil || !full && !m.Containers.Always {
			continue
		}
		t.planted(m, "containers", t.onContainers)
		if !passed[m.Containers.Flags] {
			passed[m.Containers.Flags] = true
			t.planted(mutant{Name: withoutBug, Doc: "the server as it is", Containers: m.Containers}, "containers", t.onContainers)
		}
	}
}

// planted tries one bug at one place.
func (t *trial) planted(m mutant, place string, try func(m mutant, work string, r *row) error) {
	r := row{Bug: m.Name, Recreates: m.Bug, Needs: m.Needs, Place: place}
	work, err := os.MkdirTemp("", "mutant-")
	if err == nil {
		defer os.RemoveAll(work)
		err = try(m, work, &r)
	}
	switch {
	case m.Name != withoutBug:
		r.OK = err == nil
	case errors.Is(err, errNotCaught):
		r.OK, r.Cause = true, "" // as it must be
	case err == nil:
		err = fmt.Errorf("the server WITHOUT a bug fails: %s", r.Cause)
	}
	if !r.OK {
		r.Cause = err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
	fmt.Printf("%-8s %5.1f s  %s, %s: %s\n", r.verdict(), r.Seconds, r.Bug, r.Place, firstLine(m.Doc))
}

// inSimulator runs seeds until one fails.
func (t *trial) inSimulator(m mutant, work string, r *row) error {
	build := []string{"build", "-ldflags=-s -w", "-o", work}
	if m.Name != withoutBug {
		overlay, err := plant(m, work)
		if err != nil {
			return err
		}
		build = append(build, "-overlay", overlay)
	}
	if code, out, err := t.command("go", append(build, "./node/sim/simrun")...); err != nil || code != 0 {
		return fmt.Errorf("build the simulator: %w\n%s", err, out)
	}
	shape := "all shapes"
	args := []string{"-seeds", fmt.Sprint(m.Sim.Seeds), "-until-failure"}
	if m.Sim.Shape != "" {
		shape = "shape " + m.Sim.Shape
		args = append(args, "-shape", m.Sim.Shape)
	}
	r.Workload, r.Fault = "register, multi, ephemeral, TTL, watch", "drawn by the seed, "+shape
	began := time.Now()
	code, out, err := t.command(filepath.Join(work, "simrun"), args...)
	r.Seconds = time.Since(began).Seconds()
	switch {
	case err != nil:
		return err
	case code == 0:
		r.Runs = int(m.Sim.Seeds)
		return fmt.Errorf("%w within %d seeds", errNotCaught, m.Sim.Seeds)
	case code != 1:
		return fmt.Errorf("the simulator ended with code %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		var seed int
		if _, cause, ok := strings.Cut(line, " s: "); ok && r.Cause == "" {
			fmt.Sscanf(line, "seed %d failed", &seed)
			r.Runs, r.Checker, r.Cause = seed, simChecker(cause), strings.TrimSpace(cause)
		}
	}
	return nil
}

// simChecker names what the simulator's violation is one of.
func simChecker(cause string) string {
	name, rest, _ := strings.Cut(cause, ": ")
	if strings.HasPrefix(rest, "assertion failed") {
		return "assertion"
	}
	return name
}

// onContainers runs the lab until a run fails.
func (t *trial) onContainers(m mutant, work string, r *row) error {
	r.Workload, r.Fault = flagOf(m.Containers.Flags, "-workload", "register"), flagOf(m.Containers.Flags, "-schedule", flagOf(m.Containers.Flags, "-nemesis", "kill,pause,partition"))
	r.Fault = strings.TrimSuffix(filepath.Base(r.Fault), ".yaml")
	lab := filepath.Join(work, "lab")
	if code, out, err := t.command("go", "build", "-o", lab, "./lab"); err != nil || code != 0 {
		return fmt.Errorf("build the lab: %w\n%s", err, out)
	}
	flags := append(strings.Fields(m.Containers.Flags), "-cluster", t.cluster, "-store", t.store)
	if m.Name != withoutBug {
		overlay, err := plant(m, work)
		if err != nil {
			return err
		}
		flags = append(flags, "-overlay", overlay)
	}
	tries := max(1, m.Containers.Tries)
	if m.Name == withoutBug {
		tries = 1
	}
	for seed := 1; seed <= tries; seed++ {
		began := time.Now()
		code, out, err := t.command(lab, append(flags, "-seed", fmt.Sprint(seed))...)
		r.Seconds += time.Since(began).Seconds()
		r.Runs = seed
		switch {
		case err != nil:
			return err
		case code == 1:
			r.Checker, r.Cause = labVerdict(out)
			return nil
		case code != 0:
			return fmt.Errorf("the lab ended with code %d\n%s", code, out)
		}
	}
	return fmt.Errorf("%w in %d runs", errNotCaught, r.Runs)
}

// flagOf returns a flag's value in a list of flags.
func flagOf(flags, name, otherwise string) string {
	if _, rest, ok := strings.Cut(flags, name+" "); ok {
		return strings.Fields(rest)[0]
	}
	return otherwise
}

// labVerdict picks checker and cause from what the lab says at its end.
func labVerdict(out string) (checker, cause string) {
	for line := range strings.Lines(out) {
		if _, text, ok := strings.Cut(line, "Verdict: fail. "); ok {
			checker, cause, _ = strings.Cut(strings.TrimSpace(text), ": ")
			return checker, cause
		}
	}
	return "", "see the report"
}

// command runs something and returns its exit code and output. Only what could not run, or
// not to its end, is an error.
func (t *trial) command(name string, args ...string) (code int, out string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, runTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Minute
	b, err := c.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return exit.ExitCode(), string(b), nil
	}
	if err != nil {
		return 0, string(b), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, b)
	}
	return 0, string(b), nil
}
