package workloads

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"
)

const uniqueRoot = "/zoolab-unique"

// uniqueWorkload makes sequential znodes.
var uniqueWorkload = Workload{
	Name:         "unique",
	Doc:          "sequential znodes: every name is given once, and later ones have higher numbers",
	Kinds:        []string{"make", "read"},
	NewGenerator: func(Options) Generator { return uniqueGenerator{} },
	Setup:        setupRoot(uniqueRoot),
	Do:           withService(doUnique),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "unique-names", Check: func(history []Op) Result { return CheckUnique(history, bounds) }}}
	},
}

type uniqueGenerator struct{}

func (uniqueGenerator) Next(rng *rand.Rand) Op {
	if rng.Intn(100) < 3 {
		return Op{Type: Invoke, F: "read", Version: -1}
	}
	return Op{Type: Invoke, F: "make", Version: -1}
}

func (uniqueGenerator) Completed(Op) {}

func (uniqueGenerator) Final() []Op { return finalReads() }

func doUnique(ctx context.Context, client Service, op Op) Op {
	switch op.F {
	case "make":
		created, _, zxid, err := client.CreateMode(ctx, uniqueRoot+"/n", nil, Sequential)
		if err == nil {
			op.Value = sequence(created)
		}
		return complete(op, true, zxid, "create", err)
	case "read":
		names, zxid, err := listSynced(ctx, client, uniqueRoot)
		values := make([]any, 0, len(names))
		for _, name := range names {
			values = append(values, sequence(name))
		}
		if err == nil {
			op.Value = values
		}
		return complete(op, false, zxid, "list", err)
	default:
		return refuse(op, fmt.Sprintf("the unique workload has no operation %q", op.F))
	}
}

// sequence is the number at the end of a sequential znode's name, -1 if it has
// none.
func sequence(name string) int64 {
	const digits = 10
	if len(name) < digits {
		return -1
	}
	number, err := strconv.ParseInt(name[len(name)-digits:], 10, 64)
	if err != nil {
		return -1
	}
	return number
}

// CheckUnique judges the numbers of sequential znodes: each is given once; one
// that was asked for after another was acknowledged is higher, because the
// leader counts in the order of changes; and a list, which was read behind a
// sync, holds all that were acknowledged before it began.
func CheckUnique(history []Op, bounds Bounds) Result {
	result := Result{Checker: "unique-names", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	faults := &faultList{max: bounds.MaxFailures}
	owner := make(map[int64]*Operation)
	var made []*Operation
	for i := range operations {
		operation := &operations[i]
		if operation.Invoke.F != "make" || operation.Complete.Type != OK {
			continue
		}
		number, ok := operation.Complete.Value.(int64)
		switch other := owner[number]; {
		case !ok || number < 0:
			faults.add("", fmt.Sprintf("make %d was answered with no number: %v", operation.Invoke.Index, operation.Complete.Value), operation)
			continue
		case other != nil:
			faults.add("", fmt.Sprintf("number %d was given to make %d and to make %d", number, other.Invoke.Index, operation.Invoke.Index), other, operation)
		}
		owner[number] = operation
		made = append(made, operation)
	}
	ended := timeline(made)
	next, highest := 0, (*Operation)(nil)
	for _, operation := range made {
		for ; next < len(ended) && ended[next].ReturnIndex < operation.Invoke.Index; next++ {
			if highest == nil || ended[next].Complete.Value.(int64) > highest.Complete.Value.(int64) {
				highest = ended[next]
			}
		}
		if highest != nil && operation.Complete.Value.(int64) < highest.Complete.Value.(int64) {
			faults.add("", fmt.Sprintf("make %d was given %d, although make %d had been given %d before it began", operation.Invoke.Index, operation.Complete.Value, highest.Invoke.Index, highest.Complete.Value), highest, operation)
		}
	}
	for i := range operations {
		if operation := &operations[i]; operation.Invoke.F == "read" && operation.Complete.Type == OK {
			checkNumbersShown(faults, operation, ended)
		}
	}
	result.Stats["made"] = len(made)
	return faults.judge(result, fmt.Sprintf("%d numbers were given once each, and rise with time", len(made)), "numbers that can't be")
}

func checkNumbersShown(faults *faultList, read *Operation, ended []*Operation) {
	shown := make(map[int64]bool)
	for _, number := range ints(read.Complete.Value) {
		shown[number] = true
	}
	for _, operation := range ended {
		if operation.ReturnIndex > read.Invoke.Index {
			return
		}
		if number := operation.Complete.Value.(int64); !shown[number] {
			faults.add("", fmt.Sprintf("number %d is lost: make %d was acknowledged before read %d began, which doesn't show it", number, operation.Invoke.Index, read.Invoke.Index), operation, read)
		}
	}
}
