package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

// proxiedEnsemble is an ensemble in which every member sees the others at the
// addresses of proxies, so that what members say to each other is recorded.
type proxiedEnsemble struct {
	dir      string
	members  []apache.Config
	servers  []*apache.Server // nil where the member was not started
	quorum   []*proxy         // by member: what learners say to it and hear from it
	election []*proxy
}

// newProxiedEnsemble plans three participants and an observer and starts none.
// A member answers a call on the election port by calling back the address that
// the caller gave, past the proxy: only what was dialled through a proxy is
// recorded, which is enough, since every member also dials by itself.
func newProxiedEnsemble(dir string) (*proxiedEnsemble, error) {
	const size = 4
	ports, err := apache.FreePorts(3 * size)
	if err != nil {
		return nil, err
	}
	e := &proxiedEnsemble{dir: dir, servers: make([]*apache.Server, size)}
	for i := range size {
		target := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
		q, err := newProxy(fmt.Sprintf("to-%d", i+1), target(ports[3*i]), func() splitter { return new(quorum) })
		if err != nil {
			return nil, err
		}
		el, err := newProxy(fmt.Sprintf("to-%d", i+1), target(ports[3*i+1]), func() splitter { return new(election) })
		if err != nil {
			return nil, err
		}
		e.quorum, e.election = append(e.quorum, q), append(e.election, el)
	}
	for i := range size {
		member := apache.Config{ID: int64(i + 1), ClientPort: ports[3*i+2], HeapMB: 128}
		for j := range size {
			peer := apache.Peer{ID: int64(j + 1), QuorumPort: e.quorum[j].port(), ElectionPort: e.election[j].port(), Observer: j == 3}
			if i == j {
				peer.QuorumPort, peer.ElectionPort = ports[3*j], ports[3*j+1]
			}
			member.Peers = append(member.Peers, peer)
		}
		e.members = append(e.members, member)
	}
	return e, nil
}

