package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"zoolab/nemesis"
)

// Links are shaped by what every kernel has, where there is a choice: packets are
// lost and reset by rules where they arrive, whose counters prove it, and doubled
// by a rule where they leave. Rates and delays are queueing disciplines where
// packets leave: a tree of htb classes, one for each receiver, into which rules
// sort the packets, since a kernel without classifiers has those. Delay and reorder
// are netem's; where the kernel lacks it, the lab holds packets back itself (delayLine).
const (
	lossComment     = "zoolab loss "    // of a rule that loses packets, followed by the fault's id
	resetComment    = "zoolab reset "   // of a rule that answers with a reset
	doubleComment   = "zoolab double"   // of a rule that sends packets twice
	classComment    = "zoolab class"    // of a rule that sorts packets into a class
	queueComment    = "zoolab queue"    // of a rule that hands packets to the lab
	datagramComment = "zoolab datagram" // of the rules that count the probes' datagrams
	datagramPort    = "9"
	// datagrams is how many of datagramBytes a probe sends over a link: some are lost
	// where links lose few, and a limited rate holds some back.
	datagrams     = 40
	datagramBytes = 600
	// firstClass is the number of the htb class of the first member.
	firstClass = 16
	// queuePackets bounds the queue of a limited link; more are dropped, as in a switch.
	queuePackets = 1000
)

// shaping is what one fault does to its links.
type shaping struct {
	links []nemesis.Link
	shape nemesis.Shape
}

// of is what the fault does to one link.
func (s shaping) of(link nemesis.Link) nemesis.Shape {
	if slices.Contains(s.links, link) {
		return s.shape
	}
	return nemesis.Shape{}
}

// Shape implements nemesis.LinkShaper.
func (n *netfilter) Shape(ctx context.Context, id string, links []nemesis.Link, shape nemesis.Shape) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, twice := n.shapes[id]; twice {
		return fmt.Errorf("cluster: fault %q already shapes links", id)
	}
	n.shapes[id] = shaping{links: slices.Clone(links), shape: shape}
	return n.applyShapes(ctx, links)
}

// Unshape implements nemesis.LinkShaper. After an error it may be called again.
func (n *netfilter) Unshape(ctx context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	shaped := n.shapes[id]
	delete(n.shapes, id)
	if err := n.applyShapes(ctx, shaped.links); err != nil {
		n.shapes[id] = shaped
		return err
	}
	return nil
}

// applyShapes brings receivers and senders of the links to what shapes says; the
// lock is held.
func (n *netfilter) applyShapes(ctx context.Context, links []nemesis.Link) error {
	if err := n.apply(ctx, links); err != nil {
		return err
	}
	return n.each(func(m Member) error {
		if !slices.ContainsFunc(links, func(l nemesis.Link) bool { return l.From == m.Name }) {
			return nil
		}
		return n.shapeSender(ctx, m)
	})
}

// shapeSender applies what a member's packets meet where they leave.
func (n *netfilter) shapeSender(ctx context.Context, m Member) error {
	outgoing := make(map[string]nemesis.Shape) // by the receiver's address
	for _, peer := range n.members {
		outgoing[peer.Addr] = n.shapeOf(nemesis.Link{From: m.Name, To: peer.Name})
	}
	return n.setDelays(ctx, m, outgoing, func() error {
		if err := n.makeQueues(ctx, m, queueScript(n.members, outgoing, n.byQueue)); err != nil {
			return err
		}
		_, err := n.ns.netExec(ctx, m.Name, restoreCommand(mangleRules(n.members, outgoing, n.byQueue))...)
		return err
	})
}

// makeQueues replaces the queueing disciplines of a member where they are to be others: with
// them go the packets that they hold, and the counters that prove them.
func (n *netfilter) makeQueues(ctx context.Context, m Member, script string) error {
	if made, _ := n.queues.Load(m.Name); made == script {
		return nil
	}
	n.queues.Delete(m.Name)
	if _, err := n.ns.netExec(ctx, m.Name, "sh", "-c", script); err != nil {
		return err
	}
	n.queues.Store(m.Name, script)
	return nil
}

