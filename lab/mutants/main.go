// Command mutants proves that the lab and the simulator can fail: it plants known bugs
// in the server, one at a time, and demands that each is caught, and that the server
// without it passes the same runs.
//
// A bug is a patch beside this file, listed in mutants.yaml. It is applied to a copy of
// the file it changes and built with go build -overlay: the production code holds no hook.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"gopkg.in/yaml.v3"
)

// mutant is one planted bug.
type mutant struct {
	Name  string `yaml:"name"`
	Doc   string `yaml:"doc"`   // what is wrong, in a sentence
	Bug   string `yaml:"bug"`   // the historical bug that it re-creates, if there is one
	Seeds int    `yaml:"seeds"` // simulator seeds within which it must be caught
	Lab   string `yaml:"lab"`   // flags of the lab run that must catch it; empty where only the simulator can
	Tries int    `yaml:"tries"` // container runs, with a seed each, within which it must be caught
}

const (
	dir        = "lab/mutants"
	runTimeout = 5 * time.Minute
)

func main() { os.Exit(run()) }

func run() int {
	only := flag.String("only", "", "plant only the bug with this name")
	where := flag.String("on", "sim,containers", "where bugs must be caught: sim, containers or both")
	cluster := flag.String("cluster", "auto", "the lab's cluster driver for the runs on containers")
	flag.Parse()
	all, err := load()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return 254
	}
	if *only != "" {
		var names []string
		for _, m := range all {
			names = append(names, m.Name)
		}
		all = slices.DeleteFunc(all, func(m mutant) bool { return m.Name != *only })
		if len(all) == 0 {
			fmt.Fprintf(os.Stderr, "mutants: %s/mutants.yaml has no bug %q; there are %s\n", dir, *only, strings.Join(names, ", "))
			return 254
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t := &trial{ctx: ctx, cluster: *cluster, passed: make(map[string]bool)}
	for _, place := range strings.Split(*where, ",") {
		switch place {
		case "sim":
			t.each(all, place, t.inSimulator)
		case "containers":
			visible := slices.DeleteFunc(slices.Clone(all), func(m mutant) bool { return m.Lab == "" })
			t.each(visible, place, t.onContainers)
		default:
			fmt.Fprintf(os.Stderr, "mutants: -on takes sim, containers or both, not %q\n", place)
			return 254
		}
	}
	return t.report()
}

// load reads the list. Like all of this program, it works from the root of the repository.
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

// trial runs mutants and collects what became of them.
type trial struct {
	ctx     context.Context
	cluster string
	// passed has the runs that the server without a bug passed, by their command.
	passed map[string]bool
	rows   []row
}

type row struct {
	m       mutant
	place   string
	caught  bool
	tries   int
	elapsed time.Duration
	how     string // what caught it, or why the row fails
}

// errNotCaught says that a run with a planted bug passed.
var errNotCaught = errors.New("NOT CAUGHT")

func (t *trial) each(all []mutant, place string, try func(mutant, string, *row) error) {
	for _, m := range all {
		if t.ctx.Err() != nil {
			return
		}
		r := row{m: m, place: place}
		overlay, cleanup, err := plant(m)
		if err == nil {
			fmt.Printf("== %s, %s: %s\n", m.Name, place, m.Doc)
			err = try(m, overlay, &r)
			cleanup()
		}
		if err != nil {
			r.how = err.Error()
		}
		t.rows = append(t.rows, r)
	}
}

// plant applies the bug's patch to copies and returns the overlay file that puts them in place.
func plant(m mutant) (overlay string, cleanup func(), err error) {
	patch, err := os.ReadFile(filepath.Join(dir, m.Name+".patch"))
	if err != nil {
		return "", nil, err
	}
	work, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", nil, err
	}
	cleanup = func() { os.RemoveAll(work) }
	defer func() {
		if err != nil {
			os.RemoveAll(work) // what is returned replaces cleanup
		}
	}()
	replace := make(map[string]string)
	for line := range strings.Lines(string(patch)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "+++ b/")
		if !ok {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return "", nil, err
		}
		copied := filepath.Join(work, path)
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			return "", nil, err
		}
		if err := os.WriteFile(copied, source, 0o644); err != nil {
			return "", nil, err
		}
		original, err := filepath.Abs(path)
		if err != nil {
			return "", nil, err
		}
		replace[original] = copied
	}
	apply := exec.Command("patch", "-p1", "--no-backup-if-mismatch", "--fuzz=0")
	apply.Dir, apply.Stdin = work, bytes.NewReader(patch)
	if out, err := apply.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("%s.patch does not apply any more: %w\n%s", m.Name, err, out)
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", nil, err
	}
	overlay = filepath.Join(work, "overlay.json")
	return overlay, cleanup, os.WriteFile(overlay, text, 0o644)
}

