// Command bench compares this server with Apache ZooKeeper and etcd on one machine, in
// one run:
//
//	go run ./bench                        everything, about nine minutes
//	go run ./bench -only set256 -rounds 1 one measurement
//	go run ./bench -h                     flags and names of measurements
//
// Each round starts five processes of one server on loopback, warms them up,
// measures, and stops them before the next server's turn, so that no two ever
// share the processors and drift of the machine meets all of them. A server that is not
// installed is left out.
//
// Measurements: throughput, median and 99th percentile of sets of 1 KiB at 1,
// 32 and 256 sessions and at 32 sessions with 16 requests in flight each, of reads at 64
// sessions, and of reads of what is newest, with the processor time that all members and the
// client spend on an operation (where the processors are the limit it says more than
// throughput); the members' resident memory after that load; the
// longest time without any acknowledged write after kill -9 of the leader, and after a
// graceful stop, with ten sessions that may move between members; the time until a server
// alone answers that starts from data of a million znodes or keys of 64 bytes; and, only where
// it is asked for and only of ZooKeeper's protocol, what it costs to bring back a member that
// missed 100,000 writes, by the log and by a snapshot.
//
// # What is equal
//
// The disk, which every member syncs before it acknowledges a write; the payload; the number of
// members, of sessions and of requests in flight. The load is a process of its own. Each session
// is a connection of its own to one member (the sessions are spread over the members) and
// writes or reads an entry of its own: a znode, or a key. This server and Apache's get the
// same zoo.cfg (tickTime 2000, defaults otherwise) and the same client,
// github.com/go-zookeeper/zk. A read is local to the session's member: of etcd it is a
// serializable one. A read of what is newest is a sync followed by a get, and a linearizable
// read of etcd.
//
// # What is not
//
//   - etcd has its own client, go.etcd.io/etcd/client/v3, and gRPC. Where all processors are
//     busy, what a client spends is missing from the servers: see client/op.
//   - sync and get are two requests, one after the other; etcd needs one. Apache's sync asks no
//     quorum, so it promises less than the others do.
//   - ZooKeeper answers a session's requests in their order; etcd in any order.
//   - etcd keeps all versions of a key until somebody compacts it, which by default nobody
//     does: so its memory grows with the writes, for its database is a mapped file. "anonymous"
//     is the memory of each server without its mapped files.
//   - A follower of etcd whose leader has died doesn't tell the client that its write was lost:
//     it lets it wait for seven seconds. Its gaps are measured with clients that give a write up
//     after 100 ms and try the next member.
//   - Each keeps its own time: ZooKeeper's members notice a silent leader after syncLimit *
//     tickTime and a closed connection at once, those of etcd both after 1 to 2 s.
//   - The large data of ZooKeeper are a snapshot of its tree, those of etcd the database of a
//     server that was stopped, with next to no log.
//
// Java's heap is limited by -java-heap-mb, because Debian's start script sets
// no limit and Java would take a quarter of the machine's memory. etcd's limit on the size of its
// database is raised.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"zoolab/internal/cmdline"
)

const usage = `Compares this server with Apache ZooKeeper and etcd on this machine: in turns,
five processes of each on loopback, the same work, the same disk. Needs Debian's
packages zookeeper and etcd-server; what is not installed is left out.

  go run ./bench                          everything, about nine minutes
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
	etcd       bool
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
		fmt.Fprintf(os.Stderr, "bench: %v; -help lists the flags\n", err)
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
	flags.SetOutput(io.Discard)
	only := flags.String("only", "", "comma-separated `names` of what to measure: "+strings.Join(measurementNames(), ", "))
	flags.DurationVar(&opts.duration, "duration", 4*time.Second, "measured time of each load")
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
	flags.BoolVar(&opts.etcd, "etcd", true, "measure etcd")
	if err := cmdline.Parse(flags, args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(usage)
			flags.SetOutput(os.Stdout)
			flags.PrintDefaults()
		}
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
	if opts.javaHeapMB < 32 {
		return opts, fmt.Errorf("-java-heap-mb %d: want at least 32", opts.javaHeapMB)
	}
	if opts.rounds < 1 || opts.kills < 1 || opts.members < 3 || opts.znodes < 1 || opts.missed < 1 || opts.duration < time.Second/2 {
		return opts, errors.New("-rounds, -kills, -znodes and -missed need at least 1, -members 3, -duration 500ms")
	}
	if !opts.node && !opts.apache && !opts.etcd {
		return opts, errors.New("-node=false, -apache=false and -etcd=false leave nothing to measure")
	}
	return opts, nil
}

func (o options) wants(name string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, name)
}

// run measures every server in turns and prints the table.
func run(ctx context.Context, opts options) (err error) {
	dir := opts.dir
	if dir != "" {
		// The members run in directories of their own, where a relative name is another.
		if dir, err = filepath.Abs(dir); err != nil {
			return fmt.Errorf("-dir: %w", err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("-dir: %w; name a directory that can be written", err)
		}
	}
	if opts.jsonPath != "" { // better now than when all is measured
		file, err := os.Create(opts.jsonPath)
		if err != nil {
			return fmt.Errorf("-json: %w; name a file that can be written", err)
		}
		if err := file.Close(); err != nil {
			return fmt.Errorf("-json: %w", err)
		}
	}
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
	defer func() {
		if ctx.Err() != nil { // whatever broke off by that
			err = ctx.Err()
		}
		err = cleanUp(dir, opts.dir == "", err)
	}()
	began := time.Now()
	var figures []figure
	var runErr error
	for round := 1; round <= opts.rounds && runErr == nil; round++ {
		for _, s := range systems {
			b := &bench{opts: opts, system: s, round: round, dir: dir}
			runErr = b.turn(ctx)
			figures = append(figures, b.figures...)
			if runErr != nil {
				runErr = fmt.Errorf("%s, round %d: %w", s.name(), round, runErr)
				break
			}
		}
	}
	var names []string
	for _, s := range systems {
		names = append(names, s.name())
	}
	fmt.Print(table(figures, names))
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
