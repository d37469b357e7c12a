package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
)

const (
	barrierRoot   = "/zoolab-barrier"
	barrierSize   = 3 // participants of a round
	barrierRounds = 3 // at a time
	barrierReady  = "ready"
)

// barrierWorkload is the double barrier. A participant of a round enters by making a
// znode; whoever then sees all of them makes the one that opens the barrier; a
// participant leaves, by deleting his znode, only after he has seen it open, and has
// passed when no participant is left. The znodes of participants don't end with a
// session, so that any client can act for any participant and nobody leaves by
// expiring. An operation looks once and does not wait: "shut" is an answer too.
var barrierWorkload = Workload{
	Name:         "barrier",
	Doc:          "double barriers: nobody goes in before all have entered, nobody goes out before all have left",
	Kinds:        []string{"enter", "in", "leave", "out"},
	NewGenerator: func(Options) Generator { return &barrierGenerator{} },
	Setup:        setupRoot(barrierRoot),
	Do:           withService(doBarrier),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "double-barrier", Check: func(history []Op) Result { return CheckBarriers(history, bounds) }}}
	},
}

// barrierGenerator keeps a few rounds going. Each step of a participant is tried until
// it is answered, so that every round comes to its end.
type barrierGenerator struct {
	rounds    []*barrierRound
	nextRound int
}

type barrierRound struct {
	key   string
	steps [barrierSize]string // what each participant does next, "" after the last step
}

var barrierSteps = map[string]string{"enter": "in", "in": "leave", "leave": "out", "out": ""}

func (g *barrierGenerator) Next(rng *rand.Rand) Op {
	for len(g.rounds) < barrierRounds {
		round := &barrierRound{key: fmt.Sprintf("b%05d", g.nextRound)}
		for i := range round.steps {
			round.steps[i] = "enter"
		}
		g.nextRound++
		g.rounds = append(g.rounds, round)
	}
	round := g.rounds[rng.Intn(len(g.rounds))]
	participant := rng.Intn(barrierSize)
	for round.steps[participant] == "" {
		participant = (participant + 1) % barrierSize
	}
	return Op{Type: Invoke, F: round.steps[participant], Key: round.key, Value: int64(participant), Version: -1}
}

func (g *barrierGenerator) Completed(op Op) {
	list := ints(op.Value)
	if op.Type != OK || len(list) != 2 || list[1] == barrierShut {
		return
	}
	for i, round := range g.rounds {
		if round.key != op.Key || round.steps[list[0]] != op.F {
			continue
		}
		round.steps[list[0]] = barrierSteps[op.F]
		if round.steps == [barrierSize]string{} {
			g.rounds = append(g.rounds[:i], g.rounds[i+1:]...)
		}
		return
	}
}

// Final looks once more at every barrier.
func (g *barrierGenerator) Final() (ops []Op) {
	for i := range g.nextRound {
		ops = append(ops, Op{Type: Invoke, F: "in", Key: fmt.Sprintf("b%05d", i), Value: int64(0), Version: -1})
	}
	return ops
}

// Answers of a barrier, behind the participant in an operation's value: "enter" and
// "leave" were carried out; "in" and "out" found it open or shut. An "enter" that saw
// all participants has opened it.
const (
	barrierShut = int64(iota)
	barrierDone
	barrierOpen
)

func doBarrier(ctx context.Context, client Service, op Op) Op {
	participant, ok := op.Value.(int64)
	if !ok {
		return refuse(op, fmt.Sprintf("a barrier is for numbered participants, not for %v", op.Value))
	}
	round := barrierRoot + "/" + op.Key
	own := fmt.Sprintf("%s/p%d", round, participant)
	ready := fmt.Sprintf("%s/%s-%s", barrierRoot, op.Key, barrierReady)
	answer := func(state int64) { op.Value = []any{participant, state} }
	switch op.F {
	case "enter":
		return enterBarrier(ctx, client, op, participant, round, ready)
	case "in":
		if zxid, err := client.Sync(ctx, ready); err != nil {
			return complete(op, false, zxid, "sync", err)
		}
		_, _, zxid, err := client.Get(ctx, ready)
		state := barrierOpen
		if errors.Is(err, ErrNoNode) {
			state, err = barrierShut, nil
		}
		if err == nil {
			answer(state)
		}
		return complete(op, false, zxid, "get", err)
	case "leave":
		zxid, err := client.Delete(ctx, own, -1)
		if errors.Is(err, ErrNoNode) {
			err = nil // an attempt without an answer had done it
		}
		if err == nil {
			answer(barrierDone)
		}
		return complete(op, true, zxid, "delete", err)
	case "out":
		names, zxid, err := listSynced(ctx, client, round)
		state := barrierOpen
		if len(names) > 0 {
			state = barrierShut
		}
		if err == nil {
			answer(state)
		}
		return complete(op, false, zxid, "list", err)
	default:
		return refuse(op, fmt.Sprintf("the barrier workload has no operation %q", op.F))
	}
}

