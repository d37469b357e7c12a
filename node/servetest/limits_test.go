package servetest

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

// serves checks that a server still serves a new client.
func serves(t *testing.T, s *apache.Server) {
	t.Helper()
	sc := newScript(t, s.ClientAddr)
	w := sc.connect("check")
	w.do("exists", jute.OpExists, &jute.ExistsRequest{Path: "/"}, &jute.ExistsResponse{})
	if last := sc.lines[len(sc.lines)-1]; !strings.Contains(last, "err=0") {
		t.Errorf("the server does not serve a new client: %s", last)
	}
	w.close()
}

// linesWith returns the lines of a server's log that contain a text.
func linesWith(t *testing.T, s *apache.Server, text string) []string {
	t.Helper()
	return slices.DeleteFunc(strings.Split(logOf(t, s), "\n"), func(line string) bool { return !strings.Contains(line, text) })
}

// awaitLines waits for so many lines in a log, since they are written after the connection ended.
func awaitLines(t *testing.T, s *apache.Server, text string, count int) {
	t.Helper()
	for deadline := time.Now().Add(silence); ; time.Sleep(10 * time.Millisecond) {
		lines := linesWith(t, s, text)
		if len(lines) == count {
			return
		}
		if time.Now().After(deadline) || len(lines) > count {
			t.Fatalf("%d lines with %q in the log, want %d:\n%s", len(lines), text, count, logOf(t, s))
		}
	}
}

// dialed opens a connection and returns its own address, by which the log names it.
func dialed(sc *script, name string) (*wire, string) {
	w := sc.dial(name)
	return w, "from=" + w.conn.LocalAddr().String()
}

func (w *wire) awaitEnd(t *testing.T) {
	t.Helper()
	for {
		if _, err := w.read(); err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Fatalf("%s: the connection was not closed:\n%s", w.name, strings.Join(w.lines, "\n"))
			}
			return
		}
	}
}

func TestGarbageOnTheClientPort(t *testing.T) {
	t.Parallel()
	s := startNode(t, map[string]string{"nio.sessionlessCnxnTimeout": "3000"})
	for name, b := range map[string]string{
		"http":            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"tls":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnop",
		"zeros":           strings.Repeat("\x00", 64),
		"ones":            strings.Repeat("\xff", 64),
		"empty frame":     "\x00\x00\x00\x00",
		"long handshake":  "\x00\x0f\xff\x00" + strings.Repeat("a", 100),
		"half a frame":    "\x00\x00\x00\x2d\x00\x00",
		"half a length":   "\x00\x00",
		"negative length": "\x80\x00\x00\x00",
		"unknown word":    "nope",
	} {
		w, from := dialed(newScript(t, s.ClientAddr), name)
		w.sendBytes([]byte(b))
		w.awaitEnd(t)
		awaitLines(t, s, from, 1)
		if line := linesWith(t, s, from)[0]; !strings.Contains(line, "level=WARN") {
			t.Errorf("%s: %s", name, line)
		}
	}
	// Words are no garbage.
	w, from := dialed(newScript(t, s.ClientAddr), "a word")
	w.sendBytes([]byte("ruok\n"))
	w.awaitEnd(t)
	awaitLines(t, s, from, 0)
	serves(t, s)
}

func TestConnectionsWithoutASessionAreDropped(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second // enough for the questions below on a busy machine
	s := startNode(t, map[string]string{"nio.sessionlessCnxnTimeout": strconv.FormatInt(timeout.Milliseconds(), 10)})
	began := time.Now()
	silent, _ := dialed(newScript(t, s.ClientAddr), "silent")
	slow, from := dialed(newScript(t, s.ClientAddr), "slow")
	request := append([]byte{0, 0, 0, 45}, make([]byte, 45)...)
	go func() {
		for i := range request { // it would take more than a minute
			if _, err := slow.conn.Write(request[i : i+1]); err != nil {
				return
			}
			time.Sleep(1500 * time.Millisecond)
		}
	}()
	silent.awaitEnd(t)
	slow.awaitEnd(t)
	if took := time.Since(began); took < timeout || took > 30*time.Second {
		t.Errorf("they were dropped after %v, want some %v", took, timeout)
	}
	awaitLines(t, s, from, 1)
	awaitMetric(t, s, "zk_sessionless_connections_expired", "2")
	serves(t, s)
}