// start starts or restarts members, by id, and waits until they serve.
func (e *proxiedEnsemble) start(ctx context.Context, ids ...int) error {
	for _, id := range ids {
		server := e.servers[id-1]
		var err error
		if server == nil {
			server, err = apache.Start(filepath.Join(e.dir, fmt.Sprint(id)), e.members[id-1])
			e.servers[id-1] = server
		} else {
			err = server.Restart()
		}
		if err != nil {
			return err
		}
		// The members with smaller ids listen first, so that the larger ones,
		// whose calls stand, reach them through the proxies.
		if err := sleep(ctx, 1500*time.Millisecond); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := e.servers[id-1].WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (e *proxiedEnsemble) addr(id int) string { return e.servers[id-1].ClientAddr }

func (e *proxiedEnsemble) stop() {
	for _, server := range e.servers {
		if server != nil {
			// The data is about to be thrown away or was synced: a failed stop
			// leaves a process that ends with this one.
			_ = server.Kill()
		}
	}
}

// captureEnsemble writes quorum.txt and election.txt.
func captureEnsemble(ctx context.Context, dir, out string) error {
	e, err := newProxiedEnsemble(filepath.Join(dir, "ensemble"))
	if err != nil {
		return err
	}
	defer e.stop()
	// Two of three form a quorum; 2 leads, since ids decide between equal logs.
	if err := e.start(ctx, 1, 2); err != nil {
		return err
	}
	if err := writeThrough(e.addr(1), "/before"); err != nil {
		return err
	}
	// A member without any data, and an observer.
	if err := e.start(ctx, 3, 4); err != nil {
		return err
	}
	if err := writeThrough(e.addr(3), "/through-3"); err != nil {
		return err
	}
	if err := writeThrough(e.addr(4), "/through-observer"); err != nil {
		return err
	}
	if err := moveSession(e.addr(2), e.addr(1)); err != nil {
		return err
	}
	// A member that was away while the others wrote.
	if err := e.servers[2].Kill(); err != nil {
		return err
	}
	if err := writeThrough(e.addr(1), "/while-3-was-away"); err != nil {
		return err
	}
	if err := e.start(ctx, 3); err != nil {
		return err
	}
	learners, err := handMadeLearners(e)
	if err != nil {
		return err
	}
	if err := sleep(ctx, 1500*time.Millisecond); err != nil {
		return err
	}
	e.stop()
	if err := e.save(out, learners); err != nil {
		return err
	}
	return copyEpochs(e.servers[0].DataDir, filepath.Join(out, "disk"))
}

func (e *proxiedEnsemble) save(out string, learners []*recording) error {
	quorumText := newTranscript(
		"The quorum ports of an ensemble of Apache ZooKeeper 3.8.0: three members and an observer.",
		"Connections to-N-* are Java learners at member N; hand-* are learners of our own making.",
		"Rewrite with: go run ./internal/apache/capture")
	electionText := newTranscript(
		"The election ports of the same ensemble. The first frame of each connection is the",
		"caller's greeting; the others are notifications without their length prefixes.",
		"Rewrite with: go run ./internal/apache/capture")
	for i := range e.quorum {
		quorumText.add(e.quorum[i].close())
		electionText.add(e.election[i].close())
	}
	quorumText.add(learners)
	if err := quorumText.save(filepath.Join(out, "quorum.txt")); err != nil {
		return err
	}
	return electionText.save(filepath.Join(out, "election.txt"))
}

func copyEpochs(dataDir, out string) error {
	for _, name := range []string{"acceptedEpoch", "currentEpoch"} {
		content, err := os.ReadFile(filepath.Join(dataDir, "version-2", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeThrough opens a session at addr, makes every kind of request that a
// learner forwards to its leader, and closes the session.
func writeThrough(addr, path string) error {
	_, err := handMadeSession(addr, "write", &jute.ReadOnlyConnectRequest{
		HasReadOnly:    true,
		ConnectRequest: jute.ConnectRequest{TimeoutMs: 10000, Passwd: make([]byte, 16)},
	}, []jute.Record{
		header(1, jute.OpCreate), &jute.CreateRequest{Path: path, Data: []byte("one"), ACL: openACL()},
		header(2, jute.OpCreate2), &jute.CreateRequest{Path: path + "/e", Data: nil, ACL: openACL(), Flags: jute.ModeEphemeral},
		header(3, jute.OpSetData), &jute.SetDataRequest{Path: path, Data: []byte("two"), Version: 0},
		header(4, jute.OpSetACL), &jute.SetACLRequest{Path: path, ACL: openACL(), Version: -1},
		header(5, jute.OpSync), &jute.SyncRequest{Path: path},
		header(6, jute.OpMulti), &jute.MultiRequest{Ops: []jute.MultiOp{
			{Type: jute.OpCheck, Record: &jute.CheckVersionRequest{Path: path, Version: 1}},
			{Type: jute.OpCreate, Record: &jute.CreateRequest{Path: path + "/m", Data: []byte{}, ACL: openACL()}},
		}},
		header(7, jute.OpDelete), &jute.DeleteRequest{Path: path + "/missing", Version: -1},
		header(8, jute.OpDelete), &jute.DeleteRequest{Path: path + "/m", Version: -1},
		header(9, jute.OpCreateContainer), &jute.CreateRequest{Path: path + "/c", ACL: openACL(), Flags: jute.ModeContainer},
		header(10, jute.OpCreateTTL), &jute.CreateTTLRequest{Path: path + "/t", ACL: openACL(), Flags: jute.ModeTTL, TtlMs: 60000},
		header(11, jute.OpCloseSession),
	})
	return err
}

// moveSession opens a session at one member and takes it up at another, which
// asks the leader whether the session is valid.
func moveSession(from, to string) error {
	connect := jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{
		TimeoutMs: 10000, Passwd: make([]byte, 16),
	}}
	opened, err := handMadeSession(from, "open", &connect, nil)
	if err != nil {
		return err
	}
	var answer jute.ReadOnlyConnectResponse
	if err := jute.Unmarshal(opened.handshake, &answer); err != nil {
		return err
	}
	connect.SessionID, connect.Passwd = answer.SessionID, answer.Passwd
	if _, err := handMadeSession(to, "move", &connect, []jute.Record{
		header(1, jute.OpCreate), &jute.CreateRequest{Path: "/moved", ACL: openACL()},
	}); err != nil {
		return err
	}
	// A session that no member knows.
	connect.SessionID = 0x1234567890
	_, err = handMadeSession(to, "unknown", &connect, nil)
	return err
}

// leaderAddr gives the quorum address of member 2, which the start order made leader.
func leaderAddr(e *proxiedEnsemble) (string, error) {
	mode, err := apache.Mode(e.addr(2))
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(mode, "leader") {
		return "", fmt.Errorf("member 2 is %s, want leader", mode)
	}
	return e.quorum[1].target, nil
}