// enterBarrier makes a participant's znode and opens the barrier if it was the last.
func enterBarrier(ctx context.Context, client Service, op Op, participant int64, round, ready string) Op {
	if _, zxid, err := client.Create(ctx, round, nil); err != nil && !errors.Is(err, ErrNodeExists) {
		return complete(op, false, zxid, "create the round", err)
	}
	_, zxid, err := client.Create(ctx, fmt.Sprintf("%s/p%d", round, participant), nil)
	if errors.Is(err, ErrNodeExists) {
		// An attempt without an answer had done it; what it shows must be all the same.
		_, err = client.Sync(ctx, round)
	}
	if err != nil {
		return complete(op, true, zxid, "create", err)
	}
	names, zxid, err := client.Children(ctx, round)
	if err != nil {
		return complete(op, true, zxid, "list", fmt.Errorf("entered, but the list is missing: %v", err))
	}
	state := barrierDone
	if len(names) == barrierSize {
		if _, _, err := client.Create(ctx, ready, nil); err != nil && !errors.Is(err, ErrNodeExists) {
			return complete(op, true, zxid, "open", fmt.Errorf("entered, but not opened: %v", err))
		}
		state = barrierOpen
	}
	op.Value = []any{participant, state}
	return complete(op, true, zxid, "enter", nil)
}