// shapeOf is what all faults together do to a link; the lock is held.
func (n *netfilter) shapeOf(link nemesis.Link) nemesis.Shape {
	var shapes []nemesis.Shape
	for _, s := range n.shapes {
		shapes = append(shapes, s.of(link))
	}
	return nemesis.MergeShapes(shapes)
}

// queueScript replaces the queueing disciplines of a member.
func queueScript(members []Member, outgoing map[string]nemesis.Shape, byQueue bool) string {
	var classes strings.Builder
	for i, peer := range members {
		shape := outgoing[peer.Addr]
		if !queued(shape, byQueue) {
			continue
		}
		rate := "10gbit"
		if shape.RateKbit > 0 {
			rate = strconv.Itoa(shape.RateKbit) + "kbit burst 2k"
		}
		fmt.Fprintf(&classes, "tc class add dev eth0 parent 1: classid 1:%x htb rate %s quantum 1500\n", firstClass+i, rate)
		queue := fmt.Sprintf("pfifo limit %d", queuePackets)
		if shape.DelayMs > 0 && !byQueue {
			queue = netem(shape)
		}
		fmt.Fprintf(&classes, "tc qdisc add dev eth0 parent 1:%x %s\n", firstClass+i, queue)
	}
	script := "set -e\ntc qdisc del dev eth0 root 2>/dev/null || true\n"
	if classes.Len() == 0 {
		return script
	}
	// What is in no class, as all that goes to clients, passes unqueued.
	return script + "tc qdisc add dev eth0 root handle 1: htb\n" + classes.String()
}

// netem is the discipline that delays and reorders.
func netem(shape nemesis.Shape) string {
	text := fmt.Sprintf("netem limit %d delay %dms %dms", queuePackets, shape.DelayMs, shape.JitterMs)
	if shape.ReorderPercent > 0 {
		text += fmt.Sprintf(" reorder %d%%", shape.ReorderPercent)
	}
	return text
}

// queued reports whether a shape needs a queueing discipline.
func queued(shape nemesis.Shape, byQueue bool) bool {
	return shape.RateKbit > 0 || shape.DelayMs > 0 && !byQueue
}

// queueRule is the end of a rule that hands packets for the member at a place to the lab.
func queueRule(i int) string {
	return fmt.Sprintf("-m comment --comment %q -j NFQUEUE --queue-num %d --queue-bypass", queueComment, queueNumber(i))
}

// mangleRules replaces the rules for what leaves a member. A packet that the lab lets
// go on skips the rules behind that of its queue, so this is the last.
func mangleRules(members []Member, outgoing map[string]nemesis.Shape, byQueue bool) string {
	var out strings.Builder
	fmt.Fprintf(&out, "*mangle\n:%s - [0:0]\n-F %s\n", chain, chain)
	for i, peer := range members {
		shape := outgoing[peer.Addr]
		if shape.DuplicatePercent > 0 {
			fmt.Fprintf(&out, "-A %s -d %s %s -m comment --comment %q -j TEE --gateway %s\n", chain, peer.Addr, chance(shape.DuplicatePercent), doubleComment, peer.Addr)
		}
		if queued(shape, byQueue) {
			fmt.Fprintf(&out, "-A %s -d %s -m comment --comment %q -j CLASSIFY --set-class 1:%x\n", chain, peer.Addr, classComment, firstClass+i)
		}
		if shape.DelayMs > 0 && byQueue {
			fmt.Fprintf(&out, "-A %s -d %s %s\n", chain, peer.Addr, queueRule(i))
		}
	}
	out.WriteString("COMMIT\n")
	return out.String()
}

// chance is the part of a rule that lets it match some packets.
func chance(percent int) string {
	return fmt.Sprintf("-m statistic --mode random --probability %.2f", float64(percent)/100)
}

