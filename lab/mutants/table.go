package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// row is what became of one bug at one place.
type row struct {
	Bug       string  `json:"bug"`
	Recreates string  `json:"recreates,omitempty"`
	Needs     string  `json:"needs,omitempty"` // the interleaving, empty where any will do
	Place     string  `json:"place"`
	Workload  string  `json:"workload"`
	Fault     string  `json:"fault"`
	OK        bool    `json:"ok"`      // caught; or, without a bug, passed
	Checker   string  `json:"checker"` // that caught it
	Seconds   float64 `json:"seconds"` // of its runs, without building
	Runs      int     `json:"runs"`    // seeds that it took
	Cause     string  `json:"cause"`   // what the checker says, or why the row fails
}

func (r *row) verdict() string {
	switch {
	case !r.OK:
		return "FAILED"
	case r.Bug == withoutBug:
		return "passed"
	}
	return "caught"
}

var columns = []string{"BUG", "RE-CREATES", "PLACE", "WORKLOAD", "FAULT", "VERDICT", "CHECKER", "SECONDS", "RUNS"}

func (r *row) cells() []string {
	return []string{r.Bug, r.Recreates, r.Place, r.Workload, r.Fault, r.verdict(), r.Checker, fmt.Sprintf("%.1f", r.Seconds), fmt.Sprint(r.Runs)}
}

// tell prints the table, and what the rows that failed say. The exit code is 1 if there
// are any.
func tell(to io.Writer, rows []row) (code int) {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\n"+strings.Join(columns, "\t"))
	caught, precise := make(map[string]bool), make(map[string]bool)
	for i := range rows {
		fmt.Fprintln(w, strings.Join(rows[i].cells(), "\t"))
		caught[rows[i].Bug] = rows[i].Bug != withoutBug
		precise[rows[i].Bug] = rows[i].Needs != ""
	}
	w.Flush()
	for i := range rows {
		if r := &rows[i]; !r.OK {
			code = 1
			fmt.Fprintf(to, "\n%s, %s: %s\n", r.Bug, r.Place, r.Cause)
		}
	}
	fmt.Fprintf(to, "\n%d bugs, %d of which need an interleaving of their own\n", count(caught), count(precise))
	return code
}

func count(set map[string]bool) (n int) {
	for _, in := range set {
		if in {
			n++
		}
	}
	return n
}

// write leaves the table as mutants.md and mutants.json.
func write(store string, rows []row) error {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(append(columns, "CAUSE"))
	line(strings.Split(strings.Repeat("-", len(columns)+1), ""))
	for i := range rows {
		line(append(rows[i].cells(), strings.ReplaceAll(firstLine(rows[i].Cause), "|", `\|`)))
	}
	asJSON, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(store, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(store, "mutants.md"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(store, "mutants.json"), append(asJSON, '\n'), 0o644)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
