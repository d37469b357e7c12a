package server

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"zoolab/zk/jute"
)

func TestAnswersKeepTheOrderOfRequests(t *testing.T) {
	s := start(t, Config{})
	c := s.connect()
	c.create(1, "/a", nil)
	var all []byte
	const requests = 600
	for xid := int32(2); xid < requests; xid++ {
		switch xid % 3 {
		case 0:
			all = append(all, framed(setData(xid, "/a", []byte(fmt.Sprint(xid))))...)
		case 1:
			all = append(all, framed(getData(xid, "/a", false))...)
		default:
			all = append(all, framed(request(xid, jute.OpSync, &jute.SyncRequest{Path: "/a"}))...)
		}
	}
	go func() { _, _ = c.Write(all) }()
	for xid := int32(2); xid < requests; xid++ {
		body := c.expect(xid)
		if xid > 4 && xid%3 == 1 && !bytes.Contains(body, []byte(fmt.Sprint(xid-1))) {
			t.Fatalf("read %d does not see the session's own write before it: %q", xid, body)
		}
	}
}

// TestEventsComeBeforeAnswers: the event of a change comes before the answer to the write
// that made it, and before any read that sees it.
func TestEventsComeBeforeAnswers(t *testing.T) {
	s := start(t, Config{})
	c, other := s.connect(), s.connect()
	c.create(1, "/a", nil)
	for xid := int32(10); xid < 400; xid += 3 {
		value := fmt.Sprint(xid)
		c.send(getData(xid, "/a", true))
		c.expect(xid)
		if xid%2 == 0 {
			c.send(setData(xid+1, "/a", []byte(value)))
			event, answer := header(c.read()), header(c.read())
			if event.Xid != jute.XidNotification || answer.Xid != xid+1 || event.Zxid != answer.Zxid {
				t.Fatalf("%+v, %+v, want the event of the change and its answer, with one zxid", event, answer)
			}
			continue
		}
		other.send(setData(xid, "/a", []byte(value)))
		for notified := false; ; {
			c.send(getData(xid+1, "/a", false))
			frame := c.read()
			if frame[0] == 0xff { // xid -1: an event
				notified = true
				frame = c.read()
			}
			if seen := bytes.Contains(frame, []byte(value)); seen && !notified {
				t.Fatalf("the client read %q before the event of the change", value)
			} else if seen {
				break
			}
		}
		other.expect(xid)
	}
}

// TestRequestsBehindTheHandshake: a client need not wait for its session.
func TestRequestsBehindTheHandshake(t *testing.T) {
	s := start(t, Config{})
	c := s.dial()
	connect := framed(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 30_000, Passwd: make([]byte, 16)}))
	if _, err := c.Write(append(connect, framed(request(7, jute.OpExists, &jute.ExistsRequest{Path: "/"}))...)); err != nil {
		t.Fatal(err)
	}
	c.read()
	c.expect(7)
}

// TestAnswersDoNotWaitForHalfARequest: what is answered goes out although the next
// request has only begun.
func TestAnswersDoNotWaitForHalfARequest(t *testing.T) {
	s := start(t, Config{})
	c := s.connect()
	half := framed(make([]byte, 500))[:100]
	if _, err := c.Write(append(framed(getData(5, "/", false)), half...)); err != nil {
		t.Fatal(err)
	}
	c.expect(5)
}

// TestClientThatReadsLater: a client that asks for much and reads late gets all of it,
// while the server holds little.
func TestClientThatReadsLater(t *testing.T) {
	s := start(t, Config{})
	c := s.connect()
	const answers, sizeBytes = 200, 500 << 10 // 100 MB, far above what may be unsent
	c.create(1, "/big", make([]byte, sizeBytes))
	var all []byte
	for xid := range int32(answers) {
		all = append(all, framed(getData(100+xid, "/big", false))...)
	}
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	conn := s.only()
	eventually(t, "the server waits for the client", func() bool { return conn.unsent() > 0 || conn.info().Sent > 2 })
	time.Sleep(50 * time.Millisecond)
	for xid := range int32(answers) {
		if unsent := conn.unsent(); unsent > highUnsentBytes+sizeBytes+100 {
			t.Fatalf("%d bytes wait for the client", unsent)
		}
		if body := c.expect(100 + xid); len(body) < sizeBytes {
			t.Fatalf("answer %d has %d bytes", xid, len(body))
		}
	}
}