// arrivalRules are the rules for what arrives at a member: resets, then losses. A
// reset must reach the other side too, so none is answered with another.
func (n *netfilter) arrivalRules(m Member) (string, error) {
	var resets, losses strings.Builder
	for _, id := range slices.Sorted(maps.Keys(n.shapes)) {
		s := n.shapes[id]
		for _, link := range s.links {
			if link.To != m.Name {
				continue
			}
			source, err := n.addr(link.From)
			if err != nil {
				return "", err
			}
			if percent := s.shape.ResetPercent; percent > 0 {
				fmt.Fprintf(&resets, "-A %s -s %s -p tcp ! --tcp-flags RST RST %s -m comment --comment %q -j REJECT --reject-with tcp-reset\n", chain, source, chance(percent), resetComment+id)
			}
			if percent := s.shape.LossPercent; percent > 0 {
				fmt.Fprintf(&losses, "-A %s -s %s %s -m comment --comment %q -j DROP\n", chain, source, chance(percent), lossComment+id)
			}
		}
	}
	return resets.String() + losses.String(), nil
}

// mangleSetup makes the chain that mangleRules fills.
const mangleSetup = "*mangle\n:" + chain + " - [0:0]\n-A OUTPUT -m comment --comment " + ruleTag + " -j " + chain + "\nCOMMIT\n"

// tries are commands that fail where the kernel can't do what a fault needs. They
// act on a chain that nothing uses, and on the loopback interface.
var tries = map[string]string{
	"loss":      tryRule("filter", chance(10)+" -j DROP"),
	"reset":     tryRule("filter", "-p tcp -j REJECT --reject-with tcp-reset"),
	"duplicate": tryRule("mangle", "-j TEE --gateway 127.0.0.1"),
	"rate":      tryRule("mangle", "-j CLASSIFY --set-class 1:10") + tryQueue("htb"),
	"delay":     tryRule("mangle", "-j CLASSIFY --set-class 1:10") + tryQueue("htb") + tryQueue("netem delay 1ms"),
	"reorder":   tryRule("mangle", "-j CLASSIFY --set-class 1:10") + tryQueue("htb") + tryQueue("netem delay 1ms reorder 1%"),
}

func tryRule(table, rule string) string {
	try := "iptables -w 5 -t " + table
	return fmt.Sprintf("%[1]s -N %[2]s-TRY && %[1]s -A %[2]s-TRY %[3]s; code=$?; %[1]s -F %[2]s-TRY; %[1]s -X %[2]s-TRY; [ $code = 0 ]\n", try, chain, rule)
}

func tryQueue(discipline string) string {
	return "tc qdisc add dev lo root handle 1: " + discipline + "\ntc qdisc del dev lo root\n"
}

