package sim

import (
	"time"

	"zoolab/nemesis"
)

// The links between members of an Ensemble can be shaped. What a shape means to packets
// is taken for what TCP makes of it: a connection still delivers bytes in order, later,
// or breaks. Nothing is drawn for a link without a shape.

const (
	// retransmitUs is what a lost packet costs, twice as much each time it is lost again.
	retransmitUs    = 200 * millisecond
	mostRetransmits = 5
)

// linkShape is the shape of a link with what it has done.
type linkShape struct {
	nemesis.Shape
	met nemesis.LinkTraffic // counts; without times
}

// crossing is what becomes of one packet on a link.
type crossing struct {
	latencyUs int64
	carriedUs int64 // what a limited link needs to carry it
	reset     bool  // it breaks its connection
}

// cross lets a packet cross a link that would take it that long without a shape.
func (n *network) cross(from, to int64, sizeBytes int, latencyUs int64) crossing {
	c := crossing{latencyUs: latencyUs}
	s := n.shapes[[2]int64{from, to}]
	if s == nil {
		return c
	}
	s.met.Arrived++
	if s.DelayMs > 0 {
		s.met.Delayed++
		c.latencyUs += n.w.between(int64(s.DelayMs-s.JitterMs)*millisecond, int64(s.DelayMs+s.JitterMs)*millisecond)
	}
	for again := 0; again < mostRetransmits && n.happens(s.LossPercent); again++ {
		s.met.Lost++
		c.latencyUs += retransmitUs << again
	}
	if s.RateKbit > 0 {
		c.carriedUs = int64(sizeBytes) * 8 * millisecond / int64(s.RateKbit)
		s.met.Held++
	}
	if c.reset = n.happens(s.ResetPercent); c.reset {
		s.met.Reset++
	}
	return c
}

// happens draws what happens to some percent of packets.
func (n *network) happens(percent int) bool { return percent > 0 && n.w.random.IntN(100) < percent }

// hurry lets all that is on its way over a link arrive soon: what held it back is over.
func (n *network) hurry(from, to int64) {
	for _, e := range n.of(n.w.members[to-1]) {
		if e.peer.member.sid != from {
			continue
		}
		e.lastAtUs, e.carriesUs = n.w.nowUs, 0
		for range e.arriving {
			e.lastAtUs = max(e.lastAtUs, n.w.nowUs+n.latency())
			n.w.after(e.lastAtUs-n.w.nowUs, func() { n.arrive(e) })
		}
	}
}

// Shape sets what happens to the packets of links, until it is set anew. The zero shape
// is none.
func (e *Ensemble) Shape(shapes map[nemesis.Link]nemesis.Shape) {
	n := e.w.net
	before := n.shapes
	n.shapes = make(map[[2]int64]*linkShape, len(shapes))
	for link, shape := range shapes {
		if shape != (nemesis.Shape{}) {
			n.shapes[e.way(link)] = &linkShape{Shape: shape}
		}
	}
	for _, from := range e.w.members { // in the order of members, since it draws
		for _, to := range e.w.members {
			way := [2]int64{from.sid, to.sid}
			if before[way] != nil && (n.shapes[way] == nil || n.shapes[way].Shape != before[way].Shape) {
				n.hurry(from.sid, to.sid)
			}
		}
	}
}

func (e *Ensemble) way(link nemesis.Link) [2]int64 {
	return [2]int64{e.w.named(link.From).sid, e.w.named(link.To).sid}
}

// TryLink tells what would happen to packets of a link and to connections over it, without
// sending any.
func (e *Ensemble) TryLink(link nemesis.Link, packets, sizeBytes, connections int) nemesis.LinkTraffic {
	n, way := e.w.net, e.way(link)
	before := nemesis.LinkTraffic{}
	if s := n.shapes[way]; s != nil {
		before = s.met
	}
	for range packets {
		n.cross(way[0], way[1], sizeBytes, n.latency())
	}
	t := nemesis.LinkTraffic{Arrived: packets}
	if s := n.shapes[way]; s != nil {
		t = s.met
		t.Arrived, t.Lost, t.Reset = t.Arrived-before.Arrived, t.Lost-before.Lost, t.Reset-before.Reset
		t.Held, t.Delayed = t.Held-before.Held, t.Delayed-before.Delayed
	}
	for range connections {
		there, back := n.cross(way[0], way[1], 0, n.latency()), n.cross(way[1], way[0], 0, n.latency())
		took := time.Duration(there.latencyUs+back.latencyUs) * time.Microsecond
		if t.Longest == 0 || took < t.Shortest {
			t.Shortest = took
		}
		t.Longest = max(t.Longest, took)
	}
	return t
}
