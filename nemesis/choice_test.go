package nemesis

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestExpand(t *testing.T) {
	choices, optional, err := Expand("process, partition:bridge+ring*4", 5)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"kill*2", "stop", "pause*2", "partition:bridge+ring*4"}; !slices.Equal(choices, want) {
		t.Errorf("choices %v, want %v", choices, want)
	}
	if want := []string{"kill", "pause", "stop"}; !slices.Equal(optional, want) {
		t.Errorf("optional %v, want %v", optional, want)
	}
	if _, optional, err := Expand("all,kill", 5); err != nil || slices.Contains(optional, "kill") {
		t.Errorf("a fault asked for by name is optional: %v, %v", optional, err)
	}
	if choices, _, err := Expand("all", 1); err != nil || slices.ContainsFunc(choices, func(c string) bool { return ChoiceFault(c) == "partition" }) {
		t.Errorf("%v, %v; want what makes sense with one member", choices, err)
	}
	for text, complaint := range map[string]string{
		"meteor":           "packages",
		"kill*0":           "weight",
		"kill*x":           "weight",
		"network*2":        "weight",
		"partition:square": "have [one",
		"":                 "unknown fault",
	} {
		if _, _, err := Expand(text, 5); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%q: error %v, want one with %q", text, err, complaint)
		}
	}
	if _, _, err := Expand("partition:ring", 3); err == nil {
		t.Error("a ring of three members was accepted")
	}
}

// TestPackagesHoldFaults: every entry of every package is one that Plan takes,
// and together they hold every fault.
func TestPackagesHoldFaults(t *testing.T) {
	held := make(map[string]bool)
	for _, name := range Packages() {
		choices, _, err := Expand(name, 5)
		if err != nil || len(choices) == 0 {
			t.Errorf("%s: %v, %v", name, choices, err)
		}
		if _, err := Plan(1, choices, members(5), 5*time.Minute); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, choice := range choices {
			held[ChoiceFault(choice)] = true
		}
	}
	for _, name := range Kinds() {
		if !held[name] {
			t.Errorf("no package holds %s", name)
		}
	}
}

// TestPlanWeights: a fault with a weight comes that much oftener, and only with
// the variants that were chosen.
func TestPlanWeights(t *testing.T) {
	counts := make(map[string]int)
	for _, step := range mustPlan(t, 1, []string{"kill*3", "partition:bridge+ring"}, 5, 10*time.Minute).Steps {
		counts[step.Fault]++
		if step.Fault == "partition" && step.Variant != "bridge" && step.Variant != "ring" {
			t.Errorf("variant %s was not chosen", step.Variant)
		}
	}
	if counts["partition"] == 0 || counts["kill"] < 2*counts["partition"] {
		t.Errorf("%v, want three kills for each partition", counts)
	}
}
