package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

// learner is a follower or observer of our own making, which tells a leader any
// history it likes and so brings about every kind of synchronization.
type learner struct {
	conn   *recordedConn
	packet *jute.Reader
	stream *bufio.Reader
}

// maxPacketBytes bounds a packet; the trees here are tiny.
const maxPacketBytes = 1 << 20

// join dials the leader and goes through discovery as server sid, whose last
// logged zxid is given by what the leader's new epoch makes of it.
func join(name, addr string, sid int64, kind jute.PacketType, lastZxid func(epoch int64) int64) (*learner, error) {
	conn, err := dialRecorded(name, addr, func() splitter { return new(quorum) })
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	stream := bufio.NewReader(conn)
	l := &learner{conn: conn, stream: stream, packet: jute.NewReader(stream, maxPacketBytes)}
	info := jute.Marshal(&jute.LearnerInfo{ServerID: sid, ProtocolVersion: 0x10000})
	if err := l.send(jute.QuorumPacket{Type: kind, Data: info}); err != nil {
		return nil, err
	}
	leaderInfo, err := l.packet.QuorumPacket()
	if err != nil {
		return nil, fmt.Errorf("%s: read LEADERINFO: %w", name, err)
	}
	last := lastZxid(leaderInfo.Zxid >> 32)
	ack := jute.QuorumPacket{Type: jute.PacketAckEpoch, Zxid: last, Data: jute.AppendInt32(nil, int32(last>>32))}
	return l, l.send(ack)
}

func (l *learner) send(packet jute.QuorumPacket) error {
	_, err := l.conn.Write(jute.Marshal(&packet))
	return err
}

// synchronize reads until UPTODATE, acknowledging NEWLEADER.
func (l *learner) synchronize() error {
	for {
		packet, err := l.packet.QuorumPacket()
		if err != nil {
			return fmt.Errorf("%s: synchronize: %w", l.conn.recording.name, err)
		}
		switch packet.Type {
		case jute.PacketSnap:
			if err := skipSnapshot(l.stream); err != nil {
				return fmt.Errorf("%s: read the snapshot: %w", l.conn.recording.name, err)
			}
		case jute.PacketNewLeader:
			if err := l.send(jute.QuorumPacket{Type: jute.PacketAck, Zxid: packet.Zxid}); err != nil {
				return err
			}
		case jute.PacketUpToDate:
			return nil
		}
	}
}

// follow acknowledges proposals and answers pings until a packet of the wanted
// kind has come.
func (l *learner) follow(want jute.PacketType) error {
	for {
		packet, err := l.packet.QuorumPacket()
		if err != nil {
			return fmt.Errorf("%s: wait for %v: %w", l.conn.recording.name, want, err)
		}
		switch packet.Type {
		case jute.PacketProposal:
			err = l.send(jute.QuorumPacket{Type: jute.PacketAck, Zxid: packet.Zxid})
		case jute.PacketPing:
			err = l.send(jute.QuorumPacket{Type: jute.PacketPing, Zxid: packet.Zxid})
		}
		if err != nil {
			return err
		}
		if packet.Type == want {
			return nil
		}
	}
}

// skipSnapshot reads up to the mark behind the tree.
func skipSnapshot(stream *bufio.Reader) error {
	matched := 0
	for matched < len(snapshotEnd) {
		b, err := stream.ReadByte()
		if err != nil {
			return err
		}
		switch b {
		case snapshotEnd[matched]:
			matched++
		case snapshotEnd[0]:
			// Zeros before the mark: the first ones may belong to it.
			if matched != 3 {
				matched = 1
			}
		default:
			matched = 0
		}
	}
	return nil
}

