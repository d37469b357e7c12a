package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"golang.org/x/sys/unix"

	"zoolab/nemesis"
)

// delayLine holds packets of one link back where the kernel has no netem: a rule puts
// what leaves the sender for the receiver into a queue of the kernel (NFQUEUE), and
// the lab, with a socket in the sender's network namespace, lets each packet go on when
// its time has come. Packets keep their order unless they are to overtake.
//
// The kernel keeps at most queuePackets of them and drops what comes then, as with
// netem. A queue that nobody has opened is bypassed, and a socket ends with its
// process: so no network is the worse for a lab that was killed.
type delayLine struct {
	queue  *nfqueue.Nfqueue
	cancel context.CancelFunc
	shape  atomic.Pointer[nemesis.Shape]
	// overtook counts the packets that went on at once while others were held.
	overtook atomic.Int64

	held chan heldPacket // in the order of their release
	over chan struct{}   // closed when nothing is to be held any longer
	done sync.WaitGroup  // for the goroutine that releases

	// lastDue is of the goroutine that takes packets.
	lastDue time.Time
}

// heldPacket is a packet that the kernel keeps.
type heldPacket struct {
	id  uint32
	due time.Time
}

// receiveBytes is the socket's buffer, for queuePackets announcements of packets.
const receiveBytes = 1 << 20

// openDelayLine takes over the queue of that number in a network namespace.
func openDelayLine(namespace *os.File, number uint16, shape nemesis.Shape) (*delayLine, error) {
	queue, err := nfqueue.Open(&nfqueue.Config{
		NetNS: int(namespace.Fd()), NfQueue: number, AfFamily: unix.AF_INET, MaxQueueLen: queuePackets,
		// What is in the packets is not of interest; without this flag large ones would be cut to pieces.
		Copymode: nfqueue.NfQnlCopyMeta, Flags: nfqueue.NfQaCfgFlagGSO,
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: open a queue of packets: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &delayLine{queue: queue, cancel: cancel, held: make(chan heldPacket, queuePackets), over: make(chan struct{})}
	l.shape.Store(&shape)
	err = errors.Join(queue.Con.SetReadBuffer(receiveBytes), queue.RegisterWithErrorFunc(ctx, l.take, func(error) int {
		// An announcement that did not fit into the buffer is an error too, and its packet is lost.
		if ctx.Err() != nil {
			return 1
		}
		return 0
	}))
	if err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("cluster: take over queue %d: %w", number, err), queue.Con.Close())
	}
	l.done.Go(l.release)
	return l, nil
}

// take decides about a packet that has come into the queue.
func (l *delayLine) take(packet nfqueue.Attribute) int {
	shape := l.shape.Load()
	switch {
	case packet.PacketID == nil:
		return 0
	case rand.IntN(100) < shape.ReorderPercent:
		if len(l.held) > 0 {
			l.overtook.Add(1)
		}
		l.pass(*packet.PacketID)
		return 0
	}
	delayMs := shape.DelayMs
	if shape.JitterMs > 0 {
		delayMs += rand.IntN(2*shape.JitterMs+1) - shape.JitterMs
	}
	due := time.Now().Add(time.Duration(delayMs) * time.Millisecond)
	if due.Before(l.lastDue) {
		due = l.lastDue
	}
	l.lastDue = due
	select {
	case l.held <- heldPacket{id: *packet.PacketID, due: due}:
	default: // the kernel's bound is the same, so that this is not to be expected
		l.pass(*packet.PacketID)
	}
	return 0
}

// release lets packets go on when they are due, or at once when the line ends.
func (l *delayLine) release() {
	for {
		select {
		case p := <-l.held:
			l.sleepUntil(p.due)
			l.pass(p.id)
		case <-l.over:
			if len(l.held) == 0 {
				return
			}
		}
	}
}

func (l *delayLine) sleepUntil(due time.Time) {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.over:
	}
}

// pass lets a packet go on. An error is that of a socket that is gone, and with it
// went the packet.
func (l *delayLine) pass(id uint32) { _ = l.queue.SetVerdict(id, nfqueue.NfAccept) }

// close lets go what is held. The rule that fills the queue must be gone before, or
// what comes meanwhile is lost.
func (l *delayLine) close() {
	close(l.over)
	l.done.Wait()
	l.cancel()
	_ = l.queue.Close() // nothing was written that could be lost
}

// delayLines has the open lines by link.
type delayLines map[nemesis.Link]*delayLine

// queueNumber is the queue of the packets for the member at that place.
func queueNumber(i int) uint16 { return uint16(firstClass + i) }

// setDelays opens, changes and closes the lines of a member's links to what its packets
// are to meet; what it opens is open before, and what it closes closed after, rules has
// replaced the rules. The lock is held.
func (n *netfilter) setDelays(ctx context.Context, m Member, outgoing map[string]nemesis.Shape, rules func() error) error {
	if !n.byQueue {
		return rules()
	}
	var ends []nemesis.Link
	for i, peer := range n.members {
		link, shape := nemesis.Link{From: m.Name, To: peer.Name}, outgoing[peer.Addr]
		n.linesMu.Lock()
		line := n.lines[link]
		n.linesMu.Unlock()
		switch {
		case line != nil && shape.DelayMs == 0:
			ends = append(ends, link)
		case line != nil:
			line.shape.Store(&shape)
		case shape.DelayMs > 0:
			line, err := n.openLine(ctx, m.Name, queueNumber(i), shape)
			if err != nil {
				return err
			}
			n.linesMu.Lock()
			n.lines[link] = line
			n.linesMu.Unlock()
		}
	}
	if err := rules(); err != nil {
		return err
	}
	for _, link := range ends {
		n.closeLine(link)
	}
	return nil
}

// openLine opens a line in a member's network namespace.
func (n *netfilter) openLine(ctx context.Context, member string, number uint16, shape nemesis.Shape) (*delayLine, error) {
	namespace, err := n.ns.netFile(ctx, member)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	return openDelayLine(namespace, number, shape)
}

func (n *netfilter) closeLine(link nemesis.Link) {
	n.linesMu.Lock()
	line := n.lines[link]
	delete(n.lines, link)
	n.linesMu.Unlock()
	if line != nil {
		line.close()
	}
}

// overtaken counts the packets of a link that have overtaken others since its line is open.
func (n *netfilter) overtaken(link nemesis.Link) int {
	n.linesMu.Lock()
	defer n.linesMu.Unlock()
	if line := n.lines[link]; line != nil {
		return int(line.overtook.Load())
	}
	return 0
}

// tryQueue opens a queue that no rule fills.
func (n *netfilter) tryQueue(ctx context.Context) error {
	member := n.members[0].Name
	if _, err := n.ns.netExec(ctx, member, "sh", "-ec", tryRule("mangle", queueRule(0))); err != nil {
		return lastLine(err)
	}
	line, err := n.openLine(ctx, member, queueNumber(len(n.members)), nemesis.Shape{})
	if err == nil {
		line.close()
	}
	return err
}

// closeDelays ends all lines, with rules or without.
func (n *netfilter) closeDelays() {
	n.linesMu.Lock()
	lines := n.lines
	n.lines = make(delayLines)
	n.linesMu.Unlock()
	for _, line := range lines {
		line.close()
	}
}
