package report

import (
	"sort"
	"strings"

	"zoolab/workloads"
)

// outcome says how an operation ended. Its numbers are part of the columns
// that the page's script reads.
type outcome uint8

const (
	outcomeOK outcome = iota
	outcomeFail
	outcomeInfo
)

func (o outcome) String() string {
	return [...]string{outcomeOK: "ok", outcomeFail: "fail", outcomeInfo: "info"}[o]
}

// operation is an invocation together with its completion.
type operation struct {
	index   int // history Index of the invocation
	end     int // that of the completion, if closed
	process int
	f       string
	key     string
	node    string
	in      any // value of the invocation
	out     any // value of the completion
	startNs int64
	endNs   int64 // time of the completion; the run's end when there is none
	// closed says that a completion was recorded. An operation without one
	// has outcomeInfo: nobody knows whether it took effect.
	closed  bool
	outcome outcome
	zxid    int64
	mzxid   int64
	version int32
	session int64
	err     string
}

// latencyNs is the time from the invocation to the completion.
func (o *operation) latencyNs() int64 { return o.endNs - o.startNs }

// succeeded says that the operation certainly took effect.
func (o *operation) succeeded() bool { return o.closed && o.outcome == outcomeOK }

// wrote says that the operation is a write that certainly took effect.
func (o *operation) wrote() bool { return o.succeeded() && isWrite(o.f) }

// isWrite says whether an operation of this name changes the tree, by
// exclusion: workloads name their writes freely, but reads are few.
func isWrite(f string) bool {
	switch f {
	case "get", "exists", "children", "list", "sync", "check", "watch", "ping", "getACL":
		return false
	}
	return !strings.HasPrefix(f, "read") && !strings.HasSuffix(f, "-read")
}

// run is the history, understood: operations in order of their invocation.
type run struct {
	ops     []operation
	byIndex map[int]int // history Index of invocation or completion -> position in ops; nil until place is asked
	endNs   int64       // time of the last thing that happened
	orphans int         // completions that no invocation waits for
	workNs  int64       // when clients stopped working, before the final operations; endNs if unknown
}

// newRun pairs invocations with completions. The nemesis' own entries are left
// out: faults reach the report as [Fault].
func newRun(in Input) *run {
	r := &run{endNs: lastNs(in)}
	r.workNs = r.endNs
	if len(in.Phases) > 0 && in.Phases[0].EndNs > 0 {
		r.workNs = in.Phases[0].EndNs
	}
	r.ops = make([]operation, 0, len(in.History)/2)
	open := make(map[int]int)
	for i := range in.History {
		entry := &in.History[i]
		if entry.Process < 0 {
			continue
		}
		if entry.Type == workloads.Invoke {
			open[entry.Process] = len(r.ops)
			r.ops = append(r.ops, operation{
				index: entry.Index, process: entry.Process, f: entry.F, key: entry.Key,
				node: entry.Node, in: entry.Value, startNs: entry.TimeNs, session: entry.Session,
				endNs: r.endNs, outcome: outcomeInfo, version: -1,
			})
			continue
		}
		position, waiting := open[entry.Process]
		if !waiting {
			r.orphans++
			continue
		}
		delete(open, entry.Process)
		r.ops[position].complete(entry)
	}
	r.sortByStart()
	return r
}

// complete takes over what the completion tells.
func (o *operation) complete(entry *workloads.Op) {
	o.closed, o.end = true, entry.Index
	o.endNs = max(entry.TimeNs, o.startNs)
	o.out = entry.Value
	o.zxid, o.mzxid, o.version = entry.Zxid, entry.Mzxid, entry.Version
	o.err = entry.Error
	if entry.Node != "" {
		o.node = entry.Node
	}
	if entry.Session != 0 {
		o.session = entry.Session
	}
	if o.key == "" {
		o.key = entry.Key
	}
	switch entry.Type {
	case workloads.OK:
		o.outcome = outcomeOK
	case workloads.Fail:
		o.outcome = outcomeFail
	default:
		o.outcome = outcomeInfo
	}
}

// sortByStart puts the operations in order of their invocation, which
// recorders give, but which stored histories of others may not.
func (r *run) sortByStart() {
	inOrder := func(i, j int) bool { return r.ops[i].startNs < r.ops[j].startNs }
	if !sort.SliceIsSorted(r.ops, inOrder) {
		sort.SliceStable(r.ops, inOrder)
	}
}

// place gives the position of the operation whose invocation or completion has this Index.
// Only violations ask, and most runs have none.
func (r *run) place(index int) (position int, ok bool) {
	if r.byIndex == nil {
		r.byIndex = make(map[int]int, 2*len(r.ops))
		for i := range r.ops {
			r.byIndex[r.ops[i].index] = i
			if r.ops[i].closed {
				r.byIndex[r.ops[i].end] = i
			}
		}
	}
	position, ok = r.byIndex[index]
	return position, ok
}

// find gives the operation whose invocation or completion has this Index.
func (r *run) find(index int) (*operation, bool) {
	position, ok := r.place(index)
	if !ok {
		return nil, false
	}
	return &r.ops[position], true
}

// lastNs is the time of the last thing that the input knows of, log lines
// apart: their clocks are the members'.
func lastNs(in Input) int64 {
	var last int64
	for i := range in.History {
		last = max(last, in.History[i].TimeNs)
	}
	for i := range in.Faults {
		last = max(last, in.Faults[i].StartNs, in.Faults[i].EndNs, in.Faults[i].HealedNs)
	}
	for i := range in.Leaders {
		last = max(last, in.Leaders[i].StartNs, in.Leaders[i].EndNs)
	}
	return last
}
