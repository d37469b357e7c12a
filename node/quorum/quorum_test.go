package quorum

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
)

// subset returns the voters whose bit is set in mask.
func subset(voters []int64, mask int) Set {
	var s Set
	for i, sid := range voters {
		if mask&(1<<i) != 0 {
			s.Add(sid)
		}
	}
	return s
}

// checkIntersection asks v about every subset of its voters: any two quorums
// share a server, a quorum stays one when servers are added, and all servers
// together are one.
func checkIntersection(t *testing.T, v Verifier) {
	t.Helper()
	voters := v.Voters()
	all := 1<<len(voters) - 1
	var quorums []int
	for mask := 0; mask <= all; mask++ {
		if !v.ContainsQuorum(subset(voters, mask)) {
			continue
		}
		quorums = append(quorums, mask)
		for i := range voters {
			if !v.ContainsQuorum(subset(voters, mask|1<<i)) {
				t.Fatalf("%v: %b is a quorum, but not with server %d added", v, mask, voters[i])
			}
		}
	}
	if len(quorums) == 0 || quorums[len(quorums)-1] != all {
		t.Fatalf("%v: all servers together are no quorum", v)
	}
	for _, a := range quorums {
		for _, b := range quorums {
			if a&b == 0 {
				t.Fatalf("%v: quorums %b and %b share no server", v, a, b)
			}
		}
	}
}

func voters(n int) []int64 {
	sids := make([]int64, n)
	for i := range sids {
		sids[i] = int64(i + 1)
	}
	return sids
}

