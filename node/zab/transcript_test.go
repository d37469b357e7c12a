package zab

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// TestTranscripts plays the stories in testdata. Rewrite them with -rewrite, and read
// the difference.
//
// In testdata/ensemble a whole world runs; in testdata/member one member is played
// against by hand, so that it meets leaders and learners as Apache's are.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/ensemble", func(t *testing.T, path string) {
		var s ensembleStory
		datadriven.RunTest(t, path, s.play)
	})
	datadriven.Walk(t, "testdata/member", func(t *testing.T, path string) {
		var s memberStory
		datadriven.RunTest(t, path, s.play)
	})
}

// ensembleStory is a world that obeys these commands:
//
//	ensemble members=3 keep=100 [last=5]   keep: transactions in memory; last: counter at which an epoch ends
//	    [observers=1 [masters]]            members behind those that vote; they learn from followers
//	    [groups=1:2:3,4:5 weights=1:1:0:1:1] groups of voters and the weights of all, by sid
//	disk 1 log=1.1-3 accepted=1 current=1  what a member that is down has on its disk
//	start 1 2 3, crash 1 [synced=0]        synced: queued disk effects that still arrive
//	stall 1, unstall 1                     the disk of a member does nothing
//	isolate 1, heal
//	propose 1 [count=2]                    through that member
//	run [ms=1000]                          until nothing is under way and everything is quiet for ms
//	step [count=1]                         let so many things happen
//	state
type ensembleStory struct {
	w       *world
	stalled map[*node]bool
	out     strings.Builder
}

func (s *ensembleStory) play(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	var sids []int64
	for _, a := range d.CmdArgs {
		if sid, err := strconv.ParseInt(a.Key, 10, 64); err == nil && len(a.Vals) == 0 {
			sids = append(sids, sid)
		}
	}
	switch d.Cmd {
	case "ensemble":
		s.ensemble(d)
	case "disk":
		n := s.w.node(sids[0])
		n.log, n.accepted, n.current = logArg(d), int64(intArg(d, "accepted", 0)), int64(intArg(d, "current", 0))
	case "start":
		for _, sid := range sids {
			s.w.node(sid).start()
		}
	case "crash":
		for _, sid := range sids {
			s.w.node(sid).crash(intArg(d, "synced", 0))
		}
	case "stall", "unstall":
		for _, sid := range sids {
			s.stalled[s.w.node(sid)] = d.Cmd == "stall"
		}
	case "isolate":
		for _, n := range s.w.nodes {
			s.w.blocked[[2]int64{sids[0], n.sid}], s.w.blocked[[2]int64{n.sid, sids[0]}] = true, true
		}
	case "heal":
		clear(s.w.blocked)
	case "propose":
		for range intArg(d, "count", 1) {
			if !s.w.node(sids[0]).propose() {
				return "refused\n"
			}
		}
	case "run":
		s.run(intArg(d, "ms", 1000))
	case "step":
		for range intArg(d, "count", 1) {
			s.turn()
		}
	case "state":
		return s.w.String()
	default:
		t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	}
	return s.out.String()
}

func (s *ensembleStory) ensemble(d *datadriven.TestData) {
	verifier := majorityOf(intArg(d, "members", 3))
	if groups := stringArg(d, "groups"); groups != "" {
		verifier = hierarchyArg(groups, stringArg(d, "weights"))
	}
	s.w = newWorldOf(verifier, intArg(d, "observers", 0), intArg(d, "keep", 100))
	s.w.masters = d.HasArg("masters")
	s.w.counterLimit = int64(intArg(d, "last", maxCounter))
	s.stalled = make(map[*node]bool)
	s.w.trace = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		// Votes, pings and the traffic of every proposal would bury the story.
		for _, boring := range []string{"vote to", "PING", "FOLLOWERINFO", "PROPOSAL", "COMMIT", "ACK ", "append", "deliver", "dial", "save"} {
			if strings.Contains(line, boring) {
				return
			}
		}
		fmt.Fprintf(&s.out, "%5d ms  %s\n", s.w.nowMs, line)
	}
}

// hierarchyArg reads groups=1:2:3,4:5 and weights=1:1:0:1:1.
func hierarchyArg(groups, weights string) quorum.Verifier {
	var parsed []quorum.Group
	for i, group := range strings.Split(groups, ",") {
		parsed = append(parsed, quorum.Group{ID: int64(i + 1), Sids: numbers(group)})
	}
	bySID := make(map[int64]int64)
	for i, weight := range numbers(weights) {
		bySID[int64(i+1)] = weight
	}
	return hierarchy(parsed, bySID)
}

