package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
)

const (
	sessionRoot = "/zoolab-session"
	sessionKeys = 12
)

// sessionWorkload lets sessions move between members all the time, and reads
// without sync, so that members that lag behind are seen at work.
var sessionWorkload = Workload{
	Name:         "session",
	Doc:          "sessions that move between members: reads never go back, own writes are visible, sync + get is not stale",
	Kinds:        []string{"read", "sync-read", "write", "move"},
	Roams:        true,
	NewGenerator: func(Options) Generator { return &sessionGenerator{} },
	Setup:        setupRoot(sessionRoot),
	Do:           withService(doSession),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "session-order", Check: func(history []Op) Result { return CheckSessionOrder(history, bounds) }}}
	},
}

type sessionGenerator struct {
	nextValue int64 // unique over all keys, and rising
	owed      bool  // a move was given up, and somebody else is to try
}

func (g *sessionGenerator) Next(rng *rand.Rand) Op {
	op := Op{Type: Invoke, Version: -1, Key: fmt.Sprintf("s%02d", rng.Intn(sessionKeys))}
	switch choice := rng.Intn(100); {
	case g.owed:
		g.owed = false
		op.F, op.Key = "move", ""
	case choice < 45:
		op.F = "read"
	case choice < 60:
		op.F = "sync-read"
	case choice < 95:
		g.nextValue++
		op.F, op.Value = "write", g.nextValue
	default:
		op.F, op.Key = "move", ""
	}
	return op
}

// Completed lets a move that was not done be tried again: beside other workloads, most sessions
// have watches, with which they stay where they are, and none would ever move in a short run.
func (g *sessionGenerator) Completed(op Op) { g.owed = g.owed || op.F == "move" && op.Type == Fail }

func (g *sessionGenerator) Final() (ops []Op) {
	for i := range sessionKeys {
		ops = append(ops, Op{Type: Invoke, F: "sync-read", Key: fmt.Sprintf("s%02d", i), Version: -1})
	}
	return ops
}

// setupRoot makes the znode below which a workload lives.
func setupRoot(root string) func(context.Context, Client) error {
	return func(ctx context.Context, client Client) error {
		if _, _, err := client.Create(ctx, root, nil); err != nil && !errors.Is(err, ErrNodeExists) {
			return fmt.Errorf("create %s: %w", root, err)
		}
		return nil
	}
}

func doSession(ctx context.Context, client Service, op Op) Op {
	path := sessionRoot + "/" + op.Key
	switch op.F {
	case "read":
		return getRegister(ctx, client, path, op)
	case "sync-read":
		return readRegister(ctx, client, path, op)
	case "write":
		stat, zxid, err := writeRegister(ctx, client, path, strconv.AppendInt(nil, op.Value.(int64), 10))
		return completeRegister(op, stat, zxid, err)
	case "move":
		return complete(op, false, 0, "move", client.Move())
	default:
		return refuse(op, fmt.Sprintf("the session workload has no operation %q", op.F))
	}
}
