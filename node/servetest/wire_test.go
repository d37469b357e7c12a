package servetest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/zk/jute"
)

// silence is how long a server may be silent before a test says that it gives no answer.
const silence = time.Minute

// script speaks to one server in hand-made frames and writes down what comes back, in a
// form in which two servers can be compared: zxids without their epoch, session ids by
// the name of the connection, times as T.
type script struct {
	t     *testing.T
	addr  string
	lines []string
	names map[int64]string // session id -> name of its connection
	// left are the sessions that no connection has closed, with their passwords.
	left map[int64][]byte
}

// wire is one connection of a script.
type wire struct {
	*script
	name    string
	conn    net.Conn
	session jute.ConnectResponse
	xid     int32
	ended   bool
}

func newScript(t *testing.T, addr string) *script {
	return &script{t: t, addr: addr, names: map[int64]string{0: "0"}, left: make(map[int64][]byte)}
}

// leave closes the sessions whose connections a story has lost. Each would expire at some time
// in another, and take a zxid there.
func (s *script) leave() {
	s.t.Helper()
	lines := s.lines
	for _, id := range slices.Sorted(maps.Keys(s.left)) {
		w := s.dial("leaving")
		w.handshake("again", &jute.ConnectRequest{TimeoutMs: 40_000, SessionID: id, Passwd: s.left[id]})
		if w.session.SessionID == id {
			w.close()
		}
		w.conn.Close()
	}
	s.lines = lines
}

func (s *script) note(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// dial opens a connection without saying anything.
func (s *script) dial(name string) *wire {
	s.t.Helper()
	c, err := net.DialTimeout("tcp", s.addr, silence)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return &wire{script: s, name: name, conn: c}
}

// connect opens a session with the usual request.
func (s *script) connect(name string) *wire {
	s.t.Helper()
	w := s.dial(name)
	w.handshake("connect", &jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{
		TimeoutMs: 40_000, Passwd: make([]byte, 16),
	}})
	if w.ended {
		s.t.Fatalf("%s: no session", name)
	}
	return w
}

// handshake sends a connect request, which may be any record, and notes the answer.
func (w *wire) handshake(label string, request jute.Record) {
	w.t.Helper()
	w.send(jute.Marshal(request))
	frame, err := w.read()
	if err != nil {
		w.end(label, err)
		return
	}
	var answer jute.ReadOnlyConnectResponse
	if err := jute.Unmarshal(frame, &answer); err != nil {
		w.note("%s %s: %s", w.name, label, hex.EncodeToString(frame))
		return
	}
	w.session = answer.ConnectResponse
	if answer.SessionID != 0 && w.names[answer.SessionID] == "" {
		w.names[answer.SessionID] = w.name
		w.left[answer.SessionID] = answer.Passwd
	}
	w.note("%s %s: protocol=%d timeout=%d session=%s passwd=%d bytes, zero=%t readonly=%t/%t",
		w.name, label, answer.ProtocolVersion, answer.TimeoutMs, w.names[answer.SessionID],
		len(answer.Passwd), bytes.Equal(answer.Passwd, make([]byte, 16)), answer.HasReadOnly, answer.ReadOnly)
}

// send writes one frame.
func (w *wire) send(frame []byte) {
	w.sendBytes(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
}

// sendBytes writes what is no frame. That the server has closed already shows when reading.
func (w *wire) sendBytes(b []byte) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(silence))
	_, _ = w.conn.Write(b)
}

func (w *wire) read() ([]byte, error) {
	_ = w.conn.SetReadDeadline(time.Now().Add(silence))
	var head [4]byte
	if _, err := io.ReadFull(w.conn, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > 16<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(w.conn, frame)
	return frame, err
}

// end notes that the server closed the connection, or that it says nothing.
func (w *wire) end(label string, err error) {
	w.ended = true
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		w.note("%s %s: silent", w.name, label)
		return
	}
	w.note("%s %s: closed", w.name, label)
}

// do sends a request under the next xid, waits for its answer and notes it with the
// events that came before.
func (w *wire) do(label string, op jute.OpCode, body, answer jute.Record) {
	w.t.Helper()
	var b []byte
	if body != nil {
		b = jute.Marshal(body)
	}
	w.xid++
	w.raw(label, w.xid, op, b, answer)
}

// raw is do with an xid and body bytes of the caller's.
func (w *wire) raw(label string, xid int32, op jute.OpCode, body []byte, answer jute.Record) {
	w.t.Helper()
	if w.ended {
		w.t.Fatalf("%s %s: the connection has ended:\n%s", w.name, label, strings.Join(w.lines, "\n"))
	}
	h := jute.RequestHeader{Xid: xid, Type: op}
	w.send(append(jute.Marshal(&h), body...))
	w.await(label, xid, answer)
}

