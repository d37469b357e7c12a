package zab

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// world is an ensemble of cores with their disks and the network between them, in
// virtual time. Everything that happens is asked for by its methods; check holds the
// invariants of the protocol after each of them and panics when one is broken.
type world struct {
	nowMs    int64
	verifier quorum.Verifier
	configs  func(sid int64) Config
	nodes    []*node // by sid, from 1
	conns    []*conn
	blocked  map[[2]int64]bool              // messages from, to: not delivered for now
	mail     map[[2]int64]jute.Notification // votes under way from, to
	voted    map[[2]int64]jute.Notification // newest vote from, to: sent again to who starts
	payloads int
	// roleChanges counts them since it was set to 0.
	roleChanges int
	// counterLimit is where epochs end, 0 for the true limit.
	counterLimit int64
	masters      bool // followers serve observers

	// truth is what was committed, in order, as the members in an established role show it.
	truth []Entry
	// leaderOf is the established leader of each epoch.
	leaderOf map[int64]int64
	asked    map[uint64]question
	answered int
	replaced int // snapshots that were sent because a log could not be truncated
	tokens   uint64

	trace func(format string, args ...any) // nil when nobody watches
}

// question is a ConfirmLeadership that was asked.
type question struct {
	sid       int64
	epoch     int64
	committed int // of truth, when it was asked
	newest    int64
}

type node struct {
	w    *world
	sid  int64
	core *Core // nil while crashed

	tree     []Entry // what was delivered, from the beginning
	verified int     // tree[:verified] is known to equal truth
	treeGone int     // Truncates not carried out
	role     RoleChanged

	disk   []Effect // queued, in order
	log    []Entry  // durable: what a restart finds
	snapTo int      // log[:snapTo] is in a snapshot only

	accepted, current int64 // durable
	lastConn          ConnID
	paused            bool // gets no input, but may be asked for something when it wakes
}

// conn is a connection from a learner to a leader, with one queue for each direction.
type conn struct {
	id      [2]ConnID // as the dialler and as the other end knows it, 0 before it does
	end     [2]int64  // sids
	queue   [2][]packet
	closed  [2]bool // that end has closed it, or was told that it is
	opened  bool
	arrived bool // the first packet reached the other end
	master  bool // it goes to an observer master port
}

// packet travels on a connection: a packet, a snapshot behind SNAP, or the end.
type packet struct {
	jute.QuorumPacket
	snapshot []Entry
	isSnap   bool
	end      string
}

func newWorld(n int, commitLogCount int) *world {
	return newWorldOf(majorityOf(n), 0, commitLogCount)
}

func majorityOf(n int) quorum.Verifier {
	var voters []int64
	for sid := range n {
		voters = append(voters, int64(sid+1))
	}
	majority, err := quorum.NewMajority(voters, 0)
	if err != nil {
		panic(err)
	}
	return majority
}

// newWorldOf makes the voters of a verifier, whose sids begin at 1, and observers behind them.
func newWorldOf(verifier quorum.Verifier, observers, commitLogCount int) *world {
	w := &world{
		blocked: make(map[[2]int64]bool),
		mail:    make(map[[2]int64]jute.Notification), voted: make(map[[2]int64]jute.Notification),
		leaderOf: make(map[int64]int64), asked: make(map[uint64]question),
	}
	voters := len(verifier.Voters())
	observing := make(map[int64]string)
	for sid := int64(1); sid <= int64(voters+observers); sid++ {
		w.nodes = append(w.nodes, &node{w: w, sid: sid})
		if sid > int64(voters) {
			observing[sid] = fmt.Sprint("observer ", sid)
		}
	}
	w.verifier = verifier
	w.configs = func(sid int64) Config {
		return Config{
			SID: sid, Verifier: verifier, QuorumAddresses: observing, ObserverMasters: w.masters, TickMs: 100, InitLimitTicks: 10, SyncLimitTicks: 5,
			ElectionConfig: []byte("version=0"), CommitLogCount: commitLogCount, FinalizeWaitMs: 200, MaxSyncLogBytes: 200,
		}
	}
	return w
}

func (w *world) node(sid int64) *node { return w.nodes[sid-1] }

func (w *world) tracef(format string, args ...any) {
	if w.trace != nil {
		w.trace(format, args...)
	}
}

