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

// TestReconfigSeeds plays the histories that showed bugs of the past.
func TestReconfigSeeds(t *testing.T) {
	for seed, bug := range map[uint64]string{
		17:  "a leader accuses whoever knows that its proposed membership is committed",
		215: "those who know of the proposed membership vote for whom the others can't",
		449: "a leader completes a membership that no log has",
		40:  "a member that observes is needed by the proposed membership, and does not know it",
	} {
		if r := Run(Options{Seed: seed, Shape: Reconfig}); r.Failed() {
			t.Errorf("seed %d (%s): %s", seed, bug, r.Violations[0])
		}
	}
}
