package report

import (
	"fmt"

	"zoolab/workloads"
)

// maxTimelineOps bounds the operations that the page carries for its timeline.
// Everything that stands as text is computed of all of them.
const maxTimelineOps = 150_000

// sample is what the timeline shows of a history that is too long for it.
type sample struct {
	ops []operation
	// weights say how many operations each stands for in the throughput: 0 for one
	// that is there only because a violation speaks of it.
	weights []int
	note    string // for people; "" if nothing was left out
}

// sampleOf keeps what violations speak of, what failed or stayed unknown, and of the
// successful operations every so manieth. Where more failed than there is room for,
// of those too.
func sampleOf(r *run, results []workloads.Result) sample {
	if len(r.ops) <= maxTimelineOps {
		s := sample{ops: r.ops, weights: make([]int, len(r.ops))}
		for i := range s.weights {
			s.weights[i] = 1
		}
		return s
	}
	rest := 0
	for i := range r.ops {
		if r.ops[i].outcome != outcomeOK {
			rest++
		}
	}
	restStride := (rest-1)/(maxTimelineOps/2) + 1
	room := maxTimelineOps - rest/max(restStride, 1)
	okStride := (len(r.ops)-rest-1)/room + 1
	matters := mattering(r, results)
	var s sample
	var seen [outcomeInfo + 1]int
	for i := range r.ops {
		stride, outcome := max(restStride, 1), r.ops[i].outcome
		if outcome == outcomeOK {
			stride = okStride
		}
		chosen := seen[outcome]%stride == 0
		seen[outcome]++
		if !chosen && !matters[i] {
			continue
		}
		weight := 0
		if chosen {
			weight = stride
		}
		s.ops, s.weights = append(s.ops, r.ops[i]), append(s.weights, weight)
	}
	others := "all others"
	if restStride > 1 {
		others = fmt.Sprintf("one in %d of the others", restStride)
	}
	s.note = fmt.Sprintf("Of %s operations the timeline carries %s: all that violations speak of, one in %d that succeeded, and %s. Throughput counts them all; the figures above are of the whole history.",
		countText(len(r.ops)), countText(len(s.ops)), okStride, others)
	return s
}

// mattering lists the operations that violations speak of, by their place.
func mattering(r *run, results []workloads.Result) map[int]bool {
	matters := make(map[int]bool)
	note := func(index int) {
		if place, known := r.place(index); known {
			matters[place] = true
		}
	}
	for i := range results {
		for _, failure := range results[i].Failures {
			for _, index := range failure.Ops {
				note(index)
			}
			for _, step := range failure.Steps {
				note(step.Op)
			}
		}
	}
	return matters
}