// start boots a node from what its disk holds.
func (n *node) start() {
	c := n.w.configs(n.sid)
	n.tree = slices.Clone(n.log)
	n.verified, n.treeGone = 0, 0
	boot := Boot{AcceptedEpoch: n.accepted, CurrentEpoch: n.current}
	if len(n.log) > 0 {
		boot.LastZxid = n.log[len(n.log)-1].Zxid
		if n.snapTo > 0 {
			boot.Floor = n.log[n.snapTo-1].Zxid
		}
		boot.Recent = slices.Clone(n.log[max(n.snapTo, len(n.log)-c.CommitLogCount):])
	}
	n.core = New(c, boot)
	if n.w.counterLimit > 0 {
		n.core.counterLimit = n.w.counterLimit
	}
	n.role = RoleChanged{Leader: nobody}
	for _, other := range n.w.nodes {
		key := [2]int64{other.sid, n.sid}
		if vote, ok := n.w.voted[key]; ok && other.core != nil {
			n.w.mail[key] = vote
		}
	}
	n.step(Tick{})
}

// crash loses all but the disk, where the first keep queued effects still arrive.
func (n *node) crash(keep int) {
	for _, e := range n.disk[:min(keep, len(n.disk))] {
		if _, reads := e.(ReadHistory); !reads {
			n.carryOut(e)
		}
	}
	n.disk, n.core, n.paused = nil, nil, false
	n.role = RoleChanged{Leader: nobody}
	for _, c := range slices.Clone(n.w.conns) {
		if c.end[0] == n.sid || c.end[1] == n.sid {
			n.w.cut(c, "crash")
		}
	}
	for key := range n.w.mail {
		if key[0] == n.sid || key[1] == n.sid {
			delete(n.w.mail, key)
		}
	}
	for key := range n.w.voted {
		if key[0] == n.sid {
			delete(n.w.voted, key)
		}
	}
}

// cut ends a connection; what is under way on it is lost.
func (w *world) cut(c *conn, reason string) {
	for side := range 2 {
		if n := w.node(c.end[side]); n.paused && !c.closed[side] && c.id[side] != 0 && c.opened {
			// It hears of it when it wakes.
			c.closed[1-side] = true
			c.queue[1-side] = []packet{{end: reason}}
			if other := w.node(c.end[1-side]); other.core != nil && !other.paused && c.id[1-side] != 0 && (side == 1 || c.arrived) {
				other.step(ConnClosed{Conn: c.id[1-side], Reason: reason})
			}
			return
		}
	}
	w.conns = slices.DeleteFunc(w.conns, func(o *conn) bool { return o == c })
	for side := range 2 {
		n := w.node(c.end[side])
		if n.core != nil && !n.paused && !c.closed[side] && c.id[side] != 0 && (side == 0 || c.arrived) {
			c.closed[side] = true
			n.step(ConnClosed{Conn: c.id[side], Reason: reason})
		}
	}
}

func (n *node) step(in Input) {
	effects := slices.Clone(n.core.Step(n.w.nowMs, in))
	for _, e := range effects {
		n.carry(e)
	}
	n.w.check(n)
}

