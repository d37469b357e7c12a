package sim

import (
	"testing"
	"time"

	"zoolab/nemesis"
)

// during lets an ensemble live for a while.
func during(e *Ensemble, d time.Duration) {
	for until := e.Now().Add(d); e.Now().Before(until) && e.Next(); {
	}
}

// leaders counts the members that lead.
func leaders(e *Ensemble) (count int) {
	for _, m := range e.w.members {
		if m.leads() {
			count++
		}
	}
	return count
}

// TestLinkShapes: each shape does what it is for and nothing else, a link has no memory of
// one that is over, and the ensemble recovers from the worst of all.
func TestLinkShapes(t *testing.T) {
	e, err := NewEnsemble(EnsembleOptions{Seed: 3, Members: 3})
	if err != nil {
		t.Fatal(err)
	}
	during(e, 5*time.Second)
	link, far := nemesis.Link{From: "n1", To: "n2"}, nemesis.Link{From: "n1", To: "n3"}
	for _, test := range []struct {
		shape nemesis.Shape
		seen  func(nemesis.LinkTraffic) int
	}{
		{nemesis.Shape{LossPercent: 40}, func(t nemesis.LinkTraffic) int { return t.Lost }},
		{nemesis.Shape{ResetPercent: 40}, func(t nemesis.LinkTraffic) int { return t.Reset }},
		{nemesis.Shape{RateKbit: 64}, func(t nemesis.LinkTraffic) int { return t.Held }},
		{nemesis.Shape{DelayMs: 100, JitterMs: 10}, func(t nemesis.LinkTraffic) int { return t.Delayed }},
	} {
		try := func(link nemesis.Link) (mine, all int, quickest time.Duration) {
			t := e.TryLink(link, 40, 600, 4)
			return test.seen(t), t.Lost + t.Reset + t.Held + t.Delayed, t.Shortest
		}
		e.Shape(map[nemesis.Link]nemesis.Shape{link: test.shape})
		least := time.Duration(test.shape.DelayMs-test.shape.JitterMs) * time.Millisecond
		if mine, all, quickest := try(link); mine == 0 || mine != all || quickest < least {
			t.Errorf("%+v: %d effects, %d of any kind, a connection after %s", test.shape, mine, all, quickest)
		}
		if _, all, _ := try(far); all != 0 {
			t.Errorf("%+v: %d effects on another link", test.shape, all)
		}
		e.Shape(nil)
		if _, all, quickest := try(link); all != 0 || quickest > 500*time.Millisecond {
			t.Errorf("after %+v: %d effects, a connection after %s", test.shape, all, quickest)
		}
	}
	worst := make(map[nemesis.Link]nemesis.Shape)
	for _, from := range e.w.names() {
		for _, to := range e.w.names() {
			worst[nemesis.Link{From: from, To: to}] = nemesis.Shape{ResetPercent: 100}
		}
	}
	during(e, 20*time.Second)
	if leaders(e) != 1 {
		t.Fatalf("%d leaders before all connections are reset", leaders(e))
	}
	e.Shape(worst)
	during(e, 10*time.Second)
	if leaders(e) != 0 {
		t.Error("somebody leads while every packet breaks its connection")
	}
	e.Shape(nil)
	during(e, 20*time.Second)
	if leaders(e) != 1 {
		t.Errorf("%d leaders after the heal", leaders(e))
	}
}

// TestLimitCPU: a member with a part of a processor takes its inputs in order, later.
func TestLimitCPU(t *testing.T) {
	e, err := NewEnsemble(EnsembleOptions{Seed: 3, Members: 3})
	if err != nil {
		t.Fatal(err)
	}
	during(e, 5*time.Second)
	if e.Waited(2) != 0 {
		t.Errorf("%d inputs waited without a limit", e.Waited(2))
	}
	e.LimitCPU(2, 2)
	during(e, 5*time.Second)
	waited := e.Waited(2)
	if waited == 0 || leaders(e) != 1 {
		t.Errorf("%d inputs waited, %d leaders", waited, leaders(e))
	}
	e.LimitCPU(2, 0)
	during(e, 5*time.Second)
	if e.Waited(2) != waited || len(e.member(2).backlog) != 0 {
		t.Errorf("after the limit %d inputs waited, %d still do", e.Waited(2)-waited, len(e.member(2).backlog))
	}
}
