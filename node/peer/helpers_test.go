package peer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// patience bounds every wait of these tests; nothing comes near it that works.
const patience = time.Minute

// member is a transport with what it posted and logged.
type member struct {
	*Transport
	t   *testing.T
	log logBuffer

	mu     sync.Mutex
	inputs []zab.Input
	came   chan struct{}
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

// addresses finds free loopback ports for members 1 to n.
func addresses(t *testing.T, n int) map[int64]Address {
	t.Helper()
	all := make(map[int64]Address)
	ports, err := apache.FreePorts(2 * n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		all[int64(i+1)] = Address{
			Quorum:   []string{fmt.Sprintf("127.0.0.1:%d", ports[2*i])},
			Election: []string{fmt.Sprintf("127.0.0.1:%d", ports[2*i+1])},
		}
	}
	return all
}

// config is what tests start from. Its timeouts are those of a busy machine.
func config(sid int64, members map[int64]Address) Config {
	return Config{
		SID: sid, Members: members, DialTimeout: 10 * time.Second, StallTimeout: 20 * time.Second,
		BindAttempts: 1, MaxFieldBytes: 1 << 20, MaxQueuedBytes: 8 << 20,
	}
}

// helloTimeout is the StallTimeout of tests with callers that never finish what they begin,
// which must wait for it, and with one that does, who must not be late.
const helloTimeout = 2 * time.Second

// snapshotBytes is the length of the streams that tests send as snapshots.
const snapshotBytes = 3 << 20

func start(t *testing.T, cfg Config) *member {
	t.Helper()
	m := &member{t: t, came: make(chan struct{}, 1)}
	hooks := Hooks{
		Post: m.post,
		ReadSnapshot: func(r *bufio.Reader) (any, error) {
			b := make([]byte, snapshotBytes)
			_, err := io.ReadFull(r, b)
			return bytes.Count(b, []byte{'s'}), err
		},
	}
	transport, err := Listen(cfg, hooks, slog.New(slog.NewTextHandler(&m.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	m.Transport = transport
	t.Cleanup(func() {
		m.shutdownSoon()
		if t.Failed() {
			t.Logf("member %d:\n%s", cfg.SID, strings.Join(m.log.lines(), "\n"))
		}
	})
	return m
}

// shutdownSoon shuts down and fails the test if that hangs.
func (m *member) shutdownSoon() {
	m.t.Helper()
	done := make(chan struct{})
	go func() {
		m.Shutdown()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		m.t.Errorf("shutdown hangs:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}

func (m *member) post(in ...zab.Input) {
	m.mu.Lock()
	m.inputs = append(m.inputs, in...)
	m.mu.Unlock()
	select {
	case m.came <- struct{}{}:
	default:
	}
}

// await returns what was posted once it satisfies the condition.
func (m *member) await(what string, enough func([]zab.Input) bool) []zab.Input {
	m.t.Helper()
	deadline := time.After(patience)
	for {
		m.mu.Lock()
		inputs := m.inputs[:len(m.inputs):len(m.inputs)]
		m.mu.Unlock()
		if enough(inputs) {
			return inputs
		}
		select {
		case <-m.came:
		case <-deadline:
			m.t.Fatalf("%s did not come within %v; %d inputs came, log:\n%s", what, patience, len(inputs), strings.Join(m.log.lines(), "\n"))
		}
	}
}

// closed reports the reason with which a connection ended.
func closed(inputs []zab.Input, id zab.ConnID) (string, bool) {
	for _, in := range inputs {
		if c, ok := in.(zab.ConnClosed); ok && c.Conn == id {
			return c.Reason, true
		}
	}
	return "", false
}

// votes returns the zxids of the notifications that came from a member.
func votes(inputs []zab.Input, from int64) []int64 {
	var zxids []int64
	for _, in := range inputs {
		if n, ok := in.(zab.NotificationReceived); ok && n.From == from {
			zxids = append(zxids, n.N.Zxid)
		}
	}
	return zxids
}

func vote(zxid int64) *jute.Notification { return &jute.Notification{Zxid: zxid, Version: 2} }

// dialRaw connects to a port as somebody who speaks his own protocol.
func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	return dialFrom(t, "127.0.0.1", address)
}

// dialFrom is dialRaw from another of this machine's addresses.
func dialFrom(t *testing.T, from, address string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

// awaitEnd reads until the other side closes the connection.
func awaitEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Fatalf("the connection was not closed within %v", patience)
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// hello is the first message of an election connection.
func hello(version, sid int64, address string) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(version))
	b = binary.BigEndian.AppendUint64(b, uint64(sid))
	b = binary.BigEndian.AppendUint32(b, uint32(len(address)))
	return append(b, address...)
}

func followerInfo() []byte {
	return jute.Marshal(&jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: make([]byte, 20)})
}
