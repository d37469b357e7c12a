package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strings"
)

// combine puts several workloads side by side in one ensemble. Each operation's
// F begins with its workload's name and a slash. Every checker sees the
// operations of its own workload only, with the names they have there; what it
// says about them is as sound as alone, because no workload's znodes or rules
// touch another's.
func combine(name string, names []string) (Workload, error) {
	all := Workload{Name: name, Doc: "side by side: " + strings.Join(names, ", ")}
	var parts []Workload
	seen := make(map[string]bool)
	for _, one := range names {
		one = strings.TrimSpace(one)
		part, err := Lookup(one)
		if err != nil {
			return all, err
		}
		if one == "all" || seen[one] {
			return all, fmt.Errorf("workload %q stands twice in %q", one, name)
		}
		seen[one] = true
		parts = append(parts, part)
		for _, kind := range part.Kinds {
			all.Kinds = append(all.Kinds, part.Name+"/"+kind)
		}
		all.Roams = all.Roams || part.Roams
		all.Reconfigurable = all.Reconfigurable || part.Reconfigurable
		all.SettleMs = max(all.SettleMs, part.SettleMs)
	}
	all.NewGenerator = func(options Options) Generator { return newCombinedGenerator(parts, options) }
	all.Setup = func(ctx context.Context, client Client) error {
		var errs []error
		for _, part := range parts {
			errs = append(errs, part.Setup(ctx, client))
		}
		return errors.Join(errs...)
	}
	all.Do = func(ctx context.Context, client Client, op Op) Op {
		prefix, f, _ := strings.Cut(op.F, "/")
		for _, part := range parts {
			if part.Name == prefix {
				name := op.F
				op.F = f
				op = part.Do(ctx, client, op)
				op.F = name
				return op
			}
		}
		return refuse(op, fmt.Sprintf("there is no workload for %q", op.F))
	}
	all.Checkers = func(bounds Bounds) (checkers []Checker) {
		for _, part := range parts {
			for _, checker := range part.Checkers(bounds) {
				checkers = append(checkers, narrow(part.Name, checker))
			}
		}
		return checkers
	}
	return all, nil
}

// narrow shows a checker only the operations of its workload.
func narrow(workload string, checker Checker) Checker {
	name := workload + "/" + checker.Name
	return Checker{Name: name, Check: func(history []Op) Result {
		var own []Op
		for i := range history {
			if f, ok := strings.CutPrefix(history[i].F, workload+"/"); ok && history[i].Process >= 0 {
				op := history[i]
				op.F = f
				own = append(own, op)
			}
		}
		result := checker.Check(own)
		result.Checker = name
		return result
	}}
}

// combinedGenerator draws from each of its parts equally often.
type combinedGenerator struct {
	names []string
	parts []Generator
}

func newCombinedGenerator(workloads []Workload, options Options) Generator {
	g := &combinedGenerator{}
	// All processes work on all workloads, so that fewer meet in each.
	options.Concurrency = max(1, options.Concurrency/len(workloads))
	for i := range workloads {
		g.names = append(g.names, workloads[i].Name)
		g.parts = append(g.parts, workloads[i].NewGenerator(options))
	}
	return g
}

func (g *combinedGenerator) Next(rng *rand.Rand) Op {
	i := rng.Intn(len(g.parts))
	op := g.parts[i].Next(rng)
	op.F = g.names[i] + "/" + op.F
	return op
}

func (g *combinedGenerator) Completed(op Op) {
	prefix, f, _ := strings.Cut(op.F, "/")
	for i, name := range g.names {
		if name == prefix {
			op.F = f
			g.parts[i].Completed(op)
		}
	}
}

func (g *combinedGenerator) Final() (ops []Op) {
	for i, part := range g.parts {
		for _, op := range part.Final() {
			op.F = g.names[i] + "/" + op.F
			ops = append(ops, op)
		}
	}
	return ops
}
