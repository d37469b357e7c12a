package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	nodesim "zoolab/node/sim"
	"zoolab/zk"
	"zoolab/zk/jute"
)

// Client is one session, with the rules and the methods of zk.Client: it moves to another
// member when its connection breaks, proves there who it is and sets its watches again,
// sends no request twice, and ends when a member says that it has expired. It is for one
// task at a time.
type Client struct {
	c       *Cluster
	options ClientOptions
	members []int64 // in the order in which they are tried
	tried   int     // how many attempts there were
	failed  int     // of them since the last connection

	id       int64
	passwd   []byte
	known    bool // a member has granted it
	timeout  time.Duration
	heardAt  time.Time // when the newest request that was answered had been sent
	lastZxid int64
	lastXid  int32 // goes on over connections, as package zk's does
	state    zk.State
	ended    error // why it is no more; nil while it lives
	auths    []*jute.AuthPacket

	conn *connection // nil between two attempts
	up   waiter      // the first connection

	queue    []*call // not yet sent
	inFlight []*call // sent and not answered, oldest first
	watches  watches
}

// ClientOptions are those of a zk.Client that the lab uses.
type ClientOptions struct {
	SessionTimeout time.Duration // asked for
	ReadTimeout    time.Duration // a member that is silent for longer is given up
	Auths          [][]byte      // credentials of the scheme digest
	// Stray takes events for which the session has no watch.
	Stray func(zk.Event)
}

// call is a request with what comes of it.
type call struct {
	answered waiter
	op       jute.OpCode
	path     string // of the request, for errors
	request  jute.Record
	watch    *watch // to be set with the answer; nil for none
	xid      int32
	sent     bool
	changes  bool
	header   jute.ReplyHeader
	body     jute.Record
	err      error
}

// connection is one attempt of a session to have a connection, and then the connection.
type connection struct {
	s         *Client
	guest     *nodesim.Guest
	member    int64
	connected bool
	proving   int // credentials of the session that are not answered yet
	heardAt   time.Time
	sentAt    time.Time
	mark      mark
}

// greeting stands for the xid of the request for a connection, which has none.
const greeting = math.MinInt32

// mark is a request whose answer will prove that the session was alive when it was sent.
type mark struct {
	xid    int32
	sentAt time.Time // zero if there is no mark
}

// Pauses between attempts, as package zk has them.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
	// careInterval is how often a connection is looked after. It is small beside the
	// difference of the intervals of pings and silence.
	careInterval = 250 * time.Millisecond
)

var (
	errSilent   = errors.New("the member was silent")
	errProtocol = fmt.Errorf("the member broke the protocol: %w", jute.ErrMalformed)
)

// Connect opens a session with one of the members that addr names, with commas.
func (c *Cluster) Connect(ctx context.Context, addr string, options ClientOptions) (*Client, error) {
	s, err := c.client(addr, options)
	if err != nil {
		return nil, fmt.Errorf("sim: connect: %w", err)
	}
	s.begin()
	if !s.up.wait(ctx) {
		s.end(zk.StateClosed, zk.ErrClosed)
		return nil, fmt.Errorf("sim: connect to %s: %w", addr, ctx.Err())
	}
	return s, nil
}

// Continue is zk.New with a session that was detached.
func (c *Cluster) Continue(addr string, options ClientOptions, session zk.Session) (*Client, error) {
	s, err := c.client(addr, options)
	if err != nil {
		return nil, fmt.Errorf("sim: continue a session: %w", err)
	}
	s.id, s.passwd, s.timeout, s.lastZxid, s.known = session.ID, session.Password, session.Timeout, session.LastZxid, session.ID != 0
	s.begin()
	return s, nil
}

func (c *Cluster) client(addr string, options ClientOptions) (*Client, error) {
	s := &Client{c: c, options: options, up: waiter{c: c}, state: zk.StateConnecting}
	for _, credential := range options.Auths {
		s.auths = append(s.auths, &jute.AuthPacket{Scheme: "digest", Auth: credential})
	}
	for name := range strings.SplitSeq(addr, ",") {
		id, err := c.id(name)
		if err != nil {
			return nil, err
		}
		s.members = append(s.members, id)
	}
	return s, nil
}

// begin looks for a member, in an order of its own.
func (s *Client) begin() {
	s.c.ensemble.Random().Shuffle(len(s.members), func(i, j int) { s.members[i], s.members[j] = s.members[j], s.members[i] })
	s.tried, s.failed = 0, 0
	s.connect()
}

