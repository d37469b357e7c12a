package fifo

import "testing"

func TestQueue(t *testing.T) {
	var q Queue[int]
	next, oldest := 0, 0
	for round := range 1000 {
		for range round % 7 {
			q.Push(next)
			next++
		}
		for range min(q.Len(), round%5) {
			if got := q.Pop(); got != oldest {
				t.Fatalf("popped %d instead of %d", got, oldest)
			}
			oldest++
		}
		if q.Len() != next-oldest || len(q.All()) != q.Len() {
			t.Fatalf("%d queued, want %d", q.Len(), next-oldest)
		}
	}
	for q.Len() > 0 {
		q.Pop()
	}
	if n := testing.AllocsPerRun(100, func() { q.Push(1); q.Push(2); q.Pop(); q.Pop() }); n > 0 {
		t.Errorf("a queue that runs empty allocates %v times for two items", n)
	}
}