// TestIdleClientKeepsItsConnection: the time for those without a session must not end a
// client that has one and says nothing for longer, as it may between pings.
func TestIdleClientKeepsItsConnection(t *testing.T) {
	t.Parallel()
	s := startNode(t, map[string]string{"nio.sessionlessCnxnTimeout": "2000"})
	w := newScript(t, s.ClientAddr).connect("idle")
	time.Sleep(4 * time.Second)
	w.raw("ping", jute.XidPing, jute.OpPing, nil, nil)
	if w.ended {
		t.Error("the connection was closed")
	}
}

func TestJuteMaxBuffer(t *testing.T) {
	t.Parallel()
	s := startNode(t, map[string]string{"jute.maxbuffer": "4096"})
	sc := newScript(t, s.ClientAddr)
	w := sc.connect("fits")
	w.create("/fits", strings.Repeat("x", 4000))
	big, from := dialed(sc, "big")
	big.handshake("connect", &jute.ConnectRequest{TimeoutMs: 10000, Passwd: make([]byte, 16)})
	big.create("/big", strings.Repeat("x", 4096))
	if !big.ended {
		t.Error("a request above the limit did not end its connection")
	}
	awaitLines(t, s, from, 1)
	w.do("exists", jute.OpExists, &jute.ExistsRequest{Path: "/big"}, &jute.ExistsResponse{})
	if last := sc.lines[len(sc.lines)-1]; !strings.Contains(last, "err=-101") {
		t.Errorf("the request above the limit took effect: %s", last)
	}
}

func TestMaxClientCnxns(t *testing.T) {
	t.Parallel()
	s := startNode(t, map[string]string{"maxClientCnxns": "3", "4lw.commands.whitelist": "ruok"})
	sc := newScript(t, s.ClientAddr)
	// enter comes until it is let in: who has left may still be counted.
	enter := func(name string) *wire {
		t.Helper()
		for deadline := time.Now().Add(silence); ; time.Sleep(20 * time.Millisecond) {
			w := sc.dial(name)
			if w.handshake("connect", &jute.ConnectRequest{TimeoutMs: 40_000, Passwd: make([]byte, 16)}); !w.ended {
				return w
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: there is no place", name)
			}
		}
	}
	first := enter("first")
	enter("second")
	enter("third")
	fourth, from := dialed(sc, "fourth")
	fourth.awaitEnd(t)
	awaitLines(t, s, from, 1)
	first.conn.Close()
	enter("in its place")
}

