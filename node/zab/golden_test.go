package zab

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// recording is a captured connection of Apache ZooKeeper 3.8.0.
type recording struct {
	name  string
	lines []recorded
}

type recorded struct {
	mark  string // ">" from the caller, "<" to it, "<<" a snapshot to it
	bytes []byte
}

func recordings(t *testing.T, file string) map[string]recording {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "zk", "jute", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]recording)
	var r recording
	for line := range strings.Lines(string(text)) {
		mark, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch mark {
		case "connection":
			r = recording{name: rest}
		case ">", "<", "<<":
			b, err := hex.DecodeString(rest)
			if err != nil {
				t.Fatal(err)
			}
			r.lines = append(r.lines, recorded{mark, b})
		}
		all[r.name] = r
	}
	return all
}

// quorumPacket decodes a packet; uninteresting says that it carries what clients and sessions
// do, which is not this package's business.
func quorumPacket(t *testing.T, b []byte) (p jute.QuorumPacket, uninteresting bool) {
	t.Helper()
	if err := jute.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	switch p.Type {
	case jute.PacketPing, jute.PacketRequest, jute.PacketRevalidate, jute.PacketSync:
		return p, true
	}
	return p, false
}

// apache is a member of the recorded ensemble, on a disk that is always quick.
type apache struct {
	t    *testing.T
	core *Core
	sent [][]byte // packets, in order
	mail []SendNotification
}

