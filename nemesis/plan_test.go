package nemesis

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func members(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("n%d", i+1)
	}
	return out
}

func mustPlan(t *testing.T, seed int64, kinds []string, n int, total time.Duration) Schedule {
	t.Helper()
	s, err := Plan(seed, kinds, members(n), total)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return s
}

func TestPlanSameSeedSameSchedule(t *testing.T) {
	a := mustPlan(t, 7, Kinds(), 5, time.Minute)
	if b := mustPlan(t, 7, Kinds(), 5, time.Minute); !reflect.DeepEqual(a, b) {
		t.Errorf("the same seed gave\n%+v\n%+v", a, b)
	}
	if c := mustPlan(t, 8, Kinds(), 5, time.Minute); reflect.DeepEqual(a.Steps, c.Steps) {
		t.Error("another seed gave the same steps")
	}
}

// TestPlanProperties draws many schedules and checks what each promises.
func TestPlanProperties(t *testing.T) {
	variants := make(map[string]bool)
	overlaps := 0
	for seed := range int64(1500) {
		n := 2 + int(seed)%8
		total := time.Duration(20+seed%60) * time.Second
		kinds := []string{Kinds()[int(seed)%len(Kinds())], "kill", "pause", "partition"}
		if n == 2 {
			kinds = kinds[1:]
		}
		s := mustPlan(t, seed, kinds, n, total)
		seen := make(map[string]bool)
		end := time.Duration(0)
		for _, step := range s.Steps {
			seen[step.Fault] = true
			variants[step.Fault+" "+step.Variant] = true
			if step.At < end {
				overlaps++
			}
			end = max(end, step.At+step.Duration)
		}
		if quiet := total - end; quiet < minQuiet {
			t.Errorf("seed %d: quiet end of %s in %s, want at least %s", seed, quiet, total, minQuiet)
		}
		for _, kind := range kinds {
			if !seen[kind] && total > 40*time.Second {
				t.Errorf("seed %d: no %s within %s", seed, kind, total)
			}
		}
	}
	for _, kind := range faults {
		for _, variant := range kind.Variants(5) {
			if !variants[kind.Name()+" "+variant] {
				t.Errorf("1500 schedules never had %s %s", kind.Name(), variant)
			}
		}
	}
	if overlaps == 0 {
		t.Error("1500 schedules had no overlapping steps")
	}
}

func TestPlanShortAndEmpty(t *testing.T) {
	if s := mustPlan(t, 1, nil, 5, time.Minute); len(s.Steps) != 0 {
		t.Errorf("no kinds gave steps: %+v", s.Steps)
	}
	if s := mustPlan(t, 1, Kinds(), 5, 4*time.Second); len(s.Steps) != 1 {
		t.Errorf("four seconds gave %d steps, want 1", len(s.Steps))
	}
	if _, err := Plan(1, []string{"partition"}, members(1), time.Minute); err == nil {
		t.Error("a partition of one member was planned")
	}
	if _, err := Plan(1, []string{"meteor"}, members(5), time.Minute); err == nil || !strings.Contains(err.Error(), "meteor") {
		t.Errorf("unknown fault: %v", err)
	}
}

func TestScheduleRoundTrip(t *testing.T) {
	want := mustPlan(t, 42, Kinds(), 5, 2*time.Minute)
	data, err := MarshalSchedule(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSchedule(data)
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v\nfrom\n%s", got, want, data)
	}
}

