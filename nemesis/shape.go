package nemesis

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"time"
)

// Shape is what happens to the packets of a link that isn't cut. The zero Shape
// changes nothing.
type Shape struct {
	LossPercent      int // packets that vanish
	ResetPercent     int // TCP packets that are answered with a reset, to whoever sent them
	DuplicatePercent int // packets that arrive twice
	ReorderPercent   int // packets that overtake those that DelayMs holds back
	DelayMs          int // from the sender to the receiver
	JitterMs         int // how much the delay varies, up and down
	RateKbit         int // kilobits per second, 0: no limit
}

// merge is what two shapes on the same link do together.
func (s Shape) merge(o Shape) Shape {
	return Shape{
		LossPercent:      max(s.LossPercent, o.LossPercent),
		ResetPercent:     max(s.ResetPercent, o.ResetPercent),
		DuplicatePercent: max(s.DuplicatePercent, o.DuplicatePercent),
		ReorderPercent:   max(s.ReorderPercent, o.ReorderPercent),
		DelayMs:          max(s.DelayMs, o.DelayMs),
		JitterMs:         max(s.JitterMs, o.JitterMs),
		RateKbit:         tighter(s.RateKbit, o.RateKbit),
	}
}

// tighter is the lower of two limits, of which 0 is none.
func tighter(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// MergeShapes is what all active shapes do to a link.
func MergeShapes(shapes []Shape) Shape {
	var all Shape
	for _, s := range shapes {
		all = all.merge(s)
	}
	return all
}

// LinkTraffic is what a probe of one link has seen: how many packets arrived
// while it sent some, how many the link's shape lost, reset, doubled, held back for
// its rate, delayed and let overtake others meanwhile, and the shortest and longest time that a TCP
// connection to the receiver took; both are 0 if none was answered.
type LinkTraffic struct {
	Arrived, Lost, Reset, Doubled, Held, Delayed, Overtook int
	Shortest, Longest                                      time.Duration
}

// LinkShaper shapes links without cutting them.
type LinkShaper interface {
	// Shape changes what happens to the packets of the links, until Unshape with
	// the same id. Shapes of several ids on one link are merged.
	Shape(ctx context.Context, id string, links []Link, shape Shape) error
	Unshape(ctx context.Context, id string) error
	// Traffic sends packets over the links and reports what happened to them.
	Traffic(ctx context.Context, links []Link) (map[Link]LinkTraffic, error)
}

// shapeFault shapes links.
//
// Variants: one (all links of the target), leader and minority (the same), all
// (every link), link (the one between two targets), one-way (what the target
// sends).
type shapeFault struct {
	kind
	params []Param
	// shape is what a step with these parameters does.
	shape func(param func(name string) int) Shape
	// wants says what is wrong with the traffic of a link that has this shape, ""
	// if nothing is. It looks at nothing but the fault's own effect.
	wants func(shape Shape, seen LinkTraffic) string
	// wantsOf is wants for all links together, of which some have the shape: for what
	// a probe sees on too few links to ask it of each. Nil asks nothing.
	wantsOf func(shape Shape, sum LinkTraffic) string
}

var shapeFaults = []Fault{
	shapeFault{
		kind:   kind{"loss", "lets links lose some of their packets"},
		params: []Param{{"percent", 5, 20, 40}},
		shape:  func(param func(string) int) Shape { return Shape{LossPercent: param("percent")} },
		wants: func(shape Shape, seen LinkTraffic) string {
			return wantCount("lost packets", shape.LossPercent > 0, seen.Lost)
		},
	},
	shapeFault{
		kind:   kind{"reset", "answers some of the packets of TCP connections between members with a reset"},
		params: []Param{{"percent", 10, 30, 100}},
		shape:  func(param func(string) int) Shape { return Shape{ResetPercent: param("percent")} },
		wants: func(shape Shape, seen LinkTraffic) string {
			return wantCount("resets", shape.ResetPercent > 0, seen.Reset)
		},
	},
	shapeFault{
		kind:   kind{"rate", "limits how much links carry"},
		params: []Param{{"rateKbit", 64, 256, 1000}},
		shape:  func(param func(string) int) Shape { return Shape{RateKbit: param("rateKbit")} },
		wants: func(shape Shape, seen LinkTraffic) string {
			return wantCount("packets held back", shape.RateKbit > 0, seen.Held)
		},
	},
	shapeFault{
		kind:   kind{"duplicate", "lets some packets arrive twice"},
		params: []Param{{"percent", 10, 30, 60}},
		shape:  func(param func(string) int) Shape { return Shape{DuplicatePercent: param("percent")} },
		wants: func(shape Shape, seen LinkTraffic) string {
			return wantCount("packets sent twice", shape.DuplicatePercent > 0, seen.Doubled)
		},
	},
	shapeFault{
		kind:   kind{"delay", "delays the packets of links, each by another time"},
		params: []Param{{"delayMs", 40, 100, 400}, {"jitterMs", 1, 10, 20}},
		shape: func(param func(string) int) Shape {
			return Shape{DelayMs: param("delayMs"), JitterMs: param("jitterMs")}
		},
		wants: wantDelay,
	},
	shapeFault{
		kind:   kind{"reorder", "delays packets and lets some overtake the others"},
		params: []Param{{"percent", 10, 25, 50}, {"delayMs", 40, 50, 100}},
		shape: func(param func(string) int) Shape {
			return Shape{ReorderPercent: param("percent"), DelayMs: param("delayMs")}
		},
		wants: wantDelay,
		wantsOf: func(shape Shape, sum LinkTraffic) string {
			return wantCount("packets that overtook others", shape.ReorderPercent > 0, sum.Overtook)
		},
	},
}

func wantCount(what string, some bool, count int) string {
	if some == (count > 0) {
		return ""
	}
	return fmt.Sprintf("%d %s", count, what)
}

// wantDelay looks at the time of a connection, which takes at least one delayed
// packet unless that packet overtakes. That a link delays no longer the counters tell:
// on a busy machine a connection may take longer than a delay.
func wantDelay(shape Shape, seen LinkTraffic) string {
	delay := time.Duration(shape.DelayMs-shape.JitterMs) * time.Millisecond
	switch {
	case seen.Longest == 0:
		return "no connection was answered"
	case shape.DelayMs == 0:
		return wantCount("delayed packets", false, seen.Delayed)
	case seen.Longest < delay:
		return fmt.Sprintf("the slowest of the connections took %s, want %s", seen.Longest, delay)
	case shape.ReorderPercent == 0 && seen.Shortest < delay:
		return fmt.Sprintf("the quickest of the connections took %s, want %s", seen.Shortest, delay)
	}
	return wantCount("delayed packets", true, seen.Delayed)
}

func (f shapeFault) Variants(members int) []string {
	switch {
	case members < 2:
		return nil
	case members < 3:
		return []string{"one", "leader", "all", "one-way"}
	}
	return []string{"one", "leader", "all", "one-way", "minority", "link"}
}

func (f shapeFault) Targets(rng *rand.Rand, variant string, members []string) []string {
	switch variant {
	case "all":
		return pick(rng, members, len(members))
	case "link":
		return pick(rng, members, 2)
	}
	return memberTargets(rng, variant, members)
}

func (f shapeFault) Params(string) []Param { return f.params }

func (f shapeFault) available(ctx context.Context, injector Injector, variant string) error {
	if _, can := injector.(LinkShaper); !can {
		return Unavailable(f.name, "the cluster driver can't shape links")
	}
	return f.kind.available(ctx, injector, variant)
}

// links are those that the step shapes.
func (f shapeFault) links(w *world, s activeStep) ([]Link, error) {
	switch s.step.Variant {
	case "all":
		return w.allLinks(), nil
	case "minority":
		return PartitionLinks("halves", s.targets, w.members)
	}
	return PartitionLinks(s.step.Variant, s.targets, w.members)
}

func (f shapeFault) inject(ctx context.Context, w *world, s activeStep) error {
	links, err := f.links(w, s)
	if err != nil {
		return err
	}
	shape := f.shape(func(name string) int { return s.step.param(f, name) })
	w.shape(s.id, links, shape)
	return w.injector.(LinkShaper).Shape(ctx, s.id, links, shape)
}

func (f shapeFault) heal(ctx context.Context, w *world, s activeStep) error {
	if err := w.injector.(LinkShaper).Unshape(ctx, s.id); err != nil {
		return err
	}
	w.shape(s.id, nil, Shape{})
	return nil
}

// check probes the step's links: each must show the fault's effect exactly if
// an active step asks for it. Links that are cut show nothing and are left out.
func (f shapeFault) check(ctx context.Context, w *world, s activeStep) (string, error) {
	links, err := f.links(w, s)
	if err != nil {
		return "", err
	}
	blocked := w.blockedLinks()
	wanted := make(map[Link]Shape)
	for _, link := range links {
		wanted[link] = w.shapeOf(link)
	}
	traffic, err := w.injector.(LinkShaper).Traffic(ctx, links)
	if err != nil {
		return "", err
	}
	var wrong []string
	var sum LinkTraffic
	var shapes []Shape
	for _, link := range links {
		t := traffic[link]
		if blocked[link] || blocked[Link{From: link.To, To: link.From}] {
			continue
		}
		shapes = append(shapes, wanted[link])
		if complaint := f.wants(wanted[link], t); complaint != "" {
			wrong = append(wrong, fmt.Sprintf("%s: %s", link, complaint))
		}
		sum.Arrived, sum.Lost, sum.Reset = sum.Arrived+t.Arrived, sum.Lost+t.Lost, sum.Reset+t.Reset
		sum.Doubled, sum.Held, sum.Longest = sum.Doubled+t.Doubled, sum.Held+t.Held, max(sum.Longest, t.Longest)
		sum.Delayed, sum.Overtook = sum.Delayed+t.Delayed, sum.Overtook+t.Overtook
	}
	seen := len(shapes)
	if f.wantsOf != nil {
		if complaint := f.wantsOf(MergeShapes(shapes), sum); complaint != "" {
			wrong = append(wrong, "all together: "+complaint)
		}
	}
	switch {
	case seen == 0:
		return "", fmt.Errorf("all %d links are cut by a partition", len(links))
	case len(wrong) > 0:
		return "", fmt.Errorf("the %d links are not as wanted: %s", seen, strings.Join(wrong, "; "))
	}
	return fmt.Sprintf("probed %d links: %d packets arrived, %d were lost, %d reset, %d doubled, %d held back, %d delayed, %d overtook others; a connection took up to %s",
		seen, sum.Arrived, sum.Lost, sum.Reset, sum.Doubled, sum.Held, sum.Delayed, sum.Overtook, sum.Longest.Round(time.Millisecond)), nil
}
