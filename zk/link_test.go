package zk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// TestBrokenServers sends what no server may send: the connection ends, the call fails
// with the reason, and the client goes on with another connection.
func TestBrokenServers(t *testing.T) {
	stat := jute.Marshal(&jute.Stat{})
	reply := func(xid int32, body ...byte) []byte {
		header := jute.ReplyHeader{Xid: xid, Zxid: 5}
		frame := append(header.Append(nil), body...)
		return append(jute.AppendInt32(nil, int32(len(frame))), frame...)
	}
	event := reply(jute.XidNotification, jute.Marshal(&jute.WatcherEvent{Type: 99, Path: "/a"})...)
	for name, c := range map[string]struct {
		bytes  []byte
		reason string
	}{
		"negative length":        {[]byte{0xff, 0xff, 0xff, 0xfe}, "frame of -2 bytes"},
		"length above the limit": {[]byte{0x7f, 0, 0, 0}, "frame of 2130706432 bytes, at most 1000 allowed"},
		"short header":           {[]byte{0, 0, 0, 3, 1, 2, 3}, "reply header"},
		"wrong xid":              {reply(7), "xid 7, expected 1"},
		"truncated record":       {reply(1, stat[:20]...), "answer to setData"},
		"bytes behind a record":  {reply(1, append(slices.Clone(stat), 1)...), "1 bytes too many"},
		"unknown event":          {event, "event of type 99"},
		"truncated event":        {reply(jute.XidNotification, 0, 0), "watch event"},
		"auth that nobody asked": {reply(jute.XidAuth), "to nothing that was asked"},
		"refused setWatches": {func() []byte {
			header := jute.ReplyHeader{Xid: jute.XidSetWatches, Err: jute.CodeMarshallingError}
			return append(jute.AppendInt32(nil, 16), header.Append(nil)...)
		}(), "setWatches: marshalling error"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				client, p := n.connect(zk.WithMaxReplySize(1000))
				done := begin(func() error { _, err := client.Set(t.Context(), "/a", nil, 1); return err })
				p.request(jute.OpSetData, nil)
				_, _ = p.conn.Write(c.bytes)
				p.closed()
				err := <-done
				if !errors.Is(err, zk.ErrConnectionLoss) || !strings.Contains(err.Error(), c.reason) || !zk.Unknown(err) {
					t.Errorf("error %v, want a connection loss because of %q", err, c.reason)
				}
				p = n.accept()
				p.welcome(sessionID)
				go func() { p.reply(p.request(jute.OpGetData, nil), 6, jute.CodeNoNode, nil) }()
				if _, err := client.Get(t.Context(), "/a"); !errors.Is(err, zk.ErrNoNode) {
					t.Errorf("on the next connection: %v", err)
				}
				leave(client, p)
			})
		})
	}
	t.Run("an answer to nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			client, p := n.connect()
			p.reply(3, 5, 0, nil)
			p.closed()
			leave(client, n.accept())
		})
	})
}

// TestSlowServer delivers an answer byte by byte, each within the read timeout.
func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newNetwork(t).connect()
		defer leave(c, p)
		done := begin(func() error {
			got, err := c.Get(t.Context(), "/a")
			if string(got.Data) != "slow" {
				t.Errorf("Get = %q", got.Data)
			}
			return err
		})
		xid := p.request(jute.OpGetData, nil)
		pings := p.pingsOnly()
		defer pings()
		header := jute.ReplyHeader{Xid: xid, Zxid: 5}
		frame := (&jute.GetDataResponse{Data: []byte("slow")}).Append(header.Append(nil))
		for _, b := range append(jute.AppendInt32(nil, int32(len(frame))), frame...) {
			time.Sleep(5 * time.Second)
			if _, err := p.conn.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// pingsOnly reads pings without answering; the function that it returns ends it.
func (p *peer) pingsOnly() (stop func()) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			if _, err := p.tryFrame(); err != nil {
				return
			}
		}
	}()
	return func() { p.conn.Close(); <-stopped }
}

// TestPings measures the pings of an idle client, and how long it bears silence.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect()
		start := time.Now()
		times := p.pings()
		for i := range 3 {
			if at := (<-times).Sub(start); at != time.Duration(i+1)*sessionTimeout/3 {
				t.Errorf("ping %d after %v", i, at)
			}
		}
		p.conn.Close()
		p = n.accept()
		p.welcome(sessionID)
		start = time.Now()
		p.closed() // reads the ping, and answers nothing
		if silent := time.Since(start); silent != sessionTimeout*2/3 {
			t.Errorf("a silent server was given up after %v", silent)
		}
		leave(c, n.accept())
	})
}

