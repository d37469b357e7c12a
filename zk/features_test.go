package zk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/servers"
	"zoolab/zk"
	"zoolab/zk/jute"
)

// next takes the next event of a channel, which must come.
func next(t *testing.T, events <-chan zk.Event, kind zk.EventType, path string) {
	t.Helper()
	if e := await(t, events); e.Type != kind || e.Path != path {
		t.Fatalf("event %+v, want type %d of %s", e, kind, path)
	}
}

// none expects that no event is in the channel.
func none(t *testing.T, events <-chan zk.Event) {
	t.Helper()
	select {
	case e, open := <-events:
		t.Fatalf("unexpected event %+v (channel open: %t)", e, open)
	default:
	}
}

func TestKindsOfZnodes(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr)
		container, err := c.Create(ctx, "/c", []byte("x"), zk.Container)
		if err != nil || container.Path != "/c" || container.Stat.EphemeralOwner != 0 {
			t.Fatalf("Create of a container = %+v, %v", container, err)
		}
		const owner = 0        // servers show neither containers nor times to live there
		const live = time.Hour // longer than the test may take, or the server may remove the znode
		ttl, err := c.CreateTTL(ctx, "/ttl", nil, zk.TTL, live)
		if err != nil || ttl.Path != "/ttl" || ttl.Stat.EphemeralOwner != owner {
			t.Fatalf("CreateTTL = %+v, %v", ttl, err)
		}
		sequential, err := c.CreateTTL(ctx, "/c/s", nil, zk.TTLSequential, live)
		if err != nil || sequential.Path != "/c/s0000000000" || sequential.Stat.EphemeralOwner != owner {
			t.Fatalf("CreateTTL sequential = %+v, %v", sequential, err)
		}
		if n, _, err := c.AllChildrenNumber(ctx, "/c"); err != nil || n != 1 {
			t.Fatalf("AllChildrenNumber = %d, %v", n, err)
		}
		txn := c.Txn()
		made := txn.Add(zk.CreateTTLOp("/t", nil, zk.TTLSequential, live))
		contained := txn.Create("/c2", nil, zk.Container)
		set := txn.Set("/ttl", []byte("y"), 0)
		gone := txn.Delete("/c/s0000000000", zk.AnyVersion)
		if _, err := txn.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(made.Path, "/t0") || made.Err != nil || contained.Path != "/c2" ||
			set.Stat.Version != 1 || set.Stat.EphemeralOwner != owner || gone.Err != nil {
			t.Errorf("results %+v %+v %+v %+v", made, contained, set, gone)
		}
	})
}

// TestBadKinds is refused without a server.
func TestBadKinds(t *testing.T) {
	c, err := zk.New("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Create with TTL": func() error { _, err := c.Create(ctx, "/a", nil, zk.TTL); return err },
		"CreateTTL without TTL": func() error {
			_, err := c.CreateTTL(ctx, "/a", nil, zk.Persistent, time.Second)
			return err
		},
		"no time to live":   func() error { _, err := c.CreateTTL(ctx, "/a", nil, zk.TTL, 0); return err },
		"too long to live":  func() error { _, err := c.CreateTTL(ctx, "/a", nil, zk.TTL, 1<<40*time.Millisecond); return err },
		"CreateOp with TTL": func() error { _, err := c.Multi(ctx, zk.CreateOp("/a", nil, zk.TTL)); return err },
		"CreateTTLOp for ever": func() error {
			_, err := c.Multi(ctx, zk.CreateTTLOp("/a", nil, zk.TTL, -1))
			return err
		},
		"watch mode":    func() error { _, err := c.AddWatch(ctx, "/a", 2, make(chan zk.Event, 2)); return err },
		"watch channel": func() error { _, err := c.AddWatch(ctx, "/a", 0, make(chan zk.Event, 1)); return err },
		"watch type":    func() error { _, err := c.RemoveWatches(ctx, "/a", 4, false); return err },
		"watch path":    func() error { _, err := c.AddWatch(ctx, "a", 0, make(chan zk.Event, 2)); return err },
		"checked type":  func() error { _, err := c.CheckWatches(ctx, "/a", 0); return err },
	} {
		if err := call(); !errors.Is(err, zk.ErrBadArguments) || !zk.Definite(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.RemoveWatches(ctx, "/a", zk.WatchTypeAny, false); !errors.Is(err, zk.ErrNoWatcher) {
		t.Errorf("RemoveWatches without watches = %v", err)
	}
}

func TestMultiRead(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr)
		if _, err := c.Multi(ctx, zk.CreateOp("/r", []byte("x"), zk.Persistent), zk.CreateOp("/r/a", nil, zk.Persistent)); err != nil {
			t.Fatal(err)
		}
		reply, err := c.MultiRead(ctx, zk.GetOp("/r"), zk.GetOp("/none"), zk.ChildrenOp("/r"), zk.ChildrenOp("/none"))
		if err != nil || len(reply.Results) != 4 {
			t.Fatalf("MultiRead = %+v, %v", reply, err)
		}
		r := reply.Results
		if string(r[0].Data) != "x" || r[0].Stat.NumChildren != 1 || !errors.Is(r[1].Err, zk.ErrNoNode) ||
			!slices.Equal(r[2].Children, []string{"a"}) || !errors.Is(r[3].Err, zk.ErrNoNode) {
			t.Errorf("results %+v", r)
		}
	})
}

