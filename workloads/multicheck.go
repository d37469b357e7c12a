package workloads

import (
	"fmt"
	"math"
	"sort"
)

// multiShape is what all groups of a workload have in common.
type multiShape struct {
	registers int    // of a group, at most maxRegisters
	start     int64  // value of each at version 0
	word      string // what people call one
}

// maxRegisters bounds the registers of a group.
const maxRegisters = max(multiRegisters, bankAccounts)

// multiOp is one operation on a group, as the checker sees it.
type multiOp struct {
	operation *Operation
	read      bool
	touched   []multiTouch
}

// multiTouch is a register as an operation found it and, in a change, as it set it.
type multiTouch struct {
	register int
	version  int64 // found
	value    int64 // read: found; change: set
}

// multiState is a group between two operations.
type multiState [maxRegisters]struct{ version, value int64 }

// multiOpOf reads an operation; false if it constrains nothing: failed, a read without
// an answer, or a change that ended without having said where it can take effect.
func (shape multiShape) opOf(operation *Operation) (multiOp, bool) {
	m := multiOp{operation: operation, read: operation.Invoke.F == "read"}
	if operation.Complete.Type == Fail || m.read && operation.Complete.Type != OK {
		return m, false
	}
	list, _ := operation.Complete.Value.([]any)
	for _, item := range list {
		fields := ints(item)
		if len(fields) != 3 || fields[0] < 0 || fields[0] >= int64(shape.registers) {
			return m, false
		}
		m.touched = append(m.touched, multiTouch{register: int(fields[0]), version: fields[1], value: fields[2]})
	}
	return m, len(m.touched) > 0
}

// fits says whether the operation can stand in a state, and if not, why.
func (shape multiShape) fits(m *multiOp, state multiState) (string, bool) {
	for _, touch := range m.touched {
		is := state[touch.register]
		switch {
		case is.version != touch.version:
			return fmt.Sprintf("it found %[1]s %[2]d at version %[3]d, but the %[1]s is at version %[4]d", shape.word, touch.register, touch.version, is.version), false
		case m.read && is.value != touch.value:
			return fmt.Sprintf("it read value %[3]d in %[1]s %[2]d, but at version %[4]d the %[1]s has value %[5]d", shape.word, touch.register, touch.value, is.version, is.value), false
		}
	}
	return "", true
}

// apply gives the state after the operation.
func (m *multiOp) apply(state multiState) multiState {
	if !m.read {
		for _, touch := range m.touched {
			state[touch.register].version++
			state[touch.register].value = touch.value
		}
	}
	return state
}

// CheckMultiRegister looks for one order of all operations of a group, in agreement
// with real time, in which every change finds the versions that it was made at and
// every read finds versions and values. It needs next to no search. Every acknowledged
// operation ended with a multi, whose zxid is its place in the order of the service;
// a change without an answer can stand only where all its versions are found. Where
// several can, all are tried, up to a bound. What is checked:
//
//   - the order by zxid agrees with real time: who began after another had been
//     acknowledged has the higher zxid, and no two have the same;
//   - in that order each operation finds what it found, from registers that begin
//     empty, at version 0, with the value that the newest change has set.
//
// A multi takes effect as a whole or not at all, so that a group that was changed by
// halves has a version that no order explains. What relies on more than linearizability
// is that zxids are the order of changes. A group of which a change never ended, so
// that nobody knows its versions, is left out and counted.
func CheckMultiRegister(history []Op, bounds Bounds) Result {
	shape := multiShape{registers: multiRegisters, word: "register"}
	return shape.check(Result{Checker: "multi-linearizable", Verdict: VerdictOK, Stats: map[string]any{}}, history, bounds)
}

// check fills in the result of CheckMultiRegister.
func (shape multiShape) check(result Result, history []Op, bounds Bounds) Result {
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	faults := &faultList{max: bounds.MaxFailures}
	groups, count, left := 0, 0, 0
	var undecided []string
	for _, key := range splitByKey(operations) {
		group, known := shape.gather(key)
		if !known {
			left++
			continue
		}
		groups++
		count += len(group.answered)
		group.realTime(faults)
		if !group.replay(faults) {
			undecided = append(undecided, group.key)
		}
	}
	result.Stats["groups"], result.Stats["operations"], result.Stats["left-out"] = groups, count, left
	result = faults.judge(result, fmt.Sprintf("all %d groups of %d %ss behaved like one object each (%d operations)", groups, shape.registers, shape.word, count), "operations that no order explains")
	switch {
	case result.Verdict != VerdictOK:
	case len(undecided) > 0:
		result.Verdict, result.Cause = VerdictUnknown, fmt.Sprintf("too many changes without an answer may explain %d of %d groups, first %s", len(undecided), groups, undecided[0])
	case groups == 0 && left > 0:
		result.Verdict, result.Cause = VerdictUnknown, fmt.Sprintf("in each of %d groups a change never ended, so that nothing is known of its place", left)
	}
	return result
}

// multiGroup is the history of one group.
type multiGroup struct {
	multiShape
	key      string
	answered []multiOp // by zxid
	open     []multiOp // changes without an answer
}

