package workloads

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"sort"
	"strconv"
)

const ephemeralRoot = "/zoolab-ephemeral"

// SessionTimeoutMs is the timeout of the sessions that carry out workloads: it outlives a
// short fault and not a long one, so that runs see both sessions that move on and
// sessions that expire.
const SessionTimeoutMs = 8000

// unheardMs bounds how much longer ago than the newest change of a session was asked for the
// leader may have heard of it. Apache's leader is told by members who is alive with their answers
// to its pings, every half tick, and not by what they send it for clients; a client that has
// nothing to ask pings every third of the timeout. Should the member end between the change and
// its next answer, the leader counts from what it was told before. Half a second is for ticks.
const unheardMs = SessionTimeoutMs/3 + 500

// expirySettleMs is how long a healed ensemble may take to expire what was left: the
// timeout of sessions with a bound on what a server adds, which rounds up to its ticks.
const expirySettleMs = SessionTimeoutMs + 4000

// ephemeralWorkload makes ephemeral znodes, ends sessions by closing and by
// silence, and lists who owns what.
var ephemeralWorkload = Workload{
	Name:         "ephemeral",
	Doc:          "ephemeral znodes: there as long as their session lives, gone when it is closed or has expired",
	Kinds:        []string{"make", "look", "close", "abandon"},
	Roams:        true,
	SettleMs:     expirySettleMs,
	NewGenerator: func(Options) Generator { return &ephemeralGenerator{} },
	Setup:        setupRoot(ephemeralRoot),
	Do:           withService(doEphemeral),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "ephemerals", Check: func(history []Op) Result { return CheckEphemerals(history, bounds) }}}
	},
}

type ephemeralGenerator struct{ next int64 }

func (g *ephemeralGenerator) Next(rng *rand.Rand) Op {
	op := Op{Type: Invoke, Version: -1}
	switch choice := rng.Intn(100); {
	case choice < 60:
		g.next++
		op.F, op.Value = "make", g.next
	case choice < 94:
		op.F = "look"
	case choice < 97:
		op.F = "close"
	default:
		op.F = "abandon"
	}
	return op
}

func (g *ephemeralGenerator) Completed(Op) {}

func (g *ephemeralGenerator) Final() []Op {
	ops := finalReads()
	for i := range ops {
		ops[i].F = "final-look"
	}
	return ops
}

func doEphemeral(ctx context.Context, client Service, op Op) Op {
	switch op.F {
	case "make":
		_, _, zxid, err := client.CreateMode(ctx, fmt.Sprintf("%s/%d", ephemeralRoot, op.Value), nil, Ephemeral)
		return complete(op, true, zxid, "create", err)
	case "look", "final-look":
		names, zxid, err := listSynced(ctx, client, ephemeralRoot)
		values := make([]any, 0, len(names))
		for _, name := range names {
			value, err := strconv.ParseInt(name, 10, 64)
			if err != nil {
				value = -1 // nobody made it: the checker must see it
			}
			values = append(values, value)
		}
		if err == nil {
			op.Value = values
		}
		return complete(op, false, zxid, "list", err)
	case "close":
		// Whatever the answer, the session is no more used; without one it is as if
		// it had been abandoned.
		return complete(op, true, 0, "close", client.End(ctx))
	case "abandon":
		client.Abandon()
		return complete(op, false, 0, "abandon", nil)
	default:
		return refuse(op, fmt.Sprintf("the ephemeral workload has no operation %q", op.F))
	}
}

// sessionLife is what the history proves of a session.
type sessionLife struct {
	lastSign int        // Index of the newest change that was certainly done: it lived then
	heardNs  int64      // time of that: the leader has heard of the session less than unheardMs before
	closing  int        // Index of the first attempt to close it, math.MaxInt if none
	closed   *Operation // acknowledged close, nil if none
	left     *Operation // abandon, or close without an answer
}