func numbers(text string) []int64 {
	var all []int64
	for _, part := range strings.Split(text, ":") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			panic(err)
		}
		all = append(all, n)
	}
	return all
}

// turn lets one thing happen, or time pass. It reports whether time passed.
func (s *ensembleStory) turn() bool {
	for _, next := range s.w.sources(nil) {
		if next.disk != nil {
			if s.stalled[next.disk] {
				continue
			}
			next.disk.diskWorks(len(next.disk.disk))
		} else {
			s.w.happen(next, nil)
		}
		return false
	}
	s.w.advance(10)
	return true
}

func (s *ensembleStory) run(ms int) {
	for quiet := 0; quiet < ms; {
		if s.turn() {
			quiet += 10
		}
	}
}

func intArg(d *datadriven.TestData, key string, otherwise int) int {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			v, err := strconv.Atoi(a.Vals[0])
			if err != nil {
				panic(err)
			}
			return v
		}
	}
	return otherwise
}

func stringArg(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return strings.Join(a.Vals, ",")
		}
	}
	return ""
}

func parseZxid(text string) int64 {
	epoch, counter, found := strings.Cut(text, ".")
	e, err1 := strconv.ParseInt(epoch, 10, 64)
	n, err2 := strconv.ParseInt(counter, 10, 64)
	if !found || err1 != nil || err2 != nil {
		panic(fmt.Sprintf("%q is no zxid, which is written as epoch.counter", text))
	}
	return makeZxid(e, n)
}

func zxidArg(d *datadriven.TestData, key string) int64 {
	if text := stringArg(d, key); text != "" {
		return parseZxid(text)
	}
	return 0
}

// logArg reads transactions, as in log=1.1-3,2.1. The payload is the zxid.
func logArg(d *datadriven.TestData) []Entry {
	var log []Entry
	text := stringArg(d, "log")
	if text == "" {
		return nil
	}
	for _, part := range strings.Split(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first := parseZxid(from)
		last := first
		if isRange {
			n, err := strconv.ParseInt(to, 10, 64)
			if err != nil {
				panic(err)
			}
			last = makeZxid(epochOf(first), n)
		}
		for zxid := first; zxid <= last; zxid++ {
			log = append(log, Entry{Zxid: zxid, Payload: []byte(z(zxid))})
		}
	}
	return log
}

// memberStory is one member of three that obeys these commands, each of which gives it an input:
//
//	member sid=1 [voters=3] [log=..] [keep=100] [accepted=..] [current=..] [last=..]
//	    [floor=..]                         the oldest snapshot
//	    [masters]                          followers serve observers
//	    [observers=0] [snaps=0] [diffs=0]  how many observers there are; learners that may be sent a snapshot, or a difference, at a time
//	vote 2 state=LOOKING leader=3 zxid=1.3 round=1 epoch=1 [version=2]
//	unreachable 3                          nobody answers at a voter's election port
//	open 2 [master], opened 1, closed 1    a learner's connection, to the observer master port; our dial succeeded; a connection ended
//	packet 2 type=PROPOSAL zxid=1.1 [int=5] [learner=3] [config=0]
//	snapshot 1                             the stream behind SNAP was read
//	disk [done=3]                          everything, or up to a Seq, is durable
//	history 2 [log=..] [found=false] [complete=false]
//	restore zxid=1.1                       an operator's tree
//	propose, confirm token=1, tick ms=100
//	getters
type memberStory struct {
	c     *Core
	nowMs int64
	quiet bool // don't show votes
}

