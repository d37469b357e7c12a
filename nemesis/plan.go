package nemesis

import (
	"fmt"
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
	// minQuiet is the least quiet end, in which the ensemble must recover.
	minQuiet = 5 * time.Second
)

// quietEnd is the part of the fault phase after the last heal.
func quietEnd(total time.Duration) time.Duration {
	return min(max(total/6, minQuiet), total/2)
}

// Plan draws a schedule from a seed: the same arguments give the same schedule.
// Every kind is chosen at least once if time allows (about two seconds each);
// kinds and variants take turns in an order that is drawn, some steps overlap
// the next, and the end is quiet. Without kinds the schedule has no steps.
func Plan(seed int64, kinds, members []string, total time.Duration) (Schedule, error) {
	s := Schedule{Seed: seed, Members: slices.Clone(members), Total: total}
	rng := rand.New(rand.NewSource(seed))
	decks := make([]*deck, 0, len(kinds))
	for _, kind := range kinds {
		fault, err := Lookup(kind)
		if err != nil {
			return Schedule{}, err
		}
		if len(fault.Variants(len(members))) == 0 {
			return Schedule{}, fmt.Errorf("fault %s makes no sense with %d members", kind, len(members))
		}
		decks = append(decks, &deck{fault: fault, variants: fault.Variants(len(members))})
	}
	begin := min(firstFault, total/8)
	usable := total - quietEnd(total) - begin
	if len(decks) == 0 || usable <= 0 {
		return s, s.Validate()
	}
	slots := max(len(decks), int(usable/slotLength))
	slots = max(1, min(slots, int(usable/minSlot)))
	slot := usable / time.Duration(slots)

	var order []int
	for i := range slots {
		if i%len(decks) == 0 {
			order = rng.Perm(len(decks))
		}
		s.Steps = append(s.Steps, drawStep(rng, decks[order[i%len(decks)]], members, begin+slot*time.Duration(i), slot, begin+usable))
	}
	return s, s.Validate()
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
	return Step{
		At:       at.Truncate(time.Millisecond),
		Fault:    d.fault.Name(),
		Variant:  variant,
		Targets:  d.fault.Targets(rng, variant, members),
		Duration: min(duration, end-at).Truncate(time.Millisecond),
	}
}
