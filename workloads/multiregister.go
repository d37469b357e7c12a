package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
)

const (
	multiRoot        = "/zoolab-multiregister"
	multiRegisters   = 4 // of a group
	multiGroups      = 3 // at a time
	multiOpsPerGroup = 100
)

// multiRegisterWorkload changes several registers of a group in one step, each by
// compare-and-set at the version that was read, and reads whole groups. The value of
// an operation is a list with an item for each register that it touches:
// [register version value], where the version is the one that was found and the
// value, of a change, the one that is set.
var multiRegisterWorkload = Workload{
	Name:         "multiregister",
	Doc:          "groups of znodes, changed several at once with multi, by version: each group is linearizable as a whole",
	Kinds:        []string{"read", "change"},
	NewGenerator: func(Options) Generator { return &multiGenerator{} },
	Setup:        setupRoot(multiRoot),
	Do:           withService(doMultiRegister),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "multi-linearizable", Check: func(history []Op) Result { return CheckMultiRegister(history, bounds) }}}
	},
}

type multiGenerator struct {
	active    [multiGroups]registerSlot
	nextGroup int
	nextValue int64 // unique over all groups, and rising
}

func (g *multiGenerator) Next(rng *rand.Rand) Op {
	slot := &g.active[rng.Intn(len(g.active))]
	if slot.left == 0 {
		*slot = registerSlot{key: fmt.Sprintf("g%05d", g.nextGroup), left: multiOpsPerGroup}
		g.nextGroup++
	}
	slot.left--
	if rng.Intn(100) < 40 {
		return Op{Type: Invoke, F: "read", Key: slot.key, Version: -1}
	}
	g.nextValue++
	registers := rng.Perm(multiRegisters)[:1+rng.Intn(multiRegisters-1)]
	list := []any{g.nextValue}
	for _, register := range registers {
		list = append(list, int64(register))
	}
	// The invocation says which value is set and in which registers.
	return Op{Type: Invoke, F: "change", Key: slot.key, Value: list, Version: -1}
}

func (g *multiGenerator) Completed(Op) {}

func (g *multiGenerator) Final() (ops []Op) {
	for i := range g.nextGroup {
		ops = append(ops, Op{Type: Invoke, F: "read", Key: fmt.Sprintf("g%05d", i), Version: -1})
	}
	return ops
}

func multiPath(group string, register int64) string {
	return fmt.Sprintf("%s/%s-%d", multiRoot, group, register)
}

func doMultiRegister(ctx context.Context, client Service, op Op) Op {
	switch op.F {
	case "read":
		return readGroup(ctx, client, op)
	case "change":
		return changeGroup(ctx, client, op)
	default:
		return refuse(op, fmt.Sprintf("the multiregister workload has no operation %q", op.F))
	}
}

// readGroup reads all registers and asks, in one multi of nothing but checks, whether
// all of them are still at the versions that were read: a snapshot.
func readGroup(ctx context.Context, client Service, op Op) Op {
	for attempt := 1; ; attempt++ {
		var found []any
		var checks []Part
		for register := range int64(multiRegisters) {
			value, version, zxid, err := registerOf(ctx, client, multiPath(op.Key, register))
			if err != nil {
				return complete(op, false, zxid, "get", err)
			}
			found = append(found, []any{register, version, value})
			checks = append(checks, Part{Path: multiPath(op.Key, register), Version: int32(version)})
		}
		zxid, err := client.Multi(ctx, checks)
		if errors.Is(err, ErrBadVersion) && attempt < snapshotAttempts {
			continue
		}
		if err == nil {
			op.Value = found
		}
		return complete(op, false, zxid, "multi of checks", err)
	}
}

// registerOf reads a register, which is made, empty, where there is none. The value of
// what nobody wrote is -1, of an empty register 0.
func registerOf(ctx context.Context, client Service, path string) (value, version, zxid int64, err error) {
	data, stat, zxid, err := client.Get(ctx, path)
	if errors.Is(err, ErrNoNode) {
		if _, zxid, err := client.Create(ctx, path, nil); err != nil && !errors.Is(err, ErrNodeExists) {
			return 0, 0, zxid, err
		}
		if zxid, err := client.Sync(ctx, path); err != nil {
			return 0, 0, zxid, err
		}
		data, stat, zxid, err = client.Get(ctx, path)
	}
	if err != nil || len(data) == 0 {
		return 0, int64(stat.Version), zxid, err
	}
	if value, err = strconv.ParseInt(string(data), 10, 64); err != nil {
		value = -1
	}
	return value, int64(stat.Version), zxid, nil
}

// changeGroup sets some registers at the versions that it finds. The versions are part
// of the completion's value also where nobody knows whether the change took effect:
// they say where it can have.
func changeGroup(ctx context.Context, client Service, op Op) Op {
	asked := ints(op.Value)
	if len(asked) < 2 {
		return refuse(op, fmt.Sprintf("a change is [value register ...], not %v", op.Value))
	}
	for attempt := 1; ; attempt++ {
		var found []any
		var parts []Part
		for _, register := range asked[1:] {
			_, version, zxid, err := registerOf(ctx, client, multiPath(op.Key, register))
			if err != nil {
				return complete(op, false, zxid, "get", err)
			}
			found = append(found, []any{register, version, asked[0]})
			parts = append(parts, Part{Path: multiPath(op.Key, register), Data: encodeInt(asked[0]), Version: int32(version)})
		}
		zxid, err := client.Multi(ctx, parts)
		if errors.Is(err, ErrBadVersion) && attempt < snapshotAttempts {
			continue // it certainly changed nothing
		}
		done := complete(op, true, zxid, "multi", err)
		if done.Type != Fail {
			done.Value = found
		}
		if done.Type == OK {
			done.Mzxid = zxid
		}
		return done
	}
}
