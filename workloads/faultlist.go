package workloads

import (
	"fmt"
	"sort"
)

// faultList collects violations, the first few of them in full.
type faultList struct {
	max      int
	count    int
	failures []Failure
}

// add notes a violation that the operations show. The last one is the one that
// can't be.
func (f *faultList) add(key, cause string, operations ...*Operation) {
	f.addCycle(key, cause, nil, operations...)
}

// addCycle notes a violation that is a cycle.
func (f *faultList) addCycle(key, cause string, edges []Edge, operations ...*Operation) {
	f.count++
	if len(f.failures) >= max(1, f.max) {
		return
	}
	failure := Failure{Key: key, Cause: cause, Edges: edges}
	for i, operation := range operations {
		step := Step{Op: operation.Invoke.Index, State: describe(operation), Legal: i < len(operations)-1}
		if !step.Legal {
			step.Why = cause
		}
		failure.Ops = append(failure.Ops, step.Op)
		failure.Steps = append(failure.Steps, step)
	}
	sort.Ints(failure.Ops)
	f.failures = append(f.failures, failure)
}

// describe shows an operation in a few words.
func describe(operation *Operation) string {
	value := operation.Complete.Value
	if value == nil {
		value = operation.Invoke.Value
	}
	text := fmt.Sprintf("%s %s %v", operation.Complete.Type, operation.Invoke.F, value)
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return text
}

// judge fills in the verdict.
func (f *faultList) judge(result Result, good, bad string) Result {
	result.Failures = f.failures
	result.Stats["violations"] = f.count
	if f.count > 0 {
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d %s; first: %s", f.count, bad, f.failures[0].Cause)
		return result
	}
	result.Cause = good
	return result
}
