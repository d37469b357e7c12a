package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sort"
	"strconv"
	"strings"
)

const (
	durabilityRoot      = "/zoolab-durability"
	durabilityActive    = 8  // znodes in use at a time
	durabilityOpsPerKey = 12 // then another znode takes the place
	// durabilityBytes is the size of a znode's data: its value over and over, so that
	// data that was cut, mixed or damaged shows.
	durabilityBytes = 2000
)

// durabilityWorkload makes znodes with data of some size, changes them and deletes
// them again, and reads all of them once more at the end, also those that nobody has
// touched for long: above all after every member was killed at the same moment.
var durabilityWorkload = Workload{
	Name:         "durability",
	Doc:          "znodes made, changed and deleted: what was acknowledged is there after all members were killed at once",
	Kinds:        []string{"make", "change", "drop", "read"},
	NewGenerator: func(Options) Generator { return &durabilityGenerator{} },
	Setup:        setupRoot(durabilityRoot),
	Do:           withService(doDurability),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "durable", Check: func(history []Op) Result { return CheckDurability(history, bounds) }}}
	},
}

type durabilityGenerator struct {
	active    [durabilityActive]registerSlot
	nextKey   int
	nextValue int64
}

func (g *durabilityGenerator) Next(rng *rand.Rand) Op {
	slot := &g.active[rng.Intn(len(g.active))]
	if slot.left == 0 {
		*slot = registerSlot{key: fmt.Sprintf("d%05d", g.nextKey), left: durabilityOpsPerKey}
		g.nextKey++
	}
	slot.left--
	op := Op{Type: Invoke, Key: slot.key, Version: -1}
	switch choice := rng.Intn(100); {
	case choice < 35:
		op.F = "make"
	case choice < 65:
		op.F = "change"
	case choice < 85:
		op.F = "drop"
	default:
		op.F = "read"
	}
	if op.F == "make" || op.F == "change" {
		g.nextValue++
		op.Value = g.nextValue
	}
	return op
}

func (g *durabilityGenerator) Completed(Op) {}

func (g *durabilityGenerator) Final() (ops []Op) {
	for i := range g.nextKey {
		ops = append(ops, Op{Type: Invoke, F: "read", Key: fmt.Sprintf("d%05d", i), Version: -1})
	}
	return ops
}

// largeData is a value as a znode's data.
func largeData(value int64) []byte {
	word := strconv.FormatInt(value, 10) + " "
	return []byte(strings.Repeat(word, durabilityBytes/len(word)))
}

// largeValue reads a znode's data, -1 if it is not what anybody wrote.
func largeValue(data []byte) int64 {
	word, _, _ := strings.Cut(string(data), " ")
	value, err := strconv.ParseInt(word, 10, 64)
	if err != nil || string(largeData(value)) != string(data) {
		return -1
	}
	return value
}

func doDurability(ctx context.Context, client Service, op Op) Op {
	path := durabilityRoot + "/" + op.Key
	value, _ := op.Value.(int64)
	switch op.F {
	case "make":
		stat, zxid, err := client.Create(ctx, path, largeData(value))
		return completeRegister(op, stat, zxid, err)
	case "change":
		stat, zxid, err := client.Set(ctx, path, largeData(value), -1)
		return completeRegister(op, stat, zxid, err)
	case "drop":
		zxid, err := client.Delete(ctx, path, -1)
		if err == nil {
			op.Mzxid = zxid
		}
		return complete(op, true, zxid, "delete", err)
	case "read":
		if zxid, err := client.Sync(ctx, path); err != nil {
			return complete(op, false, zxid, "sync", err)
		}
		data, stat, zxid, err := client.Get(ctx, path)
		switch {
		case errors.Is(err, ErrNoNode):
			err = nil // its value is nil, its mzxid 0
		case err == nil:
			op.Value, op.Mzxid, op.Version = largeValue(data), stat.Mzxid, stat.Version
		}
		return complete(op, false, zxid, "get", err)
	default:
		return refuse(op, fmt.Sprintf("the durability workload has no operation %q", op.F))
	}
}

