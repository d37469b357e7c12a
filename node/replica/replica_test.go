package replica

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// one makes a standalone member with a connected client.
func one(t *testing.T, change func(*Config)) (*world, *client) {
	w := newWorld(t, 1, change)
	c := w.client("c", w.member(1))
	c.connect(20*testTickMs, nil, 0)
	w.run()
	w.out.Reset()
	return w, c
}

// do sends requests and returns what the client saw.
func (c *client) do(words ...string) string {
	for _, line := range words {
		c.w.do(append([]string{c.name}, strings.Fields(line)...))
	}
	c.w.run()
	defer c.w.out.Reset()
	return c.w.out.String()
}

// TestServeAfterLoss: the transport may have decided to serve a read when the member loses
// its role. What the tree then shows may never be committed.
func TestServeAfterLoss(t *testing.T) {
	w := newWorld(t, 3, nil)
	m := w.member(3)
	writer, reader := w.client("writer", m), w.client("reader", m)
	writer.connect(20_000, nil, 0)
	reader.connect(20_000, nil, 0)
	w.run()
	writer.do("create /a")
	m.isolate()
	writer.do("set /a lost")
	if !reader.conn.MayServe(jute.OpGetData) {
		t.Fatal("a read must wait though nothing is before it")
	}
	w.pass(4000)
	if data, _, err := m.Tree().GetData("/a", tree.Caller{}, nil); err != nil || string(data) != "lost" {
		t.Fatalf("the tree of the old leader has %q, %v: this test proves nothing", data, err)
	}
	w.out.Reset()
	reader.closed = false // so that what comes in spite of Close is seen
	m.Serve(reader.conn, jute.RequestHeader{Xid: 1, Type: jute.OpGetData}, jute.Marshal(&jute.GetDataRequest{Path: "/a"}))
	if w.out.Len() > 0 {
		t.Errorf("a read on a member without a role was answered: %s", w.out.String())
	}
	if reader.conn.MayServe(jute.OpGetData) {
		t.Error("a client that was cut off may still be served")
	}
}

// TestProposedBytes: requests are refused while too much is proposed and not committed.
func TestProposedBytes(t *testing.T) {
	w, c := one(t, nil)
	m := w.member(1)
	m.maxProposedBytes = 500
	c.do("create /a")
	m.frozen = true
	big := "set /a " + strings.Repeat("x", 300)
	c.do(big, big, big, "close")
	m.frozen = false
	m.disk()
	w.run()
	lines := strings.Split(strings.ReplaceAll(w.out.String(), strings.Repeat("x", 300), "X"), "\n")
	for i, want := range []string{"set /a X -> ok", "set /a X -> ok", "set /a X -> throttled", "close -> ok"} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Fatalf("answers are\n%s\nline %d must have %q", strings.Join(lines, "\n"), i+1, want)
		}
	}
	if n := m.lead.proposedBytes; n != 0 || m.lead.proposed.Len() != 0 {
		t.Errorf("%d bytes count as proposed when all is committed", n)
	}
}

// TestSessionIDs: a clock that went back before a restart must not give an id again that
// is in use.
func TestSessionIDs(t *testing.T) {
	w, first := one(t, nil)
	old := w.member(1)
	cfg := testConfig(1, 1)
	restarted := &member{w: w, links: make(map[zab.ConnID]*link)}
	restarted.Replica = New(cfg, zab.Boot{
		AcceptedEpoch: 1, CurrentEpoch: 1, LastZxid: old.log[len(old.log)-1].Zxid, Recent: old.log,
	}, old.Tree(), Now{WallMs: w.now.WallMs, MonoMs: w.now.MonoMs})
	w.members[0] = restarted
	w.pass(0)
	second := w.client("second", restarted)
	second.connect(4000, nil, 0)
	w.run()
	if second.session == 0 || second.session == first.session {
		t.Errorf("the session ids are %x and %x", first.session, second.session)
	}
	if id := firstSessionID(255, w.now.WallMs); tree.KindOf(id) != tree.Ephemeral {
		t.Errorf("an ephemeral of session %x would not look like one", id)
	}
}

