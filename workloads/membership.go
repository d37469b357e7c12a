package workloads

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
)

const (
	membershipRoot = "/zoolab-membership"
	// configPath is the znode that shows an ensemble's membership.
	configPath = "/zookeeper/config"
)

// membershipWorkload adds znodes and lists them, as the set workload does, and reads
// who the members are. It is for runs in which members come and go.
var membershipWorkload = Workload{
	Name:           "membership",
	Doc:            "znodes that are only added, and the list of members: nothing is lost and nothing goes back across reconfigurations",
	Kinds:          []string{"add", "read"},
	Reconfigurable: true,
	NewGenerator:   func(Options) Generator { return &membershipGenerator{} },
	Setup:          setupRoot(membershipRoot),
	Do:             withService(doMembership),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{
			{Name: "durable", Check: func(history []Op) Result { return CheckSet(withoutConfigs(history), bounds) }},
			{Name: "configurations", Check: func(history []Op) Result { return CheckConfigurations(history, bounds) }},
		}
	},
}

type membershipGenerator struct{ setGenerator }

func (g *membershipGenerator) Next(rng *rand.Rand) Op {
	if rng.Intn(100) < 25 {
		return Op{Type: Invoke, F: "config", Version: -1}
	}
	return g.setGenerator.Next(rng)
}

func (g *membershipGenerator) Final() []Op {
	ops := finalReads()
	for range len(ops) {
		ops = append(ops, Op{Type: Invoke, F: "config", Version: -1})
	}
	return ops
}

func doMembership(ctx context.Context, client Service, op Op) Op {
	if op.F != "config" {
		return doSetBelow(ctx, client, membershipRoot, op)
	}
	if zxid, err := client.Sync(ctx, configPath); err != nil {
		return complete(op, false, zxid, "sync", err)
	}
	data, _, zxid, err := client.Get(ctx, configPath)
	if err == nil {
		version, servers, ok := parseMembership(string(data))
		if !ok {
			return refuse(op, fmt.Sprintf("the membership has no version: %q", data))
		}
		op.Value = []any{version, servers}
	}
	return complete(op, false, zxid, "get", err)
}

// parseMembership reads the lines server.N=..., in the order in which they stand, and
// version=hex.
func parseMembership(text string) (version int64, servers string, ok bool) {
	var lines []string
	for _, line := range strings.Fields(text) {
		if digits, found := strings.CutPrefix(line, "version="); found {
			number, err := strconv.ParseUint(digits, 16, 64)
			version, ok = int64(number), err == nil
			continue
		}
		lines = append(lines, line)
	}
	return version, strings.Join(lines, " "), ok
}

// withoutConfigs leaves the operations that the rules of sets are for.
func withoutConfigs(history []Op) []Op {
	own := make([]Op, 0, len(history))
	for i := range history {
		if history[i].F != "config" {
			own = append(own, history[i])
		}
	}
	return own
}

// membershipOf reads what an operation was shown; false if it was shown none.
func membershipOf(operation *Operation) (version int64, servers string, ok bool) {
	list, _ := operation.Complete.Value.([]any)
	if operation.Invoke.F != "config" || operation.Complete.Type != OK || len(list) != 2 {
		return 0, "", false
	}
	version, _ = list[0].(int64)
	servers, _ = list[1].(string)
	return version, servers, true
}

// CheckConfigurations judges what was read of the membership, each time behind a sync.
// Its version is the zxid of the reconfiguration that made it:
//
//   - it never goes back: nobody is shown a version lower than one that was shown to
//     anybody before he asked;
//   - a version has the same members whoever shows it.
//
// Who was shown nothing can't tell: without a read the answer is unknown. A server that can't
// be reconfigured shows no membership.
func CheckConfigurations(history []Op, bounds Bounds) Result {
	result := Result{Checker: "configurations", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	faults := &faultList{max: bounds.MaxFailures}
	first := make(map[int64]*Operation) // version -> who was shown it first
	var configs []*Operation
	for i := range operations {
		operation := &operations[i]
		version, servers, ok := membershipOf(operation)
		if !ok {
			continue
		}
		configs = append(configs, operation)
		before := first[version]
		if before == nil {
			first[version] = operation
			continue
		}
		if _, other, _ := membershipOf(before); other != servers {
			faults.add("", fmt.Sprintf("version %x of the membership is %q to operation %d and %q to operation %d", version, other, before.Invoke.Index, servers, operation.Invoke.Index), before, operation)
		}
	}
	ended := timeline(configs)
	next, newest, highest := 0, (*Operation)(nil), int64(0)
	for _, operation := range configs {
		for ; next < len(ended) && ended[next].ReturnIndex < operation.Invoke.Index; next++ {
			if version, _, _ := membershipOf(ended[next]); newest == nil || version > highest {
				newest, highest = ended[next], version
			}
		}
		if version, _, _ := membershipOf(operation); newest != nil && version < highest {
			faults.add("", fmt.Sprintf("operation %d was shown version %x of the membership, but operation %d had been shown version %x before it began", operation.Invoke.Index, version, newest.Invoke.Index, highest), newest, operation)
		}
	}
	result.Stats["reads"], result.Stats["versions"] = len(configs), len(first)
	if len(configs) == 0 {
		result.Verdict, result.Cause = VerdictUnknown, "no read of the membership succeeded: members show it if they can be reconfigured"
		return result
	}
	return faults.judge(result, fmt.Sprintf("%d reads of the membership saw %d versions and never went back", len(configs), len(first)), "memberships that can't be")
}
