package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"zoolab/nemesis"
)

// Packets are filtered in the members' network namespaces, those between members
// where they arrive. The chain ZOOLAB, first in INPUT, holds the drop rules of
// active partitions; behind it stands, for each peer, a rule without a target
// that counts what passed. So one pair of counters tells for each direction of
// each link whether packets get through. Clients are a peer like any other, with
// the address that they come from: the host's own in the ensemble's network. What
// a member sends to them is filtered where it leaves, in ZOOLAB-OUT, first in
// OUTPUT, since the host's own rules are not the lab's to change.
const (
	chain       = "ZOOLAB"
	outChain    = "ZOOLAB-OUT"
	ruleTag     = "zoolab"       // in the comment of every rule
	passComment = "zoolab pass"  // of the counting rules
	dropComment = "zoolab drop " // of a drop rule, followed by the fault's id
	// probePort is where probes connect to. Any port does: refused is an answer.
	probePort = "2181"
)

// namespaces runs commands in the members' network namespaces, as root there.
type namespaces interface {
	// netExec runs a command and returns its standard output. A nonzero exit
	// code is an error that holds the standard error output.
	netExec(ctx context.Context, member string, argv ...string) (string, error)
	// netFile opens a member's network namespace; an error where the lab can't
	// reach it, as on another machine.
	netFile(ctx context.Context, member string) (*os.File, error)
}

// netfilter does partitions for all drivers.
type netfilter struct {
	ns      namespaces
	members []Member
	clients string // address that clients have in the ensemble's network

	// unavailable says why this kernel can't filter packets; set by setup.
	unavailable error

	// mu is held while rules are changed.
	mu sync.Mutex
	// blocked has the links that each fault id blocks.
	blocked map[string][]nemesis.Link
	// shapes has what each fault id does to links without cutting them.
	shapes map[string]shaping
	// can has the answers of Can, so that each is tried once.
	can map[string]error
	// byQueue is set once it is found that the kernel has no netem, and that the lab
	// can delay packets itself.
	byQueue bool
	// queues has by member the script that made its queueing disciplines; none if it failed.
	queues sync.Map

	linesMu sync.Mutex // guards lines; taken after mu
	lines   delayLines
}

func newNetfilter(ns namespaces, members []Member, clients string) *netfilter {
	return &netfilter{
		ns: ns, members: members, clients: clients,
		blocked: make(map[string][]nemesis.Link), shapes: make(map[string]shaping), can: make(map[string]error),
		lines: make(delayLines),
	}
}

func (n *netfilter) addr(name string) (string, error) {
	for _, m := range n.members {
		if m.Name == name {
			return m.Addr, nil
		}
	}
	if name == nemesis.Clients {
		return n.clients, nil
	}
	return "", fmt.Errorf("cluster: no member %q", name)
}

// restoreCommand feeds rules to iptables-restore, which applies all or none of
// them. They travel as an argument, since not every namespace has a stdin.
func restoreCommand(rules string) []string {
	return []string{"sh", "-c", `printf '%s' "$1" | iptables-restore --wait 5 --noflush`, "sh", rules}
}

// setupRules makes the chains and the counting rules of one member.
func setupRules(peers []string, clients string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "*filter\n:%s - [0:0]\n:%s - [0:0]\n", chain, outChain)
	fmt.Fprintf(&out, "-A INPUT -m comment --comment %q -j %s\n", ruleTag, chain)
	for _, peer := range append(peers, clients) {
		fmt.Fprintf(&out, "-A INPUT -s %s -m comment --comment %q\n", peer, passComment)
		fmt.Fprintf(&out, "-A INPUT -s %s -p udp --dport %s -m comment --comment %q\n", peer, datagramPort, datagramComment)
	}
	fmt.Fprintf(&out, "-A OUTPUT -m comment --comment %q -j %s\n", ruleTag, outChain)
	fmt.Fprintf(&out, "-A OUTPUT -d %s -m comment --comment %q\n", clients, passComment)
	out.WriteString("COMMIT\n")
	return out.String()
}

// chainRules replaces the rules of one member, all at once: drops has the source
// addresses by fault id, silenced the ids of faults that keep it from talking to
// clients, arrivals the rules behind them. Applying the same rules twice changes
// nothing.
func chainRules(drops map[string][]string, clients string, silenced []string, arrivals string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "*filter\n:%s - [0:0]\n:%s - [0:0]\n-F %s\n-F %s\n", chain, outChain, chain, outChain)
	for _, id := range slices.Sorted(maps.Keys(drops)) {
		for _, source := range drops[id] {
			fmt.Fprintf(&out, "-A %s -s %s -m comment --comment %q -j DROP\n", chain, source, dropComment+id)
		}
	}
	for _, id := range silenced {
		fmt.Fprintf(&out, "-A %s -d %s -m comment --comment %q -j DROP\n", outChain, clients, dropComment+id)
	}
	out.WriteString(arrivals)
	out.WriteString("COMMIT\n")
	return out.String()
}

