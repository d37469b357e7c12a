package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	mathrand "math/rand"

	"zoolab/node/replica"
	"zoolab/workloads"
	"zoolab/zk/jute"
)

// client is a process of the workload. It runs the workload's own code, which blocks in
// its calls, as a coroutine: a call hands control back to the world, and the world
// resumes it when the answer, the end of the connection or the timeout comes.
type client struct {
	w       *world
	number  int
	process int
	resume  func() (struct{}, bool)
	stop    func() // ends the coroutine, whatever it waits for
	yield   func(struct{}) bool

	conn      *clientConn
	session   int64
	passwd    []byte
	lastZxid  int64
	xid       int32
	finishing bool
	finished  bool
}

// clientConn is one connection of a client to a member.
type clientConn struct {
	c      *client
	member *member
	born   int // the member's incarnation
	state  *replica.Conn
	closed bool

	lastAtUs int64 // when the last frame sent either way is due
	waiting  *call // what the coroutine waits for
	// watches has the znodes of which the client awaits an event, with their mzxid when it asked.
	watches map[string]int64
	// watchesAll says that a recursive watch of the root is set.
	watchesAll bool
}

// call is a request that waits for its answer.
type call struct {
	xid   int32
	reply jute.ReplyHeader
	body  jute.Record
	err   error
	done  bool
}

var (
	errClosed  = errors.New("connection closed")
	errTimeout = errors.New("timeout")
)

const (
	requestTimeoutUs = 3 * second
	// Sessions live between these, drawn for each: some expire before their client can come back.
	leastSessionTimeoutMs = 1000
	mostSessionTimeoutMs  = 6000
)

func newClient(w *world, number int) *client {
	c := &client{w: w, number: number, process: number}
	c.resume, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if p := recover(); p != nil && p != errStopped {
				panic(p)
			}
		}()
		c.yield = yield
		c.run()
	})
	w.after(w.between(second/2, second), func() { c.resume() })
	return c
}

// errStopped unwinds the coroutine of a run that ended before the client did.
var errStopped = errors.New("the run has ended")

// wait hands control to the world until somebody resumes the client.
func (c *client) wait() {
	if !c.yield(struct{}{}) {
		panic(errStopped)
	}
}

// pause lets virtual time pass.
func (c *client) pause(us int64) {
	c.w.after(us, func() { c.resume() })
	c.wait()
}

// finish makes the client carry out its final reads and end.
func (c *client) finish() { c.finishing = true }

// run is the life of a client: operations, then the final reads.
func (c *client) run() {
	w, load := c.w, c.w.load
	for !c.finishing {
		if w.healed {
			c.pause(w.between(20*millisecond, 200*millisecond))
		} else {
			c.pause(w.between(2*millisecond, 60*millisecond))
		}
		if !c.connect() {
			continue
		}
		if !w.setUp {
			w.setUp = load.workload.Setup(context.Background(), c) == nil
			continue
		}
		if !c.onlyReads() && w.random.IntN(8) == 0 {
			c.extra()
			continue
		}
		op := load.generator.Next(load.random)
		for c.onlyReads() && op.F != "read" {
			op = load.generator.Next(load.random)
		}
		c.operation(op)
	}
	for _, op := range load.generator.Final() {
		op.Type = workloads.Invoke
		for !c.connect() {
			c.pause(50 * millisecond)
		}
		c.operation(op)
	}
	c.finished = true
}

// makeEphemeral makes a znode that is to go with the session. Judged is what is left of
// them at the end.
func (c *client) makeEphemeral() {
	c.tryTo(countEphemeral, jute.OpCreate2, &jute.CreateRequest{
		Path: "/ephemeral-", ACL: worldACL, Flags: jute.ModeEphemeralSequential,
	})
}

var worldACL = []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}

// operation carries one out and records both ends.
func (c *client) operation(op workloads.Op) {
	op.Process = c.process
	op.Node = name(c.conn.member.sid)
	c.w.record(op)
	done := c.w.load.workload.Do(context.Background(), c, op)
	done.Process, done.Node = op.Process, op.Node
	c.w.record(done)
	c.w.load.generator.Completed(done)
	if done.Type == workloads.Info {
		c.process += len(c.w.clients)
		c.disconnect()
	}
}

// record adds a line to the history.
func (w *world) record(op workloads.Op) {
	op.Index, op.TimeNs = len(w.history), w.nowUs*1000
	w.history = append(w.history, op)
	w.mark(int64(op.Process), int64(op.Type), op.Zxid, op.Mzxid, int64(op.Version), int64(len(op.Key)))
	if w.telling() {
		w.tell("p%d %s %s %s %v zxid=%x %s", op.Process, op.Type, op.F, op.Key, op.Value, op.Zxid, op.Error)
	}
	if op.Type == workloads.Info {
		w.count(countUnknown)
	}
}

