package mixedtest

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"zoolab/internal/apache"
	"zoolab/zk"
	"zoolab/zk/jute"
)

var record = flag.Bool("record", false, "write testdata/reconfig.golden anew, from Apache's servers")

const goldenReconfig = "testdata/reconfig.golden"

// TestReconfigStory changes an ensemble in every way and compares answers, memberships, watch
// events and the files on disk with what Apache 3.8.0 did, which testdata/reconfig.golden has.
// With -full Apache's servers do it once more.
func TestReconfigStory(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several processes; run without -short")
	}
	golden, err := os.ReadFile(goldenReconfig)
	if err != nil && !*record {
		t.Fatal(err)
	}
	if *full || *record {
		requireApache(t)
		told := reconfigStory(t, java)
		if *record {
			golden = []byte(told)
			if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(goldenReconfig, golden, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		compareStories(t, "Apache's", told, string(golden))
	}
	compareStories(t, "this server's", reconfigStory(t, ours), string(golden))
}

func compareStories(t *testing.T, whose, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s story, line %d: got, and then wanted:\n%s\n--\n%s", whose, i+1,
				strings.Join(a[min(i, len(a)):min(i+12, len(a))], "\n"), strings.Join(b[min(i, len(b)):min(i+12, len(b))], "\n"))
		}
	}
}

// tale is a story of an ensemble's membership: three members, and a fourth that joins.
type tale struct {
	*ensemble
	told  strings.Builder
	names []string // pairs of a port or a directory, and what stands for it
}

func reconfigStory(t *testing.T, k kind) string {
	s := &tale{ensemble: newEnsemble(t, k, k, k, k)}
	peers := s.members[0].cfg.Peers
	for i, m := range s.members {
		if i < 3 {
			m.cfg.Peers = peers[:3]
		}
		m.cfg.Extra = maps.Clone(settings)
		m.cfg.Extra["reconfigEnabled"] = "true"
		s.name(m.cfg.ClientPort, fmt.Sprintf("C%d", m.id))
		s.name(peers[i].QuorumPort, fmt.Sprintf("Q%d", m.id))
		s.name(peers[i].ElectionPort, fmt.Sprintf("E%d", m.id))
		s.names = append(s.names, m.dir, fmt.Sprintf("DIR%d", m.id))
	}
	joiner := s.members[3]
	s.members = s.members[:3]
	s.startUnder(s.members[2])
	s.permissions()
	s.refusals()
	s.roles()
	s.ports()
	s.join(joiner)
	s.inProgress()
	s.bulk()
	s.removeLeader()
	s.files()
	return s.told.String()
}

func (s *tale) name(port int, name string) { s.names = append(s.names, fmt.Sprint(port), name) }

var versions = regexp.MustCompile(`(version=|dynamic\.)[0-9a-f]+\b`)

func (s *tale) say(format string, args ...any) {
	text := strings.NewReplacer(s.names...).Replace(fmt.Sprintf(format, args...))
	text = versions.ReplaceAllString(text, "${1}V")
	s.t.Log(text)
	s.told.WriteString(text + "\n")
}

// line is what a reconfiguration says of a member.
func line(m *member, role string) string {
	p := m.cfg.Peers[m.id-1]
	return fmt.Sprintf("server.%d=127.0.0.1:%d:%d:%s;127.0.0.1:%d", m.id, p.QuorumPort, p.ElectionPort, role, m.cfg.ClientPort)
}

// lines are those of all members, with votes.
func (s *tale) lines() (all []string) {
	for _, m := range s.members {
		all = append(all, line(m, "participant"))
	}
	return all
}

// change asks for a change and tells the answer.
func (s *tale) change(c *zk.Client, what string, m zk.Membership, version int64) {
	reply, err := c.Reconfig(within(s.t), m, version)
	s.say("%s: %s", what, outcome(reply, err))
}

func outcome(reply zk.DataReply, err error) string {
	var refused *zk.OpError
	if errors.As(err, &refused) {
		return refused.Err.Error()
	}
	if err != nil {
		return err.Error()
	}
	// Apache's lines stand in the order of a hash table.
	return "ok\n" + sorted(string(reply.Data))
}

func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// awaitConfig waits until members show a line in their membership, or show it no more.
func (s *tale) awaitConfig(with, without string, members ...*member) {
	s.t.Helper()
	for _, m := range members {
		await(s.t, fmt.Sprintf("%v has a membership with %q and without %q", m, with, without), func() bool {
			answer, err := apache.Command(m.ClientAddr, "srvr")
			if err != nil || !strings.Contains(answer, "Mode: ") || strings.Contains(answer, "not currently serving") {
				return false
			}
			c := connect(s.t, m.ClientAddr)
			defer c.Detach()
			text, err := c.GetConfig(within(s.t))
			return err == nil && strings.Contains(string(text.Data), with) && (without == "" || !strings.Contains(string(text.Data), without))
		})
	}
}