func (s *memberStory) play(t *testing.T, d *datadriven.TestData) (out string) {
	defer func() {
		if p := recover(); p != nil {
			out += fmt.Sprintf("PANIC: %v\n", p)
		}
	}()
	id := int64(0)
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		id, _ = strconv.ParseInt(d.CmdArgs[0].Key, 10, 64)
	}
	switch d.Cmd {
	case "member":
		s.member(d)
		return s.show(Tick{})
	case "vote":
		state := slices.IndexFunc([]jute.PeerState{0, 1, 2, 3}, func(p jute.PeerState) bool { return p.String() == stringArg(d, "state") })
		return s.show(NotificationReceived{From: id, N: jute.Notification{
			State: jute.PeerState(state), Leader: int64(intArg(d, "leader", 0)), Zxid: zxidArg(d, "zxid"),
			ElectionEpoch: int64(intArg(d, "round", 0)), PeerEpoch: int64(intArg(d, "epoch", 0)), Version: int32(intArg(d, "version", 2)),
		}})
	case "unreachable":
		return s.show(VoterUnreachable{SID: id})
	case "open", "opened":
		return s.show(ConnOpened{Conn: ConnID(id), Incoming: d.Cmd == "open", Master: d.HasArg("master")})
	case "closed":
		return s.show(ConnClosed{Conn: ConnID(id), Reason: "cut"})
	case "packet":
		return s.show(PacketReceived{Conn: ConnID(id), Packet: packetArg(d)})
	case "snapshot":
		return s.show(SnapshotReceived{Conn: ConnID(id), Handle: "tree"})
	case "restore":
		return s.show(Restore{Zxid: zxidArg(d, "zxid"), Handle: "tree"})
	case "disk":
		return s.show(DiskDone{Seq: uint64(intArg(d, "done", int(s.c.lastSeq)))})
	case "history":
		return s.show(HistoryRead{
			Conn: ConnID(id), Found: stringArg(d, "found") != "false", Complete: stringArg(d, "complete") != "false", Entries: logArg(d),
		})
	case "propose":
		zxid, ok := s.c.NextZxid()
		if !ok {
			return "refused\n"
		}
		return s.show(Propose{Entry{Zxid: zxid, Payload: []byte(z(zxid))}})
	case "confirm":
		return s.show(ConfirmLeadership{Token: uint64(intArg(d, "token", 1))})
	case "tick":
		s.nowMs += int64(intArg(d, "ms", 10))
		return s.show(Tick{})
	case "getters":
		next, ok := s.c.NextZxid()
		return fmt.Sprintf("%v, leader %d, epoch %d, next %s %v, logged %s, delivered %s, committed %s, outstanding %d, learners %d, synced %d, pending %d, election %d ms, deserted %d\n",
			s.c.Role(), s.c.Leader(), s.c.Epoch(), z(next), ok, z(s.c.LastLogged()), z(s.c.LastDelivered()), z(s.c.LastCommitted()), s.c.Outstanding(),
			s.c.Learners(), s.c.SyncedFollowers(), s.c.PendingSyncs(), s.c.LastElectionMs(), s.c.Deserted())
	}
	t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	return ""
}

func (s *memberStory) member(d *datadriven.TestData) {
	w := newWorldOf(majorityOf(intArg(d, "voters", 3)), intArg(d, "observers", 0), intArg(d, "keep", 100))
	config := w.configs(int64(intArg(d, "sid", 1)))
	config.ObserverMasters = d.HasArg("masters")
	config.MaxSnapSyncs, config.MaxDiffSyncs = intArg(d, "snaps", 0), intArg(d, "diffs", 0)
	config.FirstResendMs, config.MostResendMs = int64(intArg(d, "firstResend", 0)), int64(intArg(d, "mostResend", 0))
	config.EpochWaitMs = int64(intArg(d, "epochWait", 0))
	s.quiet = stringArg(d, "votes") == "false"
	boot := Boot{AcceptedEpoch: int64(intArg(d, "accepted", 0)), CurrentEpoch: int64(intArg(d, "current", 0))}
	if log := logArg(d); len(log) > 0 {
		boot.LastZxid = log[len(log)-1].Zxid
		boot.Floor = zxidArg(d, "floor")
		boot.Recent = log[max(0, len(log)-config.CommitLogCount):]
	}
	s.nowMs = 0
	s.c = New(config, boot)
	s.c.counterLimit = int64(intArg(d, "last", maxCounter))
}

func packetArg(d *datadriven.TestData) jute.QuorumPacket {
	p := jute.QuorumPacket{Zxid: zxidArg(d, "zxid")}
	for p.Type = 1; p.Type.String() != stringArg(d, "type"); p.Type++ {
		if p.Type > jute.PacketInformAndActivate {
			panic("no packet type " + stringArg(d, "type"))
		}
	}
	if stringArg(d, "int") != "" {
		p.Data = binary.BigEndian.AppendUint32(nil, uint32(intArg(d, "int", 0)))
	}
	if sid := intArg(d, "learner", 0); sid != 0 {
		p.Data = jute.Marshal(&jute.LearnerInfo{
			ServerID: int64(sid), ProtocolVersion: int32(intArg(d, "protocol", 0x10000)), ConfigVersion: int64(intArg(d, "config", 0)),
		})
	}
	return p
}

// show gives the member an input and tells what it does.
func (s *memberStory) show(in Input) string {
	var b strings.Builder
	for _, e := range s.c.Step(s.nowMs, in) {
		if _, isVote := e.(SendNotification); isVote && s.quiet {
			continue
		}
		fmt.Fprintln(&b, describeEffect(e))
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}
