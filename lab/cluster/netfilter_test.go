package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"zoolab/nemesis"
)

// rules records the iptables-restore input that each member is given.
type rules struct {
	mu       sync.Mutex
	byMember map[string][]string
	err      error
}

func (r *rules) netExec(_ context.Context, member string, argv ...string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byMember[member] = append(r.byMember[member], argv[len(argv)-1])
	return "", r.err
}

func (r *rules) netFile(context.Context, string) (*os.File, error) {
	return nil, errors.New("there is no network")
}

func testMembers(n int) []Member {
	var out []Member
	for i := 1; i <= n; i++ {
		out = append(out, Member{Name: fmt.Sprintf("n%d", i), ID: int64(i), Addr: fmt.Sprintf("10.0.0.%d", 10+i)})
	}
	return out
}

// TestRulesOfOneWayPartition: packets of a silenced member are dropped where
// they arrive, and nowhere else.
func TestRulesOfOneWayPartition(t *testing.T) {
	recorded := &rules{byMember: make(map[string][]string)}
	n := newNetfilter(recorded, testMembers(3), "10.0.0.1")
	links, err := nemesis.PartitionLinks("one-way", []string{"n2"}, []string{"n1", "n2", "n3"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Block(t.Context(), "7", links); err != nil {
		t.Fatal(err)
	}
	const empty = "*filter\n:ZOOLAB - [0:0]\n:ZOOLAB-OUT - [0:0]\n-F ZOOLAB\n-F ZOOLAB-OUT\n"
	const rule7 = "-A ZOOLAB -s 10.0.0.12 -m comment --comment \"zoolab drop 7\" -j DROP\n"
	const rule8 = "-A ZOOLAB -s 10.0.0.13 -m comment --comment \"zoolab drop 8\" -j DROP\n"
	want := func(member string, rules ...string) {
		t.Helper()
		if got := recorded.byMember[member]; fmt.Sprintf("%q", got) != fmt.Sprintf("%q", rules) {
			t.Errorf("%s got %q, want %q", member, got, rules)
		}
	}
	want("n1", empty+rule7+"COMMIT\n")
	want("n2")
	want("n3", empty+rule7+"COMMIT\n")
	if err := n.Block(t.Context(), "7", links); err == nil {
		t.Error("the same fault blocked twice")
	}
	// A second fault at n1 only; the first one's end leaves it.
	if err := n.Block(t.Context(), "8", []nemesis.Link{{From: "n3", To: "n1"}}); err != nil {
		t.Fatal(err)
	}
	if err := n.Unblock(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	want("n1", empty+rule7+"COMMIT\n", empty+rule7+rule8+"COMMIT\n", empty+rule8+"COMMIT\n")
	want("n3", empty+rule7+"COMMIT\n", empty+"COMMIT\n")
	if err := n.Block(t.Context(), "9", []nemesis.Link{{From: "n1", To: "n9"}}); err == nil {
		t.Error("blocked a link to a member that does not exist")
	}
}

// TestRulesOfClients: clients are cut off in both directions, at the member.
func TestRulesOfClients(t *testing.T) {
	recorded := &rules{byMember: make(map[string][]string)}
	n := newNetfilter(recorded, testMembers(3), "10.0.0.1")
	links, err := nemesis.PartitionLinks("clients", []string{"n2"}, []string{"n1", "n2", "n3"})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Block(t.Context(), "3", links); err != nil {
		t.Fatal(err)
	}
	if len(recorded.byMember) != 1 || len(recorded.byMember["n2"]) != 1 {
		t.Fatalf("rules at %v, want some at n2 alone", recorded.byMember)
	}
	for _, rule := range []string{"-A ZOOLAB -s 10.0.0.1 -m", "-A ZOOLAB-OUT -d 10.0.0.1 -m"} {
		if got := recorded.byMember["n2"][0]; !strings.Contains(got, rule) {
			t.Errorf("no rule %q in\n%s", rule, got)
		}
	}
}

// TestUnblockAgain: a heal that failed can be repeated.
func TestUnblockAgain(t *testing.T) {
	recorded := &rules{byMember: make(map[string][]string)}
	n := newNetfilter(recorded, testMembers(2), "10.0.0.1")
	if err := n.Block(t.Context(), "1", []nemesis.Link{{From: "n1", To: "n2"}}); err != nil {
		t.Fatal(err)
	}
	recorded.err = errors.New("the engine is busy")
	if err := n.Unblock(t.Context(), "1"); !errors.Is(err, recorded.err) {
		t.Errorf("error %v, want %v", err, recorded.err)
	}
	recorded.err = nil
	if err := n.Unblock(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	got := recorded.byMember["n2"]
	if last := got[len(got)-1]; strings.Contains(last, "DROP") {
		t.Errorf("rules after the repeated unblock: %q", last)
	}
}

func TestSetupCountsEveryPeer(t *testing.T) {
	recorded := &rules{byMember: make(map[string][]string)}
	n := newNetfilter(recorded, testMembers(5), "10.0.0.1")
	if err := n.setup(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for _, m := range n.members {
		got := recorded.byMember[m.Name][0]
		if strings.Count(got, `"`+passComment+`"`) != 6 || strings.Contains(got, "-s "+m.Addr+" ") {
			t.Errorf("%s:\n%s", m.Name, got)
		}
		if strings.Index(got, "-j ZOOLAB") > strings.Index(got, passComment) {
			t.Errorf("%s counts before it drops:\n%s", m.Name, got)
		}
	}
}

func TestParseCounters(t *testing.T) {
	got, clients := parseCounters(`*filter
:INPUT ACCEPT [9:900]
:ZOOLAB - [0:0]
[9:900] -A INPUT -m comment --comment zoolab -j ZOOLAB
[12:720] -A INPUT -s 10.0.0.12/32 -m comment --comment "zoolab pass"
[0:0] -A INPUT -s 10.0.0.13/32 -m comment --comment "zoolab pass"
[5:300] -A ZOOLAB -s 10.0.0.13/32 -m comment --comment "zoolab drop 3" -j DROP
[2:120] -A ZOOLAB -s 10.0.0.13/32 -m comment --comment "zoolab drop 4" -j DROP
[8:480] -A OUTPUT -d 10.0.0.1/32 -m comment --comment "zoolab pass"
[6:360] -A ZOOLAB-OUT -d 10.0.0.1/32 -m comment --comment "zoolab drop 5" -j DROP
COMMIT
`)
	if len(clients) != 1 || clients["10.0.0.1"] != (packetCounters{passed: 8, dropped: 6}) {
		t.Errorf("to clients: got %v", clients)
	}
	if len(got) != 2 || got["10.0.0.12"] != (packetCounters{passed: 12}) || got["10.0.0.13"] != (packetCounters{dropped: 7}) {
		t.Errorf("got %v", got)
	}
}

func TestCandidateSubnets(t *testing.T) {
	seen := make(map[netip.Prefix]bool)
	for try := range subnetTries {
		prefix := candidateSubnet("a-run", try, 24)
		if !prefix.Addr().IsPrivate() || seen[prefix] || prefix.Masked() != prefix {
			t.Errorf("try %d: %s", try, prefix)
		}
		seen[prefix] = true
	}
	loopback := netip.MustParsePrefix("127.0.0.0/24")
	if taken, err := overlapsInterface(loopback); err != nil || !taken {
		t.Errorf("%s is not taken: %v, %v", loopback, taken, err)
	}
	if got := addrAt(netip.MustParsePrefix("10.1.0.0/16"), 300).String(); got != "10.1.1.44" {
		t.Errorf("address 300 of 10.1.0.0/16 is %s", got)
	}
}

func TestParseSrvr(t *testing.T) {
	mode, zxid := parseSrvr("Zookeeper version: 3.8.0, built on 2022\nLatency min/avg/max: 0/0.0/0\nZxid: 0x10000000a\nMode: leader\nNode count: 5\n")
	if mode != "leader" || zxid != 0x10000000a {
		t.Errorf("mode %q, zxid %#x", mode, zxid)
	}
}

func TestOwner(t *testing.T) {
	if !ownerAlive(owner()) {
		t.Errorf("this process (%s) counts as dead", owner())
	}
	host, _ := os.Hostname()
	for _, dead := range []string{"", "nonsense", host + ":0:1", fmt.Sprintf("%s:%d:1", host, os.Getpid())} {
		if ownerAlive(dead) {
			t.Errorf("owner %q counts as alive", dead)
		}
	}
	if !ownerAlive("another-host:1:1") {
		t.Error("a lab on another host counts as dead")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Nodes: 0}, {Nodes: 10}, {Nodes: 3, Run: "a b"}, {Nodes: 3, Driver: "podman"}} {
		if c, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v gave %v", o, c.Info())
		}
	}
}

func TestShellQuote(t *testing.T) {
	argv := []string{"printf", "%s|", "a b", "", "it's", "$HOME `date` \"\\", "two\nlines"}
	out, err := command(t.Context(), "bash", "-c", shellQuote(argv))
	if want := strings.Join(argv[2:], "|") + "|"; err != nil || out != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}
