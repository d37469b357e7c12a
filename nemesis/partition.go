package nemesis

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
)

// partition drops the packets of links between members.
//
// Variants and what their targets mean:
//
//	one      the target is alone
//	leader   the same, with the leader
//	halves   the targets are one side, all others the other side
//	bridge   the first target sees everybody; the other targets are one side,
//	         the rest is the other side
//	one-way  nobody hears the target, while the target hears everybody
//	ring     the targets are all members, in a circle: each hears as many
//	         neighbours as make a majority with itself, no two the same
type partition struct{}

func (partition) Name() string { return "partition" }

func (partition) Variants(members int) []string {
	switch {
	case members < 2:
		return nil
	case members < 3:
		return []string{"one", "leader", "one-way"}
	case members < 4:
		return []string{"one", "leader", "halves", "bridge", "one-way"}
	}
	return []string{"one", "leader", "halves", "bridge", "one-way", "ring"}
}

func (partition) Targets(rng *rand.Rand, variant string, members []string) []string {
	switch variant {
	case "leader":
		return []string{RoleLeader}
	case "halves":
		return pick(rng, members, minority(len(members)))
	case "bridge":
		return pick(rng, members, 1+len(members)/2)
	case "one-way":
		// The leader is the member whose silence matters most.
		if rng.Intn(2) == 0 {
			return []string{RoleLeader}
		}
	case "ring":
		return pick(rng, members, len(members))
	}
	return pick(rng, members, 1)
}

// PartitionLinks computes the links that a partition blocks, in the order of
// the members. Targets are names, not roles.
func PartitionLinks(variant string, targets, members []string) ([]Link, error) {
	if len(targets) == 0 {
		return nil, fmt.Errorf("partition %s: no targets", variant)
	}
	side := func(group []string, name string) bool { return slices.Contains(group, name) }
	var blocked func(from, to string) bool
	switch variant {
	case "one", "leader", "halves":
		blocked = func(from, to string) bool { return side(targets, from) != side(targets, to) }
	case "bridge":
		bridge, group := targets[0], targets[1:]
		blocked = func(from, to string) bool {
			return from != bridge && to != bridge && side(group, from) != side(group, to)
		}
	case "one-way":
		blocked = func(from, to string) bool { return side(targets, from) && !side(targets, to) }
	case "ring":
		// A majority is the member itself and near neighbours on both sides.
		n := len(targets)
		reach := (n/2 + 1) / 2
		blocked = func(from, to string) bool {
			distance := (slices.Index(targets, to) - slices.Index(targets, from) + n) % n
			return min(distance, n-distance) > reach
		}
	default:
		return nil, fmt.Errorf("partition: unknown variant %q", variant)
	}
	var links []Link
	for _, from := range members {
		for _, to := range members {
			if from != to && blocked(from, to) {
				links = append(links, Link{From: from, To: to})
			}
		}
	}
	if len(links) == 0 {
		return nil, fmt.Errorf("partition %s of %v blocks no link among %v", variant, targets, members)
	}
	return links, nil
}

func (partition) inject(ctx context.Context, w *world, s activeStep) error {
	links, err := PartitionLinks(s.step.Variant, s.targets, w.members)
	if err != nil {
		return err
	}
	w.block(s.id, links)
	return w.injector.Block(ctx, s.id, links)
}

func (partition) heal(ctx context.Context, w *world, s activeStep) error {
	if err := w.injector.Unblock(ctx, s.id); err != nil {
		return err
	}
	w.unblock(s.id)
	return nil
}

// check probes every link of the ensemble: those that active partitions block
// must drop packets, all others must pass them.
func (partition) check(ctx context.Context, w *world, _ activeStep) (string, error) {
	blocked := w.blockedLinks()
	all := w.allLinks()
	states, err := w.injector.Probe(ctx, all)
	if err != nil {
		return "", err
	}
	var wrong []string
	for _, link := range all {
		want := LinkState{Passed: !blocked[link], Dropped: blocked[link]}
		if state := states[link]; state != want {
			wrong = append(wrong, fmt.Sprintf("%s passed=%v dropped=%v", link, state.Passed, state.Dropped))
		}
	}
	if len(wrong) > 0 {
		return "", fmt.Errorf("%d of %d links are not as wanted (%d are to drop packets): %s", len(wrong), len(all), len(blocked), strings.Join(wrong, "; "))
	}
	return fmt.Sprintf("probed %d links: %d drop packets, %d pass", len(all), len(blocked), len(all)-len(blocked)), nil
}
