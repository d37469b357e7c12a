package report

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"zoolab/workloads"
)

// failureView is one violation: words, steps and a picture.
type failureView struct {
	Number     int
	Checker    string
	Key        string
	Cause      string
	Picture    *picture
	Steps      []stepView
	StepsCut   int // earlier steps that are not listed
	Ops        []stepView
	OpsCut     int
	Range      string // the part of the run it speaks of
	Meanwhile  string // faults and leaders at that time
	Impossible string // the impossible operation in words
	Why        string
	Open       bool
	Search     bool // the steps are what a search for an order came to, not just a story
	Edges      []edgeView
}

// stepView is one operation of a violation.
type stepView struct {
	Number   string
	Index    int
	Known    bool // the history holds the operation
	Linked   bool // it is an operation of the timeline
	Process  string
	What     string
	When     string
	State    string
	Legal    bool
	Why      string
	Evidence string // zxid, version, member
	Session  string
}

// failureViews shows the violations of all checkers, worst first, and says how
// many were left out.
func failureViews(r *run, in *Input) (views []failureView, cut int) {
	results := in.Results
	for i := range results {
		for j := range results[i].Failures {
			if len(views) == maxFailures {
				cut++
				continue
			}
			view := newFailureView(r, in, &results[i].Failures[j])
			view.Checker, view.Search = results[i].Checker, isSearch(results[i].Checker)
			view.Number = len(views) + 1
			view.Open = view.Number == 1
			views = append(views, view)
		}
	}
	return views, cut
}

func newFailureView(r *run, in *Input, failure *workloads.Failure) failureView {
	view := failureView{Key: clip(failure.Key, maxValueRunes), Cause: upperFirst(clip(failure.Cause, 4*maxLineRunes))}
	var shown []drawn
	inSteps := make(map[int]bool)
	numbers := make(map[int]string)
	steps := failure.Steps
	if len(steps) > maxSteps {
		view.StepsCut = len(steps) - maxSteps
		steps = steps[view.StepsCut:]
	}
	for i, step := range steps {
		number := strconv.Itoa(view.StepsCut + i + 1)
		line := stepView{
			Number: number, Index: step.Op, State: clip(step.State, maxValueRunes),
			// Of a cycle no transaction is impossible alone.
			Legal: step.Legal || len(failure.Edges) > 0, Why: clip(step.Why, 4*maxLineRunes), What: "operation " + strconv.Itoa(step.Op),
		}
		inSteps[step.Op], numbers[step.Op] = true, number
		if op, known := r.find(step.Op); known {
			line.describe(op)
			shown = append(shown, drawn{op: op, number: number, impossible: !line.Legal})
		}
		if !line.Legal && view.Impossible == "" {
			line.Number, view.Impossible, view.Why = "✗", line.sentence(), upperFirst(line.Why)
		}
		if step.Why == failure.Cause {
			line.Why = "" // it stands above already
		}
		view.Steps = append(view.Steps, line)
	}
	for _, index := range failure.Ops {
		op, known := r.find(index)
		if inSteps[index] || !known {
			continue
		}
		if len(view.Ops) == maxSteps {
			view.OpsCut++
			continue
		}
		line := stepView{Index: index, Legal: true}
		line.describe(op)
		view.Ops = append(view.Ops, line)
		shown = append(shown, drawn{op: op})
	}
	if view.Why == view.Cause {
		view.Why = ""
	}
	view.Picture = newPicture(r, inTime(shown), failure.Edges)
	view.Edges = edgeViews(failure.Edges, numbers)
	view.Range = spanOf(r, shown)
	if len(shown) > 0 {
		view.Meanwhile = meanwhile(in, r, shown)
	}
	return view
}

// meanwhile says which faults were in force, from their injection to their healing, and who
// led, while the operations ran.
func meanwhile(in *Input, r *run, ops []drawn) string {
	from, to := pictureSpan(r, ops)
	overlaps := func(startNs, endNs int64) bool { return startNs <= to && (endNs == 0 || endNs >= from) }
	const most = 4 // of each; a violation that spans the whole run is explained by none
	var faults, leaders []string
	for i := range in.Faults {
		fault := &in.Faults[i]
		endNs := fault.EndNs
		if fault.Healed {
			endNs = max(endNs, fault.HealedNs)
		}
		if overlaps(fault.StartNs, endNs) {
			faults = append(faults, strings.TrimSpace(faultLabel(fault)+" "+parenthesized(strings.Join(fault.Targets, ", "))))
		}
	}
	for _, span := range in.Leaders {
		if overlaps(span.StartNs, span.EndNs) {
			leaders = append(leaders, fmt.Sprintf("%s in epoch %d", span.Member, span.Epoch))
		}
	}
	var parts []string
	if len(in.Faults) > 0 {
		parts = append(parts, "under "+fewOf(faults, most, "no fault"))
	}
	if len(in.Leaders) > 0 {
		parts = append(parts, "led by "+fewOf(leaders, most, "nobody"))
	}
	return strings.Join(parts, "; ")
}

func parenthesized(text string) string {
	if text == "" {
		return ""
	}
	return "(" + text + ")"
}

// fewOf lists the first of some names.
func fewOf(names []string, most int, none string) string {
	switch {
	case len(names) == 0:
		return none
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	default:
		return strings.Join(names, ", ")
	}
}

// isSearch says that a checker's steps are the longest order that it could find.
// The steps of the others are the story of a violation, whose last one can't be.
func isSearch(checker string) bool {
	return checker == "linearizable" || strings.HasSuffix(checker, "/linearizable")
}

// describe fills in what the history tells of the operation.
func (s *stepView) describe(op *operation) {
	s.Known, s.Linked = true, true
	s.Process = fmt.Sprintf("process %d", op.process)
	s.What = opText(op)
	s.When = fmt.Sprintf("%s · %s", atText(op.startNs), durationText(op.latencyNs()))
	if !op.closed {
		s.When = atText(op.startNs) + ", never completed"
	}
	if op.node != "" {
		s.Evidence = op.node
	}
	if op.session != 0 {
		s.Session = sessionText(op.session)
	}
	if op.zxid != 0 {
		s.Evidence += " · zxid " + zxidText(op.zxid)
	}
	if op.closed && op.version >= 0 && op.outcome == outcomeOK {
		s.Evidence += " · version " + strconv.Itoa(int(op.version))
	}
}

func (s *stepView) sentence() string {
	if !s.Known {
		return s.What
	}
	return s.Process + ", " + s.What
}

// inTime puts impossible operations last, so that a picture which has to leave
// some out never leaves out those, and the others in order of completion.
func inTime(ops []drawn) []drawn {
	sorted := append([]drawn(nil), ops...)
	sort.SliceStable(sorted, func(i, j int) bool {
		if sorted[i].impossible != sorted[j].impossible {
			return sorted[j].impossible
		}
		return sorted[i].op.startNs < sorted[j].op.startNs
	})
	return sorted
}

// spanOf is the range in which the operations lie, with a margin.
func spanOf(r *run, ops []drawn) string {
	if len(ops) == 0 {
		return ""
	}
	from, to := pictureSpan(r, ops)
	return rangeText(from, to)
}
