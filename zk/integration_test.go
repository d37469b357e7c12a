package zk_test

import (
	"bytes"
	"context"
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
)

func TestOperations(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr)
		created, err := c.Create(ctx, "/a", []byte("one"), zk.Persistent)
		if err != nil || created.Path != "/a" || created.Zxid != created.Stat.Czxid || created.Zxid == 0 {
			t.Fatalf("Create = %+v, %v", created, err)
		}
		set, err := c.Set(ctx, "/a", []byte("two"), 0)
		if err != nil || set.Stat.Version != 1 || set.Zxid != set.Stat.Mzxid || set.Zxid <= created.Zxid {
			t.Fatalf("Set = %+v, %v", set, err)
		}
		got, err := c.Get(ctx, "/a")
		if err != nil || string(got.Data) != "two" || got.Stat != set.Stat || got.Zxid < set.Zxid {
			t.Fatalf("Get = %+v, %v", got, err)
		}
		refused, err := c.Set(ctx, "/a", nil, 0)
		var op *zk.OpError
		if !errors.Is(err, zk.ErrBadVersion) || !errors.As(err, &op) || !zk.Definite(err) || op.Zxid <= set.Zxid || refused.Zxid != op.Zxid {
			t.Fatalf("Set of an old version = %+v, %v (zxid %d after %d)", refused, err, op.Zxid, set.Zxid)
		}
		if _, err := c.Create(ctx, "/a", nil, zk.Persistent); !errors.Is(err, zk.ErrNodeExists) {
			t.Fatalf("Create again = %v", err)
		}
		for want := range 2 {
			seq, err := c.Create(ctx, "/a/s-", nil, zk.EphemeralSequential)
			if err != nil || seq.Path != fmt.Sprintf("/a/s-%010d", want) || seq.Stat.EphemeralOwner != c.Session().ID {
				t.Fatalf("Create sequential = %+v, %v", seq, err)
			}
		}
		children, err := c.Children(ctx, "/a")
		slices.Sort(children.Children)
		if err != nil || !slices.Equal(children.Children, []string{"s-0000000000", "s-0000000001"}) || children.Stat.NumChildren != 2 {
			t.Fatalf("Children = %+v, %v", children, err)
		}
		if _, err := c.Create(ctx, "/a/s-0000000000/x", nil, zk.Persistent); !errors.Is(err, zk.ErrNoChildrenForEphemerals) {
			t.Fatalf("child of an ephemeral = %v", err)
		}
		if _, err := c.Delete(ctx, "/a", zk.AnyVersion); !errors.Is(err, zk.ErrNotEmpty) {
			t.Fatalf("Delete of a parent = %v", err)
		}
		if _, err := c.Sync(ctx, "/a"); err != nil {
			t.Fatal(err)
		}
		if e, err := c.Exists(ctx, "/none"); err != nil || e.Exists || e.Zxid == 0 {
			t.Fatalf("Exists = %+v, %v", e, err)
		}
		if _, err := c.Get(ctx, "/none"); err == nil || err.Error() != "getData /none: no node" {
			t.Fatalf("Get = %v", err)
		}
		if n, _, err := c.AllChildrenNumber(ctx, "/a"); err != nil || n != 2 {
			t.Fatalf("AllChildrenNumber = %d, %v", n, err)
		}
		paths, _, err := c.GetEphemerals(ctx, "/a")
		slices.Sort(paths)
		if err != nil || !slices.Equal(paths, []string{"/a/s-0000000000", "/a/s-0000000001"}) {
			t.Fatalf("GetEphemerals = %q, %v", paths, err)
		}
		empty, err := c.Create(ctx, "/null", nil, zk.Persistent)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(ctx, "/null"); err != nil || got.Data != nil || got.Stat != empty.Stat {
			t.Fatalf("Get of null data = %+v, %v", got, err)
		}
	})
}