// carry does what an effect says; disk effects are queued.
func (n *node) carry(e Effect) {
	w := n.w
	if w.trace != nil {
		if text := describeEffect(e); text != "" {
			w.tracef("%d: %s", n.sid, text)
		}
	}
	switch e := e.(type) {
	case SendNotification:
		w.voted[[2]int64{n.sid, e.To}] = e.N
		if w.node(e.To).core != nil {
			w.mail[[2]int64{n.sid, e.To}] = e.N
		}
	case Dial:
		w.conns = append(w.conns, &conn{id: [2]ConnID{e.Conn, 0}, end: [2]int64{n.sid, e.To}, master: e.Master})
	case Send:
		n.checkSend(e.Packet)
		n.queue(e.Conn, packet{QuorumPacket: e.Packet})
	case SendSnapshot:
		if l := n.core.learner(e.Conn); l != nil && l.lastZxid == inNoLog {
			w.replaced++
		}
		n.queue(e.Conn, packet{isSnap: true, snapshot: slices.Clone(n.tree)})
	case Close:
		n.closeConn(e)
	case Append, SaveAcceptedEpoch, SaveCurrentEpoch, ReadHistory:
		n.disk = append(n.disk, e)
	case Truncate:
		n.treeGone++
		n.disk = append(n.disk, e)
	case InstallSnapshot:
		n.tree, n.verified = slices.Clone(e.Handle.([]Entry)), 0
		n.disk = append(n.disk, e)
	case Deliver:
		if n.treeGone > 0 {
			panic(fmt.Sprintf("member %d delivers 0x%x while its tree is being restored", n.sid, e.Zxid))
		}
		if len(n.tree) > 0 && !follows(n.tree[len(n.tree)-1].Zxid, e.Zxid) {
			panic(fmt.Sprintf("member %d delivers 0x%x behind 0x%x", n.sid, e.Zxid, n.tree[len(n.tree)-1].Zxid))
		}
		n.tree = append(n.tree, e.Entry)
	case RoleChanged:
		n.role = e
		w.roleChanges++
		if e.Role == RoleLeaderEstablished {
			w.leaderEstablished(n, e.Epoch)
		}
	case FromLeader:
		if e.Packet.Type == jute.PacketPing {
			n.queue(n.core.follow.conn, packet{QuorumPacket: jute.QuorumPacket{Type: jute.PacketPing, Zxid: e.Packet.Zxid, Data: []byte{}}})
		}
	case LeadershipConfirmed:
		w.confirmed(n, e.Token)
	}
}

func (n *node) side(id ConnID) (*conn, int) {
	for _, c := range n.w.conns {
		for side := range 2 {
			if c.end[side] == n.sid && c.id[side] == id {
				return c, side
			}
		}
	}
	return nil, 0
}

func (n *node) queue(id ConnID, p packet) {
	if c, side := n.side(id); c != nil && !c.closed[side] {
		c.queue[side] = append(c.queue[side], p)
	}
}

func (n *node) closeConn(e Close) {
	c, side := n.side(e.Conn)
	if c == nil {
		return
	}
	c.closed[side] = true
	if !c.opened {
		n.w.conns = slices.DeleteFunc(n.w.conns, func(o *conn) bool { return o == c })
		return
	}
	c.queue[side] = append(c.queue[side], packet{end: "closed by the peer"})
}

// connect lets a dial succeed or fail.
func (w *world) connect(c *conn) {
	if w.node(c.end[1]).core == nil || w.blocked[c.end] || w.blocked[[2]int64{c.end[1], c.end[0]}] {
		w.cut(c, "connection refused")
		return
	}
	c.opened = true
	to := w.node(c.end[1])
	to.lastConn += 2
	c.id[1] = to.lastConn
	w.node(c.end[0]).step(ConnOpened{Conn: c.id[0]})
}

// arrive delivers the oldest packet of a direction.
func (w *world) arrive(c *conn, side int) {
	p := c.queue[side][0]
	c.queue[side] = c.queue[side][1:]
	other := 1 - side
	n, id := w.node(c.end[other]), c.id[other]
	if p.end != "" {
		w.conns = slices.DeleteFunc(w.conns, func(o *conn) bool { return o == c })
	}
	if c.closed[other] {
		return
	}
	if other == 1 && !c.arrived {
		c.arrived = true
		n.step(ConnOpened{Conn: id, Incoming: true, Master: c.master})
	}
	switch {
	case p.end != "":
		c.closed[other] = true
		n.step(ConnClosed{Conn: id, Reason: p.end})
	case p.isSnap:
		n.step(SnapshotReceived{Conn: id, Handle: p.snapshot})
	default:
		n.step(PacketReceived{Conn: id, Packet: p.QuorumPacket})
	}
}

// deliverMail delivers the newest vote from one member to another.
func (w *world) deliverMail(key [2]int64) {
	n := w.mail[key]
	delete(w.mail, key)
	w.node(key[1]).step(NotificationReceived{From: key[0], N: n})
}

// advance lets time pass.
func (w *world) advance(ms int64) {
	w.nowMs += ms
	for _, n := range w.nodes {
		if n.core != nil && !n.paused {
			n.step(Tick{})
		}
	}
}