func TestIdentities(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr)
		if err := c.AddAuth(ctx, "digest", []byte("bob:builder")); err != nil {
			t.Fatal(err)
		}
		who, _, err := c.WhoAmI(ctx)
		if err != nil || !slices.Contains(who, zk.ClientInfo{AuthScheme: "digest", User: "bob"}) {
			t.Errorf("WhoAmI = %+v, %v", who, err)
		}
	})
}

func TestConfig(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr+"/chroot")
		if _, err := c.GetConfig(ctx); err != nil {
			t.Errorf("GetConfig = %v", err)
		}
		_, err := c.Reconfig(ctx, zk.Membership{Leaving: []string{"7"}}, zk.AnyConfig)
		var code jute.ErrorCode
		if !errors.As(err, &code) || !zk.Definite(err) {
			t.Errorf("Reconfig of a standalone server = %v", err)
		}
	})
}

// TestPersistentWatches sees every change of a znode and of a tree.
func TestPersistentWatches(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		root := servers.Connect(t, server.ClientAddr)
		if _, err := root.Create(ctx, "/app", nil, zk.Persistent); err != nil {
			t.Fatal(err)
		}
		c := servers.Connect(t, server.ClientAddr+"/app")
		node, tree := make(chan zk.Event, 100), make(chan zk.Event, 100)
		if _, err := c.AddWatch(ctx, "/p", zk.WatchPersistent, node); err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddWatch(ctx, "/", zk.WatchRecursive, tree); err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddWatch(ctx, "/p/x", zk.WatchRecursive, tree); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := root.Create(ctx, "/app/p", nil, zk.Persistent); err != nil {
				t.Fatal(err)
			}
			if _, err := root.Set(ctx, "/app/p", nil, zk.AnyVersion); err != nil {
				t.Fatal(err)
			}
			if _, err := root.Create(ctx, "/app/p/x", nil, zk.Persistent); err != nil {
				t.Fatal(err)
			}
			if _, err := root.Delete(ctx, "/app/p/x", zk.AnyVersion); err != nil {
				t.Fatal(err)
			}
			if _, err := root.Delete(ctx, "/app/p", zk.AnyVersion); err != nil {
				t.Fatal(err)
			}
			next(t, node, zk.EventCreated, "/p")
			next(t, node, zk.EventDataChanged, "/p")
			next(t, node, zk.EventChildrenChanged, "/p")
			next(t, node, zk.EventChildrenChanged, "/p")
			next(t, node, zk.EventDeleted, "/p")
			next(t, tree, zk.EventCreated, "/p")
			next(t, tree, zk.EventDataChanged, "/p")
			next(t, tree, zk.EventCreated, "/p/x")
			next(t, tree, zk.EventDeleted, "/p/x")
			next(t, tree, zk.EventDeleted, "/p")
		}
		if _, err := c.Sync(ctx, "/"); err != nil {
			t.Fatal(err)
		}
		none(t, node)
		none(t, tree)
	})
}