// TestOneLargeAnswer: an answer above what may be unsent reaches a client that reads it.
func TestOneLargeAnswer(t *testing.T) {
	s := start(t, Config{})
	c := s.connect()
	const children, nameBytes = 20, 900 << 10
	for xid := range int32(children) {
		c.create(1+xid, fmt.Sprintf("/%d-%s", xid, strings.Repeat("n", nameBytes)), nil)
	}
	c.send(request(100, jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/"}))
	if body := c.expect(100); len(body) < maxUnsentBytes {
		t.Errorf("the answer has %d bytes, which proves nothing", len(body))
	}
}

// TestEventsWaitForLateAnswers: a listing that is long enough to be made when the tree is
// free again still comes before the event of the watch that it set.
func TestEventsWaitForLateAnswers(t *testing.T) {
	s := start(t, Config{})
	writer, reader := s.connect(), s.connect()
	writer.create(1, "/p", nil)
	for i := range int32(lateChildren) {
		writer.create(10+i, fmt.Sprintf("/p/%04d-%s", i, strings.Repeat("n", 200)), nil)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for xid := int32(10_000); ; xid += 2 {
			select {
			case <-stop:
				return
			default:
				writer.create(xid, "/p/x", nil)
				writer.send(request(xid+1, jute.OpDelete, &jute.DeleteRequest{Path: "/p/x", Version: -1}))
				writer.expect(xid + 1)
			}
		}
	}()
	for xid := range int32(200) {
		reader.send(request(xid, jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/p", Watch: true}))
		if n := jute.NewDecoder(reader.expect(xid)).Int32(); n < lateChildren {
			t.Fatalf("%d children, want at least %d", n, lateChildren)
		}
		reader.expect(jute.XidNotification)
	}
	close(stop)
	<-ended
}

// TestClientThatNeverReads is cut off, with one line in the log.
func TestClientThatNeverReads(t *testing.T) {
	s := start(t, Config{})
	c := s.connect()
	c.create(1, "/big", make([]byte, 900<<10))
	s.stall(true)
	all := framed(setData(2, "/big", make([]byte, 900<<10)))
	for xid := int32(3); xid < 60; xid++ { // reads behind a write are answered by the event loop
		all = append(all, framed(getData(xid, "/big", false))...)
	}
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all requests are in flight", func() bool { return s.Outstanding() == 58 })
	s.stall(false)
	eventually(t, "the client is cut off", func() bool { return s.NumConnections() == 0 })
	if lines := s.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "does not read") {
		t.Errorf("the log says:\n%s", strings.Join(lines, "\n"))
	}
	if n := s.Outstanding(); n != 0 {
		t.Errorf("%d requests are still outstanding", n)
	}
}

// TestClosingFreesWhatWaits: the only client has filled the server with requests and its
// reader waits for room. When the replica closes the connection, nobody may go on waiting
// for answers that will never come.
func TestClosingFreesWhatWaits(t *testing.T) {
	const limit = 20
	s := start(t, Config{GlobalOutstandingLimit: limit})
	greedy := s.connect()
	greedy.create(1, "/a", nil)
	s.stall(true)
	for xid := range int32(limit + 10) {
		greedy.send(setData(10+xid, "/a", nil))
	}
	eventually(t, "the server is full", func() bool { return s.Outstanding() == limit })
	conn := s.only()
	conn.Close("for the test")
	greedy.expectEnd()
	eventually(t, "the connection is gone", func() bool { return s.NumConnections() == 0 })
	if n := s.Outstanding(); n != 0 {
		t.Fatalf("%d requests are still outstanding", n)
	}
	s.stall(false)
	c := s.connect()
	c.create(1, "/b", nil)
}

// TestShutdownWhileEverybodyWaits: readers that wait for their session, for room, for
// their own requests, for a client to read, for half a frame.
func TestShutdownWhileEverybodyWaits(t *testing.T) {
	s := start(t, Config{GlobalOutstandingLimit: maxConnOutstanding + 5})
	full, starved, deaf, half := s.connect(), s.connect(), s.connect(), s.connect()
	full.create(1, "/a", make([]byte, 900<<10))
	s.stall(true)
	for xid := range int32(maxConnOutstanding + 1) {
		full.send(setData(10+xid, "/a", nil))
	}
	eventually(t, "one client has as many in flight as it may", func() bool { return s.Outstanding() == maxConnOutstanding })
	for xid := range int32(10) {
		starved.send(setData(10+xid, "/a", nil))
	}
	eventually(t, "the server is full", func() bool { return s.Outstanding() == maxConnOutstanding+5 })
	for xid := range int32(100) {
		deaf.send(getData(xid, "/a", false))
	}
	if _, err := half.Write(framed(make([]byte, 100))[:50]); err != nil {
		t.Fatal(err)
	}
	s.dial() // says nothing
	s.dial().sendConnect()
	eventually(t, "the session is asked for", func() bool { return s.cfg.Metrics.ConnectRequests.Load() == 5 })
	time.Sleep(20 * time.Millisecond)
	s.end() // fails the test if it hangs
	for _, c := range []net.Conn{full, starved, half} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a connection outlived the server")
		}
	}
}

func TestLimitOfConnections(t *testing.T) {
	s := start(t, Config{MaxConns: 2})
	first := s.connect()
	s.connect()
	s.dial().expectEnd()
	first.Close()
	eventually(t, "a place is free", func() bool { return s.NumConnections() == 1 })
	s.connect()
	if s.cfg.Metrics.ConnectionsRejected.Load() != 1 || len(s.log.lines()) != 1 {
		t.Errorf("%d rejected, and in the log:\n%s", s.cfg.Metrics.ConnectionsRejected.Load(), strings.Join(s.log.lines(), "\n"))
	}
}

// TestManyThatNeverRead: each waits for less than it may, but all of them for more. They
// are cut off until that is no longer so, and nothing is left in the books.
func TestManyThatNeverRead(t *testing.T) {
	s := start(t, Config{})
	s.mostUnsentBytes = 20 << 20
	writer := s.connect()
	writer.create(1, "/big", make([]byte, 1_000_000))
	const clients, answers = 10, 14
	var deaf []*client
	for range clients {
		deaf = append(deaf, s.connect())
	}
	// Behind a write, so that the event loop answers, which waits for nobody.
	s.stall(true)
	for _, c := range deaf {
		c.send(setData(1, "/small", nil))
		for xid := range int32(answers) {
			c.send(getData(2+xid, "/big", false))
		}
	}
	eventually(t, "all requests came", func() bool { return s.Outstanding() == clients*(1+answers) })
	s.stall(false)
	eventually(t, "all were answered or given up", func() bool { return s.Outstanding() == 0 })
	if n := s.unsentBytes.Load(); n > s.mostUnsentBytes+2<<20 {
		t.Errorf("%d bytes wait for clients, at most %d allowed", n, s.mostUnsentBytes)
	}
	if lines := s.log.lines(); len(lines) == 0 || !strings.Contains(lines[0], "for all such clients") {
		t.Errorf("the log says:\n%s", strings.Join(lines, "\n"))
	}
	writer.send(getData(2, "/big", false))
	writer.expect(2)
	for _, c := range deaf {
		c.Close()
	}
	eventually(t, "nothing is left in the books", func() bool { return s.NumConnections() == 1 && s.unsentBytes.Load() == 0 })
}

// TestWordsEndTheirConnection: whatever follows the word.
func TestWordsEndTheirConnection(t *testing.T) {
	s := start(t, Config{})
	for _, word := range []string{"ruok", "ruok\n", "ruok" + strings.Repeat("x", 9000)} {
		c := s.dial()
		if _, err := c.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4)
		if _, err := c.Read(answer); err != nil || string(answer) != "ruok" {
			t.Errorf("%q: answered %q, %v", word, answer, err)
		}
		c.expectEnd()
	}
}