// connect tries the next member.
func (s *Client) connect() {
	n := &connection{s: s, member: s.members[s.tried%len(s.members)]}
	s.tried++
	s.conn = n
	request := jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{
		LastZxidSeen: s.lastZxid, TimeoutMs: int32(s.options.SessionTimeout.Milliseconds()), Passwd: make([]byte, 16),
	}}
	if s.known {
		request.SessionID, request.Passwd = s.id, s.passwd
	}
	n.mark = mark{xid: greeting, sentAt: s.c.Now()}
	n.guest = s.c.ensemble.Connect(n.member, request, n)
	s.c.ensemble.After(s.options.SessionTimeout/time.Duration(len(s.members)), func() {
		if s.conn == n && !n.connected {
			n.lose(errSilent)
		}
	})
}

// Connected implements nodesim.GuestHandler, as do the methods below.
func (n *connection) Connected(r jute.ReadOnlyConnectResponse) {
	s := n.s
	if s.conn != n {
		return
	}
	switch {
	case r.TimeoutMs > 0 && r.SessionID != 0:
	case s.known:
		s.end(zk.StateExpired, zk.ErrSessionExpired)
		return
	default:
		n.lose(errors.New("the member refused a new session"))
		return
	}
	s.id, s.passwd, s.known, s.failed = r.SessionID, r.Passwd, true, 0
	s.timeout = time.Duration(r.TimeoutMs) * time.Millisecond
	s.heardAt, n.mark = n.mark.sentAt, mark{}
	n.connected, n.heardAt, s.state = true, s.c.Now(), zk.StateConnected
	for _, packet := range s.auths {
		n.proving++
		n.send(jute.XidAuth, jute.OpAuth, packet)
	}
	if again := s.watches.frame(s.lastZxid); again != nil {
		n.send(jute.XidSetWatches, jute.OpSetWatches2, again)
	}
	s.watches.lost()
	n.care()
	s.up.happens()
	for _, k := range s.queue {
		n.hand(k)
	}
	s.queue = nil
}

// Reply takes an answer.
func (n *connection) Reply(h jute.ReplyHeader, body jute.Record) {
	s := n.s
	if s.conn != n {
		return
	}
	n.heardAt = s.c.Now()
	s.lastZxid = max(s.lastZxid, h.Zxid)
	if h.Xid == n.mark.xid && !n.mark.sentAt.IsZero() {
		s.heardAt, n.mark = n.mark.sentAt, mark{}
	}
	if h.Xid == jute.XidPing || h.Xid == jute.XidSetWatches {
		return
	}
	if h.Xid == jute.XidAuth && n.proving > 0 {
		if n.proving--; h.Err != jute.CodeOK {
			n.lose(h.Err)
		}
		return
	}
	if len(s.inFlight) == 0 || s.inFlight[0].xid != h.Xid {
		n.lose(fmt.Errorf("%w: answer with xid %d to nothing that was asked", errProtocol, h.Xid))
		return
	}
	k := s.inFlight[0]
	if h.Err == jute.CodeOK && !fits(k.op, body) {
		n.lose(fmt.Errorf("%w: a %T for %v", errProtocol, body, k.op))
		return
	}
	s.inFlight = s.inFlight[1:]
	k.header, k.body = h, body
	if packet, ok := k.request.(*jute.AuthPacket); ok && h.Err == jute.CodeOK {
		s.auths = append(s.auths, packet)
	}
	s.watches.answered(k.watch, h.Err)
	k.answered.happens()
}

// fits reports whether an answer can be read as one to such a request, where requests of
// other kinds have another one.
func fits(op jute.OpCode, body jute.Record) (ok bool) {
	switch op {
	case jute.OpGetData:
		_, ok = body.(*jute.GetDataResponse)
	case jute.OpSetData:
		_, ok = body.(*jute.SetDataResponse)
	case jute.OpCreate2:
		_, ok = body.(*jute.Create2Response)
	case jute.OpGetChildren2:
		_, ok = body.(*jute.GetChildren2Response)
	case jute.OpMulti:
		_, ok = body.(*jute.MultiResponse)
	default:
		return true
	}
	return ok
}