// TestStuckServer sends events but reads nothing: the write is given up.
func TestStuckServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect()
		var talk sync.WaitGroup
		talk.Go(func() {
			for range 20 {
				time.Sleep(time.Second)
				p.event(zk.EventCreated, "/x")
			}
		})
		defer talk.Wait()
		start := time.Now()
		_, err := c.Set(t.Context(), "/a", nil, 0)
		if !errors.Is(err, zk.ErrConnectionLoss) || !zk.Unknown(err) || time.Since(start) != sessionTimeout*2/3 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		p.conn.Close()
		leave(c, n.accept())
	})
}

// TestReconnect checks what a new connection says before anything else: the session,
// the zxid that was seen, the credentials, the watches in frames of a bounded size;
// and that calls which were not sent follow.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var events []zk.SessionEvent
		c, p := n.connect(zk.WithSessionEvents(func(e zk.SessionEvent) { events = append(events, e) }))
		p.auth(t, c, "digest", "bob:builder")
		want := make(map[string]bool)
		for i := range 300 {
			path := fmt.Sprintf("/%d%s", i, strings.Repeat("x", 1000))
			want["/root"+path] = true
			done := begin(func() error { _, _, err := c.ExistsW(t.Context(), path); return err })
			p.reply(p.request(jute.OpExists, nil), int64(i), jute.CodeNoNode, nil)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		first := begin(func() error { _, err := c.Delete(t.Context(), "/sent", 0); return err })
		synctest.Wait()
		second := begin(func() error { _, err := c.Delete(t.Context(), "/queued", 0); return err })
		synctest.Wait()
		p.conn.Close()
		if err := <-first; !errors.Is(err, zk.ErrConnectionLoss) || !zk.Unknown(err) {
			t.Errorf("the call in flight: %v", err)
		}

		p = n.accept()
		request := p.welcome(sessionID)
		if request.SessionID != sessionID || string(request.Passwd) != "0123456789abcdef" || request.LastZxidSeen != 299 {
			t.Errorf("connect request %+v", request)
		}
		var auth jute.AuthPacket
		if xid := p.request(jute.OpAuth, &auth); xid != jute.XidAuth || string(auth.Auth) != "bob:builder" {
			t.Errorf("credential %+v with xid %d", auth, xid)
		}
		frames := 0
		for ; len(want) > 0; frames++ {
			var watches jute.SetWatches
			if xid := p.request(jute.OpSetWatches, &watches); xid != jute.XidSetWatches || watches.RelativeZxid != 299 {
				t.Errorf("setWatches with xid %d and zxid %d", xid, watches.RelativeZxid)
			}
			if size := len(jute.Marshal(&watches)); size > 129<<10 {
				t.Errorf("a setWatches of %d bytes", size)
			}
			for _, path := range watches.ExistWatches {
				if !want[path] {
					t.Errorf("watch on %.20s set twice or never", path)
				}
				delete(want, path)
			}
		}
		if frames != 3 {
			t.Errorf("%d setWatches frames, want 3", frames)
		}
		var queued jute.DeleteRequest
		xid := p.request(jute.OpDelete, &queued)
		if queued.Path != "/root/queued" {
			t.Errorf("the next call deletes %s", queued.Path)
		}
		p.reply(jute.XidAuth, 400, 0, nil)
		p.reply(jute.XidSetWatches, 400, 0, nil)
		p.reply(xid, 400, 0, nil)
		if err := <-second; err != nil {
			t.Errorf("the call that was queued: %v", err)
		}
		leave(c, p)
		var states []zk.State
		for _, e := range events {
			states = append(states, e.State)
		}
		if want := []zk.State{zk.StateConnecting, zk.StateConnected, zk.StateDisconnected, zk.StateConnected}; !slices.Equal(states[:4], want) || states[len(states)-1] != zk.StateClosed {
			t.Errorf("states %v", states)
		}
		if events[2].Err == nil || events[1].Session.ID != sessionID || events[1].Server != "server:2181" {
			t.Errorf("events %+v", events)
		}
	})
}

