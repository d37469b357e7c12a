package zk_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// addWatch sets a persistent watch and plays the server's part.
func (p *peer) addWatch(c *zk.Client, path string, mode zk.WatchMode, events chan zk.Event) {
	p.t.Helper()
	done := begin(func() error { _, err := c.AddWatch(p.t.Context(), path, mode, events); return err })
	var request jute.AddWatchRequest
	p.reply(p.request(jute.OpAddWatch, &request), 5, 0, &jute.ErrorResponse{})
	if err := <-done; err != nil || request.Path != "/root"+path || request.Mode != mode {
		p.t.Fatalf("AddWatch sent %+v and gave %v", request, err)
	}
}

// TestFullChannel loses events, says so once for each time, and goes on.
func TestFullChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newNetwork(t).connect()
		defer leave(c, p)
		events := make(chan zk.Event, 3)
		p.addWatch(c, "/a", zk.WatchPersistent, events)
		fire := func(count int) {
			for range count {
				p.event(zk.EventDataChanged, "/root/a")
			}
			synctest.Wait()
		}
		expect := func(want ...zk.EventType) {
			t.Helper()
			for _, kind := range want {
				e := await(t, events)
				if e.Type != kind || errors.Is(e.Err, zk.ErrEventsLost) != (kind == zk.EventNone) {
					t.Fatalf("event %+v, want type %d", e, kind)
				}
			}
			none(t, events)
		}
		fire(2)
		expect(zk.EventDataChanged, zk.EventDataChanged)
		fire(10)
		expect(zk.EventDataChanged, zk.EventDataChanged, zk.EventNone)
		fire(1)
		expect(zk.EventDataChanged)
	})
}

// TestPersistentReconnect sets persistent watches again and says that events may be lost.
func TestPersistentReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect()
		events := make(chan zk.Event, 10)
		p.addWatch(c, "/a", zk.WatchPersistent, events)
		p.addWatch(c, "/b", zk.WatchRecursive, events)
		none(t, events)
		p.conn.Close()
		p = n.accept()
		p.welcome(sessionID)
		var watches jute.SetWatches2
		xid := p.request(jute.OpSetWatches2, &watches)
		if xid != jute.XidSetWatches || !slices.Equal(watches.PersistentWatches, []string{"/root/a"}) ||
			!slices.Equal(watches.PersistentRecursiveWatches, []string{"/root/b"}) || watches.RelativeZxid != 5 {
			t.Errorf("setWatches2 %+v with xid %d", watches, xid)
		}
		p.reply(jute.XidSetWatches, 6, 0, nil)
		if e := await(t, events); e.Type != zk.EventNone || !errors.Is(e.Err, zk.ErrEventsLost) {
			t.Errorf("event %+v", e)
		}
		p.event(zk.EventCreated, "/root/b/c/d")
		if e := await(t, events); e.Type != zk.EventCreated || e.Path != "/b/c/d" {
			t.Errorf("event %+v", e)
		}
		none(t, events)
		leave(c, p)
		if e := <-events; e.Type != zk.EventNone || !errors.Is(e.Err, zk.ErrClosed) {
			t.Errorf("event at the end %+v", e)
		}
	})
}

// TestReconnectBetweenEvents loses the connection between the events of one transaction. The
// client comes back to servers that have it, and asks again for what else it did.
func TestReconnectBetweenEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect()
		for i, path := range []string{"/a", "/b"} {
			done := begin(func() error { _, _, err := c.GetW(t.Context(), path); return err })
			p.reply(p.request(jute.OpGetData, nil), int64(i+1), 0, &jute.GetDataResponse{})
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		p.reply(jute.XidNotification, 9, 0, &jute.WatcherEvent{Type: zk.EventDataChanged, State: jute.StateSyncConnected, Path: "/root/a"})
		synctest.Wait()
		p.conn.Close()
		p = n.accept()
		if request := p.welcome(sessionID); request.LastZxidSeen != 9 {
			t.Errorf("the client says that it has seen %d, want 9", request.LastZxidSeen)
		}
		var watches jute.SetWatches
		p.reply(p.request(jute.OpSetWatches, &watches), 9, 0, nil)
		if !slices.Equal(watches.DataWatches, []string{"/root/b"}) || watches.RelativeZxid != 8 {
			t.Errorf("setWatches %+v, want /root/b after 8", watches)
		}
		leave(c, p)
	})
}

// TestStrayEvents hands over what a server tells of a watch that has fired.
func TestStrayEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stray := make(chan zk.Event, 3)
		c, p := newNetwork(t).connect(zk.WithStrayEvents(func(event zk.Event) { stray <- event }))
		defer leave(c, p)
		var fires <-chan zk.Event
		done := begin(func() (err error) { _, fires, err = c.GetW(t.Context(), "/a"); return err })
		p.reply(p.request(jute.OpGetData, nil), 5, 0, &jute.GetDataResponse{})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.event(zk.EventDataChanged, "/root/a")
		if e := await(t, fires); e.Type != zk.EventDataChanged {
			t.Errorf("the watch saw %+v", e)
		}
		synctest.Wait()
		if len(stray) > 0 {
			t.Errorf("the event of a watch is stray: %+v", <-stray)
		}
		p.event(zk.EventDataChanged, "/root/a")
		if e := <-stray; e.Type != zk.EventDataChanged || e.Path != "/a" {
			t.Errorf("the stray event is %+v", e)
		}
	})
}

