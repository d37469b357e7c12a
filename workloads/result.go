package workloads

// Verdict is a checker's answer: ok, fail or unknown. Unknown is never a pass.
type Verdict string

const (
	// VerdictOK says that the property was checked and holds.
	VerdictOK Verdict = "ok"
	// VerdictFail says that the property is violated, and shows where.
	VerdictFail Verdict = "fail"
	// VerdictUnknown says that the check could not be carried to its end.
	VerdictUnknown Verdict = "unknown"
)

// Merge combines two verdicts: fail beats unknown beats ok. Anything that is
// not one of the three counts as unknown, so that a forgotten verdict is never
// taken for a pass.
func (v Verdict) Merge(other Verdict) Verdict {
	switch {
	case v == VerdictFail || other == VerdictFail:
		return VerdictFail
	case v == VerdictOK && other == VerdictOK:
		return VerdictOK
	default:
		return VerdictUnknown
	}
}

// Result is what one checker found.
type Result struct {
	Checker  string         // "linearizable", "zxid-order", "logs-agree", "trees-equal", "non-vacuous", ...
	Verdict  Verdict        // ok, fail or unknown
	Cause    string         // one sentence, for people
	Stats    map[string]any // figures of the check
	Failures []Failure      // worst first, bounded
}

// Failure is one violation with the operations that show it.
type Failure struct {
	Key   string // independent key or ""
	Cause string // in words, why this is impossible
	Ops   []int  // Index of each operation (invocations) that matters, in order of time
	Steps []Step // the counterexample: longest partial linearization found, then the op that cannot be placed
	Edges []Edge `json:",omitempty"` // of a cycle of dependencies, in its order; empty for other failures
}

// Edge says that one transaction must stand before another.
type Edge struct {
	From, To int    // Index of the invocations
	Kind     string // ww, wr, rw or rt
	Why      string // what the first one did that says so
}

// Step is one step of a counterexample.
type Step struct {
	Op    int    // history Index of the invocation
	State string // state of the model after this step, for people ("value 3, version 7")
	Legal bool   // false on the last step(s): the operations that could not be linearized
	Why   string // why it's illegal in this state, for people
}

// MergeResults gives the verdict of a whole run. A run without any result was
// not checked, which is unknown.
func MergeResults(results []Result) Verdict {
	if len(results) == 0 {
		return VerdictUnknown
	}
	merged := VerdictOK
	for _, result := range results {
		merged = merged.Merge(result.Verdict)
	}
	return merged
}