func TestParseScheduleRejects(t *testing.T) {
	const good = "members: [n1, n2, n3]\ntotal: 10s\nsteps:\n  - {at: 1s, fault: kill, variant: one, targets: [n2], duration: 2s}\n"
	if _, err := ParseSchedule([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for change, complaint := range map[string]string{
		"kill->meteor":        "unknown fault",
		"one->half":           "no variant",
		"[n2]->[n9]":          "neither a member",
		"[n2]->[]":            "no targets",
		"duration: 2s->x: 2s": "field x",
		"at: 1s->at: 9s":      "does not fit",
		"at: 1s->at: soon":    "soon",
		"[n1, n2, n3]->[]":    "no members",
	} {
		from, to, _ := strings.Cut(change, "->")
		text := strings.Replace(good, from, to, 1)
		if _, err := ParseSchedule([]byte(text)); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%s: error %v, want one with %q", change, err, complaint)
		}
	}
}

func TestPartitionLinks(t *testing.T) {
	for _, test := range []struct {
		variant string
		targets []string
		n       int
		want    string
	}{
		{"one", []string{"n2"}, 3, "n1->n2 n2->n1 n2->n3 n3->n2"},
		{"leader", []string{"n1"}, 3, "n1->n2 n1->n3 n2->n1 n3->n1"},
		{"halves", []string{"n1", "n3"}, 4, "n1->n2 n1->n4 n2->n1 n2->n3 n3->n2 n3->n4 n4->n1 n4->n3"},
		{"bridge", []string{"n3", "n1", "n2"}, 5, "n1->n4 n1->n5 n2->n4 n2->n5 n4->n1 n4->n2 n5->n1 n5->n2"},
		{"one-way", []string{"n2"}, 3, "n2->n1 n2->n3"},
		{"ring", []string{"n1", "n2", "n3", "n4", "n5"}, 5, "n1->n3 n1->n4 n2->n4 n2->n5 n3->n1 n3->n5 n4->n1 n4->n2 n5->n2 n5->n3"},
		{"thirds", []string{"n1", "n2", "n3"}, 3, "n1->n2 n1->n3 n2->n1 n2->n3 n3->n1 n3->n2"},
		{"link", []string{"n1", "n3"}, 4, "n1->n3 n3->n1"},
		{"random", []string{"n1", "n3", "n2", "n1", "n1", "n3"}, 4, "n1->n3 n2->n1"},
		{"clients", []string{"n2"}, 3, "clients->n2 n2->clients"},
		{"flapping", []string{"n1"}, 3, "n1->n2 n1->n3 n2->n1 n3->n1"},
	} {
		links, err := PartitionLinks(test.variant, test.targets, members(test.n))
		if err != nil {
			t.Errorf("%s: %v", test.variant, err)
		}
		var got []string
		for _, link := range links {
			got = append(got, link.String())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s of %v among %d: %v, want %s", test.variant, test.targets, test.n, got, test.want)
		}
	}
	for _, bad := range [][]string{nil, members(3)} {
		if links, err := PartitionLinks("one", bad, members(3)); err == nil {
			t.Errorf("partition of %v blocks %v, want an error", bad, links)
		}
	}
}

// hearsOf counts whom a member hears of n, itself among them.
func hearsOf(links []Link, member string, n int) int {
	for _, link := range links {
		if link.To == member {
			n--
		}
	}
	return n
}

// TestRingLeavesMajorities: in a ring, every member still hears a majority.
func TestRingLeavesMajorities(t *testing.T) {
	for n := 4; n <= 9; n++ {
		links, err := PartitionLinks("ring", members(n), members(n))
		if err != nil {
			t.Fatal(err)
		}
		for _, member := range members(n) {
			if hears := hearsOf(links, member, n); hears <= n/2 || hears == n {
				t.Errorf("%d members: %s hears %d with itself", n, member, hears)
			}
		}
	}
}

// TestThirdsAreMinorities: with any number of members, no third is a majority.
func TestThirdsAreMinorities(t *testing.T) {
	for n := 3; n <= 9; n++ {
		links, err := PartitionLinks("thirds", members(n), members(n))
		if err != nil {
			t.Fatal(err)
		}
		for _, member := range members(n) {
			if hears := hearsOf(links, member, n); hears > n/2 {
				t.Errorf("%d members: %s hears %d with itself", n, member, hears)
			}
		}
	}
}

// TestTargetsAreValid: every variant draws targets that Validate accepts and,
// for partitions, that block something.
func TestTargetsAreValid(t *testing.T) {
	for seed := range int64(50) {
		for n := 2; n <= 9; n++ {
			for _, step := range mustPlan(t, seed, []string{"partition"}, n, time.Minute).Steps {
				targets := slices.Clone(step.Targets)
				for i := range targets {
					targets[i] = strings.Replace(targets[i], RoleLeader, "n1", 1)
				}
				if _, err := PartitionLinks(step.Variant, targets, members(n)); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		}
	}
}
