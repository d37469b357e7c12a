package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// runTimeout bounds one run, or one build. The first run on containers also builds their images.
const runTimeout = 15 * time.Minute

// trial plants bugs and collects what became of them.
type trial struct {
	ctx     context.Context
	cluster string
	workers int
	store   string // of the lab's runs

	mu   sync.Mutex // guards what follows
	rows []row
}

// labUndecided is the lab's exit code of a run that proved nothing.
const labUndecided = 2

// errNotCaught says that all runs with a planted bug passed.
var errNotCaught = errors.New("NOT CAUGHT")

// simulate demands of each bug that some seed fails with it, and of the server without
// any that none of these seeds fails.
func (t *trial) simulate(all []mutant) {
	t.sideBySide(all)
	t.sideBySide(t.healthy(all))
}

func (t *trial) sideBySide(all []mutant) {
	var jobs []func()
	for _, m := range all {
		if m.Sim != nil {
			jobs = append(jobs, func() { t.planted(m, placeSim, t.inSimulator) })
		}
		if m.Lab != nil {
			jobs = append(jobs, func() { t.planted(m, placeLab, t.inLab) })
		}
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range t.workers {
		workers.Go(func() {
			for n := next.Add(1) - 1; int(n) < len(jobs) && t.ctx.Err() == nil; n = next.Add(1) - 1 {
				jobs[n]()
			}
		})
	}
	workers.Wait()
}

// The places where bugs are planted.
const (
	placeSim        = "sim"
	placeLab        = "lab in sim"
	placeContainers = "containers"
)

// healthy makes of the server without a bug what must pass: each set of flags, with as many
// seeds as any bug needed.
func (t *trial) healthy(all []mutant) (none []mutant) {
	sims, labs := make(map[string]int), make(map[string]int)
	for _, m := range all {
		for i := range t.rows {
			switch r := &t.rows[i]; {
			case r.Bug != m.Name:
			case r.Place == placeSim:
				sims[m.Sim.Flags] = max(sims[m.Sim.Flags], r.Runs)
			case r.Place == placeLab:
				labs[m.Lab.Flags] = max(labs[m.Lab.Flags], r.Runs)
			}
		}
	}
	for _, flags := range slices.Sorted(maps.Keys(sims)) {
		none = append(none, mutant{Name: withoutBug, Sim: &simRun{flags, sims[flags]}})
	}
	for _, flags := range slices.Sorted(maps.Keys(labs)) {
		none = append(none, mutant{Name: withoutBug, Lab: &simRun{flags, labs[flags]}})
	}
	return none
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
		t.planted(m, placeContainers, t.onContainers)
		if !passed[m.Containers.Flags] {
			passed[m.Containers.Flags] = true
			t.planted(mutant{Name: withoutBug, Containers: m.Containers}, placeContainers, t.onContainers)
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
	fmt.Printf("%s, %s: %s after %.1f s: %s\n", r.Bug, r.Place, r.verdict(), r.Seconds, firstLine(cmp.Or(r.Cause, r.Fault)))
}

// built builds a program with the bug in it.
func (t *trial) built(m mutant, work, program string) (binary, overlay string, err error) {
	binary = filepath.Join(work, filepath.Base(program)+".bin")
	ldflags := "-s -w"
	build := []string{"build", "-o", binary}
	if m.Name != withoutBug {
		if overlay, err = plant(m, work); err != nil {
			return "", "", err
		}
		build = append(build, "-overlay", overlay)
		ldflags += " -X main.overlaid=" + overlay // tells the lab that it need not build itself
	}
	code, out, err := t.command("go", append(build, "-ldflags", ldflags, program)...)
	if err == nil && code != 0 {
		err = fmt.Errorf("build %s: code %d\n%s", program, code, out)
	}
	return binary, overlay, err
}

// inSimulator runs seeds until one fails.
func (t *trial) inSimulator(m mutant, work string, r *row) error {
	r.Workload, r.Fault = "simrun", cmp.Or(strings.TrimSpace(m.Sim.Flags), "drawn")
	binary, _, err := t.built(m, work, "./node/sim/simrun")
	if err != nil {
		return err
	}
	began := time.Now()
	code, out, err := t.command(binary, append(strings.Fields(m.Sim.Flags), "-seeds", fmt.Sprint(m.Sim.Seeds), "-until-failure")...)
	r.Seconds = time.Since(began).Seconds()
	switch {
	case err != nil:
		return err
	case code == 0:
		r.Runs = m.Sim.Seeds
		return fmt.Errorf("%w within %d seeds", errNotCaught, m.Sim.Seeds)
	case code != 1:
		return fmt.Errorf("the simulator ended with code %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		if _, cause, ok := strings.Cut(line, " s: "); ok && r.Cause == "" {
			fmt.Sscanf(line, "seed %d failed", &r.Runs)
			r.Checker, r.Cause = simChecker(cause), strings.TrimSpace(cause)
		}
	}
	return nil
}

// inLab runs the lab in the simulator, one seed after the other, until one fails.
func (t *trial) inLab(m mutant, work string, r *row) error {
	r.Workload, r.Fault = underFaults(m.Lab.Flags)
	binary, overlay, err := t.built(m, work, "./lab")
	if err != nil {
		return err
	}
	flags := append(strings.Fields(m.Lab.Flags), "-cluster", "sim", "-store", filepath.Join(work, "store"), "-overlay", overlay)
	return t.untilCaught(binary, flags, m.Lab.Seeds, r)
}

// simChecker names what the simulator's violation is one of.
func simChecker(cause string) string {
	name, rest, _ := strings.Cut(cause, ": ")
	if strings.HasPrefix(rest, "assertion failed") {
		return "assertion"
	}
	return name
}

// onContainers runs the lab on real processes until a run fails.
func (t *trial) onContainers(m mutant, work string, r *row) error {
	r.Workload, r.Fault = underFaults(m.Containers.Flags)
	lab, _, err := t.built(mutant{Name: withoutBug}, work, "./lab")
	if err != nil {
		return err
	}
	tries := 1
	flags := append(strings.Fields(m.Containers.Flags), "-cluster", t.cluster, "-store", t.store)
	if m.Name != withoutBug {
		overlay, err := plant(m, work)
		if err != nil {
			return err
		}
		flags, tries = append(flags, "-overlay", overlay), m.Containers.Tries
	}
	return t.untilCaught(lab, flags, tries, r)
}

// undecidedRuns is how many runs may decide nothing, as on a machine that is too busy for a fault
// to be seen in effect: another run is made for each.
const undecidedRuns = 3

// untilCaught runs the lab with seeds from 1 on until a run fails.
func (t *trial) untilCaught(lab string, flags []string, seeds int, r *row) error {
	undecided := 0
	for r.Runs = 1; r.Runs <= seeds+undecided; r.Runs++ {
		began := time.Now()
		code, out, err := t.command(lab, append(flags, "-seed", fmt.Sprint(r.Runs))...)
		r.Seconds += time.Since(began).Seconds()
		switch {
		case err != nil:
			return err
		case code == 1:
			r.Checker, r.Cause = labVerdict(out)
			return nil
		case code == labUndecided && undecided < undecidedRuns:
			undecided++
		case code != 0:
			return fmt.Errorf("the lab ended with code %d\n%s", code, out)
		}
	}
	r.Runs = seeds
	return fmt.Errorf("%w in %d runs", errNotCaught, seeds)
}

// underFaults reads workload and faults from the lab's flags.
func underFaults(flags string) (workload, fault string) {
	fault = flagOf(flags, "-schedule", flagOf(flags, "-nemesis", "kill,pause,partition"))
	return flagOf(flags, "-workload", "register"), strings.TrimSuffix(filepath.Base(fault), ".yaml")
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
// was killed, is an error: a lab that is told to end has its verdict all the same.
func (t *trial) command(name string, args ...string) (code int, out string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, runTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	// A planted bug that the lab finds is no failure to be told of on the page of the CI job.
	c.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "GITHUB_STEP_SUMMARY=") })
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Minute
	b, err := c.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), string(b), nil
	}
	if err != nil {
		return 0, string(b), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, b)
	}
	return 0, string(b), nil
}
