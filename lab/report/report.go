package report

import (
	"fmt"
	"io"

	"zoolab/workloads"
)

// Input is everything the report of one run is made of. Times are nanoseconds
// since the start of the run, the same clock as [workloads.Op.TimeNs].
type Input struct {
	Name     string             // short name of the run, also the page's title
	Title    string             // heading; Name when empty
	Verdict  workloads.Verdict  // merged over all checkers
	Cause    string             // one sentence: why this verdict
	Command  string             // the command that reproduces the run
	Meta     []Meta             // seed, image, driver, versions ... in the order to show
	History  []workloads.Op     // invocations and completions, in order
	Results  []workloads.Result // one for each checker
	Phases   []Phase            // parts of the run, in order, the first that in which clients work; none if unknown
	Faults   []Fault            // what the nemesis did
	Leaders  []LeaderSpan       // who led, and when
	Members  []string           // the ensemble, in the order to show
	Schedule string             // the fault schedule, YAML
	NodeLogs []NodeLog          // excerpts of the members' logs
	Shrunk   *Shrunk            // a smaller run that still fails; nil if nobody looked for one
}

// Meta is one line of the run's description.
type Meta struct {
	Key   string
	Value string
}

// Phase is a part of the run, such as "faults", "recovery", "final reads".
type Phase struct {
	Name    string
	StartNs int64
	EndNs   int64 // 0 if it did not end
}

// Fault is one fault that the nemesis injected.
type Fault struct {
	Name    string   // "kill", "pause", "partition", ...
	Variant string   // "leader", "halves", "one-way", ...
	Targets []string // members, in the order to show

	StartNs     int64 // when the injection began
	EffectiveNs int64 // when a probe proved it in effect; meaningful only if Effective
	EndNs       int64 // when it was taken back; 0 if it never was
	HealedNs    int64 // when a probe proved it healed; meaningful only if Healed

	Effective bool   // a probe proved that the fault was in effect
	Healed    bool   // a probe proved that the fault was gone
	Detail    string // for people: what was done, or why it was not proved
}

// LeaderSpan is a time in which a member led an epoch.
type LeaderSpan struct {
	Member  string
	Epoch   int64
	StartNs int64
	EndNs   int64 // 0 if it still led when the run ended
}

// NodeLog is an excerpt of one member's log. The page shows at most
// [maxLogLines] of its lines, the last ones.
type NodeLog struct {
	Member string
	Lines  []LogLine
}

// LogLine is one line of a member's log.
type LogLine struct {
	TimeNs  int64 // meaningful only if HasTime
	HasTime bool  // the line's own time could be read
	Text    string
}

// Bounds of what the page carries, so that a run which goes wrong in an
// unforeseen way still gives a page that opens.
const (
	maxLogLines     = 500  // lines shown of one member's log
	maxLineRunes    = 600  // characters shown of one log line
	maxValueRunes   = 240  // characters kept of one operation's value or error
	maxFailures     = 12   // violations shown, over all checkers
	maxSteps        = 200  // steps shown of one violation, the last ones
	maxPictureOps   = 40   // operations drawn for one violation
	maxScheduleRune = 1e6  // characters of the schedule
	maxFaults       = 5000 // faults listed and drawn
)

// Write makes the report of one run: a self-contained HTML page. It fails only
// when w does.
func Write(w io.Writer, in Input) error {
	page, err := newPage(in)
	if err != nil {
		return fmt.Errorf("report of %q: %w", in.Name, err)
	}
	if err := pageTemplate.ExecuteTemplate(w, "report.html", page); err != nil {
		return fmt.Errorf("write the report of %q: %w", in.Name, err)
	}
	return nil
}
