package servetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

// patience bounds what these tests wait for, such as Java to start on a machine that does much else.
const patience = 2 * time.Minute

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// buildNode builds the server once for all tests of this package.
var nodeBinary string

// startServer starts a lone server; without a command it is Apache's.
func startServer(t *testing.T, extra map[string]string, command ...string) *apache.Server {
	t.Helper()
	if len(command) == 0 {
		if err := apache.Available(); err != nil {
			t.Skip(err)
		}
	}
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	cfg := apache.Config{ClientPort: ports[0], HeapMB: 128, Extra: extra, Command: command}
	if interval := extra[seldomSwept]; interval != "" {
		cfg.JavaFlags = []string{"-D" + seldomSwept + "=" + interval} // Apache knows it as a property of the Java machine only
	}
	s, err := apache.Start(t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

// startNode starts a lone server of ours.
func startNode(t *testing.T, extra map[string]string) *apache.Server {
	t.Helper()
	return startServer(t, extra, nodeBinary, "serve")
}

// accepted lists where the answers may differ from Apache's: the beginning of the line in
// the transcript (connection and label), and why.
var accepted = map[string]string{
	"p sync /\U0001F600":          "Java writes characters beyond the basic plane as two surrogates; no znode can have such a name",
	"x operation reconfig":        "every write that is refused takes a zxid here",
	"x operation createSession":   "a client has no business to send it: the connection is closed",
	"x operation deleteContainer": "internal: of the original, any client may delete a childless znode with it, whatever its ACL",
}

// extended are the settings of both servers. No container and no znode whose time is over is to
// go by itself, and take a zxid, while a story is told.
var extended = map[string]string{"extendedTypesEnabled": "true", seldomSwept: "3600000"}

const seldomSwept = "znode.container.checkIntervalMs"

// TestClientPortConformance sends the same frames to Apache's server and to ours.
func TestClientPortConformance(t *testing.T) {
	java, ours := startServer(t, extended), startNode(t, extended)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			want, got := newScript(t, java.ClientAddr), newScript(t, ours.ClientAddr)
			for _, s := range []*script{want, got} {
				sc.run(s)
				s.leave()
			}
			compare(t, want.lines, got.lines)
		})
	}
}

func compare(t *testing.T, want, got []string) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		label, _, _ := strings.Cut(w, ": ")
		reason, differs := accepted[label]
		switch {
		case w == g && differs:
			t.Errorf("%s is listed as an accepted difference (%s), but is none", label, reason)
		case w != g && !differs:
			t.Errorf("line %d\n Apache: %s\n ours:   %s", i+1, w, g)
		}
	}
}

// scenarios run one after the other on the same servers. Each leaves the tree and the
// sessions as it found them, except for zxids, which therefore stay comparable.
var scenarios = []struct {
	name string
	run  func(*script)
}{
	{"handshake", handshakes},
	{"create and delete", creates},
	{"paths", paths},
	{"data", data},
	{"ACLs", acls},
	{"multi", multis},
	{"watches", watches},
	{"watches set again", watchesAgain},
	{"malformed bodies", malformed},
	{"odd requests", odd},
	{"sessions", sessions},
	{"kinds of znodes", kinds},
	{"reads together", readsTogether},
	{"watches that stay", lastingWatches},
	{"operations of the original alone", others},
}

var open = []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}

func createReq(path, data string, flags jute.CreateFlags) *jute.CreateRequest {
	return &jute.CreateRequest{Path: path, Data: []byte(data), ACL: open, Flags: flags}
}

func (w *wire) create(path, data string) {
	w.t.Helper()
	w.do("create "+path, jute.OpCreate, createReq(path, data, jute.ModePersistent), &jute.CreateResponse{})
}

func (w *wire) delete(paths ...string) {
	w.t.Helper()
	for _, path := range paths {
		w.do("delete "+path, jute.OpDelete, &jute.DeleteRequest{Path: path, Version: -1}, nil)
	}
}

func (w *wire) close() {
	w.t.Helper()
	w.do("close", jute.OpCloseSession, nil, nil)
	delete(w.left, w.session.SessionID)
	if _, err := w.read(); err != nil {
		w.end("after close", err)
	}
}