// propose lets an established leader broadcast a new transaction.
func (n *node) propose() bool {
	zxid, ok := n.core.NextZxid()
	if !ok {
		return false
	}
	n.w.payloads++
	n.step(Propose{Entry{Zxid: zxid, Payload: fmt.Appendf(nil, "txn %d", n.w.payloads)}})
	return true
}

func (n *node) confirm() {
	w := n.w
	w.tokens++
	q := question{sid: n.sid, epoch: n.core.Epoch(), committed: len(w.truth)}
	for epoch := range w.leaderOf {
		q.newest = max(q.newest, epoch)
	}
	w.asked[w.tokens] = q
	n.step(ConfirmLeadership{Token: w.tokens})
}

// source is something that can happen next.
type source struct {
	conn *conn
	side int
	mail [2]int64
	disk *node
}

// sources lists what is under way and not blocked, in an order that only depends on
// what happened before.
func (w *world) sources(into []source) []source {
	into = into[:0]
	for _, c := range w.conns {
		if !c.opened {
			if !w.node(c.end[0]).paused {
				into = append(into, source{conn: c, side: -1})
			}
			continue
		}
		for side := range 2 {
			if len(c.queue[side]) > 0 && !w.node(c.end[1-side]).paused && !w.blocked[[2]int64{c.end[side], c.end[1-side]}] {
				into = append(into, source{conn: c, side: side})
			}
		}
	}
	for _, from := range w.nodes {
		if len(from.disk) > 0 && !from.paused {
			into = append(into, source{disk: from})
		}
		for _, to := range w.nodes {
			key := [2]int64{from.sid, to.sid}
			if _, waits := w.mail[key]; waits && !w.blocked[key] && !to.paused {
				into = append(into, source{mail: key})
			}
		}
	}
	return into
}

func (w *world) happen(s source, rng *rand.Rand) {
	switch {
	case s.disk != nil:
		s.disk.diskWorks(1 + rng.IntN(len(s.disk.disk)))
	case s.conn == nil:
		w.deliverMail(s.mail)
	case s.side < 0:
		w.connect(s.conn)
	default:
		w.arrive(s.conn, s.side)
	}
}

// leader returns the established leader of the highest epoch, nil without one.
func (w *world) leader() *node {
	var best *node
	for _, n := range w.nodes {
		if n.core != nil && n.role.Role == RoleLeaderEstablished && (best == nil || n.role.Epoch > best.role.Epoch) {
			best = n
		}
	}
	return best
}

// whole reports whether every member is established under one leader, with the same history.
func (w *world) whole() bool {
	l := w.leader()
	if l == nil {
		return false
	}
	for _, n := range w.nodes {
		if n.core == nil || n.role.Epoch != l.role.Epoch || len(n.tree) != len(w.truth) {
			return false
		}
	}
	return l.core.Outstanding() == 0 && l.core.SyncedFollowers()+l.core.SyncedObservers() == len(w.nodes)-1
}

// String describes the state for people.
func (w *world) String() string {
	var b strings.Builder
	for _, n := range w.nodes {
		if n.core == nil {
			fmt.Fprintf(&b, "%d: down, log %s, epochs %d/%d\n", n.sid, zxids(n.log), n.accepted, n.current)
			continue
		}
		fmt.Fprintf(&b, "%d: %v", n.sid, n.role.Role)
		if n.role.Role != RoleLooking {
			fmt.Fprintf(&b, " of %d", n.role.Leader)
		}
		if n.role.Role.Established() {
			fmt.Fprintf(&b, " in epoch %d", n.role.Epoch)
		}
		fmt.Fprintf(&b, ", log %s, tree %s, epochs %d/%d\n", zxids(n.log), zxids(n.tree), n.accepted, n.current)
	}
	return b.String()
}

// zxids lists transactions, consecutive ones of an epoch as a range.
func zxids(entries []Entry) string {
	if len(entries) == 0 {
		return "empty"
	}
	var b strings.Builder
	for i := 0; i < len(entries); {
		last := i
		for last+1 < len(entries) && entries[last+1].Zxid == entries[last].Zxid+1 {
			last++
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(z(entries[i].Zxid))
		if last > i {
			fmt.Fprintf(&b, "-%d", counterOf(entries[last].Zxid))
		}
		i = last + 1
	}
	return b.String()
}