// Can implements nemesis.Capable for faults of links, and knows of no others that
// could be impossible.
func (n *netfilter) Can(ctx context.Context, fault string) error {
	if fault == "partition" || fault == nemesis.PartitionClients || tries[fault] != "" && n.unavailable != nil {
		return n.unavailable
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	answer, tried := n.can[fault]
	if !tried && tries[fault] != "" {
		answer = n.try(ctx, fault)
		n.can[fault] = answer
	}
	return answer
}

// try finds out whether and how the kernel can do a fault; the lock is held.
func (n *netfilter) try(ctx context.Context, fault string) error {
	_, err := n.ns.netExec(ctx, n.members[0].Name, "sh", "-ec", tries[fault])
	if err == nil {
		return nil
	}
	complaint := lastLine(err).Error()
	if fault == "delay" || fault == "reorder" {
		err := n.tryQueue(ctx)
		if n.byQueue = err == nil; n.byQueue {
			return nil
		}
		complaint = fmt.Sprintf("netem: %s; NFQUEUE: %v", complaint, err)
	}
	return nemesis.Unavailable(fault, "the kernel can't do it: "+complaint)
}

// lastLine is the complaint of a script's command; the lines before it are the script.
func lastLine(err error) error {
	text := err.Error()
	return errors.New(strings.TrimLeft(text[strings.LastIndexByte(text, '\n')+1:], ": "))
}

// healShapes ends every shape of every member.
func (n *netfilter) healShapes(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var links []nemesis.Link
	for _, s := range n.shapes {
		links = append(links, s.links...)
	}
	shapes := n.shapes
	n.shapes = make(map[string]shaping)
	if err := n.applyShapes(ctx, links); err != nil {
		n.shapes = shapes
		return err
	}
	return nil
}

// trafficScript sends datagrams to each address of its arguments, and then opens
// TCP connections to it, one after the other. It prints a line with the address
// for each that was accepted or refused, and the microseconds until then.
const trafficScript = `
exec 2>/dev/null
printf -v load '%0*d' "$2" 0
for address in "${@:3}"; do
  ( for ((i = 0; i < $1; i++)); do echo "$load" >"/dev/udp/$address/` + datagramPort + `"; done
    for i in 1 2 3 4; do
      begin=${EPOCHREALTIME/./}
      timeout 1 bash -c "exec 3<>/dev/tcp/$address/` + probePort + `"
      code=$?
      end=${EPOCHREALTIME/./}
      [ $code -lt 124 ] && echo "$address $((end - begin))"
    done ) &
done
wait
exit 0`

// Traffic implements nemesis.LinkShaper.
func (n *netfilter) Traffic(ctx context.Context, links []nemesis.Link) (map[nemesis.Link]nemesis.LinkTraffic, error) {
	before, err := n.readTraffic(ctx, links)
	if err != nil {
		return nil, err
	}
	times, err := n.sendTraffic(ctx, links)
	if err != nil {
		return nil, err
	}
	after, err := n.readTraffic(ctx, links)
	if err != nil {
		return nil, err
	}
	out := make(map[nemesis.Link]nemesis.LinkTraffic, len(links))
	for _, link := range links {
		a, b := after[link], before[link]
		t := nemesis.LinkTraffic{
			Arrived: since(b.Arrived, a.Arrived), Lost: since(b.Lost, a.Lost), Reset: since(b.Reset, a.Reset),
			Doubled: since(b.Doubled, a.Doubled), Held: since(b.Held, a.Held), Delayed: since(b.Delayed, a.Delayed),
		}
		if took := times[link]; len(took) > 0 {
			t.Shortest, t.Longest = slices.Min(took), slices.Max(took)
		}
		if t.Overtook = since(b.Overtook, a.Overtook); !n.countsOvertaking() {
			t.Overtook = n.quicker(link, times[link])
		}
		out[link] = t
	}
	return out, nil
}

// countsOvertaking reports whether the lab itself lets packets overtake others.
func (n *netfilter) countsOvertaking() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byQueue
}

// quicker counts the connections for which a packet must have overtaken others: netem
// counts none. A connection takes a packet there and one back.
func (n *netfilter) quicker(link nemesis.Link, times []time.Duration) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there, back := n.shapeOf(link), n.shapeOf(nemesis.Link{From: link.To, To: link.From})
	delayed := time.Duration(there.DelayMs-there.JitterMs+back.DelayMs-back.JitterMs) * time.Millisecond
	for _, took := range times {
		if took < delayed {
			count++
		}
	}
	return count
}

// since is how far a counter has come. One that another fault's change has made
// anew started at zero.
func since(before, after int) int {
	if after < before {
		return after
	}
	return after - before
}