func handshakes(s *script) {
	usual := jute.ConnectRequest{TimeoutMs: 10000, Passwd: make([]byte, 16)}
	for _, c := range []struct {
		name    string
		request jute.ReadOnlyConnectRequest
	}{
		{"without-readonly", jute.ReadOnlyConnectRequest{ConnectRequest: usual}},
		{"readonly", jute.ReadOnlyConnectRequest{ConnectRequest: usual, HasReadOnly: true, ReadOnly: true}},
		{"timeout-0", jute.ReadOnlyConnectRequest{ConnectRequest: jute.ConnectRequest{Passwd: make([]byte, 16)}}},
		{"timeout-negative", jute.ReadOnlyConnectRequest{ConnectRequest: jute.ConnectRequest{TimeoutMs: -5, Passwd: make([]byte, 16)}}},
		{"timeout-huge", jute.ReadOnlyConnectRequest{ConnectRequest: jute.ConnectRequest{TimeoutMs: 1 << 30, Passwd: make([]byte, 16)}}},
		{"null-password", jute.ReadOnlyConnectRequest{ConnectRequest: jute.ConnectRequest{TimeoutMs: 10000}, HasReadOnly: true}},
		{"version-7", jute.ReadOnlyConnectRequest{ConnectRequest: jute.ConnectRequest{ProtocolVersion: 7, TimeoutMs: 10000, Passwd: make([]byte, 16)}}},
		{"unknown-session", jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{TimeoutMs: 10000, SessionID: 99, Passwd: make([]byte, 16)}}},
		{"future-zxid", jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{TimeoutMs: 10000, LastZxidSeen: 1 << 60, Passwd: make([]byte, 16)}}},
	} {
		w := s.dial(c.name)
		w.handshake("connect", &c.request)
		if w.session.SessionID != 0 {
			w.close()
		} else if !w.ended {
			_, err := w.read()
			w.end("after the answer", err)
		}
	}
}

