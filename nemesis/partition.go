package nemesis

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"time"
)

// partition drops the packets of links.
//
// Variants and what their targets mean:
//
//	one       the target is alone
//	leader    the same, with the leader
//	halves    the targets are one side, all others the other side
//	bridge    the first target sees everybody; the other targets are one side,
//	          the rest is the other side
//	one-way   nobody hears the target, while the target hears everybody
//	ring      the targets are all members, in a circle: each hears as many
//	          neighbours as make a majority with itself, no two the same
//	thirds    the targets are all members, cut into three groups of neighbours,
//	          none of them a majority
//	link      the two targets don't hear each other
//	random    each pair of targets is one direction that is cut
//	clients   no client reaches the targets, which see each other
//	flapping  as halves, cut and passable in turns of periodMs
type partition struct{ kind }

func (partition) Variants(members int) []string {
	switch {
	case members < 2:
		return nil
	case members < 3:
		return []string{"one", "leader", "one-way", "clients"}
	case members < 4:
		return []string{"one", "leader", "halves", "bridge", "one-way", "thirds", "link", "random", "clients", "flapping"}
	}
	return []string{"one", "leader", "halves", "bridge", "one-way", "ring", "thirds", "link", "random", "clients", "flapping"}
}

// available asks for the clients' links by a name of their own, since not every
// cluster has them.
func (p partition) available(ctx context.Context, injector Injector, variant string) error {
	if c, tells := injector.(Capable); tells && variant == "clients" {
		return c.Can(ctx, PartitionClients)
	}
	return p.kind.available(ctx, injector, variant)
}

func (partition) Params(variant string) []Param {
	if variant == "flapping" {
		return []Param{{Name: "periodMs", Min: 500, Default: 1000, Max: 2000}}
	}
	return nil
}

func (partition) Targets(rng *rand.Rand, variant string, members []string) []string {
	switch variant {
	case "leader":
		return []string{RoleLeader}
	case "halves", "flapping":
		return pick(rng, members, minority(len(members)))
	case "bridge":
		return pick(rng, members, 1+len(members)/2)
	case "one-way", "clients":
		// The leader is the member whose silence matters most.
		if rng.Intn(2) == 0 {
			return []string{RoleLeader}
		}
	case "ring", "thirds":
		return pick(rng, members, len(members))
	case "link":
		return pick(rng, members, 2)
	case "random":
		var pairs []string
		for range 1 + rng.Intn(len(members)*(len(members)-1)/2) {
			pairs = append(pairs, pick(rng, members, 2)...)
		}
		return pairs
	}
	return pick(rng, members, 1)
}

// PartitionLinks computes the links that a partition blocks, in the order of
// the members. Targets are names, not roles.
func PartitionLinks(variant string, targets, members []string) ([]Link, error) {
	if len(targets) == 0 {
		return nil, fmt.Errorf("partition %s: no targets", variant)
	}
	if links, done, err := pairLinks(variant, targets); done {
		return links, err
	}
	side := func(group []string, name string) bool { return slices.Contains(group, name) }
	var blocked func(from, to string) bool
	switch variant {
	case "one", "leader", "halves", "flapping":
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
	case "thirds":
		group := func(name string) int { return slices.Index(targets, name) * 3 / len(targets) }
		blocked = func(from, to string) bool { return group(from) != group(to) }
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

// pairLinks computes the links of the variants whose targets name links.
func pairLinks(variant string, targets []string) (links []Link, done bool, err error) {
	switch variant {
	case "clients":
		for _, target := range targets {
			links = append(links, Link{From: Clients, To: target}, Link{From: target, To: Clients})
		}
		return links, true, nil
	case "link", "random":
	default:
		return nil, false, nil
	}
	if len(targets)%2 != 0 || variant == "link" && len(targets) != 2 {
		return nil, true, fmt.Errorf("partition %s of %v: want pairs of targets", variant, targets)
	}
	for pair := range slices.Chunk(targets, 2) {
		link := Link{From: pair[0], To: pair[1]}
		if link.From == link.To {
			return nil, true, fmt.Errorf("partition %s of %v: %s has no link to itself", variant, targets, link.From)
		}
		if !slices.Contains(links, link) {
			links = append(links, link)
		}
		if variant == "link" {
			links = append(links, Link{From: link.To, To: link.From})
		}
	}
	return links, true, nil
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

// act cuts and heals the links of a flapping partition in turns, each proved.
func (p partition) act(ctx context.Context, e *executor, s activeStep, until time.Duration) (string, error) {
	period := until
	if s.step.Variant == "flapping" {
		period = time.Duration(s.step.param(p, "periodMs")) * time.Millisecond
	}
	for turns := 0; ; turns++ {
		ended := e.sleepUntil(ctx, min(until, e.elapsed()+period)) != nil || e.elapsed() >= until
		switch {
		case ended && s.step.Variant == "flapping":
			return fmt.Sprintf("%d changes between cut and passable", turns), nil
		case ended:
			return "", nil
		}
		turn := p.inject
		if turns%2 == 0 {
			turn = p.heal
		}
		err := e.change(ctx, func(ctx context.Context) error { return turn(ctx, e.world, s) })
		if err == nil {
			_, err = e.prove(ctx, p, s, effectiveTimeout)
		}
		if err != nil {
			return "", fmt.Errorf("turn %d: %w", turns+1, err)
		}
	}
}

// check probes every link of the ensemble, and those of clients that the step
// concerns: what active partitions block must drop packets, all other links
// must pass them.
func (partition) check(ctx context.Context, w *world, s activeStep) (string, error) {
	blocked := w.blockedLinks()
	all := w.allLinks()
	for _, member := range s.targets {
		if s.step.Variant == "clients" {
			all = append(all, Link{From: Clients, To: member}, Link{From: member, To: Clients})
		}
	}
	states, err := w.injector.Probe(ctx, all)
	if err != nil {
		return "", err
	}
	drop := 0
	var wrong []string
	for _, link := range all {
		want := LinkState{Passed: !blocked[link], Dropped: blocked[link]}
		if blocked[link] {
			drop++
		}
		state := states[link]
		if w.shapeOf(link) != (Shape{}) {
			// Some packets of a link that isn't cut get through at some time.
			state.Passed = state.Passed && blocked[link] || want.Passed
		}
		if state != want {
			wrong = append(wrong, fmt.Sprintf("%s passed=%v dropped=%v", link, state.Passed, state.Dropped))
		}
	}
	if len(wrong) > 0 {
		return "", fmt.Errorf("%d of %d links are not as wanted (%d are to drop packets): %s", len(wrong), len(all), drop, strings.Join(wrong, "; "))
	}
	return fmt.Sprintf("probed %d links: %d drop packets, %d pass", len(all), drop, len(all)-drop), nil
}