// connect makes sure that there is a session on a live connection.
func (c *client) connect() bool {
	if c.conn != nil && !c.conn.closed {
		return true
	}
	w := c.w
	m := w.members[w.random.IntN(len(w.members))]
	c.pause(w.net.latency())
	if !m.up {
		return false
	}
	conn := &clientConn{c: c, member: m, born: m.incarnation, watches: make(map[string]int64)}
	conn.state = replica.NewConn(conn)
	c.conn = conn
	var req jute.ReadOnlyConnectRequest
	req.TimeoutMs, req.LastZxidSeen = int32(w.between(leastSessionTimeoutMs, mostSessionTimeoutMs)), c.lastZxid
	// Half of the time the old session is taken up again, if there was one.
	if w.random.IntN(2) == 0 {
		req.SessionID, req.Passwd = c.session, c.passwd
	}
	answer := &call{}
	conn.waiting = answer
	m.step(replica.ClientConnect{Conn: conn.state, Request: req})
	c.await(answer, requestTimeoutUs)
	if answer.err != nil {
		c.disconnect()
		return false
	}
	granted := answer.body.(*jute.ReadOnlyConnectResponse)
	if req.SessionID != 0 {
		if granted.SessionID != 0 {
			w.count(countReattached)
		} else {
			w.count(countExpired)
		}
	}
	c.session, c.passwd = granted.SessionID, granted.Passwd
	if c.session == 0 {
		c.disconnect()
		return false
	}
	return true
}

func (c *client) disconnect() {
	if conn := c.conn; conn != nil {
		conn.end(errClosed)
		c.conn = nil
	}
}

// await hands control to the world until the call is answered or has failed.
func (c *client) await(waiting *call, timeoutUs int64) {
	if waiting.done {
		return
	}
	c.w.after(timeoutUs, func() {
		if !waiting.done {
			waiting.done, waiting.err = true, errTimeout
			c.resume()
		}
	})
	c.wait()
}

// answer ends a call.
func (conn *clientConn) answer(h jute.ReplyHeader, body jute.Record, err error) {
	waiting := conn.waiting
	if waiting == nil || waiting.done {
		return
	}
	conn.waiting = nil
	waiting.done, waiting.reply, waiting.body, waiting.err = true, h, body, err
	conn.c.lastZxid = max(conn.c.lastZxid, h.Zxid)
	conn.c.resume()
}

// request sends a request and waits for its answer.
func (c *client) request(op jute.OpCode, body jute.Record) (jute.ReplyHeader, jute.Record, error) {
	conn := c.conn
	if conn == nil || conn.closed {
		return jute.ReplyHeader{}, nil, fmt.Errorf("%w: no connection", workloads.ErrNotDone)
	}
	c.xid++
	waiting := &call{xid: c.xid}
	conn.waiting = waiting
	h := jute.RequestHeader{Xid: c.xid, Type: op}
	frame := jute.Marshal(body)
	conn.later(func() {
		m := conn.member
		if !m.up || m.incarnation != conn.born {
			return
		}
		if !m.paused && conn.state.MayServe(op) {
			m.replica.Serve(conn.state, h, frame)
			return
		}
		conn.state.Submitted()
		m.step(replica.ClientRequest{Conn: conn.state, Header: h, Body: frame})
	})
	c.await(waiting, requestTimeoutUs)
	if waiting.err != nil {
		c.disconnect()
		return waiting.reply, nil, waiting.err
	}
	if waiting.reply.Xid != h.Xid {
		c.w.violate("client %d got the answer to %d for %d", c.number, waiting.reply.Xid, h.Xid)
	}
	if waiting.reply.Err != jute.CodeOK {
		return waiting.reply, nil, definite(waiting.reply.Err)
	}
	return waiting.reply, waiting.body, nil
}

// definite turns a server's error into one of the workload's: the server said no.
func definite(code jute.ErrorCode) error {
	switch code {
	case jute.CodeNoNode:
		return workloads.ErrNoNode
	case jute.CodeNodeExists:
		return workloads.ErrNodeExists
	case jute.CodeBadVersion:
		return workloads.ErrBadVersion
	}
	return fmt.Errorf("%w: %v", workloads.ErrNotDone, code)
}

// later lets something travel over the connection, behind what travels already.
func (conn *clientConn) later(arrive func()) {
	w := conn.c.w
	at := max(conn.lastAtUs, w.nowUs+w.between(50, 900))
	conn.lastAtUs = at
	w.after(at-w.nowUs, arrive)
}

// end closes the connection on the client's side.
func (conn *clientConn) end(err error) {
	if conn.closed {
		return
	}
	conn.closed = true
	m := conn.member
	if m.up && m.incarnation == conn.born {
		conn.later(func() {
			if m.incarnation == conn.born {
				m.step(replica.ClientClosed{Conn: conn.state})
			}
		})
	}
	conn.answer(jute.ReplyHeader{}, nil, err)
}

