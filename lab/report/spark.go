package report

import (
	"fmt"
	"strings"
)

// Measures of a small chart, in the units of its viewBox.
const (
	sparkWidth  = 150.0
	sparkHeight = 34.0
	sparkMargin = 4.0
)

// spark is one figure of several runs as a small chart from zero upwards.
type spark struct {
	Label  string
	Newest string
	Points string // of the line
	Dots   []sparkDot
}

// sparkDot is one run.
type sparkDot struct {
	X, Y  float64
	Class string // its verdict's
	Title string
}

// newSpark draws the figure that value takes of each run, the oldest on the left.
func newSpark(label string, runs []*Run, value func(*Figures) float64, text func(float64) string) spark {
	s := spark{Label: label}
	most := 0.0
	for _, run := range runs {
		most = max(most, value(run.Figures))
	}
	var line strings.Builder
	for i, run := range runs {
		x := sparkMargin + float64(i)*(sparkWidth-2*sparkMargin)/float64(max(1, len(runs)-1))
		y := sparkHeight - sparkMargin
		v := value(run.Figures)
		if most > 0 {
			y -= v / most * (sparkHeight - 2*sparkMargin)
		}
		fmt.Fprintf(&line, "%.1f,%.1f ", x, y)
		words := wordsOf(run.Verdict)
		s.Dots = append(s.Dots, sparkDot{x, y, words.Class, fmt.Sprintf("%s: %s, %s", run.Start.Format("2006-01-02 15:04:05"), text(v), words.Word)})
		s.Newest = text(v)
	}
	s.Points = strings.TrimSpace(line.String())
	return s
}
