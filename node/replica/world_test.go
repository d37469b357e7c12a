package replica

import (
	"fmt"
	"strings"
	"testing"

	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// world is an ensemble whose connections, disks and clock belong to the test. Whatever
// travels waits in one first-in first-out list, so every connection keeps its order.
type world struct {
	t       *testing.T
	now     Now
	members []*member // by sid, from 1
	clients map[string]*client
	events  []func()
	out     strings.Builder
}

type member struct {
	*Replica
	w        *world
	log      []zab.Entry
	pending  []Effect // for the disk
	frozen   bool     // the disk does nothing
	stopped  bool     // the process is stopped: everything waits for it
	isolated bool
	backlog  []Input
	links    map[zab.ConnID]*link
}

// link is a quorum connection: between the learner that dialled and the leader.
type link struct {
	ends [2]*member
	ids  [2]zab.ConnID
	cut  bool // both ends know
	lost bool // nothing arrives any more
}

func newWorld(t *testing.T, n int, change func(*Config)) *world {
	w := &world{t: t, now: Now{WallMs: 1_700_000_000_000}, clients: make(map[string]*client)}
	for i := range n {
		cfg := testConfig(int64(i+1), n)
		if change != nil {
			change(&cfg)
		}
		m := &member{w: w, links: make(map[zab.ConnID]*link)}
		m.Replica = New(cfg, zab.Boot{}, tree.New(), w.now)
		w.members = append(w.members, m)
	}
	w.pass(0)
	return w
}

func (w *world) member(sid int64) *member { return w.members[sid-1] }

func (w *world) later(f func()) { w.events = append(w.events, f) }

// run lets everything happen that needs no time.
func (w *world) run() {
	for steps := 0; len(w.events) > 0; steps++ {
		if steps > 100_000 {
			w.t.Fatal("the ensemble does not come to rest")
		}
		f := w.events[0]
		w.events = w.events[1:]
		f()
	}
}

// pass lets time go by, with ticks on the way.
func (w *world) pass(ms int64) {
	const stepMs = testTickMs / 10
	for left := ms; ; left -= stepMs {
		for _, m := range w.members {
			if !m.stopped {
				m.step(zab.Tick{})
			}
		}
		w.run()
		if left <= 0 {
			return
		}
		w.now.MonoMs += min(left, stepMs)
		w.now.WallMs += min(left, stepMs)
	}
}

func (m *member) step(in Input) {
	if m.stopped {
		m.backlog = append(m.backlog, in)
		return
	}
	for _, e := range m.Step(m.w.now, in) {
		m.carryOut(e)
	}
}

// resume lets a stopped process go on: time first, since its timer is what wakes it.
func (m *member) resume() {
	m.stopped = false
	backlog := m.backlog
	m.backlog = nil
	m.step(zab.Tick{})
	for _, in := range backlog {
		m.step(in)
	}
}

func (m *member) carryOut(e Effect) {
	w := m.w
	switch e := e.(type) {
	case zab.SendNotification:
		to := w.member(e.To)
		w.later(func() {
			if !m.isolated && !to.isolated {
				to.step(zab.NotificationReceived{From: m.cfg.Zab.SID, N: e.N})
			}
		})
	case zab.Dial:
		to := w.member(e.To)
		w.later(func() { m.dial(e.Conn, to, e.Master) })
	case zab.Send:
		m.send(e.Conn, func(id zab.ConnID) Input { return zab.PacketReceived{Conn: id, Packet: e.Packet} })
	case SendSnapshot:
		b := copyView(w.t, e.View)
		m.send(e.Conn, func(id zab.ConnID) Input { return zab.SnapshotReceived{Conn: id, Handle: b} })
	case zab.Close:
		if l := m.links[e.Conn]; l != nil {
			w.later(func() { l.close(e.Reason) })
		}
	case zab.RoleChanged, ReadOnlyStarted:
	default:
		m.pending = append(m.pending, e)
		w.later(m.disk)
	}
}

func (m *member) dial(id zab.ConnID, to *member, master bool) {
	if m.isolated || to.isolated {
		m.step(zab.ConnClosed{Conn: id, Reason: "no route"})
		return
	}
	l := &link{ends: [2]*member{m, to}, ids: [2]zab.ConnID{id, zab.ConnID(2*len(to.links) + 2)}}
	m.links[id], to.links[l.ids[1]] = l, l
	to.step(zab.ConnOpened{Conn: l.ids[1], Incoming: true, Master: master})
	m.step(zab.ConnOpened{Conn: id})
}

func (m *member) send(id zab.ConnID, what func(id zab.ConnID) Input) {
	l := m.links[id]
	if l == nil || l.cut || l.lost {
		return
	}
	far := 0
	if l.ends[0] == m {
		far = 1
	}
	m.w.later(func() {
		if !l.cut {
			l.ends[far].step(what(l.ids[far]))
		}
	})
}

func (l *link) close(reason string) {
	if l.cut || l.lost {
		return
	}
	l.cut = true
	for i, m := range l.ends {
		m.step(zab.ConnClosed{Conn: l.ids[i], Reason: reason})
	}
}

// isolate drops, without a word, what travels between a member and the others.
func (m *member) isolate() {
	m.isolated = true
	for _, l := range m.links {
		l.lost = true
	}
}

func copyView(t *testing.T, v *tree.View) *tree.Builder {
	defer v.Close()
	b := tree.NewBuilder()
	var failure error
	keep := func(err error) bool {
		if err != nil {
			failure = err
		}
		return err == nil
	}
	v.Sessions(func(id int64, timeoutMs int32) bool { return keep(b.AddSession(id, timeoutMs)) })
	v.ACLs(func(id int64, acl []jute.ACL) bool { return keep(b.AddACL(id, acl)) })
	v.Nodes(func(path string, data []byte, aclID int64, stat *jute.StatPersisted) bool {
		return keep(b.AddNode(path, data, aclID, stat))
	})
	if failure != nil {
		t.Fatal(failure)
	}
	return b
}

// disk carries out what waits for it.
func (m *member) disk() {
	if m.frozen || len(m.pending) == 0 {
		return
	}
	effects := m.pending
	m.pending = nil
	done := uint64(0)
	for _, e := range effects {
		switch e := e.(type) {
		case zab.Append:
			m.log = append(m.log, e.Entry)
			done = e.Seq
		case zab.SaveAcceptedEpoch:
			done = e.Seq
		case zab.SaveCurrentEpoch:
			done = e.Seq
		case zab.Truncate:
			m.truncate(e.Zxid)
			done = e.Seq
		case TakeSnapshot:
			e.View.Close()
		default:
			m.w.t.Fatalf("these stories have no %T", e)
		}
	}
	m.step(zab.DiskDone{Seq: done})
}

func (m *member) truncate(zxid int64) {
	t := tree.New()
	for i, e := range m.log {
		if e.Zxid > zxid {
			m.log = m.log[:i]
			break
		}
		var txn jute.LoggedTxn
		if err := jute.Unmarshal(e.Payload, &txn); err != nil {
			m.w.t.Fatal(err)
		}
		t.Apply(&txn)
	}
	m.step(TreeRestored{Tree: t})
}

// client is a connection of a client, as the transport would keep it. What it gets goes
// into the world's transcript.
type client struct {
	w       *world
	name    string
	m       *member
	conn    *Conn
	xid     int32
	session int64
	passwd  []byte
	closed  bool
	asked   map[int32]string
	// readOnly says that a member without a leader will do.
	readOnly bool
}

func (w *world) client(name string, m *member) *client {
	c := &client{w: w, name: name, m: m, asked: make(map[int32]string)}
	c.conn = NewConn(c, jute.ID{Scheme: "ip", ID: "127.0.0.1"})
	w.clients[name] = c
	return c
}

// connect asks for a new session, or for that of another connection.
func (c *client) connect(timeoutMs int32, of *client, seen int64) {
	var req jute.ReadOnlyConnectRequest
	req.TimeoutMs, req.LastZxidSeen, req.ReadOnly = timeoutMs, seen, c.readOnly
	if of != nil {
		req.SessionID, req.Passwd = of.session, of.passwd
	}
	c.m.step(ClientConnect{Conn: c.conn, Request: req})
}

// send sends a request, which is served at once where the transport would do so.
func (c *client) send(xid int32, op jute.OpCode, what string, body jute.Record) {
	c.asked[xid] = what
	var raw []byte
	if body != nil {
		raw = jute.Marshal(body)
	}
	h := jute.RequestHeader{Xid: xid, Type: op}
	if !c.m.stopped && c.conn.MayServe(op) {
		c.m.Serve(c.conn, h, raw)
		return
	}
	c.conn.Submitted()
	c.m.step(ClientRequest{Conn: c.conn, Header: h, Body: raw})
}

// leave ends the connection, not the session.
func (c *client) leave() {
	if !c.closed {
		c.closed = true
		c.m.step(ClientClosed{Conn: c.conn})
	}
}

func (c *client) say(format string, args ...any) {
	if !c.closed {
		fmt.Fprintf(&c.w.out, "%s: %s\n", c.name, fmt.Sprintf(format, args...))
	}
}

func (c *client) Connected(r jute.ReadOnlyConnectResponse) {
	c.session, c.passwd = r.SessionID, r.Passwd
	mode := ""
	if r.ReadOnly {
		mode = " read-only"
	}
	c.say("session %x timeout %d%s", r.SessionID, r.TimeoutMs, mode)
}

func (c *client) Notify(ev jute.WatcherEvent, _ int64) { c.say("event %v %s", ev.Type, ev.Path) }

func (c *client) Close(reason string) {
	c.say("closed: %s", reason)
	c.closed = true
	c.w.later(func() { c.m.step(ClientClosed{Conn: c.conn}) })
}

func (c *client) Reply(h jute.ReplyHeader, body jute.Record) {
	c.say("%s -> %v zxid %x%s", c.asked[h.Xid], h.Err, h.Zxid, describe(body))
}

func describe(body jute.Record) string {
	switch r := body.(type) {
	case nil:
		return ""
	case *jute.CreateResponse:
		return " " + r.Path
	case *jute.Create2Response:
		return fmt.Sprintf(" %s version %d", r.Path, r.Stat.Version)
	case *jute.GetDataResponse:
		return fmt.Sprintf(" %q version %d", r.Data, r.Stat.Version)
	case *jute.SetDataResponse:
		return fmt.Sprintf(" version %d", r.Stat.Version)
	case *jute.ExistsResponse:
		return fmt.Sprintf(" version %d owner %x", r.Stat.Version, r.Stat.EphemeralOwner)
	case *jute.GetChildrenResponse:
		return fmt.Sprintf(" %v", r.Children)
	case *jute.SyncResponse:
		return " " + r.Path
	case *jute.MultiResponse:
		var b strings.Builder
		for _, op := range r.Results {
			fmt.Fprintf(&b, " [%v %v%s]", op.Type, op.Err, describe(op.Record))
		}
		return b.String()
	case *jute.ErrorResponse:
		return ""
	}
	return fmt.Sprintf(" %+v", body)
}
