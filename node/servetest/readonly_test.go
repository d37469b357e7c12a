package servetest

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

// TestReadOnlyMode takes the quorum away from a member of Apache's and from one of ours, and
// gives it back. What clients and operators see meanwhile is the same, but for the sessions
// of clients that Apache's read-only server would grant only as local ones.
func TestReadOnlyMode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several servers; run without -short")
	}
	if err := apache.AdminAvailable(); err != nil {
		t.Skip(err)
	}
	settings := map[string]string{"readonlymode.enabled": "true", "localSessionsEnabled": "true", "localSessionsUpgradingEnabled": "true"}
	java, javaAdmin := startTwo(t, settings)
	ours, oursAdmin := startTwo(t, settings, nodeBinary, "serve")
	want, got := newScript(t, java[0].ClientAddr), newScript(t, ours[0].ClientAddr)
	for _, each := range []struct {
		*script
		members []*apache.Server
	}{{want, java}, {got, ours}} {
		readOnly(each.script, each.members[0], each.members[1])
	}
	compare(t, want.lines, got.lines)
	stay := []*wire{want.readOnly("stay", 0, nil), got.readOnly("stay", 0, nil)}
	for _, w := range stay {
		w.do("read", jute.OpExists, &jute.ExistsRequest{Path: "/r"}, nil)
	}
	compareReadOnlyWords(t, java[0], ours[0])
	names := slices.DeleteFunc(commandsOf(t, oursAdmin), func(name string) bool {
		// Apache's read-only server answers some as if it knew of no ensemble.
		return slices.Contains(append(later, "initial_configuration", "voting_view", "zabstate", "monitor"), name)
	})
	compareCommands(t, javaAdmin, oursAdmin, names)
	readOnlyShells(t, java[0], ours[0])
	for i, members := range [][]*apache.Server{java, ours} {
		if err := members[1].Restart(); err != nil {
			t.Fatal(err)
		}
		awaitWord(t, members[0], "isro", "rw")
		stay[i].awaitEnd(t)
	}
}

// readOnlyShells reads and tries to write with both shells, as -r lets them.
func readOnlyShells(t *testing.T, java, ours *apache.Server) {
	t.Helper()
	ownShell := func(addr string, command ...string) (string, error) {
		output, err := exec.CommandContext(t.Context(), nodeBinary, append([]string{"cli", "-server", addr}, command...)...).CombinedOutput()
		return string(output), err
	}
	javaShell := func(addr string, command ...string) (string, error) {
		return apache.RunCLI(t.Context(), addr, command...)
	}
	for _, try := range []struct {
		server *apache.Server
		shell  func(addr string, command ...string) (string, error)
	}{{java, ownShell}, {ours, ownShell}, {ours, javaShell}} {
		if output, err := try.shell(try.server.ClientAddr, "-r", "get", "/r"); err != nil || !strings.Contains(output, "one\n") {
			t.Errorf("get prints %q, %v", output, err)
		}
		if output, err := try.shell(try.server.ClientAddr, "-r", "set", "/r", "two"); err == nil || !strings.Contains(output, "Not a read-only call: /r") {
			t.Errorf("set prints %q, %v", output, err)
		}
	}
}

// startTwo starts an ensemble of two and returns the address of the first one's AdminServer,
// too; without a command it is Apache's.
func startTwo(t *testing.T, settings map[string]string, command ...string) ([]*apache.Server, string) {
	t.Helper()
	extra, address := adminOf(t)
	maps.Copy(extra, settings)
	first := apache.Config{HeapMB: 128, TickTimeMs: 500, Command: command, Extra: extra, JavaFlags: []string{"-Dreadonlymode.enabled=true"}}
	second := first
	second.Extra = settings
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	servers, err := apache.StartEnsemble(ctx, t.TempDir(), first, second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apache.StopAll(servers) })
	return servers, address
}

