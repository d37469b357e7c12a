package servetest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

// TestConnectionLines compares the line of a connection in the answer to cons with Apache's, step
// by step: what counts as its last operation, and what is ofConnection of it.
func TestConnectionLines(t *testing.T) {
	lines := make([][]string, 2)
	for i, s := range []*apache.Server{startServer(t, nil), startNode(t, nil)} {
		lines[i] = connectionStory(t, s)
	}
	compare(t, lines[0], lines[1])
}

// ofConnection has the values of the line that do not depend on time.
var ofConnection = regexp.MustCompile(`\b(recved|lop|lcxid|lzxid)=-?\w+`)

// lowHalf is the counter of a zxid: the epochs of the two servers differ.
var lowHalf = regexp.MustCompile(`zxid=0x1?0*([1-9a-f]*[0-9])\b`)

func connectionStory(t *testing.T, server *apache.Server) []string {
	s := newScript(t, server.ClientAddr)
	var lines []string
	var w *wire
	describe := func(step string) {
		t.Helper()
		answer := ask(t, server, "cons")
		sid := fmt.Sprintf("sid=0x%x", w.session.SessionID)
		for line := range strings.Lines(answer) {
			if strings.Contains(line, sid) {
				line = lowHalf.ReplaceAllString(line, "zxid=0x$1")
				lines = append(lines, step+": "+strings.Join(ofConnection.FindAllString(line, -1), " "))
				return
			}
		}
		t.Fatalf("%s: no line of session %s in\n%s", step, sid, answer)
	}
	w = s.connect("first")
	describe("connected")
	w.raw("ping", jute.XidPing, jute.OpPing, nil, nil)
	describe("ping")
	w.create("/a", "data")
	describe("create")
	w.do("missing", jute.OpExists, &jute.ExistsRequest{Path: "/missing"}, nil)
	describe("exists, without success")
	w.raw("set watches", jute.XidSetWatches, jute.OpSetWatches, jute.Marshal(&jute.SetWatches{}), nil)
	describe("set watches")
	w.raw("auth", jute.XidAuth, jute.OpAuth, jute.Marshal(&jute.AuthPacket{Scheme: "digest", Auth: []byte("a:b")}), nil)
	describe("auth")
	ask(t, server, "crst")
	describe("reset")
	w.raw("ping", jute.XidPing, jute.OpPing, nil, nil)
	describe("ping after the reset")
	again := s.dial("again")
	again.handshake("reconnect", &jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{
		TimeoutMs: 10000, SessionID: w.session.SessionID, Passwd: w.session.Passwd,
	}})
	w = again
	describe("reconnected")
	w.do("read", jute.OpExists, &jute.ExistsRequest{Path: "/"}, &jute.ExistsResponse{})
	describe("read")
	return lines
}
