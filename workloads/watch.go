package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strings"
)

const (
	watchRoot = "/zoolab-watch"
	// followedKey is watched with all below it, keptKey alone, by persistent watches.
	followedKey = "followed"
	keptKey     = "kept"
)

// Each kind of watch has znodes of its own, so that no event can be another one's:
//
//	w0 ...            are written, and their data is watched once
//	x0 ...            are made and dropped, and their existence is watched once
//	c0 ... with k0 ...  children are made and dropped, and the list is watched once
//	kept, kept/m0 ... is written, children are made and dropped; a persistent watch
//	followed/k0 ..., followed/m0 ...  are written, or made and dropped; a recursive one
const (
	watchedData     = 6
	watchedExist    = 4
	watchedParents  = 2
	watchedChildren = 3
	followedWritten = 3
	followedMade    = 2
)

// watchWorkload changes znodes and watches them. Every answered operation hands over
// the events that came before its answer: its value is a list of [key kind zxid], an
// empty key for events that may have been missed. Its mzxid is the newest change that
// it shows of what is watched: 0 for a znode that is not there, and of a list of
// children their parent's pzxid.
var watchWorkload = Workload{
	Name:         "watch",
	Doc:          "watches of data, existence and children, once and persistent: none lost, none invented, events before data, in order",
	Kinds:        []string{"read", "write", "make", "drop", "watch", "await", "listen", "follow"},
	Roams:        true,
	NewGenerator: func(Options) Generator { return &watchGenerator{} },
	Setup: func(ctx context.Context, client Client) error {
		for _, path := range watchPaths() {
			if err := setupRoot(path)(ctx, client); err != nil {
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

// watchPaths lists the znodes that are there from the start.
func watchPaths() []string {
	paths := []string{watchRoot, watchRoot + "/" + followedKey, watchRoot + "/" + keptKey}
	for i := range watchedData {
		paths = append(paths, fmt.Sprintf("%s/w%d", watchRoot, i))
	}
	for i := range watchedParents {
		paths = append(paths, fmt.Sprintf("%s/c%d", watchRoot, i))
	}
	for i := range followedWritten {
		paths = append(paths, fmt.Sprintf("%s/%s/k%d", watchRoot, followedKey, i))
	}
	return paths
}

type watchGenerator struct{ nextValue int64 }

func (g *watchGenerator) Next(rng *rand.Rand) Op {
	op := Op{Type: Invoke, Version: -1}
	switch choice := rng.Intn(100); {
	case choice < 15:
		op.F, op.Key = "watch", fmt.Sprintf("w%d", rng.Intn(watchedData))
	case choice < 25:
		op.F, op.Key = "await", fmt.Sprintf("x%d", rng.Intn(watchedExist))
	case choice < 35:
		op.F, op.Key = "listen", fmt.Sprintf("c%d", rng.Intn(watchedParents))
	case choice < 40:
		op.F, op.Key = "follow", [2]string{followedKey, keptKey}[rng.Intn(2)]
	case choice < 55:
		op.F, op.Key = "read", readKey(rng)
	case choice < 80:
		g.nextValue++
		op.F, op.Key, op.Value = "write", writtenKey(rng), g.nextValue
	default:
		// Each is there about half of the time.
		op.F, op.Key = [2]string{"make", "drop"}[rng.Intn(2)], madeKey(rng)
	}
	return op
}

func writtenKey(rng *rand.Rand) string {
	switch rng.Intn(4) {
	case 0:
		return keptKey
	case 1:
		return fmt.Sprintf("%s/k%d", followedKey, rng.Intn(followedWritten))
	default:
		return fmt.Sprintf("w%d", rng.Intn(watchedData))
	}
}

func madeKey(rng *rand.Rand) string {
	switch rng.Intn(4) {
	case 0:
		return fmt.Sprintf("%s/m%d", keptKey, rng.Intn(followedMade))
	case 1:
		return fmt.Sprintf("%s/m%d", followedKey, rng.Intn(followedMade))
	case 2:
		return fmt.Sprintf("c%d/k%d", rng.Intn(watchedParents), rng.Intn(watchedChildren))
	default:
		return fmt.Sprintf("x%d", rng.Intn(watchedExist))
	}
}

func readKey(rng *rand.Rand) string {
	if rng.Intn(2) == 0 {
		return fmt.Sprintf("x%d", rng.Intn(watchedExist))
	}
	return writtenKey(rng)
}

func (g *watchGenerator) Completed(Op) {}

// Final reads every key several times, so that many sessions are asked once more for
// events that they owe.
func (g *watchGenerator) Final() (ops []Op) {
	keys := []string{keptKey}
	for i := range watchedData {
		keys = append(keys, fmt.Sprintf("w%d", i))
	}
	for i := range watchedExist {
		keys = append(keys, fmt.Sprintf("x%d", i))
	}
	for i := range followedWritten {
		keys = append(keys, fmt.Sprintf("%s/k%d", followedKey, i))
	}
	for range 5 {
		for _, key := range keys {
			ops = append(ops, Op{Type: Invoke, F: "read", Key: key, Version: -1})
		}
	}
	return ops
}

func doWatch(ctx context.Context, client Service, op Op) Op {
	op.Mzxid = 0
	op = askWatch(ctx, client, watchRoot+"/"+op.Key, op)
	if op.Type != OK {
		return op
	}
	events := []any{}
	for _, event := range client.Events() {
		events = append(events, []any{strings.TrimPrefix(event.Path, watchRoot+"/"), string(event.Kind), event.Zxid})
	}
	op.Value = events
	return op
}

// askWatch carries out the operation without its events.
func askWatch(ctx context.Context, client Service, path string, op Op) Op {
	var stat Stat
	var zxid int64
	var err error
	changes := false
	switch op.F {
	case "read":
		_, stat, zxid, err = client.Get(ctx, path)
		if errors.Is(err, ErrNoNode) {
			err = nil // that it is not there is what it shows
		}
	case "write":
		changes = true
		stat, zxid, err = client.Set(ctx, path, encodeInt(op.Value.(int64)), -1)
	case "make":
		changes = true
		stat, zxid, err = client.Create(ctx, path, nil)
	case "drop":
		changes = true
		if zxid, err = client.Delete(ctx, path, -1); err == nil {
			stat.Mzxid = zxid
		}
	case "watch":
		stat, zxid, err = client.Watch(ctx, path)
	case "await":
		stat, zxid, err = client.Await(ctx, path)
	case "listen":
		_, stat, zxid, err = client.WatchChildren(ctx, path)
		stat.Mzxid = stat.Pzxid
	case "follow":
		// A member that lags behind would tell of the making of what is there from the
		// start.
		if zxid, err = client.Sync(ctx, path); err == nil {
			zxid, err = client.Follow(ctx, path, op.Key == followedKey)
		}
	default:
		return refuse(op, fmt.Sprintf("the watch workload has no operation %q", op.F))
	}
	if err == nil {
		op.Mzxid = stat.Mzxid
	}
	return complete(op, changes, zxid, op.F, err)
}
