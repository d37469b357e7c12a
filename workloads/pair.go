package workloads

import (
	"fmt"
	"math"
)

// Operation is an invocation with its completion. Both stand in the history: of a million
// operations each checker would need a copy.
type Operation struct {
	Invoke   *Op
	Complete *Op // Type is Info where the history holds no completion

	// ReturnIndex is the Index of the completion when the operation certainly
	// ended there, and math.MaxInt when it may still take effect at any later
	// time. Invariant: Invoke.Index < ReturnIndex.
	ReturnIndex int
}

// noCompletion is the Error of operations that the history leaves open.
const noCompletion = "no completion in the history"

// Open says whether the operation may take effect after its completion.
func (o *Operation) Open() bool { return o.ReturnIndex == math.MaxInt }

// Pair matches the invocations of client processes with their completions, in
// the order of the invocations. Operations of the nemesis are left out. An
// operation without a completion counts as info. A history that breaks the
// ordering rules of this package is an error, because no checker's answer about
// it could be trusted.
func Pair(history []Op) ([]Operation, error) {
	operations := make([]Operation, 0, len(history)/2)
	inFlight := make(map[int]int) // process -> position in operations
	crashed := make(map[int]bool) // processes that must not act again
	lastIndex, lastTime := -1, int64(0)
	for i := range history {
		op := &history[i]
		if op.Index <= lastIndex {
			return nil, fmt.Errorf("history: operation %d stands after operation %d", op.Index, lastIndex)
		}
		if op.TimeNs < lastTime {
			return nil, fmt.Errorf("history: time goes back at operation %d (%d ns after %d ns)", op.Index, op.TimeNs, lastTime)
		}
		lastIndex, lastTime = op.Index, op.TimeNs
		if op.Process < 0 {
			continue
		}
		position, busy := inFlight[op.Process]
		if op.Type == Invoke {
			if busy {
				return nil, fmt.Errorf("history: process %d invokes operation %d while its operation %d is in flight", op.Process, op.Index, operations[position].Invoke.Index)
			}
			if crashed[op.Process] {
				return nil, fmt.Errorf("history: process %d invokes operation %d after an operation of it ended in info", op.Process, op.Index)
			}
			inFlight[op.Process] = len(operations)
			operations = append(operations, Operation{
				Invoke:      op,
				ReturnIndex: math.MaxInt,
			})
			continue
		}
		if !busy {
			return nil, fmt.Errorf("history: operation %d (%s of process %d) completes nothing", op.Index, op.Type, op.Process)
		}
		delete(inFlight, op.Process)
		operation := &operations[position]
		if operation.Invoke.F != op.F || operation.Invoke.Key != op.Key {
			return nil, fmt.Errorf("history: operation %d completes %s of key %q, but process %d had invoked %s of key %q", op.Index, op.F, op.Key, op.Process, operation.Invoke.F, operation.Invoke.Key)
		}
		operation.Complete = op
		if op.Type == Info {
			crashed[op.Process] = true
		} else {
			operation.ReturnIndex = op.Index
		}
	}
	for _, position := range inFlight {
		op := operations[position].Invoke
		operations[position].Complete = &Op{
			Index: math.MaxInt, TimeNs: math.MaxInt64, Type: Info, Process: op.Process, F: op.F, Key: op.Key, Value: op.Value,
			Version: -1, Error: noCompletion,
		}
	}
	return operations, nil
}
