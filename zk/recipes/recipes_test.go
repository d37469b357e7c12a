package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/servers"
	"zoolab/zk"
	"zoolab/zk/recipes"
)

func TestMain(m *testing.M) { servers.Main(m) }

// proxy carries connections to a server and cuts them, in the middle of whatever they
// carry, when it is told to.
type proxy struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	conns []net.Conn
	down  bool
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server}
	t.Cleanup(func() { listener.Close(); p.cut() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.carry(conn)
		}
	}()
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return
	}
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	go func() { defer client.Close(); _, _ = io.Copy(client, server) }()
	_, _ = io.Copy(server, client)
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

// setDown cuts all connections and refuses new ones until it is told otherwise.
func (p *proxy) setDown(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	if down {
		p.cut()
	}
}

// cutOften cuts the connections again and again until the test stops it, each time after a
// somewhat longer pause: where the machine is so slow that connections are cut before they are
// of use, they become so.
func (p *proxy) cutOften(every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-time.After(every):
				p.cut()
				every += every / 10
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// resource refuses who is not the newest holder, and counts holders.
type resource struct {
	mu      sync.Mutex
	holders int
	newest  int64
	visits  int
}

func (r *resource) enter(t *testing.T, token int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if token <= r.newest {
		t.Errorf("token %#x after %#x", token, r.newest)
	}
	r.newest = max(r.newest, token)
	r.holders++
	r.visits++
	if r.holders > 1 {
		t.Errorf("%d holders at a time", r.holders)
	}
}

func (r *resource) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holders--
}

const contenders = 20

// TestMutex lets many sessions contend while their connections are cut.
func TestMutex(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		p := newProxy(t, server.ClientAddr)
		var guarded resource
		var wg sync.WaitGroup
		for range contenders {
			c := servers.Connect(t, p.addr())
			wg.Go(func() {
				mutex := recipes.NewMutex(c, "/locks/mutex")
				for range 5 {
					lock, err := mutex.Lock(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					guarded.enter(t, lock.Token())
					time.Sleep(2 * time.Millisecond)
					select {
					case <-lock.Lost():
						t.Error("lost without a reason")
					default:
					}
					guarded.leave()
					if err := lock.Unlock(ctx); err != nil {
						t.Error(err)
					}
					<-lock.Lost()
				}
			})
		}
		stop := p.cutOften(70 * time.Millisecond)
		wg.Wait()
		stop()
		if guarded.visits != contenders*5 {
			t.Errorf("%d visits", guarded.visits)
		}
		empty(ctx, t, servers.Connect(t, server.ClientAddr), "/locks/mutex")
	})
}

// empty waits until nothing is below a path but the markers of clients that live.
func empty(ctx context.Context, t *testing.T, c *zk.Client, path string) {
	t.Helper()
	for {
		children, err := c.Children(ctx, path)
		left := slices.DeleteFunc(children.Children, func(name string) bool { return strings.HasPrefix(name, "change-") })
		if errors.Is(err, zk.ErrNoNode) || err == nil && len(left) == 0 {
			return
		}
		if err != nil {
			t.Fatalf("%v; below %s are %q", err, path, left)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestTryLock(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		a, b := servers.Connect(t, server.ClientAddr), servers.Connect(t, server.ClientAddr+"/locks")
		held, err := recipes.NewMutex(a, "/locks/try").TryLock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		other := recipes.NewMutex(b, "/try")
		if _, err := other.TryLock(ctx); !errors.Is(err, recipes.ErrBusy) {
			t.Fatalf("TryLock of a held lock = %v", err)
		}
		waiting, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := other.Lock(waiting); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Lock of a held lock = %v", err)
		}
		if err := held.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
		empty(ctx, t, a, "/locks/try")
		again, err := other.TryLock(ctx)
		if err != nil || again.Token() <= held.Token() {
			t.Fatalf("TryLock of a free lock = %+v, %v", again, err)
		}
		if err := again.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
		if err := again.Unlock(ctx); err != nil {
			t.Errorf("Unlock again = %v", err)
		}
	})
}

