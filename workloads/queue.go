package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
)

const queueRoot = "/zoolab-queue"

// queueWorkload is the queue recipe: sequential znodes, of which a taker deletes
// the first that it finds.
var queueWorkload = Workload{
	Name:         "queue",
	Doc:          "a queue of sequential znodes: nothing lost, nothing taken twice, first in first out",
	Kinds:        []string{"put", "take"},
	NewGenerator: func(Options) Generator { return &queueGenerator{} },
	Setup:        setupRoot(queueRoot),
	Do:           withService(doQueue),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "queue-order", Check: func(history []Op) Result { return CheckQueue(history, bounds) }}}
	},
}

type queueGenerator struct{ next int64 }

func (g *queueGenerator) Next(rng *rand.Rand) Op {
	if rng.Intn(2) == 0 {
		return Op{Type: Invoke, F: "take", Version: -1}
	}
	g.next++
	return Op{Type: Invoke, F: "put", Value: g.next, Version: -1}
}

func (g *queueGenerator) Completed(Op) {}

// Final lists what is left.
func (g *queueGenerator) Final() []Op {
	ops := finalReads()
	for i := range ops {
		ops[i].F = "left"
	}
	return ops
}

func doQueue(ctx context.Context, client Service, op Op) Op {
	switch op.F {
	case "put":
		_, _, zxid, err := client.CreateMode(ctx, queueRoot+"/q", encodeInt(op.Value.(int64)), Sequential)
		return complete(op, true, zxid, "create", err)
	case "take":
		return takeFirst(ctx, client, op)
	case "left":
		names, zxid, err := listSynced(ctx, client, queueRoot)
		values := []any{}
		for i := 0; i < len(names) && err == nil; i++ {
			var data []byte
			if data, _, zxid, err = client.Get(ctx, queueRoot+"/"+names[i]); err == nil {
				values = append(values, queued(data))
			}
		}
		if err == nil {
			op.Value = values
		}
		return complete(op, false, zxid, "list", err)
	default:
		return refuse(op, fmt.Sprintf("the queue workload has no operation %q", op.F))
	}
}

// queued reads an item, -1 for what nobody wrote.
func queued(data []byte) int64 {
	value, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return -1
	}
	return value
}

// takeFirst deletes the first item that nobody else has deleted. Names of
// sequential znodes sort as they were made. A deletion of unknown outcome keeps
// the item's value, so that the checker knows what may be gone.
func takeFirst(ctx context.Context, client Service, op Op) Op {
	names, zxid, err := listSynced(ctx, client, queueRoot)
	if err != nil {
		return complete(op, false, zxid, "list", err)
	}
	if len(names) == 0 {
		op.Zxid, op.Value = zxid, []any{} // what it was shown
		return refuse(op, "the queue was empty")
	}
	for _, name := range names[:min(len(names), 2*snapshotAttempts)] {
		data, _, zxid, err := client.Get(ctx, queueRoot+"/"+name)
		if errors.Is(err, ErrNoNode) {
			continue
		}
		if err != nil {
			return complete(op, false, zxid, "get", err)
		}
		zxid, err = client.Delete(ctx, queueRoot+"/"+name, -1)
		if errors.Is(err, ErrNoNode) {
			continue
		}
		op.Value = queued(data)
		return complete(op, true, zxid, "delete", err)
	}
	op.Zxid = zxid
	return refuse(op, "others were quicker")
}
