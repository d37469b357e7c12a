package workloads

import (
	"fmt"
	"sort"
)

// counterUnknown are the additions of unknown outcome.
type counterUnknown struct {
	began   []int   // Index of each invocation, rising
	smaller []int64 // smaller[k] is the sum of the k smallest of them, larger[k] of the k largest
	larger  []int64
}

func newCounterUnknown(operations []Operation) *counterUnknown {
	u := &counterUnknown{smaller: []int64{0}, larger: []int64{0}}
	var amounts []int64
	for i := range operations {
		if operation := &operations[i]; operation.Invoke.F == "add" && operation.Complete.Type == Info {
			u.began = append(u.began, operation.Invoke.Index)
			amounts = append(amounts, operation.Invoke.Value.(int64))
		}
	}
	sort.Slice(amounts, func(i, j int) bool { return amounts[i] < amounts[j] })
	for i := range amounts {
		u.smaller = append(u.smaller, u.smaller[i]+amounts[i])
		u.larger = append(u.larger, u.larger[i]+amounts[len(amounts)-1-i])
	}
	return u
}

// withVersions lists the answers that have a version, by the zxid of the change that they
// show, and of one zxid the addition that made it first. Where an addition has none, as in
// histories of before the lab kept it, nothing can be counted, and there are no answers.
func withVersions(operations []Operation) (answers []*Operation) {
	for i := range operations {
		switch done := operations[i].Complete; {
		case done.Type != OK:
		case done.Mzxid != 0 && done.Version >= 0:
			answers = append(answers, &operations[i])
		case operations[i].Invoke.F == "add":
			return nil
		}
	}
	sort.SliceStable(answers, func(i, j int) bool {
		a, b := answers[i], answers[j]
		if a.Complete.Mzxid != b.Complete.Mzxid {
			return a.Complete.Mzxid < b.Complete.Mzxid
		}
		return a.Invoke.F == "add" && b.Invoke.F != "add"
	})
	return answers
}

// checkCounterVersions goes through the answers in the order of the changes that they show.
func checkCounterVersions(faults *faultList, operations []Operation) {
	unknown := newCounterUnknown(operations)
	var added, count, done int64 // acknowledged up to here, and how many of unknown outcome were done
	var before *Operation
	for _, answer := range withVersions(operations) {
		op, again := answer.Complete, before != nil && before.Complete.Mzxid == answer.Complete.Mzxid
		least := done
		if answer.Invoke.F == "add" {
			added, count = added+answer.Invoke.Value.(int64), count+1
		} else if !again && op.Version > 0 {
			least++
		}
		others, begun := int64(op.Version)-count, int64(sort.SearchInts(unknown.began, op.Index))
		what := fmt.Sprintf("%s %d was answered with version %d at zxid %s", answer.Invoke.F, answer.Invoke.Index, op.Version, hex(op.Mzxid))
		number, isNumber := op.Value.(int64)
		read := answer.Invoke.F == "read" && isNumber
		switch {
		case again && op.Version != before.Complete.Version:
			faults.add("", fmt.Sprintf("%s, but %s %d with version %d", what, before.Invoke.F, before.Invoke.Index, before.Complete.Version), before, answer)
		case others < least || others > begun:
			faults.add("", fmt.Sprintf("%s: up to that %d additions were acknowledged, and at least %d and at most %d of unknown outcome were done", what, count, least, begun), answer)
		case read && (number-added < unknown.smaller[others] || number-added > unknown.larger[others]):
			faults.add("", fmt.Sprintf("%s and shows %d: up to that %d were acknowledged, in %d additions, and %d of unknown outcome were done, which are %d to %d together", what, number, added, count, others, unknown.smaller[others], unknown.larger[others]), answer)
		case read && again && before.Invoke.F == "read" && before.Complete.Value != op.Value:
			faults.add("", fmt.Sprintf("%s and shows %d, but read %d shows %v there", what, number, before.Invoke.Index, before.Complete.Value), before, answer)
		}
		done = max(done, min(others, begun))
		before = answer
	}
}
