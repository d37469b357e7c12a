package zk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/servers"
	"zoolab/zk"
)

// TestOutcomesAreTrue kills members of an ensemble under load, with contexts that end
// early, and then looks what became of every create: what succeeded is there, and what
// certainly did not happen is not. What is unknown may be either.
func TestOutcomesAreTrue(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	member := apache.Config{Command: servers.Config(t, "node").Command, TickTimeMs: 200}
	members, err := apache.StartEnsemble(ctx, t.TempDir(), member, member, member)
	if err != nil {
		t.Fatal(err)
	}
	defer apache.StopAll(members)
	var addresses []string
	for _, s := range members {
		addresses = append(addresses, s.ClientAddr)
	}
	ensemble := strings.Join(addresses, ",")
	var log outcomes
	var running atomic.Bool
	running.Store(true)
	var wg sync.WaitGroup
	for i := range 4 {
		c := servers.Connect(t, ensemble, zk.WithSessionTimeout(4*time.Second), zk.WithConnectTimeout(500*time.Millisecond))
		for j := range 4 {
			wg.Go(func() {
				for n := 0; running.Load() && c.Err() == nil; n++ {
					// Now and then there is hardly any time, so that calls end at every stage.
					timeout := []time.Duration{5 * time.Second, 5 * time.Second, time.Millisecond, 20 * time.Microsecond}[n%4]
					log.create(ctx, c, fmt.Sprintf("/t-%d-%d-%d", i, j, n), timeout)
				}
			})
		}
	}
	for _, s := range members {
		time.Sleep(300 * time.Millisecond)
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := s.Restart(); err != nil {
			t.Error(err)
		}
		servers.Ready(t, s)
	}
	running.Store(false)
	wg.Wait()
	log.check(ctx, t, servers.Connect(t, ensemble))
}

// outcomes are what callers were told about their creates.
type outcomes struct {
	mu                      sync.Mutex
	done, refused, unknowns []string
}

func (o *outcomes) create(ctx context.Context, c *zk.Client, path string, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := c.Create(ctx, path, nil, zk.Persistent)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.done = append(o.done, path)
	case zk.Definite(err):
		o.refused = append(o.refused, path)
	default:
		o.unknowns = append(o.unknowns, path)
	}
}

func (o *outcomes) check(ctx context.Context, t *testing.T, c *zk.Client) {
	var children zk.ChildrenReply
	persist(ctx, t, func() error { _, err := c.Sync(ctx, "/"); return err })
	persist(ctx, t, func() (err error) { children, err = c.Children(ctx, "/"); return err })
	there := make(map[string]bool)
	for _, name := range children.Children {
		there["/"+name] = true
	}
	for _, path := range o.done {
		if !there[path] {
			t.Errorf("%s was created and is lost", path)
		}
	}
	for _, path := range o.refused {
		if there[path] {
			t.Errorf("%s is there though it certainly did not happen", path)
		}
	}
	happened := 0
	for _, path := range o.unknowns {
		if there[path] {
			happened++
		}
	}
	t.Logf("%d done, %d refused, %d unknown, of which %d happened", len(o.done), len(o.refused), len(o.unknowns), happened)
	if len(o.done) == 0 || len(o.refused) == 0 || len(o.unknowns) == 0 {
		t.Errorf("%d done, %d refused, %d unknown: each must occur", len(o.done), len(o.refused), len(o.unknowns))
	}
}

// persist makes a call again as long as it ends with its connection: on a busy machine
// members that were just started may elect another leader.
func persist(ctx context.Context, t *testing.T, call func() error) {
	t.Helper()
	err := call()
	for errors.Is(err, zk.ErrConnectionLoss) && ctx.Err() == nil {
		err = call()
	}
	if err != nil {
		t.Fatal(err)
	}
}