func (p *peer) auth(t *testing.T, c *zk.Client, scheme, auth string) {
	t.Helper()
	done := begin(func() error { return c.AddAuth(t.Context(), scheme, []byte(auth)) })
	p.request(jute.OpAuth, nil)
	p.reply(jute.XidAuth, 1, 0, nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestRefusedCredential is not presented again.
func TestRefusedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var reasons []error
		c, p := n.connect(zk.WithAuth("bad", []byte("x")), zk.WithAuth("good", []byte("y")),
			zk.WithSessionEvents(func(e zk.SessionEvent) { reasons = append(reasons, e.Err) }))
		p.request(jute.OpAuth, nil)
		p.request(jute.OpAuth, nil)
		p.reply(jute.XidAuth, 1, jute.CodeAuthFailed, nil)
		p.closed()
		p = n.accept()
		p.welcome(sessionID)
		var auth jute.AuthPacket
		if p.request(jute.OpAuth, &auth); auth.Scheme != "good" {
			t.Errorf("the client presents %q again", auth.Scheme)
		}
		p.reply(jute.XidAuth, 1, 0, nil)
		leave(c, p)
		if len(reasons) < 3 || !errors.Is(reasons[2], zk.ErrAuthFailed) {
			t.Errorf("events with %v", reasons)
		}
	})
}

// TestWatchBeforeAnswer delivers an event and an answer back to back.
func TestWatchBeforeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newNetwork(t).connect()
		var event <-chan zk.Event
		done := begin(func() (err error) { _, event, err = c.GetW(t.Context(), "/"); return err })
		p.reply(p.request(jute.OpGetData, nil), 5, 0, &jute.GetDataResponse{})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		done = begin(func() error { _, err := c.Get(t.Context(), "/"); return err })
		xid := p.request(jute.OpGetData, nil)
		p.event(zk.EventDataChanged, "/root")
		p.event(zk.EventDataChanged, "/root") // for nobody
		p.reply(xid, 6, 0, &jute.GetDataResponse{})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-event:
			if e != (zk.Event{Type: zk.EventDataChanged, Path: "/", Zxid: -1}) {
				t.Errorf("event %+v", e)
			}
		default:
			t.Error("the answer overtook the event")
		}
		// A watch whose caller has gone fires for nobody; one that is set at the end tells the end.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done = begin(func() error { _, _, err := c.ChildrenW(ctx, "/a"); return err })
		xid = p.request(jute.OpGetChildren2, nil)
		if err := <-done; zk.Unknown(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ChildrenW = %v", err)
		}
		p.reply(xid, 7, 0, &jute.GetChildren2Response{})
		p.event(zk.EventChildrenChanged, "/root/a")
		done = begin(func() (err error) { _, event, err = c.ExistsW(t.Context(), "/b"); return err })
		p.reply(p.request(jute.OpExists, nil), 8, jute.CodeNoNode, nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		leave(c, p)
		if e := <-event; e.Type != zk.EventNone || !errors.Is(e.Err, zk.ErrClosed) {
			t.Errorf("event at the end: %+v", e)
		}
		if _, open := <-event; open {
			t.Error("a second event")
		}
	})
}

// TestClose waits for what was asked before, and not forever.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newNetwork(t).connect()
		set := begin(func() error { _, err := c.Set(t.Context(), "/a", nil, 0); return err })
		synctest.Wait()
		closed := begin(func() error { return c.Close(t.Context()) })
		synctest.Wait()
		if _, err := c.Get(t.Context(), "/a"); !errors.Is(err, zk.ErrClosed) {
			t.Errorf("Get while closing = %v", err)
		}
		p.reply(p.request(jute.OpSetData, nil), 5, 0, &jute.SetDataResponse{})
		p.reply(p.request(jute.OpCloseSession, nil), 6, 0, nil)
		if err := <-set; err != nil {
			t.Error(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("Close again = %v", err)
		}
	})
	for name, cut := range map[string]bool{"silent": false, "cut": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := newNetwork(t).connect()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				closed := begin(func() error { return c.Close(ctx) })
				p.request(jute.OpCloseSession, nil)
				if cut {
					p.conn.Close()
				}
				if err := <-closed; !zk.Unknown(err) {
					t.Errorf("Close without an answer = %v", err)
				}
				if c.State() != zk.StateClosed {
					t.Errorf("state %v", c.State())
				}
				p.closed()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, p := newNetwork(t).connect()
		p.conn.Close()
		synctest.Wait()
		if err := c.Close(t.Context()); !errors.Is(err, zk.ErrDisconnected) || zk.Unknown(err) {
			t.Errorf("Close without a connection = %v", err)
		}
	})
}

