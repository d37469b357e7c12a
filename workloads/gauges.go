package workloads

import (
	"fmt"
	"strings"
)

// MemberGauge is what a member held of its machine before the first operation and after
// the last, when all clients had gone.
type MemberGauge struct {
	Member string
	Start  Gauge
	End    Gauge
}

// Gauge is one measurement.
type Gauge struct {
	Descriptors int64 // open files and connections
	MemoryBytes int64 // that belong to the process alone: no files, no shared memory
	DataBytes   int64 // of paths and data of all znodes
	Znodes      int64
	Problem     string // why it could not be measured, "" if it was
}

// How much a member may hold above its level.
const (
	// A member that leads has connections that it did not have as a follower, and a new
	// epoch has a new log: some for each of up to nine members.
	moreDescriptors = 32
	// What a runtime keeps of the garbage of a busy time, with queues and caches.
	moreMemoryBytes = 128 << 20
	// A znode is held with its stat, its place among its parent's children and in the
	// digest, and for a snapshot or a session more than once.
	bytesPerDataByte = 8
	bytesPerZnode    = 2 << 10
)

// CheckGauges judges whether memory and descriptors of the members came back to their
// level: a connection, a file or a queue that is forgotten each time adds up under
// faults, when everything is opened and given up often. The level is the highest that
// any member had at the start, since members change their roles and are started again;
// what is held for the znodes comes on top.
func CheckGauges(gauges []MemberGauge, bounds Bounds) Result {
	result := Result{Checker: "gauges", Verdict: VerdictOK, Stats: map[string]any{}}
	var level, most Gauge
	var unknown []string
	for i := range gauges {
		g := &gauges[i]
		for _, gauge := range []Gauge{g.Start, g.End} {
			if gauge.Problem != "" {
				unknown = append(unknown, fmt.Sprintf("%s could not be measured: %s", g.Member, gauge.Problem))
			}
		}
		level.Descriptors = max(level.Descriptors, g.Start.Descriptors)
		level.MemoryBytes = max(level.MemoryBytes, g.Start.MemoryBytes)
		most.Descriptors = max(most.Descriptors, g.End.Descriptors)
		most.MemoryBytes = max(most.MemoryBytes, g.End.MemoryBytes)
	}
	over := 0
	note := func(member, what string) {
		if over++; len(result.Failures) < max(1, bounds.MaxFailures) {
			result.Failures = append(result.Failures, Failure{Cause: member + " " + what})
		}
	}
	for i := range gauges {
		member, end := gauges[i].Member, &gauges[i].End
		if allowed := level.Descriptors + moreDescriptors; end.Descriptors > allowed {
			note(member, fmt.Sprintf("has %d descriptors open when all clients have gone, more than the %d that its level allows", end.Descriptors, allowed))
		}
		if allowed := level.MemoryBytes + moreMemoryBytes + bytesPerDataByte*end.DataBytes + bytesPerZnode*end.Znodes; end.MemoryBytes > allowed {
			note(member, fmt.Sprintf("holds %d MiB of memory when all clients have gone, more than the %d MiB that its level and its data allow", end.MemoryBytes>>20, allowed>>20))
		}
	}
	result.Stats["members"], result.Stats["descriptors"], result.Stats["memory-mib"] = len(gauges), most.Descriptors, most.MemoryBytes>>20
	switch {
	case over > 0:
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d times above its level; first: %s", over, result.Failures[0].Cause)
	case len(unknown) > 0:
		result.Verdict, result.Cause = VerdictUnknown, strings.Join(unknown[:min(2, len(unknown))], "; ")
	default:
		result.Cause = fmt.Sprintf("in the end no member has more than %d descriptors and %d MiB (at the start: %d and %d)", most.Descriptors, most.MemoryBytes>>20, level.Descriptors, level.MemoryBytes>>20)
	}
	return result
}
