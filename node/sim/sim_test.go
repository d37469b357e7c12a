package sim

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// regressions are seeds that show a bug which the server or the simulator's judgement once
// had; docs/track-record.md tells each story. A change of what is drawn from a seed changes what it shows: then another
// must be found, with the bug planted again by lab/mutants.
var regressions = []struct {
	seed  uint64
	shape Shape
	why   string
}{
	{284, Groups, "a member that could not read its only snapshot for a moment started as if it were new"},
	{385, Weights, "the same"},
	{26757, Reconfig, "a member with nobody to vote for ignored the votes of an earlier round, and a quorum needed it"},
	{34461, Reconfig, "a candidate and a member that followed it waited for each other"},
	{47349, Reconfig, "the candidate with the longest log got no vote of a member that had not heard of the proposed membership"},
	{17085, Reconfig, "all whom a member knew had become observers, and observers answered nobody"},
	{21901, Reconfig, "a voter of the proposed membership waited for others of it that did not know that they vote"},
	{11256, Observers, "no bug: a leader that was cut off learns late that it had been established, after its successor has committed"},
	{51819, Plain, "no bug: a leader that was cut off meets a follower of its successor"},
	{54111, Local, "no bug: a member connects anew just after its connection answered a ping"},
	{42000, Observers, "no bug: a later leader commits what the one of an epoch between did not have"},
}

func TestRegressions(t *testing.T) {
	for _, r := range regressions {
		if result := Run(Options{Seed: r.seed, Shape: r.shape}); result.Failed() {
			t.Errorf("seed %d (%s): %s\n    go run ./node/sim/simrun -seed %d -shape %s", r.seed, r.why, result.Violations[0], r.seed, r.shape)
		}
	}
}

// TestSameSeedSameTrace is what makes a failing seed worth anything.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		options := Options{Seed: seed, Faults: 8 * time.Second}
		first := Run(options)
		var story strings.Builder
		options.Trace = &story // telling the story must change nothing
		second := Run(options)
		if first.TraceHash != second.TraceHash || first.Events != second.Events {
			t.Errorf("seed %d: %d events, trace %016x, and then %d events, trace %016x",
				seed, first.Events, first.TraceHash, second.Events, second.TraceHash)
		}
		if len(first.History) != len(second.History) {
			t.Errorf("seed %d: histories of %d and %d lines", seed, len(first.History), len(second.History))
		}
		if story.Len() == 0 {
			t.Errorf("seed %d has no story", seed)
		}
	}
	if Run(Options{Seed: 1, Faults: time.Second}).TraceHash == Run(Options{Seed: 2, Faults: time.Second}).TraceHash {
		t.Error("two seeds have the same trace")
	}
}

// TestSeeds runs seeds, and demands that everything that can happen does.
func TestSeeds(t *testing.T) {
	seeds := uint64(150)
	if raceEnabled || testing.Short() {
		seeds = 12
	}
	counts := make(map[string]int)
	var mu sync.Mutex
	t.Run("seeds", func(t *testing.T) {
		const parts = 4
		for part := range uint64(parts) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for seed := 1 + part; seed <= seeds; seed += parts {
					r := Run(Options{Seed: seed})
					if r.Failed() {
						t.Errorf("seed %d: %s\n    go run ./node/sim/simrun -seed %d", seed, r.Violations[0], seed)
					}
					mu.Lock()
					for what, n := range r.Counts {
						counts[what] += n
					}
					mu.Unlock()
				}
			})
		}
	})
	if raceEnabled || testing.Short() {
		return
	}
	for _, what := range MustOccur {
		if counts[what] == 0 {
			t.Errorf("%d seeds, and never: %s", seeds, what)
		}
	}
}

// TestOtherSizes runs ensembles of three and of seven members, and one member alone.
func TestOtherSizes(t *testing.T) {
	if raceEnabled {
		t.Skip("takes too long under the race detector")
	}
	for _, members := range []int{1, 3, 7} {
		for seed := uint64(1); seed <= 3; seed++ {
			if r := Run(Options{Seed: seed, Members: members, Faults: 8 * time.Second}); r.Failed() {
				t.Errorf("seed %d, %d members: %s", seed, members, r.Violations[0])
			}
		}
	}
}

// TestShapes runs ensembles of every shape.
func TestShapes(t *testing.T) {
	seeds := uint64(4)
	if raceEnabled || testing.Short() {
		seeds = 1
	}
	for _, shape := range Shapes {
		counts := make(map[string]int)
		for seed := uint64(1); seed <= seeds; seed++ {
			r := Run(Options{Seed: seed, Shape: shape, Faults: 8 * time.Second})
			if r.Failed() {
				t.Errorf("seed %d, shape %s: %s\n    go run ./node/sim/simrun -seed %d -shape %s -faults 8s", seed, shape, r.Violations[0], seed, shape)
			}
			for what, n := range r.Counts {
				counts[what] += n
			}
		}
		// A reconfiguration may make observers.
		if informed := counts[countInform] > 0; informed != (shape == Observers || shape == Local) && shape != Reconfig {
			t.Errorf("shape %s: %d INFORMs", shape, counts[countInform])
		}
		if shape == Rollover && counts[countTerm] < int(seeds)*counts[countCommit]/rolloverAt/4 {
			t.Errorf("shape %s: %d elections for %d transactions", shape, counts[countTerm], counts[countCommit])
		}
	}
}
