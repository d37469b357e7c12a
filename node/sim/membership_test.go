package sim

import "testing"

// TestReconfig changes the membership under faults.
func TestReconfig(t *testing.T) {
	seeds := uint64(20)
	if raceEnabled || testing.Short() {
		seeds = 4
	}
	changes := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		r := Run(Options{Seed: seed, Shape: Reconfig})
		if r.Failed() {
			t.Errorf("seed %d: %s\n    go run ./node/sim/simrun -seed %d -shape reconfig", seed, r.Violations[0], seed)
		}
		changes += r.Counts[countReconfig]
	}
	if changes == 0 {
		t.Errorf("%d seeds, and the membership never changed", seeds)
	}
}
