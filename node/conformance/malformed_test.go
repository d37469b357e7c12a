package conformance

import (
	"flag"
	"slices"
	"testing"
)

var (
	firstMalformed = flag.Uint64("malformed", 1, "first seed of the sections of malformed requests")
	malformed      = flag.Uint64("malformed-seeds", 3, "how many sections of malformed requests to generate")
)

// TestMalformed sends damaged requests of every kind to both servers: the code of the
// answer, or the end of the connection, and what it does to the tree must be the same.
func TestMalformed(t *testing.T) {
	java, ours := newServers(t, true).addr(nil), newServers(t, false).addr(nil)
	const requests = 20
	for seed := *firstMalformed; seed < *firstMalformed+*malformed; seed++ {
		section := GenerateMalformed(seed, requests)
		var want, got [][]string
		for range tries { // see playApache
			var err error
			if want, err = Play(java, section); err != nil {
				t.Fatalf("seed %d: Apache: %v", seed, err)
			}
			if got, err = Play(ours, section); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if slices.EqualFunc(want, got, slices.Equal) {
				break
			}
		}
		for i, step := range section.Steps {
			if !slices.Equal(want[i], got[i]) {
				t.Errorf("seed %d (go test -run Malformed -malformed %[1]d -malformed-seeds 1), step %d: %s\n Apache: %q\n ours:   %q", seed, i, step.Line, want[i], got[i])
			}
		}
	}
}

// TestMalformedIsRepeatable: the same seed makes the same section.
func TestMalformedIsRepeatable(t *testing.T) {
	text := func(seed uint64) string {
		return (&Script{Sections: []*Section{GenerateMalformed(seed, 100)}}).Format()
	}
	if first, again := text(7), text(7); first != again || first == text(8) {
		t.Error("the seed does not decide the section")
	}
}
