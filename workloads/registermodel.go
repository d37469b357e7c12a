package workloads

import (
	"fmt"
	"math"
)

// The model of one znode as a versioned register.
//
// A znode starts absent. The first write creates it at version 0, every further
// one adds 1. Values are unique and every acknowledgement carries the version,
// so that nearly every change has only one place where it can stand. The search
// uses this to look at few orders only; each rule below leaves out orders that
// cannot lead to a linearization, or that are equal to one that is tried:
//
//   - A change whose value was seen at version v stands exactly at v.
//   - A version that was seen with a value is made by no other value.
//   - Open writes whose value nobody saw are equal but for their start.
//     Whenever one of them is needed, the earliest will do.
//   - An open change that is not needed to explain an answer is left for the
//     end, where it need not take effect.
//
// For shrinking, the model can forget changes: a forgotten change may take
// effect at any moment, so that leaving out its operation never makes a
// linearizable history look broken.

type registerKind uint8

const (
	registerRead registerKind = iota
	registerWrite
	registerCAS
)

// unseen is the version of an open change whose value no answer showed.
const unseen = int32(math.MinInt32)

// registerOp is one operation of one key as the search sees it.
type registerOp struct {
	index    int // Index of the invocation
	end      int // Index of the completion, math.MaxInt while open
	process  int
	kind     registerKind
	open     bool
	value    any   // read: what it saw, nil for an absent znode; else what it writes
	expected any   // cas: the value to replace
	at       int32 // cas: the version to replace, -1 if not recorded
	answered int32 // version in the answer, -1 for a read of an absent znode, unseen while open
}

// registerState is the register between two operations.
type registerState struct {
	value   any   // nil while absent, or made by a forgotten change of unseen value
	version int32 // -1 while absent
	ranks   int   // open writes of unseen values that took effect
	jokers  int   // forgotten open changes of unseen values that took effect
	done    int   // answered operations that stand already
}

var registerStart = registerState{version: -1}

func (s registerState) String() string {
	switch {
	case s.version < 0:
		return "no such znode"
	case s.value == nil:
		return fmt.Sprintf("unknown value, version %d", s.version)
	default:
		return fmt.Sprintf("value %v, version %d", s.value, s.version)
	}
}

// registerPlace is what an answer has told about an open change.
type registerPlace struct {
	version int32 // where its value was seen, or unseen
	rank    int   // among open writes of unseen values, by invocation
}

// registerHistory is one key's history, ready for the search.
type registerHistory struct {
	ops       []*registerOp // by invocation
	answered  int           // how many of ops are not open
	seen      map[int32]any // version -> the value that an answer showed there
	highest   int32         // highest version in seen, -1 if none
	places    map[*registerOp]registerPlace
	forgotten map[int32]any // version -> value of changes left out
	jokers    int           // open changes of unseen values left out
}

// newRegisterHistory prepares ops for the search. The forgotten changes and
// jokers may take effect at any time, in addition to ops.
func newRegisterHistory(ops []*registerOp, forgotten map[int32]any, jokers int) *registerHistory {
	h := &registerHistory{
		ops: ops, seen: make(map[int32]any), highest: -1,
		places: make(map[*registerOp]registerPlace), forgotten: forgotten, jokers: jokers,
	}
	versionOf := make(map[any]int32)
	note := func(version int32, value any) {
		if version < 0 {
			return
		}
		if _, ok := h.seen[version]; !ok {
			h.seen[version] = value
		}
		if _, ok := versionOf[value]; !ok {
			versionOf[value] = version
		}
		h.highest = max(h.highest, version)
	}
	for _, op := range ops {
		if op.open {
			continue
		}
		h.answered++
		note(op.answered, op.value)
		if op.kind == registerCAS {
			note(op.answered-1, op.expected)
		}
	}
	rank := 0
	for _, op := range ops {
		if !op.open {
			continue
		}
		if version, ok := versionOf[op.value]; ok {
			h.places[op] = registerPlace{version: version}
			continue
		}
		h.places[op] = registerPlace{version: unseen, rank: rank}
		if op.kind == registerWrite {
			rank++
		}
	}
	return h
}

// registerOps picks the operations that constrain the register. Failed
// operations and unanswered reads do not.
func registerOps(operations []*Operation) []*registerOp {
	all := make([]registerOp, len(operations)) // in one piece: a collector looks at fewer
	ops := make([]*registerOp, 0, len(operations))
	for i, operation := range operations {
		if all[i].describe(operation) {
			ops = append(ops, &all[i])
		}
	}
	return ops
}

// describe makes op of an operation, and says whether that constrains the register.
func (op *registerOp) describe(operation *Operation) bool {
	done := operation.Complete
	if done.Type == Fail {
		return false
	}
	*op = registerOp{
		index: operation.Invoke.Index, end: operation.ReturnIndex,
		process: operation.Invoke.Process, open: operation.Open(), at: -1, answered: unseen,
	}
	if !op.open {
		op.answered = done.Version
	}
	switch operation.Invoke.F {
	case "read":
		op.kind, op.value = registerRead, plain(done.Value)
		if op.open {
			return false
		}
	case "write":
		op.kind, op.value = registerWrite, plain(operation.Invoke.Value)
	case "cas":
		old, new, ok := casValues(operation.Invoke.Value)
		if !ok {
			return false
		}
		op.kind, op.expected, op.value, op.at = registerCAS, old, new, operation.Invoke.Version
	default:
		return false
	}
	return true
}

