package tree

import (
	"maps"
	"slices"
)

// DataWatches calls f for each path with data watches, in ascending order, with their
// watchers. It copies the table first: the tree is not locked while f runs. Apache's words
// wchp and wchc show this table, too, and not that of the child watches.
func (t *Tree) DataWatches(f func(path string, watchers []Watcher)) {
	t.watches.mu.Lock()
	byPath := make(map[string][]Watcher, len(t.watches.data.byPath))
	for path, watchers := range t.watches.data.byPath {
		byPath[path] = slices.Clone(watchers)
	}
	t.watches.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		f(path, byPath[path])
	}
}