// TestRemoveRaces sets a watch while the path's only other one is being removed: the
// server ends both, so the new one must be set again.
func TestRemoveRaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newNetwork(t).connect()
		defer leave(c, p)
		events := make(chan zk.Event, 10)
		p.addWatch(c, "/a", zk.WatchPersistent, events)
		var second <-chan zk.Event
		setting := begin(func() (err error) { _, second, err = c.GetW(t.Context(), "/a"); return err })
		set := p.request(jute.OpGetData, nil)
		removing := begin(func() error { _, err := c.RemoveWatch(t.Context(), "/a", events, false); return err })
		remove := p.request(jute.OpRemoveWatches, nil)
		p.reply(set, 7, 0, &jute.GetDataResponse{})
		p.reply(remove, 8, 0, nil)
		for _, done := range []<-chan error{setting, removing} {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		next(t, events, zk.EventPersistentWatchRemoved, "/a")
		var again jute.SetWatches2
		p.reply(p.request(jute.OpSetWatches2, &again), 8, 0, nil)
		if !slices.Equal(again.DataWatches, []string{"/root/a"}) || len(again.PersistentWatches) > 0 || again.RelativeZxid != 8 {
			t.Errorf("setWatches2 %+v", again)
		}
		none(t, second)
	})
}

// TestManyWatches holds many watches in a bounded memory. A million take five times as
// much of everything.
func TestManyWatches(t *testing.T) {
	const watches, bytesEach = 200_000, 500
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	fire, frames := zk.WatchMany(watches)
	if used := (heap() - before) / watches; used > bytesEach {
		t.Errorf("%d bytes a watch", used)
	} else {
		t.Logf("%d bytes a watch", used)
	}
	paths := 0
	for _, frame := range frames() {
		if size := len(jute.Marshal(frame)); size > 129<<10 {
			t.Fatalf("a setWatches of %d bytes", size)
		}
		paths += len(frame.DataWatches)
	}
	if paths != watches {
		t.Errorf("%d watches are set again", paths)
	}
	start := time.Now()
	for i := range watches {
		if !fire(i) {
			t.Fatalf("watch %d did not fire", i)
		}
	}
	t.Logf("fired in %v", time.Since(start))
}

// TestNoGoroutineLeaks ends clients in every way.
func TestNoGoroutineLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 50 {
		c, err := zk.Connect(t.Context(), answerer(t, &jute.GetDataResponse{}), zk.WithRequestTimeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		c.SessionEvents(t.Context())
		if _, err := c.Get(t.Context(), "/a"); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			c.Detach()
		} else {
			_ = c.Close(t.Context())
		}
		unreachable, err := zk.New("127.0.0.1:1", zk.WithReadOnly())
		if err != nil {
			t.Fatal(err)
		}
		unreachable.Detach()
	}
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks)
		}
	}
}

// FuzzReplies lets a server send anything, with calls and a watch waiting: the client
// neither hangs nor panics, and every call ends.
func FuzzReplies(f *testing.F) {
	frame := func(xid int32, code jute.ErrorCode, body jute.Record) []byte {
		header := jute.ReplyHeader{Xid: xid, Zxid: 5, Err: code}
		b := header.Append(nil)
		if body != nil {
			b = body.Append(b)
		}
		return append(jute.AppendInt32(nil, int32(len(b))), b...)
	}
	event := frame(jute.XidNotification, 0, &jute.WatcherEvent{Type: zk.EventDataChanged, State: 3, Path: "/a"})
	data := frame(1, 0, &jute.GetDataResponse{Data: []byte("x")})
	f.Add(slices.Concat(event, data, frame(2, 0, &jute.GetChildren2Response{Children: []string{"a", "b"}})))
	f.Add(slices.Concat(data, event, frame(2, jute.CodeNoNode, nil), frame(3, 0, &jute.MultiResponse{})))
	f.Add([]byte(strings.Repeat("\xff", 40)))
	f.Add(slices.Concat(frame(jute.XidPing, 0, nil), frame(jute.XidAuth, 0, nil), frame(jute.XidSetWatches, 0, nil)))
	f.Fuzz(func(t *testing.T, stream []byte) {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			c, p := n.connect(zk.WithMaxReplySize(1<<16), zk.WithFailFast())
			var done []<-chan error
			for _, call := range []func() error{
				func() error { _, _, err := c.GetW(t.Context(), "/a"); return err },
				func() error { _, err := c.Children(t.Context(), "/a"); return err },
				func() error { _, err := c.Multi(t.Context(), zk.DeleteOp("/a", 1)); return err },
			} {
				done = append(done, begin(call))
				p.frame()
			}
			_, _ = p.conn.Write(stream)
			p.conn.Close()
			for _, ended := range done {
				<-ended
			}
			c.Detach()
		})
	})
}