// casValues reads the value of a cas, as recorded or as read from a file.
func casValues(value any) (old, new int64, ok bool) {
	switch v := value.(type) {
	case [2]int64:
		return v[0], v[1], true
	case []any:
		if len(v) == 2 {
			first, firstOK := v[0].(int64)
			second, secondOK := v[1].(int64)
			return first, second, firstOK && secondOK
		}
	}
	return 0, 0, false
}

// plain makes a value comparable.
func plain(value any) any {
	switch value.(type) {
	case nil, int64, string:
		return value
	default:
		return fmt.Sprint(value)
	}
}

// reach moves the state up to version over forgotten changes, if they can
// explain every version on the way.
func (h *registerHistory) reach(state registerState, version int32) (registerState, bool) {
	for state.version < version {
		value, ok := h.forgotten[state.version+1]
		if !ok {
			if _, known := h.seen[state.version+1]; known || state.jokers >= h.jokers {
				return state, false
			}
			state.jokers++
		}
		state.version++
		state.value = value
	}
	return state, state.version == version
}

// step applies op if it can stand here.
func (h *registerHistory) step(state registerState, op *registerOp) (registerState, bool) {
	if op.open {
		return h.stepOpen(state, op)
	}
	if op.kind == registerRead {
		next, ok := h.reach(state, op.answered)
		next.done++
		return next, ok && next.value == op.value
	}
	if op.kind == registerCAS && op.at >= 0 && op.at != op.answered-1 {
		return state, false
	}
	next, ok := h.reach(state, op.answered-1)
	if !ok || op.kind == registerCAS && next.value != op.expected {
		return state, false
	}
	next.value, next.version = op.value, op.answered
	next.done++
	return next, true
}

// stepOpen applies a change of unknown outcome where it can have taken effect.
// When every answer is explained it may stand without effect.
func (h *registerHistory) stepOpen(state registerState, op *registerOp) (registerState, bool) {
	if state.done == h.answered {
		return state, true
	}
	place := h.places[op]
	target := place.version
	if target == unseen {
		target = state.version + 1
		if op.kind == registerCAS && op.at >= 0 {
			target = op.at + 1
		} else if op.kind == registerWrite && state.ranks != place.rank {
			return state, false
		}
		if _, known := h.seen[target]; known || target > h.highest {
			return state, false
		}
	}
	next, ok := h.reach(state, target-1)
	if !ok {
		return state, false
	}
	if op.kind == registerCAS && (next.value != op.expected || op.at >= 0 && op.at != next.version) {
		return state, false
	}
	if place.version == unseen && op.kind == registerWrite {
		next.ranks++
	}
	next.value, next.version = op.value, target
	return next, true
}

func (op *registerOp) String() string {
	var what string
	switch op.kind {
	case registerRead:
		if op.answered < 0 {
			what = "read that found no znode"
		} else {
			what = fmt.Sprintf("read of value %v at version %d", op.value, op.answered)
		}
	case registerWrite:
		what = fmt.Sprintf("write of %v", op.value)
	default:
		what = fmt.Sprintf("cas from %v to %v", op.expected, op.value)
		if op.at >= 0 {
			what += fmt.Sprintf(" (expecting version %d)", op.at)
		}
	}
	if op.open {
		what += ", outcome unknown"
	} else if op.kind != registerRead {
		what += fmt.Sprintf(", acknowledged as version %d", op.answered)
	}
	return what
}

// before brings the state as near as forgotten changes allow to where op would
// have to stand.
func (h *registerHistory) before(state registerState, op *registerOp) registerState {
	version := op.answered
	if op.kind != registerRead {
		version--
	}
	nearest, _ := h.reach(state, version)
	return nearest
}

// explain says in words why op cannot stand in state. Written holds the values
// that some operation of the key's whole history wrote.
func (h *registerHistory) explain(state registerState, op *registerOp, written map[any]*registerOp) string {
	if op.kind == registerCAS && op.at >= 0 && op.at != op.answered-1 {
		return fmt.Sprintf("a cas expecting version %d can only make version %d, but the reply says version %d", op.at, op.at+1, op.answered)
	}
	if op.kind == registerRead {
		if op.answered >= 0 && written[op.value] == nil {
			return fmt.Sprintf("it read value %v, which no operation of this key ever tried to write", op.value)
		}
		switch {
		case op.answered < state.version:
			seen := fmt.Sprintf("value %v, version %d", op.value, op.answered)
			if op.answered < 0 {
				seen = "no znode"
			}
			return fmt.Sprintf("it read %s, but before it began the register had already come to %s", seen, state)
		case op.answered > state.version:
			return fmt.Sprintf("it read value %v at version %d, but the register is at %s and no operation is left that can have made version %d by then", op.value, op.answered, state, state.version+1)
		default:
			return fmt.Sprintf("it read value %v at version %d, but at that version the register has %s", op.value, op.answered, state)
		}
	}
	from := op.answered - 1
	switch {
	case from < state.version:
		return fmt.Sprintf("its acknowledgement says that it made version %d, but the register is already at %s, and a change can only make version %d", op.answered, state, state.version+1)
	case from > state.version:
		return fmt.Sprintf("its acknowledgement says that it made version %d, but the register is at %s and no operation is left that can have made version %d by then", op.answered, state, state.version+1)
	default:
		return fmt.Sprintf("it replaced value %v, but the register has %s", op.expected, state)
	}
}
