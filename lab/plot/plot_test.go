package plot

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"testing"

	"zoolab/workloads"
)

// busyRun has reads and writes for ten seconds, of which some fail and some never
// end, and two faults.
func busyRun(operations int) Run {
	rng := rand.New(rand.NewPCG(1, 2))
	run := Run{Title: "register under kill", Faults: []Band{{"kill", 2e9, 4e9}, {"pause", 7e9, 0}}}
	for i := range operations {
		at := int64(i) * 10e9 / int64(operations)
		op := workloads.Op{Index: 2 * i, TimeNs: at, Type: workloads.Invoke, Process: i, F: []string{"read", "write"}[i%2]}
		run.History = append(run.History, op)
		if i%97 == 0 {
			continue
		}
		op.Index, op.TimeNs, op.Type = 2*i+1, at+rng.Int64N(5e6), []workloads.Type{workloads.OK, workloads.OK, workloads.OK, workloads.Fail, workloads.Info}[rng.IntN(5)]
		run.History = append(run.History, op)
	}
	return run
}

func drawn(t *testing.T, draw func(io.Writer, Run) error, run Run) image.Image {
	t.Helper()
	var file bytes.Buffer
	if err := draw(&file, run); err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

var pictures = map[string]func(io.Writer, Run) error{"latency-raw": LatencyRaw, "latency-quantiles": LatencyQuantiles, "rate": Rate}

// TestPicturesShowDataAndFaults compares each picture with the same one without
// faults, and with the same one without operations: both must look different.
func TestPicturesShowDataAndFaults(t *testing.T) {
	whole := busyRun(5000)
	quiet, idle := whole, whole
	quiet.Faults, idle.History = nil, whole.History[:2]
	for name, draw := range pictures {
		picture := drawn(t, draw, whole)
		if size := picture.Bounds().Size(); size.X != 900 || size.Y != 400 {
			t.Errorf("%s has %v pixels, want 900 x 400", name, size)
		}
		for what, other := range map[string]struct {
			run    Run
			pixels int
		}{"faults": {quiet, 50_000}, "operations": {idle, 1000}} {
			if n := different(picture, drawn(t, draw, other.run)); n < other.pixels {
				t.Errorf("%s shows %s in %d pixels, want %d and more", name, what, n, other.pixels)
			}
		}
	}
}

func different(a, b image.Image) (n int) {
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			if a.At(x, y) != b.At(x, y) {
				n++
			}
		}
	}
	return n
}

// TestOddRuns draws what a run may come to that went wrong.
func TestOddRuns(t *testing.T) {
	manyNames := busyRun(60)
	for i := range manyNames.History {
		manyNames.History[i].F = string(rune('a' + manyNames.History[i].Process%20))
	}
	for name, run := range map[string]Run{
		"empty":            {},
		"only a fault":     {Faults: []Band{{"kill", 1e9, 0}}},
		"one moment":       {History: []workloads.Op{{Type: workloads.Invoke}, {Type: workloads.OK}}},
		"answer of nobody": {History: []workloads.Op{{Type: workloads.OK, TimeNs: 5}}},
		"nemesis only":     {History: []workloads.Op{{Type: workloads.Info, Process: workloads.NemesisProcess, TimeNs: 5e9}}},
		"many functions":   manyNames,
	} {
		for picture, draw := range pictures {
			t.Run(name+" "+picture, func(t *testing.T) { drawn(t, draw, run) })
		}
	}
}
