package mixedtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"zoolab/zk"
)

// load is sessions that write all the time, each one at a time, and write down what was
// acknowledged. Each session holds an ephemeral znode and must not be lost.
type load struct {
	t       *testing.T
	stop    context.CancelFunc
	done    sync.WaitGroup
	clients []*zk.Client
	count   atomic.Int64

	mu           sync.Mutex
	acknowledged map[string]string // data by path
}

func startLoad(t *testing.T, addrs, root string, sessions int) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{t: t, stop: stop, acknowledged: make(map[string]string)}
	t.Cleanup(func() { stop(); l.done.Wait() })
	for w := range sessions {
		c := super(t, addrs)
		if w == 0 {
			if _, err := c.Create(within(t), root, nil, zk.Persistent); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Create(within(t), fmt.Sprintf("%s/owner-%d", root, w), nil, zk.Ephemeral); err != nil {
			t.Fatal(err)
		}
		l.clients = append(l.clients, c)
		l.done.Go(func() { l.write(ctx, c, fmt.Sprintf("%s/%d", root, w)) })
	}
	return l
}

// write creates a znode and changes it, again and again, under new names. A change that is
// asked again after its answer was lost would hide what a lost one means, so none is.
func (l *load) write(ctx context.Context, c *zk.Client, prefix string) {
	for i := 0; ctx.Err() == nil; i++ {
		path := fmt.Sprintf("%s-%d", prefix, i)
		if _, err := c.Create(ctx, path, []byte("created"), zk.Persistent); err != nil {
			if errors.Is(err, zk.ErrSessionExpired) {
				l.t.Errorf("a session was lost: %v", err)
				return
			}
			continue
		}
		l.acknowledge(path, "created")
		_, err := c.Set(ctx, path, []byte("set"), 0)
		switch {
		case err == nil:
			l.acknowledge(path, "set")
		case zk.Unknown(err):
			l.forget(path)
		}
	}
}

func (l *load) acknowledge(path, data string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged[path] = data
	l.count.Add(1)
}

// forget is for a znode whose data is not known.
func (l *load) forget(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.acknowledged, path)
}

// more waits until so many more writes were acknowledged.
func (l *load) more(writes int64) {
	l.t.Helper()
	from := l.count.Load()
	await(l.t, "the load goes on", func() bool { return l.count.Load() >= from+writes })
}

// end stops the writers, ends their sessions, and gives what was acknowledged.
func (l *load) end() map[string]string {
	l.t.Helper()
	l.stop()
	l.done.Wait()
	for _, c := range l.clients {
		bye(l.t, c)
	}
	return l.acknowledged
}
