package report

import (
	"fmt"
	"sort"
	"strconv"
	"unicode/utf8"

	"zoolab/workloads"
)

// Measures of a counterexample's picture, in the units of its viewBox.
const (
	pictureWidth   = 1000.0
	pictureLeft    = 116.0 // room for the names of processes and members
	pictureRight   = 24.0
	pictureTop     = 34.0 // room for the time axis
	rowHeight      = 40.0
	edgeRowHeight  = 76.0 // of a picture with arrows between its rows
	barHeight      = 20.0
	minBarWidth    = 4.0
	badgeRadius    = 8.0
	glyphWidth     = 6.6  // of one character of a label, generously
	boldGlyphWidth = 8.2  // the same of the bold label of what is impossible
	openTailLength = 36.0 // how far the edge of an operation with unknown outcome fades
)

// picture is a counterexample drawn in true time: one row for each process,
// one bar from the invocation to the completion of each operation.
type picture struct {
	Height  float64
	AxisY   float64
	Rows    []pictureRow
	Ticks   []pictureTick
	Bars    []pictureBar
	Edges   []pictureEdge
	LeftOut int    // operations that matter but aren't drawn
	Label   string // for people who can't see it
}

type pictureRow struct {
	Name     string
	Y, TextY float64
}

type pictureTick struct {
	X    float64
	Text string
}

type pictureBar struct {
	X, Y, Width, Height float64
	TextX, TextY        float64
	BadgeX, BadgeY      float64
	Anchor              string // of the label: start or end
	Number              string // place in the linearization, empty if it has none
	Label               string // empty where no room is left
	Class               string // ok, fail, info or impossible
	Open                bool   // unknown outcome: the right edge fades
	TailFrom, TailX     float64
	ClippedLeft         bool // began before the picture does
	Full                string
	Index               int
	Linked              bool // it is an operation of the timeline
}

// drawn is an operation on its way into a picture.
type drawn struct {
	op         *operation
	number     string
	impossible bool
}

// newPicture lays a counterexample out. Of many operations it draws those of
// the last steps, because that is where it goes wrong.
func newPicture(r *run, ops []drawn, edges []workloads.Edge) *picture {
	if len(ops) == 0 {
		return nil
	}
	p := &picture{}
	if len(ops) > maxPictureOps {
		p.LeftOut = len(ops) - maxPictureOps
		ops = ops[p.LeftOut:]
	}
	from, to := pictureSpan(r, ops)
	rows, rowHeight := pictureRows(ops), rowHeight
	if len(edges) > 0 {
		rowHeight = edgeRowHeight
	}
	for i, process := range rows {
		y := pictureTop + float64(i)*rowHeight
		p.Rows = append(p.Rows, pictureRow{
			Name: rowName(process, ops), Y: y + rowHeight, TextY: y + 16 + barHeight/2 + 4,
		})
	}
	p.AxisY = pictureTop - 8
	p.Height = pictureTop + float64(len(rows))*rowHeight + 8
	scale := (pictureWidth - pictureLeft - pictureRight) / float64(to-from)
	x := func(ns int64) float64 { return pictureLeft + float64(ns-from)*scale }
	p.Ticks = pictureTicks(from, to, x)
	for i, process := range rows {
		p.addRow(process, pictureTop+float64(i)*rowHeight, ops, from, x)
	}
	p.addEdges(edges)
	p.Label = fmt.Sprintf("%d operations of %d processes between %s and %s", len(ops), len(rows), atText(from), atText(to))
	return p
}

// rowName names a process, and its member if it was with one only.
func rowName(process int, ops []drawn) string {
	node := ""
	for _, d := range ops {
		if d.op.process != process {
			continue
		}
		if node != "" && d.op.node != node {
			return fmt.Sprintf("process %d", process)
		}
		node = d.op.node
	}
	if node == "" || len(node) > 5 {
		return fmt.Sprintf("process %d", process)
	}
	return fmt.Sprintf("process %d · %s", process, node)
}

