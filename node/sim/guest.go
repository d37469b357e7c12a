package sim

import (
	"errors"
	"slices"
	"time"

	"zoolab/node/replica"
	"zoolab/zk/jute"
)

// guests are what an Ensemble's driver has in the world. A nil one is nobody.
type guests struct {
	log   func(at time.Time, line string)
	conns []*Guest
	// cut has the directions in which nothing passes between clients and a member, with the
	// number of faults that want it so.
	cut map[direction]int
}

// direction is one way between the clients and a member.
type direction struct {
	sid      int64
	toClient bool
}

func (g *guests) hear(nowUs int64, line string) {
	if g != nil && g.log != nil {
		g.log(timeOf(nowUs), line)
	}
}

// timeOf turns virtual time into a time of day.
func timeOf(us int64) time.Time { return time.UnixMicro(epochMs*millisecond + us) }

// memberDied ends the connections to a process that is gone.
func (g *guests) memberDied(m *member) {
	if g == nil {
		return
	}
	for _, c := range g.conns {
		if c.member == m {
			c.toClient.travel(func() { c.end(errClosed) })
		}
	}
	g.conns = slices.DeleteFunc(g.conns, func(c *Guest) bool { return c.member == m })
}

// GuestHandler takes what arrives at a client. After Closed nothing follows.
type GuestHandler interface {
	Connected(jute.ReadOnlyConnectResponse)
	Reply(jute.ReplyHeader, jute.Record)
	Notify(event jute.WatcherEvent, zxid int64)
	Closed(err error)
}

// Guest is a connection of a driver's client to a member. What travels keeps its order
// each way, and a client's network that is cut holds it back.
type Guest struct {
	w      *world
	client GuestHandler
	member *member
	born   int // the member's incarnation, 0 before the connection is made
	state  *replica.Conn
	ended  bool // on the client's side

	toMember, toClient lane
}

var errRefused = errors.New("connection refused")

// Connect opens a connection and asks for a session. The handler hears what becomes of it.
func (e *Ensemble) Connect(sid int64, request jute.ReadOnlyConnectRequest, client GuestHandler) *Guest {
	c := &Guest{w: e.w, client: client, member: e.member(sid)}
	c.toMember.guest, c.toClient.guest, c.toClient.toClient = c, c, true
	c.state = replica.NewConn(guestClient{c})
	c.toMember.travel(func() {
		m := c.member
		if !m.up {
			c.toClient.travel(func() { c.end(errRefused) })
			return
		}
		c.born = m.incarnation
		c.w.guests.conns = append(c.w.guests.conns, c)
		m.step(replica.ClientConnect{Conn: c.state, Request: request})
	})
	return c
}

// Send sends a request.
func (c *Guest) Send(h jute.RequestHeader, body jute.Record) {
	if c.ended {
		return
	}
	var frame []byte
	if body != nil {
		frame = jute.Marshal(body)
	}
	c.toMember.travel(func() {
		m := c.member
		switch {
		case !c.live():
		case !m.paused && m.stepUs == 0 && c.state.MayServe(h.Type):
			defer m.catchPanic()
			m.replica.Serve(c.state, h, frame)
		default:
			c.state.Submitted()
			m.step(replica.ClientRequest{Conn: c.state, Header: h, Body: frame})
		}
	})
}

// Close ends the connection on the client's side, without a word to its handler.
func (c *Guest) Close() {
	if c.ended {
		return
	}
	c.ended = true
	c.toMember.travel(c.hangUp)
}

// end tells the client that the connection is no more.
func (c *Guest) end(err error) {
	if c.ended {
		return
	}
	c.ended = true
	c.toMember.travel(c.hangUp)
	c.client.Closed(err)
}

// hangUp tells the member that the connection is no more.
func (c *Guest) hangUp() {
	if !c.live() {
		return
	}
	g := c.w.guests
	g.conns = slices.DeleteFunc(g.conns, func(other *Guest) bool { return other == c })
	c.member.step(replica.ClientClosed{Conn: c.state})
}

// live reports whether the process that took the connection is still there.
func (c *Guest) live() bool { return c.member.up && c.member.incarnation == c.born }

// guestClient is the connection as the member's replica sees it.
type guestClient struct{ c *Guest }

// Connected implements replica.Client, as do the methods below.
func (g guestClient) Connected(r jute.ReadOnlyConnectResponse) {
	g.arrive(func(client GuestHandler) { client.Connected(r) })
}

// Reply sends an answer.
func (g guestClient) Reply(h jute.ReplyHeader, body jute.Record) {
	g.arrive(func(client GuestHandler) { client.Reply(h, body) })
}

// Notify sends an event.
func (g guestClient) Notify(event jute.WatcherEvent, zxid int64) {
	g.arrive(func(client GuestHandler) { client.Notify(event, zxid) })
}

// Close ends the connection behind what was sent.
func (g guestClient) Close(string) { g.c.toClient.travel(func() { g.c.end(errClosed) }) }

func (g guestClient) arrive(tell func(GuestHandler)) {
	g.c.toClient.travel(func() {
		if !g.c.ended {
			tell(g.c.client)
		}
	})
}

// lane is one direction of a connection.
type lane struct {
	guest    *Guest
	toClient bool
	waiting  []func() // what is on its way, in order
	lastAtUs int64    // when the last of it is due at the earliest
	held     bool     // a cut network holds it back
}

// travel lets something arrive behind what is on its way already.
func (l *lane) travel(arrive func()) {
	w := l.guest.w
	l.waiting = append(l.waiting, arrive)
	l.lastAtUs = max(l.lastAtUs, w.nowUs+w.between(50, 900))
	w.after(l.lastAtUs-w.nowUs, l.arrive)
}

// arrive delivers what is due.
func (l *lane) arrive() {
	if l.held || len(l.waiting) == 0 {
		return
	}
	if l.cut() {
		l.held = true
		l.poll()
		return
	}
	first := l.waiting[0]
	l.waiting = l.waiting[1:]
	first()
}

func (l *lane) cut() bool {
	return l.guest.w.guests.cut[direction{l.guest.member.sid, l.toClient}] > 0
}

// poll sends again what a cut network held back, until all of it has arrived.
func (l *lane) poll() {
	w := l.guest.w
	w.after(w.between(20*millisecond, 120*millisecond), func() {
		if l.cut() {
			l.poll()
			return
		}
		l.held = false
		for range len(l.waiting) {
			l.arrive()
		}
	})
}