func mustMajority(t testing.TB, sids []int64) *Majority {
	t.Helper()
	m, err := NewMajority(sids, 0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMajorityQuorumsIntersect(t *testing.T) {
	for n := 1; n <= 7; n++ {
		m := mustMajority(t, voters(n))
		checkIntersection(t, m)
		for mask := range 1 << n {
			acks := subset(m.Voters(), mask)
			if got, want := m.ContainsQuorum(acks), acks.Len() >= n/2+1; got != want {
				t.Errorf("%d voters, acks %v: got %v, want %v", n, acks.Sids(), got, want)
			}
		}
	}
}

// TestHierarchicalQuorumsIntersect goes through every split of up to 5 servers
// into groups with every weight from 0 to 2, and through random ones of 6 and 7
// (whose full enumeration would take minutes).
func TestHierarchicalQuorumsIntersect(t *testing.T) {
	checked := 0
	check := func(groupOf, weightOf []int) {
		sids := voters(len(groupOf))
		groups := make([]Group, len(groupOf))
		weights := make(map[int64]int64)
		total := 0
		for i, sid := range sids {
			groups[groupOf[i]].ID = int64(groupOf[i])
			groups[groupOf[i]].Sids = append(groups[groupOf[i]].Sids, sid)
			weights[sid] = int64(weightOf[i])
			total += weightOf[i]
		}
		h, err := NewHierarchical(sids, groups, weights, 0)
		if total == 0 {
			if !errors.Is(err, ErrNoVoters) {
				t.Fatalf("weightless ensemble: error %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		checkIntersection(t, h)
		checked++
	}
	for n := 1; n <= 5; n++ {
		forEachPartition(n, func(groupOf []int) {
			forEachNumber(n, 3, func(weightOf []int) { check(groupOf, weightOf) })
		})
	}
	rng := rand.New(rand.NewSource(7))
	for range 400 {
		n := 6 + rng.Intn(2)
		groupOf, weightOf := make([]int, n), make([]int, n)
		for i := range groupOf {
			groupOf[i], weightOf[i] = rng.Intn(n), rng.Intn(5)
		}
		check(groupOf, weightOf)
	}
	if checked < 14000 {
		t.Errorf("only %d configurations were checked", checked)
	}
}

// forEachPartition calls f with every way to split n servers into groups.
func forEachPartition(n int, f func(groupOf []int)) {
	groupOf := make([]int, n)
	var place func(at, groups int)
	place = func(at, groups int) {
		if at == n {
			f(groupOf)
			return
		}
		for g := 0; g <= groups; g++ {
			groupOf[at] = g
			place(at+1, max(groups, g+1))
		}
	}
	place(0, 0)
}

// forEachNumber calls f with every n-digit number of the given base.
func forEachNumber(n, base int, f func(digits []int)) {
	digits := make([]int, n)
	for {
		f(digits)
		at := 0
		for ; at < n; at++ {
			if digits[at]++; digits[at] < base {
				break
			}
			digits[at] = 0
		}
		if at == n {
			return
		}
	}
}

// TestDocumentedHierarchy has the examples of Apache's documentation: three
// groups of three, then with a group of weight zero.
func TestDocumentedHierarchy(t *testing.T) {
	groups := []Group{{1, []int64{1, 2, 3}}, {2, []int64{4, 5, 6}}, {3, []int64{7, 8, 9}}}
	cases := []struct {
		name    string
		weights map[int64]int64
		acks    []int64
		want    bool
	}{
		{"two of three in two groups", nil, []int64{1, 2, 4, 5}, true},
		{"a majority of servers in one group and a bit", nil, []int64{1, 2, 3, 4, 7}, false},
		{"one whole group", nil, []int64{1, 2, 3}, false},
		{"nobody", nil, nil, false},
		{"strangers do not count", nil, []int64{1, 2, 4, 10, 11}, false},
		{"a group of weight zero is left out", map[int64]int64{7: 0, 8: 0, 9: 0}, []int64{1, 2, 4, 5}, true},
		{"of two groups left both are needed", map[int64]int64{7: 0, 8: 0, 9: 0}, []int64{1, 2, 7, 8, 9}, false},
		{"one server outweighs its group", map[int64]int64{1: 3, 4: 3}, []int64{1, 4}, true},
		{"half of a group's weight is not enough", map[int64]int64{1: 2, 4: 2}, []int64{1, 4}, false},
		{"a server of weight zero adds nothing", map[int64]int64{2: 0}, []int64{1, 2, 4, 5}, false},
		{"the weighty ones of its group do", map[int64]int64{2: 0}, []int64{1, 3, 4, 5}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h, err := NewHierarchical(voters(9), groups, c.weights, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.ContainsQuorum(SetOf(c.acks...)); got != c.want {
				t.Errorf("%v: acks %v: got %v, want %v", h, c.acks, got, c.want)
			}
		})
	}
}

// TestObserverWeightCountsInItsGroup: as in Apache, so that Go and Java members
// agree on what a quorum is.
func TestObserverWeightCountsInItsGroup(t *testing.T) {
	groups := []Group{{1, []int64{1, 2, 3, 9}}}
	h, err := NewHierarchical(voters(3), groups, map[int64]int64{9: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if h.ContainsQuorum(SetOf(1, 2)) || h.ContainsQuorum(SetOf(1, 2, 9)) {
		t.Error("2 of a weight of 4 is not more than half, and an observer's ack is no vote")
	}
	if !h.ContainsQuorum(SetOf(1, 2, 3)) {
		t.Error("3 of a weight of 4 is more than half")
	}
	if h.Weight(9) != 0 {
		t.Error("an observer has a vote")
	}
}

func TestWrongConfigurations(t *testing.T) {
	two := voters(2)
	cases := []struct {
		name    string
		voters  []int64
		groups  []Group
		weights map[int64]int64
		want    string
	}{
		{"in two groups", two, []Group{{1, []int64{1, 2}}, {2, []int64{2}}}, nil, "server 2 is listed in group 1 and in group 2"},
		{"in no group", two, []Group{{1, []int64{1}}}, nil, "server 2 is in no group"},
		{"unknown member", two, []Group{{1, []int64{1, 2, 3}}}, nil, "server 3 of group 1 is not a voting server"},
		{"negative weight", two, []Group{{1, two}}, map[int64]int64{2: -1}, "weight -1 of server 2 is negative"},
		{"overflow", two, []Group{{1, two}}, map[int64]int64{1: math.MaxInt64 / 2}, "add up to more than"},
		{"no weight at all", two, []Group{{1, two}}, map[int64]int64{1: 0, 2: 0}, ErrNoVoters.Error()},
		{"no voters", nil, nil, nil, ErrNoVoters.Error()},
		{"voter twice", []int64{1, 1}, nil, nil, "server 1 is listed as a voter twice"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewHierarchical(c.voters, c.groups, c.weights, 0)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := NewMajority(nil, 0); !errors.Is(err, ErrNoVoters) {
		t.Errorf("majority of nobody: error %v", err)
	}
	if _, err := NewMajority([]int64{3, 3}, 0); err == nil {
		t.Error("a voter listed twice was accepted")
	}
}

func TestVerifierFacts(t *testing.T) {
	m, err := NewMajority([]int64{3, 1, 2}, 0x1f)
	if err != nil {
		t.Fatal(err)
	}
	if m.Weight(3) != 1 || m.Weight(4) != 0 || m.Version() != 0x1f {
		t.Errorf("weights %d, %d, version %d", m.Weight(3), m.Weight(4), m.Version())
	}
	if got, want := m.String(), "2 of servers 1,2,3 (configuration version 1f)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	h, err := NewHierarchical(voters(3), []Group{{5, []int64{3}}, {4, []int64{1, 2}}}, map[int64]int64{1: 2}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if h.Weight(1) != 2 || h.Weight(2) != 1 || h.Weight(7) != 0 || h.Version() != 3 {
		t.Errorf("weights %d, %d, %d, version %d", h.Weight(1), h.Weight(2), h.Weight(7), h.Version())
	}
	want := "2 of 2 groups by weight: group 4 (more than half of 3: server 1=2 server 2=1)" +
		" group 5 (more than half of 1: server 3=1) (configuration version 3)"
	if got := h.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSetAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	var s Set
	model := make(map[int64]bool)
	for step := range 20000 {
		sid := int64(rng.Intn(12)) - 2
		switch rng.Intn(8) {
		case 0:
			if rng.Intn(10) == 0 {
				s.Reset()
				clear(model)
			}
		case 1, 2, 3:
			if got := s.Remove(sid); got != model[sid] {
				t.Fatalf("step %d: Remove(%d) = %v", step, sid, got)
			}
			delete(model, sid)
		default:
			if got := s.Add(sid); got == model[sid] {
				t.Fatalf("step %d: Add(%d) = %v", step, sid, got)
			}
			model[sid] = true
		}
		if s.Len() != len(model) {
			t.Fatalf("step %d: length %d, want %d", step, s.Len(), len(model))
		}
		for sid := int64(-3); sid < 12; sid++ {
			if s.Has(sid) != model[sid] {
				t.Fatalf("step %d: Has(%d) = %v", step, sid, s.Has(sid))
			}
		}
	}
	if got := fmt.Sprint(SetOf(3, 1, 3, 2).Sids()); got != "[1 2 3]" {
		t.Errorf("SetOf sorted to %s", got)
	}
}

func TestNoAllocationInSteadyState(t *testing.T) {
	m := mustMajority(t, voters(5))
	h, err := NewHierarchical(voters(6), []Group{{1, []int64{1, 2, 3}}, {2, []int64{4, 5, 6}}}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	acks := SetOf(voters(6)...)
	for _, v := range []Verifier{m, h} {
		allocs := testing.AllocsPerRun(100, func() {
			acks.Reset()
			for _, sid := range v.Voters() {
				acks.Add(sid)
				v.ContainsQuorum(acks)
			}
		})
		if allocs != 0 {
			t.Errorf("%v: %v allocations a proposal", v, allocs)
		}
	}
}
