// Command bench compares this server with Apache ZooKeeper on one machine, in
// one run:
//
//	go run ./bench                        everything, about six minutes
//	go run ./bench -only set256 -rounds 1 one measurement
//	go run ./bench -h                     flags and names of measurements
//
// Each round starts five processes of one server on loopback, warms them up,
// measures, and stops them before the other server's turn, so that the two
// never share the processors and drift of the machine meets both. Both get the
// same zoo.cfg (tickTime 2000, fsync on, defaults otherwise), the same disk, and
// the same load: github.com/go-zookeeper/zk in a process of its own, sessions
// spread over the members, each writing or reading a znode of its own.
//
// Measurements: throughput, median and 99th percentile of sets of 1 KiB at 1,
// 32 and 256 sessions and at 32 sessions with 16 requests in flight each, and of
// reads at 64 sessions, with the processor time that all members and the client spend on
// an operation (where the processors are the limit it says more than throughput: the
// client's share is the same work for both); the members' resident memory after that load; the
// longest time without any acknowledged write after kill -9 of the leader, and after a
// graceful stop, with ten sessions that may move between members; the time until a standalone
// server answers that starts from a snapshot of a million znodes; and, only where it is
// asked for, what it costs to bring back a member that missed 100,000 writes, by the log
// and by a snapshot.
//
// Java's heap is limited by -java-heap-mb, because Debian's start script sets
// no limit and Java would take a quarter of the machine's memory.
package main

import (
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
	"time"

	"zoolab/internal/apache"
)

const usage = `Compares this server with Apache ZooKeeper on this machine: in turns, five
processes of each on loopback, the same client, the same zoo.cfg, the same disk.
Needs Debian's zookeeper package (-apache=false leaves it out).

  go run ./bench                          everything, about six minutes
  go run ./bench -only set256 -rounds 1   one measurement
  go run ./bench -only rejoin             a member comes back, by DIFF and by SNAP
  go run ./bench -json figures.json       and every round's figures in a file

`

// options are the command line's.
type options struct {
	only       []string
	duration   time.Duration
	rounds     int
	kills      int
	znodes     int
	missed     int
	members    int
	javaHeapMB int
	jsonPath   string
	dir        string
	node       bool
	apache     bool
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == loadArg {
		exit(loadMain())
	}
	opts, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, opts))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func parseOptions(args []string) (options, error) {
	var opts options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	only := flags.String("only", "", "comma-separated `names` of what to measure: "+strings.Join(measurementNames(), ", "))
	flags.DurationVar(&opts.duration, "duration", 5*time.Second, "measured time of each load")
	flags.IntVar(&opts.rounds, "rounds", 2, "turns of each server; the table gives the median")
	flags.IntVar(&opts.kills, "kills", 3, "leaders killed, and leaders stopped, per round")
	flags.IntVar(&opts.znodes, "znodes", 1_000_000, "znodes in the snapshot of the start measurement")
	flags.IntVar(&opts.missed, "missed", 100_000, "writes that a member misses before it comes back (-only rejoin)")
	flags.IntVar(&opts.members, "members", 5, "members of the ensemble")
	flags.IntVar(&opts.javaHeapMB, "java-heap-mb", 512, "Java's heap limit (three times that for the start measurement)")
	flags.StringVar(&opts.jsonPath, "json", "", "write every round's figures to this `file`")
	flags.StringVar(&opts.dir, "dir", "", "`directory` for data; default a temporary one, removed at the end")
	flags.BoolVar(&opts.node, "node", true, "measure this server")
	flags.BoolVar(&opts.apache, "apache", true, "measure Apache ZooKeeper")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if *only != "" {
		opts.only = strings.Split(*only, ",")
	}
	for _, name := range opts.only {
		if !slices.Contains(measurementNames(), name) {
			return opts, fmt.Errorf("-only: no measurement %q; there are %s", name, strings.Join(measurementNames(), ", "))
		}
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opts.rounds < 1 || opts.kills < 1 || opts.members < 3 || opts.znodes < 1 || opts.missed < 1 || opts.duration < time.Second/2 {
		return opts, errors.New("-rounds, -kills, -znodes and -missed need at least 1, -members 3, -duration 500ms")
	}
	if !opts.node && !opts.apache {
		return opts, errors.New("-node=false and -apache=false leave nothing to measure")
	}
	return opts, nil
}

func (o options) wants(name string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, name)
}

// run measures every server in turns and prints the table.
func run(ctx context.Context, opts options) (err error) {
	dir := opts.dir
	if dir == "" {
		temporary, err := os.MkdirTemp("", "zoolab-bench-")
		if err != nil {
			return err
		}
		dir = temporary
	}
	systems, err := prepareSystems(ctx, dir, opts)
	if err != nil {
		if opts.dir == "" {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return err
	}
	defer func() { err = cleanUp(dir, opts.dir == "", err) }()
	began := time.Now()
	var figures []figure
	var runErr error
	for round := 1; round <= opts.rounds && runErr == nil; round++ {
		for _, s := range systems {
			b := &bench{opts: opts, system: s, round: round, dir: dir}
			runErr = b.turn(ctx)
			figures = append(figures, b.figures...)
			if runErr != nil {
				runErr = fmt.Errorf("%s, round %d: %w", s.name, round, runErr)
				break
			}
		}
	}
	fmt.Print(table(figures, systems))
	fmt.Printf("%d rounds, %v per load, %d members, Java heap at most %d MiB, %v in all\n",
		opts.rounds, opts.duration, opts.members, opts.javaHeapMB, time.Since(began).Round(time.Second))
	if opts.jsonPath != "" {
		text, err := json.MarshalIndent(figures, "", "  ")
		if err != nil {
			return err
		}
		runErr = errors.Join(runErr, os.WriteFile(opts.jsonPath, append(text, '\n'), 0o644))
	}
	return runErr
}

// cleanUp removes what the run wrote, unless it failed: then the servers' logs
// are worth more than the room, and the error says where they are.
func cleanUp(dir string, temporary bool, err error) error {
	switch {
	case errors.Is(err, context.Canceled) || err == nil:
		if temporary {
			return errors.Join(err, os.RemoveAll(dir))
		}
		return errors.Join(err, os.RemoveAll(filepath.Join(dir, "node")), os.RemoveAll(filepath.Join(dir, sourceDir)))
	case temporary:
		return fmt.Errorf("%w\nlogs and data are kept in %s", err, dir)
	}
	return err
}

// system is one of the servers that are compared.
type system struct {
	name string
	cfg  apache.Config // what its members have in common
}

// prepareSystems builds this server and looks for the other one.
func prepareSystems(ctx context.Context, dir string, opts options) ([]system, error) {
	var systems []system
	if opts.node {
		binary := filepath.Join(dir, "node")
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "zoolab/node")
		if output, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("this server does not build (run bench inside the module; -node=false leaves it out): %w\n%s",
				err, strings.TrimSpace(string(output)))
		}
		systems = append(systems, system{nodeName, apache.Config{Command: []string{binary, "serve"}}})
	}
	if opts.apache {
		if err := apache.Available(); err != nil {
			return nil, fmt.Errorf("%w (-apache=false leaves it out)", err)
		}
		systems = append(systems, system{apacheName, apache.Config{HeapMB: opts.javaHeapMB}})
	}
	return systems, nil
}

// The servers' names in tables and files.
const nodeName = "zoolab"

var apacheName = "Apache " + apache.Version()