// TestServers counts attempts: a dead server is passed by, all are tried in an order
// that the seed decides, and pauses grow.
func TestServers(t *testing.T) {
	attempts := func(t *testing.T, seed uint64, length time.Duration) (addresses []string) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), length)
			defer cancel()
			_, err := zk.Connect(ctx, "a,b,c:7,d", zk.WithRand(rand.New(rand.NewPCG(seed, 0))),
				zk.WithDialer(func(_ context.Context, _, address string) (net.Conn, error) {
					addresses = append(addresses, address)
					return nil, errors.New("refused")
				}))
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
				t.Errorf("Connect = %v", err)
			}
		})
		return addresses
	}
	first := attempts(t, 1, 10*time.Second)
	if again := attempts(t, 1, 10*time.Second); !slices.Equal(first, again) {
		t.Errorf("the same seed gave %v and %v", first, again)
	}
	round := slices.Sorted(slices.Values(first[:4]))
	if !slices.Equal(round, []string{"a:2181", "b:2181", "c:7", "d:2181"}) || !slices.Equal(first[:4], first[4:8]) {
		t.Errorf("attempts %v", first)
	}
	orders := make(map[string]bool)
	for seed := range uint64(20) {
		orders[strings.Join(attempts(t, seed, 50*time.Millisecond)[:1], "")] = true
	}
	if len(orders) != 4 {
		t.Errorf("20 seeds begin with %v", orders)
	}
}

// TestPauses expects the pauses between attempts to double up to a second.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var times []time.Time
		_, err := zk.Connect(ctx, "a", zk.WithDialer(func(context.Context, string, string) (net.Conn, error) {
			times = append(times, time.Now())
			return nil, errors.New("refused")
		}))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Connect = %v", err)
		}
		longest := 20 * time.Millisecond
		for i := 1; i < len(times); i++ {
			if pause := times[i].Sub(times[i-1]); pause < longest/2 || pause > longest {
				t.Errorf("pause %d was %v, want %v to %v", i, pause, longest/2, longest)
			}
			longest = min(longest*2, time.Second)
		}
		if len(times) < 10 {
			t.Errorf("%d attempts in 10 s", len(times))
		}
	})
}

// TestHungServer accepts and says nothing; the next server is tried in time.
func TestHungServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		done := make(chan *zk.Client)
		go func() {
			c, err := zk.Connect(t.Context(), "a,b,c", zk.WithDialer(n.dial), zk.WithSessionTimeout(sessionTimeout))
			if err != nil {
				t.Error(err)
			}
			done <- c
		}()
		start := time.Now()
		hung := n.accept()
		p := n.accept()
		if waited := time.Since(start); waited < sessionTimeout/3 || waited > sessionTimeout/3+time.Second {
			t.Errorf("the next server was tried after %v", waited)
		}
		hung.closed()
		if p.address == hung.address {
			t.Errorf("%s was tried twice", p.address)
		}
		p.welcome(sessionID)
		leave(<-done, p)
	})
}

// TestConnectRefused covers answers to the connect request that grant nothing.
func TestConnectRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		session := zk.Session{ID: 7, Password: []byte("0123456789abcdef"), LastZxid: 55}
		done := begin(func() error {
			_, err := zk.Connect(t.Context(), "a", zk.WithDialer(n.dial), zk.WithSession(session))
			return err
		})
		p := n.accept()
		p.send([]byte("garbage"))
		p.closed()
		p = n.accept()
		p.conn.Close()
		p = n.accept()
		if request := p.welcome(0); request.SessionID != 7 || request.LastZxidSeen != 55 {
			t.Errorf("connect request %+v", request)
		}
		if err := <-done; !errors.Is(err, zk.ErrSessionExpired) {
			t.Errorf("Connect = %v", err)
		}
	})
}

// TestRequestSize refuses what a server would drop the connection for, to the byte.
func TestRequestSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const overhead = 8 + 4 + len("/root/a") + 4 + 4
		c, p := newNetwork(t).connect(zk.WithMaxRequestSize(overhead + 10))
		defer leave(c, p)
		if _, err := c.Set(t.Context(), "/a", make([]byte, 11), 0); !errors.Is(err, zk.ErrRequestTooLarge) || !zk.Definite(err) {
			t.Errorf("Set of a byte too much = %v", err)
		}
		done := begin(func() error { _, err := c.Set(t.Context(), "/a", make([]byte, 10), 0); return err })
		p.reply(p.request(jute.OpSetData, nil), 5, 0, &jute.SetDataResponse{})
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