func (s *tale) awaitMode(m *member, mode string) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%v is a %s", m, mode), func() bool {
		got, err := apache.Mode(m.ClientAddr)
		return err == nil && got == mode
	})
}

// permissions: whoever may write /zookeeper/config may change the membership.
func (s *tale) permissions() {
	admin, user := super(s.t, addresses(s.members[2])), connect(s.t, addresses(s.members[2]), zk.WithAuth("digest", []byte("user:pw")))
	same := zk.Membership{Joining: []string{line(s.members[0], "participant")}}
	s.change(user, "a user", same, zk.AnyConfig)
	acl := []zk.ACL{{Perms: zk.PermRead, ID: jute.ID{Scheme: "world", ID: "anyone"}}, {Perms: zk.PermWrite, ID: jute.ID{Scheme: "auth"}}}
	_, err := user.SetACL(within(s.t), "/zookeeper/config", acl, -1)
	s.say("a user sets the ACL: %s", outcome(zk.DataReply{}, err))
	owner := connect(s.t, addresses(s.members[2]), zk.WithAuth("digest", []byte(superAuth)), zk.WithAuth("digest", []byte("user:pw")))
	_, err = owner.SetACL(within(s.t), "/zookeeper/config", acl, -1)
	s.say("the superuser sets the ACL: %v", err)
	s.change(user, "a user who may write", same, zk.AnyConfig)
	s.change(connect(s.t, addresses(s.members[2])), "nobody", same, zk.AnyConfig)
	s.change(admin, "the superuser", same, zk.AnyConfig)
}

// refusals are the changes that can't be made.
func (s *tale) refusals() {
	c := super(s.t, addresses(s.members[2]))
	absent := []string{"server.7=127.0.0.1:1:2;3", "server.8=127.0.0.1:4:5;6"}
	for _, r := range []struct {
		what    string
		m       zk.Membership
		version int64
	}{
		{"another version", zk.Membership{Leaving: []string{"1"}}, 77},
		{"nonsense", zk.Membership{Joining: []string{"nonsense"}}, -1},
		{"no client port", zk.Membership{Joining: []string{"server.6=127.0.0.1:1:2"}}, -1},
		{"a role that there is not", zk.Membership{Joining: []string{"server.6=127.0.0.1:1:2:king;3"}}, -1},
		{"an id that is no number", zk.Membership{Leaving: []string{"one"}}, -1},
		{"an id that there is not", zk.Membership{Leaving: []string{"9"}}, -1},
		{"both ways", zk.Membership{Joining: absent[:1], Members: s.lines()}, -1},
		{"most are absent", zk.Membership{Members: append(absent, line(s.members[2], "participant"))}, -1},
		{"one voter is left", zk.Membership{Leaving: []string{"1", "2"}}, -1},
		{"no voter is left", zk.Membership{Leaving: []string{"1", "2", "3"}}, -1},
	} {
		s.change(c, r.what, r.m, r.version)
	}
}

