package store

import (
	"fmt"
	"time"

	"zoolab/workloads"
)

// Format counts what a history of this lab's means: it goes up when operations of a
// workload get other values, so that checkers would misread those of older runs.
const Format = 2

// Meta is run.json: what was run, on what, and what happened beside the
// operations. Times in ns count from HistoryStart, as those of the history do.
type Meta struct {
	Format  int       `json:"format"` // of the history; 0 in runs from before it was counted
	Name    string    `json:"name"`
	Command string    `json:"command"` // reproduces the run
	Start   time.Time `json:"start"`
	// HistoryStart is zero in a run that ended before its first operation.
	HistoryStart time.Time `json:"historyStart"`
	Workload     string    `json:"workload"`
	Nemesis      []string  `json:"nemesis"` // kinds of faults that must be seen in effect
	Seed         int64     `json:"seed"`

	TimeLimitSeconds float64 `json:"timeLimitSeconds"`
	Concurrency      int     `json:"concurrency"`
	RatePerSecond    float64 `json:"ratePerSecond"`

	Members []string `json:"members"`
	Driver  string   `json:"driver"`
	Why     string   `json:"why"` // the driver was chosen
	Engine  string   `json:"engine"`
	Image   string   `json:"image"`
	ImageID string   `json:"imageId"`
	Network string   `json:"network"`
	// Versions of what took part ("lab", "go", "server").
	Versions map[string]string `json:"versions"`

	// Skipped names the faults of a package that could not be done here, each with
	// the reason.
	Skipped []string `json:"skipped,omitempty"`

	// Imported is the file of a history that another lab recorded, "" in a run of this
	// lab's. Workload is then the model that judges it.
	Imported string `json:"imported,omitempty"`

	Phases  []Phase  `json:"phases"`
	Faults  []Fault  `json:"faults"`
	Leaders []Leader `json:"leaders"`
	// Operations counts the lines of the history when its recording closed. It is
	// 0 in a run that did not come so far, and in those of earlier versions.
	Operations int `json:"operations,omitempty"`
	// Gauges are what members held of their machines, nil where nobody measured it.
	Gauges []workloads.MemberGauge `json:"gauges,omitempty"`
	// Sessions tells of those that expired, nil where nobody watched them.
	Sessions *workloads.SessionWatch `json:"sessions,omitempty"`
	// LabCost is what the lab itself took while clients worked, nil where nobody
	// measured it.
	LabCost *LabCost `json:"labCost,omitempty"`
	// Interrupted says that somebody ended the run early.
	Interrupted bool `json:"interrupted,omitempty"`
	// Problems are what kept the run from going its whole way. A run with
	// problems is no pass.
	Problems []string `json:"problems,omitempty"`
}

// LabCost is the processor time of the lab's own process, in so much real time, for so
// many operations.
type LabCost struct {
	ProcessorSeconds float64 `json:"processorSeconds"`
	Seconds          float64 `json:"seconds"`
	Operations       int     `json:"operations"`
}

// String says it for people; empty where there is nothing to say.
func (c *LabCost) String() string {
	if c == nil || c.Seconds <= 0 || c.Operations == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f of a processor, %.0f µs an operation, at %.0f operations/s",
		c.ProcessorSeconds/c.Seconds, 1e6*c.ProcessorSeconds/float64(c.Operations), float64(c.Operations)/c.Seconds)
}

// Phase is a part of the run. EndNs is 0 if the phase did not end.
type Phase struct {
	Name    string `json:"name"`
	StartNs int64  `json:"startNs"`
	EndNs   int64  `json:"endNs"`
}

// Fault is one fault of the schedule as it went.
type Fault struct {
	Name        string   `json:"name"`
	Variant     string   `json:"variant"`
	Targets     []string `json:"targets"`
	StartNs     int64    `json:"startNs"`
	EffectiveNs int64    `json:"effectiveNs"`
	EndNs       int64    `json:"endNs"`
	HealedNs    int64    `json:"healedNs"`
	Effective   bool     `json:"effective"`
	Healed      bool     `json:"healed"`
	Unavailable bool     `json:"unavailable,omitempty"` // this machine can't do it
	Detail      string   `json:"detail"`
}

// Leader is a time in which a member was seen to lead an epoch. EndNs is 0 if
// it led to the end.
type Leader struct {
	Member  string `json:"member"`
	Epoch   int64  `json:"epoch"`
	StartNs int64  `json:"startNs"`
	EndNs   int64  `json:"endNs"`
}

// ReadMeta reads run.json.
func (r *Run) ReadMeta() (Meta, error) {
	var meta Meta
	err := r.ReadJSON(RunFile, &meta)
	return meta, err
}

// WriteMeta replaces run.json.
func (r *Run) WriteMeta(meta Meta) error { return r.WriteJSON(RunFile, meta) }