// setup prepares all namespaces. Where the kernel has no iptables, it isn't an
// error: the cluster starts, and its partitions are unavailable.
func (n *netfilter) setup(ctx context.Context, logger *slog.Logger) error {
	err := n.each(func(m Member) error {
		var peers []string
		for _, peer := range n.members {
			if peer.Name != m.Name {
				peers = append(peers, peer.Addr)
			}
		}
		_, err := n.ns.netExec(ctx, m.Name, restoreCommand(setupRules(peers, n.clients))...)
		return err
	})
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		n.unavailable = nemesis.Unavailable("partition", fmt.Sprintf("iptables does not work here: %v", err))
		logger.Warn("partitions are unavailable", "error", err)
	}
	err = n.each(func(m Member) error {
		_, err := n.ns.netExec(ctx, m.Name, restoreCommand(mangleSetup)...)
		return err
	})
	if err != nil {
		logger.Warn("some faults of links are unavailable", "error", err) // Can says which
	}
	return nil
}

// each calls f for all members at the same time.
func (n *netfilter) each(f func(Member) error) error {
	errs := make([]error, len(n.members))
	var wg sync.WaitGroup
	for i, m := range n.members {
		wg.Go(func() { errs[i] = f(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Block implements nemesis.Injector.
func (n *netfilter) Block(ctx context.Context, id string, links []nemesis.Link) error {
	if n.unavailable != nil {
		return n.unavailable
	}
	for _, link := range links {
		for _, name := range []string{link.From, link.To} {
			if _, err := n.addr(name); err != nil {
				return err
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, twice := n.blocked[id]; twice {
		return fmt.Errorf("cluster: fault %q already blocks links", id)
	}
	n.blocked[id] = slices.Clone(links)
	return n.apply(ctx, links)
}

// Unblock implements nemesis.Injector. After an error it may be called again.
func (n *netfilter) Unblock(ctx context.Context, id string) error {
	if n.unavailable != nil {
		return n.unavailable
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	links := n.blocked[id]
	delete(n.blocked, id)
	if err := n.apply(ctx, links); err != nil {
		n.blocked[id] = links
		return err
	}
	return nil
}

// filteredAt is the member at which a link's packets are filtered and counted.
func filteredAt(link nemesis.Link) string {
	if link.To == nemesis.Clients {
		return link.From
	}
	return link.To
}

// apply brings the rules of the members that filter the links to what blocked
// says; the lock is held.
func (n *netfilter) apply(ctx context.Context, links []nemesis.Link) error {
	return n.each(func(m Member) error {
		if !slices.ContainsFunc(links, func(l nemesis.Link) bool { return filteredAt(l) == m.Name }) {
			return nil
		}
		drops := make(map[string][]string)
		var silenced []string
		for id, links := range n.blocked {
			for _, link := range links {
				switch {
				case filteredAt(link) != m.Name:
				case link.To == nemesis.Clients:
					silenced = append(silenced, id)
				default:
					source, err := n.addr(link.From)
					if err != nil {
						return err
					}
					drops[id] = append(drops[id], source)
				}
			}
		}
		slices.Sort(silenced)
		arrivals, err := n.arrivalRules(m)
		if err != nil {
			return err
		}
		_, err = n.ns.netExec(ctx, m.Name, restoreCommand(chainRules(drops, n.clients, silenced, arrivals))...)
		return err
	})
}

// healLinks removes every rule and queueing discipline that a fault made.
func (n *netfilter) healLinks(ctx context.Context) error {
	if n.unavailable != nil {
		return nil
	}
	if err := n.healShapes(ctx); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.blocked)
	return n.each(func(m Member) error {
		_, err := n.ns.netExec(ctx, m.Name, restoreCommand(chainRules(nil, n.clients, nil, ""))...)
		return err
	})
}

// probeScript opens a TCP connection to each address:port of its arguments at
// the same time, and ends when all are accepted or refused, or after half a
// second. What became of the packets, the counters tell.
const probeScript = `
exec 2>/dev/null 9<> <(:)
for target in "$@"; do
  ( exec 3<>"/dev/tcp/${target%:*}/${target##*:}" ) &
  attempts+=($!)
done
for tenth in 1 2 3 4 5; do
  read -rt 0.1 -u 9
  kill -0 "${attempts[@]}" || break
done
kill "${attempts[@]}"
exit 0`

// Probe implements nemesis.Injector: it reads the counters of the receivers,
// has every sender open TCP connections, and reads the counters again.
func (n *netfilter) Probe(ctx context.Context, links []nemesis.Link) (map[nemesis.Link]nemesis.LinkState, error) {
	if n.unavailable != nil {
		return nil, n.unavailable
	}
	before, err := n.readCounters(ctx, links)
	if err != nil {
		return nil, err
	}
	if err := n.connectAll(ctx, links); err != nil {
		return nil, err
	}
	after, err := n.readCounters(ctx, links)
	if err != nil {
		return nil, err
	}
	out := make(map[nemesis.Link]nemesis.LinkState, len(links))
	for _, link := range links {
		out[link] = nemesis.LinkState{
			Passed:  after[link].passed > before[link].passed,
			Dropped: after[link].dropped > before[link].dropped,
		}
	}
	return out, nil
}

// connectAll tries a TCP connection over every link. Those of clients come from
// the lab itself; what a member sends to them, it sends to the host.
func (n *netfilter) connectAll(ctx context.Context, links []nemesis.Link) error {
	return n.each(func(m Member) error {
		if slices.Contains(links, nemesis.Link{From: nemesis.Clients, To: m.Name}) {
			answers(ctx, m) // what became of the packets, the counters tell
		}
		argv := []string{"bash", "-c", probeScript, "bash"}
		senders := 0
		for _, link := range links {
			if link.From != m.Name {
				continue
			}
			addr, err := n.addr(link.To)
			if err != nil {
				return err
			}
			senders++
			argv = append(argv, addr+":"+probePort)
		}
		if senders == 0 {
			return nil
		}
		if _, err := n.ns.netExec(ctx, m.Name, argv...); err != nil {
			return fmt.Errorf("probe from %s: %w", m.Name, err)
		}
		return nil
	})
}

// packetCounters say how many packets of one link have passed and were dropped.
type packetCounters struct{ passed, dropped uint64 }

// readCounters reads the counters of the links.
func (n *netfilter) readCounters(ctx context.Context, links []nemesis.Link) (map[nemesis.Link]packetCounters, error) {
	var mu sync.Mutex
	counters := make(map[nemesis.Link]packetCounters)
	err := n.each(func(m Member) error {
		if !slices.ContainsFunc(links, func(l nemesis.Link) bool { return filteredAt(l) == m.Name }) {
			return nil
		}
		out, err := n.ns.netExec(ctx, m.Name, "iptables-save", "-c", "-t", "filter")
		if err != nil {
			return fmt.Errorf("counters of %s: %w", m.Name, err)
		}
		bySource, byDestination := parseCounters(out)
		mu.Lock()
		defer mu.Unlock()
		for _, peer := range n.members {
			counters[nemesis.Link{From: peer.Name, To: m.Name}] = bySource[peer.Addr]
		}
		counters[nemesis.Link{From: nemesis.Clients, To: m.Name}] = bySource[n.clients]
		counters[nemesis.Link{From: m.Name, To: nemesis.Clients}] = byDestination[n.clients]
		return nil
	})
	return counters, err
}

// parseCounters reads the counting and the drop rules from iptables-save -c,
// by source, or by destination for what leaves the member:
//
//	[12:720] -A INPUT -s 10.0.0.2/32 -m comment --comment "zoolab pass"
//	[3:180] -A ZOOLAB -s 10.0.0.3/32 -m comment --comment "zoolab drop 0" -j DROP
//	[3:180] -A ZOOLAB-OUT -d 10.0.0.1/32 -m comment --comment "zoolab drop 0" -j DROP
func parseCounters(save string) (bySource, byDestination map[string]packetCounters) {
	bySource, byDestination = make(map[string]packetCounters), make(map[string]packetCounters)
	for line := range strings.Lines(save) {
		fields := strings.Fields(line)
		out, at := bySource, slices.Index(fields, "-s")
		if at < 0 {
			out, at = byDestination, slices.Index(fields, "-d")
		}
		if at < 0 || at+1 >= len(fields) {
			continue
		}
		packets, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "["), ":")
		count, err := strconv.ParseUint(packets, 10, 64)
		if err != nil {
			continue
		}
		peer := strings.TrimSuffix(fields[at+1], "/32")
		counters := out[peer]
		switch {
		case strings.Contains(line, `"`+passComment+`"`):
			counters.passed += count
		case strings.Contains(line, `"`+dropComment):
			counters.dropped += count
		}
		out[peer] = counters
	}
	return bySource, byDestination
}