// addRow places the bars of one process and gives each a label where there is
// room up to the next bar.
func (p *picture) addRow(process int, y float64, ops []drawn, from int64, x func(int64) float64) {
	first := len(p.Bars)
	for _, d := range ops {
		if d.op.process != process {
			continue
		}
		left, right := x(max(d.op.startNs, from)), x(d.op.endNs)
		open := d.op.outcome == outcomeInfo
		if open {
			right = max(min(right, pictureWidth-pictureRight-openTailLength), left)
		}
		bar := pictureBar{
			X: left, Y: y + 16, Width: max(right-left, minBarWidth), Height: barHeight,
			TextY: y + 11, BadgeY: y + 16 + barHeight/2, Number: d.number,
			Label: opText(d.op), Class: d.op.outcome.String(), Open: open,
			ClippedLeft: d.op.startNs < from, Index: d.op.index, Linked: true,
			Full: fmt.Sprintf("process %d: %s, %s to %s", process, opText(d.op), atText(d.op.startNs), atText(d.op.endNs)),
		}
		if d.impossible {
			bar.Class = "impossible"
		}
		bar.BadgeX = bar.X + max(bar.Width/2, badgeRadius)
		bar.TailFrom = bar.X + bar.Width
		bar.TailX = bar.X + bar.Width + openTailLength
		p.Bars = append(p.Bars, bar)
	}
	row := p.Bars[first:]
	sort.Slice(row, func(i, j int) bool { return row[i].X < row[j].X })
	placeLabels(row)
}

// placeLabels puts each label above its bar, where it collides with no other:
// first those of impossible operations, then from left to right.
func placeLabels(row []pictureBar) {
	type span struct{ from, to float64 }
	var taken []span
	place := func(bar *pictureBar) {
		glyph := glyphWidth
		if bar.Class == "impossible" {
			glyph = boldGlyphWidth
		}
		width := float64(utf8.RuneCountInString(bar.Label)) * glyph
		bar.TextX, bar.Anchor = bar.X, "start"
		wanted := span{bar.X, bar.X + width}
		if wanted.to > pictureWidth {
			end := min(bar.X+bar.Width, pictureWidth)
			bar.TextX, bar.Anchor = end, "end"
			wanted = span{end - width, end}
		}
		for _, other := range taken {
			if wanted.from < other.to+8 && other.from < wanted.to+8 {
				bar.Label = ""
				return
			}
		}
		if wanted.from < pictureLeft-4 {
			bar.Label = ""
			return
		}
		taken = append(taken, wanted)
	}
	for _, impossible := range []bool{true, false} {
		for i := range row {
			if (row[i].Class == "impossible") == impossible {
				place(&row[i])
			}
		}
	}
}

// pictureSpan is the time that the picture shows. Operations with unknown
// outcome may have begun long before: they don't stretch it.
func pictureSpan(r *run, ops []drawn) (from, to int64) {
	from, to = -1, 0
	for _, certainOnly := range []bool{true, false} {
		for _, d := range ops {
			if certainOnly && d.op.outcome == outcomeInfo && !d.impossible {
				continue
			}
			if from < 0 || d.op.startNs < from {
				from = d.op.startNs
			}
			to = max(to, d.op.endNs)
		}
		if from >= 0 {
			break
		}
	}
	margin := max((to-from)/25, 1000)
	return max(0, from-margin), min(to+margin, max(r.endNs, to)+margin)
}

// pictureRows lists the processes in order.
func pictureRows(ops []drawn) []int {
	var processes []int
	seen := make(map[int]bool)
	for _, d := range ops {
		if !seen[d.op.process] {
			seen[d.op.process] = true
			processes = append(processes, d.op.process)
		}
	}
	sort.Ints(processes)
	return processes
}

// pictureTicks marks round instants, at most ten.
func pictureTicks(from, to int64, x func(int64) float64) []pictureTick {
	step := roundStep((to - from) / 6)
	digits := 0
	for unit := int64(1e9); unit > step && digits < 9; unit /= 10 {
		digits++
	}
	var ticks []pictureTick
	// Counted, because a time at the end of what a number can hold has none behind it.
	for at := (from/step + 1) * step; at < to && at > from && len(ticks) < 10; at += step {
		ticks = append(ticks, pictureTick{X: x(at), Text: strconv.FormatFloat(float64(at)/1e9, 'f', digits, 64) + " s"})
	}
	return ticks
}

// roundStep is the smallest 1, 2 or 5 times a power of ten that is not below
// ns.
func roundStep(ns int64) int64 {
	for power := int64(1); ; power *= 10 {
		for _, factor := range []int64{1, 2, 5} {
			if factor*power >= ns || power >= 1e17 {
				return factor * power
			}
		}
	}
}