// TestRemoveWatches ends one channel's watch, then all of a type, and asks the server.
func TestRemoveWatches(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr)
		if _, err := c.Create(ctx, "/w", nil, zk.Persistent); err != nil {
			t.Fatal(err)
		}
		check := func(which zk.WatchType, there bool) {
			t.Helper()
			_, err := c.CheckWatches(ctx, "/w", which)
			if there && err != nil || !there && !errors.Is(err, zk.ErrNoWatcher) {
				t.Errorf("CheckWatches(%d) = %v", which, err)
			}
		}
		check(zk.WatchTypeAny, false)
		_, first, err := c.GetW(ctx, "/w")
		if err != nil {
			t.Fatal(err)
		}
		_, second, err := c.GetW(ctx, "/w")
		if err != nil {
			t.Fatal(err)
		}
		check(zk.WatchTypeData, true)
		check(zk.WatchTypeChildren, false)
		if _, err := c.RemoveWatch(ctx, "/w", first, false); err != nil {
			t.Fatal(err)
		}
		next(t, first, zk.EventDataWatchRemoved, "/w")
		none(t, second)
		check(zk.WatchTypeData, true)
		if _, err := c.RemoveWatch(ctx, "/w", first, false); !errors.Is(err, zk.ErrNoWatcher) {
			t.Errorf("RemoveWatch again = %v", err)
		}
		if _, err := c.RemoveWatches(ctx, "/w", zk.WatchTypeData, false); err != nil {
			t.Fatal(err)
		}
		next(t, second, zk.EventDataWatchRemoved, "/w")
		check(zk.WatchTypeAny, false)

		_, children, err := c.ChildrenW(ctx, "/w")
		if err != nil {
			t.Fatal(err)
		}
		kept, removed := make(chan zk.Event, 10), make(chan zk.Event, 10)
		for _, events := range []chan zk.Event{kept, removed} {
			if _, err := c.AddWatch(ctx, "/w", zk.WatchPersistent, events); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.RemoveWatch(ctx, "/w", removed, false); err != nil {
			t.Fatal(err)
		}
		next(t, removed, zk.EventPersistentWatchRemoved, "/w")
		if _, err := c.RemoveWatches(ctx, "/w", zk.WatchTypeChildren, false); err != nil {
			t.Fatal(err)
		}
		next(t, children, zk.EventChildWatchRemoved, "/w")
		if _, err := c.Set(ctx, "/w", nil, zk.AnyVersion); err != nil {
			t.Fatal(err)
		}
		next(t, kept, zk.EventDataChanged, "/w")
		if _, err := c.RemoveWatches(ctx, "/w", zk.WatchTypeAny, false); err != nil {
			t.Fatal(err)
		}
		next(t, kept, zk.EventPersistentWatchRemoved, "/w")
		check(zk.WatchTypeAny, false)
		none(t, removed)
	})
}

// TestWatchEvents expects each event once, however many watches see it, and in front of
// the answer that is as new.
func TestWatchEvents(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		var mu sync.Mutex
		var seen []string
		expect := func(want ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(seen, want) {
				t.Errorf("seen %q, want %q", seen, want)
			}
			seen = nil
		}
		c := servers.Connect(t, server.ClientAddr, zk.WithWatchEvents(func(event zk.Event) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprintf("%d %s", event.Type, event.Path))
		}))
		if _, err := c.Create(ctx, "/all", nil, zk.Persistent); err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddWatch(ctx, "/all", zk.WatchRecursive, make(chan zk.Event, 2)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, _, err := c.GetW(ctx, "/all"); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.ChildrenW(ctx, "/all"); err != nil {
			t.Fatal(err)
		}
		expect()
		if _, err := c.Set(ctx, "/all", []byte("x"), zk.AnyVersion); err != nil {
			t.Fatal(err)
		}
		expect("3 /all")
		if _, err := c.RemoveWatches(ctx, "/all", zk.WatchTypeAny, false); err != nil {
			t.Fatal(err)
		}
		expect("6 /all", "7 /all")
		if _, err := c.Delete(ctx, "/all", zk.AnyVersion); err != nil {
			t.Fatal(err)
		}
		expect()
	})
}