func newApache(t *testing.T, sid int64, config []byte) *apache {
	t.Helper()
	majority, err := quorum.NewMajority([]int64{1, 2, 3}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &apache{t: t, core: New(Config{
		SID: sid, Verifier: majority, TickMs: 1000, InitLimitTicks: 10, SyncLimitTicks: 5,
		ElectionConfig: config, CommitLogCount: 500, FinalizeWaitMs: 200, MaxSyncLogBytes: 1 << 20,
	}, Boot{})}
}

func (a *apache) step(nowMs int64, inputs ...Input) {
	for _, in := range inputs {
		for _, e := range append([]Effect(nil), a.core.Step(nowMs, in)...) {
			switch e := e.(type) {
			case Send:
				if _, boring := quorumPacket(a.t, jute.Marshal(&e.Packet)); !boring {
					a.sent = append(a.sent, jute.Marshal(&e.Packet))
				}
			case SendNotification:
				a.mail = append(a.mail, e)
			case Close:
				a.t.Fatalf("closed %d: %s", e.Conn, e.Reason)
			}
		}
		if a.core.durableSeq < a.core.lastSeq {
			a.step(nowMs, DiskDone{Seq: a.core.lastSeq})
		}
	}
}

// expect takes the oldest packet that was sent.
func (a *apache) expect(where string, want []byte) {
	a.t.Helper()
	if len(a.sent) == 0 {
		a.t.Fatalf("%s: Apache sent %x, we nothing", where, want)
	}
	if !bytes.Equal(a.sent[0], want) {
		a.t.Fatalf("%s: sent %x, Apache %x", where, a.sent[0], want)
	}
	a.sent = a.sent[1:]
}

// followRecording plays a learner against the recorded leader, which must get the very
// bytes from us that it got from Apache's learner.
func (a *apache) followRecording(r recording, upTo int) {
	a.t.Helper()
	a.step(200, Tick{})
	for _, from := range []int64{4 - a.core.cfg.SID, 2} {
		state := jute.Following
		if from == 2 {
			state = jute.Leading
		}
		a.step(200, NotificationReceived{From: from, N: jute.Notification{State: state, Leader: 2, ElectionEpoch: 1, Version: 2}})
	}
	a.step(200, ConnOpened{Conn: 1})
	for i, line := range r.lines[:upTo] {
		where := fmt.Sprintf("%s, packet %d", r.name, i+1)
		if line.mark == "<<" {
			a.step(200, SnapshotReceived{Conn: 1, Handle: "tree"})
			continue
		}
		p, boring := quorumPacket(a.t, line.bytes)
		switch {
		case boring:
		case line.mark == "<":
			a.step(200, PacketReceived{Conn: 1, Packet: p})
		default:
			a.expect(where, line.bytes)
		}
	}
	if len(a.sent) > 0 {
		a.t.Fatalf("%s: %d packets that Apache's learner does not send, first %x", r.name, len(a.sent), a.sent[0])
	}
}

func TestGoldenLearner(t *testing.T) {
	all := recordings(t, "quorum.txt")
	for _, c := range []struct {
		name string
		sid  int64
	}{{"to-2-1", 1}, {"to-2-2", 3}} {
		r := all[c.name]
		a := newApache(t, c.sid, nil)
		a.followRecording(r, len(r.lines))
		if a.core.Role() != RoleFollowerEstablished || a.core.Epoch() != 1 || a.core.LastCommitted() < makeZxid(1, 0x23) {
			t.Errorf("%s: %v in epoch %d, committed 0x%x", c.name, a.core.Role(), a.core.Epoch(), a.core.LastCommitted())
		}
	}
}

// TestGoldenLeader plays the leader for the recorded learner.
func TestGoldenLeader(t *testing.T) {
	r := recordings(t, "quorum.txt")["to-2-1"]
	var config []byte
	for _, line := range r.lines {
		if p, _ := quorumPacket(t, line.bytes); p.Type == jute.PacketNewLeader {
			config = p.Data
		}
	}
	a := newApache(t, 2, config)
	a.step(0, NotificationReceived{From: 1, N: jute.Notification{Leader: 2, ElectionEpoch: 1, Version: 2}})
	a.step(200, Tick{})
	a.step(200, ConnOpened{Conn: 2, Incoming: true})
	for i, line := range r.lines {
		if i == 89 {
			break // from here on Apache's leader commits with another follower's acknowledgements
		}
		p, boring := quorumPacket(t, line.bytes)
		if boring {
			continue
		}
		where := fmt.Sprintf("%s, packet %d", r.name, i+1)
		if line.mark == ">" {
			a.step(200, PacketReceived{Conn: 2, Packet: p})
			continue
		}
		if p.Type == jute.PacketProposal {
			a.step(200, Propose{Entry{Zxid: p.Zxid, Payload: p.Data}})
		}
		a.expect(where, line.bytes)
	}
	if a.core.LastCommitted() < makeZxid(1, 0x15) {
		t.Errorf("committed 0x%x only", a.core.LastCommitted())
	}
}

// TestGoldenVotes compares votes with those of the recorded member 1: its first one, and
// its answers to an observer and to a member that looks for a leader.
func TestGoldenVotes(t *testing.T) {
	all := recordings(t, "election.txt")
	decode := func(b []byte) (n jute.Notification) {
		if err := jute.Unmarshal(b, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	answers := func(name string) (out [][]byte) {
		for _, line := range all[name].lines {
			if line.mark == "<" {
				out = append(out, line.bytes)
			}
		}
		return out
	}
	first := answers("to-1-1")
	a := newApache(t, 1, decode(first[0]).Config)
	a.step(0, Tick{})
	if got := marshalVote(a.mail[0]); !bytes.Equal(got, first[0]) {
		t.Errorf("first vote %x, Apache's %x", got, first[0])
	}
	// It adopts the vote of member 2.
	a.mail = nil
	a.step(0, NotificationReceived{From: 2, N: decode(all["to-1-1"].lines[1].bytes)})
	if got := marshalVote(a.mail[0]); !bytes.Equal(got, first[1]) {
		t.Errorf("second vote %x, Apache's %x", got, first[1])
	}

	r := recordings(t, "quorum.txt")["to-2-1"]
	for _, c := range []struct {
		name string
		from int64
	}{{"to-1-3", 4}, {"to-1-4", 3}} {
		golden := answers(c.name)
		a := newApache(t, 1, decode(golden[0]).Config)
		a.followRecording(r, len(r.lines))
		a.mail = nil
		a.step(300, NotificationReceived{From: c.from, N: decode(all[c.name].lines[1].bytes)})
		if len(a.mail) != 1 || a.mail[0].To != c.from {
			t.Fatalf("%s: answers %v", c.name, a.mail)
		}
		if got := marshalVote(a.mail[0]); !bytes.Equal(got, golden[0]) {
			t.Errorf("%s: answer %x, Apache's %x", c.name, got, golden[0])
		}
	}
}

func marshalVote(s SendNotification) []byte { return s.N.Append(nil) }
