package workloads

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// CheckLinearizable judges every key of a register history on its own: is there
// an order of its operations, in agreement with real time, in which a single
// versioned register would have given the same answers? Real time is the order
// of Index, which the recorder assigns before a request leaves and after its
// reply has come.
//
// The answer comes from a search that knows nothing of versions but what the model of
// the register says. A key whose search meets its bounds, as one that everybody works on
// does, is decided by the versions in its history (decideByVersions), which is as exact.
// Where a compare-and-set without an answer doesn't say which version it expected, as in a
// history that was recorded elsewhere, the key stays unknown.
func CheckLinearizable(history []Op, bounds Bounds) Result {
	result := Result{Checker: "linearizable", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	keys := splitByKey(operations)
	c := &linearizableCheck{bounds: bounds, result: &result}
	for i := range keys {
		c.key(&keys[i])
	}
	result.Stats["keys"], result.Stats["operations"] = len(keys), c.operations
	result.Stats["keys-failed"], result.Stats["keys-unknown"] = len(c.failed), len(c.undecided)
	result.Stats["keys-by-versions"] = len(c.hot)
	hot := ""
	if len(c.hot) > 0 {
		hot = fmt.Sprintf("; too large for the search, and decided by versions: %s", nameSome(c.hot))
	}
	switch {
	case len(c.failed) > 0:
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d of %d keys have a history that no register can give; key %s: %s%s", len(c.failed), len(keys), result.Failures[0].Key, result.Failures[0].Cause, hot)
	case len(c.undecided) > 0:
		result.Verdict = VerdictUnknown
		result.Cause = fmt.Sprintf("the search met its bounds (%d ms a key, %d MiB), and the history doesn't name all versions, on %d of %d keys: %s", bounds.KeyTimeMs, bounds.MemoryBytes>>20, len(c.undecided), len(keys), nameSome(c.undecided))
	default:
		result.Cause = fmt.Sprintf("all %d keys behaved like one register each (%d operations)%s", len(keys), c.operations, hot)
	}
	return result
}

// linearizableCheck gathers the verdicts of keys.
type linearizableCheck struct {
	bounds     Bounds
	result     *Result
	operations int

	failed, undecided []string
	hot               []string // decided by versions
}

// hardKeys is how many searches may meet their bounds before those that follow get a
// short look only: a history with so many hot keys would take too long.
const hardKeys = 3

func (c *linearizableCheck) key(key *keyOperations) {
	ops := registerOps(key.operations)
	c.operations += len(ops)
	limit := searchLimit{timeMs: c.bounds.KeyTimeMs, memoryBytes: c.bounds.MemoryBytes}
	if len(c.undecided)+len(c.hot) >= hardKeys {
		limit.timeMs = max(1, limit.timeMs/20)
	}
	answer, _ := searchRegister(newRegisterHistory(ops, nil, 0), limit, false)
	var decision versionDecision
	if answer == porcupine.Unknown {
		decision = decideByVersions(ops)
		if !decision.decided {
			c.undecided = append(c.undecided, key.key)
			return
		}
		c.hot = append(c.hot, key.key)
	}
	if answer != porcupine.Illegal && !decision.illegal() {
		return
	}
	c.failed = append(c.failed, key.key)
	switch {
	case len(c.result.Failures) >= c.bounds.MaxFailures:
	case decision.illegal():
		c.result.Failures = append(c.result.Failures, decision.failure(key.key))
	default:
		c.result.Failures = append(c.result.Failures, counterexample(key.key, ops))
	}
}

// nameSome lists the first few keys.
func nameSome(keys []string) string {
	const some = 5
	if len(keys) <= some {
		return strings.Join(keys, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(keys[:some], ", "), len(keys)-some)
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
	timeMs      int64 // 0: none
	steps       int64 // that the search tries, 0: any number
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
	usedBytes, tried, exhausted := int64(0), int64(0), false
	model := porcupine.Model{
		Init: func() any { return registerStart },
		Step: func(state, input, _ any) (bool, any) {
			if exhausted {
				return false, state
			}
			if tried++; limit.steps > 0 && tried > limit.steps {
				exhausted = true // the search runs dry at once
				return false, state
			}
			next, ok := h.step(state.(registerState), input.(*registerOp))
			if !ok {
				return false, state
			}
			if usedBytes += stepBytes; usedBytes > limit.memoryBytes {
				exhausted = true
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