// roles: a follower becomes an observer and a follower again, without a restart. Whoever
// watches the membership hears of it.
func (s *tale) roles() {
	c, m := super(s.t, addresses(s.members[2])), s.members[0]
	_, events, err := c.GetConfigW(within(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	s.change(c, "an observer", zk.Membership{Joining: []string{line(m, "observer")}}, zk.AnyConfig)
	select {
	case event := <-events:
		s.say("event: %v %s", event.Type, event.Path)
	case <-within(s.t).Done():
		s.t.Fatal("nobody told that the membership changed")
	}
	s.awaitMode(m, "observer")
	s.change(c, "a follower again", zk.Membership{Joining: []string{line(m, "participant")}}, zk.AnyConfig)
	s.awaitMode(m, "follower")
}

// ports: a follower moves to other ports, for clients and for members.
func (s *tale) ports() {
	c, m := super(s.t, addresses(s.members[2])), s.members[1]
	free, err := apache.FreePorts(3)
	if err != nil {
		s.t.Fatal(err)
	}
	for i, name := range []string{"NewC2", "NewQ2", "NewE2"} {
		s.name(free[i], name)
	}
	old := m.ClientAddr
	m.cfg.ClientPort, m.ClientAddr = free[0], fmt.Sprintf("127.0.0.1:%d", free[0])
	s.change(c, "another client port", zk.Membership{Joining: []string{line(m, "participant")}}, zk.AnyConfig)
	s.awaitMode(m, "follower")
	_, err = apache.Mode(old)
	s.say("the old client port answers: %v", err == nil)
	m.cfg.Peers = slices.Clone(m.cfg.Peers)
	m.cfg.Peers[1].QuorumPort, m.cfg.Peers[1].ElectionPort = free[1], free[2]
	s.change(c, "other ports for members", zk.Membership{Joining: []string{line(m, "participant")}}, zk.AnyConfig)
	s.awaitConfig(fmt.Sprint(free[2]), "", s.members...)
	s.awaitMode(m, "follower")
}

// join: a member that knows the others comes and gets a vote.
func (s *tale) join(joiner *member) {
	c := super(s.t, addresses(s.members[2]))
	joiner.cfg.Peers = slices.Clone(joiner.cfg.Peers)
	joiner.cfg.Peers[1] = s.members[1].cfg.Peers[1]
	s.start(joiner)
	await(s.t, "the joiner serves", func() bool { _, err := apache.Mode(joiner.ClientAddr); return err == nil })
	s.members = append(s.members, joiner)
	s.change(c, "a fourth", zk.Membership{Joining: []string{line(joiner, "participant")}}, zk.AnyConfig)
	s.awaitConfig("server.4=", "", s.members...)
	s.awaitMode(joiner, "follower")
}

// inProgress asks for two changes while nobody can agree to the first.
func (s *tale) inProgress() {
	c := super(s.t, addresses(s.members[2]))
	signal := func(signal syscall.Signal) {
		for _, m := range s.members {
			if m.id != 3 {
				if err := m.Signal(signal); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
	signal(syscall.SIGSTOP)
	answers := make(chan string, 2)
	for range 2 {
		go func() {
			reply, err := c.Reconfig(within(s.t), zk.Membership{Joining: []string{"server.9=127.0.0.1:7:8:observer;127.0.0.1:9"}}, zk.AnyConfig)
			answers <- outcome(reply, err)
		}()
	}
	await(s.t, "both changes are proposed", func() bool {
		text, err := apache.Command(s.members[2].ClientAddr, "mntr")
		return err == nil && strings.Contains(text, "zk_outstanding_requests\t2\n")
	})
	signal(syscall.SIGCONT)
	both := []string{<-answers, <-answers}
	slices.Sort(both)
	s.say("two at once: %s", strings.Join(both, "\n"))
	s.awaitConfig("server.9=", "", s.members...)
}

// bulk replaces the whole membership.
func (s *tale) bulk() {
	s.change(super(s.t, addresses(s.members[2])), "all anew", zk.Membership{Members: s.lines()}, zk.AnyConfig)
	s.awaitConfig("server.4=", "server.9=", s.members...)
}

// removeLeader takes the leader out. Apache's followers leave a leader that goes, and may
// close their clients' connections before the answer is out.
func (s *tale) removeLeader() {
	c := super(s.t, addresses(s.members[0]))
	_, err := c.Reconfig(within(s.t), zk.Membership{Leaving: []string{"3"}}, zk.AnyConfig)
	if err != nil && !errors.Is(err, zk.ErrConnectionLoss) {
		s.t.Fatal(err)
	}
	leader := s.members[2]
	s.members = slices.Delete(slices.Clone(s.members), 2, 3)
	s.awaitConfig("server.4=", "server.3=", s.members...)
	s.stop(leader)
	s.leader()
	_, err = super(s.t, addresses(s.members...)).Create(within(s.t), "/after", nil, zk.Persistent)
	s.say("a write after the leader left: %v", err)
	text, err := super(s.t, addresses(s.members[0])).GetConfig(within(s.t))
	s.say("%s\n%v", text.Data, err)
}

// files tells what the changes left in each member's directory.
func (s *tale) files() {
	for _, m := range s.members {
		s.stop(m)
		static, err := os.ReadFile(filepath.Join(m.dir, "zoo.cfg"))
		if err != nil {
			s.t.Fatal(err)
		}
		_, dynamicFile, _ := strings.Cut(string(static), "\ndynamicConfigFile=")
		dynamicFile, _, _ = strings.Cut(dynamicFile, "\n")
		dynamic, err := os.ReadFile(dynamicFile)
		if err != nil {
			s.t.Fatal(err)
		}
		before, err := os.ReadFile(filepath.Join(m.dir, "zoo.cfg.bak"))
		if err != nil {
			s.t.Fatal(err)
		}
		// Java writes properties in the order of a hash table.
		s.say("== member %d: zoo.cfg\n%s\n== %s\n%q\n== zoo.cfg.bak\n%q", m.id, sorted(string(static)), dynamicFile, dynamic, before)
		_, err = os.Stat(filepath.Join(m.dir, "zoo.cfg.dynamic.next"))
		s.say("a proposed membership is left: %v", err == nil)
	}
}