// CheckEphemerals judges each list of ephemeral znodes, which was read behind a
// sync:
//
//   - never early: a znode whose making was acknowledged, or which a list has shown,
//     before the list was asked for is in it, if its session carried out a later change: a server
//     refuses those of a session that has ended. It is in it too, unless somebody has
//     tried to close the session, as long as the session's timeout, less unheardMs, has not
//     passed since the session's newest change was asked for: the leader has heard of the
//     session shortly before that, a new leader gives it its whole timeout again, and the
//     timeout is the one that was asked for;
//   - gone after close: a znode is not in a list that was asked for after the
//     close of its session was acknowledged;
//   - never a ghost: what was acknowledged or shown and then missing from a list
//     stays away, since every name is used once;
//   - gone after expiry: a final list, which is read after the healed ensemble
//     was left alone for longer than the timeout of sessions, shows no znode of
//     a session that had been left without closing before;
//   - no znode that nobody tried to make, or not yet, or only in vain, and none twice.
//
// An expiry at most that late is checked at the end only: a new leader gives
// every session its whole timeout again, so that faults may put it off.
func CheckEphemerals(history []Op, bounds Bounds) Result {
	result := Result{Checker: "ephemerals", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	c := &ephemeralCheck{
		faults: &faultList{max: bounds.MaxFailures}, makers: make(map[int64]*Operation),
		lives: make(map[string]*sessionLife),
	}
	var looks []*Operation
	for i := range operations {
		operation := &operations[i]
		if f := operation.Invoke.F; f == "look" || f == "final-look" {
			if operation.Complete.Type == OK {
				looks = append(looks, operation)
			}
			continue
		}
		c.note(operation)
	}
	sort.Slice(looks, func(i, j int) bool { return looks[i].ReturnIndex < looks[j].ReturnIndex })
	certain := c.certain(looks)
	for _, look := range looks {
		c.strangers(look)
		c.absent(look, certain)
		c.present(look)
	}
	c.ghosts(looks, certain)
	result.Stats["looks"], result.Stats["made"], result.Stats["sessions"] = len(looks), len(c.makers), len(c.lives)
	return c.faults.judge(result, fmt.Sprintf("%d lists showed the ephemeral znodes of living sessions and of no others (%d znodes, %d sessions)", len(looks), len(c.makers), len(c.lives)), "lists that can't be")
}

type ephemeralCheck struct {
	faults *faultList
	makers map[int64]*Operation
	order  []int64                 // of makers
	lives  map[string]*sessionLife // by sessionName
}

func (c *ephemeralCheck) life(operation *Operation) *sessionLife {
	name := sessionName(operation.Invoke)
	if c.lives[name] == nil {
		c.lives[name] = &sessionLife{lastSign: -1, closing: math.MaxInt}
	}
	return c.lives[name]
}

// note gathers what is known of makers and sessions.
func (c *ephemeralCheck) note(operation *Operation) {
	life := c.life(operation)
	switch operation.Invoke.F {
	case "make":
		value, _ := operation.Invoke.Value.(int64)
		c.makers[value] = operation
		c.order = append(c.order, value)
	case "close":
		life.closing = min(life.closing, operation.Invoke.Index)
		if operation.Complete.Type == OK {
			life.closed = operation
		} else {
			life.left = operation
		}
	case "abandon":
		life.left = operation
	}
}

// strangers finds znodes that can't have been made.
func (c *ephemeralCheck) strangers(look *Operation) {
	shown := make(map[int64]bool)
	for _, value := range ints(look.Complete.Value) {
		maker := c.makers[value]
		switch {
		case shown[value]:
			c.faults.add("", fmt.Sprintf("look %d shows %d twice", look.Invoke.Index, value), look)
		case maker == nil:
			c.faults.add("", fmt.Sprintf("look %d shows %d, which nobody tried to make", look.Invoke.Index, value), look)
		case maker.Complete.Type == Fail:
			c.faults.add("", fmt.Sprintf("look %d shows %d, but make %d of it certainly failed", look.Invoke.Index, value, maker.Invoke.Index), maker, look)
		case maker.Invoke.Index > look.Complete.Index:
			c.faults.add("", fmt.Sprintf("look %d shows %d before make %d of it began", look.Invoke.Index, value, maker.Invoke.Index), look, maker)
		}
		shown[value] = true
	}
}

// present finds znodes that outlived their session.
func (c *ephemeralCheck) present(look *Operation) {
	for _, value := range ints(look.Complete.Value) {
		maker := c.makers[value]
		if maker == nil {
			continue
		}
		life := c.life(maker)
		switch {
		case life.closed != nil && life.closed.ReturnIndex < look.Invoke.Index:
			c.faults.add("", fmt.Sprintf("look %d shows %d, but its %s had been closed by operation %d, which was acknowledged before", look.Invoke.Index, value, sessionName(maker.Invoke), life.closed.Invoke.Index), maker, life.closed, look)
		case look.Invoke.F == "final-look" && life.left != nil && life.left.Complete.Index < look.Invoke.Index:
			c.faults.add("", fmt.Sprintf("the final look %d shows %d, but its %s was left by operation %d and the ensemble had more than the session's timeout to expire it", look.Invoke.Index, value, sessionName(maker.Invoke), life.left.Invoke.Index), maker, life.left, look)
		}
	}
}

// certainlyMade is a znode that was made, with what first proved it.
type certainlyMade struct {
	value     int64
	maker, by *Operation
}

// certain lists the znodes that were made, and notes that their sessions lived when that was
// asked for.
func (c *ephemeralCheck) certain(looks []*Operation) (certain []certainlyMade) {
	proofs := make(map[int64]*Operation)
	for _, look := range looks { // in order of completion
		for _, value := range ints(look.Complete.Value) {
			if proofs[value] == nil {
				proofs[value] = look
			}
		}
	}
	for _, value := range c.order {
		maker, by := c.makers[value], proofs[value]
		if maker.Complete.Type == OK && (by == nil || maker.ReturnIndex < by.ReturnIndex) {
			by = maker
		}
		if by == nil {
			continue
		}
		certain = append(certain, certainlyMade{value, maker, by})
		life := c.life(maker)
		life.lastSign = max(life.lastSign, maker.Invoke.Index)
		life.heardNs = max(life.heardNs, maker.Invoke.TimeNs)
	}
	return certain
}

// absent finds znodes that went before their session did.
func (c *ephemeralCheck) absent(look *Operation, certain []certainlyMade) {
	shown := make(map[int64]bool)
	for _, value := range ints(look.Complete.Value) {
		shown[value] = true
	}
	for _, made := range certain {
		value, maker, by := made.value, made.maker, made.by
		if by.ReturnIndex > look.Invoke.Index || shown[value] {
			continue
		}
		life := c.life(maker)
		switch {
		case life.lastSign > look.Complete.Index:
			c.faults.add("", fmt.Sprintf("look %d doesn't show %d, although %s %d had proved it to be there before and its %s carried out a change later (operation %d)", look.Invoke.Index, value, by.Invoke.F, by.Invoke.Index, sessionName(maker.Invoke), life.lastSign), by, look)
		case life.closing > look.Complete.Index && look.Complete.TimeNs < life.heardNs+(SessionTimeoutMs-unheardMs)*1_000_000:
			c.faults.add("", fmt.Sprintf("look %d doesn't show %d, although its %s carried out a change (operation %d) only %d ms before, which is less than its timeout", look.Invoke.Index, value, sessionName(maker.Invoke), life.lastSign, (look.Complete.TimeNs-life.heardNs)/1_000_000), maker, look)
		}
	}
}

// ghosts finds znodes that came back: a list that misses one which was certainly
// made before it, and a later one that shows it.
func (c *ephemeralCheck) ghosts(looks []*Operation, certain []certainlyMade) {
	gone := make(map[int64]*Operation) // the first list to end of those that must have had it and had not
	for _, look := range looks {       // in order of completion
		shown := make(map[int64]bool)
		for _, value := range ints(look.Complete.Value) {
			shown[value] = true
			if before := gone[value]; before != nil && before.ReturnIndex < look.Invoke.Index {
				c.faults.add("", fmt.Sprintf("%d is a ghost: look %d did not show it any more, but look %d, which began later, does", value, before.Invoke.Index, look.Invoke.Index), before, look)
			}
		}
		for _, made := range certain {
			if made.by.ReturnIndex < look.Invoke.Index && !shown[made.value] && gone[made.value] == nil {
				gone[made.value] = look
			}
		}
	}
}