// CheckBarriers judges each round:
//
//   - nobody goes in early: whoever finds the barrier open does so after all
//     participants at least began to enter;
//   - it opens: the participant whose znode was made last sees all of them, because a
//     session sees its own change and all before it; so that when all have entered,
//     one has opened it;
//   - it stays open: who asks, behind a sync, after another one was told that it is
//     open, is told the same;
//   - nobody goes out early: whoever finds that all have left does so after each that
//     had certainly entered at least began to leave. When the barrier was found open, all
//     had certainly entered;
//   - who asks, behind a sync, after all have left is let out. An attempt to enter
//     that had no answer, or only after its participant left, may make a znode behind
//     that; of its round this is not asked;
//   - nobody comes back: who asks after another one was let out is let out too, whatever
//     the answers to those who left, unless an attempt to enter may have come between.
//
// Znodes of a round have their participants' names, so that attempts that are
// repeated change nothing.
func CheckBarriers(history []Op, bounds Bounds) Result {
	result := Result{Checker: "double-barrier", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	faults := &faultList{max: bounds.MaxFailures}
	opened, left := 0, 0
	for _, key := range splitByKey(operations) {
		round := gatherRound(key)
		round.checkIn(faults)
		round.checkOut(faults)
		opened += min(1, len(round.in))
		left += min(1, len(round.out))
	}
	result.Stats["opened"], result.Stats["left"] = opened, left
	return faults.judge(result, fmt.Sprintf("%d barriers opened when all %d participants had entered, and %d let out when all had left", opened, barrierSize, left), "barriers that can't be")
}

// attempts are one participant's steps in one direction.
type attempts struct {
	began *Operation // the first that may have had an effect
	sure  *Operation // the first that certainly had
}

// barrierHistory is one round as its history shows it.
type barrierHistory struct {
	key             string
	enters, leaves  [barrierSize]attempts
	unsure          bool             // some attempt to enter may have come after its participant left
	lastEnter       [barrierSize]int // ReturnIndex of the last attempt to end
	in, out         []*Operation     // answers that say open
	shutIn, shutOut []*Operation     // answers that say shut
}

func gatherRound(key keyOperations) *barrierHistory {
	round := &barrierHistory{key: key.key}
	for _, operation := range key.operations {
		list := ints(operation.Complete.Value)
		answered := operation.Complete.Type == OK && len(list) == 2
		open := answered && list[1] == barrierOpen
		switch f := operation.Invoke.F; {
		case f == "enter":
			participant := participantOf(operation)
			round.enters[participant].note(operation)
			if operation.Complete.Type != Fail {
				round.lastEnter[participant] = max(round.lastEnter[participant], operation.ReturnIndex)
			}
			if open {
				round.in = append(round.in, operation)
			}
		case f == "leave":
			round.leaves[participantOf(operation)].note(operation)
		case f == "in" && open:
			round.in = append(round.in, operation)
		case f == "in" && answered:
			round.shutIn = append(round.shutIn, operation)
		case f == "out" && open:
			round.out = append(round.out, operation)
		case f == "out" && answered:
			round.shutOut = append(round.shutOut, operation)
		}
	}
	for participant, leave := range round.leaves {
		round.unsure = round.unsure || leave.sure != nil && round.lastEnter[participant] > leave.sure.Invoke.Index
	}
	return round
}

func participantOf(operation *Operation) int {
	participant, _ := operation.Invoke.Value.(int64)
	return int(min(max(participant, 0), barrierSize-1))
}

func (a *attempts) note(operation *Operation) {
	if operation.Complete.Type == Fail {
		return
	}
	if a.began == nil {
		a.began = operation
	}
	if operation.Complete.Type == OK && (a.sure == nil || operation.ReturnIndex < a.sure.ReturnIndex) {
		a.sure = operation
	}
}

func (r *barrierHistory) checkIn(faults *faultList) {
	for _, open := range r.in {
		for participant, enter := range r.enters {
			switch {
			case enter.began == nil:
				faults.add(r.key, fmt.Sprintf("%s %d found barrier %s open, but participant %d never tried to enter", open.Invoke.F, open.Invoke.Index, r.key, participant), open)
			case enter.began.Invoke.Index > open.Complete.Index:
				faults.add(r.key, fmt.Sprintf("%s %d found barrier %s open before participant %d began to enter (operation %d)", open.Invoke.F, open.Invoke.Index, r.key, participant, enter.began.Invoke.Index), open, enter.began)
			}
		}
	}
	if first := firstToEnd(r.in); first != nil {
		for _, shut := range r.shutIn {
			if first.ReturnIndex < shut.Invoke.Index {
				faults.add(r.key, fmt.Sprintf("in %d found barrier %s shut, but operation %d had found it open before", shut.Invoke.Index, r.key, first.Invoke.Index), first, shut)
			}
		}
		return
	}
	if entered := allSure(r.enters); entered != nil {
		faults.add(r.key, fmt.Sprintf("all %d participants of %s entered, but none of them saw that it was the last", barrierSize, r.key), entered...)
	}
}

func (r *barrierHistory) checkOut(faults *faultList) {
	in := firstToEnd(r.in)
	for _, open := range r.out {
		for participant, enter := range r.enters {
			leave, entered := r.leaves[participant], enter.sure
			if entered == nil || in != nil && in.ReturnIndex < entered.ReturnIndex {
				entered = in
			}
			if entered != nil && entered.ReturnIndex < open.Invoke.Index && (leave.began == nil || leave.began.Invoke.Index > open.Complete.Index) {
				faults.add(r.key, fmt.Sprintf("out %d found that all have left %s, but participant %d had entered and not begun to leave", open.Invoke.Index, r.key, participant), entered, open)
			}
		}
	}
	r.checkShutAgain(faults)
	gone := allSure(r.leaves)
	if gone == nil || r.unsure {
		return
	}
	last := gone[0]
	for _, leave := range gone {
		if leave.ReturnIndex > last.ReturnIndex {
			last = leave
		}
	}
	for _, shut := range r.shutOut {
		if last.ReturnIndex < shut.Invoke.Index {
			faults.add(r.key, fmt.Sprintf("out %d still found somebody in %s, but all had left by operation %d", shut.Invoke.Index, r.key, last.Invoke.Index), last, shut)
		}
	}
}

// checkShutAgain finds answers that somebody is still inside behind one that nobody is.
func (r *barrierHistory) checkShutAgain(faults *faultList) {
	lastEnter := 0
	for _, ended := range r.lastEnter {
		lastEnter = max(lastEnter, ended)
	}
	var settled []*Operation // those that were let out after every attempt to enter had ended
	for _, open := range r.out {
		if lastEnter < open.Invoke.Index {
			settled = append(settled, open)
		}
	}
	first := firstToEnd(settled)
	if first == nil {
		return
	}
	for _, shut := range r.shutOut {
		if first.ReturnIndex < shut.Invoke.Index {
			faults.add(r.key, fmt.Sprintf("out %d found somebody in %s, but out %d had found nobody before, and nobody can have entered since", shut.Invoke.Index, r.key, first.Invoke.Index), first, shut)
		}
	}
}

// firstToEnd is the operation that ended first, nil of none.
func firstToEnd(operations []*Operation) (first *Operation) {
	for _, operation := range operations {
		if first == nil || operation.ReturnIndex < first.ReturnIndex {
			first = operation
		}
	}
	return first
}

// allSure lists each participant's certain step, nil if one is missing.
func allSure(steps [barrierSize]attempts) (sure []*Operation) {
	for _, step := range steps {
		if step.sure == nil {
			return nil
		}
		sure = append(sure, step.sure)
	}
	return sure
}