func creates(s *script) {
	w := s.connect("c")
	w.create("/c", "one")
	w.create("/c", "twice")
	w.create("/no/parent", "")
	w.create("/c/child", "x")
	w.delete("/c")
	for _, flags := range []jute.CreateFlags{jute.ModeEphemeral, jute.ModePersistentSequential, jute.ModePersistentSequential, jute.ModeEphemeralSequential} {
		w.do("create flags", jute.OpCreate, createReq("/c/f", "d", flags), &jute.CreateResponse{})
		w.do("create2 flags", jute.OpCreate2, createReq("/c/g", "d", flags), &jute.Create2Response{})
	}
	w.do("sequential without name", jute.OpCreate, createReq("/c/", "d", jute.ModePersistentSequential), &jute.CreateResponse{})
	w.create("/c/f/below-an-ephemeral", "")
	w.do("flags 7", jute.OpCreate, createReq("/c/h", "", 7), &jute.CreateResponse{})
	w.do("flags -1", jute.OpCreate, createReq("/c/h", "", -1), &jute.CreateResponse{})
	w.do("create2 exists", jute.OpCreate2, createReq("/c", "", 0), &jute.Create2Response{})
	w.do("null data", jute.OpCreate, &jute.CreateRequest{Path: "/c/null", ACL: open}, &jute.CreateResponse{})
	w.do("get null data", jute.OpGetData, &jute.GetDataRequest{Path: "/c/null"}, &jute.GetDataResponse{})
	w.do("children", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/c"}, &jute.GetChildrenResponse{})
	w.do("children2", jute.OpGetChildren2, &jute.GetChildren2Request{Path: "/c"}, &jute.GetChildren2Response{})
	w.do("ephemerals", jute.OpGetEphemerals, &jute.GetEphemeralsRequest{PrefixPath: "/c"}, &jute.GetEphemeralsResponse{})
	w.do("all children", jute.OpGetAllChildrenNumber, &jute.GetAllChildrenNumberRequest{Path: "/c"}, &jute.GetAllChildrenNumberResponse{})
	w.do("all children of nothing", jute.OpGetAllChildrenNumber, &jute.GetAllChildrenNumberRequest{Path: "/none"}, &jute.GetAllChildrenNumberResponse{})
	w.do("delete bad version", jute.OpDelete, &jute.DeleteRequest{Path: "/c/child", Version: 3}, nil)
	w.do("delete good version", jute.OpDelete, &jute.DeleteRequest{Path: "/c/child", Version: 0}, nil)
	w.delete("/c/none", "/", "/zookeeper", "/zookeeper/quota", "/c/f", "/c/g0000000003", "/c/f0000000004", "/c/g0000000005")
	w.do("children2 after", jute.OpGetChildren2, &jute.GetChildren2Request{Path: "/c"}, &jute.GetChildren2Response{})
	w.close()
	again := s.connect("c2")
	again.do("children2 after the session", jute.OpGetChildren2, &jute.GetChildren2Request{Path: "/c"}, &jute.GetChildren2Response{})
	for _, line := range []string{"/c/null", "/c/f0000000002", "/c/g0000000003", "/c/f0000000004", "/c/g0000000005", "/c/0000000008", "/c"} {
		again.delete(line)
	}
	again.close()
}

func paths(s *script) {
	w := s.connect("p")
	for _, path := range []string{"", "/", "a", "a/b", "//", "/a/", "/a//b", "/a/.", "/a/..", "/./a", "/.", "/a\x00b", "/a\x1fb", "/a\u007fb", "/\ufff0", "/a b", "/ä", "/\U0001F600", "/zookeeper/x", "/zookeeper/quota/x"} {
		w.do("create "+path, jute.OpCreate, createReq(path, "", 0), &jute.CreateResponse{})
		w.do("exists "+path, jute.OpExists, &jute.ExistsRequest{Path: path}, &jute.ExistsResponse{})
		w.do("getData "+path, jute.OpGetData, &jute.GetDataRequest{Path: path}, &jute.GetDataResponse{})
		w.do("getChildren "+path, jute.OpGetChildren, &jute.GetChildrenRequest{Path: path}, &jute.GetChildrenResponse{})
		w.do("getACL "+path, jute.OpGetACL, &jute.GetACLRequest{Path: path}, &jute.GetACLResponse{})
		w.do("sync "+path, jute.OpSync, &jute.SyncRequest{Path: path}, &jute.SyncResponse{})
		if path != "/" && path != "" {
			w.do("setData "+path, jute.OpSetData, &jute.SetDataRequest{Path: path, Version: -1}, &jute.SetDataResponse{})
		}
		w.delete(path)
	}
	w.close()
}

func data(s *script) {
	w := s.connect("d")
	w.create("/d", "one")
	for _, version := range []int32{0, 0, 1, -1, -2, 99} {
		w.do("set", jute.OpSetData, &jute.SetDataRequest{Path: "/d", Data: []byte("two"), Version: version}, &jute.SetDataResponse{})
	}
	w.do("set null", jute.OpSetData, &jute.SetDataRequest{Path: "/d", Version: -1}, &jute.SetDataResponse{})
	w.do("get", jute.OpGetData, &jute.GetDataRequest{Path: "/d"}, &jute.GetDataResponse{})
	w.do("set empty", jute.OpSetData, &jute.SetDataRequest{Path: "/d", Data: []byte{}, Version: -1}, &jute.SetDataResponse{})
	w.do("get", jute.OpGetData, &jute.GetDataRequest{Path: "/d"}, &jute.GetDataResponse{})
	w.do("set nothing", jute.OpSetData, &jute.SetDataRequest{Path: "/nothing", Version: -1}, &jute.SetDataResponse{})
	w.do("get nothing", jute.OpGetData, &jute.GetDataRequest{Path: "/nothing"}, &jute.GetDataResponse{})
	w.do("exists nothing", jute.OpExists, &jute.ExistsRequest{Path: "/nothing"}, &jute.ExistsResponse{})
	w.do("exists", jute.OpExists, &jute.ExistsRequest{Path: "/d"}, &jute.ExistsResponse{})
	w.do("sync", jute.OpSync, &jute.SyncRequest{Path: "/d"}, &jute.SyncResponse{})
	w.do("set large", jute.OpSetData, &jute.SetDataRequest{Path: "/d", Data: make([]byte, 900<<10), Version: -1}, &jute.SetDataResponse{})
	w.raw("ping", jute.XidPing, jute.OpPing, nil, nil)
	w.delete("/d")
	w.close()
}

func acls(s *script) {
	w := s.connect("a")
	id := func(scheme, id string, perms int32) []jute.ACL {
		return []jute.ACL{{Perms: perms, ID: jute.ID{Scheme: scheme, ID: id}}}
	}
	for label, acl := range ordered(
		"empty", []jute.ACL{}, "null", []jute.ACL(nil),
		"unknown scheme", id("nobody", "x", 31), "auth without auth", id("auth", "", 31),
		"digest without colon", id("digest", "abc", 31), "digest of two colons", id("digest", "a:b:c", 31),
		"world nobody", id("world", "x", 31), "ip", id("ip", "127.0.0.1", 31), "ip net", id("ip", "127.0.0.0/8", 31),
		"ip wrong", id("ip", "localhost", 31), "no perms", id("world", "anyone", 0), "perms 64", id("world", "anyone", 64),
		"twice", append(id("world", "anyone", 31), id("world", "anyone", 31)...), "super", id("super", "", 31),
		"x509", id("x509", "CN=a", 31), "sasl", id("sasl", "a", 31),
	) {
		w.do("create "+label, jute.OpCreate, &jute.CreateRequest{Path: "/a", ACL: acl}, &jute.CreateResponse{})
		w.do("getACL "+label, jute.OpGetACL, &jute.GetACLRequest{Path: "/a"}, &jute.GetACLResponse{})
		w.do("setData "+label, jute.OpSetData, &jute.SetDataRequest{Path: "/a", Version: -1}, &jute.SetDataResponse{})
		w.do("getData "+label, jute.OpGetData, &jute.GetDataRequest{Path: "/a"}, &jute.GetDataResponse{})
		w.do("exists "+label, jute.OpExists, &jute.ExistsRequest{Path: "/a"}, &jute.ExistsResponse{})
		w.do("create below "+label, jute.OpCreate, createReq("/a/b", "", 0), &jute.CreateResponse{})
		w.delete("/a/b", "/a")
	}
	w.raw("auth", jute.XidAuth, jute.OpAuth, jute.Marshal(&jute.AuthPacket{Scheme: "digest", Auth: []byte("user:secret")}), nil)
	w.raw("auth again", jute.XidAuth, jute.OpAuth, jute.Marshal(&jute.AuthPacket{Scheme: "digest", Auth: []byte("user:secret")}), nil)
	w.do("create auth", jute.OpCreate, &jute.CreateRequest{Path: "/auth", Data: []byte("x"), ACL: id("auth", "", 31)}, &jute.CreateResponse{})
	w.do("getACL auth", jute.OpGetACL, &jute.GetACLRequest{Path: "/auth"}, &jute.GetACLResponse{})
	other := s.connect("b")
	other.do("getACL of another", jute.OpGetACL, &jute.GetACLRequest{Path: "/auth"}, &jute.GetACLResponse{})
	other.do("getData of another", jute.OpGetData, &jute.GetDataRequest{Path: "/auth"}, &jute.GetDataResponse{})
	other.do("getChildren of another", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/auth"}, &jute.GetChildrenResponse{})
	other.do("setData of another", jute.OpSetData, &jute.SetDataRequest{Path: "/auth", Version: -1}, &jute.SetDataResponse{})
	other.do("setACL of another", jute.OpSetACL, &jute.SetACLRequest{Path: "/auth", ACL: open, Version: -1}, &jute.SetACLResponse{})
	other.do("create below another", jute.OpCreate, createReq("/auth/x", "", 0), &jute.CreateResponse{})
	other.do("multi on another", jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
		{Type: jute.OpSetData, Record: &jute.SetDataRequest{Path: "/auth", Version: -1}},
	}}, &jute.MultiResponse{})
	w.do("setACL bad version", jute.OpSetACL, &jute.SetACLRequest{Path: "/auth", ACL: open, Version: 5}, &jute.SetACLResponse{})
	w.do("setACL invalid", jute.OpSetACL, &jute.SetACLRequest{Path: "/auth", ACL: id("nobody", "", 31), Version: -1}, &jute.SetACLResponse{})
	w.do("setACL nothing", jute.OpSetACL, &jute.SetACLRequest{Path: "/nothing", ACL: open, Version: -1}, &jute.SetACLResponse{})
	w.do("setACL read only", jute.OpSetACL, &jute.SetACLRequest{Path: "/auth", ACL: append(id("world", "anyone", 1), id("auth", "", 31)...), Version: 0}, &jute.SetACLResponse{})
	other.do("getACL masked", jute.OpGetACL, &jute.GetACLRequest{Path: "/auth"}, &jute.GetACLResponse{})
	other.delete("/auth")
	w.delete("/auth")
	other.raw("auth of an unknown scheme", jute.XidAuth, jute.OpAuth, jute.Marshal(&jute.AuthPacket{Scheme: "nobody", Auth: []byte("x")}), nil)
	_, err := other.read()
	other.end("after a failed auth", err)
	w.close()
}

