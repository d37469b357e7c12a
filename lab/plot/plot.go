package plot

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"zoolab/workloads"
)

// Run is what the pictures are made of. Times are ns since its start.
type Run struct {
	Title   string
	History []workloads.Op
	Faults  []Band
}

// Band is the time of a fault, shaded in every picture.
type Band struct {
	Name    string
	StartNs int64
	EndNs   int64 // 0 if it lasted to the end
}

// Size of a picture, at 96 points an inch.
const (
	width  = 900 * vg.Inch / 96
	height = 400 * vg.Inch / 96
)

// The colours of Jepsen's plots.
var (
	typeColour = map[workloads.Type]color.Color{
		workloads.OK:   color.NRGBA{0x81, 0xbf, 0xfc, 0xff},
		workloads.Info: color.NRGBA{0xff, 0xa4, 0x00, 0xff},
		workloads.Fail: color.NRGBA{0xff, 0x1e, 0x90, 0xff},
	}
	bandColours = []color.NRGBA{
		{0xa8, 0x5a, 0x96, 0x33}, {0x3d, 0x8f, 0x83, 0x33}, {0x8c, 0x8a, 0x3a, 0x33},
		{0x5a, 0x55, 0xa8, 0x33}, {0x9a, 0x4a, 0x4a, 0x33}, {0x4a, 0x86, 0xa8, 0x33},
	}
)

// shapes tell the functions of operations apart.
var shapes = []draw.GlyphDrawer{draw.BoxGlyph{}, draw.PlusGlyph{}, draw.CrossGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}}

// canvas is a picture with its axes and bands, and no data yet.
func canvas(s *series, run *Run, yLabel string) *plot.Plot {
	p := plot.New()
	p.Title.Text = run.Title
	p.X.Label.Text, p.Y.Label.Text = "Time (s)", yLabel
	p.Legend.Top = true
	p.Legend.XOffs = -vg.Points(4)
	p.Add(plotter.NewGrid())
	colours := make(map[string]color.NRGBA)
	for _, fault := range run.Faults {
		fill, known := colours[fault.Name]
		if !known {
			fill = bandColours[len(colours)%len(bandColours)]
			colours[fault.Name] = fill
		}
		b := band{from: seconds(fault.StartNs), to: seconds(fault.EndNs), fill: fill}
		if fault.EndNs == 0 {
			b.to = s.endSeconds
		}
		p.Add(b)
		if !known {
			p.Legend.Add(fault.Name, b)
		}
	}
	p.X.Min, p.X.Max = 0, max(s.endSeconds, 1e-3)
	return p
}

func write(w io.Writer, p *plot.Plot, name string) error {
	picture, err := p.WriterTo(width, height, "png")
	if err == nil {
		_, err = picture.WriteTo(w)
	}
	if err != nil {
		return fmt.Errorf("draw %s: %w", name, err)
	}
	return nil
}

// logarithmic makes the vertical axis one of latencies.
func logarithmic(p *plot.Plot, s *series) {
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Y.Min, p.Y.Max = s.leastMs, s.mostMs
}

// band shades the whole height of a picture between two times.
type band struct {
	from, to float64 // s
	fill     color.NRGBA
}

// Plot implements plot.Plotter.
func (b band) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	left, right := max(x(b.from), c.Min.X), min(x(b.to), c.Max.X)
	if right < left {
		return
	}
	right = max(right, left+vg.Points(1)) // a moment is seen too
	c.FillPolygon(b.fill, []vg.Point{{X: left, Y: c.Min.Y}, {X: right, Y: c.Min.Y}, {X: right, Y: c.Max.Y}, {X: left, Y: c.Max.Y}})
}

// Thumbnail implements plot.Thumbnailer.
func (b band) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(b.fill, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
}

// LatencyRaw draws every operation where it was invoked, as high as it took.
func LatencyRaw(w io.Writer, run Run) error {
	s := newSeries(&run)
	p := canvas(s, &run, "Latency (ms)")
	logarithmic(p, s)
	for i, name := range s.names {
		for _, kind := range []workloads.Type{workloads.OK, workloads.Info, workloads.Fail} {
			points := s.thinned(name, kind)
			if len(points) == 0 {
				continue
			}
			scatter, err := plotter.NewScatter(points)
			if err != nil {
				return fmt.Errorf("draw latency-raw.png: %w", err)
			}
			scatter.GlyphStyle = draw.GlyphStyle{Color: typeColour[kind], Radius: vg.Points(1.5), Shape: shapes[i%len(shapes)]}
			p.Add(scatter)
			p.Legend.Add(name+" "+kind.String(), scatter)
		}
	}
	return write(w, p, "latency-raw.png")
}

// quantiles that are drawn, with their colours.
var quantiles = []struct {
	share  float64
	colour color.Color
}{
	{0.5, color.NRGBA{0x9d, 0xbc, 0xe0, 0xff}}, {0.95, color.NRGBA{0x4f, 0x86, 0xc0, 0xff}},
	{0.99, color.NRGBA{0x1e, 0x4f, 0x86, 0xff}}, {1, color.NRGBA{0x6b, 0x6b, 0x6b, 0xff}},
}

// LatencyQuantiles draws quantiles of all operations over time.
func LatencyQuantiles(w io.Writer, run Run) error {
	s := newSeries(&run)
	p := canvas(s, &run, "Latency (ms)")
	logarithmic(p, s)
	for _, q := range quantiles {
		points := s.quantile(q.share)
		if len(points) == 0 {
			continue
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("draw latency-quantiles.png: %w", err)
		}
		line.Color, line.Width = q.colour, vg.Points(1.25)
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("%g", q.share), line)
	}
	return write(w, p, "latency-quantiles.png")
}

// Rate draws how many operations ended in each second.
func Rate(w io.Writer, run Run) error {
	s := newSeries(&run)
	p := canvas(s, &run, "Throughput (hz)")
	p.Y.Min = 0
	for i, name := range s.names {
		for _, kind := range []workloads.Type{workloads.OK, workloads.Info, workloads.Fail} {
			points := s.rate(name, kind)
			if len(points) == 0 {
				continue
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return fmt.Errorf("draw rate.png: %w", err)
			}
			line.Color, line.Width = typeColour[kind], vg.Points(1.25)
			line.Dashes = dashes[i%len(dashes)]
			p.Add(line)
			p.Legend.Add(name+" "+kind.String(), line)
			for _, point := range points {
				p.Y.Max = max(p.Y.Max, point.Y*1.1)
			}
		}
	}
	return write(w, p, "rate.png")
}

// dashes tell the lines of different functions apart.
var dashes = [][]vg.Length{nil, {vg.Points(6), vg.Points(2)}, {vg.Points(2), vg.Points(2)}, {vg.Points(8), vg.Points(2), vg.Points(2), vg.Points(2)}, {vg.Points(1), vg.Points(3)}, {vg.Points(4), vg.Points(4)}}