// memberDied ends the client's connection to a process that is gone.
func (c *client) memberDied(m *member) {
	if conn := c.conn; conn != nil && conn.member == m {
		conn.later(func() { conn.end(errClosed) })
	}
}

// Connected implements replica.Client.
func (conn *clientConn) Connected(r jute.ReadOnlyConnectResponse) {
	conn.later(func() { conn.answer(jute.ReplyHeader{}, &r, nil) })
}

// Reply implements replica.Client.
func (conn *clientConn) Reply(h jute.ReplyHeader, body jute.Record) {
	conn.later(func() { conn.answer(h, body, nil) })
}

// Notify implements tree.Watcher.
func (conn *clientConn) Notify(event jute.WatcherEvent, _ int64) {
	conn.later(func() {
		if conn.closed {
			return // the client has given up, perhaps before the watch was set
		}
		_, asked := conn.watches[event.Path]
		if !asked && !conn.watchesAll {
			conn.c.w.violate("WatchOnce: client %d is told that %s changed, which it did not watch or was told before", conn.c.number, event.Path)
		}
		if asked {
			conn.c.w.count(countEvent)
			delete(conn.watches, event.Path)
		}
	})
}

// read judges and sets watches: a client must not see what came of a change before it is told of
// the change.
func (conn *clientConn) read(path string, stat *jute.Stat, watch bool) {
	if mzxid, asked := conn.watches[path]; asked && stat.Mzxid != mzxid {
		conn.c.w.violate("WatchOrder: client %d reads %s of %x and was not told that it changed since %x", conn.c.number, path, stat.Mzxid, mzxid)
	}
	if watch || conn.watchesAll {
		conn.watches[path] = stat.Mzxid
	}
}

// Close implements replica.Client.
func (conn *clientConn) Close(string) { conn.later(func() { conn.end(errClosed) }) }

// Sync implements workloads.Client, as do the methods below.
func (c *client) Sync(_ context.Context, path string) (zxid int64, err error) {
	h, _, err := c.request(jute.OpSync, &jute.SyncRequest{Path: path})
	if err == nil {
		c.w.count(countSync)
	}
	return h.Zxid, err
}

// Get reads a znode.
func (c *client) Get(_ context.Context, path string) ([]byte, workloads.Stat, int64, error) {
	conn, watch := c.conn, c.w.random.IntN(4) == 0
	h, body, err := c.request(jute.OpGetData, &jute.GetDataRequest{Path: path, Watch: watch})
	if err != nil {
		return nil, workloads.Stat{}, h.Zxid, err
	}
	r := body.(*jute.GetDataResponse)
	conn.read(path, &r.Stat, watch)
	return r.Data, statOf(&r.Stat), h.Zxid, nil
}

// Set writes a znode.
func (c *client) Set(_ context.Context, path string, data []byte, version int32) (workloads.Stat, int64, error) {
	h, body, err := c.request(jute.OpSetData, &jute.SetDataRequest{Path: path, Data: data, Version: version})
	if err != nil {
		return workloads.Stat{}, h.Zxid, err
	}
	return statOf(&body.(*jute.SetDataResponse).Stat), h.Zxid, nil
}

// Create makes a znode.
func (c *client) Create(_ context.Context, path string, data []byte) (workloads.Stat, int64, error) {
	h, body, err := c.request(jute.OpCreate2, &jute.CreateRequest{
		Path: path, Data: data, ACL: worldACL,
	})
	if err != nil {
		return workloads.Stat{}, h.Zxid, err
	}
	return statOf(&body.(*jute.Create2Response).Stat), h.Zxid, nil
}

func statOf(s *jute.Stat) workloads.Stat {
	return workloads.Stat{Czxid: s.Czxid, Mzxid: s.Mzxid, Version: s.Version}
}

// load is the workload that all clients share.
type load struct {
	workload  workloads.Workload
	generator workloads.Generator
	random    *mathrand.Rand
}

func newLoad(seed uint64, clients int) *load {
	register, err := workloads.Lookup("register")
	if err != nil {
		panic(err)
	}
	return &load{
		workload:  register,
		generator: register.NewGenerator(workloads.Options{Concurrency: clients}),
		random:    mathrand.New(mathrand.NewSource(int64(seed))),
	}
}

// checkHistory judges what the clients saw.
func (w *world) checkHistory() {
	for _, checker := range w.load.workload.Checkers(workloads.DefaultBounds) {
		if r := checker.Check(w.history); r.Verdict != workloads.VerdictOK {
			w.violate("%s: %s", r.Checker, r.Cause)
		}
	}
}