func TestACL(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr)
		secret := zk.DigestACL(zk.PermAll, "bob", "builder")
		if _, err := c.Create(ctx, "/secret", []byte("x"), zk.Persistent, secret...); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, "/secret"); !errors.Is(err, zk.ErrNoAuth) {
			t.Fatalf("Get without a credential = %v", err)
		}
		if err := c.AddAuth(ctx, "digest", []byte("bob:builder")); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(ctx, "/secret"); err != nil || string(got.Data) != "x" {
			t.Fatalf("Get = %+v, %v", got, err)
		}
		acl, err := c.GetACL(ctx, "/secret")
		if err != nil || !slices.Equal(acl.ACL, secret) {
			t.Fatalf("GetACL = %+v, %v", acl, err)
		}
		set, err := c.SetACL(ctx, "/secret", zk.WorldACL(zk.PermRead), 0)
		if err != nil || set.Stat.Aversion != 1 {
			t.Fatalf("SetACL = %+v, %v", set, err)
		}
		if _, err := c.Set(ctx, "/secret", nil, zk.AnyVersion); !errors.Is(err, zk.ErrNoAuth) {
			t.Fatalf("Set of a read-only znode = %v", err)
		}
		auth := servers.Connect(t, server.ClientAddr, zk.WithAuth("digest", []byte("eve:1")))
		if _, err := auth.Create(ctx, "/eve", nil, zk.Persistent, zk.AuthACL(zk.PermAll)...); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, "/eve"); !errors.Is(err, zk.ErrNoAuth) {
			t.Fatalf("Get of another's znode = %v", err)
		}
		if err := auth.AddAuth(ctx, "nonsense", nil); !errors.Is(err, zk.ErrAuthFailed) && !errors.Is(err, zk.ErrConnectionLoss) {
			t.Fatalf("AddAuth of an unknown scheme = %v", err)
		}
		_, err = auth.Get(ctx, "/eve")
		for errors.Is(err, zk.ErrConnectionLoss) { // the server closes the connection after its refusal
			_, err = auth.Get(ctx, "/eve")
		}
		if err != nil {
			t.Fatalf("Get after a refused credential and a reconnect = %v", err)
		}
	})
}

func TestMulti(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr)
		done, err := c.Multi(ctx,
			zk.CreateOp("/m", []byte("a"), zk.Persistent),
			zk.CreateOp("/m/s", nil, zk.PersistentSequential),
			zk.SetOp("/m", []byte("b"), 0),
			zk.CheckOp("/m", 1),
			zk.DeleteOp("/m/s0000000000", zk.AnyVersion))
		if err != nil || len(done.Results) != 5 || done.Results[1].Path != "/m/s0000000000" ||
			done.Results[2].Stat.Version != 1 || done.Results[2].Stat.Mzxid != done.Zxid {
			t.Fatalf("Multi = %+v, %v", done, err)
		}
		failed, err := c.Multi(ctx,
			zk.SetOp("/m", []byte("c"), 1),
			zk.CheckOp("/m", 7),
			zk.DeleteOp("/m", zk.AnyVersion))
		if !errors.Is(err, zk.ErrBadVersion) || !zk.Definite(err) || len(failed.Results) != 3 ||
			failed.Results[0].Err != nil || !errors.Is(failed.Results[1].Err, zk.ErrBadVersion) ||
			!errors.Is(failed.Results[2].Err, zk.ErrNotTried) {
			t.Fatalf("Multi = %+v, %v", failed, err)
		}
		if got, err := c.Get(ctx, "/m"); err != nil || string(got.Data) != "b" {
			t.Fatalf("after a failed multi: %+v, %v", got, err)
		}
	})
}