// sendTraffic sends over all links and returns how long the connections took.
func (n *netfilter) sendTraffic(ctx context.Context, links []nemesis.Link) (map[nemesis.Link][]time.Duration, error) {
	var mu sync.Mutex
	times := make(map[nemesis.Link][]time.Duration)
	err := n.each(func(m Member) error {
		argv := []string{"bash", "-c", trafficScript, "bash", strconv.Itoa(datagrams), strconv.Itoa(datagramBytes)}
		byAddr := make(map[string]nemesis.Link)
		for _, link := range links {
			if link.From != m.Name {
				continue
			}
			addr, err := n.addr(link.To)
			if err != nil {
				return err
			}
			byAddr[addr] = link
			argv = append(argv, addr)
		}
		if len(byAddr) == 0 {
			return nil
		}
		text, err := n.ns.netExec(ctx, m.Name, argv...)
		if err != nil {
			return fmt.Errorf("traffic from %s: %w", m.Name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(text) {
			addr, took, _ := strings.Cut(strings.TrimSpace(line), " ")
			if us, err := strconv.Atoi(took); err == nil {
				times[byAddr[addr]] = append(times[byAddr[addr]], time.Duration(us)*time.Microsecond)
			}
		}
		return nil
	})
	return times, err
}

// readTraffic reads all counters of the links' ends. Those of a class are gone
// with the class, and then count as none.
func (n *netfilter) readTraffic(ctx context.Context, links []nemesis.Link) (map[nemesis.Link]nemesis.LinkTraffic, error) {
	var mu sync.Mutex
	out := make(map[nemesis.Link]nemesis.LinkTraffic)
	err := n.each(func(m Member) error {
		if !slices.ContainsFunc(links, func(l nemesis.Link) bool { return l.To == m.Name || l.From == m.Name }) {
			return nil
		}
		text, err := n.ns.netExec(ctx, m.Name, "sh", "-c", "iptables-save -c; tc -s class show dev eth0 2>/dev/null; tc -s qdisc show dev eth0 2>/dev/null; exit 0")
		if err != nil {
			return fmt.Errorf("counters of %s: %w", m.Name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for i, peer := range n.members {
			to, from := nemesis.Link{From: peer.Name, To: m.Name}, nemesis.Link{From: m.Name, To: peer.Name}
			arrived, left := out[to], out[from]
			arrived.Arrived = countRule(text, "-s "+peer.Addr+"/32", `"`+datagramComment)
			arrived.Lost = countRule(text, "-s "+peer.Addr+"/32", `"`+lossComment)
			arrived.Reset = countRule(text, "-s "+peer.Addr+"/32", `"`+resetComment)
			left.Doubled = countRule(text, "-d "+peer.Addr+"/32", `"`+doubleComment)
			left.Held = countOf(text, "class htb ", fmt.Sprintf("1:%x ", firstClass+i), "overlimits ")
			left.Delayed = countRule(text, "-d "+peer.Addr+"/32", `"`+queueComment) + countOf(text, "qdisc netem ", fmt.Sprintf("parent 1:%x ", firstClass+i), "bytes ")
			left.Overtook = n.overtaken(from)
			out[to], out[from] = arrived, left
		}
		return nil
	})
	return out, err
}

// countRule sums the packets of all rules that hold both texts, from
// iptables-save -c.
func countRule(save, address, comment string) (sum int) {
	for line := range strings.Lines(save) {
		if !strings.Contains(line, address) || !strings.Contains(line, comment) {
			continue
		}
		packets, _, _ := strings.Cut(strings.TrimPrefix(line, "["), ":")
		count, _ := strconv.Atoi(packets) // iptables writes numbers
		sum += count
	}
	return sum
}

// countOf reads one of the numbers of a class or discipline, that behind a word, from
// tc -s class show and tc -s qdisc show:
//
//	class htb 1:10 root leaf 8004: prio 0 rate 256Kbit ceil 256Kbit burst 2Kb cburst 1600b
//	 Sent 18774 bytes 18 pkt (dropped 0, overlimits 17 requeues 0)
//	qdisc netem 8004: parent 1:10 limit 1000 delay 100ms  10ms
//	 Sent 18774 bytes 18 pkt (dropped 0, overlimits 0 requeues 0)
func countOf(text, kind, name, word string) int {
	ours := false
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			ours = strings.HasPrefix(line, kind) && strings.Contains(line, name)
			continue
		}
		_, number, found := strings.Cut(line, word)
		number, _, _ = strings.Cut(number, " ")
		if count, err := strconv.Atoi(number); ours && found && err == nil {
			return count
		}
	}
	return 0
}