// TestGlobalOutstandingLimit lets clients pipeline far more than is let in: everything is
// answered in order, and the server holds only what the limit allows.
func TestGlobalOutstandingLimit(t *testing.T) {
	t.Parallel()
	const limit, clients, requests, sizeBytes = 10, 4, 2500, 32 << 10
	s := startNode(t, map[string]string{"globalOutstandingLimit": strconv.Itoa(limit)})
	before := residentBytes(t, s)
	var wg sync.WaitGroup
	for i := range clients {
		w := newScript(t, s.ClientAddr).connect(fmt.Sprint(i))
		path := fmt.Sprintf("/c%d", i)
		w.create(path, "")
		wg.Go(func() {
			body := jute.Marshal(&jute.SetDataRequest{Path: path, Data: make([]byte, sizeBytes), Version: -1})
			for xid := range int32(requests) {
				h := jute.RequestHeader{Xid: 100 + xid, Type: jute.OpSetData}
				w.send(append(jute.Marshal(&h), body...))
			}
		})
		wg.Go(func() {
			for xid := range int32(requests) {
				frame, err := w.read()
				if err != nil {
					t.Errorf("client %s: no answer to request %d: %v", w.name, xid, err)
					return
				}
				var h jute.ReplyHeader
				if h.Decode(jute.NewDecoder(frame)); h.Xid != 100+xid || h.Err != 0 {
					t.Errorf("client %s: answer %+v to request %d", w.name, h, xid)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	highest := 0
	for {
		for line := range strings.Lines(ask(t, s, "srvr")) {
			if text, ok := strings.CutPrefix(line, "Outstanding: "); ok {
				n, err := strconv.Atoi(strings.TrimSpace(text))
				if err != nil || n > limit {
					t.Fatalf("%s, at most %d allowed", strings.TrimSpace(line), limit)
				}
				highest = max(highest, n)
			}
		}
		select {
		case <-done:
			if highest == 0 {
				t.Error("no request was ever outstanding: the limit was not tried")
			}
			// All in flight at once would be 312 MB beside what the log and the tree hold, and what
			// the collector has not returned: some 90 MB.
			if grown := residentBytes(t, s) - before; grown > 224<<20 {
				t.Errorf("the server grew by %d MB", grown>>20)
			}
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func residentBytes(t *testing.T, s *apache.Server) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.PID()))
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestSessionExpires: a client that says nothing loses its session and its ephemerals, is
// disconnected, and can't take the session up again.
func TestSessionExpires(t *testing.T) {
	t.Parallel()
	s := startServer(t, map[string]string{"tickTime": "500"}, nodeBinary, "serve")
	sc := newScript(t, s.ClientAddr)
	const timeoutMs = 2000
	silent := sc.dial("silent")
	silent.handshake("connect", &jute.ConnectRequest{TimeoutMs: timeoutMs, Passwd: make([]byte, 16)})
	began := time.Now()
	silent.do("ephemeral", jute.OpCreate, createReq("/e", "", jute.ModeEphemeral), &jute.CreateResponse{})
	witness := sc.dial("witness")
	witness.handshake("connect", &jute.ConnectRequest{TimeoutMs: 5 * timeoutMs, Passwd: make([]byte, 16)})
	witness.do("watch", jute.OpExists, &jute.ExistsRequest{Path: "/e", Watch: true}, &jute.ExistsResponse{})
	witness.awaitEvent("gone")
	took := time.Since(began)
	if last := sc.lines[len(sc.lines)-1]; !strings.Contains(last, "Type:2") || !strings.Contains(last, "/e") {
		t.Fatalf("the witness saw %s", last)
	}
	if took < timeoutMs*time.Millisecond-50*time.Millisecond || took > 10*timeoutMs*time.Millisecond {
		t.Errorf("the session of %d ms expired after %v", timeoutMs, took)
	}
	silent.awaitEnd(t)
	again := sc.dial("again")
	again.handshake("connect", &jute.ConnectRequest{TimeoutMs: timeoutMs, SessionID: silent.session.SessionID, Passwd: silent.session.Passwd})
	if again.ended || again.session.SessionID != 0 || again.session.TimeoutMs != 0 {
		t.Errorf("the expired session was answered with %+v", again.session)
	}
	again.awaitEnd(t)
}

// TestSessionMoves takes a session from a follower to the leader and back.
func TestSessionMoves(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several servers; run without -short")
	}
	t.Parallel()
	servers := startThree(t, nodeBinary, "serve")
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range servers {
				t.Log(logOf(t, s))
			}
		}
	})
	sc := newScript(t, servers[0].ClientAddr)
	w := sc.connect("mover")
	w.do("ephemeral", jute.OpCreate, createReq("/e", "", jute.ModeEphemeral), &jute.CreateResponse{})
	for i, s := range []*apache.Server{servers[1], servers[2], servers[0]} {
		sc.addr = s.ClientAddr
		next := sc.dial("mover")
		next.xid = w.xid + 10 // a client goes on counting: a session's xids are never used twice
		next.handshake("again", &jute.ConnectRequest{TimeoutMs: 10000, SessionID: w.session.SessionID, Passwd: w.session.Passwd})
		if next.session.SessionID != w.session.SessionID {
			t.Fatalf("move %d: answered with session %#x", i, next.session.SessionID)
		}
		next.do("sync", jute.OpSync, &jute.SyncRequest{Path: "/e"}, &jute.SyncResponse{})
		next.do("set", jute.OpSetData, &jute.SetDataRequest{Path: "/e", Version: int32(i)}, &jute.SetDataResponse{})
		if last := sc.lines[len(sc.lines)-1]; !strings.Contains(last, "err=0") || !strings.Contains(last, "owner=mover") {
			t.Fatalf("move %d: %s", i, last)
		}
		// The old connection can do nothing in the session's name any more: it is cut off.
		w.xid++
		h := jute.RequestHeader{Xid: w.xid, Type: jute.OpSetData}
		w.send((&jute.SetDataRequest{Path: "/e", Data: []byte("stolen"), Version: -1}).Append(jute.Marshal(&h)))
		w.awaitEnd(t)
		w = next
	}
	w.do("get", jute.OpGetData, &jute.GetDataRequest{Path: "/e"}, &jute.GetDataResponse{})
	if last := sc.lines[len(sc.lines)-1]; strings.Contains(last, "stolen") || !strings.Contains(last, " v=3 ") {
		t.Errorf("after three moves: %s", last)
	}
	w.close()
}
