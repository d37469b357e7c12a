package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"zoolab/lab/history"
	"zoolab/lab/report"
	"zoolab/lab/store"
)

// shrunkInput gives the report what a search for a smaller run has left, nil if
// there was none. Files of it that can't be read are said, not hidden: the
// report of the run itself must not fail for them.
func shrunkInput(run *store.Run) *report.Shrunk {
	shrunk, err := run.ReadShrunk()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	in := &report.Shrunk{
		Cause: shrunk.Cause, Command: shrunk.Command, Results: shrunk.Checkers,
		Runs: shrunk.Runs, Seconds: shrunk.Seconds, Exact: shrunk.Exact, Repeated: shrunk.Repeated, Failed: shrunk.Failed,
		FaultsBefore: shrunk.FaultsBefore, Faults: shrunk.Faults,
		OperationsBefore: shrunk.OperationsBefore, Operations: shrunk.Operations,
	}
	ops, historyErr := history.ReadFile(run.Path(store.ShrunkHistory))
	schedule, scheduleErr := os.ReadFile(run.Path(store.ShrunkSchedule))
	in.History, in.Schedule = ops, string(schedule)
	if err := errors.Join(err, historyErr, scheduleErr); err != nil {
		in.Problem = fmt.Sprintf("Not all of it could be read: %v; `go run ./lab shrink %s` makes it anew.", err, run.Dir)
	}
	return in
}
