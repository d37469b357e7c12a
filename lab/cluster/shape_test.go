package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"zoolab/nemesis"
)

// TestShapeRules: losses and resets stand where packets arrive, behind drops;
// doubles and classes where they leave; and all go with their fault.
func TestShapeRules(t *testing.T) {
	recorded := &rules{byMember: make(map[string][]string)}
	n := newNetfilter(recorded, testMembers(3), "10.0.0.1")
	link := []nemesis.Link{{From: "n1", To: "n2"}}
	last := func(member string, back int) string {
		all := recorded.byMember[member]
		return all[len(all)-1-back]
	}
	if err := n.Block(t.Context(), "1", link); err != nil {
		t.Fatal(err)
	}
	if err := n.Shape(t.Context(), "2", link, nemesis.Shape{LossPercent: 20, DuplicatePercent: 5, RateKbit: 300}); err != nil {
		t.Fatal(err)
	}
	if err := n.Shape(t.Context(), "3", link, nemesis.Shape{ResetPercent: 50, RateKbit: 100, DelayMs: 70, JitterMs: 5}); err != nil {
		t.Fatal(err)
	}
	wantInOrder(t, last("n2", 0), "zoolab drop 1", "-s 10.0.0.11 -p tcp ! --tcp-flags RST RST -m statistic --mode random --probability 0.50", "REJECT", "probability 0.20", "zoolab loss 2", "COMMIT")
	wantInOrder(t, last("n1", 1), "htb", "1:11 htb rate 100kbit", "netem limit 1000 delay 70ms 5ms")
	wantInOrder(t, last("n1", 0), "-d 10.0.0.12 -m statistic --mode random --probability 0.05", "TEE --gateway 10.0.0.12", "CLASSIFY --set-class 1:11")
	if len(recorded.byMember["n3"]) > 0 {
		t.Errorf("n3, at no end of the link, got %q", recorded.byMember["n3"])
	}
	// Where the lab delays packets itself, the queue is the last rule, and only the rate needs a class.
	outgoing := map[string]nemesis.Shape{"10.0.0.12": {RateKbit: 100, DelayMs: 70}, "10.0.0.13": {DelayMs: 70}}
	wantInOrder(t, mangleRules(n.members, outgoing, true), "-d 10.0.0.12", "CLASSIFY", "-d 10.0.0.12", "NFQUEUE --queue-num 17 --queue-bypass", "-d 10.0.0.13", "NFQUEUE --queue-num 18 --queue-bypass")
	if text := queueScript(n.members, outgoing, true); strings.Contains(text, "netem") || strings.Count(text, "class add") != 1 {
		t.Errorf("with queues of the lab:\n%s", text)
	}
	if err := n.Unshape(t.Context(), "3"); err != nil {
		t.Fatal(err)
	}
	wantInOrder(t, last("n1", 1), "1:11 htb rate 300kbit", "pfifo")
	if text := last("n2", 0); strings.Contains(text, "REJECT") || !strings.Contains(text, "zoolab loss 2") {
		t.Errorf("after the end of fault 3:\n%s", text)
	}
	if err := n.healLinks(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := last("n2", 0) + last("n1", 0) + last("n1", 1) + last("n1", 2); strings.Contains(text, "10.0.0") || strings.Contains(text, "tc qdisc add") {
		t.Errorf("after the heal of all:\n%s", text)
	}
}

// TestQueuesStay: a fault that needs no queue leaves those of others alone, with the packets in
// them and the counters that prove them.
func TestQueuesStay(t *testing.T) {
	recorded := &rules{byMember: make(map[string][]string)}
	n := newNetfilter(recorded, testMembers(3), "10.0.0.1")
	shape := func(id, to string, shape nemesis.Shape) {
		t.Helper()
		if err := n.Shape(t.Context(), id, []nemesis.Link{{From: "n1", To: to}}, shape); err != nil {
			t.Fatal(err)
		}
	}
	queues := func(want int) {
		t.Helper()
		if got := strings.Count(strings.Join(recorded.byMember["n1"], ""), "tc qdisc del"); got != want {
			t.Errorf("the queues of n1 were replaced %d times, want %d", got, want)
		}
	}
	shape("1", "n3", nemesis.Shape{RateKbit: 300})
	queues(1)
	shape("2", "n2", nemesis.Shape{DuplicatePercent: 5})
	if err := n.Unshape(t.Context(), "2"); err != nil {
		t.Fatal(err)
	}
	queues(1)
	// After a failure nobody knows what there is: the queues that were are made again.
	n.shapes["3"] = shaping{links: []nemesis.Link{{From: "n1", To: "n2"}}, shape: nemesis.Shape{RateKbit: 100}}
	recorded.err = errors.New("the engine is busy")
	if err := n.shapeSender(t.Context(), n.members[0]); !errors.Is(err, recorded.err) {
		t.Errorf("error %v, want %v", err, recorded.err)
	}
	recorded.err = nil
	delete(n.shapes, "3")
	if err := n.shapeSender(t.Context(), n.members[0]); err != nil {
		t.Fatal(err)
	}
	queues(3)
	if err := n.healLinks(t.Context()); err != nil {
		t.Fatal(err)
	}
	queues(4)
}

func wantInOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	at := 0
	for _, part := range parts {
		next := strings.Index(text[at:], part)
		if next < 0 {
			t.Errorf("no %q behind the parts before it in\n%s", part, text)
			return
		}
		at += next + len(part)
	}
}