func TestChroot(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		root := servers.Connect(t, server.ClientAddr)
		if _, err := root.Create(ctx, "/app", []byte("top"), zk.Persistent); err != nil {
			t.Fatal(err)
		}
		c := servers.Connect(t, server.ClientAddr+"/app")
		if got, err := c.Get(ctx, "/"); err != nil || string(got.Data) != "top" {
			t.Fatalf("Get / = %+v, %v", got, err)
		}
		_, event, err := c.ExistsW(ctx, "/x")
		if err != nil {
			t.Fatal(err)
		}
		created, err := c.Create(ctx, "/x", nil, zk.EphemeralSequential)
		if err != nil || created.Path != "/x0000000000" {
			t.Fatalf("Create = %+v, %v", created, err)
		}
		if _, err := root.Create(ctx, "/app/x", nil, zk.Persistent); err != nil {
			t.Fatal(err)
		}
		if e := await(t, event); e.Type != zk.EventCreated || e.Path != "/x" {
			t.Fatalf("event %+v", e)
		}
		if paths, _, err := c.GetEphemerals(ctx, "/"); err != nil || !slices.Equal(paths, []string{"/x0000000000"}) {
			t.Fatalf("GetEphemerals = %q, %v", paths, err)
		}
		results, err := c.Multi(ctx, zk.CreateOp("/y", nil, zk.Persistent))
		if err != nil || results.Results[0].Path != "/y" {
			t.Fatalf("Multi = %+v, %v", results, err)
		}
		if e, err := root.Exists(ctx, "/app/y"); err != nil || !e.Exists {
			t.Fatalf("Exists = %+v, %v", e, err)
		}
	})
}

// TestWatches fires each kind, and expects the event to be there before newer data is.
func TestWatches(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c, other := servers.Connect(t, server.ClientAddr), servers.Connect(t, server.ClientAddr)
		if _, err := other.Create(ctx, "/w", nil, zk.Persistent); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Sync(ctx, "/w"); err != nil {
			t.Fatal(err)
		}
		_, children, err := c.ChildrenW(ctx, "/w")
		if err != nil {
			t.Fatal(err)
		}
		_, exists, err := c.ExistsW(ctx, "/w")
		if err != nil {
			t.Fatal(err)
		}
		_, data, err := c.GetW(ctx, "/w")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Set(ctx, "/w", []byte("new"), 0); err != nil {
			t.Fatal(err)
		}
		for {
			got, err := c.Get(ctx, "/w")
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Data) == "new" {
				break
			}
		}
		for name, events := range map[string]<-chan zk.Event{"data": data, "exists": exists} {
			select {
			case e := <-events:
				if e.Type != zk.EventDataChanged || e.Path != "/w" {
					t.Errorf("%s watch: %+v", name, e)
				}
			default:
				t.Errorf("%s watch: new data was seen before the event", name)
			}
			if _, open := <-events; open {
				t.Errorf("the %s watch fired twice", name)
			}
		}
		if _, err := other.Create(ctx, "/w/c", nil, zk.Persistent); err != nil {
			t.Fatal(err)
		}
		if e := await(t, children); e.Type != zk.EventChildrenChanged || e.Path != "/w" {
			t.Errorf("children watch: %+v", e)
		}
		_, deleted, err := c.ChildrenW(ctx, "/w/c")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Delete(ctx, "/w/c", zk.AnyVersion); err != nil {
			t.Fatal(err)
		}
		if e := await(t, deleted); e.Type != zk.EventDeleted || e.Path != "/w/c" {
			t.Errorf("children watch of a deleted znode: %+v", e)
		}
		if _, _, err := c.GetW(ctx, "/none"); !errors.Is(err, zk.ErrNoNode) {
			t.Errorf("GetW of nothing = %v", err)
		}
	})
}

