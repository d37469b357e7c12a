package sim

import (
	"bufio"
	"bytes"
	"cmp"
	"slices"

	"zoolab/nemesis"
	"zoolab/node/storage"
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// network connects members. A connection delivers bytes in order or breaks; a partition
// holds them back, and what is held back too long breaks the connection, as TCP does
// with the server's user timeout.
type network struct {
	w       *world
	blocked map[[2]int64]int // number of faults that block a direction, by from and to
	conns   map[endID]*end
	lastID  zab.ConnID // for the accepting side: even numbers
	votes   map[[2]int64]*vote
	shapes  map[[2]int64]*linkShape // by from and to; only an Ensemble has any

	// One reader for all packets: a new buffer for each would be most of a run's garbage.
	bytes  bytes.Reader
	buffer *bufio.Reader
	reader *jute.Reader
}

type endID struct {
	sid  int64
	conn zab.ConnID
}

// end is one side of a connection.
type end struct {
	id     endID
	member *member
	born   int // the member's incarnation
	peer   *end
	master bool // this is the observer master port's end

	opened   bool     // the core knows it: an accepting side learns with the first packet
	snapNext bool     // a SNAP was delivered: a snapshot's stream comes next
	history  []record // what the snapshot holds that was sent to this end, for truth
	arriving [][]byte // packets sent by the peer and not yet delivered, in order
	lastAtUs int64    // when the last of them is due at the earliest
	stalled  int64    // since when a partition holds something back, 0 for not
	// carriesUs is until when a limited link carries what was sent to this end.
	carriesUs int64
	broken    bool // what is sent to this end never arrives
	closed    bool
}

// vote is the newest notification from one member to another.
type vote struct {
	frame   []byte
	pending bool
}

const (
	// A kernel may give a connection up before the protocol's own limit does, or after.
	leastStallUs  = syncLimitTicks * tickMs * millisecond / 2
	mostStallUs   = syncLimitTicks * tickMs * millisecond * 2
	dialTimeoutUs = second
	redialUs      = 50 * millisecond
	mostStreamUs  = 300 * millisecond
	mostHalfUs    = 4 * second
)

func newNetwork(w *world) *network {
	n := &network{w: w, blocked: make(map[[2]int64]int), conns: make(map[endID]*end), votes: make(map[[2]int64]*vote)}
	n.buffer = bufio.NewReader(&n.bytes)
	n.reader = jute.NewReader(n.buffer, maxFieldBytes)
	return n
}

func (n *network) latency() int64 {
	if n.w.random.IntN(50) == 0 {
		return n.w.between(5*millisecond, 60*millisecond)
	}
	return n.w.between(80, 1200)
}

func (n *network) passes(from, to int64) bool { return n.blocked[[2]int64{from, to}] == 0 }

func (n *network) block(links []nemesis.Link, by int) {
	for _, l := range links {
		n.blocked[[2]int64{n.w.named(l.From).sid, n.w.named(l.To).sid}] += by
	}
}

// notify sends a vote in place of an older one that did not arrive yet.
func (n *network) notify(from *member, to int64, notification *jute.Notification) {
	key := [2]int64{from.sid, to}
	v := n.votes[key]
	if v == nil {
		v = new(vote)
		n.votes[key] = v
	}
	v.frame = jute.Marshal(notification)
	if !v.pending {
		v.pending = true
		n.deliverVote(from, to, v, n.cross(from.sid, to, 0, n.latency()).latencyUs)
	}
}

func (n *network) deliverVote(from *member, to int64, v *vote, delayUs int64) {
	born := from.incarnation
	n.w.after(delayUs, func() {
		target := n.w.members[to-1]
		if from.incarnation != born {
			return
		}
		if !target.up || !n.passes(from.sid, to) || !n.passes(to, from.sid) {
			n.deliverVote(from, to, v, n.w.between(redialUs, 4*redialUs))
			from.step(zab.VoterUnreachable{SID: to})
			return
		}
		// A vote is sent again when its connection is lost, since nobody knows whether it arrived.
		if v.pending = n.w.random.IntN(50) == 0; v.pending {
			n.w.count(countVoteTwice)
			n.deliverVote(from, to, v, n.w.between(millisecond, 500*millisecond))
		}
		var got jute.Notification
		if err := jute.Unmarshal(v.frame, &got); err != nil {
			n.w.violate("a notification can't be read: %v", err)
			return
		}
		n.w.tell("%s<-%s vote %v leader=%d zxid=%x round=%d", name(to), name(from.sid), got.State, got.Leader, got.Zxid, got.ElectionEpoch)
		target.step(zab.NotificationReceived{From: from.sid, N: got})
	})
}

// dial opens a connection to a member's quorum port, or its observer master port.
func (n *network) dial(from *member, conn zab.ConnID, to int64, master bool) {
	born := from.incarnation
	target := n.w.members[to-1]
	there := n.cross(from.sid, to, 0, n.latency())
	n.w.after(there.latencyUs, func() {
		if from.incarnation != born {
			return
		}
		if there.reset {
			n.fail(from, born, conn, "reset")
			return
		}
		if !n.passes(from.sid, to) || !n.passes(to, from.sid) {
			n.w.after(dialTimeoutUs, func() { n.fail(from, born, conn, "timeout") })
			return
		}
		if !target.up || target.deaf {
			n.fail(from, born, conn, "refused")
			return
		}
		n.lastID += 2
		a := &end{id: endID{from.sid, conn}, member: from, born: born, opened: true}
		b := &end{id: endID{to, n.lastID}, member: target, born: target.incarnation, master: master}
		a.peer, b.peer = b, a
		n.conns[a.id], n.conns[b.id] = a, b
		from.step(zab.ConnOpened{Conn: conn})
	})
}

func (n *network) fail(m *member, born int, conn zab.ConnID, why string) {
	if m.incarnation == born {
		m.step(zab.ConnClosed{Conn: conn, Reason: why})
	}
}

// send queues bytes on a connection.
func (n *network) send(m *member, conn zab.ConnID, b []byte) { n.sendIn(m, conn, b, n.latency()) }

func (n *network) sendIn(m *member, conn zab.ConnID, b []byte, latencyUs int64) {
	e := n.conns[endID{m.sid, conn}]
	if e == nil || e.closed || e.peer.broken {
		return
	}
	to := e.peer
	c := n.cross(m.sid, to.member.sid, len(b), latencyUs)
	to.carriesUs = max(to.carriesUs, n.w.nowUs) + c.carriedUs
	at := max(to.lastAtUs, to.carriesUs+c.latencyUs)
	to.lastAtUs = at
	if c.reset {
		// The sender hears of it, and what it sends until then goes nowhere.
		to.broken = true
		n.w.after(at-n.w.nowUs, func() { n.drop(e, "reset") })
		return
	}
	to.arriving = append(to.arriving, b)
	n.w.after(at-n.w.nowUs, func() { n.arrive(to) })
}

// sendSnapshot queues the stream of a snapshot.
func (n *network) sendSnapshot(m *member, conn zab.ConnID, view *tree.View) {
	defer view.Close()
	var b bytes.Buffer
	if err := storage.WriteSnapshotStream(&b, view); err != nil {
		n.w.violate("%s can't write a snapshot's stream: %v", name(m.sid), err)
		return
	}
	n.w.trace("%s sends a snapshot", name(m.sid))
	if e := n.conns[endID{m.sid, conn}]; e != nil {
		e.peer.history = n.w.truth.history(m, view.Zxid())
	}
	// It takes its time, in which its sender or its receiver may be lost.
	n.sendIn(m, conn, b.Bytes(), n.latency()+n.w.between(0, mostStreamUs))
}

// readSnapshot is what the peer transport does with a snapshot's stream.
func readSnapshot(stream []byte) (handle any, rest int, err error) {
	r := bytes.NewReader(stream)
	br := bufio.NewReader(r)
	b := tree.NewBuilder()
	if err := storage.ReadSnapshotStream(br, b, maxFieldBytes); err != nil {
		return nil, 0, err
	}
	return b, r.Len() + br.Buffered(), nil
}

// arrive delivers what is due at one end, unless a partition holds it back.
func (n *network) arrive(e *end) {
	from := e.peer.member
	if e.closed || len(e.arriving) == 0 {
		return
	}
	if !n.passes(from.sid, e.member.sid) {
		n.hold(e)
		return
	}
	// After a hold everything that waits comes at once.
	count := 1
	if e.stalled > 0 {
		count, e.stalled = len(e.arriving), 0
	}
	for ; count > 0 && len(e.arriving) > 0 && !e.closed; count-- {
		b := e.arriving[0]
		e.arriving = e.arriving[1:]
		n.deliver(e, b)
	}
}

// hold keeps what arrives while a partition blocks the way. One poll delivers all of it.
func (n *network) hold(e *end) {
	if e.stalled == 0 {
		e.stalled = n.w.nowUs
		n.pollHeld(e, n.w.nowUs+n.w.between(leastStallUs, mostStallUs))
	}
}

func (n *network) pollHeld(e *end, untilUs int64) {
	n.w.after(n.w.between(20*millisecond, 120*millisecond), func() {
		switch {
		case e.closed || e.stalled == 0:
		case n.passes(e.peer.member.sid, e.member.sid):
			n.arrive(e)
		case n.w.nowUs > untilUs:
			// The sender's kernel gives up, and what it holds is lost. The receiver hears of
			// it when the network lets it.
			e.arriving, e.stalled = nil, 0
			n.w.count(countStalled)
			n.drop(e.peer, "stalled")
		default:
			n.pollHeld(e, untilUs)
		}
	})
}

// deliver hands one send to the core: a packet, or a snapshot's stream behind its SNAP.
func (n *network) deliver(e *end, b []byte) {
	if e.member.incarnation != e.born {
		return
	}
	if e.snapNext {
		e.snapNext = false
		handle, rest, err := readSnapshot(b)
		if err != nil || rest != 0 {
			n.w.violate("a snapshot's stream can't be read: %v, %d bytes left", err, rest)
			return
		}
		n.w.truth.receives(e.member, e.history)
		e.member.step(zab.SnapshotReceived{Conn: e.id.conn, Handle: handle})
		return
	}
	n.bytes.Reset(b)
	n.buffer.Reset(&n.bytes)
	p, err := n.reader.QuorumPacket()
	if err != nil {
		n.w.violate("a packet can't be read: %v", err)
		return
	}
	n.w.mark(e.member.sid, e.peer.member.sid, int64(p.Type), p.Zxid)
	if n.w.telling() {
		n.w.tell("%s<-%s %v %x", name(e.member.sid), name(e.peer.member.sid), p.Type, p.Zxid)
	}
	n.received(e.member, &p)
	if !e.opened {
		e.opened = true
		e.member.step(zab.ConnOpened{Conn: e.id.conn, Incoming: true, Master: e.master})
	}
	e.snapNext = p.Type == jute.PacketSnap
	e.member.step(zab.PacketReceived{Conn: e.id.conn, Packet: p})
}

// received notes what is worth counting, and what a later answer is held to.
func (n *network) received(m *member, p *jute.QuorumPacket) {
	switch p.Type {
	case jute.PacketDiff:
		n.w.count(countDiff)
	case jute.PacketTrunc:
		n.w.count(countTrunc)
	case jute.PacketSnap:
		n.w.count(countSnap)
	case jute.PacketInform:
		n.w.count(countInform)
	case jute.PacketLeaderInfo:
		n.w.truth.informed(m, p.Zxid>>32)
	}
}

// close ends a connection after what was sent on it.
func (n *network) close(m *member, conn zab.ConnID) {
	e := n.conns[endID{m.sid, conn}]
	if e == nil || e.closed {
		return
	}
	e.closed = true
	delete(n.conns, e.id)
	peer := e.peer
	at := max(peer.lastAtUs, n.w.nowUs+n.latency())
	n.w.after(at-n.w.nowUs, func() { n.hearOfEnd(peer) })
}

// hearOfEnd tells an end that its peer is gone, when the network lets it.
func (n *network) hearOfEnd(e *end) {
	if e.closed {
		return
	}
	if !n.passes(e.peer.member.sid, e.member.sid) || len(e.arriving) > 0 && e.stalled > 0 {
		n.w.after(n.w.between(50*millisecond, 200*millisecond), func() { n.hearOfEnd(e) })
		return
	}
	n.drop(e, "closed by the peer")
}

// drop ends one side now.
func (n *network) drop(e *end, why string) {
	if e.closed {
		return
	}
	e.closed = true
	delete(n.conns, e.id)
	if e.opened {
		n.fail(e.member, e.born, e.id.conn, why)
	}
	if !e.peer.closed {
		peer := e.peer
		n.w.after(n.latency(), func() { n.hearOfEnd(peer) })
	}
}

// of lists the ends of a member's connections, oldest first.
func (n *network) of(m *member) (ends []*end) {
	for id, e := range n.conns {
		if id.sid == m.sid {
			ends = append(ends, e)
		}
	}
	slices.SortFunc(ends, func(a, b *end) int { return cmp.Compare(a.id.conn, b.id.conn) })
	return ends
}

// cut breaks a connection of a member.
func (n *network) cut(m *member) {
	if ends := n.of(m); len(ends) > 0 {
		n.w.trace("%s loses conn %d", name(m.sid), ends[0].id.conn)
		n.w.count(countCut)
		n.drop(ends[0], "cut")
	}
}

// cutAll breaks all connections of a member.
func (n *network) cutAll(m *member) {
	n.w.trace("%s loses all connections", name(m.sid))
	n.w.count(countCutAll)
	for _, e := range n.of(m) {
		n.drop(e, "cut")
	}
}

// cutOneSide breaks a connection of a member of which the other side does not hear for a while:
// there are two of them when the member connects again.
func (n *network) cutOneSide(m *member) {
	ends := n.of(m)
	if len(ends) == 0 {
		return
	}
	e := ends[n.w.random.IntN(len(ends))]
	n.w.trace("%s loses conn %d, and its peer does not hear of it", name(m.sid), e.id.conn)
	n.w.count(countHalfOpen)
	e.closed = true
	delete(n.conns, e.id)
	n.w.after(n.w.between(second/2, mostHalfUs), func() { n.hearOfEnd(e.peer) })
	if e.opened {
		n.fail(e.member, e.born, e.id.conn, "cut")
	}
}

// memberDied ends all connections of a process. Its peers' kernels tell them, when they can.
func (n *network) memberDied(m *member) {
	for key, v := range n.votes {
		if key[0] == m.sid {
			v.pending = false
		}
	}
	for _, e := range n.of(m) {
		e.closed = true
		delete(n.conns, e.id)
		peer := e.peer
		n.w.after(n.latency(), func() { n.hearOfEnd(peer) })
	}
}
