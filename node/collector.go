package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// roomBytes is the least that is allocated between two collections. With Go's default
	// a small tree would be collected every few megabytes, a tenth of a busy server's
	// processor time; a large one is collected when it has doubled, as usual.
	roomBytes      = 16 << 20
	usualPercent   = 100
	largestPercent = 800
)

// tuneCollector adjusts the collector to the size of the tree until the process ends,
// unless GOGC says how it is to be.
func tuneCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := usualPercent
	for ; ; time.Sleep(10 * time.Second) {
		metrics.Read(live)
		if want := collectorPercent(live[0].Value.Uint64()); want != percent {
			percent = want
			debug.SetGCPercent(percent)
		}
	}
}

// collectorPercent is the GOGC value for a heap of that many live bytes, in coarse steps,
// because to set it stops the process for a moment.
func collectorPercent(liveBytes uint64) int {
	percent := largestPercent
	for percent > usualPercent && liveBytes*uint64(percent)/100 > roomBytes {
		percent /= 2
	}
	return percent
}
