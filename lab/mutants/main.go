// Command mutants proves that the lab and the simulator can fail: it plants known bugs
// in the server, one at a time, and demands that each is caught, and that the server
// without it passes the same runs.
//
// A bug is a patch beside this file, listed in mutants.yaml with the runs that must catch
// it. The patch is applied to a copy of the files it changes and built with go build
// -overlay: the production code holds no hook.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"zoolab/internal/cmdline"
)

func main() { os.Exit(run()) }

func run() int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	only := flags.String("only", "", "plant only the bugs with these names, with commas")
	where := flags.String("on", "sim,containers", "where bugs must be caught: sim, containers or both")
	full := flags.Bool("full", false, "on containers, plant all bugs that can be caught there, not only those of every build")
	cluster := flags.String("cluster", "auto", "the lab's cluster driver for the runs on containers")
	workers := flags.Int("workers", 2, "how many bugs are planted at a time in the simulator")
	out := flags.String("out", "store/mutants", "where the table goes as Markdown and JSON, and the lab's runs")
	err := cmdline.Parse(flags, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		return 0
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("it takes no argument %q; bugs are named with -only", flags.Arg(0))
	}
	var all []mutant
	if err == nil {
		all, err = load()
	}
	if err == nil && *only != "" {
		all, err = pick(all, strings.Split(*only, ","))
	}
	if err == nil && *workers < 1 {
		err = fmt.Errorf("-workers %d: at least one must work", *workers)
	}
	if err == nil && !slices.Contains(drivers, *cluster) {
		err = fmt.Errorf("-cluster %q: want one of %s", *cluster, strings.Join(drivers, ", "))
	}
	places := strings.Split(*where, ",")
	for _, place := range places {
		if err == nil && place != "sim" && place != "containers" {
			err = fmt.Errorf("-on takes sim, containers or both, not %q", place)
		}
	}
	if err == nil {
		err = os.MkdirAll(*out, 0o755)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v; -help lists the flags\n", err)
		return 254
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t := &trial{ctx: ctx, cluster: *cluster, workers: *workers, store: *out}
	for _, place := range places {
		if place == "sim" {
			t.simulate(all)
		} else {
			t.contain(all, *full || *only != "")
		}
	}
	slices.SortStableFunc(t.rows, func(a, b row) int { return strings.Compare(a.Bug, b.Bug) })
	code := tell(os.Stdout, t.rows)
	if err := write(*out, t.rows); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		code = 255
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "mutants: interrupted")
		return 255
	}
	return code
}

// drivers are those of the lab that run processes.
var drivers = []string{"auto", "docker", "local"}

// pick keeps the bugs with these names.
func pick(all []mutant, names []string) (picked []mutant, err error) {
	for _, name := range names {
		at := slices.IndexFunc(all, func(m mutant) bool { return m.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("-only: %s/mutants.yaml has no bug %q", dir, name)
		}
		picked = append(picked, all[at])
	}
	return picked, nil
}
