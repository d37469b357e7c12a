package zk_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/servers"
	"zoolab/zk"
	"zoolab/zk/jute"
	"zoolab/zk/sasl"
)

// grant answers the connect request as a read-only server does, or as one with a quorum.
func (p *peer) grant(id int64, readOnly bool) jute.ReadOnlyConnectRequest {
	p.t.Helper()
	var request jute.ReadOnlyConnectRequest
	if err := jute.Unmarshal(p.frame(), &request); err != nil {
		p.t.Fatal(err)
	}
	response := jute.ReadOnlyConnectResponse{HasReadOnly: true, ReadOnly: readOnly}
	response.SessionID, response.Passwd = id, []byte("0123456789abcdef")
	response.TimeoutMs = int32(sessionTimeout.Milliseconds())
	p.send(jute.Marshal(&response))
	return request
}

// states takes the next states of a session's events.
func states(t *testing.T, events <-chan zk.SessionEvent, want ...zk.State) (last zk.SessionEvent) {
	t.Helper()
	for _, state := range want {
		select {
		case last = <-events:
			if last.State != state {
				t.Fatalf("state %v, want %v", last.State, state)
			}
		case <-time.After(time.Hour):
			t.Fatalf("no state, want %v", state)
		}
	}
	return last
}

// TestReadOnly connects to a server without a quorum, looks for another meanwhile, and
// asks that one for a session of its own, since no other server knows the first.
func TestReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, err := zk.New("server", zk.WithDialer(n.dial), zk.WithReadOnly(), zk.WithSessionTimeout(sessionTimeout))
		if err != nil {
			t.Fatal(err)
		}
		events := c.SessionEvents(t.Context())
		first := n.accept()
		if request := first.grant(77, true); !request.ReadOnly || request.SessionID != 0 {
			t.Errorf("connect request %+v", request)
		}
		states(t, events, zk.StateConnecting, zk.StateConnectedReadOnly)
		if err := c.WaitForConnection(t.Context()); err != nil || c.State() != zk.StateConnectedReadOnly {
			t.Errorf("state %v, %v", c.State(), err)
		}
		// The search asks for a quorum. This server still has none, the next one has.
		second := n.accept()
		second.conn.Close()
		third := n.accept()
		if request := third.grant(sessionID, false); request.ReadOnly || request.SessionID != 0 {
			t.Errorf("connect request of the search %+v", request)
		}
		first.closed()
		states(t, events, zk.StateDisconnected, zk.StateConnected)
		if c.Session().ID != sessionID {
			t.Errorf("session %#x", c.Session().ID)
		}
		// Back to a read-only server: the session stays, for it is known.
		third.conn.Close()
		fourth := n.accept()
		if request := fourth.grant(99, true); request.SessionID != sessionID {
			t.Errorf("connect request %+v", request)
		}
		states(t, events, zk.StateDisconnected, zk.StateConnectedReadOnly)
		if c.Session().ID != sessionID {
			t.Errorf("session %#x", c.Session().ID)
		}
		fifth := n.accept()
		if request := fifth.welcome(0); request.SessionID != sessionID {
			t.Errorf("connect request of the search %+v", request)
		}
		states(t, events, zk.StateDisconnected, zk.StateExpired)
		if _, open := <-events; open {
			t.Error("an event after the last")
		}
		<-c.Done()
		if !errors.Is(c.Err(), zk.ErrSessionExpired) {
			t.Errorf("Err = %v", c.Err())
		}
	})
}

// TestSessionEvents drops the oldest events of who does not read, and ends with ctx.
func TestSessionEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect()
		ctx, cancel := context.WithCancel(t.Context())
		ended, lazy := c.SessionEvents(ctx), c.SessionEvents(t.Context())
		states(t, ended, zk.StateConnected)
		cancel()
		if _, open := <-ended; open {
			t.Error("the channel is not closed")
		}
		for range 100 {
			p.conn.Close()
			p = n.accept()
			p.welcome(sessionID)
		}
		synctest.Wait()
		leave(c, p)
		var seen []zk.State
		for e := range lazy {
			seen = append(seen, e.State)
		}
		if len(seen) != 64 || seen[63] != zk.StateClosed || seen[61] != zk.StateConnected {
			t.Errorf("%d states, the last %v", len(seen), seen[len(seen)-3:])
		}
		if e := <-c.SessionEvents(t.Context()); e.State != zk.StateClosed || e.Err == nil {
			t.Errorf("event of an ended session %+v", e)
		}
	})
}

