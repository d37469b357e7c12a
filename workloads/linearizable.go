package workloads

import (
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// CheckLinearizable judges every key of a register history on its own: is there
// an order of its operations, in agreement with real time, in which a single
// versioned register would have given the same answers? Real time is the order
// of Index, which the recorder assigns before a request leaves and after its
// reply has come.
func CheckLinearizable(history []Op, bounds Bounds) Result {
	result := Result{Checker: "linearizable", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	keys := splitByKey(operations)
	var failed, undecided []string
	opsCount := 0
	for i := range keys {
		key := &keys[i]
		ops := registerOps(key.operations)
		opsCount += len(ops)
		limit := searchLimit{timeMs: bounds.KeyTimeMs, memoryBytes: bounds.MemoryBytes}
		if len(undecided) >= 3 {
			// A history that is this hard stays unknown; what remains gets a
			// short look, because a failure would say more.
			limit.timeMs = max(1, limit.timeMs/20)
		}
		switch answer, _ := searchRegister(newRegisterHistory(ops, nil, 0), limit, false); answer {
		case porcupine.Illegal:
			failed = append(failed, key.key)
			if len(result.Failures) < bounds.MaxFailures {
				result.Failures = append(result.Failures, counterexample(key.key, ops))
			}
		case porcupine.Unknown:
			undecided = append(undecided, key.key)
		}
	}
	result.Stats["keys"] = len(keys)
	result.Stats["operations"] = opsCount
	result.Stats["keys-failed"] = len(failed)
	result.Stats["keys-unknown"] = len(undecided)
	switch {
	case len(failed) > 0:
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d of %d keys have a history that no register can give; key %s: %s", len(failed), len(keys), result.Failures[0].Key, result.Failures[0].Cause)
	case len(undecided) > 0:
		result.Verdict = VerdictUnknown
		result.Cause = fmt.Sprintf("the search met its bounds (%d ms a key, %d MiB) on %d of %d keys, first on %s", bounds.KeyTimeMs, bounds.MemoryBytes>>20, len(undecided), len(keys), undecided[0])
	default:
		result.Cause = fmt.Sprintf("all %d keys behaved like one register each (%d operations)", len(keys), opsCount)
	}
	return result
}

// brokenHistory is the answer to a history that breaks the rules of recording:
// nothing can be said about it.
func brokenHistory(result Result, err error) Result {
	result.Verdict, result.Cause = VerdictUnknown, err.Error()
	return result
}

type keyOperations struct {
	key        string
	operations []*Operation
}

// splitByKey groups operations by key, in the order of the keys.
func splitByKey(operations []Operation) []keyOperations {
	position := make(map[string]int)
	var keys []keyOperations
	for i := range operations {
		key := operations[i].Invoke.Key
		at, ok := position[key]
		if !ok {
			at = len(keys)
			position[key] = at
			keys = append(keys, keyOperations{key: key})
		}
		keys[at].operations = append(keys[at].operations, &operations[i])
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].key < keys[j].key })
	return keys
}

type searchLimit struct {
	timeMs      int64
	memoryBytes int64
}

// searchRegister looks for a linearization. When one of the bounds is met the
// answer is Unknown. With partial it also returns the longest prefix of a
// linearization that it met, as positions in h.ops.
func searchRegister(h *registerHistory, limit searchLimit, partial bool) (porcupine.CheckResult, []int) {
	if len(h.ops) == 0 {
		return porcupine.Ok, nil
	}
	// What the search remembers for each step: a bit set with one bit an
	// operation, the state, and its share of the table.
	stepBytes := int64(len(h.ops)/8) + 200
	usedBytes, exhausted := int64(0), false
	model := porcupine.Model{
		Init: func() any { return registerStart },
		Step: func(state, input, _ any) (bool, any) {
			if exhausted {
				return false, state
			}
			next, ok := h.step(state.(registerState), input.(*registerOp))
			if !ok {
				return false, state
			}
			if usedBytes += stepBytes; usedBytes > limit.memoryBytes {
				exhausted = true // the search runs dry at once
				return false, state
			}
			return true, next
		},
		Hash: func(state any) uint64 {
			s := state.(registerState)
			return uint64(uint32(s.version))*0x9e3779b97f4a7c15 ^ uint64(s.ranks)<<48 ^ uint64(s.jokers)<<32
		},
	}
	input := make([]porcupine.Operation, len(h.ops))
	for i, op := range h.ops {
		end := int64(op.end)
		if op.open {
			end = math.MaxInt64
		}
		input[i] = porcupine.Operation{Input: op, Call: int64(op.index), Return: end}
	}
	timeout := time.Duration(limit.timeMs) * time.Millisecond
	var answer porcupine.CheckResult
	var longest []int
	if partial {
		var info porcupine.LinearizationInfo
		answer, info = porcupine.CheckOperationsVerbose(model, input, timeout)
		longest = longestOf(info.PartialLinearizations())
	} else {
		answer = porcupine.CheckOperationsTimeout(model, input, timeout)
	}
	if exhausted && answer == porcupine.Illegal {
		answer = porcupine.Unknown
	}
	return answer, longest
}

// longestOf picks the longest partial linearization; among equals the first in
// lexical order, so that the same history always gives the same report.
func longestOf(partitions [][][]int) []int {
	var longest []int
	for _, partials := range partitions {
		for _, partial := range partials {
			if len(partial) > len(longest) || len(partial) == len(longest) && lexicallyLess(partial, longest) {
				longest = partial
			}
		}
	}
	return longest
}

func lexicallyLess(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
