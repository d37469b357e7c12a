package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxKeys bounds the keys of a set, which clients choose: every znode below the root is
// one. What comes later is counted under OtherKey.
const maxKeys = 256

// OtherKey stands for all keys beyond the first maxKeys.
const OtherKey = "other"

// SummarySet has a Summary for each key.
type SummarySet struct {
	mu    sync.RWMutex
	byKey map[string]*Summary
}

// At returns the summary of a key. Who writes often may keep it: it stays the key's.
func (s *SummarySet) At(key string) *Summary {
	s.mu.RLock()
	m := s.byKey[key]
	s.mu.RUnlock()
	if m != nil {
		return m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = make(map[string]*Summary)
	}
	if s.byKey[key] == nil && len(s.byKey) >= maxKeys {
		key = OtherKey
	}
	if s.byKey[key] == nil {
		s.byKey[strings.Clone(key)] = new(Summary)
	}
	return s.byKey[key]
}

// all returns the keys in ascending order with their summaries.
func (s *SummarySet) all() (keys []string, summaries []*Summary) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys = slices.Sorted(maps.Keys(s.byKey))
	for _, key := range keys {
		summaries = append(summaries, s.byKey[key])
	}
	return keys, summaries
}