// TestLost loses a lock in each way that there is.
func TestLost(t *testing.T) {
	for name, lose := range map[string]func(ctx context.Context, c *zk.Client, p *proxy, lock *recipes.Lock) error{
		"the znode is deleted": func(ctx context.Context, c *zk.Client, _ *proxy, lock *recipes.Lock) error {
			_, err := c.Delete(ctx, lock.Path(), zk.AnyVersion)
			return err
		},
		"the client is closed": func(ctx context.Context, c *zk.Client, _ *proxy, _ *recipes.Lock) error { return c.Close(ctx) },
		"the servers are out of reach": func(_ context.Context, _ *zk.Client, p *proxy, _ *recipes.Lock) error {
			p.setDown(true)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			servers.Each(t, func(t *testing.T, server *apache.Server) {
				ctx := servers.Deadline(t)
				p := newProxy(t, server.ClientAddr)
				// Short, to be waited for, and still longer than the test may stand still on a busy machine.
				c := servers.Connect(t, p.addr(), zk.WithSessionTimeout(5*time.Second))
				lock, err := recipes.NewMutex(c, "/locks/lost").Lock(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if err := lose(ctx, c, p, lock); err != nil {
					t.Fatal(err)
				}
				select {
				case <-lock.Lost():
				case <-ctx.Done():
					t.Fatal("the loss was not noticed")
				}
				if c.Err() == nil && c.State() == zk.StateDisconnected && time.Now().Before(c.AliveUntil()) {
					t.Error("lost before the session can have expired")
				}
				next, err := recipes.NewMutex(servers.Connect(t, server.ClientAddr), "/locks/lost").Lock(ctx)
				if err != nil || next.Token() <= lock.Token() {
					t.Errorf("the next holder: %+v, %v", next, err)
				}
			})
		})
	}
}

// TestRWMutex expects readers together, writers alone, while connections are cut.
func TestRWMutex(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		p := newProxy(t, server.ClientAddr)
		var mu sync.Mutex
		readers, writers, together := 0, 0, 0
		change := func(r, w int) {
			mu.Lock()
			defer mu.Unlock()
			readers, writers = readers+r, writers+w
			together = max(together, readers)
			if writers > 1 || writers == 1 && readers > 0 {
				t.Errorf("%d writers and %d readers", writers, readers)
			}
		}
		var wg sync.WaitGroup
		for i := range contenders {
			c := servers.Connect(t, p.addr())
			wg.Go(func() {
				m := recipes.NewRWMutex(c, "/locks/rw")
				acquire, r, w := m.RLock, 1, 0
				if i%4 == 0 {
					acquire, r, w = m.Lock, 0, 1
				}
				for range 3 {
					lock, err := acquire(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					change(r, w)
					time.Sleep(5 * time.Millisecond)
					change(-r, -w)
					if err := lock.Unlock(ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
		stop := p.cutOften(100 * time.Millisecond)
		wg.Wait()
		stop()
		if together < 2 {
			t.Error("readers were never together")
		}
		c := servers.Connect(t, server.ClientAddr)
		m := recipes.NewRWMutex(c, "/locks/rw")
		reader, err := m.RLock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.TryLock(ctx); !errors.Is(err, recipes.ErrBusy) {
			t.Errorf("TryLock beside a reader = %v", err)
		}
		second, err := m.TryRLock(ctx)
		if err != nil {
			t.Fatalf("TryRLock beside a reader = %v", err)
		}
		for _, lock := range []*recipes.Lock{reader, second} {
			if err := lock.Unlock(ctx); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestElection has each candidate lead once, under rising epochs, as an observer sees.
func TestElection(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		p := newProxy(t, server.ClientAddr)
		watcher := recipes.NewElection(servers.Connect(t, p.addr()), "/election")
		if _, err := watcher.Leader(ctx); !errors.Is(err, recipes.ErrNoLeader) {
			t.Errorf("Leader = %v", err)
		}
		observing, stopObserving := context.WithCancel(ctx)
		leaders := watcher.Observe(observing)
		var guarded resource
		var wg sync.WaitGroup
		for i := range contenders {
			c := servers.Connect(t, p.addr())
			wg.Go(func() {
				election := recipes.NewElection(c, "/election")
				lead, err := election.Campaign(ctx, fmt.Appendf(nil, "candidate %d", i))
				if err != nil {
					t.Error(err)
					return
				}
				guarded.enter(t, lead.Epoch())
				leader, err := election.Leader(ctx)
				if err != nil || leader.Epoch != lead.Epoch() || string(leader.Data) != fmt.Sprintf("candidate %d", i) {
					t.Errorf("Leader = %+v, %v", leader, err)
				}
				guarded.leave()
				if err := lead.Resign(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		stop := p.cutOften(70 * time.Millisecond)
		wg.Wait()
		stop()
		c := servers.Connect(t, server.ClientAddr)
		last, err := recipes.NewElection(c, "/election").Campaign(ctx, []byte("last"))
		if err != nil {
			t.Fatal(err)
		}
		var epoch int64
		for leader := range leaders {
			if leader.Epoch <= epoch {
				t.Errorf("epoch %#x after %#x", leader.Epoch, epoch)
			}
			if epoch = leader.Epoch; epoch == last.Epoch() {
				break
			}
		}
		stopObserving()
		if epoch != last.Epoch() {
			t.Errorf("the observer saw %#x last, not %#x", epoch, last.Epoch())
		}
	})
}