func (shape multiShape) gather(key keyOperations) (*multiGroup, bool) {
	group := &multiGroup{multiShape: shape, key: key.key}
	for _, operation := range key.operations {
		m, ok := shape.opOf(operation)
		switch {
		case !ok && !m.read && operation.Complete.Index == math.MaxInt:
			return nil, false
		case !ok:
		case operation.Open():
			group.open = append(group.open, m)
		default:
			group.answered = append(group.answered, m)
		}
	}
	sort.SliceStable(group.answered, func(i, j int) bool {
		return group.answered[i].operation.Complete.Zxid < group.answered[j].operation.Complete.Zxid
	})
	return group, true
}

// realTime checks that no operation ended before one began that has a lower zxid.
func (g *multiGroup) realTime(faults *faultList) {
	var latest *multiOp // of those with lower zxids, the one that began last
	for i := range g.answered {
		m := &g.answered[i]
		if i > 0 && g.answered[i-1].operation.Complete.Zxid == m.operation.Complete.Zxid {
			before := &g.answered[i-1]
			faults.add(g.key, fmt.Sprintf("%s %d and %s %d were both given zxid %s", before.operation.Invoke.F, before.operation.Invoke.Index, m.operation.Invoke.F, m.operation.Invoke.Index, hex(m.operation.Complete.Zxid)), before.operation, m.operation)
		}
		if latest != nil && m.operation.ReturnIndex < latest.operation.Invoke.Index {
			faults.add(g.key, fmt.Sprintf("%s %d was given zxid %s, but %s %d, which ended before it began, has zxid %s", latest.operation.Invoke.F, latest.operation.Invoke.Index, hex(latest.operation.Complete.Zxid), m.operation.Invoke.F, m.operation.Invoke.Index, hex(m.operation.Complete.Zxid)), m.operation, latest.operation)
		}
		if latest == nil || m.operation.Invoke.Index > latest.operation.Invoke.Index {
			latest = m
		}
	}
}

// maxBridges bounds how many changes without an answer are tried in one group. Those that don't
// fit cost no try: a bank is one group, and a long run under faults has a thousand of them.
const maxBridges = 100_000

// replay carries the operations out in their order. It returns false if the bound was
// met before an order was found.
func (g *multiGroup) replay(faults *faultList) bool {
	r := &multiReplay{group: g, used: make([]bool, len(g.open))}
	var start multiState
	for register := range start {
		start[register].value = g.start
	}
	if r.from(0, start) {
		return true
	}
	if r.tries >= maxBridges {
		return false
	}
	m := &g.answered[r.stuck]
	faults.add(g.key, fmt.Sprintf("%s %d can't stand where its zxid %s puts it: %s", m.operation.Invoke.F, m.operation.Invoke.Index, hex(m.operation.Complete.Zxid), r.why), g.before(r.stuck, m)...)
	return true
}

// multiReplay looks for the changes without an answer that took effect. Such a change
// is taken when an operation that waits doesn't find its versions: any earlier, nothing
// would tell the difference, because whatever comes between does not touch its
// registers.
type multiReplay struct {
	group *multiGroup
	used  []bool
	tries int

	stuck int    // the furthest operation that did not fit
	why   string // what it did not find
}

// from carries out the answered operations from position i on.
func (r *multiReplay) from(i int, state multiState) bool {
	for ; i < len(r.group.answered); i++ {
		m := &r.group.answered[i]
		why, ok := r.group.fits(m, state)
		if ok {
			state = m.apply(state)
			continue
		}
		if i >= r.stuck {
			r.stuck, r.why = i, why
		}
		for at := range r.group.open {
			open := &r.group.open[at]
			if r.used[at] || !r.group.leadsTo(open, state, m) {
				continue
			}
			if r.tries++; r.tries >= maxBridges {
				return false
			}
			r.used[at] = true
			if r.from(i, open.apply(state)) {
				return true
			}
			r.used[at] = false
		}
		return false
	}
	return true
}

// leadsTo says whether a change without an answer can have come right before an
// operation that waits: it had begun, it fits, and it makes no version that the waiting
// one did not come to.
func (shape multiShape) leadsTo(m *multiOp, state multiState, waiting *multiOp) bool {
	if _, fits := shape.fits(m, state); !fits || m.operation.Invoke.Index > waiting.operation.ReturnIndex {
		return false
	}
	next := m.apply(state)
	for _, touch := range waiting.touched {
		if next[touch.register].version > touch.version {
			return false
		}
	}
	return true
}

// before gives the operations that show why one is impossible: the ones that last set
// the registers that it touches, and it.
func (g *multiGroup) before(at int, m *multiOp) []*Operation {
	var shown []*Operation
	for i := at - 1; i >= 0 && len(shown) < g.registers; i-- {
		if earlier := &g.answered[i]; !earlier.read && m.meets(earlier) {
			shown = append([]*Operation{earlier.operation}, shown...)
		}
	}
	return append(shown, m.operation)
}

// meets says whether two operations touch a register both.
func (m *multiOp) meets(other *multiOp) bool {
	for _, a := range m.touched {
		for _, b := range other.touched {
			if a.register == b.register {
				return true
			}
		}
	}
	return false
}
