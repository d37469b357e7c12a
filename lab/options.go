package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/internal/cmdline"
	"zoolab/lab/cluster"
	"zoolab/lab/cluster/sim"
	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// options describe one run, or the runs of a plan.
type options struct {
	Workload    string
	Nemesis     string // "none", or kinds of faults with commas
	TimeLimit   time.Duration
	Concurrency string // a number, or a number and "n": that many for each node
	Rate        float64
	Seed        int64 // 0: drawn
	Nodes       int
	Driver      string
	Image       string
	Binary      string
	Image2      string
	Binary2     string
	Overlay     string
	Compose     string
	Config      configLines
	Schedule    string
	Store       string
	Plan        string
	Seeds       int // 0: one run
	Readers     int // how many of the clients only read
	Drift       bool

	replay *nemesis.Schedule // what the file Schedule holds; nil: faults are drawn
}

// configLines collects a flag that may be given several times.
type configLines []string

func (c *configLines) String() string { return strings.Join(*c, ",") }

func (c *configLines) Set(line string) error {
	if key, _, found := strings.Cut(line, "="); !found || key == "" {
		return errors.New("want key=value, as in zoo.cfg")
	}
	*c = append(*c, line)
	return nil
}

// Limits of what a run may ask for.
const (
	minTimeLimit   = 5 * time.Second
	maxTimeLimit   = 24 * time.Hour
	maxConcurrency = 1000
	maxRate        = 100_000
	// seedsTimeLimit is the time limit of each of many runs where none is given: more seeds
	// find more than longer runs do.
	seedsTimeLimit = 15 * time.Second
)

// newFlagSet ties the flags to o, whose values are the defaults.
func newFlagSet(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are printed once, by main, with what to do
	flags.StringVar(&o.Workload, "workload", o.Workload, "what clients do: all, or some of "+strings.Join(workloads.Names(), ",")+" with commas, side by side")
	flags.StringVar(&o.Nemesis, "nemesis", o.Nemesis, "what breaks: none, or `faults` and packages with commas (go run ./lab faults lists them), each with variants and a weight as in partition:bridge+ring*2")
	flags.DurationVar(&o.TimeLimit, "time-limit", o.TimeLimit, "how long clients and faults act, such as 30s or 10m")
	flags.StringVar(&o.Concurrency, "concurrency", o.Concurrency, "clients, each with a session of its own: 10, or 2n for two a node")
	flags.Float64Var(&o.Rate, "rate", o.Rate, "operations per second, of all clients together")
	flags.Int64Var(&o.Seed, "seed", o.Seed, "seed of faults and operations; 0 draws one")
	flags.IntVar(&o.Nodes, "nodes", o.Nodes, fmt.Sprintf("members of the ensemble, 1 to %d", cluster.MaxNodes))
	flags.StringVar(&o.Driver, "cluster", o.Driver, "where members run: docker, local (network namespaces, needs root), sim (simulated in this process), or auto")
	flags.StringVar(&o.Image, "image", o.Image, "image of the members, for docker; empty builds this project's server")
	flags.StringVar(&o.Binary, "binary", o.Binary, "server binary to run instead of building ./node")
	flags.StringVar(&o.Image2, "image2", o.Image2, "image that the fault upgrade changes to and back from, for docker")
	flags.StringVar(&o.Binary2, "binary2", o.Binary2, "server binary that the fault upgrade changes to and back from")
	flags.StringVar(&o.Overlay, "overlay", o.Overlay, "build ./node with this overlay file (go build -overlay)")
	flags.StringVar(&o.Compose, "compose", o.Compose, "the ensemble's description")
	flags.Var(&o.Config, "config", "further line for zoo.cfg, key=value; may be given several times")
	flags.StringVar(&o.Schedule, "schedule", o.Schedule, "replay the faults of this schedule.yaml instead of drawing them")
	flags.StringVar(&o.Store, "store", o.Store, "directory that keeps the runs")
	flags.IntVar(&o.Seeds, "seeds", o.Seeds, "with -cluster sim: so many runs, from -seed on (1 if it is 0); only those that fail are kept")
	flags.IntVar(&o.Readers, "readers", o.Readers, "so many of the clients only read, with -workload register: a write waits where a leader has lost its quorum, and who waits sees nothing stale")
	flags.BoolVar(&o.Drift, "drift", o.Drift, "with -cluster sim: the members' clocks run slow and fast, so that an old leader may outlive its quorum")
	flags.StringVar(&o.Plan, "plan", o.Plan, "YAML file with a list of runs; flags are defaults for all of them")
	return flags
}

func defaultOptions() options {
	return options{
		Workload: "register", Nemesis: "kill,pause,partition", TimeLimit: time.Minute, Concurrency: "2n", Rate: 200,
		Nodes: 5, Driver: cluster.DriverAuto, Compose: "compose.yaml", Store: "store",
	}
}

