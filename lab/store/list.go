package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"
)

// Summary is one line of the list of runs.
type Summary struct {
	Dir     string
	Meta    Meta    // with Name and Start alone if run.json can't be read
	Results Results // without results if the run was never checked
	Checked bool
	// Problem says what of the run can't be read, and what to do; "" if all can.
	Problem string
}

// List reads all runs, the newest first. A run of which something can't be read
// is listed with its problem. Directories that are none of a run are left out.
func (s *Store) List() ([]Summary, error) {
	names, err := os.ReadDir(s.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the runs of %s: %w", s.root, err)
	}
	var runs []Summary
	for _, name := range names {
		if !name.IsDir() { // "latest" is a link
			continue
		}
		entries, err := os.ReadDir(filepath.Join(s.root, name.Name()))
		if err != nil {
			return nil, fmt.Errorf("list the runs of %s: %w", s.root, err)
		}
		for _, entry := range entries {
			start, err := time.Parse(timeLayout, entry.Name())
			if err == nil && entry.IsDir() {
				runs = append(runs, summarize(&Run{Dir: filepath.Join(s.root, name.Name(), entry.Name())}, name.Name(), start))
			}
		}
	}
	sort.SliceStable(runs, func(i, j int) bool { return runs[i].Meta.Start.After(runs[j].Meta.Start) })
	return runs, nil
}

func summarize(run *Run, name string, start time.Time) Summary {
	summary := Summary{Dir: run.Dir}
	meta, err := run.ReadMeta()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		summary.Problem = "it has no " + RunFile + ": the lab ended before it wrote one; remove the directory"
	case err != nil:
		summary.Problem = err.Error() + "; remove the directory, or look at it with the version that made it"
	default:
		summary.Meta = meta
	}
	if summary.Problem != "" || meta.Start.IsZero() {
		summary.Meta.Name, summary.Meta.Start = name, start
	}
	results, err := run.ReadResults()
	switch {
	case err == nil:
		summary.Results, summary.Checked = results, true
	case !errors.Is(err, fs.ErrNotExist) && summary.Problem == "":
		summary.Problem = err.Error() + "; `go run ./lab check " + run.Dir + "` makes it anew"
	}
	return summary
}