// awaitWord waits for an answer.
func awaitWord(t *testing.T, s *apache.Server, word, want string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if got, _ := apache.Command(s.ClientAddr, word); got == want {
			return
		} else if time.Now().After(end) {
			t.Fatalf("%s is %q, not %q", word, got, want)
		}
	}
}

// compareReadOnlyWords compares words: but for the membership, which Apache's read-only
// server doesn't tell, and the order of mntr.
func compareReadOnlyWords(t *testing.T, java, ours *apache.Server) {
	t.Helper()
	for _, word := range allWords {
		switch word {
		case "conf":
			got, _, _ := strings.Cut(ask(t, ours, word), "membership: \n")
			if want, got := shape(word, ask(t, java, word)), shape(word, got); got != want {
				t.Errorf("conf answers\n%s\nApache:\n%s", got, want)
			}
		case "mntr":
			awaitAgreement(t, func() string { return metricNamesDiffer(t, ask(t, java, word), ask(t, ours, word)) })
		default:
			compareWord(t, word, java, ours)
		}
	}
}

// metricNamesDiffer compares what mntr shows, and the values that say what mode it is.
func metricNamesDiffer(t *testing.T, java, ours string) string {
	t.Helper()
	var differences []string
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	theirNames, theirs := parseMetrics(t, java)
	names, values := parseMetrics(t, ours)
	for _, name := range append(theirNames, names...) {
		_, a := theirs[name]
		_, b := values[name]
		if a != b && !noCounterpart.MatchString(name) {
			differ("mntr: %s is shown by Apache: %v, by us: %v", name, a, b)
		}
	}
	for _, name := range []string{"zk_server_state", "zk_local_sessions", "zk_global_sessions"} {
		if values[name] != theirs[name] {
			differ("mntr: %s is %s, Apache's %s", name, values[name], theirs[name])
		}
	}
	return strings.Join(differences, "\n")
}

// readOnly is the handshake of a client that is content with a read-only server, for a new
// session or that of another connection.
func (s *script) readOnly(name string, session int64, password []byte) *wire {
	s.t.Helper()
	if password == nil {
		password = make([]byte, 16)
	}
	w := s.dial(name)
	w.handshake("connect", &jute.ReadOnlyConnectRequest{HasReadOnly: true, ReadOnly: true, ConnectRequest: jute.ConnectRequest{
		TimeoutMs: 10000, SessionID: session, Passwd: password,
	}})
	return w
}

// readOnly makes a member lose its quorum, and asks it all kinds of things.
func readOnly(s *script, member, other *apache.Server) {
	t := s.t
	w := s.connect("w")
	// Ahead of all else, so that Apache's local session becomes the ensemble's at once.
	w.do("ephemeral", jute.OpCreate, createReq("/e", "", jute.ModeEphemeral), &jute.CreateResponse{})
	w.create("/r", "one")
	if err := other.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := w.read()
	w.end("the quorum is lost", err)
	awaitWord(t, member, "isro", "ro")

	connect := func(name string, request jute.ReadOnlyConnectRequest) {
		request.Passwd, request.TimeoutMs = make([]byte, 16), 6000
		s.dial(name).handshake("connect", &request)
	}
	connect("writer", jute.ReadOnlyConnectRequest{HasReadOnly: true})
	connect("old client", jute.ReadOnlyConnectRequest{})
	connect("ahead", jute.ReadOnlyConnectRequest{HasReadOnly: true, ReadOnly: true, ConnectRequest: jute.ConnectRequest{LastZxidSeen: 1 << 60}})
	s.readOnly("the ensemble's session", w.session.SessionID, w.session.Passwd)
	s.readOnly("unknown session", 99, nil)

	r := s.readOnly("r", 0, nil)
	r.reads()
	for _, write := range writes {
		r.do("write "+write.op.String(), write.op, write.body, nil)
	}
	r.do("after the writes", jute.OpExists, &jute.ExistsRequest{Path: "/r"}, &jute.ExistsResponse{})
	again := s.readOnly("again", r.session.SessionID, r.session.Passwd)
	_, err = r.read()
	r.end("the old connection", err)
	again.do("read", jute.OpGetData, &jute.GetDataRequest{Path: "/r"}, &jute.GetDataResponse{})
	again.conn.Close()
	s.readOnly("wrong password", r.session.SessionID, nil)
	last := s.readOnly("last", r.session.SessionID, r.session.Passwd)
	last.do("read", jute.OpGetData, &jute.GetDataRequest{Path: "/r"}, &jute.GetDataResponse{})
	last.close()
	s.readOnly("after close", r.session.SessionID, r.session.Passwd)
}

