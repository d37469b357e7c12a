package report

import (
	"slices"
	"sort"
)

// figures are the numbers of a whole run.
type figures struct {
	ok, fail, info  int
	spanNs          int64   // from the first invocation to the last completion
	okPerSecond     float64 // successful operations per second of span
	p50Ns, p95Ns    int64   // latency of successful operations
	p99Ns, maxNs    int64
	gap             gap // longest time without a successful write
	writes          int // writes tried
	faults, proved  int // faults injected, and those proved to be in effect
	healed          int // faults proved to be healed
	leaderElections int // distinct epochs seen
}

// gap is a time in which no write succeeded.
type gap struct {
	fromNs, toNs int64
}

func (g gap) lengthNs() int64 { return g.toNs - g.fromNs }

// newFigures counts and measures.
func newFigures(r *run, faults []Fault, leaders []LeaderSpan) figures {
	var f figures
	latencies := make([]int64, 0, len(r.ops))
	var lastEndNs int64
	for i := range r.ops {
		op := &r.ops[i]
		switch op.outcome {
		case outcomeOK:
			f.ok++
			latencies = append(latencies, op.latencyNs())
		case outcomeFail:
			f.fail++
		default:
			f.info++
		}
		if isWrite(op.f) {
			f.writes++
		}
		if op.closed {
			lastEndNs = max(lastEndNs, op.endNs)
		}
	}
	slices.Sort(latencies)
	f.p50Ns, f.p95Ns = quantile(latencies, 0.50), quantile(latencies, 0.95)
	f.p99Ns, f.maxNs = quantile(latencies, 0.99), quantile(latencies, 1)
	if len(r.ops) > 0 {
		f.spanNs = max(0, lastEndNs-r.ops[0].startNs)
	}
	if f.spanNs > 0 {
		f.okPerSecond = float64(f.ok) / (float64(f.spanNs) / 1e9)
	}
	f.gap = longestGap(writeSpan(r), successfulWriteTimes(r))
	f.faults = len(faults)
	for i := range faults {
		if faults[i].Effective {
			f.proved++
		}
		if faults[i].Healed {
			f.healed++
		}
	}
	epochs := make(map[int64]struct{})
	for i := range leaders {
		epochs[leaders[i].Epoch] = struct{}{}
	}
	f.leaderElections = len(epochs)
	return f
}

// quantile is the smallest of the sorted values which at least the share q of
// them does not exceed (nearest rank); 0 of nothing.
func quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q * float64(len(sorted)))
	if float64(rank) < q*float64(len(sorted)) {
		rank++
	}
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// successfulWriteTimes gives when each successful write completed, in order.
func successfulWriteTimes(r *run) []int64 {
	var times []int64
	for i := range r.ops {
		if r.ops[i].wrote() {
			times = append(times, r.ops[i].endNs)
		}
	}
	slices.Sort(times)
	return times
}

// writeSpan is the time in which writes were tried: from the first invocation
// to the last completion of one, whatever its outcome, but not beyond the time
// in which clients work at all: until the final operations nobody tries. A write that was never
// completed counts with its invocation, so that the idle time until the run's
// end is not taken for an outage.
func writeSpan(r *run) gap {
	var span gap
	first := true
	for i := range r.ops {
		op := &r.ops[i]
		if !isWrite(op.f) {
			continue
		}
		if first {
			span = gap{op.startNs, op.startNs}
			first = false
		}
		end := op.startNs
		if op.closed {
			end = op.endNs
		}
		span.toNs = max(span.toNs, end)
	}
	span.toNs = max(span.fromNs, min(span.toNs, r.workNs))
	return span
}

// longestGap is the longest part of span without any of the sorted times.
func longestGap(span gap, times []int64) gap {
	longest := gap{span.fromNs, span.fromNs}
	previous := span.fromNs
	for _, at := range times {
		if at <= span.fromNs {
			continue
		}
		if at >= span.toNs {
			break
		}
		if at-previous > longest.lengthNs() {
			longest = gap{previous, at}
		}
		previous = at
	}
	if span.toNs-previous > longest.lengthNs() {
		longest = gap{previous, span.toNs}
	}
	return longest
}

// availability is what the clients saw of one fault.
type availability struct {
	duringOK, duringFail, duringInfo int // operations that completed while it lasted
	longestGapNs                     int64
	afterStart                       firstWrite
	afterHeal                        firstWrite
}

// firstWrite is the first write that succeeded after an instant, among those
// that were also invoked after it: a write that was under way before proves
// nothing.
type firstWrite struct {
	tried  bool  // a write was invoked after the instant
	found  bool  // and one succeeded
	tookNs int64 // from the instant to its completion
}

// newAvailability measures a fault that lasts from startNs to healNs. A fault
// that was never taken back lasts to the end of the run and has no afterHeal.
func newAvailability(r *run, writeTimes []int64, fault *Fault) availability {
	var a availability
	healNs := fault.EndNs
	if healNs == 0 {
		healNs = r.endNs
	}
	for i := range r.ops {
		op := &r.ops[i]
		if !op.closed || op.endNs < fault.StartNs || op.endNs >= healNs {
			continue
		}
		switch op.outcome {
		case outcomeOK:
			a.duringOK++
		case outcomeFail:
			a.duringFail++
		default:
			a.duringInfo++
		}
	}
	tried := writeSpan(r)
	span := gap{max(fault.StartNs, tried.fromNs), min(healNs, tried.toNs)}
	if span.toNs > span.fromNs {
		a.longestGapNs = longestGap(span, writeTimes).lengthNs()
	}
	a.afterStart = firstWriteAfter(r, fault.StartNs)
	if fault.EndNs != 0 {
		a.afterHeal = firstWriteAfter(r, fault.EndNs)
	}
	return a
}

// firstWriteAfter looks for the earliest completion of a successful write
// among those invoked at or after the instant.
func firstWriteAfter(r *run, instantNs int64) firstWrite {
	var first firstWrite
	from := sort.Search(len(r.ops), func(i int) bool { return r.ops[i].startNs >= instantNs })
	for i := from; i < len(r.ops); i++ {
		op := &r.ops[i]
		if first.found && op.startNs-instantNs >= first.tookNs {
			break
		}
		if !isWrite(op.f) {
			continue
		}
		first.tried = true
		if !op.succeeded() {
			continue
		}
		took := op.endNs - instantNs
		if !first.found || took < first.tookNs {
			first.found, first.tookNs = true, took
		}
	}
	return first
}
