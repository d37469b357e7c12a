package nemesis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// shapes is the part of the model of a cluster that shapes links.
type shapes map[string]map[Link]Shape

func (e *ensemble) Shape(_ context.Context, id string, links []Link, shape Shape) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.deaf {
		return nil
	}
	e.shapes[id] = make(map[Link]Shape)
	for _, link := range links {
		e.shapes[id][link] = shape
	}
	return nil
}

func (e *ensemble) Unshape(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.shapes, id)
	return nil
}

func (e *ensemble) Traffic(ctx context.Context, links []Link) (map[Link]LinkTraffic, error) {
	time.Sleep(300 * time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make(map[Link]LinkTraffic)
	for _, link := range links {
		var all []Shape
		for _, shaped := range e.shapes {
			all = append(all, shaped[link])
		}
		s := MergeShapes(all)
		t := LinkTraffic{Arrived: 40, Lost: s.LossPercent, Reset: s.ResetPercent, Doubled: s.DuplicatePercent, Held: s.RateKbit, Delayed: s.DelayMs, Overtook: s.ReorderPercent, Shortest: time.Millisecond, Longest: time.Millisecond}
		if s.DelayMs > 0 {
			t.Longest = time.Duration(s.DelayMs) * time.Millisecond
		}
		if s.ReorderPercent == 0 {
			t.Shortest = t.Longest
		}
		out[link] = t
	}
	return out, ctx.Err()
}

// TestShapesOverlap: what one step wants of a link stays when another step that
// shaped the same link ends.
func TestShapesOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnsemble(3)
		s := schedule(3,
			Step{At: seconds(1), Fault: "loss", Variant: "one", Targets: []string{"n2"}, Duration: seconds(9)},
			Step{At: seconds(2), Fault: "loss", Variant: "all", Targets: []string{"n1"}, Params: map[string]int{"percent": 40}, Duration: seconds(3)},
			Step{At: seconds(3), Fault: "delay", Variant: "link", Targets: []string{"n1", "n2"}, Duration: seconds(3)},
			Step{At: seconds(4), Fault: "partition", Variant: "one", Targets: []string{"n3"}, Duration: seconds(3)},
		)
		runProved(t, s, e)
	})
}

// TestShapeNotEffective: a shape that changes nothing must not pass for one.
func TestShapeNotEffective(t *testing.T) {
	for _, fault := range shapeFaults {
		synctest.Test(t, func(t *testing.T) {
			e, r := newEnsemble(3), &transcript{}
			e.deaf = true
			s := schedule(3, Step{Fault: fault.Name(), Variant: "leader", Targets: []string{RoleLeader}, Duration: seconds(1)})
			outcomes, err := Run(t.Context(), s, e, r)
			if err != nil || len(outcomes) != 1 || outcomes[0].Effective || !strings.Contains(outcomes[0].Err.Error(), "not as wanted") {
				t.Errorf("%s: %+v, %v", fault.Name(), outcomes, err)
			}
		})
	}
}

// injectorOnly hides what a cluster offers beyond Injector.
type injectorOnly struct{ Injector }

func TestUnavailableWithoutInterface(t *testing.T) {
	for _, name := range Kinds() {
		err := Available(t.Context(), injectorOnly{newEnsemble(3)}, name)
		basic := name == "kill" || name == "pause" || name == "partition"
		if basic != (err == nil) || err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMergeShapes(t *testing.T) {
	got := MergeShapes([]Shape{{RateKbit: 300, LossPercent: 10}, {RateKbit: 200, DelayMs: 5}, {}, {LossPercent: 30}})
	if want := (Shape{RateKbit: 200, LossPercent: 30, DelayMs: 5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