// TestWaitForConnection ends with the session, and with its context.
func TestWaitForConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, err := zk.New("server", zk.WithDialer(n.dial))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.WaitForConnection(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitForConnection = %v", err)
		}
		if !c.AliveUntil().IsZero() {
			t.Errorf("AliveUntil = %v without a session", c.AliveUntil())
		}
		done := begin(func() error { return c.WaitForConnection(t.Context()) })
		c.Detach()
		if err := <-done; !errors.Is(err, zk.ErrClosed) {
			t.Errorf("WaitForConnection of a closed client = %v", err)
		}
	})
}

// TestAliveUntil counts from the sending of the newest request that was answered.
func TestAliveUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect()
		start := time.Now()
		expect := func(after time.Duration) {
			t.Helper()
			if got := c.AliveUntil().Sub(start); got != after+sessionTimeout {
				t.Errorf("alive until %v, want %v", got, after+sessionTimeout)
			}
		}
		expect(0)
		time.Sleep(time.Second)
		done := begin(func() error { return c.AddAuth(t.Context(), "digest", []byte("a:b")) })
		p.request(jute.OpAuth, nil)
		p.reply(jute.XidAuth, 1, 0, nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		get := func(answerAfter time.Duration) {
			done := begin(func() error { _, err := c.Exists(t.Context(), "/a"); return err })
			xid := p.request(jute.OpExists, nil)
			time.Sleep(answerAfter)
			p.reply(xid, 1, jute.CodeNoNode, nil)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		get(time.Second)
		expect(2 * time.Second)
		get(0)
		expect(3 * time.Second)
		times := p.pings()
		sent := <-times
		synctest.Wait()
		expect(sent.Sub(start))
		leave(c, p)
	})
}

func TestRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newNetwork(t).connect(zk.WithRequestTimeout(time.Second))
		defer leave(c, p)
		done := begin(func() error { _, err := c.Delete(t.Context(), "/a", 0); return err })
		p.request(jute.OpDelete, nil)
		if err := <-done; !errors.Is(err, zk.ErrRequestTimeout) || !zk.Unknown(err) {
			t.Errorf("Delete = %v", err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("mine"))
		defer cancel()
		if _, err := c.Get(ctx, "/a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get = %v", err)
		}
	})
}

// TestUpdateServers leaves a server that is no longer listed, and only then.
func TestUpdateServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect()
		events := c.SessionEvents(t.Context())
		states(t, events, zk.StateConnected)
		if err := c.UpdateServers("server,server/root"); err != nil {
			t.Fatal(err)
		}
		if err := c.UpdateServers("server/elsewhere"); !errors.Is(err, zk.ErrBadArguments) {
			t.Errorf("another chroot: %v", err)
		}
		synctest.Wait()
		if c.State() != zk.StateConnected {
			t.Errorf("state %v", c.State())
		}
		if err := c.UpdateServers("other:7"); err != nil {
			t.Fatal(err)
		}
		p.closed()
		p = n.accept()
		p.welcome(sessionID)
		if e := states(t, events, zk.StateDisconnected, zk.StateConnected); e.Server != "other:7" {
			t.Errorf("connected to %s", e.Server)
		}
		leave(c, p)
	})
}

