package workloads

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
)

const (
	watchRoot       = "/zoolab-watch"
	followedPrefix  = "followed"
	watchOnceKeys   = 6
	watchFollowKeys = 4
)

// watchWorkload changes znodes and watches them: some with watches that fire
// once, those below one znode with a persistent recursive watch. Every answered
// operation hands over the events that came before its answer: its value is a
// list of [key zxid], an empty key for events that may have been missed.
var watchWorkload = Workload{
	Name:         "watch",
	Doc:          "watches that fire once or stay: none lost, none invented, events before data, in the order of changes",
	Kinds:        []string{"read", "write", "watch", "follow"},
	Roams:        true,
	NewGenerator: func(Options) Generator { return &watchGenerator{} },
	Setup: func(ctx context.Context, client Client) error {
		if err := setupRoot(watchRoot)(ctx, client); err != nil {
			return err
		}
		for _, key := range append(watchKeys(), followedPrefix) {
			if err := setupRoot(watchRoot+"/"+key)(ctx, client); err != nil {
				return err
			}
		}
		for i := range watchFollowKeys {
			if err := setupRoot(fmt.Sprintf("%s/%s/k%d", watchRoot, followedPrefix, i))(ctx, client); err != nil {
				return err
			}
		}
		return nil
	},
	Do: withService(doWatch),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "watches", Check: func(history []Op) Result { return CheckWatches(history, bounds) }}}
	},
}

func watchKeys() (keys []string) {
	for i := range watchOnceKeys {
		keys = append(keys, fmt.Sprintf("w%d", i))
	}
	return keys
}

type watchGenerator struct{ nextValue int64 }

func (g *watchGenerator) Next(rng *rand.Rand) Op {
	op := Op{Type: Invoke, Version: -1, Key: fmt.Sprintf("w%d", rng.Intn(watchOnceKeys))}
	choice := rng.Intn(100)
	if choice >= 30 && rng.Intn(2) == 0 {
		op.Key = fmt.Sprintf("%s/k%d", followedPrefix, rng.Intn(watchFollowKeys))
	}
	switch {
	case choice < 30:
		op.F = "watch"
	case choice < 55:
		op.F = "read"
	case choice < 95:
		g.nextValue++
		op.F, op.Value = "write", g.nextValue
	default:
		op.F, op.Key = "follow", followedPrefix
	}
	return op
}

func (g *watchGenerator) Completed(Op) {}

// Final reads every key several times, so that many sessions are asked once
// more for events that they owe.
func (g *watchGenerator) Final() (ops []Op) {
	for range 5 {
		for _, key := range watchKeys() {
			ops = append(ops, Op{Type: Invoke, F: "read", Key: key, Version: -1})
		}
		for i := range watchFollowKeys {
			ops = append(ops, Op{Type: Invoke, F: "read", Key: fmt.Sprintf("%s/k%d", followedPrefix, i), Version: -1})
		}
	}
	return ops
}

func doWatch(ctx context.Context, client Service, op Op) Op {
	path := watchRoot + "/" + op.Key
	var stat Stat
	var err error
	switch op.F {
	case "read":
		_, stat, op.Zxid, err = client.Get(ctx, path)
	case "write":
		stat, op.Zxid, err = client.Set(ctx, path, encodeInt(op.Value.(int64)), -1)
	case "watch":
		stat, op.Zxid, err = client.Watch(ctx, path)
	case "follow":
		op.Zxid, err = client.Follow(ctx, path, true)
	default:
		return refuse(op, fmt.Sprintf("the watch workload has no operation %q", op.F))
	}
	op.Mzxid = stat.Mzxid
	op = complete(op, op.F == "write", op.Zxid, op.F, err)
	if op.Type != OK {
		return op
	}
	op.Version = -1
	if stat.Mzxid != 0 {
		op.Version = stat.Version
	}
	events := []any{}
	for _, event := range client.Events() {
		events = append(events, []any{strings.TrimPrefix(event.Path, watchRoot+"/"), event.Zxid})
	}
	op.Value = events
	return op
}