// handMadeLearners joins with histories that ask for TRUNC, DIFF and SNAP.
func handMadeLearners(e *proxiedEnsemble) ([]*recording, error) {
	addr, err := leaderAddr(e)
	if err != nil {
		return nil, err
	}
	histories := []struct {
		name     string
		kind     jute.PacketType
		lastZxid func(epoch int64) int64
	}{
		{"hand-empty", jute.PacketFollowerInfo, func(int64) int64 { return 0 }},
		{"hand-ahead", jute.PacketFollowerInfo, func(epoch int64) int64 { return epoch<<32 | 0xffff }},
		{"hand-behind", jute.PacketFollowerInfo, func(epoch int64) int64 { return epoch<<32 | 7 }},
		{"hand-observer", jute.PacketObserverInfo, func(epoch int64) int64 { return epoch<<32 | 9 }},
		{"hand-future", jute.PacketObserverInfo, func(epoch int64) int64 { return (epoch + 5) << 32 }},
		{"hand-other-history", jute.PacketObserverInfo, func(epoch int64) int64 { return (epoch-1)<<32 | 0xffff }},
	}
	var recordings []*recording
	for i, history := range histories {
		l, err := join(history.name, addr, int64(10+i), history.kind, history.lastZxid)
		if err != nil {
			return nil, err
		}
		recordings = append(recordings, l.conn.recording)
		// A leader may refuse a history by closing the connection: what it
		// said before that is recorded all the same.
		if err := l.synchronize(); err != nil {
			fmt.Fprintln(os.Stderr, "learner:", err)
		}
		l.conn.Close()
	}
	return recordings, nil
}

// captureReconfig writes reconfig.txt and the log of an ensemble that was
// reconfigured: two Java members, and a follower and an observer of our own.
func captureReconfig(ctx context.Context, dir, out string) error {
	ports, err := apache.FreePorts(2*3 + 2)
	if err != nil {
		return err
	}
	peers := []apache.Peer{
		{ID: 1, QuorumPort: ports[0], ElectionPort: ports[1]},
		{ID: 2, QuorumPort: ports[2], ElectionPort: ports[3]},
		{ID: 3, QuorumPort: ports[4], ElectionPort: ports[5]},
	}
	var servers []*apache.Server
	defer func() { _ = apache.StopAll(servers) }()
	for id := 1; id <= 2; id++ {
		server, err := apache.Start(filepath.Join(dir, "reconfig", fmt.Sprint(id)), apache.Config{
			ID: int64(id), ClientPort: ports[5+id], Peers: peers, HeapMB: 128,
			Extra: map[string]string{"reconfigEnabled": "true", "skipACL": "yes"},
		})
		if err != nil {
			return err
		}
		servers = append(servers, server)
	}
	for _, server := range servers {
		if err := server.WaitReady(ctx); err != nil {
			return err
		}
	}
	leader := fmt.Sprintf("127.0.0.1:%d", ports[2])
	empty := func(int64) int64 { return 0 }
	follower, err := join("hand-follower", leader, 3, jute.PacketFollowerInfo, empty)
	if err != nil {
		return err
	}
	defer follower.conn.Close()
	observer, err := join("hand-observer", leader, 9, jute.PacketObserverInfo, empty)
	if err != nil {
		return err
	}
	defer observer.conn.Close()
	if err := errors.Join(follower.synchronize(), observer.synchronize()); err != nil {
		return err
	}
	ends := make(chan error, 2)
	go func() { ends <- follower.follow(jute.PacketCommitAndActivate) }()
	go func() { ends <- observer.follow(jute.PacketInformAndActivate) }()
	if _, err := apache.RunCLI(ctx, servers[0].ClientAddr, "reconfig", "-remove", "3"); err != nil {
		return err
	}
	if err := errors.Join(<-ends, <-ends); err != nil {
		return err
	}
	text := newTranscript(
		"The quorum port of a leader of Apache ZooKeeper 3.8.0 that removes a member by reconfig.",
		"Both learners are of our own making; what the leader says (<) is Apache's.",
		"Rewrite with: go run ./internal/apache/capture")
	text.add([]*recording{follower.conn.recording, observer.conn.recording})
	if err := text.save(filepath.Join(out, "reconfig.txt")); err != nil {
		return err
	}
	log, err := largest(filepath.Join(servers[1].DataDir, "version-2"), "log.*")
	if err != nil {
		return err
	}
	return copyTrimmed(log, filepath.Join(out, "disk", "reconfig.log"))
}
