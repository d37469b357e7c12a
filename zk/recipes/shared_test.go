package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/servers"
	"zoolab/zk/recipes"
)

// TestCounter loses and doubles no addition while connections are cut.
func TestCounter(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		p := newProxy(t, server.ClientAddr)
		const adders, additions = 8, 10
		var mu sync.Mutex
		sums := make(map[int64]bool)
		var wg sync.WaitGroup
		for range adders {
			c := servers.Connect(t, p.addr())
			wg.Go(func() {
				counter := recipes.NewCounter(c, "/count/er")
				for range additions {
					sum, err := counter.Add(ctx, 2)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if sums[sum] {
						t.Errorf("%d was the sum twice", sum)
					}
					sums[sum] = true
					mu.Unlock()
				}
			})
		}
		stop := p.cutOften(40 * time.Millisecond)
		wg.Wait()
		stop()
		counter := recipes.NewCounter(servers.Connect(t, server.ClientAddr), "/count/er")
		if value, err := counter.Get(ctx); err != nil || value != 2*adders*additions {
			t.Errorf("Get = %d, %v, want %d", value, err, 2*adders*additions)
		}
		if swapped, err := counter.CompareAndSwap(ctx, 1, 2); err != nil || swapped {
			t.Errorf("CompareAndSwap of another number = %t, %v", swapped, err)
		}
		observing, cancel := context.WithCancel(ctx)
		values := counter.Observe(observing)
		if value := <-values; value != 2*adders*additions {
			t.Errorf("observed %d", value)
		}
		if swapped, err := counter.CompareAndSwap(ctx, 2*adders*additions, -7); err != nil || !swapped {
			t.Errorf("CompareAndSwap = %t, %v", swapped, err)
		}
		for value := range values {
			if value == -7 {
				break
			}
		}
		cancel()
		for range values { // until it is closed
		}
	})
}

// TestQueue puts and takes each item once while connections are cut.
func TestQueue(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		p := newProxy(t, server.ClientAddr)
		const workers, items = 5, 20
		taken := make(chan string, 2*workers*items)
		var wg sync.WaitGroup
		for i := range workers {
			putter, taker := servers.Connect(t, p.addr()), servers.Connect(t, p.addr())
			wg.Go(func() {
				queue := recipes.NewQueue(putter, "/queues/q")
				for n := range items {
					if err := queue.Put(ctx, fmt.Appendf(nil, "%d.%d", i, n)); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				queue := recipes.NewQueue(taker, "/queues/q")
				for range items {
					data, err := queue.Take(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					taken <- string(data)
				}
			})
		}
		stop := p.cutOften(50 * time.Millisecond)
		wg.Wait()
		stop()
		close(taken)
		seen := make(map[string]bool)
		for item := range taken {
			if seen[item] {
				t.Errorf("%s was taken twice", item)
			}
			seen[item] = true
		}
		queue := recipes.NewQueue(servers.Connect(t, server.ClientAddr), "/queues/q")
		if n, err := queue.Len(ctx); err != nil || n != 0 || len(seen) != workers*items {
			t.Errorf("%d items were taken, %d are left, %v", len(seen), n, err)
		}
		if _, err := queue.TryTake(ctx); !errors.Is(err, recipes.ErrEmpty) {
			t.Errorf("TryTake = %v", err)
		}
		for _, item := range []struct {
			priority uint32
			data     string
		}{{7, "c"}, {3, "a"}, {4e9, "d"}, {3, "b"}} {
			if err := queue.PutPriority(ctx, item.priority, []byte(item.data)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"a", "b", "c", "d"} {
			if data, err := queue.TryTake(ctx); err != nil || string(data) != want {
				t.Errorf("TryTake = %s, %v, want %s", data, err, want)
			}
		}
	})
}

func TestBarrier(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		p := newProxy(t, server.ClientAddr)
		barrier := recipes.NewBarrier(servers.Connect(t, server.ClientAddr), "/barriers/b")
		for range 2 {
			if err := barrier.Set(ctx); err != nil {
				t.Fatal(err)
			}
		}
		passed := make(chan error, contenders)
		for range contenders {
			c := servers.Connect(t, p.addr())
			go func() { passed <- recipes.NewBarrier(c, "/barriers/b").Wait(ctx) }()
		}
		stop := p.cutOften(50 * time.Millisecond)
		time.Sleep(200 * time.Millisecond)
		if len(passed) > 0 {
			t.Errorf("%d passed: %v", len(passed), <-passed)
		}
		for range 2 {
			if err := barrier.Remove(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for range contenders {
			if err := <-passed; err != nil {
				t.Error(err)
			}
		}
		stop()
	})
}

// TestDoubleBarrier runs rounds, in each of which all must be inside together.
func TestDoubleBarrier(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		p := newProxy(t, server.ClientAddr)
		const participants, rounds = 6, 4
		var mu sync.Mutex
		entered, left := make([]int, rounds), make([]int, rounds)
		var wg sync.WaitGroup
		for range participants {
			c := servers.Connect(t, p.addr())
			wg.Go(func() {
				barrier := recipes.NewDoubleBarrier(c, "/barriers/double", participants)
				for round := range rounds {
					mu.Lock()
					entered[round]++
					mu.Unlock()
					if err := barrier.Enter(ctx); err != nil {
						t.Errorf("round %d: Enter = %v", round, err)
						return
					}
					mu.Lock()
					if entered[round] != participants {
						t.Errorf("round %d began with %d", round, entered[round])
					}
					left[round]++
					mu.Unlock()
					if err := barrier.Leave(ctx); err != nil {
						t.Errorf("round %d: Leave = %v", round, err)
						return
					}
					mu.Lock()
					if left[round] != participants {
						t.Errorf("round %d ended with %d", round, left[round])
					}
					mu.Unlock()
				}
			})
		}
		stop := p.cutOften(80 * time.Millisecond)
		wg.Wait()
		stop()
		empty(ctx, t, servers.Connect(t, server.ClientAddr), "/barriers/double")
	})
}
