package report

import (
	"fmt"
	"strings"

	"zoolab/workloads"
)

// Shrunk is a smaller run that still fails, as the search for it left it. Its
// history has times and indexes of its own.
type Shrunk struct {
	Cause    string // what still fails, one sentence
	Command  string // repeats it
	Problem  string // what of it could not be read, empty if all of it was
	Schedule string // YAML
	History  []workloads.Op
	Results  []workloads.Result

	Runs                         int // carried out on the way
	Seconds                      float64
	Exact                        bool // every repetition is the same run
	Repeated, Failed             int  // how often it was repeated where that is not so, and how many of these runs failed
	FaultsBefore, Faults         int
	OperationsBefore, Operations int
}

// shrunkView is how the page shows it.
type shrunkView struct {
	Cause, Command, Problem, Schedule string
	Found                             string // what the search came to, a sentence
	Failures                          []failureView
	Ops                               []stepView // the whole history, where it is short
	OpsCut                            int
}

func newShrunkView(in *Shrunk) *shrunkView {
	if in == nil {
		return nil
	}
	r := newRun(Input{History: in.History})
	view := &shrunkView{
		Cause: upperFirst(clip(in.Cause, 4*maxLineRunes)), Command: in.Command, Problem: in.Problem,
		Schedule: clip(in.Schedule, maxScheduleRune), Found: in.found(),
	}
	view.Failures, _ = failureViews(r, &Input{Results: in.Results})
	for i := range view.Failures {
		view.Failures[i].detach()
	}
	for i := range r.ops[:min(len(r.ops), maxSteps)] {
		line := stepView{Index: r.ops[i].index, Legal: true}
		line.describe(&r.ops[i])
		view.Ops = append(view.Ops, line)
	}
	view.OpsCut = len(r.ops) - len(view.Ops)
	return view
}

// detach takes away what leads to the timeline, which shows the long run.
func (v *failureView) detach() {
	v.Range = ""
	for _, steps := range [][]stepView{v.Steps, v.Ops} {
		for i := range steps {
			steps[i].Linked = false
		}
	}
	if v.Picture == nil {
		return
	}
	for i := range v.Picture.Bars {
		v.Picture.Bars[i].Linked = false
	}
}

func (s *Shrunk) found() string {
	repetition := "how often a repetition fails was not tried"
	switch {
	case s.Exact:
		repetition = "every repetition is the same"
	case s.Repeated > 0:
		repetition = fmt.Sprintf("repeated, it failed %d of %d times", s.Failed, s.Repeated)
	}
	return fmt.Sprintf("%s and %s are enough, of %s and %s. The search took %s (%s); %s.",
		plural(s.Faults, "fault"), plural(s.Operations, "operation"),
		plural(s.FaultsBefore, "fault"), plural(s.OperationsBefore, "operation"),
		plural(s.Runs, "run"), durationText(int64(s.Seconds*1e9)), repetition)
}

// plural counts things: "1 fault", "3 faults".
func plural(n int, thing string) string {
	if n != 1 && !strings.HasSuffix(thing, "s") {
		thing += "s"
	}
	return countText(n) + " " + thing
}