// ordered gives pairs in their order.
func ordered(pairs ...any) func(func(string, []jute.ACL) bool) {
	return func(yield func(string, []jute.ACL) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i].(string), pairs[i+1].([]jute.ACL)) {
				return
			}
		}
	}
}

func multis(s *script) {
	w := s.connect("m")
	multi := func(label string, ops ...jute.MultiOp) {
		w.t.Helper()
		w.do(label, jute.OpMulti, &jute.MultiRequest{Ops: ops}, &jute.MultiResponse{})
	}
	create := func(path string, flags jute.CreateFlags) jute.MultiOp {
		return jute.MultiOp{Type: jute.OpCreate, Record: createReq(path, "d", flags)}
	}
	set := func(path string, version int32) jute.MultiOp {
		return jute.MultiOp{Type: jute.OpSetData, Record: &jute.SetDataRequest{Path: path, Data: []byte("s"), Version: version}}
	}
	del := func(path string) jute.MultiOp {
		return jute.MultiOp{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: path, Version: -1}}
	}
	check := func(path string, version int32) jute.MultiOp {
		return jute.MultiOp{Type: jute.OpCheck, Record: &jute.CheckVersionRequest{Path: path, Version: version}}
	}
	multi("empty")
	multi("all kinds", create("/m", 0), create("/m/e", jute.ModeEphemeral), create("/m/s-", jute.ModePersistentSequential),
		set("/m", 0), check("/m", 1), jute.MultiOp{Type: jute.OpCreate2, Record: createReq("/m/two", "", 0)}, del("/m/two"))
	multi("fails at the first", create("/m", 0), set("/m", -1))
	multi("fails in the middle", create("/m/x", 0), set("/m/none", -1), del("/m/x"))
	multi("fails at the last", set("/m", -1), check("/m", 77))
	multi("fails twice", set("/none", -1), set("/none2", -1))
	multi("bad path", create("m", 0))
	multi("sees itself", create("/m/y", 0), create("/m/y/z", 0), set("/m/y/z", 0), del("/m/y/z"), del("/m/y"))
	multi("create again after delete", create("/m/y", 0), del("/m/y"), create("/m/y", 0), del("/m/y"))
	multi("delete with children", del("/m"))
	multi("check of nothing", check("/none", -1))
	multi("check any version", check("/m", -1))
	w.do("read what is left", jute.OpGetChildren2, &jute.GetChildren2Request{Path: "/m"}, &jute.GetChildren2Response{})
	multi("clean", del("/m/e"), del("/m/s-0000000001"), del("/m"))
	w.do("children", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/"}, &jute.GetChildrenResponse{})
	w.close()
}

