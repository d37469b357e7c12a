package servetest

import (
	"context"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

// TestLocalSessions compares what clients with local sessions see at a leader and at a
// follower, of Apache's and of ours, with and without upgrades.
func TestLocalSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several servers; run without -short")
	}
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	for name, settings := range map[string]map[string]string{
		"without upgrades": {"localSessionsEnabled": "true"},
		"with upgrades":    {"localSessionsEnabled": "true", "localSessionsUpgradingEnabled": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			java, ours := startLocal(t, settings), startLocal(t, settings, nodeBinary, "serve")
			for _, modes := range [][2]string{{"leader", "follower"}, {"follower", "leader"}} {
				var lines [2][]string
				for i, servers := range [][]*apache.Server{java, ours} {
					s := newScript(t, byMode(t, servers, modes[0]).ClientAddr)
					localSessions(s, byMode(t, servers, modes[1]).ClientAddr)
					lines[i] = s.lines
				}
				t.Log(modes[0])
				compare(t, lines[0], lines[1])
			}
			for _, mode := range []string{"leader", "follower"} {
				want, got := byMode(t, java, mode), byMode(t, ours, mode)
				s := newScript(t, want.ClientAddr)
				stay(s)
				s.addr = got.ClientAddr
				stay(s)
				awaitMetric(t, want, "zk_local_sessions", "1")
				awaitMetric(t, got, "zk_local_sessions", "1")
				for _, word := range []string{"dump", "cons", "srvr"} {
					compareWord(t, word, want, got)
				}
			}
		})
	}
}

// stay opens a session that stays, and lets it read.
func stay(s *script) {
	s.connect("stay").do("read", jute.OpExists, &jute.ExistsRequest{Path: "/"}, &jute.ExistsResponse{})
}

// awaitMetric waits for a value in mntr.
func awaitMetric(t *testing.T, s *apache.Server, name, want string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, values := parseMetrics(t, ask(t, s, "mntr"))
		if values[name] == want {
			return
		} else if time.Now().After(end) {
			t.Fatalf("%s is %q, not %q", name, values[name], want)
		}
	}
}

// startLocal starts an ensemble of three with settings; without a command it is Apache's.
func startLocal(t *testing.T, settings map[string]string, command ...string) []*apache.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cfg := apache.Config{HeapMB: 128, Command: command, Extra: settings}
	servers, err := apache.StartEnsemble(ctx, t.TempDir(), cfg, cfg, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apache.StopAll(servers) })
	return servers
}

// localSessions lets one client do what it may, and may not, with a session that its server
// alone knows, unless and until that is upgraded. It leaves no znodes behind.
func localSessions(s *script, elsewhere string) {
	again := func(name, addr string, of *wire) *wire {
		here := s.addr
		defer func() { s.addr = here }()
		s.addr = addr
		w := s.dial(name)
		w.handshake("taken up again", &jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{
			TimeoutMs: 10000, SessionID: of.session.SessionID, Passwd: of.session.Passwd,
		}})
		return w
	}
	w := s.connect("w")
	w.create("/l", "one")
	w.do("set", jute.OpSetData, &jute.SetDataRequest{Path: "/l", Data: []byte("two"), Version: -1}, &jute.SetDataResponse{})
	w.do("sync", jute.OpSync, &jute.SyncRequest{Path: "/l"}, &jute.SyncResponse{})
	w.do("sequential", jute.OpCreate, createReq("/l/s", "", jute.ModePersistentSequential), &jute.CreateResponse{})
	w.do("failing", jute.OpDelete, &jute.DeleteRequest{Path: "/none", Version: -1}, nil)
	again("elsewhere", elsewhere, w)
	back := again("back", s.addr, w)
	_, err := w.read()
	w.end("the old connection", err)
	back.do("get", jute.OpGetData, &jute.GetDataRequest{Path: "/l"}, &jute.GetDataResponse{})

	back.do("ephemeral", jute.OpCreate, createReq("/l/e", "", jute.ModeEphemeral), &jute.CreateResponse{})
	back.do("ephemeral of nothing", jute.OpCreate, createReq("/none/e", "", jute.ModeEphemeral), &jute.CreateResponse{})
	back.do("sequential ephemeral", jute.OpCreate2, createReq("/l/e", "", jute.ModeEphemeralSequential), &jute.Create2Response{})
	back.do("ephemerals", jute.OpGetEphemerals, &jute.GetEphemeralsRequest{PrefixPath: "/"}, &jute.GetEphemeralsResponse{})
	back.close()
	again("after close", s.addr, back)

	m := s.connect("m")
	m.do("multi", jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
		{Type: jute.OpSetData, Record: &jute.SetDataRequest{Path: "/l", Version: -1}},
		{Type: jute.OpCreate2, Record: createReq("/l/m", "", jute.ModeEphemeral)},
		{Type: jute.OpCheck, Record: &jute.CheckVersionRequest{Path: "/l", Version: -1}},
	}}, &jute.MultiResponse{})
	m.do("children", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/l"}, &jute.GetChildrenResponse{})
	m.close()

	n := s.connect("n")
	n.do("what is left", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/l"}, &jute.GetChildrenResponse{})
	n.do("its stat", jute.OpExists, &jute.ExistsRequest{Path: "/l"}, &jute.ExistsResponse{})
	n.delete("/l/s0000000000", "/l")
	n.close()
}
