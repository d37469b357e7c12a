package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
)

const (
	registerRoot      = "/zoolab-register"
	registerOpsPerKey = 100
)

var registerWorkload = Workload{
	Name:         "register",
	Doc:          "many znodes as registers: linearizable reads (sync + get), writes, and compare-and-set by version",
	Kinds:        []string{"read", "write", "cas"},
	NewGenerator: newRegisterGenerator,
	Setup:        setupRegister,
	Do:           doRegister,
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{
			{Name: "linearizable", Check: func(history []Op) Result { return CheckLinearizable(history, bounds) }},
			{Name: "zxid-order", Check: func(history []Op) Result { return CheckZxidOrder(history, bounds) }},
		}
	},
}

// registerKnowledge is what a completed operation has told about a key.
type registerKnowledge struct {
	value   int64
	version int32
}

// registerGenerator keeps a few keys in use at a time. A key that has had its
// share of operations is replaced by a new one, so that the history of every
// key stays short enough for the search.
type registerGenerator struct {
	active []registerSlot
	// known holds the newest value and version that some process has seen.
	known     map[string]registerKnowledge
	nextKey   int
	nextValue int64 // unique over all keys, and rising
}

type registerSlot struct {
	key  string
	left int // operations to come
}

func newRegisterGenerator(options Options) Generator {
	generator := &registerGenerator{known: make(map[string]registerKnowledge)}
	// Two or three processes meet at a key: enough for conflicts, few enough
	// for compare-and-set to succeed often.
	for range max(2, (options.Concurrency+1)/2) {
		generator.active = append(generator.active, registerSlot{})
	}
	return generator
}

func (g *registerGenerator) Next(rng *rand.Rand) Op {
	slot := &g.active[rng.Intn(len(g.active))]
	if slot.left == 0 {
		slot.key = fmt.Sprintf("k%05d", g.nextKey)
		slot.left = registerOpsPerKey
		g.nextKey++
	}
	slot.left--
	op := Op{Type: Invoke, Key: slot.key, Version: -1}
	known, ok := g.known[slot.key]
	switch choice := rng.Intn(100); {
	case choice < 40 || choice >= 65 && !ok:
		op.F = "read"
	case choice < 65:
		g.nextValue++
		op.F, op.Value = "write", g.nextValue
	default:
		g.nextValue++
		op.F, op.Value, op.Version = "cas", [2]int64{known.value, g.nextValue}, known.version
	}
	return op
}

// NextRead implements ReadGenerator: a read of a key that others are at work on.
func (g *registerGenerator) NextRead(rng *rand.Rand) Op {
	slot := g.active[rng.Intn(len(g.active))]
	if slot.key == "" {
		slot.key = "k00000"
	}
	return Op{Type: Invoke, F: "read", Key: slot.key, Version: -1}
}

func (g *registerGenerator) Completed(op Op) {
	if op.Type != OK || op.Version < 0 {
		return
	}
	if known, ok := g.known[op.Key]; ok && known.version >= op.Version {
		return
	}
	switch value := op.Value.(type) {
	case int64:
		g.known[op.Key] = registerKnowledge{value: value, version: op.Version}
	case [2]int64:
		g.known[op.Key] = registerKnowledge{value: value[1], version: op.Version}
	}
}

func (g *registerGenerator) Final() []Op {
	ops := make([]Op, 0, g.nextKey)
	for i := range g.nextKey {
		ops = append(ops, Op{Type: Invoke, F: "read", Key: fmt.Sprintf("k%05d", i), Version: -1})
	}
	return ops
}

func setupRegister(ctx context.Context, client Client) error {
	if _, _, err := client.Create(ctx, registerRoot, nil); err != nil && !errors.Is(err, ErrNodeExists) {
		return fmt.Errorf("create %s: %w", registerRoot, err)
	}
	return nil
}

func doRegister(ctx context.Context, client Client, op Op) Op {
	path := registerRoot + "/" + op.Key
	switch op.F {
	case "read":
		return readRegister(ctx, client, path, op)
	case "write":
		stat, zxid, err := writeRegister(ctx, client, path, encodeInt(op.Value.(int64)))
		return completeRegister(op, stat, zxid, err)
	case "cas":
		stat, zxid, err := client.Set(ctx, path, encodeInt(op.Value.([2]int64)[1]), op.Version)
		return completeRegister(op, stat, zxid, err)
	default:
		op.Type, op.Version, op.Error = Fail, -1, fmt.Sprintf("the register workload has no operation %q", op.F)
		return op
	}
}

// readRegister is linearizable where sync is: the member catches up with the
// leader before it answers. A znode that does not exist reads as nil.
func readRegister(ctx context.Context, client Client, path string, op Op) Op {
	op.Version = -1
	synced, got := syncAndGet(ctx, client, path)
	if synced.Err != nil {
		op.Type, op.Error = Outcome(false, synced.Err), "sync: "+synced.Err.Error()
		return op
	}
	return gotRegister(op, got)
}

// syncAndGet sends both at once to a service: a member carries the requests of a session
// out in their order, and on real machines every request more that is sent by itself costs
// the members processor time.
func syncAndGet(ctx context.Context, client Client, path string) (synced, got Answer) {
	if service, ok := client.(Service); ok {
		answers := service.Pipeline(ctx, []Request{{Kind: RequestSync, Path: path}, {Kind: RequestRead, Path: path}}, 0)
		return answers[0], answers[1]
	}
	if synced.Zxid, synced.Err = client.Sync(ctx, path); synced.Err == nil {
		got.Data, got.Stat, got.Zxid, got.Err = client.Get(ctx, path)
	}
	return synced, got
}

// getRegister reads what the member has, which may be behind the leader's.
func getRegister(ctx context.Context, client Client, path string, op Op) Op {
	data, stat, zxid, err := client.Get(ctx, path)
	return gotRegister(op, Answer{Data: data, Stat: stat, Zxid: zxid, Err: err})
}

// gotRegister completes a read.
func gotRegister(op Op, answer Answer) Op {
	op.Zxid = answer.Zxid
	if errors.Is(answer.Err, ErrNoNode) {
		op.Type = OK
		return op
	}
	if answer.Err != nil {
		op.Type, op.Error = Outcome(false, answer.Err), "get: "+answer.Err.Error()
		return op
	}
	op.Type, op.Mzxid, op.Version = OK, answer.Stat.Mzxid, answer.Stat.Version
	if value, err := strconv.ParseInt(string(answer.Data), 10, 64); err == nil {
		op.Value = value
	} else {
		op.Value = string(answer.Data) // nobody wrote it: the checkers must see it
	}
	return op
}

// writeRegister sets the znode, or creates it where it does not exist. Each
// failed attempt certainly changed nothing, so at most one takes effect.
func writeRegister(ctx context.Context, client Client, path string, data []byte) (Stat, int64, error) {
	stat, zxid, err := client.Set(ctx, path, data, -1)
	if !errors.Is(err, ErrNoNode) {
		return stat, zxid, err
	}
	stat, zxid, err = client.Create(ctx, path, data)
	if !errors.Is(err, ErrNodeExists) {
		return stat, zxid, err
	}
	return client.Set(ctx, path, data, -1)
}

func completeRegister(op Op, stat Stat, zxid int64, err error) Op {
	op.Type, op.Zxid, op.Version = Outcome(true, err), zxid, -1
	if err != nil {
		op.Error = err.Error()
		return op
	}
	op.Mzxid, op.Version = stat.Mzxid, stat.Version
	return op
}

func encodeInt(value int64) []byte { return strconv.AppendInt(nil, value, 10) }
