package store

import "zoolab/workloads"

// Names of the files that the search for a smaller failing run leaves beside a run.
const (
	ShrunkFile     = "shrunk.json"  // a Shrunk: written last, so that the others are there
	ShrunkSchedule = "shrunk.yaml"  // as schedule.yaml
	ShrunkHistory  = "shrunk.jsonl" // as history.jsonl
)

// Shrunk is shrunk.json: what is left of a failing run when everything is taken away
// that it fails without.
type Shrunk struct {
	Command  string             `json:"command"`  // repeats the small run
	Checker  string             `json:"checker"`  // that fails both runs
	Cause    string             `json:"cause"`    // what it found in the small run, one sentence
	Checkers []workloads.Result `json:"checkers"` // of the small history; indexes are those of shrunk.jsonl

	Runs    int     `json:"runs"` // carried out on the way
	Seconds float64 `json:"seconds"`
	Exact   bool    `json:"exact"` // every repetition is the same run, as in the simulator

	Repeated int `json:"repeated"` // how often the small run was repeated where it is not exact, 0 if it was not
	Failed   int `json:"failed"`   // how many of these repetitions failed

	FaultsBefore     int `json:"faultsBefore"`
	Faults           int `json:"faults"`
	OperationsBefore int `json:"operationsBefore"` // invocations
	Operations       int `json:"operations"`
}

// ReadShrunk reads shrunk.json. The error is fs.ErrNotExist in a run that nobody shrank.
func (r *Run) ReadShrunk() (Shrunk, error) {
	var shrunk Shrunk
	err := r.ReadJSON(ShrunkFile, &shrunk)
	return shrunk, err
}

// WriteShrunk replaces shrunk.json.
func (r *Run) WriteShrunk(shrunk Shrunk) error { return r.WriteJSON(ShrunkFile, shrunk) }