func TestCountTraffic(t *testing.T) {
	const text = `[3:180] -A ZOOLAB -s 10.0.0.13/32 -m statistic --mode random --probability 0.2 -m comment --comment "zoolab loss 3" -j DROP
[4:180] -A ZOOLAB -s 10.0.0.13/32 -m statistic --mode random --probability 0.2 -m comment --comment "zoolab loss 4" -j DROP
[9:180] -A ZOOLAB -s 10.0.0.1/32 -m comment --comment "zoolab loss 4" -j DROP
class htb 1:10 root leaf 8004: prio 0 rate 256Kbit ceil 256Kbit burst 2Kb cburst 1600b
 Sent 18774 bytes 18 pkt (dropped 0, overlimits 17 requeues 0)
qdisc netem 8004: parent 1:10 limit 1000 delay 100ms  10ms
 Sent 18774 bytes 19 pkt (dropped 0, overlimits 0 requeues 0)
`
	if got := countRule(text, "-s 10.0.0.13/32", `"`+lossComment); got != 7 {
		t.Errorf("%d packets lost, want 7", got)
	}
	if got := countOf(text, "class htb ", "1:10 ", "overlimits "); got != 17 {
		t.Errorf("%d packets held back, want 17", got)
	}
	if got := countOf(text, "qdisc netem ", "parent 1:10 ", "bytes "); got != 19 {
		t.Errorf("%d packets delayed, want 19", got)
	}
	if got := countOf(text, "class htb ", "1:1 ", "overlimits "); got != 0 {
		t.Errorf("%d packets held back by a class that isn't there", got)
	}
}

// testShapes shapes three links at the same time, each in another way, then one
// in several ways, and wants each to be proved; what this kernel can't do is named.
func testShapes(t *testing.T, c Cluster) {
	var steps []nemesis.Step
	add := func(at time.Duration, fault string, targets ...string) {
		err := nemesis.Available(t.Context(), c, fault)
		switch {
		case err == nil:
			steps = append(steps, nemesis.Step{At: at, Fault: fault, Variant: "link", Targets: targets, Duration: 200 * time.Millisecond})
		case errors.Is(err, nemesis.ErrUnavailable) && strings.Contains(err.Error(), fault):
			t.Logf("skipped: %v", err)
		default:
			t.Errorf("%s: %v", fault, err)
		}
	}
	add(0, "loss", "n1", "n2")
	add(0, "duplicate", "n2", "n3")
	add(0, "rate", "n1", "n3")
	for _, fault := range []string{"reset", "duplicate", "delay", "reorder"} {
		add(2*time.Second, fault, "n1", "n2")
	}
	if len(steps) < 2 {
		t.Fatal("this kernel can't shape links")
	}
	runSteps(t, c, 4*time.Second, steps)
}
