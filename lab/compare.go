package main

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"zoolab/lab/history"
	"zoolab/lab/report"
	"zoolab/lab/store"
)

// compareFile is the page that shows a run beside an earlier one.
const compareFile = "compare.html"

// compareCommand puts two runs side by side. It judges neither: the exit code says
// only whether they could be read.
func compareCommand(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); err != nil || flags.NArg() != 2 {
		return badArguments(stderr, fmt.Errorf("compare: want the directories of two runs, such as store/register-kill/latest store/latest, got %q", args))
	}
	var sides [2]report.Input
	var runs [2]*store.Run
	for i, dir := range flags.Args() {
		run, err := store.Find(dir)
		if err != nil {
			return badArguments(stderr, fmt.Errorf("compare: %w", err))
		}
		if sides[i], err = storedInput(run); err != nil {
			return crash(stderr, fmt.Errorf("compare: %w", err))
		}
		runs[i] = run
	}
	comparison := report.Compare(sides[0], sides[1])
	printComparison(stdout, comparison)
	if err := runs[1].Write(compareFile, func(w io.Writer) error { return comparison.Write(w) }); err != nil {
		return crash(stderr, err)
	}
	fmt.Fprintf(stdout, "As a page: %s\n", filepath.ToSlash(runs[1].Path(compareFile)))
	return exitValid
}

// storedInput reads what a report of a stored run is made of, also of a run that
// was never judged.
func storedInput(run *store.Run) (report.Input, error) {
	meta, err := run.ReadMeta()
	if err != nil {
		return report.Input{}, err
	}
	if !started(&meta) {
		return report.Input{}, fmt.Errorf("%s: %w, so that there is nothing to compare", run.Dir, errNotStarted)
	}
	ops, err := history.ReadFile(run.Path(store.HistoryFile))
	if err != nil {
		return report.Input{}, err
	}
	results, err := run.ReadResults()
	if err != nil {
		results = store.Results{Cause: "not checked: go run ./lab check " + run.Dir}
	}
	return reportInput(run, &meta, ops, results), nil
}

// printComparison writes the rows of a comparison as a table.
func printComparison(w io.Writer, c *report.Comparison) {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(table, "\tA\tB\tB against A\n")
	for _, section := range c.Sections {
		fmt.Fprintf(table, "%s\t\t\t\n", section.Title)
		for _, row := range section.Rows {
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", row.Label, fitted(row.A), fitted(row.B), strings.TrimSpace(row.Change+" "+row.Better))
		}
	}
	table.Flush()
}

// fitted shortens a value to what a column of a terminal has room for.
func fitted(text string) string {
	const room = 40
	if runes := []rune(text); len(runes) > room {
		return string(runes[:room-1]) + "…"
	}
	return text
}
