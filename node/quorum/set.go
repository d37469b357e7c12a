package quorum

import "slices"

// Set is a set of server ids: who acknowledged a proposal, who joined an epoch.
// The zero value is an empty set. Copies share their elements until one of them
// is changed; change only one copy.
type Set struct {
	// sids is sorted and without duplicates. Ensembles are small, so a search in
	// one cache line beats a map and costs no allocation once it has grown.
	sids []int64
}

// SetOf returns the set of sids.
func SetOf(sids ...int64) Set {
	sorted := slices.Clone(sids)
	slices.Sort(sorted)
	return Set{sids: slices.Compact(sorted)}
}

// Add puts sid into the set and reports whether it was new.
func (s *Set) Add(sid int64) bool {
	at, found := slices.BinarySearch(s.sids, sid)
	if found {
		return false
	}
	s.sids = slices.Insert(s.sids, at, sid)
	return true
}

// Remove takes sid out of the set and reports whether it was there.
func (s *Set) Remove(sid int64) bool {
	at, found := slices.BinarySearch(s.sids, sid)
	if found {
		s.sids = slices.Delete(s.sids, at, at+1)
	}
	return found
}

// Reset empties the set and keeps its memory.
func (s *Set) Reset() { s.sids = s.sids[:0] }

// Has reports whether sid is in the set.
func (s Set) Has(sid int64) bool {
	_, found := slices.BinarySearch(s.sids, sid)
	return found
}

// Len is the number of servers in the set.
func (s Set) Len() int { return len(s.sids) }

// Sids are the members in rising order. The slice is the set's own: read it
// before the next change of the set, and don't write to it.
func (s Set) Sids() []int64 { return s.sids }
