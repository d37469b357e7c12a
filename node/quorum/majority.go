package quorum

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoVoters means that a configuration leaves nobody to form a quorum.
var ErrNoVoters = errors.New("no server can vote: a quorum could never be formed")

// Majority is the rule of ensembles without groups: more than half of the
// voters.
type Majority struct {
	// voters is sorted, without duplicates, and not empty.
	voters  []int64
	version int64
}

// NewMajority returns the majority rule for voters, in a configuration of the
// given version. It fails with ErrNoVoters, or on a duplicate voter.
func NewMajority(voters []int64, version int64) (*Majority, error) {
	sorted, err := sortedVoters(voters)
	if err != nil {
		return nil, err
	}
	return &Majority{voters: sorted, version: version}, nil
}

// ContainsQuorum implements Verifier.
func (m *Majority) ContainsQuorum(acks Set) bool {
	count := 0
	for _, sid := range m.voters {
		if acks.Has(sid) {
			count++
		}
	}
	return count > len(m.voters)/2
}

// Weight implements Verifier: one vote for each voter.
func (m *Majority) Weight(sid int64) int64 {
	if _, found := slices.BinarySearch(m.voters, sid); found {
		return 1
	}
	return 0
}

// Voters implements Verifier.
func (m *Majority) Voters() []int64 { return m.voters }

// Version implements Verifier.
func (m *Majority) Version() int64 { return m.version }

// String implements Verifier.
func (m *Majority) String() string {
	return fmt.Sprintf("%d of servers %s (configuration version %x)",
		len(m.voters)/2+1, joinSids(m.voters), m.version)
}

// sortedVoters returns a sorted copy of voters, which may be neither empty nor
// have duplicates.
func sortedVoters(voters []int64) ([]int64, error) {
	if len(voters) == 0 {
		return nil, ErrNoVoters
	}
	sorted := slices.Clone(voters)
	slices.Sort(sorted)
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return nil, fmt.Errorf("server %d is listed as a voter twice", sorted[i])
		}
	}
	return sorted, nil
}

func joinSids(sids []int64) string {
	var b strings.Builder
	for i, sid := range sids {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, sid)
	}
	return b.String()
}