// CheckDurability judges each read, which was made behind a sync, against the changes
// of its znode that were acknowledged before it began. Zxids are the order of changes,
// so that the newest of them is the one with the highest zxid:
//
//   - what it made or set is there, or something newer is, or a deletion that is newer,
//     or of unknown outcome, has taken it away;
//   - what it deleted is away, or was made again by something newer;
//   - what is shown is what somebody wrote, whole, and did not certainly fail to; what an
//     acknowledged change wrote has its zxid, and nothing else has;
//   - all changes that answers prove, in the order of their zxids, make sense one behind the
//     other: what is made was not there, what is changed or deleted was, and the version
//     begins at 0 and counts changes, so that it lies between the number of those that were
//     proved and that with all of unknown outcome that had begun.
//
// The same holds for what another read has shown before: what was once there counts as
// acknowledged.
func CheckDurability(history []Op, bounds Bounds) Result {
	result := Result{Checker: "durable", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	faults := &faultList{max: bounds.MaxFailures}
	changes, reads := 0, 0
	for _, key := range splitByKey(operations) {
		c := newDurableKey(key)
		c.checkVersions(faults)
		changes += len(c.byZxid)
		reads += c.check(faults)
	}
	result.Stats["changes"], result.Stats["reads"] = changes, reads
	return faults.judge(result, fmt.Sprintf("%d reads found what %d acknowledged changes had left", reads, changes), "reads that miss what was acknowledged, or show what was not written")
}

// durableKey is what is known of one znode.
type durableKey struct {
	keyOperations
	byZxid  map[int64]*Operation // acknowledged changes
	byValue map[int64]*Operation // who wrote a value
	drops   []*Operation         // deletions that were not certainly in vain
}

func newDurableKey(key keyOperations) *durableKey {
	c := &durableKey{keyOperations: key, byZxid: make(map[int64]*Operation), byValue: make(map[int64]*Operation)}
	for _, operation := range key.operations {
		if operation.Invoke.F == "read" {
			continue
		}
		if value, ok := operation.Invoke.Value.(int64); ok {
			c.byValue[value] = operation
		}
		if operation.Complete.Type == OK {
			c.byZxid[operation.Complete.Mzxid] = operation
		}
		if operation.Invoke.F == "drop" && operation.Complete.Type != Fail {
			c.drops = append(c.drops, operation)
		}
	}
	return c
}

// check judges the reads of the znode and returns their number.
func (c *durableKey) check(faults *faultList) (reads int) {
	// Both changes and reads prove a change to be there.
	var proofs []*Operation
	for _, operation := range c.operations {
		if operation.Complete.Type == OK && operation.Complete.Mzxid != 0 {
			proofs = append(proofs, operation)
		}
	}
	sort.Slice(proofs, func(i, j int) bool { return proofs[i].ReturnIndex < proofs[j].ReturnIndex })
	next, newest := 0, (*Operation)(nil)
	for _, operation := range c.operations {
		for ; next < len(proofs) && proofs[next].ReturnIndex < operation.Invoke.Index; next++ {
			if newest == nil || proofs[next].Complete.Mzxid > newest.Complete.Mzxid {
				newest = proofs[next]
			}
		}
		if operation.Invoke.F != "read" || operation.Complete.Type != OK {
			continue
		}
		reads++
		c.origin(faults, operation)
		if newest != nil {
			c.covers(faults, newest, operation)
		}
	}
	return reads
}

// origin checks where what a read shows came from.
func (c *durableKey) origin(faults *faultList, read *Operation) {
	if read.Complete.Mzxid == 0 {
		return
	}
	value, _ := read.Complete.Value.(int64)
	writer := c.byValue[value]
	switch {
	case writer == nil:
		faults.add(c.key, fmt.Sprintf("read %d of %s shows what nobody wrote (%v)", read.Invoke.Index, c.key, read.Complete.Value), read)
	case writer.Complete.Type == Fail:
		faults.add(c.key, fmt.Sprintf("read %d of %s shows %d, but %s %d of it certainly failed", read.Invoke.Index, c.key, value, writer.Invoke.F, writer.Invoke.Index), writer, read)
	case writer.Invoke.Index > read.Complete.Index:
		faults.add(c.key, fmt.Sprintf("read %d of %s shows %d before %s %d of it began", read.Invoke.Index, c.key, value, writer.Invoke.F, writer.Invoke.Index), read, writer)
	}
	if writer != nil && writer.Complete.Type == OK && writer.Complete.Mzxid != read.Complete.Mzxid {
		faults.add(c.key, fmt.Sprintf("read %d of %s shows %d at zxid %s, but %s %d wrote it at zxid %s", read.Invoke.Index, c.key, value, hex(read.Complete.Mzxid), writer.Invoke.F, writer.Invoke.Index, hex(writer.Complete.Mzxid)), writer, read)
	}
	if change := c.byZxid[read.Complete.Mzxid]; change != nil && change != writer {
		faults.add(c.key, fmt.Sprintf("read %d of %s shows %d at zxid %s, but that is the zxid of %s %d, which wrote %v", read.Invoke.Index, c.key, value, hex(read.Complete.Mzxid), change.Invoke.F, change.Invoke.Index, change.Invoke.Value), change, read)
	}
}

// covers checks that a read shows a change that was proved before it, or can have
// been taken away again.
func (c *durableKey) covers(faults *faultList, proof, read *Operation) {
	shown, needed := read.Complete.Mzxid, proof.Complete.Mzxid
	if proof.Invoke.F == "drop" {
		if shown != 0 && shown < needed {
			faults.add(c.key, fmt.Sprintf("read %d of %s shows zxid %s, but drop %d had deleted it at zxid %s", read.Invoke.Index, c.key, hex(shown), proof.Invoke.Index, hex(needed)), proof, read)
		}
		return
	}
	if shown >= needed {
		return
	}
	if shown != 0 {
		faults.add(c.key, fmt.Sprintf("a change is lost: read %d of %s shows zxid %s, but %s %d had proved zxid %s", read.Invoke.Index, c.key, hex(shown), proof.Invoke.F, proof.Invoke.Index, hex(needed)), proof, read)
		return
	}
	for _, drop := range c.drops {
		if drop.Invoke.Index < read.Complete.Index && (drop.Open() || drop.Complete.Mzxid > needed) {
			return
		}
	}
	faults.add(c.key, fmt.Sprintf("a change is lost: read %d of %s found no znode, but %s %d had proved zxid %s, and nobody can have deleted it since", read.Invoke.Index, c.key, proof.Invoke.F, proof.Invoke.Index, hex(needed)), proof, read)
}
