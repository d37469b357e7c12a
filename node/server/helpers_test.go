package server

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/node/metrics"
	"zoolab/node/prep"
	"zoolab/node/quorum"
	"zoolab/node/replica"
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// patience bounds every wait of these tests; nothing comes near it that works.
const patience = time.Minute

// shell runs a real replica of one voter, whose disk is a promise: it can be stalled, so
// that nothing is committed.
type shell struct {
	*Server
	t       testing.TB
	log     logBuffer
	replica *replica.Replica
	began   time.Time

	mu      sync.Mutex
	inputs  []replica.Input
	stalled bool
	done    uint64 // newest disk effect
	told    uint64 // newest reported to the replica
	wake    chan struct{}
	stop    chan struct{}
	ended   chan struct{}
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.FieldsFunc(b.buf.String(), func(r rune) bool { return r == '\n' })
}

func start(t testing.TB, cfg Config) *shell {
	t.Helper()
	s := &shell{t: t, began: time.Now(), wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	verifier, err := quorum.NewMajority([]int64{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.replica = replica.New(replica.Config{
		Zab: zab.Config{
			SID: 1, Verifier: verifier, TickMs: 100, InitLimitTicks: 10, SyncLimitTicks: 10, CommitLogCount: 500,
			FinalizeWaitMs: 1, MaxSyncLogBytes: 1 << 20,
		},
		MinSessionTimeoutMs: 100, MaxSessionTimeoutMs: 60_000, SnapCount: 1 << 30,
		Prep: prep.Options{},
		Rand: rand.New(rand.NewPCG(1, 2)),
	}, zab.Boot{}, tree.New(), s.now())
	cfg.Address = "127.0.0.1:0"
	if cfg.MaxFrameBytes == 0 {
		cfg.MaxFrameBytes = 1 << 20
	}
	if cfg.SessionlessTimeout == 0 {
		cfg.SessionlessTimeout = patience
	}
	cfg.Metrics = metrics.New(2)
	hooks := Hooks{Replica: s.replica, Submit: s.submit, FourLetterWord: func(word string, _ io.Reader, w io.Writer) bool {
		_, _ = io.WriteString(w, word)
		return word == "ruok"
	}}
	if s.Server, err = Listen(cfg, hooks, slog.New(slog.NewTextHandler(&s.log, nil))); err != nil {
		t.Fatal(err)
	}
	s.Serve()
	go s.loop()
	t.Cleanup(s.end)
	eventually(t, "the replica serves", func() bool { return s.replica.Status().Role.Established() })
	return s
}

func (s *shell) now() replica.Now {
	return replica.Now{MonoMs: time.Since(s.began).Milliseconds(), WallMs: time.Now().UnixMilli()}
}

func (s *shell) submit(in replica.Input) {
	s.mu.Lock()
	s.inputs = append(s.inputs, in)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// stall keeps the disk from finishing anything, or lets it go on.
func (s *shell) stall(stalled bool) {
	s.mu.Lock()
	s.stalled = stalled
	s.mu.Unlock()
}

func (s *shell) loop() {
	defer close(s.ended)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
		case <-tick.C:
			s.step(zab.Tick{})
		}
		s.mu.Lock()
		inputs := s.inputs
		s.inputs = nil
		s.mu.Unlock()
		for _, in := range inputs {
			s.step(in)
		}
		s.mu.Lock()
		report := !s.stalled && s.told < s.done
		s.mu.Unlock()
		if report {
			s.told = s.done
			s.step(zab.DiskDone{Seq: s.told})
		}
		s.Flush()
	}
}

func (s *shell) step(in replica.Input) {
	for _, e := range s.replica.Step(s.now(), in) {
		switch e := e.(type) {
		case zab.Append:
			s.done = e.Seq
		case zab.SaveAcceptedEpoch:
			s.done = e.Seq
		case zab.SaveCurrentEpoch:
			s.done = e.Seq
		}
	}
}

// end shuts down, loop first as the member does, and fails the test if that hangs.
func (s *shell) end() {
	select {
	case <-s.stop:
		return
	default:
	}
	close(s.stop)
	<-s.ended
	done := make(chan struct{})
	go func() {
		s.Shutdown()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		s.t.Errorf("shutdown hangs:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// client is a client's end of a connection.
type client struct {
	net.Conn
	t testing.TB
}

func (s *shell) dial() *client {
	s.t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{c, s.t}
}

// connect opens a session.
func (s *shell) connect() *client {
	s.t.Helper()
	c := s.dial()
	c.sendConnect()
	if frame := c.read(); len(frame) < 36 {
		s.t.Fatalf("the answer to a connect request is %x", frame)
	}
	return c
}

func (c *client) sendConnect() {
	c.send(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 30_000, Passwd: make([]byte, 16)}))
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(framed(b)); err != nil {
		c.t.Fatal(err)
	}
}

// request is a request's frame without its length.
func request(xid int32, op jute.OpCode, body jute.Record) []byte {
	h := jute.RequestHeader{Xid: xid, Type: op}
	b := jute.Marshal(&h)
	if body != nil {
		b = body.Append(b)
	}
	return b
}

func setData(xid int32, path string, data []byte) []byte {
	return request(xid, jute.OpSetData, &jute.SetDataRequest{Path: path, Data: data, Version: -1})
}

func getData(xid int32, path string, watch bool) []byte {
	return request(xid, jute.OpGetData, &jute.GetDataRequest{Path: path, Watch: watch})
}

func (c *client) create(xid int32, path string, data []byte) {
	c.t.Helper()
	open := []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}
	c.send(request(xid, jute.OpCreate, &jute.CreateRequest{Path: path, Data: data, ACL: open}))
	c.expect(xid)
}

func (c *client) tryRead() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c, frame)
	return frame, err
}

func (c *client) read() []byte {
	c.t.Helper()
	frame, err := c.tryRead()
	if err != nil {
		c.t.Fatal(err)
	}
	return frame
}

// header decodes the header of an answer or event.
func header(frame []byte) (h jute.ReplyHeader) {
	h.Decode(jute.NewDecoder(frame))
	return h
}

// expect reads the next frame, which must be a success with this xid.
func (c *client) expect(xid int32) []byte {
	c.t.Helper()
	frame := c.read()
	var h jute.ReplyHeader
	d := jute.NewDecoder(frame)
	if h.Decode(d); h.Xid != xid || (h.Err != 0 && xid != jute.XidNotification) {
		c.t.Fatalf("the next frame is %+v, want a success with xid %d", h, xid)
	}
	return slices.Clone(d.Rest())
}

// expectEnd reads until the server closes the connection.
func (c *client) expectEnd() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		c.t.Fatal("the server did not close the connection")
	}
}

// only returns the one connection that the server has.
func (s *shell) only() *conn {
	s.t.Helper()
	s.Server.mu.Lock()
	defer s.Server.mu.Unlock()
	if len(s.conns) != 1 {
		s.t.Fatalf("%d connections, want one", len(s.conns))
	}
	for c := range s.conns {
		return c
	}
	return nil
}

func (c *conn) unsent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}