// writes are what a read-only server refuses.
var writes = []struct {
	op   jute.OpCode
	body jute.Record
}{
	{jute.OpCreate, createReq("/n", "", 0)},
	{jute.OpCreate2, createReq("/n", "", 0)},
	{jute.OpCreateContainer, container("/n")},
	{jute.OpCreateTTL, ttlReq("/n", jute.ModeTTL, 1000)},
	{jute.OpDelete, &jute.DeleteRequest{Path: "/r", Version: -1}},
	{jute.OpSetData, &jute.SetDataRequest{Path: "/r", Version: -1}},
	{jute.OpSetACL, &jute.SetACLRequest{Path: "/r", ACL: open, Version: -1}},
	{jute.OpCheck, &jute.CheckVersionRequest{Path: "/r", Version: -1}},
	{jute.OpSync, &jute.SyncRequest{Path: "/"}},
	{jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{{Type: jute.OpCheck, Record: &jute.CheckVersionRequest{Path: "/r", Version: -1}}}}},
	{jute.OpReconfig, &jute.ReconfigRequest{}},
	{jute.OpCreate, nil},
}

// reads asks everything that a server answers by itself.
func (w *wire) reads() {
	w.t.Helper()
	w.do("get", jute.OpGetData, &jute.GetDataRequest{Path: "/r", Watch: true}, &jute.GetDataResponse{})
	w.do("get nothing", jute.OpGetData, &jute.GetDataRequest{Path: "/none"}, &jute.GetDataResponse{})
	w.do("exists", jute.OpExists, &jute.ExistsRequest{Path: "/e", Watch: true}, &jute.ExistsResponse{})
	w.do("children", jute.OpGetChildren2, &jute.GetChildren2Request{Path: "/r"}, &jute.GetChildren2Response{})
	w.do("names", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/"}, &jute.GetChildrenResponse{})
	w.do("acl", jute.OpGetACL, &jute.GetACLRequest{Path: "/r"}, &jute.GetACLResponse{})
	w.do("ephemerals", jute.OpGetEphemerals, &jute.GetEphemeralsRequest{PrefixPath: "/"}, &jute.GetEphemeralsResponse{})
	w.do("all", jute.OpGetAllChildrenNumber, &jute.GetAllChildrenNumberRequest{Path: "/r"}, &jute.GetAllChildrenNumberResponse{})
	w.do("who am I", jute.OpWhoAmI, nil, &jute.WhoAmIResponse{})
	w.do("two reads", jute.OpMultiRead, &jute.MultiRequest{Ops: []jute.MultiOp{
		{Type: jute.OpGetData, Record: &jute.GetDataRequest{Path: "/r"}},
		{Type: jute.OpGetChildren, Record: &jute.GetChildrenRequest{Path: "/none"}},
	}}, &jute.MultiResponse{})
	w.raw("ping", jute.XidPing, jute.OpPing, nil, nil)
	w.raw("watches", jute.XidSetWatches, jute.OpSetWatches, jute.Marshal(&jute.SetWatches{RelativeZxid: 1 << 40, DataWatches: []string{"/r"}}), nil)
	w.do("lasting watch", jute.OpAddWatch, &jute.AddWatchRequest{Path: "/r"}, &jute.ErrorResponse{})
	w.do("no such watch", jute.OpRemoveWatches, &jute.RemoveWatchesRequest{Path: "/none", Type: 1}, nil)
}
