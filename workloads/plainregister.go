package workloads

import (
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// plainState is a register of which only values are known. Until the first change
// or read it may hold anything: a history does not tell what it began with.
type plainState struct {
	known bool
	value any
}

// plainOp is one operation as the search sees it.
type plainOp struct {
	f        string
	value    any // read: what it saw; else what it writes
	expected any // cas: the value to replace
	open     bool
}

func (s plainState) String() string {
	if !s.known {
		return "any value"
	}
	return fmt.Sprintf("value %v", s.value)
}

// apply carries op out if it can stand here. What has no answer need not have taken
// effect, so that an open operation that can't may always stand idle.
func (s plainState) apply(op *plainOp) (bool, plainState) {
	switch op.f {
	case "read":
		if s.known && s.value != op.value {
			return false, s
		}
		return true, plainState{true, op.value}
	case "write":
		return true, plainState{true, op.value}
	default: // cas
		if s.known && s.value != op.expected {
			return op.open, s
		}
		return true, plainState{true, op.value}
	}
}

// CheckPlainRegister judges registers of which only the values are known, as in
// histories of other labs: is there an order of the operations of each key, in
// agreement with real time, in which a register would have given the same answers?
// It knows no versions, so that it can't tell equal values apart, and its search is
// slower than CheckLinearizable's.
func CheckPlainRegister(history []Op, bounds Bounds) Result {
	result := Result{Checker: "linearizable", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	keys := splitByKey(operations)
	undecided, failed, total := 0, 0, 0
	for i := range keys {
		ops := plainOperations(keys[i].operations)
		total += len(ops)
		answer, info := porcupine.CheckOperationsVerbose(plainModel, ops, time.Duration(bounds.KeyTimeMs)*time.Millisecond)
		switch answer {
		case porcupine.Illegal:
			if failed++; len(result.Failures) < bounds.MaxFailures {
				result.Failures = append(result.Failures, plainCounterexample(keys[i].key, ops, longestOf(info.PartialLinearizations())))
			}
		case porcupine.Unknown:
			undecided++
		}
	}
	result.Stats["keys"], result.Stats["operations"] = len(keys), total
	result.Stats["keys-failed"], result.Stats["keys-unknown"] = failed, undecided
	switch {
	case failed > 0:
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d of %d keys have a history that no register can give; first: %s", failed, len(keys), result.Failures[0].Cause)
	case undecided > 0:
		result.Verdict = VerdictUnknown
		result.Cause = fmt.Sprintf("the search met its bound of %d ms on %d of %d keys", bounds.KeyTimeMs, undecided, len(keys))
	default:
		result.Cause = fmt.Sprintf("all %d keys behaved like one register each (%d operations)", len(keys), total)
	}
	return result
}

var plainModel = porcupine.Model{
	Init: func() any { return plainState{} },
	Step: func(state, input, _ any) (bool, any) {
		ok, next := state.(plainState).apply(input.(*plainInput).op)
		return ok, next
	},
}

// plainInput ties an operation of the search to the history.
type plainInput struct {
	op    *plainOp
	index int
	words string
}

// plainPair takes the value of a cas apart, which may hold anything.
func plainPair(value any) (old, new any, ok bool) {
	switch v := value.(type) {
	case [2]int64:
		return v[0], v[1], true
	case []any:
		if len(v) == 2 {
			return plain(v[0]), plain(v[1]), true
		}
	}
	return nil, nil, false
}

// plainOperations leaves out what constrains nothing: what failed, and reads
// without an answer.
func plainOperations(operations []*Operation) []porcupine.Operation {
	ops := make([]porcupine.Operation, 0, len(operations))
	for _, operation := range operations {
		done := operation.Complete
		op := &plainOp{f: operation.Invoke.F, value: plain(operation.Invoke.Value), open: operation.Open()}
		if done.Type == Fail || op.f == "read" && op.open {
			continue
		}
		words := fmt.Sprintf("%s of %v", op.f, op.value)
		switch op.f {
		case "read":
			op.value = plain(done.Value)
			words = fmt.Sprintf("read of %v", op.value)
		case "cas":
			var ok bool
			if op.expected, op.value, ok = plainPair(operation.Invoke.Value); !ok {
				continue
			}
			words = fmt.Sprintf("cas from %v to %v", op.expected, op.value)
		}
		end := int64(operation.ReturnIndex)
		if op.open {
			end = math.MaxInt64
		}
		ops = append(ops, porcupine.Operation{
			ClientId: operation.Invoke.Process, Input: &plainInput{op, operation.Invoke.Index, words}, Call: int64(operation.Invoke.Index), Return: end,
		})
	}
	return ops
}

// plainTail bounds the steps of a counterexample: those before them only say how
// the register came to its value.
const plainTail = 12

// plainCounterexample tells the longest order that was found, and which operation
// real time forces next although it can't stand there.
func plainCounterexample(key string, ops []porcupine.Operation, placed []int) Failure {
	failure := Failure{Key: key}
	state := plainState{}
	stands := make(map[int]bool)
	for _, at := range placed {
		input := ops[at].Input.(*plainInput)
		ok, next := state.apply(input.op)
		if !ok {
			break
		}
		state, stands[at] = next, true
		failure.Steps = append(failure.Steps, Step{Op: input.index, State: state.String(), Legal: true})
	}
	failure.Steps = failure.Steps[max(0, len(failure.Steps)-plainTail):]
	var left []porcupine.Operation
	for at := range ops {
		if !stands[at] && ops[at].Return != math.MaxInt64 {
			left = append(left, ops[at])
		}
	}
	sort.Slice(left, func(i, j int) bool { return left[i].Return < left[j].Return })
	for _, op := range left[:min(len(left), illegalSteps)] {
		input := op.Input.(*plainInput)
		why := fmt.Sprintf("the register can only hold %s there, and no order of the operations before gives anything else", state)
		if failure.Cause == "" {
			failure.Cause = fmt.Sprintf("key %q: the %s by process %d has no place: %s", key, input.words, op.ClientId, why)
		}
		failure.Steps = append(failure.Steps, Step{Op: input.index, State: state.String(), Why: why})
	}
	for _, step := range failure.Steps {
		failure.Ops = append(failure.Ops, step.Op)
	}
	sort.Ints(failure.Ops)
	return failure
}
