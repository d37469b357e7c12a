package workloads

import (
	"context"
	"fmt"
	"math/rand"
	"sort"
	"strconv"
)

const setRoot = "/zoolab-set"

// setWorkload adds children, each once, and lists them. Its last reads show
// whether every acknowledged change is still there, above all after all members
// were killed at once.
var setWorkload = Workload{
	Name:         "set",
	Doc:          "znodes that are only added: no acknowledged one is ever missing, also after all members were killed",
	Kinds:        []string{"add", "read"},
	NewGenerator: func(Options) Generator { return &setGenerator{} },
	Setup:        setupRoot(setRoot),
	Do:           withService(doSet),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "durable", Check: func(history []Op) Result { return CheckSet(history, bounds) }}}
	},
}

type setGenerator struct{ next int64 }

func (g *setGenerator) Next(rng *rand.Rand) Op {
	if rng.Intn(100) < 3 { // a read lists everything
		return Op{Type: Invoke, F: "read", Version: -1}
	}
	g.next++
	return Op{Type: Invoke, F: "add", Value: g.next, Version: -1}
}

func (g *setGenerator) Completed(Op) {}

func (g *setGenerator) Final() []Op { return finalReads() }

// finalReads are several, so that several members are asked.
func finalReads() []Op {
	ops := make([]Op, 5)
	for i := range ops {
		ops[i] = Op{Type: Invoke, F: "read", Version: -1}
	}
	return ops
}

func doSet(ctx context.Context, client Service, op Op) Op {
	return doSetBelow(ctx, client, setRoot, op)
}

func doSetBelow(ctx context.Context, client Service, root string, op Op) Op {
	switch op.F {
	case "add":
		stat, zxid, err := client.Create(ctx, fmt.Sprintf("%s/%d", root, op.Value), nil)
		op.Mzxid = stat.Mzxid
		return complete(op, true, zxid, "create", err)
	case "read":
		names, zxid, err := listSynced(ctx, client, root)
		if err != nil {
			return complete(op, false, zxid, "list", err)
		}
		values := make([]any, 0, len(names))
		for _, name := range names {
			value, err := strconv.ParseInt(name, 10, 64)
			if err != nil {
				value = -1 // nobody made it: the checker must see it
			}
			values = append(values, value)
		}
		op.Value = values
		return complete(op, false, zxid, "list", nil)
	default:
		return refuse(op, fmt.Sprintf("a set has no operation %q", op.F))
	}
}

// listSynced lists what the ensemble has, in lexical order.
func listSynced(ctx context.Context, client Service, path string) ([]string, int64, error) {
	if zxid, err := client.Sync(ctx, path); err != nil {
		return nil, zxid, err
	}
	names, zxid, err := client.Children(ctx, path)
	sort.Strings(names)
	return names, zxid, err
}

// CheckSet judges each list, which was read behind a sync. It must hold every
// value whose add was acknowledged, or which another list showed, before the
// read began, and none that nobody tried to add, or not yet, or in vain. A value
// of unknown outcome may be there or not, but what was once shown stays. Every list
// is of one moment in the one order of changes, so that of two lists, also such as
// were read at the same time, one holds all of the other; and none holds what was
// added at a higher zxid than that with which it was answered.
func CheckSet(history []Op, bounds Bounds) Result {
	result := Result{Checker: "durable", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	faults := &faultList{max: bounds.MaxFailures}
	adds := make(map[int64]*Operation)
	certain := make(map[int64]*Operation) // value -> what first proved it to be there
	prove := func(value int64, by *Operation) {
		if before := certain[value]; before == nil || by.ReturnIndex < before.ReturnIndex {
			certain[value] = by
		}
	}
	for i := range operations {
		operation := &operations[i]
		if operation.Invoke.F == "add" {
			value, _ := operation.Invoke.Value.(int64)
			adds[value] = operation
			if operation.Complete.Type == OK {
				prove(value, operation)
			}
		} else if operation.Complete.Type == OK {
			for _, value := range ints(operation.Complete.Value) {
				prove(value, operation)
			}
		}
	}
	acknowledged := make([]int64, 0, len(certain))
	for value := range certain {
		acknowledged = append(acknowledged, value)
	}
	sort.Slice(acknowledged, func(i, j int) bool { return acknowledged[i] < acknowledged[j] })
	var lists []*Operation
	for i := range operations {
		operation := &operations[i]
		if operation.Invoke.F != "read" || operation.Complete.Type != OK {
			continue
		}
		lists = append(lists, operation)
		checkSetRead(faults, operation, adds, certain, acknowledged)
	}
	checkInclusion(faults, lists)
	result.Stats["adds"], result.Stats["reads"] = len(adds), len(lists)
	return faults.judge(result, fmt.Sprintf("%d lists held all that was acknowledged before them (%d values in the end)", len(lists), len(acknowledged)), "lists that can't be")
}

func checkSetRead(faults *faultList, read *Operation, adds, certain map[int64]*Operation, acknowledged []int64) {
	shown := make(map[int64]bool)
	for _, value := range ints(read.Complete.Value) {
		add := adds[value]
		switch {
		case shown[value]:
			faults.add("", fmt.Sprintf("read %d shows %d twice", read.Invoke.Index, value), read)
		case add == nil:
			faults.add("", fmt.Sprintf("read %d shows %d, which nobody tried to add", read.Invoke.Index, value), read)
		case add.Complete.Type == Fail:
			faults.add("", fmt.Sprintf("read %d shows %d, but add %d of it certainly failed", read.Invoke.Index, value, add.Invoke.Index), add, read)
		case add.Invoke.Index > read.Complete.Index:
			faults.add("", fmt.Sprintf("read %d shows %d before add %d of it began", read.Invoke.Index, value, add.Invoke.Index), read, add)
		case add.Complete.Type == OK && read.Complete.Zxid != 0 && add.Complete.Mzxid > read.Complete.Zxid:
			faults.add("", fmt.Sprintf("read %d shows %d at zxid %s, but add %d added it at zxid %s", read.Invoke.Index, value, hex(read.Complete.Zxid), add.Invoke.Index, hex(add.Complete.Mzxid)), add, read)
		}
		shown[value] = true
	}
	for _, value := range acknowledged {
		if by := certain[value]; !shown[value] && by.ReturnIndex < read.Invoke.Index {
			faults.add("", fmt.Sprintf("%d is lost: %s %d had proved it to be there before read %d began, which doesn't show it", value, by.Invoke.F, by.Invoke.Index, read.Invoke.Index), by, read)
		}
	}
}

// checkInclusion compares lists of what is only ever added: each holds all that a shorter one
// does.
func checkInclusion(faults *faultList, lists []*Operation) {
	lists = append([]*Operation(nil), lists...)
	size := func(list *Operation) int { items, _ := list.Complete.Value.([]any); return len(items) }
	sort.SliceStable(lists, func(i, j int) bool { return size(lists[i]) < size(lists[j]) })
	newest := make(map[int64]int) // value -> the last list up to here that shows it
	for i, list := range lists {
		common := 0
		for _, value := range ints(list.Complete.Value) {
			if at, shown := newest[value]; shown && at == i-1 {
				common++
			}
			newest[value] = i
		}
		if i == 0 || common >= size(lists[i-1]) {
			continue
		}
		shorter := lists[i-1]
		for _, value := range ints(shorter.Complete.Value) {
			if newest[value] < i {
				faults.add("", fmt.Sprintf("read %d shows %d, which read %d doesn't show, but that shows others: neither of them can have come first", shorter.Invoke.Index, value, list.Invoke.Index), shorter, list)
				break
			}
		}
	}
}
