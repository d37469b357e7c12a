package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"zoolab/lab/report"
	"zoolab/lab/store"
	"zoolab/workloads"
)

// githubSummary names the file whose Markdown GitHub shows on the page of a job.
const githubSummary = "GITHUB_STEP_SUMMARY"

// maxCell bounds the characters of one field of the Markdown table.
const maxCell = 400

// concludePlan writes what holds for all runs that were just made: the page of all
// runs, and for a plan JUnit XML and Markdown, beside it. Markdown goes to the page
// of the CI job too, if there is one.
func concludePlan(root string, outcomes []outcome, stdout io.Writer) error {
	if len(outcomes) == 0 {
		return nil // there was no place for a run
	}
	index, err := writeIndex(root)
	if err != nil {
		return err
	}
	if len(outcomes) > 1 {
		fmt.Fprintln(stdout)
		for i := range outcomes {
			fmt.Fprintf(stdout, "%-8s %s\n", outcomes[i].verdict(), outcomes[i].meta.Name)
		}
	}
	fmt.Fprintf(stdout, "All runs: %s\n", index)
	at := &store.Run{Dir: filepath.Clean(root)}
	return errors.Join(
		at.Write(store.JUnitFile, func(w io.Writer) error { return writeJUnit(w, outcomes) }),
		at.Write(store.SummaryFile, func(w io.Writer) error { return writeMarkdown(w, root, outcomes) }),
		appendToJobPage(root, outcomes),
	)
}

func appendToJobPage(root string, outcomes []outcome) error {
	path := os.Getenv(githubSummary)
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("%s: %w", githubSummary, err)
	}
	return errors.Join(writeMarkdown(file, root, outcomes), file.Close())
}

// verdict is that of the run, unknown for one without.
func (o *outcome) verdict() workloads.Verdict {
	if o.err != nil {
		return workloads.VerdictUnknown
	}
	return o.results.Verdict
}

// undecided says that the run came to its end, and proved nothing.
func (o *outcome) undecided() bool {
	return o.err == nil && o.results.Verdict == workloads.VerdictUnknown
}

// writeMarkdown writes a table of runs, and under it what is wrong with those that
// did not pass, with the command that repeats them. Paths are relative to root.
func writeMarkdown(w io.Writer, root string, outcomes []outcome) error {
	var b strings.Builder
	b.WriteString("| verdict | run | seed | operations | p99 | longest write gap | cause |\n|---|---|---|---:|---:|---:|---|\n")
	for i := range outcomes {
		o := &outcomes[i]
		p99, gap, operations := "–", "–", o.meta.Operations/2
		var figures report.Figures
		if err := o.run.ReadJSON(store.FiguresFile, &figures); err == nil && figures.OK > 0 {
			p99, gap = report.DurationText(figures.P99Ns), report.DurationText(figures.LongestGapNs)
			operations = figures.Operations
		}
		cause := o.results.Cause
		if o.err != nil {
			cause = o.err.Error()
		}
		fmt.Fprintf(&b, "| %s %s | %s | %d | %d | %s | %s | %s |\n", verdictSign(o.verdict()), o.verdict(),
			cell(o.meta.Name), o.meta.Seed, operations, p99, gap, cell(cause))
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.verdict() == workloads.VerdictOK {
			continue
		}
		fmt.Fprintf(&b, "\n#### %s %s\n\n```\n%s\n```\n\n", verdictSign(o.verdict()), cell(o.meta.Name), o.meta.Command)
		for _, result := range o.results.Checkers {
			if result.Verdict != workloads.VerdictOK {
				fmt.Fprintf(&b, "- **%s** (%s): %s\n", cell(result.Checker), result.Verdict, cell(result.Cause))
			}
		}
		if o.err != nil {
			fmt.Fprintf(&b, "- %s\n", cell(o.err.Error()))
		}
		fmt.Fprintf(&b, "\nReport: `%s`\n", relativeTo(root, o.run.Path(store.ReportFile)))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func verdictSign(verdict workloads.Verdict) string {
	switch verdict {
	case workloads.VerdictOK:
		return "✅"
	case workloads.VerdictFail:
		return "❌"
	default:
		return "❓"
	}
}

// markdownMarks are what text of a run must not mean in Markdown.
var markdownMarks = strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ", "\r", " ", "<", "&lt;", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[")

// cell makes text of a run safe in a table.
func cell(text string) string {
	if runes := []rune(text); len(runes) > maxCell {
		text = string(runes[:maxCell]) + "…"
	}
	return markdownMarks.Replace(text)
}