// await notes events and the answer to xid.
func (w *wire) await(label string, xid int32, answer jute.Record) {
	w.t.Helper()
	for {
		frame, err := w.read()
		if err != nil {
			w.end(label, err)
			return
		}
		d := jute.NewDecoder(frame)
		var h jute.ReplyHeader
		h.Decode(d)
		if h.Xid == jute.XidNotification && xid != jute.XidNotification {
			w.event(h, d.Rest())
			continue
		}
		w.note("%s %s: xid=%d zxid=%s err=%d %s", w.name, label, h.Xid, zxid(h.Zxid), h.Err, w.render(d.Rest(), answer))
		return
	}
}

// awaitEvent notes the next frame, which should be a watch event.
func (w *wire) awaitEvent(label string) {
	w.t.Helper()
	frame, err := w.read()
	if err != nil {
		w.end(label, err)
		return
	}
	d := jute.NewDecoder(frame)
	var h jute.ReplyHeader
	h.Decode(d)
	if h.Xid != jute.XidNotification {
		w.note("%s %s: answer %d instead of an event", w.name, label, h.Xid)
		return
	}
	w.event(h, d.Rest())
}

// event notes an event without its zxid: Apache gives none before 3.9, this server that of
// the change.
func (w *wire) event(h jute.ReplyHeader, body []byte) {
	var ev jute.WatcherEvent
	w.note("%s event: err=%d %s", w.name, h.Err, w.render(body, &ev))
}

// render writes an answer's body. A body that is not exactly the bytes of its record is
// written as it came.
func (w *wire) render(body []byte, record jute.Record) string {
	if record == nil || len(body) == 0 {
		return "body=" + hex.EncodeToString(body)
	}
	if err := jute.Unmarshal(body, record); err != nil || !bytes.Equal(jute.Marshal(record), body) {
		return fmt.Sprintf("bytes=%s", hex.EncodeToString(body))
	}
	switch r := record.(type) {
	case *jute.Create2Response:
		return fmt.Sprintf("path=%q %s", r.Path, w.stat(&r.Stat))
	case *jute.ExistsResponse:
		return w.stat(&r.Stat)
	case *jute.SetDataResponse:
		return w.stat(&r.Stat)
	case *jute.SetACLResponse:
		return w.stat(&r.Stat)
	case *jute.GetDataResponse:
		return fmt.Sprintf("data=%s %s", null(r.Data), w.stat(&r.Stat))
	case *jute.GetACLResponse:
		return fmt.Sprintf("acl=%v %s", r.ACL, w.stat(&r.Stat))
	case *jute.GetChildren2Response:
		return fmt.Sprintf("children=%q %s", sorted(r.Children), w.stat(&r.Stat))
	case *jute.GetChildrenResponse:
		return fmt.Sprintf("children=%q", sorted(r.Children))
	case *jute.GetEphemeralsResponse:
		return fmt.Sprintf("ephemerals=%q", sorted(r.Ephemerals))
	case *jute.MultiResponse:
		var parts []string
		for _, part := range r.Results {
			text := ""
			if part.Record != nil {
				text = w.render(jute.Marshal(part.Record), part.Record)
			}
			parts = append(parts, fmt.Sprintf("[%v err=%d %s]", part.Type, part.Err, text))
		}
		return strings.Join(parts, " ")
	}
	return fmt.Sprintf("%+v", record)
}

func (w *wire) stat(s *jute.Stat) string {
	owner := w.names[s.EphemeralOwner]
	if owner == "" {
		owner = fmt.Sprintf("%#x", s.EphemeralOwner)
	}
	return fmt.Sprintf("stat{c=%s m=%s p=%s ctime=%s mtime=%s v=%d cv=%d av=%d owner=%s data=%d children=%d}",
		zxid(s.Czxid), zxid(s.Mzxid), zxid(s.Pzxid), when(s.Ctime), when(s.Mtime),
		s.Version, s.Cversion, s.Aversion, owner, s.DataLength, s.NumChildren)
}

// zxid leaves the epoch out: a lone server of Apache's stays in epoch 0.
func zxid(z int64) string {
	if z < 0 {
		return fmt.Sprint(z)
	}
	return fmt.Sprintf("%x", uint32(z))
}

// when tells only whether a time is plausible.
func when(ms int64) string {
	if age := time.Since(time.UnixMilli(ms)); age > -time.Second && age < 5*time.Minute {
		return "T"
	}
	return fmt.Sprint(ms)
}

func null(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}
