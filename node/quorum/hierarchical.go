package quorum

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Group is one `group.N` line of a configuration.
type Group struct {
	ID   int64
	Sids []int64
}

// MemberError is a fault in the groups or weights of a configuration.
type MemberError struct {
	Sid   int64 // the server concerned
	Group int64 // the group concerned; meaningless unless InGroup
	// InGroup says whether the fault is in a group's list rather than in the
	// server's own weight or absence.
	InGroup bool
	Problem string
}

func (e *MemberError) Error() string { return e.Problem }

// Hierarchical is the rule of ensembles with groups and weights.
type Hierarchical struct {
	// voters is sorted, without duplicates, and not empty; weights[i] >= 0 is
	// the weight of voters[i].
	voters  []int64
	weights []int64
	// groups has only those with some weight, at least one, in order of id: the
	// others are disregarded, as if their servers were absent.
	groups  []weightedGroup
	version int64
}

type weightedGroup struct {
	id int64
	// members are indices into voters. A server that is listed in a group
	// without being a voter is not here, but its weight is part of totalWeight.
	members     []int
	totalWeight int64 // Invariant: 0 < totalWeight <= math.MaxInt64/2
}

// NewHierarchical returns the rule for voters that are split into groups.
// A voter without an entry in weights weighs 1. Each voter must be in exactly
// one group. A group may list a server that is not a voter (an observer), if
// weights has an entry for it: Apache counts that weight as part of the group's,
// where it only makes quorums harder to reach. It fails with a *MemberError that
// names the server, or with ErrNoVoters when every group weighs nothing.
func NewHierarchical(voters []int64, groups []Group, weights map[int64]int64, version int64) (*Hierarchical, error) {
	sorted, err := sortedVoters(voters)
	if err != nil {
		return nil, err
	}
	h := &Hierarchical{voters: sorted, weights: make([]int64, len(sorted)), version: version}
	for sid, weight := range weights {
		if weight < 0 {
			return nil, &MemberError{Sid: sid, Problem: fmt.Sprintf("the weight %d of server %d is negative", weight, sid)}
		}
	}
	for i, sid := range sorted {
		h.weights[i] = 1
		if weight, ok := weights[sid]; ok {
			h.weights[i] = weight
		}
	}
	if err := h.addGroups(groups, weights); err != nil {
		return nil, err
	}
	if len(h.groups) == 0 {
		return nil, ErrNoVoters
	}
	return h, nil
}

// addGroups fills h.groups and checks that they partition the voters.
func (h *Hierarchical) addGroups(groups []Group, weights map[int64]int64) error {
	groupOf := make(map[int64]int64)
	for _, group := range groups {
		weighted := weightedGroup{id: group.ID}
		for _, sid := range group.Sids {
			fault := func(format string, args ...any) error {
				return &MemberError{Sid: sid, Group: group.ID, InGroup: true, Problem: fmt.Sprintf(format, args...)}
			}
			if other, ok := groupOf[sid]; ok {
				return fault("server %d is listed in group %d and in group %d", sid, other, group.ID)
			}
			groupOf[sid] = group.ID
			weight, ok := weights[sid]
			if at, isVoter := slices.BinarySearch(h.voters, sid); isVoter {
				weight = h.weights[at]
				weighted.members = append(weighted.members, at)
			} else if !ok {
				return fault("server %d of group %d is not a voting server", sid, group.ID)
			}
			if weight > math.MaxInt64/2-weighted.totalWeight {
				return fault("the weights of group %d add up to more than %d", group.ID, int64(math.MaxInt64/2))
			}
			weighted.totalWeight += weight
		}
		if weighted.totalWeight > 0 {
			h.groups = append(h.groups, weighted)
		}
	}
	for _, sid := range h.voters {
		if _, ok := groupOf[sid]; !ok {
			return &MemberError{Sid: sid, Problem: fmt.Sprintf("server %d is in no group", sid)}
		}
	}
	slices.SortFunc(h.groups, func(a, b weightedGroup) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return nil
}

// ContainsQuorum implements Verifier.
func (h *Hierarchical) ContainsQuorum(acks Set) bool {
	won := 0
	for i := range h.groups {
		group := &h.groups[i]
		var weight int64
		for _, at := range group.members {
			if acks.Has(h.voters[at]) {
				weight += h.weights[at]
			}
		}
		if 2*weight > group.totalWeight {
			won++
		}
	}
	return won > len(h.groups)/2
}

// Weight implements Verifier.
func (h *Hierarchical) Weight(sid int64) int64 {
	if at, found := slices.BinarySearch(h.voters, sid); found {
		return h.weights[at]
	}
	return 0
}

// Voters implements Verifier. Voters of weight 0 are among them.
func (h *Hierarchical) Voters() []int64 { return h.voters }

// Version implements Verifier.
func (h *Hierarchical) Version() int64 { return h.version }

// String implements Verifier.
func (h *Hierarchical) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d groups by weight:", len(h.groups)/2+1, len(h.groups))
	for _, group := range h.groups {
		fmt.Fprintf(&b, " group %d (more than half of %d:", group.id, group.totalWeight)
		for _, at := range group.members {
			fmt.Fprintf(&b, " server %d=%d", h.voters[at], h.weights[at])
		}
		b.WriteByte(')')
	}
	fmt.Fprintf(&b, " (configuration version %x)", h.version)
	return b.String()
}
