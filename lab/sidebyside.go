package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// sideBySide carries out tasks, as many at a time as there are processors, and gives what all
// of them complain of. A panic of a task is such a complaint: it would end the process with
// an exit code that stands for a verdict.
func sideBySide(tasks ...func() error) error {
	errs := make([]error, len(tasks))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, task := range tasks {
		group.Go(func() error {
			defer func() {
				if cause := recover(); cause != nil {
					errs[i] = fmt.Errorf("the lab crashed: %v\n%s", cause, debug.Stack())
				}
			}()
			errs[i] = task()
			return nil
		})
	}
	_ = group.Wait() // errs has them all
	return errors.Join(errs...)
}
