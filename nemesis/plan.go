package nemesis

import (
	"math/rand"
	"slices"
	"time"
)

// Shape of a planned schedule.
const (
	// firstFault leaves clients a moment without faults.
	firstFault = 2 * time.Second
	// slotLength is the time that a step and the pause after it take, where
	// there is enough time; minSlot is the least that a fault is worth.
	slotLength = 7 * time.Second
	minSlot    = 2 * time.Second
	// crowdedSlot is the least in a list of more than fewKinds faults: not all of
	// them get a turn in a short run, but those that do act for a while.
	crowdedSlot = 5 * time.Second
	fewKinds    = 3
	// minQuiet is the least quiet end, in which the ensemble must recover.
	minQuiet = 5 * time.Second
)

// quietEnd is the part of the fault phase after the last heal.
func quietEnd(total time.Duration) time.Duration {
	return min(max(total/6, minQuiet), total/2)
}

// Plan draws a schedule from a seed: the same arguments give the same schedule.
// Kinds are faults, or entries as Expand returns them. Each is chosen at least
// once if time allows; kinds and variants take turns in an order that is drawn,
// those with a weight have that many turns in a round, some steps overlap the
// next, and the end is quiet. Without kinds the schedule has no steps.
func Plan(seed int64, kinds, members []string, total time.Duration) (Schedule, error) {
	s := Schedule{Seed: seed, Members: slices.Clone(members), Total: total}
	rng := rand.New(rand.NewSource(seed))
	var decks []*deck
	for _, kind := range kinds {
		c, err := parseChoice(kind, len(members))
		if err != nil {
			return Schedule{}, err
		}
		decks = append(decks, slices.Repeat([]*deck{{fault: c.fault, variants: c.variants}}, c.weight)...)
	}
	begin := min(firstFault, total/8)
	usable := total - quietEnd(total) - begin
	if len(decks) == 0 || usable <= 0 {
		return s, s.Validate()
	}
	slots := max(len(decks), int(usable/slotLength))
	least := minSlot
	if len(decks) > fewKinds {
		least = crowdedSlot
	}
	slots = max(1, min(slots, int(usable/least)))
	slot := usable / time.Duration(slots)

	var order []int
	for i := range slots {
		if i%len(decks) == 0 {
			order = rng.Perm(len(decks))
		}
		s.Steps = append(s.Steps, drawStep(rng, decks[order[i%len(decks)]], members, begin+slot*time.Duration(i), slot, begin+usable))
	}
	s.separate()
	return s, s.Validate()
}

// apart is the least time between the planned heal of a step and the start of the
// next where the two must not overlap.
const apart = 500 * time.Millisecond

// separate cuts steps short that would reach into one that they must not overlap.
func (s *Schedule) separate() {
	for i := range len(s.Steps) - 1 {
		step, next := &s.Steps[i], s.Steps[i+1]
		if step.excludes(next) {
			step.Duration = max(apart, min(step.Duration, next.At-step.At-apart))
		}
	}
}

// deck deals the variants of one fault: all of them before any comes twice.
type deck struct {
	fault    Fault
	variants []string
	dealt    []string
}

func (d *deck) deal(rng *rand.Rand) string {
	if len(d.dealt) == 0 {
		d.dealt = slices.Clone(d.variants)
		rng.Shuffle(len(d.dealt), func(i, j int) { d.dealt[i], d.dealt[j] = d.dealt[j], d.dealt[i] })
	}
	variant := d.dealt[0]
	d.dealt = d.dealt[1:]
	return variant
}

// drawStep draws one step in the slot that starts at from. One in four goes on
// into the next slot, but none beyond end.
func drawStep(rng *rand.Rand, d *deck, members []string, from, slot, end time.Duration) Step {
	variant := d.deal(rng)
	at := from + time.Duration(rng.Int63n(int64(slot/5)))
	duration := slot*2/5 + time.Duration(rng.Int63n(int64(slot/4)))
	if rng.Intn(4) == 0 {
		duration += slot / 2
	}
	step := Step{
		At:       at.Truncate(time.Millisecond),
		Fault:    d.fault.Name(),
		Variant:  variant,
		Targets:  d.fault.Targets(rng, variant, members),
		Duration: min(duration, end-at).Truncate(time.Millisecond),
	}
	for _, p := range d.fault.Params(variant) {
		if step.Params == nil {
			step.Params = make(map[string]int)
		}
		step.Params[p.Name] = p.Min + rng.Intn(p.Max-p.Min+1)
	}
	return step
}
