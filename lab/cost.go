package main

import (
	"syscall"
	"time"

	"zoolab/lab/store"
)

// costSince measures what the lab itself takes from now on: it shares the machine with
// the members, and what it takes they lack. The function that is returned gives the cost
// of so many operations, nil where the system doesn't tell.
func costSince() func(operations int) *store.LabCost {
	before, start := processorTime(), time.Now()
	return func(operations int) *store.LabCost {
		after := processorTime()
		if after == 0 {
			return nil
		}
		return &store.LabCost{
			ProcessorSeconds: (after - before).Seconds(), Seconds: time.Since(start).Seconds(), Operations: operations,
		}
	}
}

// processorTime is what this process has used of the processors so far, in its own code
// and in the kernel's on its behalf, 0 where the system doesn't tell.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