// inSimulator demands that some seed fails with the bug, and none without it.
func (t *trial) inSimulator(m mutant, overlay string, r *row) error {
	seeds := fmt.Sprint(m.Seeds)
	began := time.Now()
	code, out, err := t.command("go", "run", "-overlay", overlay, "./node/sim/simrun", "-seeds", seeds, "-until-failure")
	r.elapsed, r.tries = time.Since(began), 1
	if err != nil {
		return err
	}
	if code != 1 {
		return fmt.Errorf("%w within %s seeds", errNotCaught, seeds)
	}
	for line := range strings.Lines(out) {
		if _, cause, ok := strings.Cut(line, "failed: "); ok {
			r.how = strings.TrimSpace(cause)
			break
		}
	}
	if err := t.withoutBug("go", "run", "./node/sim/simrun", "-seeds", seeds); err != nil {
		return err
	}
	r.caught = true
	return nil
}

// onContainers demands that a run of the lab fails with the bug, and passes without it.
func (t *trial) onContainers(m mutant, overlay string, r *row) error {
	for seed := 1; seed <= max(1, m.Tries); seed++ {
		flags := append(strings.Fields(m.Lab), "-cluster", t.cluster, "-seed", fmt.Sprint(seed), "-store", filepath.Join("store", "mutants"))
		began := time.Now()
		code, out, err := t.command("go", append([]string{"run", "./lab", "-overlay", overlay}, flags...)...)
		r.elapsed += time.Since(began)
		r.tries++
		if err != nil {
			return err
		}
		if code == 0 {
			continue
		}
		if code != 1 {
			return fmt.Errorf("the lab ended with code %d\n%s", code, out)
		}
		r.how = cause(out)
		if err := t.withoutBug("go", append([]string{"run", "./lab"}, flags...)...); err != nil {
			return err
		}
		r.caught = true
		return nil
	}
	return fmt.Errorf("%w in %d runs", errNotCaught, r.tries)
}

// cause picks the sentence of cause from the lab's verdict.
func cause(out string) string {
	for line := range strings.Lines(out) {
		if _, text, ok := strings.Cut(line, "Verdict: fail. "); ok {
			return strings.TrimSpace(text)
		}
	}
	return "see the report"
}

// withoutBug demands that the server as it is passes a run, once for each run.
func (t *trial) withoutBug(name string, args ...string) error {
	line := name + " " + strings.Join(args, " ")
	if t.passed[line] {
		return nil
	}
	code, out, err := t.command(name, args...)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("the server WITHOUT the bug fails the same run (%s), code %d:\n%s", line, code, out)
	}
	t.passed[line] = true
	return nil
}

// command runs something and returns its exit code and output.
func (t *trial) command(name string, args ...string) (code int, out string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, runTimeout)
	defer cancel()
	fmt.Println("   ", name, strings.Join(args, " "))
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Minute
	b, err := c.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		// go run reports the program's own exit code in its last line only.
		return programCode(string(b), exit.ExitCode()), string(b), nil
	}
	if err != nil {
		return 0, string(b), fmt.Errorf("%s: %w\n%s", name, err, b)
	}
	return 0, string(b), nil
}

func programCode(out string, fallback int) int {
	code := fallback
	if at := strings.LastIndex(out, "exit status "); at >= 0 {
		fmt.Sscanf(out[at:], "exit status %d", &code)
	}
	return code
}

// report prints the table; the exit code is 1 if a bug was not caught.
func (t *trial) report() int {
	code := 0
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nBUG\tRE-CREATES\tWHERE\tVERDICT\tSECONDS\tRUNS\tHOW")
	for _, r := range t.rows {
		verdict := "caught"
		if !r.caught {
			verdict, code = "FAILED", 1
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f\t%d\t%s\n", r.m.Name, r.m.Bug, r.place, verdict, r.elapsed.Seconds(), r.tries, firstLine(r.how))
		if !r.caught {
			fmt.Fprintln(os.Stderr, r.how)
		}
	}
	w.Flush()
	if t.ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "mutants: interrupted")
		return 255
	}
	return code
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