// TestRebalance moves many clients from one list of servers to another and expects
// the load to be even, with clients of the servers that stay moved only where needed.
func TestRebalance(t *testing.T) {
	const clients = 6000
	for name, lists := range map[string][2][]string{
		"one more":         {{"a", "b", "c"}, {"a", "b", "c", "d"}},
		"one less":         {{"a", "b", "c"}, {"a", "b"}},
		"one replaced":     {{"a", "b", "c"}, {"a", "b", "d"}},
		"two of four stay": {{"a", "b", "c", "d"}, {"a", "b", "e"}},
		"all new":          {{"a", "b"}, {"c", "d", "e"}},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := lists[0], lists[1]
			load, moves := make(map[string]int), 0
			rng := rand.New(rand.NewPCG(1, 2))
			for i := range clients {
				server := before[i%len(before)]
				if next, moved := zk.Rebalance(rng, before, after, server); moved {
					moves++
					server = next
				}
				load[server]++
			}
			fair := clients / len(after)
			for _, server := range after {
				if load[server] < fair*9/10 || load[server] > fair*11/10 {
					t.Errorf("load %v, want %d each", load, fair)
				}
			}
			needed := 0
			for _, server := range before {
				if had := clients / len(before); !slices.Contains(after, server) {
					needed += had
				} else if had > fair {
					needed += had - fair
				}
			}
			if moves > needed*11/10 {
				t.Errorf("%d clients moved, %d had to", moves, needed)
			}
		})
	}
}

// TestSASL plays the server of the exchange, with the right password and a wrong one.
func TestSASL(t *testing.T) {
	for name, known := range map[string]string{"right": "secret", "wrong": "other"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				c, err := zk.New("server", zk.WithDialer(n.dial), zk.WithSASL("alice", "secret"))
				if err != nil {
					t.Fatal(err)
				}
				events := c.SessionEvents(t.Context())
				p := n.accept()
				p.welcome(sessionID)
				p.saslServer(known)
				if name == "right" {
					states(t, events, zk.StateConnecting, zk.StateSaslAuthenticated, zk.StateConnected)
					leave(c, p)
					return
				}
				states(t, events, zk.StateConnecting, zk.StateAuthFailed)
				if _, err := c.Get(t.Context(), "/"); !errors.Is(err, zk.ErrAuthFailed) || !zk.Definite(err) {
					t.Errorf("Get = %v", err)
				}
			})
		})
	}
	t.Run("cut", func(t *testing.T) { // says nothing of the password: the next server is asked
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			c, err := zk.New("server", zk.WithDialer(n.dial), zk.WithSASL("alice", "secret"))
			if err != nil {
				t.Fatal(err)
			}
			p := n.accept()
			p.welcome(sessionID)
			p.request(jute.OpSASL, nil)
			p.conn.Close()
			p = n.accept()
			p.welcome(sessionID)
			p.saslServer("secret")
			if err := c.WaitForConnection(t.Context()); err != nil {
				t.Error(err)
			}
			leave(c, p)
		})
	})
}

// saslServer carries out the exchange with who claims to be alice.
func (p *peer) saslServer(password string) {
	p.t.Helper()
	server := sasl.NewServer(sasl.ServerConfig{Protocol: sasl.ClientProtocol, Realm: sasl.ClientRealm,
		Password: func(user string) (string, bool) { return password, user == "alice" }}, make([]byte, sasl.NonceBytes))
	for range 2 {
		var request jute.GetSASLRequest
		xid := p.request(jute.OpSASL, &request)
		token, err := server.Step(request.Token)
		if err != nil {
			p.reply(xid, 0, jute.CodeAuthFailed, &jute.SetSASLResponse{})
			return
		}
		p.reply(xid, 0, 0, &jute.SetSASLResponse{Token: token})
	}
	if !server.Done() {
		p.t.Error("the exchange has not ended")
	}
}

