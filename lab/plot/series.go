package plot

import (
	"math"
	"slices"
	"sort"

	"gonum.org/v1/plot/plotter"

	"zoolab/workloads"
)

// series are the operations of a run, ready to be drawn.
type series struct {
	done            []completed // by their end
	names           []string    // functions that are told apart, at most maxNames
	endSeconds      float64
	leastMs, mostMs float64 // of the latencies; least is above 0
}

// completed is an operation that ended.
type completed struct {
	name  string
	kind  workloads.Type
	start float64 // s
	end   float64 // s
	ms    float64 // latency
}

// maxNames bounds the functions that are told apart. A run of several workloads has
// too many for one picture: then they are all "all".
const maxNames = 6

// leastLatencyMs keeps a latency of nothing on a logarithmic axis.
const leastLatencyMs = 1e-3

func newSeries(run *Run) *series {
	s := &series{leastMs: math.Inf(1)}
	open := make(map[int]*workloads.Op)
	seen := make(map[string]bool)
	for i := range run.History {
		op := &run.History[i]
		s.endSeconds = max(s.endSeconds, seconds(op.TimeNs))
		if op.Process < 0 {
			continue
		}
		if op.Type == workloads.Invoke {
			open[op.Process] = op
			continue
		}
		begun := open[op.Process]
		if begun == nil {
			continue
		}
		delete(open, op.Process)
		done := completed{name: op.F, kind: op.Type, start: seconds(begun.TimeNs), end: seconds(op.TimeNs)}
		done.ms = max((done.end-done.start)*1e3, leastLatencyMs)
		s.leastMs, s.mostMs = min(s.leastMs, done.ms), max(s.mostMs, done.ms)
		s.done = append(s.done, done)
		if !seen[op.F] {
			seen[op.F] = true
			s.names = append(s.names, op.F)
		}
	}
	for _, fault := range run.Faults {
		s.endSeconds = max(s.endSeconds, seconds(fault.EndNs))
	}
	if s.mostMs == 0 { // nothing to draw
		s.leastMs, s.mostMs = 0.1, 1
	}
	s.leastMs, s.mostMs = s.leastMs*0.8, s.mostMs*1.25
	if len(s.names) > maxNames {
		for i := range s.done {
			s.done[i].name = "all"
		}
		s.names = []string{"all"}
	}
	sort.Strings(s.names)
	return s
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// thinned gives the operations of a kind as points, one of those that would cover
// one another: a picture has no room for more.
func (s *series) thinned(name string, kind workloads.Type) plotter.XYs {
	const columns, rows = 1200, 500
	taken := make(map[[2]int]bool)
	height := math.Log(s.mostMs / s.leastMs)
	var points plotter.XYs
	for i := range s.done {
		done := &s.done[i]
		if done.name != name || done.kind != kind {
			continue
		}
		cell := [2]int{int(done.start / s.endSeconds * columns), int(math.Log(done.ms/s.leastMs) / height * rows)}
		if !taken[cell] {
			taken[cell] = true
			points = append(points, plotter.XY{X: done.start, Y: done.ms})
		}
	}
	return points
}

// window is the length of time that one point of a line stands for, in s.
func (s *series) window() float64 { return max(0.5, s.endSeconds/150) }

// quantile gives the latency that a share of the operations of each window did not
// exceed. Windows in which nothing ended have no point.
func (s *series) quantile(share float64) plotter.XYs {
	window := s.window()
	byWindow := make(map[int][]float64)
	for i := range s.done {
		at := int(s.done[i].end / window)
		byWindow[at] = append(byWindow[at], s.done[i].ms)
	}
	points := make(plotter.XYs, 0, len(byWindow))
	for at, latencies := range byWindow {
		slices.Sort(latencies)
		rank := max(1, int(math.Ceil(share*float64(len(latencies)))))
		points = append(points, plotter.XY{X: (float64(at) + 0.5) * window, Y: latencies[rank-1]})
	}
	slices.SortFunc(points, func(a, b plotter.XY) int { return int(math.Copysign(1, a.X-b.X)) })
	return points
}

// rate gives the operations per second of a kind, of every window of the run; nil
// if there were none.
func (s *series) rate(name string, kind workloads.Type) plotter.XYs {
	window := s.window()
	points := make(plotter.XYs, int(s.endSeconds/window)+1)
	some := false
	for i := range s.done {
		if done := &s.done[i]; done.name == name && done.kind == kind {
			points[int(done.end/window)].Y += 1 / window
			some = true
		}
	}
	if !some {
		return nil
	}
	for i := range points {
		points[i].X = (float64(i) + 0.5) * window
	}
	return points
}
