package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// pageSizeBytes is the unit in which a torn write survives.
const pageSizeBytes = 4096

// Crash turns the content into what a power failure could have left: what was
// synced, and of everything else a part that random chooses. Each directory's and
// each file's unsynced changes survive wholly, not at all, up to a point in their
// order (of which the last write may be cut anywhere), or one by one, writes by the
// page. The same calls and the same random source give the same result. Files that
// were open before are dead: their methods fail.
func (m *Mem) Crash(random *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation++
	m.root.crash(random)
}

// fate is how much of a list of unsynced changes survives.
type fate int

const (
	fateNothing fate = iota
	fateAll
	fatePrefix
	fateSome
	fates
)

func (n *memNode) crash(random *rand.Rand) {
	if n.entries == nil {
		n.crashFile(random)
		return
	}
	n.crashNames(random)
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		n.entries[name].crash(random)
	}
}

// crashNames decides which unsynced changes of a directory survive.
func (n *memNode) crashNames(random *rand.Rand) {
	entries := maps.Clone(n.durableEntries)
	if len(n.changes) > 0 {
		how := fate(random.IntN(int(fates)))
		prefix := random.IntN(len(n.changes) + 1)
		for i, change := range n.changes {
			if survives(how, i, prefix, random) {
				applyChange(entries, change)
			}
		}
	}
	n.entries = entries
	n.durableEntries = maps.Clone(entries)
	n.changes = nil
}

func survives(how fate, i, prefix int, random *rand.Rand) bool {
	switch how {
	case fateAll:
		return true
	case fatePrefix:
		return i < prefix
	case fateSome:
		return random.IntN(2) == 0
	}
	return false
}

// crashFile decides which unsynced writes of a file survive.
func (n *memNode) crashFile(random *rand.Rand) {
	content := n.durable
	if len(n.pending) > 0 {
		how := fate(random.IntN(int(fates)))
		prefix := random.IntN(len(n.pending) + 1)
		for i, w := range n.pending {
			switch {
			case how == fatePrefix && i == prefix && len(w.data) > 0:
				w.data = w.data[:random.IntN(len(w.data))]
				content = applyWrite(content, w)
			case how == fateSome && w.data != nil:
				content = tearByPage(content, w, random)
			case survives(how, i, prefix, random):
				content = applyWrite(content, w)
			}
		}
	}
	n.durable = content
	n.data = slices.Clone(content)
	n.pending = nil
}

// tearByPage applies the pages of a write that random lets survive.
func tearByPage(content []byte, w memWrite, random *rand.Rand) []byte {
	for len(w.data) > 0 {
		room := pageSizeBytes - int(w.offset%pageSizeBytes)
		size := min(room, len(w.data))
		if random.IntN(2) == 0 {
			content = applyWrite(content, memWrite{offset: w.offset, data: w.data[:size]})
		}
		w.offset += int64(size)
		w.data = w.data[size:]
	}
	return content
}
