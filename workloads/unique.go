package workloads

import (
	"context"
	"fmt"
	"math/rand"
	"sort"
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
// that was asked for after another was acknowledged, or made at a higher zxid, is
// higher, because the leader counts in the order of changes; and a list, which was read behind a
// sync, holds all that were acknowledged, or that another list showed, before it
// began, each once, and none that was asked for later. Of two lists one holds all of
// the other. Those that no answer names
// are at most as many as the makes of unknown outcome that had begun.
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
	checkNumbersByZxid(faults, made)
	checkNumbersShown(faults, operations, owner)
	result.Stats["made"] = len(made)
	return faults.judge(result, fmt.Sprintf("%d numbers were given once each, and rise with time", len(made)), "numbers that can't be")
}

// checkNumbersByZxid checks that numbers rise with the zxids at which they were given.
func checkNumbersByZxid(faults *faultList, made []*Operation) {
	var known []*Operation
	for _, operation := range made {
		if operation.Complete.Zxid != 0 {
			known = append(known, operation)
		}
	}
	sort.SliceStable(known, func(i, j int) bool { return known[i].Complete.Zxid < known[j].Complete.Zxid })
	for i := 1; i < len(known); i++ {
		if before, after := known[i-1], known[i]; before.Complete.Value.(int64) > after.Complete.Value.(int64) {
			faults.add("", fmt.Sprintf("make %d was given %d at zxid %s, but make %d was given %d at zxid %s", before.Invoke.Index, before.Complete.Value, hex(before.Complete.Zxid), after.Invoke.Index, after.Complete.Value, hex(after.Complete.Zxid)), before, after)
		}
	}
}

// checkNumbersShown judges the lists. What a list shows that nobody was given is of a make
// of unknown outcome.
func checkNumbersShown(faults *faultList, operations []Operation, owner map[int64]*Operation) {
	certain := make(map[int64]*Operation) // number -> what first proved it to be there
	prove := func(number int64, by *Operation) {
		if before := certain[number]; before == nil || by.ReturnIndex < before.ReturnIndex {
			certain[number] = by
		}
	}
	var reads, unsure []*Operation
	for i := range operations {
		switch operation := &operations[i]; {
		case operation.Invoke.F == "read" && operation.Complete.Type == OK:
			reads = append(reads, operation)
			for _, number := range ints(operation.Complete.Value) {
				prove(number, operation)
			}
		case operation.Invoke.F == "make" && operation.Complete.Type == Info:
			unsure = append(unsure, operation)
		}
	}
	for number, operation := range owner {
		prove(number, operation)
	}
	checkInclusion(faults, reads)
	proved := sortedValues(certain)
	for _, read := range reads {
		shown, nobodys := make(map[int64]bool), 0
		for _, number := range ints(read.Complete.Value) {
			if shown[number] {
				faults.add("", fmt.Sprintf("read %d shows number %d twice", read.Invoke.Index, number), read)
			}
			shown[number] = true
			switch by := owner[number]; {
			case by == nil:
				nobodys++
			case by.Invoke.Index > read.Complete.Index:
				faults.add("", fmt.Sprintf("read %d shows number %d before make %d, which was given it, began", read.Invoke.Index, number, by.Invoke.Index), read, by)
			}
		}
		for _, number := range proved {
			if by := certain[number]; !shown[number] && by.ReturnIndex < read.Invoke.Index {
				faults.add("", fmt.Sprintf("number %d is lost: %s %d had proved it to be there before read %d began, which doesn't show it", number, by.Invoke.F, by.Invoke.Index, read.Invoke.Index), by, read)
			}
		}
		begun := sort.Search(len(unsure), func(i int) bool { return unsure[i].Invoke.Index > read.Complete.Index })
		if nobodys > begun {
			faults.add("", fmt.Sprintf("read %d shows %d numbers that no make was given, but only %d of unknown outcome had begun", read.Invoke.Index, nobodys, begun), read)
		}
	}
}