// snapshots counts the snapshots that the next n creates cause.
func snapshots(t *testing.T, n int, change func(*Config)) int {
	v := newVoter(t, change)
	c := NewConn(&encoder{})
	v.connect(c)
	for i := range n {
		c.Submitted()
		body := jute.Marshal(&jute.CreateRequest{Path: "/n", Data: make([]byte, 100), ACL: anyone, Flags: jute.ModePersistentSequential})
		v.step(ClientRequest{Conn: c, Header: jute.RequestHeader{Xid: int32(i), Type: jute.OpCreate}, Body: body})
		v.disk()
	}
	count := 0
	for _, e := range v.other {
		s, ok := e.(TakeSnapshot)
		if !ok {
			continue
		}
		count++
		if s.View.Zxid() == 0 {
			t.Error("a snapshot of nothing")
		}
		s.View.Close()
	}
	return count
}

func TestSnapshotsAreTaken(t *testing.T) {
	for _, c := range []struct {
		name        string
		change      func(*Config)
		least, most int
	}{
		{"by count", func(c *Config) { c.SnapCount = 100 }, 10, 20},
		{"by size", func(c *Config) { c.SnapSizeLimitBytes = 30_000 }, 6, 20},
		{"not yet", func(*Config) {}, 0, 0},
		{"what was replayed counts", func(c *Config) { c.SnapCount, c.Replayed = 100_000, 100_000 }, 1, 1},
	} {
		if n := snapshots(t, 1000, c.change); n < c.least || n > c.most {
			t.Errorf("%s: %d snapshots of 1000 transactions, want %d to %d", c.name, n, c.least, c.most)
		}
	}
}

// TestMalformedLearner: a learner that sends what can't be read loses its connection, no more.
func TestMalformedLearner(t *testing.T) {
	w := newWorld(t, 3, nil)
	leader := w.member(3)
	for _, packet := range []jute.QuorumPacket{
		{Type: jute.PacketRequest, Data: []byte{1, 2, 3}},
		{Type: jute.PacketRevalidate, Data: []byte{1}},
	} {
		for id, l := range leader.links {
			if l.cut || l.ends[1] != leader {
				continue
			}
			leader.step(zab.PacketReceived{Conn: id, Packet: packet})
			w.run()
			if !l.cut {
				t.Errorf("a connection that sent %v %x goes on", packet.Type, packet.Data)
			}
			break
		}
		w.pass(3000)
	}
	if s := leader.Status(); s.Role != zab.RoleLeaderEstablished || s.SyncedFollowers != 2 {
		t.Errorf("afterwards the leader is %+v", s)
	}
}

// observer is a client that looks at the order of what it is told.
type observer struct {
	encoder
	t       *testing.T
	mu      sync.Mutex
	event   int64 // zxid of the newest event
	read    int64 // zxid of the last read
	answers atomic.Int64
}

func (o *observer) Notify(_ jute.WatcherEvent, zxid int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if zxid <= o.event {
		o.t.Errorf("an event of 0x%x after one of 0x%x", zxid, o.event)
	}
	o.event = zxid
}

func (o *observer) Reply(h jute.ReplyHeader, body jute.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, ok := body.(*jute.GetDataResponse)
	if !ok || h.Err != jute.CodeOK {
		o.t.Errorf("a read is answered %v", h.Err)
		return
	}
	// The read before set a watch, so what changed since was announced.
	if o.answers.Add(1) > 1 && r.Stat.Mzxid > o.read && o.event <= o.read {
		o.t.Errorf("data of 0x%x is shown, the read before was at 0x%x, the newest event is of 0x%x", r.Stat.Mzxid, o.read, o.event)
	}
	o.read = h.Zxid
	// Nothing else changes, so data and zxid of an answer belong to one moment.
	if h.Zxid != r.Stat.Mzxid {
		o.t.Errorf("an answer at 0x%x shows data of 0x%x", h.Zxid, r.Stat.Mzxid)
	}
}

