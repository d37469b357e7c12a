package sim

import "testing"

// TestLocalSessions lets clients have sessions that one member knows, under faults, and makes
// those the ensemble's that come to own an ephemeral.
func TestLocalSessions(t *testing.T) {
	seeds := uint64(10)
	if raceEnabled || testing.Short() {
		seeds = 2
	}
	ephemerals := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		r := Run(Options{Seed: seed, Shape: Local})
		if r.Failed() {
			t.Errorf("seed %d: %s\n    go run ./node/sim/simrun -seed %d -shape local", seed, r.Violations[0], seed)
		}
		ephemerals += r.Counts[countEphemeral]
	}
	if ephemerals == 0 {
		t.Errorf("%d seeds, and no local session became the ensemble's", seeds)
	}
}

// TestObserverMasters lets observers learn from followers, under faults.
func TestObserverMasters(t *testing.T) {
	seeds := uint64(10)
	if raceEnabled || testing.Short() {
		seeds = 2
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		if r := Run(Options{Seed: seed, Shape: Masters}); r.Failed() {
			t.Errorf("seed %d: %s\n    go run ./node/sim/simrun -seed %d -shape masters", seed, r.Violations[0], seed)
		}
	}
}
