package workloads

import (
	"sort"

	"github.com/anishathalye/porcupine"
)

const (
	// shrinkTries bounds the searches spent on making a counterexample small.
	shrinkTries = 600
	// illegalSteps bounds the operations that are listed as impossible.
	illegalSteps = 3
)

// Bounds of each of these searches, and of the one whose longest way is told. A try that meets
// them is dropped. They are no times, so that a history has the same counterexample on every
// machine, however busy: some 50 ms, and a second.
var (
	shrinkLimit = searchLimit{steps: 200_000, memoryBytes: 8 << 20}
	tellLimit   = searchLimit{steps: 4_000_000, memoryBytes: 64 << 20}
)

// counterexample makes a failing history of one key small and puts it in words.
func counterexample(key string, ops []*registerOp) Failure {
	small := shrink(ops)
	_, placed := searchRegister(small, tellLimit, true)
	written := make(map[any]*registerOp)
	for _, op := range ops {
		if op.kind != registerRead {
			written[op.value] = op
		}
	}
	failure := Failure{Key: key}
	matter := make(map[int]bool)
	state := registerStart
	stands := make(map[int]bool)
	for _, position := range placed {
		op := small.ops[position]
		next, ok := small.step(state, op)
		if !ok {
			break
		}
		state = next
		stands[position] = true
		matter[op.index] = true
		failure.Steps = append(failure.Steps, Step{Op: op.index, State: state.String(), Legal: true})
	}
	for _, op := range impossible(small.ops, stands) {
		nearest := small.before(state, op)
		why := small.explain(nearest, op, written)
		if failure.Cause == "" {
			failure.Cause = "a " + op.String() + ": " + why
		}
		failure.Steps = append(failure.Steps, Step{Op: op.index, State: nearest.String(), Legal: false, Why: why})
		matter[op.index] = true
		if writer := written[op.value]; writer != nil {
			matter[writer.index] = true // a reader of the report wants to see where the value came from
		}
	}
	for index := range matter {
		failure.Ops = append(failure.Ops, index)
	}
	sort.Ints(failure.Ops)
	return failure
}

// impossible picks the answered operations that found no place, the one that
// ended first in front: it is the one that real time forces next.
func impossible(ops []*registerOp, stands map[int]bool) []*registerOp {
	var left []*registerOp
	for position, op := range ops {
		if !stands[position] && !op.open {
			left = append(left, op)
		}
	}
	sort.Slice(left, func(i, j int) bool { return left[i].end < left[j].end })
	return left[:min(len(left), illegalSteps)]
}

// shrink leaves out operations, in chunks that get smaller, as long as what
// remains is still impossible. Reads are dropped, changes are forgotten.
func shrink(ops []*registerOp) *registerHistory {
	current := newRegisterHistory(ops, nil, 0)
	tries := 0
	for chunk := (len(ops) + 1) / 2; chunk > 0; {
		removed := false
		for end := len(current.ops); end > 0 && tries < shrinkTries; {
			start := max(0, end-chunk)
			candidate, ok := current.without(start, end)
			if ok {
				tries++
				answer, _ := searchRegister(candidate, shrinkLimit, false)
				ok = answer == porcupine.Illegal
			}
			if ok {
				current, removed = candidate, true
			}
			end = start
		}
		if tries >= shrinkTries || chunk == 1 && !removed {
			break
		}
		if chunk > 1 {
			chunk /= 2
		}
	}
	return current
}

// without gives the history less the operations from start to end. It refuses
// when two forgotten changes would have made the same version.
func (h *registerHistory) without(start, end int) (*registerHistory, bool) {
	forgotten := make(map[int32]any, len(h.forgotten)+end-start)
	for version, value := range h.forgotten {
		forgotten[version] = value
	}
	jokers := h.jokers
	for _, op := range h.ops[start:end] {
		version := op.answered
		if op.kind == registerRead {
			continue
		}
		if op.open {
			version = h.places[op].version
		}
		if version == unseen {
			jokers++
			continue
		}
		if value, taken := forgotten[version]; taken && value != op.value {
			return nil, false
		}
		forgotten[version] = op.value
	}
	ops := make([]*registerOp, 0, len(h.ops)-(end-start))
	ops = append(append(ops, h.ops[:start]...), h.ops[end:]...)
	return newRegisterHistory(ops, forgotten, jokers), len(ops) > 0
}
