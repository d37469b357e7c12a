package member

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"zoolab/node/config"
	"zoolab/node/vfs"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// stranger is the test's end of a connection to a port for peers.
type stranger struct {
	net.Conn
	t  *testing.T
	in *jute.Reader
}

func newStranger(t *testing.T, c net.Conn) *stranger {
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &stranger{Conn: c, t: t, in: jute.NewReader(bufio.NewReader(c), 1<<20)}
}

// call connects to a port of a member.
func call(t *testing.T, port config.HostPort) *stranger {
	t.Helper()
	c, err := net.DialTimeout("tcp", port.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	return newStranger(t, c)
}

func (s *stranger) send(packets ...jute.QuorumPacket) {
	for i := range packets {
		if _, err := s.Write(jute.Marshal(&packets[i])); err != nil {
			return // it was refused already
		}
	}
}

// await reads until a packet of a type came.
func (s *stranger) await(kind jute.PacketType) {
	s.t.Helper()
	for {
		p, err := s.in.QuorumPacket()
		if err != nil {
			s.t.Fatalf("while waiting for %v: %v", kind, err)
		}
		if p.Type == kind {
			return
		}
	}
}

// awaitRefusal reads until the member closes the connection.
func (s *stranger) awaitRefusal() {
	s.t.Helper()
	if _, err := io.Copy(io.Discard, s); err != nil && strings.Contains(err.Error(), "timeout") {
		s.t.Fatal("the connection was not closed")
	}
}

func quorumPort(cfg *config.Config, sid int64) config.HostPort {
	s, _ := cfg.Membership.Server(sid)
	return config.HostPort{Host: s.Addrs[0].Host, Port: s.Addrs[0].QuorumPort}
}

func electionPort(cfg *config.Config, sid int64) config.HostPort {
	s, _ := cfg.Membership.Server(sid)
	return config.HostPort{Host: s.Addrs[0].Host, Port: s.Addrs[0].ElectionPort}
}

// learnerInfo is FOLLOWERINFO, or another type with the same data.
func learnerInfo(kind jute.PacketType, sid, acceptedEpoch int64, protocol int32, configVersion int64) jute.QuorumPacket {
	return jute.QuorumPacket{Type: kind, Zxid: acceptedEpoch << 32, Data: jute.Marshal(&jute.LearnerInfo{
		ServerID: sid, ProtocolVersion: protocol, ConfigVersion: configVersion,
	})}
}

// electionHello is the first message on the election port.
func electionHello(sid int64) []byte {
	return jute.Marshal(&jute.InitialMessage{ProtocolVersion: jute.ElectionProtocolV1, ServerID: sid, Addresses: "127.0.0.1:1"})
}

// warnings returns how many lines of a log somebody should look at.
func (r *running) warnings() int { return r.log.count("level=WARN") + r.log.count("level=ERROR") }

// TestStrangersAtThePeerPorts plays, beside two good members, a third of which nothing is
// good. Each of its deeds costs one line in the log, and nothing else.
func TestStrangersAtThePeerPorts(t *testing.T) {
	cfgs := ensemble(t, 3)
	members := startAll(t, cfgs[:2])
	leader := members[leaderOf(members)]
	epoch := leader.replica.Status().Epoch
	client := connect(t, members...)
	good := learnerInfo(jute.PacketFollowerInfo, 3, 0, 0x10000, 0)
	ackEpoch := jute.QuorumPacket{Type: jute.PacketAckEpoch, Data: []byte{0, 0, 0, 0}}
	synchronize := func(s *stranger) {
		s.send(good)
		s.await(jute.PacketLeaderInfo)
		s.send(ackEpoch)
		s.await(jute.PacketNewLeader)
	}
	say := func(packets ...jute.QuorumPacket) func(*stranger) {
		return func(s *stranger) { s.send(packets...) }
	}
	afterSync := func(packets ...jute.QuorumPacket) func(*stranger) {
		return func(s *stranger) { synchronize(s); s.send(packets...) }
	}
	raw := func(b []byte) func(*stranger) {
		return func(s *stranger) { _, _ = s.Write(b) }
	}
	oversized := binary.BigEndian.AppendUint32(append(make([]byte, 0, 32), jute.Marshal(&jute.QuorumPacket{Type: jute.PacketRequest})[:12]...), 64<<20)
	deeds := []struct {
		name     string
		election bool
		do       func(*stranger)
		says     string
	}{
		{"an unknown follower", false, say(learnerInfo(jute.PacketFollowerInfo, 77, 0, 0x10000, 0)), "member 77"},
		{"an unknown observer", false, say(learnerInfo(jute.PacketObserverInfo, 78, 0, 0x10000, 0)), "member 78"},
		{"our own id", false, say(learnerInfo(jute.PacketFollowerInfo, leader.cfg.MyID, 0, 0x10000, 0)), "is no other"},
		{"the id of a member that is there", false, say(learnerInfo(jute.PacketFollowerInfo, 3-leader.cfg.MyID, 0, 0x10000, 0)), "two servers"},
		{"an old protocol", false, say(learnerInfo(jute.PacketFollowerInfo, 3, 0, 1, 0)), "speaks protocol"},
		{"a newer configuration", false, say(learnerInfo(jute.PacketFollowerInfo, 3, 0, 0x10000, 99)), "configuration version"},
		{"the last epoch of all", false, say(learnerInfo(jute.PacketFollowerInfo, 3, 1<<31-1, 0x10000, 0)), "accepted epoch"},
		{"more epochs than there were elections", false, say(learnerInfo(jute.PacketFollowerInfo, 3, 1<<31-2, 0x10000, 0)), "accepted epoch"},
		{"another ensemble's history", false, func(s *stranger) {
			s.send(learnerInfo(jute.PacketFollowerInfo, 3, 50, 0x10000, 0))
			s.await(jute.PacketLeaderInfo)
			s.send(jute.QuorumPacket{Type: jute.PacketAckEpoch, Zxid: 50<<32 | 7, Data: []byte{0, 0, 0, 50}})
		}, "another ensemble's"},
		{"no id", false, say(jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: []byte{1}}), "does not say its id"},
		{"a packet before its time", false, say(good, jute.QuorumPacket{Type: jute.PacketRequest}), "before UPTODATE"},
		{"an epoch without data", false, say(good, jute.QuorumPacket{Type: jute.PacketAckEpoch}), "ACKEPOCH"},
		{"a leader's packet", false, say(good, jute.QuorumPacket{Type: jute.PacketProposal}), "no packet of a learner"},
		{"a snapshot", false, say(good, jute.QuorumPacket{Type: jute.PacketSnap}), "a learner sent a snapshot"},
		{"a packet of a wrong type", false, say(good, jute.QuorumPacket{Type: 77}), "type 77"},
		{"an oversized packet", false, func(s *stranger) { s.send(good); _, _ = s.Write(oversized) }, "malformed packet"},
		{"an acknowledgement of what never was", false, afterSync(jute.QuorumPacket{Type: jute.PacketAck, Zxid: 99 << 32}), "never proposed"},
		{"a session list cut short", false, afterSync(
			jute.QuorumPacket{Type: jute.PacketAck, Zxid: epoch << 32},
			jute.QuorumPacket{Type: jute.PacketRevalidate, Data: []byte{1}}), "REVALIDATE of member 3"},
		{"an answer to no ping", false, afterSync(
			jute.QuorumPacket{Type: jute.PacketAck, Zxid: epoch << 32},
			jute.QuorumPacket{Type: jute.PacketPing}, jute.QuorumPacket{Type: jute.PacketPing},
			jute.QuorumPacket{Type: jute.PacketPing}, jute.QuorumPacket{Type: jute.PacketPing}), "PING"},
		{"another protocol", false, raw([]byte("GET / HTTP/1.1\r\n\r\n")), "no learner opened"},
		{"an unknown voter", true, raw(electionHello(77)), "member 77"},
		{"our own id in an election", true, raw(electionHello(leader.cfg.MyID)), "which is us"},
		{"another election protocol", true, raw([]byte("GET / HTTP/1.1\r\n\r\n")), "no peer opened"},
		{"an oversized vote", true, raw(append(electionHello(3), 0x7f, 0, 0, 0)), "election message of"},
		{"a malformed vote", true, raw(append(electionHello(3), 0, 0, 0, 2, 1, 1)), "malformed message"},
	}
	for _, deed := range deeds {
		t.Run(deed.name, func(t *testing.T) {
			said, before := leader.log.count(deed.says), leader.warnings()
			port := quorumPort(cfgs[0], leader.cfg.MyID)
			if deed.election {
				port = electionPort(cfgs[0], leader.cfg.MyID)
			}
			s := call(t, port)
			deed.do(s)
			s.awaitRefusal()
			eventually(t, "a line in the log says "+deed.says, func() bool { return leader.log.count(deed.says) > said })
			if got := leader.warnings() - before; got != 1 {
				t.Errorf("%d warnings, want 1", got)
			}
			if status := leader.replica.Status(); status.Role != zab.RoleLeaderEstablished || status.Epoch != epoch {
				t.Errorf("it cost the leader its role: %v of epoch %d, was epoch %d", status.Role, status.Epoch, epoch)
			}
		})
	}
	if _, err := create(client, 0, 5); err != nil {
		t.Errorf("the ensemble does not work any more: %v", err)
	}
}