// TestServeBesideStep lets clients read with watches on goroutines of their own while Step
// writes: an event comes before the data that caused it.
func TestServeBesideStep(t *testing.T) {
	w, c := one(t, nil)
	c.do("create /a")
	const readers, writes = 3, 2000
	var running sync.WaitGroup
	var stop atomic.Bool
	var observers []*observer
	var conns []*Conn
	m := w.member(1)
	for range readers {
		o := &observer{t: t}
		observers, conns = append(observers, o), append(conns, NewConn(o))
		var req jute.ReadOnlyConnectRequest
		req.TimeoutMs = 20_000
		m.step(ClientConnect{Conn: conns[len(conns)-1], Request: req})
		w.run()
	}
	c.do("set /a x")
	get := jute.Marshal(&jute.GetDataRequest{Path: "/a", Watch: true})
	for _, conn := range conns {
		running.Go(func() {
			for i := int32(0); !stop.Load(); i++ {
				if !conn.MayServe(jute.OpGetData) {
					t.Error("a read must wait though nothing is before it")
					return
				}
				m.Serve(conn, jute.RequestHeader{Xid: i, Type: jute.OpGetData}, get)
			}
		})
	}
	for range writes {
		c.do("set /a x")
	}
	for _, o := range observers {
		for o.answers.Load() < 10 && !t.Failed() {
			c.do("set /a x")
		}
	}
	stop.Store(true)
	running.Wait()
}

// TestLiveSessionsAreSorted: what a member sends must not depend on the order of a map.
func TestLiveSessionsAreSorted(t *testing.T) {
	w := newWorld(t, 3, nil)
	for i := range 20 {
		c := w.client(string(rune('a'+i)), w.member(1))
		c.connect(20_000, nil, 0)
		w.run()
		c.do("ping")
	}
	d := jute.NewDecoder(w.member(1).liveSessions())
	n, last := 0, int64(0)
	for ; d.Len() > 0; n++ {
		id, timeoutMs := d.Int64(), d.Int32()
		if id <= last || timeoutMs != 20_000 {
			t.Errorf("session %x with timeout %d comes after %x", id, timeoutMs, last)
		}
		last = id
	}
	if n != 20 || d.Err() != nil {
		t.Errorf("%d sessions are alive, %v", n, d.Err())
	}
}

// TestLeaderServes: with leaderServes=no a leader leaves clients to the others, also those
// that came while there was none.
func TestLeaderServes(t *testing.T) {
	w := newWorld(t, 3, func(c *Config) { c.LeaderServesNobody = true })
	atLeader, atFollower := w.client("a", w.member(3)), w.client("b", w.member(1))
	atLeader.connect(20_000, nil, 0)
	atFollower.connect(20_000, nil, 0)
	w.run()
	if !strings.Contains(w.out.String(), "a: closed: this member leads") || !strings.Contains(w.out.String(), "b: session") {
		t.Errorf("a at the leader and b at a follower saw:\n%s", w.out.String())
	}
	w.out.Reset()
	if out := atFollower.do("create /a"); !strings.Contains(out, "ok") {
		t.Errorf("a write through a follower: %s", out)
	}
}

// TestRefusedRequestsAreNotKept: the log of a refused write, which is kept for learners,
// must not hold the memory of the request.
func TestRefusedRequestsAreNotKept(t *testing.T) {
	w, c := one(t, nil)
	const sizeBytes = 1_000_000
	c.send(1, jute.OpSetData, "set", &jute.SetDataRequest{Path: "/none", Data: make([]byte, sizeBytes), Version: -1})
	c.send(2, jute.OpCreate, "create", createRequest("/there", make([]byte, sizeBytes)))
	w.run()
	log := w.member(1).log
	refused, done := log[len(log)-2].Payload, log[len(log)-1].Payload
	if len(done) < sizeBytes {
		t.Fatalf("the write that was carried out has %d bytes in the log", len(done))
	}
	if cap(refused) > 2*maxSpareBytes {
		t.Errorf("%d bytes of a refused write hold %d", len(refused), cap(refused))
	}
}

func createRequest(path string, data []byte) *jute.CreateRequest {
	return &jute.CreateRequest{Path: path, Data: data, ACL: []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}}
}