func watches(s *script) {
	w, other := s.connect("w"), s.connect("o")
	exists := func(path string) {
		w.do("watch exists "+path, jute.OpExists, &jute.ExistsRequest{Path: path, Watch: true}, &jute.ExistsResponse{})
	}
	get := func(path string) {
		w.do("watch data "+path, jute.OpGetData, &jute.GetDataRequest{Path: path, Watch: true}, &jute.GetDataResponse{})
	}
	children := func(path string) {
		w.do("watch children "+path, jute.OpGetChildren2, &jute.GetChildren2Request{Path: path, Watch: true}, &jute.GetChildren2Response{})
	}
	exists("/w")
	children("/")
	get("/w") // no node: sets no watch
	other.create("/w", "")
	w.awaitEvent("created")
	w.awaitEvent("child")
	get("/w")
	exists("/w")
	other.do("set", jute.OpSetData, &jute.SetDataRequest{Path: "/w", Version: -1}, &jute.SetDataResponse{})
	w.awaitEvent("changed, once")
	children("/w")
	exists("/w/c")
	w.create("/w/c", "") // its own events come before its answer
	get("/w")
	children("/w")
	children("/")
	other.delete("/w/c")
	w.awaitEvent("child gone")
	children("/w")
	other.delete("/w")
	w.awaitEvent("deleted, once for data and children")
	w.awaitEvent("child of the root")
	get("/zookeeper")
	children("/w-none")
	exists("/w-multi")
	children("/")
	other.do("multi", jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
		{Type: jute.OpCreate, Record: createReq("/w-multi", "", 0)},
		{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/w-multi", Version: -1}},
	}}, &jute.MultiResponse{})
	w.awaitEvent("created in the multi")
	w.awaitEvent("child in the multi")
	exists("/w-eph")
	other.do("ephemeral", jute.OpCreate, createReq("/w-eph", "", jute.ModeEphemeral), &jute.CreateResponse{})
	w.awaitEvent("ephemeral came")
	exists("/w-eph")
	other.close()
	w.awaitEvent("ephemeral went")
	w.raw("nothing else", jute.XidPing, jute.OpPing, nil, nil)
	w.close()
}

