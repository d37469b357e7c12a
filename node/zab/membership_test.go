package zab

import (
	"fmt"
	"testing"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// parseTestMembership reads "voters=N version=V": members 1 to N, all with a vote.
func parseTestMembership(text []byte) (Membership, error) {
	var voters int
	m := Membership{Text: text, Quorum: make(map[int64]string)}
	if _, err := fmt.Sscanf(string(text), "voters=%d version=%x", &voters, &m.Version); err != nil {
		return m, err
	}
	var sids []int64
	for sid := range int64(voters) {
		sids = append(sids, sid+1)
		m.Quorum[sid+1] = "here"
	}
	var err error
	m.Verifier, err = quorum.NewMajority(sids, m.Version)
	return m, err
}

func testMembership(t *testing.T, voters int, version int64) *Membership {
	t.Helper()
	m, err := parseTestMembership(fmt.Appendf(nil, "voters=%d version=%x", voters, version))
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

// reconfigurable starts member 1 of three, whose disk has a proposed membership.
func reconfigurable(t *testing.T, boot Boot, next *Membership) (*Core, []Effect) {
	t.Helper()
	m := testMembership(t, 3, 0x100000001)
	c := New(Config{
		SID: 1, TickMs: 1000, InitLimitTicks: 10, SyncLimitTicks: 5, FinalizeWaitMs: 200, CommitLogCount: 10,
		Verifier: m.Verifier, ElectionConfig: m.Text, ConfigVersion: m.Version, QuorumAddresses: m.Quorum,
		Reconfig: &Reconfig{Parse: parseTestMembership, TextOf: func([]byte) []byte { return nil }, Next: next},
	}, boot)
	return c, c.Step(0, Tick{})
}

// TestProposedMembershipOnDisk: a crash between saving a proposed membership and logging its
// transaction leaves one for which nobody has vouched.
func TestProposedMembershipOnDisk(t *testing.T) {
	for _, tt := range []struct {
		name          string
		version, last int64
		currentEpoch  int64
		counts        bool
	}{
		{"its transaction ends the log", 0x200000005, 0x200000005, 2, true},
		{"the log goes on behind it", 0x200000005, 0x200000009, 2, true},
		{"its transaction was lost", 0x200000005, 0x200000004, 2, false},
		{"its transaction was lost while synchronizing with a later epoch", 0x300000005, 0x300000004, 2, false},
		{"NEWLEADER of the current epoch told it", 0x200000005, 0x200000004, 3, true},
		{"the current epoch made it", 0x300000000, 0x200000004, 3, true},
		{"an epoch made it that never became the current one", 0x300000000, 0x200000004, 2, false},
		{"it is older than the committed one", 0x100000000, 0x200000004, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			boot := Boot{AcceptedEpoch: 3, CurrentEpoch: tt.currentEpoch, LastZxid: tt.last}
			c, effects := reconfigurable(t, boot, testMembership(t, 5, tt.version))
			if _, next := c.Memberships(); (next != nil) != tt.counts {
				t.Errorf("the proposed membership is %v, want that it counts: %v", next, tt.counts)
			}
			saved := false
			for _, e := range effects {
				if save, ok := e.(SaveMembership); ok {
					saved = save.Next == nil
				}
			}
			if saved == tt.counts {
				t.Errorf("the disk is made to forget it: %v, want %v", saved, !tt.counts)
			}
		})
	}
}

// TestLeaderWithoutProposedMembership: what a leader does not have in its history its
// followers drop with NEWLEADER. A later reconfiguration would pass it off as committed.
func TestLeaderWithoutProposedMembership(t *testing.T) {
	c, _ := reconfigurable(t, Boot{AcceptedEpoch: 3, CurrentEpoch: 3, LastZxid: 0x200000004}, testMembership(t, 5, 0x200000005))
	for _, from := range []int64{2, 3, 4, 5} {
		c.Step(0, NotificationReceived{From: from, N: jute.Notification{
			State: jute.Looking, Leader: 3, Zxid: 0x300000001, ElectionEpoch: 1, PeerEpoch: 3, Version: 2,
		}})
	}
	if c.Role() != RoleFollowing {
		t.Fatalf("member 1 is %v", c.Role())
	}
	c.Step(0, ConnOpened{Conn: 1})
	packet := func(kind jute.PacketType, zxid int64, data string) {
		c.Step(0, PacketReceived{Conn: 1, Packet: jute.QuorumPacket{Type: kind, Zxid: zxid, Data: []byte(data)}})
		c.Step(0, DiskDone{Seq: c.lastSeq})
	}
	packet(jute.PacketLeaderInfo, 0x400000000, "\x00\x01\x00\x00")
	packet(jute.PacketDiff, 0x300000001, "")
	packet(jute.PacketProposal, 0x300000001, "a write")
	packet(jute.PacketCommit, 0x300000001, "")
	packet(jute.PacketNewLeader, 0x400000000, string(testMembership(t, 3, 0x100000001).Text))
	if c.follow.stage != stageUpToDate {
		t.Fatalf("NEWLEADER is not acknowledged, the stage is %d", c.follow.stage)
	}
	if _, next := c.Memberships(); next != nil {
		t.Errorf("membership %x is proposed still", next.Version)
	}
}

// TestLearnerKnowsOfCommit: a learner that has activated what is only proposed here is no
// stranger, and may not be refused.
func TestLearnerKnowsOfCommit(t *testing.T) {
	next := testMembership(t, 5, 0x200000005)
	c, _ := reconfigurable(t, Boot{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: 0x200000005}, next)
	c.Step(0, ConnOpened{Conn: 2, Incoming: true})
	info := jute.LearnerInfo{ServerID: 2, ProtocolVersion: protocolVersion, ConfigVersion: next.Version}
	for _, e := range c.Step(0, PacketReceived{Conn: 2, Packet: jute.QuorumPacket{
		Type: jute.PacketFollowerInfo, Zxid: 0x200000000, Data: jute.Marshal(&info),
	}}) {
		if closed, ok := e.(Close); ok {
			t.Errorf("the learner is refused: %s", closed.Reason)
		}
	}
	if committed, proposed := c.Memberships(); committed.Version != next.Version || proposed != nil {
		t.Errorf("membership %x is committed and %v proposed, want %x and none", committed.Version, proposed, next.Version)
	}
}

// TestCandidateOfCommittedMembership: of two with the same log the one wins for whom those
// can vote, too, who have not heard of the proposed membership.
func TestCandidateOfCommittedMembership(t *testing.T) {
	c, _ := reconfigurable(t, Boot{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: 0x200000005}, testMembership(t, 5, 0x200000005))
	committed, proposed := vote{leader: 3, zxid: 0x200000005, peerEpoch: 2}, vote{leader: 5, zxid: 0x200000005, peerEpoch: 2}
	if !c.better(committed, proposed) || c.better(proposed, committed) {
		t.Error("a member of the proposed configuration beats one of the committed one with the same log")
	}
	proposed.zxid++
	if !c.better(proposed, committed) {
		t.Error("a member of the proposed configuration with more of the log does not win")
	}
}

// TestCandidateOfProposedMembershipYields: member 4, which only the proposed membership has,
// has the longest log. Who does not know that membership can't vote for it, and where that
// vote is needed nobody would ever lead. So the others vote for somebody else in turns.
func TestCandidateOfProposedMembershipYields(t *testing.T) {
	const last = 0x200000005
	c, _ := reconfigurable(t, Boot{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: last}, testMembership(t, 4, last))
	c.Step(0, NotificationReceived{From: 4, N: jute.Notification{
		State: jute.Looking, Leader: 4, Zxid: last + 1, ElectionEpoch: 1, PeerEpoch: 2, Version: 2,
	}})
	for _, at := range []struct{ ms, votesFor int64 }{
		{0, 4}, {2*firstShunMs - 1, 4}, {2 * firstShunMs, 1}, {3*firstShunMs - 1, 1},
	} {
		if c.Step(at.ms, Tick{}); c.election.vote.leader != at.votesFor {
			t.Errorf("after %d ms member 1 votes for %d, want %d", at.ms, c.election.vote.leader, at.votesFor)
		}
	}
	c.Step(3*firstShunMs, NotificationReceived{From: 4, N: jute.Notification{
		State: jute.Looking, Leader: 4, Zxid: last + 1, ElectionEpoch: 1, PeerEpoch: 2, Version: 2,
	}})
	if c.election.vote.leader != 4 {
		t.Errorf("member 1 votes for %d, and 4 may be the only one that can lead", c.election.vote.leader)
	}
}

// hears gives a member votes for member 3, which leads, and 2 follows.
func hears(c *Core) {
	for from, state := range map[int64]jute.PeerState{2: jute.Following, 3: jute.Leading} {
		c.Step(0, NotificationReceived{From: from, N: jute.Notification{
			State: state, Leader: 3, Zxid: 0x200000005, ElectionEpoch: 1, PeerEpoch: 2, Version: 2,
		}})
	}
}

// TestFollowsWithoutProposedQuorum: a leader needs a quorum of the proposed membership, too.
// Those of it who can't know that they vote wait for the leader, as must who does know.
func TestFollowsWithoutProposedQuorum(t *testing.T) {
	const last = 0x200000005
	c, _ := reconfigurable(t, Boot{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: last}, testMembership(t, 7, last))
	if hears(c); c.Role() != RoleFollowing {
		t.Errorf("member 1 is %v", c.Role())
	}
}

// TestObserverAnswers: who asks an observer for the leader may know of no other member.
func TestObserverAnswers(t *testing.T) {
	m := testMembership(t, 3, 0x100000001)
	m.Quorum[4] = "here"
	c := New(Config{
		SID: 4, TickMs: 1000, InitLimitTicks: 10, SyncLimitTicks: 5, FinalizeWaitMs: 200, CommitLogCount: 10,
		Verifier: m.Verifier, ElectionConfig: m.Text, ConfigVersion: m.Version, QuorumAddresses: m.Quorum,
	}, Boot{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: 0x200000004})
	c.Step(0, Tick{})
	answers := func(state jute.PeerState) (n []jute.Notification) {
		for _, e := range c.Step(0, NotificationReceived{From: 1, N: jute.Notification{
			State: state, Leader: 1, Zxid: 0x100000004, ElectionEpoch: 1, PeerEpoch: 1, Version: 2,
		}}) {
			if send, ok := e.(SendNotification); ok && send.To == 1 {
				n = append(n, send.N)
			}
		}
		return n
	}
	if n := answers(jute.Looking); len(n) > 0 {
		t.Errorf("it has no leader and answers %+v", n)
	}
	hears(c)
	if n := answers(jute.Looking); len(n) != 1 || n[0].State != jute.Observing || n[0].Leader != 3 || len(n[0].Config) == 0 {
		t.Errorf("it answers %+v", n)
	}
	if n := answers(jute.Following); len(n) > 0 {
		t.Errorf("it answers an answer: %+v", n)
	}
}

// TestAbstainerTakesAnyRound: who is to get a vote by a reconfiguration that it has not heard
// of has nobody to vote for, and nobody heeds its round. It repeats the votes of others, also
// if it lost a leader more often than they: without it there may be no quorum.
func TestAbstainerTakesAnyRound(t *testing.T) {
	for _, observes := range []bool{false, true} {
		m := testMembership(t, 3, 0x100000001)
		if observes {
			m.Quorum[4] = "here"
		}
		c := New(Config{
			SID: 4, TickMs: 1000, InitLimitTicks: 10, SyncLimitTicks: 5, FinalizeWaitMs: 200, CommitLogCount: 10,
			Verifier: m.Verifier, ElectionConfig: m.Text, ConfigVersion: m.Version, QuorumAddresses: m.Quorum,
			Reconfig: &Reconfig{Parse: parseTestMembership, TextOf: func([]byte) []byte { return nil }},
		}, Boot{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: 0x200000004})
		c.Step(0, Tick{})
		c.election.round = 7
		var repeated []jute.Notification
		for _, e := range c.Step(0, NotificationReceived{From: 2, N: jute.Notification{
			State: jute.Looking, Leader: 3, Zxid: 0x200000005, ElectionEpoch: 1, PeerEpoch: 2, Version: 2,
		}}) {
			if send, ok := e.(SendNotification); ok {
				repeated = append(repeated, send.N)
			}
		}
		if len(repeated) == 0 {
			t.Fatalf("observes %v: the vote was not repeated", observes)
		}
		for _, n := range repeated {
			if n.Leader != 3 || n.ElectionEpoch != 1 || n.State != jute.Looking {
				t.Errorf("observes %v: it votes for %d in round %d", observes, n.Leader, n.ElectionEpoch)
			}
		}
		// From here on it has a vote, and rounds count as everybody's do.
		c.Step(0, NotificationReceived{From: 1, N: jute.Notification{
			State: jute.Looking, Leader: 2, Zxid: 0x200000006, ElectionEpoch: 0, PeerEpoch: 2, Version: 2,
		}})
		if c.election.round != 1 || c.election.vote.leader != 3 {
			t.Errorf("observes %v: a vote of a past round was taken: %+v", observes, c.election.vote)
		}
	}
}

// TestObserverThatIsToVote: a member that observes by the committed membership comes as an
// observer, as it has not heard that the proposed one needs it. It counts until the leader is
// established, and is compared with the leader; then it does not, as it gets no proposals.
func TestObserverThatIsToVote(t *testing.T) {
	const last, epoch = 0x200000005, 0x300000000
	c, _ := reconfigurable(t, Boot{AcceptedEpoch: 2, CurrentEpoch: 2, LastZxid: last}, testMembership(t, 5, last))
	for _, from := range []int64{2, 4} {
		c.Step(0, NotificationReceived{From: from, N: jute.Notification{
			State: jute.Looking, Leader: 1, Zxid: last, ElectionEpoch: 1, PeerEpoch: 2, Version: 2,
		}})
	}
	if c.Step(200, Tick{}); c.Role() != RoleLeading {
		t.Fatalf("member 1 is %v", c.Role())
	}
	snapshots := 0
	step := func(in Input) {
		for _, e := range c.Step(200, in) {
			if send, ok := e.(SendSnapshot); ok && send.Conn == 4 {
				snapshots++
			}
		}
	}
	both := func(kinds [2]jute.PacketType, zxids [2]int64, data func(sid int64) []byte) {
		for i, sid := range []int64{2, 4} {
			step(PacketReceived{Conn: ConnID(sid), Packet: jute.QuorumPacket{Type: kinds[i], Zxid: zxids[i], Data: data(sid)}})
		}
		step(DiskDone{Seq: c.lastSeq})
	}
	for _, conn := range []ConnID{2, 4} {
		c.Step(200, ConnOpened{Conn: conn, Incoming: true})
	}
	both([2]jute.PacketType{jute.PacketFollowerInfo, jute.PacketObserverInfo}, [2]int64{0x200000000, 0x200000000}, func(sid int64) []byte {
		return jute.Marshal(&jute.LearnerInfo{ServerID: sid, ProtocolVersion: protocolVersion, ConfigVersion: 0x100000001})
	})
	both([2]jute.PacketType{jute.PacketAckEpoch, jute.PacketAckEpoch}, [2]int64{last, last - 1}, func(int64) []byte { return []byte{0, 0, 0, 2} })
	both([2]jute.PacketType{jute.PacketAck, jute.PacketAck}, [2]int64{epoch, epoch}, func(int64) []byte { return nil })
	if committed, _ := c.Memberships(); c.Role() != RoleLeaderEstablished || committed.Version != last {
		t.Fatalf("member 1 is %v, with membership %x", c.Role(), committed.Version)
	}
	if snapshots != 1 {
		t.Errorf("member 4 was sent %d snapshots, want one: Apache's observers would acknowledge a difference that is not durable", snapshots)
	}
	if l := c.learner(4); c.counts(l) {
		t.Error("member 4 counts, and is sent no proposals")
	}
}

// TestStrangersMakeRoom: where the membership can change anybody may come as a learner, but
// members find a place.
func TestStrangersMakeRoom(t *testing.T) {
	c, _ := reconfigurable(t, Boot{}, nil)
	come := func(conn ConnID, sid int64) (closed []ConnID) {
		info := jute.Marshal(&jute.LearnerInfo{ServerID: sid, ProtocolVersion: protocolVersion})
		for _, in := range []Input{
			ConnOpened{Conn: conn, Incoming: true},
			PacketReceived{Conn: conn, Packet: jute.QuorumPacket{Type: jute.PacketFollowerInfo, Data: info}},
		} {
			for _, e := range c.Step(0, in) {
				if e, ok := e.(Close); ok {
					closed = append(closed, e.Conn)
				}
			}
		}
		return closed
	}
	for i := range maxLearners {
		if closed := come(ConnID(2*i+2), int64(100+i)); len(closed) > 0 {
			t.Fatalf("stranger %d closes %v", i, closed)
		}
	}
	if closed := come(2*maxLearners+2, 2); len(closed) != 1 || closed[0] != 2 {
		t.Errorf("a member comes, and %v are closed", closed)
	}
	if closed := come(2*maxLearners+4, -1); len(closed) != 2 || closed[1] != 2*maxLearners+4 {
		t.Errorf("nobody has the id -1, and %v are closed", closed)
	}
}
