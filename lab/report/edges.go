package report

import (
	"fmt"
	"strconv"

	"zoolab/workloads"
)

// edgeView is one dependency of a cycle in words.
type edgeView struct {
	From, To string // the numbers of the steps
	Kind     string
	Why      string
}

// pictureEdge is a dependency drawn between two bars, as an arrow that bends.
type pictureEdge struct {
	Path     string
	X, Y     float64 // of its name
	Name     string
	Backward bool // it leads to an operation that began before
}

// edgeWords says what each kind of dependency is.
var edgeWords = map[string]string{
	"ww": "appended right before", "wr": "was read by", "rw": "had not yet seen", "rt": "ended before the start of",
}

// edgeViews tells a cycle by the numbers that the steps have.
func edgeViews(edges []workloads.Edge, number map[int]string) []edgeView {
	views := make([]edgeView, 0, min(len(edges), maxSteps))
	name := func(index int) string {
		if number[index] != "" {
			return number[index]
		}
		return "operation " + strconv.Itoa(index)
	}
	for _, edge := range edges[:min(len(edges), maxSteps)] {
		views = append(views, edgeView{name(edge.From), name(edge.To), edge.Kind, clip(edge.Why, maxLineRunes)})
	}
	return views
}

// Words explains the kind of the dependency.
func (e edgeView) Words() string { return edgeWords[e.Kind] }

// addEdges draws the dependencies whose two operations are in the picture.
func (p *picture) addEdges(edges []workloads.Edge) {
	bars := make(map[int]*pictureBar, len(p.Bars))
	for i := range p.Bars {
		bars[p.Bars[i].Index] = &p.Bars[i]
	}
	for _, edge := range edges {
		from, to := bars[edge.From], bars[edge.To]
		if from == nil || to == nil || from == to {
			continue
		}
		p.Edges = append(p.Edges, newPictureEdge(from, to, edge.Kind))
	}
}

// newPictureEdge leads from one bar to the other, out of the sides that face each
// other: downwards on the right of the bars' middles, upwards on the left, so that
// the arrows there and back between two bars don't cross.
func newPictureEdge(from, to *pictureBar, kind string) pictureEdge {
	const apart, bend = 18.0, 24.0
	x1, x2 := from.X+from.Width/2, to.X+to.Width/2
	y1, y2 := from.Y+from.Height, to.Y
	shift, lift := apart, 0.0
	switch {
	case from.Y > to.Y:
		y1, y2 = from.Y, to.Y+to.Height
		shift = -apart
	case from.Y == to.Y: // one process: below the row's bars
		y2 = to.Y + to.Height
		shift, lift = 0, bend
	}
	x1, x2 = x1+shift, x2+shift
	middleX, middleY := (x1+x2)/2+shift, (y1+y2)/2+lift
	return pictureEdge{
		Path: fmt.Sprintf("M%.1f %.1f Q%.1f %.1f %.1f %.1f", x1, y1, middleX, middleY, x2, y2),
		X:    (x1+x2)/4 + middleX/2, Y: (y1+y2)/4 + middleY/2 + 4,
		Name: kind, Backward: x2 < x1,
	}
}