// liar is a member that wins every election and lies to those who follow it.
type liar struct {
	t        *testing.T
	cfg      *config.Config
	victim   int64
	election *stranger
	learners net.Listener
	voting   sync.WaitGroup
}

// newLiar listens where the last of the members should, and runs for leader. Its id is
// the highest, so it is for it to dial.
func newLiar(t *testing.T, cfg *config.Config, victim int64) *liar {
	t.Helper()
	learners, err := net.Listen("tcp", quorumPort(cfg, 3).String())
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{t: t, cfg: cfg, victim: victim, learners: learners, election: call(t, electionPort(cfg, victim))}
	_ = l.election.SetDeadline(time.Now().Add(5 * patience)) // it lasts for all lies
	if _, err := l.election.Write(electionHello(3)); err != nil {
		t.Fatal(err)
	}
	l.voting.Go(l.vote)
	return l
}

// vote answers every vote with a better one, for itself.
func (l *liar) vote() {
	for {
		var head [4]byte
		if _, err := io.ReadFull(l.election, head[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(l.election, frame); err != nil {
			return
		}
		var n jute.Notification
		if err := jute.Unmarshal(frame, &n); err != nil || n.State != jute.Looking {
			continue
		}
		answer := jute.Marshal(&jute.Notification{
			State: jute.Looking, Leader: 3, Zxid: 1 << 60, ElectionEpoch: n.ElectionEpoch, PeerEpoch: 1 << 20, Version: 2,
		})
		if _, err := l.election.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// follower accepts the victim's next connection and takes it to the point where it waits
// for the history.
func (l *liar) follower(epoch int64) *stranger {
	l.t.Helper()
	_ = l.learners.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := l.learners.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	s := newStranger(l.t, c)
	s.await(jute.PacketFollowerInfo)
	s.send(jute.QuorumPacket{Type: jute.PacketLeaderInfo, Zxid: epoch << 32, Data: []byte{0, 1, 0, 0}})
	return s
}

func (l *liar) close() {
	l.learners.Close()
	l.election.Close()
	l.voting.Wait()
}

// TestLyingLeader: a member checks what a leader sends before it writes it down. It
// leaves a leader whose transactions can't be ones, and nothing of it is left.
func TestLyingLeader(t *testing.T) {
	cfgs := ensemble(t, 3)
	victim := start(t, cfgs[0], vfs.OS{})
	l := newLiar(t, cfgs[0], 1)
	txn := func(zxid int64, kind jute.OpCode, body jute.Record) []byte {
		return jute.Marshal(&jute.LoggedTxn{Header: jute.TxnHeader{Zxid: zxid, Type: kind}, Body: body})
	}
	proposal := func(zxid int64, data []byte) []jute.QuorumPacket {
		return []jute.QuorumPacket{{Type: jute.PacketDiff, Zxid: zxid}, {Type: jute.PacketProposal, Zxid: zxid, Data: data}}
	}
	lies := []struct {
		name string
		tell func(epoch int64) []jute.QuorumPacket
		says string
	}{
		{"garbage", func(e int64) []jute.QuorumPacket { return proposal(e<<32+1, []byte("garbage")) }, "it can't be read"},
		{"nothing", func(e int64) []jute.QuorumPacket { return proposal(e<<32+1, nil) }, "it can't be read"},
		{"another zxid in the header", func(e int64) []jute.QuorumPacket {
			return proposal(e<<32+1, txn(e<<32+2, jute.OpDelete, &jute.DeleteTxn{Path: "/a"}))
		}, "its header says"},
		{"a kind that does not exist", func(e int64) []jute.QuorumPacket {
			return proposal(e<<32+1, txn(e<<32+1, 4711, &jute.DeleteTxn{Path: "/a"}))
		}, "no transaction has kind"},
		{"a multi of garbage", func(e int64) []jute.QuorumPacket {
			return proposal(e<<32+1, txn(e<<32+1, jute.OpMulti, &jute.MultiTxn{Txns: []jute.Txn{{Type: jute.OpCreate, Data: []byte{1}}}}))
		}, "of type multi"},
		{"an epoch of its own", func(e int64) []jute.QuorumPacket {
			return proposal((e+1)<<32+1, txn((e+1)<<32+1, jute.OpDelete, &jute.DeleteTxn{Path: "/a"}))
		}, "is not of"},
		{"a hole", func(e int64) []jute.QuorumPacket {
			return proposal(e<<32+7, txn(e<<32+7, jute.OpDelete, &jute.DeleteTxn{Path: "/a"}))
		}, "leaves a hole"},
		{"a truncation to before the beginning", func(int64) []jute.QuorumPacket {
			return []jute.QuorumPacket{{Type: jute.PacketTrunc, Zxid: -5}}
		}, "TRUNC"},
		{"a commit of nothing", func(e int64) []jute.QuorumPacket {
			return []jute.QuorumPacket{{Type: jute.PacketDiff}, {Type: jute.PacketCommit, Zxid: e<<32 + 1}}
		}, "COMMIT"},
		{"a learner's packet", func(int64) []jute.QuorumPacket {
			return []jute.QuorumPacket{{Type: jute.PacketAckEpoch}}
		}, "is no packet of a leader"},
		{"a packet before its time", func(int64) []jute.QuorumPacket {
			return []jute.QuorumPacket{{Type: jute.PacketUpToDate}}
		}, "UPTODATE out of order"},
	}
	epoch := int64(1)
	for _, lie := range lies {
		t.Run(lie.name, func(t *testing.T) {
			said, before := victim.log.count(lie.says), victim.warnings()
			s := l.follower(epoch)
			s.await(jute.PacketAckEpoch)
			s.send(lie.tell(epoch)...)
			epoch++
			s.awaitRefusal()
			eventually(t, "a line in the log says "+lie.says, func() bool { return victim.log.count(lie.says) > said })
			if got := victim.warnings() - before; got != 1 {
				t.Errorf("%d warnings, want 1", got)
			}
		})
	}
	t.Run("an epoch that is over", func(t *testing.T) {
		s := l.follower(0)
		s.awaitRefusal()
		eventually(t, "a line in the log", func() bool { return victim.log.count("it proposes epoch 0") > 0 })
	})
	l.close()
	if last := victim.replica.Tree().LastZxid(); last != 0 {
		t.Errorf("the liar left %s behind", hex(last))
	}
	other := start(t, cfgs[1], vfs.OS{})
	eventually(t, "the honest members serve", func() bool { return victim.serves() && other.serves() })
	if _, err := create(connect(t, victim, other), 0, 5); err != nil {
		t.Fatal(err)
	}
}