// parseOptions reads the flags of a run.
func parseOptions(args []string) (options, error) {
	o := defaultOptions()
	flags := newFlagSet(&o)
	if err := cmdline.Parse(flags, args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q; a command stands first (`go run ./lab help` lists them), and flags begin with a hyphen", flags.Arg(0))
	}
	if o.Seeds > 0 && !given(flags, "time-limit") {
		o.TimeLimit = seedsTimeLimit
	}
	if o.Plan != "" && o.Seeds > 0 {
		return o, errors.New("-plan and -seeds: a plan's runs have a seed each; leave one of them out")
	}
	if o.Plan != "" {
		return o, nil // each of its runs is validated with its own values
	}
	return o, o.settle()
}

// given reports whether a flag was set.
func given(flags *flag.FlagSet, name string) (found bool) {
	flags.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// settle reads the schedule that is to be replayed, if there is one, and validates.
func (o *options) settle() error {
	if o.Schedule != "" {
		if err := o.readSchedule(); err != nil {
			return fmt.Errorf("-schedule: %w; want the schedule.yaml or shrunk.yaml of a run", err)
		}
	}
	return o.validate()
}

// readSchedule takes faults and length of the run from the schedule. It is read before
// anything else is done: a path such as store/latest leads to another run as soon as this
// one has a directory, which is why the path is resolved too.
func (o *options) readSchedule() error {
	path, err := filepath.EvalSymlinks(o.Schedule)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	schedule, err := nemesis.ParseSchedule(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(schedule.Members) != o.Nodes {
		return fmt.Errorf("%s is for %d members, the run has %d; add -nodes %d", path, len(schedule.Members), o.Nodes, len(schedule.Members))
	}
	var kinds []string
	for _, step := range schedule.Steps {
		if !slices.Contains(kinds, step.Fault) {
			kinds = append(kinds, step.Fault)
		}
	}
	o.Nemesis = "none"
	if len(kinds) > 0 {
		o.Nemesis = strings.Join(kinds, ",")
	}
	o.Schedule, o.TimeLimit, o.replay = path, schedule.Total, &schedule
	return nil
}

// simulated says that the run needs no machine but this process.
func (o *options) simulated() bool { return o.Driver == sim.Driver }

// validate says what is wrong, and what would be right.
func (o *options) validate() error {
	if _, err := workloads.Lookup(o.Workload); err != nil {
		return fmt.Errorf("-workload: %w", err)
	}
	if o.Drift && !o.simulated() {
		return errors.New("-drift: only simulated members have clocks of their own; add -cluster sim")
	}
	if count, err := o.clients(); err == nil && (o.Readers < 0 || o.Readers > 0 && (o.Readers >= count || o.Workload != "register")) {
		return fmt.Errorf("-readers %d: want 1 to %d, of %d clients, with -workload register", o.Readers, count-1, count)
	}
	if o.Nodes < 1 || o.Nodes > cluster.MaxNodes {
		return fmt.Errorf("-nodes %d: want 1 to %d", o.Nodes, cluster.MaxNodes)
	}
	if _, _, err := o.kinds(); err != nil {
		return err
	}
	if o.TimeLimit < minTimeLimit || o.TimeLimit > maxTimeLimit {
		return fmt.Errorf("-time-limit %s: want %s to %s", o.TimeLimit, minTimeLimit, maxTimeLimit)
	}
	if _, err := o.clients(); err != nil {
		return err
	}
	if !(o.Rate > 0 && o.Rate <= maxRate) {
		return fmt.Errorf("-rate %g: want more than 0 and up to %d operations per second", o.Rate, maxRate)
	}
	switch o.Driver {
	case cluster.DriverAuto, cluster.DriverDocker, cluster.DriverLocal, sim.Driver:
	default:
		return fmt.Errorf("-cluster %q: want %s, %s, %s or %s", o.Driver, cluster.DriverAuto, cluster.DriverDocker, cluster.DriverLocal, sim.Driver)
	}
	if o.Image != "" && (o.Binary != "" || o.Overlay != "") {
		return errors.New("-image runs a finished image; leave out -binary and -overlay")
	}
	if o.Image != "" && o.Driver == cluster.DriverLocal {
		return errors.New("-image needs -cluster docker; with local, name a server with -binary")
	}
	if o.Seeds < 0 || o.Seeds > 0 && !o.simulated() {
		return fmt.Errorf("-seeds %d: want a number of runs, with -cluster %s", o.Seeds, sim.Driver)
	}
	if o.simulated() && (o.Image != "" || o.Binary != "") {
		return fmt.Errorf("-cluster %s simulates the server's code in this process; leave out -image and -binary", sim.Driver)
	}
	if o.Image2 != "" && (o.Binary2 != "" || o.Driver == cluster.DriverLocal) {
		return errors.New("-image2 needs -cluster docker, and no -binary2 beside it; with local, name the second server with -binary2")
	}
	if o.simulated() && len(o.Config) > 0 {
		return fmt.Errorf("-config %s: a simulated member has no zoo.cfg; leave it out, or use -cluster %s or %s", o.Config[0], cluster.DriverLocal, cluster.DriverDocker)
	}
	if o.Binary != "" && o.Overlay != "" {
		return errors.New("-overlay changes what is built; with -binary nothing is built")
	}
	if o.Store == "" {
		return errors.New("-store: want the directory that keeps the runs")
	}
	if err := store.Open(o.Store).Check(); err != nil {
		return fmt.Errorf("-store: %w", err)
	}
	return o.validateFiles()
}

// validateFiles looks at the files that flags name, before anything is built or started.
func (o *options) validateFiles() error {
	for _, file := range []struct{ flagName, path string }{{"-compose", o.Compose}, {"-binary", o.Binary}, {"-binary2", o.Binary2}, {"-overlay", o.Overlay}} {
		if file.path == "" {
			continue
		}
		info, err := os.Stat(file.path)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w; run the lab in the root of the repository", file.flagName, err)
		case info.IsDir():
			return fmt.Errorf("%s %s: it is a directory; want a file", file.flagName, file.path)
		case strings.HasPrefix(file.flagName, "-binary") && info.Mode()&0o111 == 0:
			return fmt.Errorf("%s %s: it can't be executed; want a server such as `make build` makes (bin/node)", file.flagName, file.path)
		}
	}
	if !o.simulated() {
		if err := cluster.CheckCompose(o.Compose, o.Nodes); err != nil {
			return fmt.Errorf("-compose: %w", err)
		}
	}
	if o.Overlay == "" {
		return nil
	}
	return checkOverlay(o.Overlay)
}

// checkOverlay says what keeps an overlay file from being one, in other words than go build's.
func checkOverlay(path string) error {
	data, err := os.ReadFile(path)
	var overlay struct{ Replace map[string]string }
	if err == nil {
		err = json.Unmarshal(data, &overlay)
	}
	for _, replacement := range overlay.Replace {
		if err == nil && replacement != "" { // "" leaves the file out
			_, err = os.Stat(replacement)
		}
	}
	if err != nil {
		return fmt.Errorf("-overlay %s: %w; want a file for go build -overlay: {\"Replace\": {\"/path/of/a/source.go\": \"/path/of/its/replacement.go\"}}", path, err)
	}
	return nil
}

// kinds lists the faults that were asked for, as nemesis.Plan takes them, and
// those among them that may be missing.
func (o *options) kinds() (kinds, optional []string, err error) {
	if o.Nemesis == "none" {
		return nil, nil, nil
	}
	if slices.Contains(strings.Split(o.Nemesis, ","), "none") {
		return nil, nil, fmt.Errorf("-nemesis %q: none stands alone; leave it out to have the others", o.Nemesis)
	}
	kinds, optional, err = nemesis.Expand(o.Nemesis, o.Nodes)
	if err != nil {
		return nil, nil, fmt.Errorf("-nemesis %q: %w; `go run ./lab faults` says what each of them does", o.Nemesis, err)
	}
	return kinds, optional, nil
}

// clients is the number of client processes.
func (o *options) clients() (int, error) {
	digits, perNode := strings.CutSuffix(o.Concurrency, "n")
	count, err := strconv.Atoi(digits)
	if perNode {
		count *= o.Nodes
	}
	if err != nil || count < 1 || count > maxConcurrency {
		return 0, fmt.Errorf("-concurrency %q: want a number from 1 to %d, or a number and n for that many a node, such as 2n", o.Concurrency, maxConcurrency)
	}
	return count, nil
}

// name is the run's place in the store.
func (o *options) name() string {
	return strings.NewReplacer(" ", "", ",", "-", ":", "-", "+", "-", "*", "x").Replace(o.Workload + "-" + o.Nemesis)
}

// drawSeed fills in a seed where none was given, so that the run can be named
// and repeated.
func (o *options) drawSeed() {
	for o.Seed == 0 {
		o.Seed = int64(rand.Uint32())
	}
}

// command is the line that repeats the run.
func (o *options) command() string {
	line := []string{"go run ./lab"}
	add := func(flagName, value, ignored string) {
		if value != ignored {
			line = append(line, flagName+" "+value)
		}
	}
	defaults := defaultOptions()
	add("-workload", strings.ReplaceAll(o.Workload, " ", ""), "")
	add("-nemesis", strings.ReplaceAll(o.Nemesis, " ", ""), "")
	add("-time-limit", o.TimeLimit.String(), "")
	add("-concurrency", o.Concurrency, "")
	add("-rate", strconv.FormatFloat(o.Rate, 'g', -1, 64), "")
	add("-seed", strconv.FormatInt(o.Seed, 10), "")
	add("-nodes", strconv.Itoa(o.Nodes), "")
	add("-cluster", o.Driver, defaults.Driver)
	add("-image", o.Image, "")
	add("-binary", o.Binary, "")
	add("-image2", o.Image2, "")
	add("-binary2", o.Binary2, "")
	add("-overlay", o.Overlay, "")
	add("-compose", o.Compose, defaults.Compose)
	for _, config := range o.Config {
		add("-config", config, "")
	}
	add("-schedule", o.Schedule, "")
	if o.Readers > 0 {
		add("-readers", strconv.Itoa(o.Readers), "")
	}
	if o.Drift {
		line = append(line, "-drift")
	}
	return strings.Join(line, " ")
}
