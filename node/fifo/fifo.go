// Package fifo is a first-in first-out list for the hot paths of the pure core: it keeps
// its memory, and lets go of what was taken out. It is not safe for concurrent use.
package fifo

// Queue is such a list. The zero value is empty.
type Queue[T any] struct {
	items []T
	head  int // items before it are gone
}

// Len returns how many items are queued.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// All returns what is queued, oldest first, until the next push or pop.
func (q *Queue[T]) All() []T { return q.items[q.head:] }

// Push adds an item as the newest.
func (q *Queue[T]) Push(v T) {
	// Moving down only when at least half is free makes it cheap on average.
	if q.head > len(q.items)/2 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.All())
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// Pop takes the oldest item, which must exist.
func (q *Queue[T]) Pop() T {
	var none T
	v := q.items[q.head]
	q.items[q.head] = none
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return v
}
