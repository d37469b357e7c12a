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
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	only := flag.String("only", "", "plant only the bugs with these names, with commas")
	where := flag.String("on", "sim,containers", "where bugs must be caught: sim, containers or both")
	full := flag.Bool("full", false, "on containers, plant all bugs that can be caught there, not only those of every build")
	cluster := flag.String("cluster", "auto", "the lab's cluster driver for the runs on containers")
	workers := flag.Int("workers", 2, "how many bugs are planted at a time in the simulator")
	out := flag.String("out", "store/mutants", "where the table goes as Markdown and JSON, and the lab's runs")
	flag.Parse()
	all, err := load()
	if err == nil && *only != "" {
		all, err = pick(all, strings.Split(*only, ","))
	}
	if err == nil && *workers < 1 {
		err = fmt.Errorf("-workers %d: at least one must work", *workers)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return 254
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t := &trial{ctx: ctx, cluster: *cluster, workers: *workers, store: *out}
	for place := range strings.SplitSeq(*where, ",") {
		switch place {
		case "sim":
			t.simulate(all)
		case "containers":
			t.contain(all, *full || *only != "")
		default:
			fmt.Fprintf(os.Stderr, "mutants: -on takes sim, containers or both, not %q\n", place)
			return 254
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

// pick keeps the bugs with these names.
func pick(all []mutant, names []string) (picked []mutant, err error) {
	for _, name := range names {
		at := slices.IndexFunc(all, func(m mutant) bool { return m.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("%s/mutants.yaml has no bug %q", dir, name)
		}
		picked = append(picked, all[at])
	}
	return picked, nil
}