func watchesAgain(s *script) {
	w := s.connect("s")
	w.create("/s", "")
	w.create("/s/c", "")
	w.do("root", jute.OpExists, &jute.ExistsRequest{Path: "/s"}, &jute.ExistsResponse{})
	set := func(label string, q *jute.SetWatches) {
		w.raw(label, jute.XidSetWatches, jute.OpSetWatches, jute.Marshal(q), nil)
	}
	set("all missed", &jute.SetWatches{RelativeZxid: 0, DataWatches: []string{"/s", "/s-none"}, ExistWatches: []string{"/s"}, ChildWatches: []string{"/s", "/s-none"}})
	set("none missed", &jute.SetWatches{RelativeZxid: 1 << 62, DataWatches: []string{"/s"}, ExistWatches: []string{"/s-later"}, ChildWatches: []string{"/s"}})
	w.create("/s-later", "")
	w.do("set", jute.OpSetData, &jute.SetDataRequest{Path: "/s", Version: -1}, &jute.SetDataResponse{})
	w.delete("/s/c", "/s", "/s-later")
	set("nothing", &jute.SetWatches{})
	w.close()
}

// malformed sends every operation a body that is cut off, and one with bytes behind it.
func malformed(s *script) {
	bodies := []struct {
		op           jute.OpCode
		body, answer jute.Record
	}{
		{jute.OpCreate, createReq("/x", "", 0), nil}, {jute.OpCreate2, createReq("/x", "", 0), nil},
		{jute.OpDelete, &jute.DeleteRequest{Path: "/none"}, nil},
		{jute.OpExists, &jute.ExistsRequest{Path: "/"}, &jute.ExistsResponse{}},
		{jute.OpGetData, &jute.GetDataRequest{Path: "/"}, &jute.GetDataResponse{}},
		{jute.OpSetData, &jute.SetDataRequest{Path: "/none", Version: -1}, nil},
		{jute.OpGetACL, &jute.GetACLRequest{Path: "/"}, &jute.GetACLResponse{}},
		{jute.OpSetACL, &jute.SetACLRequest{Path: "/none", ACL: open}, nil},
		{jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/"}, &jute.GetChildrenResponse{}},
		{jute.OpGetChildren2, &jute.GetChildren2Request{Path: "/"}, &jute.GetChildren2Response{}},
		{jute.OpSync, &jute.SyncRequest{Path: "/"}, &jute.SyncResponse{}},
		{jute.OpSetWatches, &jute.SetWatches{}, nil},
		{jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/none"}}}}, &jute.MultiResponse{}},
		{jute.OpGetEphemerals, &jute.GetEphemeralsRequest{PrefixPath: "/"}, nil},
		{jute.OpGetAllChildrenNumber, &jute.GetAllChildrenNumberRequest{Path: "/"}, nil},
		{jute.OpAuth, &jute.AuthPacket{Scheme: "digest", Auth: []byte("u:p")}, nil},
	}
	for _, b := range bodies {
		whole := jute.Marshal(b.body)
		s.malformedRequest("cut "+b.op.String(), b.op, whole[:len(whole)-1], b.answer)
		s.malformedRequest("empty "+b.op.String(), b.op, nil, b.answer)
		s.malformedRequest("negative length "+b.op.String(), b.op, append([]byte{0xff, 0xff, 0xff, 0x80}, whole...), b.answer)
		s.malformedRequest("longer "+b.op.String(), b.op, append(slices.Clone(whole), 0, 0), b.answer)
	}
}

// malformedRequest notes the answer, and whether the session still works behind it.
func (s *script) malformedRequest(label string, op jute.OpCode, body []byte, answer jute.Record) {
	s.t.Helper()
	w := s.connect("x")
	w.raw(label, 1, op, body, answer)
	if !w.ended {
		w.raw(label+" then ping", jute.XidPing, jute.OpPing, nil, nil)
	}
	if !w.ended {
		w.close()
	}
	w.conn.Close()
}

func odd(s *script) {
	for _, op := range []jute.OpCode{jute.OpNotification, 10, 99, -1} {
		s.malformedRequest("operation "+op.String(), op, nil, nil)
	}
	w := s.connect("xids")
	for _, xid := range []int32{-1, -2, -4, -8, 0, 1 << 30, -1 << 31} {
		w.raw("exists", xid, jute.OpExists, jute.Marshal(&jute.ExistsRequest{Path: "/none"}), &jute.ExistsResponse{})
	}
	w.raw("ping as 5", 5, jute.OpPing, nil, nil)
	w.raw("setWatches as 5", 5, jute.OpSetWatches, jute.Marshal(&jute.SetWatches{}), nil)
	w.raw("ping with a body", -2, jute.OpPing, []byte{1, 2, 3}, nil)
	w.close()
	for _, b := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x04\x00\x00\x00\x01", "\xff\xff\xff\xff", "\x00\x20\x00\x00"} {
		w := s.connect(fmt.Sprintf("frame %x", b))
		w.sendBytes([]byte(b))
		_, err := w.read()
		w.end("after it", err)
		w.conn.Close()
	}
	for _, b := range []string{"GET / HTTP/1.0\r\n\r\n", "\x00\x00\x00\x00", "\x00\x00\x00\x03\x01\x02\x03", "\x00\x00\x00\x10" + strings.Repeat("\x00", 16)} {
		w := s.dial(fmt.Sprintf("first %x", b))
		w.sendBytes([]byte(b))
		_, err := w.read()
		w.end("after it", err)
		w.conn.Close()
	}
}

// others comes last: from its first answer on the zxids of the two servers differ.
func others(s *script) {
	for _, op := range []jute.OpCode{
		jute.OpCheck, jute.OpCreateContainer, jute.OpCreateTTL, jute.OpMultiRead, jute.OpWhoAmI,
		jute.OpCheckWatches, jute.OpRemoveWatches, jute.OpAddWatch, jute.OpSetWatches2, jute.OpSASL, jute.OpReconfig,
		jute.OpCreateSession, jute.OpDeleteContainer,
	} {
		w := s.connect("x")
		w.lines = w.lines[:len(w.lines)-1]
		w.raw("operation "+op.String(), 1, op, nil, nil)
		w.conn.Close()
	}
}

func sessions(s *script) {
	first := s.connect("one")
	first.do("ephemeral", jute.OpCreate, createReq("/session", "", jute.ModeEphemeral), &jute.CreateResponse{})
	again := jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{
		TimeoutMs: 8000, SessionID: first.session.SessionID, Passwd: first.session.Passwd,
	}}
	second := s.dial("two")
	second.handshake("taken up again", &again)
	_, err := first.read()
	first.end("the old connection", err)
	second.do("its ephemeral", jute.OpExists, &jute.ExistsRequest{Path: "/session"}, &jute.ExistsResponse{})
	second.do("ephemerals", jute.OpGetEphemerals, &jute.GetEphemeralsRequest{PrefixPath: "/"}, &jute.GetEphemeralsResponse{})
	second.conn.Close()
	wrong := again
	wrong.Passwd = make([]byte, 16)
	third := s.dial("three")
	third.handshake("wrong password", &wrong)
	_, err = third.read()
	third.end("after a wrong password", err)
	fourth := s.dial("four")
	fourth.handshake("taken up once more", &again)
	fourth.do("its ephemeral", jute.OpExists, &jute.ExistsRequest{Path: "/session"}, &jute.ExistsResponse{})
	fourth.close()
	fifth := s.dial("five")
	fifth.handshake("after close", &again)
	_, err = fifth.read()
	fifth.end("after an expired session", err)
	last := s.connect("last")
	last.do("the ephemeral", jute.OpExists, &jute.ExistsRequest{Path: "/session"}, &jute.ExistsResponse{})
	last.close()
}