// TestRestart kills the server: calls wait for its return, the session lives on, and
// watches fire for what another session changed meanwhile.
func TestRestart(t *testing.T) {
	servers.EachOwn(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		var mu sync.Mutex
		var states []zk.State
		c := servers.Connect(t, server.ClientAddr, zk.WithSessionEvents(func(e zk.SessionEvent) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, e.State)
		}))
		if _, err := c.Create(ctx, "/r", nil, zk.Ephemeral); err != nil {
			t.Fatal(err)
		}
		var events []<-chan zk.Event
		// Enough paths for several setWatches requests.
		prefix := "/" + strings.Repeat("p", 1000)
		for i := range 300 {
			_, event, err := c.ExistsW(ctx, fmt.Sprintf("%s%d", prefix, i))
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, event)
		}
		session := c.Session()
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		failing, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		if _, err := c.Set(failing, "/r", nil, zk.AnyVersion); err == nil {
			t.Fatal("a killed server answered")
		}
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		servers.Ready(t, server)
		if got, err := c.Get(ctx, "/r"); err != nil || got.Stat.EphemeralOwner != session.ID {
			t.Fatalf("Get after the restart = %+v, %v", got, err)
		}
		if now := c.Session(); now.ID != session.ID || !bytes.Equal(now.Password, session.Password) {
			t.Fatalf("the session was %+v and is %+v", session, now)
		}
		other := servers.Connect(t, server.ClientAddr)
		for _, i := range []int{0, 299} {
			if _, err := other.Create(ctx, fmt.Sprintf("%s%d", prefix, i), nil, zk.Ephemeral); err != nil {
				t.Fatal(err)
			}
			if e := await(t, events[i]); e.Type != zk.EventCreated {
				t.Errorf("watch %d: %+v", i, e)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if want := []zk.State{zk.StateConnecting, zk.StateConnected, zk.StateDisconnected, zk.StateConnected}; !slices.Equal(states, want) {
			t.Errorf("states %v, want %v", states, want)
		}
	})
}

// TestSessions attaches to a session, closes it, and finds it gone.
func TestSessions(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		first := servers.Connect(t, server.ClientAddr)
		if _, err := first.Create(ctx, "/e", nil, zk.Ephemeral); err != nil {
			t.Fatal(err)
		}
		session := first.Detach()
		if _, err := first.Get(ctx, "/e"); !errors.Is(err, zk.ErrClosed) || !zk.Definite(err) {
			t.Fatalf("Get of a detached client = %v", err)
		}
		second := servers.Connect(t, server.ClientAddr, zk.WithSession(session))
		got, err := second.Get(ctx, "/e")
		if err != nil || got.Stat.EphemeralOwner != session.ID || second.Session().ID != session.ID {
			t.Fatalf("Get = %+v, %v", got, err)
		}
		if err := second.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if second.State() != zk.StateClosed {
			t.Errorf("state %v", second.State())
		}
		if _, err := zk.Connect(ctx, server.ClientAddr, zk.WithSession(session)); !errors.Is(err, zk.ErrSessionExpired) {
			t.Fatalf("Connect to a closed session = %v", err)
		}
		other := servers.Connect(t, server.ClientAddr)
		if e, err := other.Exists(ctx, "/e"); err != nil || e.Exists {
			t.Fatalf("the ephemeral of a closed session: %+v, %v", e, err)
		}
	})
}

// TestManyCallers shares a session and expects every answer at its caller.
func TestManyCallers(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *apache.Server) {
		ctx := servers.Deadline(t)
		c := servers.Connect(t, server.ClientAddr, zk.WithMaxPending(16))
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				path, data := fmt.Sprintf("/n%d", i), bytes.Repeat([]byte{byte(i)}, 100*i)
				if _, err := c.Create(ctx, path, data, zk.Persistent); err != nil {
					t.Error(err)
				}
				for range 20 {
					if got, err := c.Get(ctx, path); err != nil || !bytes.Equal(got.Data, data) {
						t.Errorf("Get %s = %d bytes, %v", path, len(got.Data), err)
					}
				}
			})
		}
		wg.Wait()
		large := make([]byte, 900<<10)
		if _, err := c.Set(ctx, "/n0", large, zk.AnyVersion); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(ctx, "/n0"); err != nil || !bytes.Equal(got.Data, large) {
			t.Fatalf("Get of a large znode = %d bytes, %v", len(got.Data), err)
		}
		if _, err := c.Set(ctx, "/n0", make([]byte, 1<<20), zk.AnyVersion); !errors.Is(err, zk.ErrRequestTooLarge) || !zk.Definite(err) {
			t.Fatalf("Set of too much = %v", err)
		}
	})
}

func await(t *testing.T, events <-chan zk.Event) zk.Event {
	t.Helper()
	select {
	case e, open := <-events:
		if !open {
			t.Fatal("the watch's channel is closed without an event")
		}
		return e
	case <-time.After(time.Minute):
		t.Fatal("the watch did not fire in a minute")
	}
	return zk.Event{}
}
