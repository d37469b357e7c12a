package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
)

const (
	appendRoot       = "/zoolab-append"
	appendActiveKeys = 5
	appendsPerKey    = 64 // then another key takes its place
	maxMicroOps      = 4
)

// appendWorkload runs transactions over lists. The value of a transaction is a
// list of micro operations, [append key value] or [r key list]; its completion
// holds what the reads saw. Values are unique within a key.
//
// A transaction reads all znodes that it touches and commits with one multi: a
// set at the version read for each list that it appends to, a check of the
// version for each other. So what commits has seen one state and changed it
// in one step, which is strict serializability; nothing is asked of plain reads.
var appendWorkload = Workload{
	Name:         "append",
	Doc:          "transactions that read and append to lists: no cycle of dependencies, found as Elle does",
	Kinds:        []string{"txn"},
	NewGenerator: func(Options) Generator { return &appendGenerator{} },
	Setup:        setupRoot(appendRoot),
	Do:           withService(doAppend),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "serializable", Check: func(history []Op) Result { return CheckAppend(history, bounds) }}}
	},
}

type appendGenerator struct {
	active  [appendActiveKeys]appendSlot
	nextKey int
}

type appendSlot struct {
	key   string
	value int64 // the newest value
	left  int   // appends to come
}

func (g *appendGenerator) Next(rng *rand.Rand) Op {
	count := 1 + rng.Intn(maxMicroOps)
	txn := make([]any, 0, count)
	for range count {
		slot := &g.active[rng.Intn(len(g.active))]
		if slot.left == 0 {
			*slot = appendSlot{key: fmt.Sprintf("l%05d", g.nextKey), left: appendsPerKey}
			g.nextKey++
		}
		if rng.Intn(2) == 0 {
			txn = append(txn, []any{"r", slot.key, nil})
			continue
		}
		slot.value++
		slot.left--
		txn = append(txn, []any{"append", slot.key, slot.value})
	}
	return Op{Type: Invoke, F: "txn", Value: txn, Version: -1}
}

func (g *appendGenerator) Completed(Op) {}

func (g *appendGenerator) Final() (ops []Op) {
	for i := range g.nextKey {
		ops = append(ops, Op{Type: Invoke, F: "txn", Value: []any{[]any{"r", fmt.Sprintf("l%05d", i), nil}}, Version: -1})
	}
	return ops
}

// microOp is one step of a transaction.
type microOp struct {
	append bool
	key    string
	value  int64   // of an append
	list   []int64 // of a read that was answered
}

// microOps reads the value of a transaction.
func microOps(value any) ([]microOp, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("a transaction is a list, not %v", value)
	}
	out := make([]microOp, 0, len(list))
	for _, item := range list {
		step, _ := item.([]any)
		if len(step) != 3 {
			return nil, fmt.Errorf("a micro operation is [append key value] or [r key list], not %v", item)
		}
		key, keyOK := step[1].(string)
		m := microOp{append: step[0] == "append", key: key}
		if m.append {
			m.value, ok = step[2].(int64)
		} else {
			m.list = ints(step[2])
			ok = step[2] == nil || m.list != nil
		}
		if !ok || !keyOK || !m.append && step[0] != "r" {
			return nil, fmt.Errorf("a micro operation is [append key value] or [r key list], not %v", item)
		}
		out = append(out, m)
	}
	return out, nil
}

func doAppend(ctx context.Context, client Service, op Op) Op {
	steps, err := microOps(op.Value)
	if op.F != "txn" || err != nil {
		return refuse(op, fmt.Sprintf("the append workload can't do %s %v", op.F, op.Value))
	}
	for attempt := 1; ; attempt++ {
		txn := &listTxn{lists: make(map[string][]any), parts: make(map[string]*Part)}
		for _, step := range steps {
			if zxid, err := txn.touch(ctx, client, step.key); err != nil {
				return complete(op, false, zxid, "get", err)
			}
		}
		value, changes := txn.apply(steps)
		zxid, err := client.Multi(ctx, txn.ordered())
		if errors.Is(err, ErrBadVersion) && attempt < snapshotAttempts {
			continue // it certainly changed nothing
		}
		if err == nil {
			op.Value = value
		}
		return complete(op, changes, zxid, "multi", err)
	}
}

// listTxn is a transaction that has read and not yet committed.
type listTxn struct {
	lists map[string][]any
	parts map[string]*Part
	keys  []string // in the order of their first use
}

// touch reads a list, once. A missing znode is made, empty: an empty list and
// no list are the same.
func (t *listTxn) touch(ctx context.Context, client Service, key string) (int64, error) {
	if t.parts[key] != nil {
		return 0, nil
	}
	path := appendRoot + "/" + key
	data, stat, zxid, err := client.Get(ctx, path)
	if errors.Is(err, ErrNoNode) {
		if _, zxid, err := client.Create(ctx, path, nil); err != nil && !errors.Is(err, ErrNodeExists) {
			return zxid, err
		}
		// The member may lag behind the one that knows the znode.
		if zxid, err := client.Sync(ctx, path); err != nil {
			return zxid, err
		}
		data, stat, zxid, err = client.Get(ctx, path)
	}
	if err != nil {
		return zxid, err
	}
	list := []any{}
	for _, field := range strings.Fields(string(data)) {
		value, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return zxid, fmt.Errorf("%w: %s holds %q", ErrNotDone, path, data)
		}
		list = append(list, value)
	}
	t.lists[key], t.parts[key] = list, &Part{Path: path, Version: stat.Version}
	t.keys = append(t.keys, key)
	return zxid, nil
}

// apply carries the steps out on what was read, and fills in the parts.
func (t *listTxn) apply(steps []microOp) (value []any, changes bool) {
	for _, step := range steps {
		if !step.append {
			value = append(value, []any{"r", step.key, append([]any{}, t.lists[step.key]...)})
			continue
		}
		changes = true
		t.lists[step.key] = append(t.lists[step.key], step.value)
		value = append(value, []any{"append", step.key, step.value})
		t.parts[step.key].Data = encodeList(t.lists[step.key])
	}
	return value, changes
}

func (t *listTxn) ordered() (parts []Part) {
	for _, key := range t.keys {
		parts = append(parts, *t.parts[key])
	}
	return parts
}

func encodeList(list []any) []byte {
	var data []byte
	for _, value := range list {
		data = append(strconv.AppendInt(data, value.(int64), 10), ' ')
	}
	return data
}