func TestStatistics(t *testing.T) {
	s := start(t, Config{})
	c := s.connect()
	c.create(1, "/a", nil)
	c.send(getData(2, "/a", false))
	c.expect(2)
	last, least, most := s.Stats().AnswerBytes()
	if s.cfg.Metrics.PacketsReceived.Load() != 3 || s.cfg.Metrics.PacketsSent.Load() != 3 || s.cfg.Metrics.ConnectRequests.Load() != 1 {
		t.Errorf("received %d, sent %d, connects %d; want 3, 3 and 1", s.cfg.Metrics.PacketsReceived.Load(), s.cfg.Metrics.PacketsSent.Load(), s.cfg.Metrics.ConnectRequests.Load())
	}
	if last != 16+4+68 || least != 16+4+2 || most != last {
		t.Errorf("answers of %d/%d/%d bytes, want 88/22/88", last, least, most)
	}
	if least, mean, most := s.cfg.Metrics.Latency(); least < 0 || mean < least || most < mean || most == 0 {
		t.Errorf("latencies %v/%v/%v", least, mean, most)
	}
}

// FuzzClientPort: whatever a client sends, before its session or within it, ends with
// nothing left behind.
func FuzzClientPort(f *testing.F) {
	f.Add([]byte("ruok"), false)
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"), false)
	f.Add(framed(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 1000, Passwd: make([]byte, 16)})), false)
	f.Add(framed(getData(1, "/", true)), true)
	f.Add(framed(request(1, jute.OpMulti, &jute.MultiRequest{})), true)
	f.Add([]byte{0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5}, true)
	s := start(f, Config{})
	f.Fuzz(func(t *testing.T, b []byte, inSession bool) {
		server, c := net.Pipe()
		go func() {
			if inSession {
				_, _ = c.Write(framed(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 1000, Passwd: make([]byte, 16)})))
			}
			_, _ = c.Write(b)
			c.Close()
		}()
		go func() {
			for buf := make([]byte, 4096); ; {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		}()
		s.admit("pipe")
		done := make(chan struct{})
		go func() { s.serve(server, "pipe", plain); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("the connection does not end")
		}
	})
}
