package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
)

const counterPath = "/zoolab-counter"

// counterWorkload adds to one number with compare-and-set.
var counterWorkload = Workload{
	Name:         "counter",
	Doc:          "additions to one number: every acknowledged one counts once",
	Kinds:        []string{"add", "read"},
	NewGenerator: func(Options) Generator { return counterGenerator{} },
	Setup:        setupCounter,
	Do:           withService(doCounter),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "counter-bounds", Check: func(history []Op) Result { return CheckCounter(history, bounds) }}}
	},
}

type counterGenerator struct{}

func (counterGenerator) Next(rng *rand.Rand) Op {
	if rng.Intn(100) < 40 {
		return Op{Type: Invoke, F: "read", Version: -1}
	}
	return Op{Type: Invoke, F: "add", Value: 1 + rng.Int63n(5), Version: -1}
}

func (counterGenerator) Completed(Op) {}

func (counterGenerator) Final() []Op { return finalReads() }

func setupCounter(ctx context.Context, client Client) error {
	if _, _, err := client.Create(ctx, counterPath, encodeInt(0)); err != nil && !errors.Is(err, ErrNodeExists) {
		return fmt.Errorf("create %s: %w", counterPath, err)
	}
	return nil
}

func doCounter(ctx context.Context, client Service, op Op) Op {
	if op.F == "read" {
		return readRegister(ctx, client, counterPath, op)
	}
	delta, ok := op.Value.(int64)
	if op.F != "add" || !ok {
		return refuse(op, fmt.Sprintf("the counter workload can't do %s %v", op.F, op.Value))
	}
	for attempt := 1; ; attempt++ {
		data, stat, zxid, err := client.Get(ctx, counterPath)
		if err != nil {
			return complete(op, false, zxid, "get", err)
		}
		number, err := strconv.ParseInt(string(data), 10, 64)
		if err != nil {
			return refuse(op, fmt.Sprintf("the counter holds %q", data))
		}
		stat, zxid, err = client.Set(ctx, counterPath, encodeInt(number+delta), stat.Version)
		if errors.Is(err, ErrBadVersion) && attempt < snapshotAttempts {
			continue // it certainly changed nothing
		}
		if err == nil {
			op.Mzxid, op.Version = stat.Mzxid, stat.Version
		}
		return complete(op, true, zxid, "set", err)
	}
}

// CheckCounter judges each read, behind a sync, by what must be in it and what
// may be. All additions are positive, so that it is at least the sum of those
// acknowledged before it began, and at most the sum of those, failed ones left
// out, that began before it ended. It is never below what another read showed
// before it began.
//
// Versions say more, where answers have them. The number's version counts additions, so
// that beside those that were acknowledged up to the zxid of an answer it tells how many
// of unknown outcome were done:
//
//   - at most as many as had begun, and never fewer than at a lower zxid; one more at a
//     zxid that no acknowledged addition has;
//   - the number is the sum of both: it differs from what was acknowledged by no less than
//     the smallest so many of unknown outcome have together, and by no more than the
//     largest;
//   - at one zxid there is one version and one number.
func CheckCounter(history []Op, bounds Bounds) Result {
	result := Result{Checker: "counter-bounds", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	byInvoke, byComplete := make(map[int]*Operation), make(map[int]*Operation)
	for i := range operations {
		byInvoke[operations[i].Invoke.Index], byComplete[operations[i].Complete.Index] = &operations[i], &operations[i]
	}
	faults := &faultList{max: bounds.MaxFailures}
	atLeast := make(map[*Operation]int64) // read -> lower bound when it began
	var acknowledged, attempted, shown int64
	reads := 0
	for i := range history {
		at := history[i].Index
		if operation := byInvoke[at]; operation != nil {
			if operation.Invoke.F == "read" {
				atLeast[operation] = max(acknowledged, shown)
			} else if operation.Complete.Type != Fail {
				attempted += operation.Invoke.Value.(int64)
			}
		}
		operation := byComplete[at]
		if operation == nil || operation.Complete.Type != OK {
			continue
		}
		if operation.Invoke.F == "add" {
			acknowledged += operation.Invoke.Value.(int64)
			continue
		}
		reads++
		number, ok := operation.Complete.Value.(int64)
		if !ok || number < atLeast[operation] || number > attempted {
			faults.add("", fmt.Sprintf("read %d shows %v, but the number was at least %d when it began and at most %d when it ended", operation.Invoke.Index, operation.Complete.Value, atLeast[operation], attempted), operation)
		}
		shown = max(shown, number)
	}
	checkCounterVersions(faults, operations)
	result.Stats["reads"], result.Stats["acknowledged"] = reads, acknowledged
	return faults.judge(result, fmt.Sprintf("%d reads lay between what was acknowledged and what was tried (%d and %d in the end)", reads, acknowledged, attempted), "reads that can't be")
}