// Notify takes an event.
func (n *connection) Notify(event jute.WatcherEvent, zxid int64) {
	if n.s.conn == n {
		n.heardAt = n.s.c.Now()
		seen := zk.Event{Type: event.Type, Path: event.Path, Zxid: zxid}
		if !n.s.watches.fire(seen) {
			n.s.options.Stray(seen)
		}
	}
}

// Closed takes the end of the connection.
func (n *connection) Closed(err error) {
	if n.s.conn == n {
		n.lose(err)
	}
}

// lose ends the connection. What was sent on it is of unknown outcome; the session goes on.
func (n *connection) lose(cause error) {
	s := n.s
	n.guest.Close()
	s.conn, s.state = nil, zk.StateDisconnected
	s.failInFlight(fmt.Errorf("%w: %w", zk.ErrConnectionLoss, cause))
	s.failed++
	pause := lastPause
	if round := (s.failed - 1) / len(s.members); round < 6 {
		pause = min(firstPause<<round, lastPause)
	}
	pause = pause/2 + time.Duration(s.c.ensemble.Random().Int64N(int64(pause/2)))
	s.c.ensemble.After(pause, func() {
		if s.conn == nil && s.ended == nil {
			s.connect()
		}
	})
}

// care pings where nothing else is sent, and gives up a member that is silent.
func (n *connection) care() {
	s := n.s
	if s.conn != n {
		return
	}
	now := s.c.Now()
	if now.Sub(n.heardAt) >= s.options.ReadTimeout {
		n.lose(errSilent)
		return
	}
	if now.Sub(n.sentAt) >= s.timeout/3-careInterval {
		n.send(jute.XidPing, jute.OpPing, nil)
	}
	s.c.ensemble.After(careInterval, n.care)
}

func (n *connection) send(xid int32, op jute.OpCode, body jute.Record) {
	n.sentAt = n.s.c.Now()
	if n.mark.sentAt.IsZero() {
		n.mark = mark{xid, n.sentAt}
	}
	n.guest.Send(jute.RequestHeader{Xid: xid, Type: op}, body)
}

// hand sends a call.
func (n *connection) hand(k *call) {
	n.s.lastXid++
	k.xid, k.sent = n.s.lastXid, true
	if k.op == jute.OpAuth {
		k.xid = jute.XidAuth
	}
	n.s.inFlight = append(n.s.inFlight, k)
	n.send(k.xid, k.op, k.request)
}

// end ends the session for its client.
func (s *Client) end(state zk.State, cause error) {
	if s.ended != nil {
		return
	}
	s.ended, s.state = cause, state
	if s.conn != nil {
		s.conn.guest.Close()
		s.conn = nil
	}
	s.failInFlight(cause)
	for _, k := range s.queue {
		k.fail(cause)
	}
	s.queue = nil
	s.watches.end()
}

func (s *Client) failInFlight(cause error) {
	for _, k := range s.inFlight {
		k.fail(cause)
	}
	s.inFlight = nil
}

func (k *call) fail(cause error) {
	k.err = cause
	k.answered.happens()
}

// do carries a request out, as package zk does: it waits for a connection, is sent once,
// and its error says whether it may have happened.
func (s *Client) do(ctx context.Context, k *call) (jute.Record, zk.Reply, error) {
	s.ask(k)
	return s.await(ctx, k)
}

// ask sends a request, or queues it for the next connection.
func (s *Client) ask(k *call) {
	k.answered.c = s.c
	switch {
	case s.ended != nil:
		k.fail(s.ended)
	case s.conn != nil && s.conn.connected:
		s.conn.hand(k)
	default:
		s.queue = append(s.queue, k)
	}
}

// await waits for what comes of a request.
func (s *Client) await(ctx context.Context, k *call) (jute.Record, zk.Reply, error) {
	if !k.answered.wait(ctx) {
		k.err = context.DeadlineExceeded
		s.queue = slices.DeleteFunc(s.queue, func(other *call) bool { return other == k })
	}
	refused := false
	if k.err == nil && k.header.Err != jute.CodeOK {
		k.err, refused = k.header.Err, zk.Refusal(k.header.Err)
	}
	reply := zk.Reply{Zxid: k.header.Zxid}
	if k.err == nil {
		return k.body, reply, nil
	}
	return nil, reply, &zk.OpError{
		Op: k.op.String(), Path: k.path, Err: k.err, Zxid: reply.Zxid, MayHaveHappened: k.sent && k.changes && !refused,
	}
}