// TestSASLWithApache authenticates with the original.
func TestSASLWithApache(t *testing.T) {
	cfg := servers.Config(t, "apache")
	dir := t.TempDir()
	jaas := filepath.Join(dir, "jaas.conf")
	text := "Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_alice=\"secret\"; };\n"
	if err := os.WriteFile(jaas, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.JavaFlags = []string{"-Djava.security.auth.login.config=" + jaas,
		"-Dzookeeper.authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"}
	server := servers.Start(t, dir, cfg)
	ctx := servers.Deadline(t)
	alice := servers.Connect(t, server.ClientAddr, zk.WithSASL("alice", "secret"))
	mine := []zk.ACL{{Perms: zk.PermAll, ID: jute.ID{Scheme: "sasl", ID: "alice"}}}
	if _, err := alice.Create(ctx, "/mine", []byte("x"), zk.Persistent, mine...); err != nil {
		t.Fatal(err)
	}
	if _, err := servers.Connect(t, server.ClientAddr).Get(ctx, "/mine"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("Get of another's znode = %v", err)
	}
	if _, err := alice.Get(ctx, "/mine"); err != nil {
		t.Errorf("Get = %v", err)
	}
	_, err := zk.Connect(ctx, server.ClientAddr, zk.WithSASL("alice", "wrong"))
	if !errors.Is(err, zk.ErrAuthFailed) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Connect with a wrong password = %v", err)
	}
}

// TestReadOnlyServers takes the quorum away from ensembles of both kinds and gives it back.
// The client is one that the ensemble does not know yet: the servers refuse others.
func TestReadOnlyServers(t *testing.T) {
	t.Run("node", func(t *testing.T) {
		cfg := servers.Config(t, "node")
		cfg.Extra = map[string]string{"readonlymode.enabled": "true"}
		readOnlyServers(t, cfg)
	})
	t.Run("apache", func(t *testing.T) {
		cfg := servers.Config(t, "apache")
		cfg.JavaFlags = []string{"-Dreadonlymode.enabled=true"}
		// Its read-only servers grant local sessions only.
		cfg.Extra = map[string]string{"localSessionsEnabled": "true"}
		readOnlyServers(t, cfg)
	})
}

func readOnlyServers(t *testing.T, cfg apache.Config) {
	cfg.TickTimeMs = 1000 // members that stand still for some seconds still belong to the quorum
	if cfg.Extra == nil {
		cfg.Extra = map[string]string{}
	}
	cfg.Extra["maxSessionTimeout"] = "60000" // and the client's session lives on
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	members, err := apache.StartEnsemble(ctx, t.TempDir(), cfg, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer apache.StopAll(members)
	writer := servers.Connect(t, members[0].ClientAddr)
	persist(ctx, t, func() error {
		_, err := writer.Create(ctx, "/r", []byte("x"), zk.Persistent)
		if errors.Is(err, zk.ErrNodeExists) {
			return nil // made by a call that lost its connection
		}
		return err
	})
	if err := members[1].Kill(); err != nil {
		t.Fatal(err)
	}
	for mode := ""; mode != "read-only"; time.Sleep(50 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("the member that is left says that it is %q, not read-only", mode)
		}
		mode, _ = apache.Mode(members[0].ClientAddr)
	}
	c, err := zk.Connect(ctx, members[0].ClientAddr+","+members[1].ClientAddr, zk.WithReadOnly(), zk.WithSessionTimeout(time.Minute), zk.WithConnectTimeout(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	if c.State() != zk.StateConnectedReadOnly {
		t.Errorf("state %v", c.State())
	}
	if got, err := c.Get(ctx, "/r"); err != nil || string(got.Data) != "x" {
		t.Errorf("Get = %+v, %v", got, err)
	}
	if _, err := c.Set(ctx, "/r", nil, zk.AnyVersion); !errors.Is(err, zk.ErrNotReadOnly) || !zk.Definite(err) {
		t.Errorf("Set = %v", err)
	}
	if err := members[1].Restart(); err != nil {
		t.Fatal(err)
	}
	awaitState(ctx, t, c, zk.StateConnected)
	persist(ctx, t, func() error { _, err := c.Set(ctx, "/r", []byte("y"), zk.AnyVersion); return err })
}

func awaitState(ctx context.Context, t *testing.T, c *zk.Client, want ...zk.State) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var seen []string
	for e := range c.SessionEvents(ctx) {
		if seen = append(seen, e.State.String()); slices.Contains(want, e.State) {
			return
		}
	}
	t.Fatalf("no state %v after %s", want, strings.Join(seen, ", "))
}
