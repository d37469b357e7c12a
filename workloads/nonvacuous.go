package workloads

import (
	"fmt"
	"sort"
	"strings"
)

// FaultOutcome is what the lab knows of one fault of the schedule after the run.
type FaultOutcome struct {
	Name      string // "kill", "pause", "partition", ...
	Effective bool   // a probe saw it in effect
	Healed    bool   // a probe saw it healed
	Detail    string // what the probe saw, for people
}

// NonVacuous is the name of CheckNonVacuous in results. Its stats count what must have
// happened at least once.
const NonVacuous = "non-vacuous"

// enoughAsks is how often the service must have been asked for a kind of operation of which none
// succeeded to be blamed for it.
const enoughAsks = 100

// CheckNonVacuous looks whether a run proves anything. It fails one in which an operation
// kind of the workload never succeeded although the service was asked for it often. Undecided are
//
//   - one so short that the service was hardly asked, if at all: clients never drew the kind, or
//     gave it up themselves, or so few came to the service that all may have met a fault, or
//     may have failed as that kind does most of the time (to lead an election, say);
//   - one in which a kind of fault was asked for and never seen in effect, which may be
//     for a machine that is too busy;
//   - one in which a fault was never seen healed, because what came after it, recovery
//     and final reads, was then no test.
//
// Asked names the kinds of faults that the run was to have.
func CheckNonVacuous(history []Op, kinds []string, asked []string, outcomes []FaultOutcome) Result {
	result := Result{Checker: NonVacuous, Verdict: VerdictOK, Stats: map[string]any{}}
	sent, succeeded := make(map[string]int), make(map[string]int)
	for i := range history {
		switch op := &history[i]; {
		case op.Process < 0:
		case op.Type == Invoke:
			sent[op.F]++
		case op.Type == Fail && op.Zxid == 0:
			sent[op.F]-- // nobody answered, and nothing was done
		case op.Type == OK:
			succeeded[op.F]++
		}
	}
	var complaints []string
	complain := func(v Verdict, format string, args ...any) {
		result.Verdict = result.Verdict.Merge(v)
		complaints = append(complaints, fmt.Sprintf(format, args...))
	}
	for _, kind := range kinds {
		result.Stats["ok-"+kind] = succeeded[kind]
		switch {
		case sent[kind] == 0:
			complain(VerdictUnknown, "no %s ever came to the service, for which the run was too short", kind)
		case succeeded[kind] == 0 && sent[kind] < enoughAsks:
			complain(VerdictUnknown, "no %s ever succeeded, of only %d that came to the service", kind, sent[kind])
		case succeeded[kind] == 0:
			complain(VerdictFail, "no %s ever succeeded, of %d", kind, sent[kind])
		}
	}
	effective := make(map[string]int)
	for _, outcome := range outcomes {
		if outcome.Effective {
			effective[outcome.Name]++
		}
		if outcome.Effective && !outcome.Healed {
			complain(VerdictUnknown, "a %s was never seen healed (%s)", outcome.Name, outcome.Detail)
		}
	}
	wanted := append([]string(nil), asked...)
	sort.Strings(wanted)
	for _, fault := range wanted {
		result.Stats["effective-"+fault] = effective[fault]
		if effective[fault] == 0 {
			complain(VerdictUnknown, "no %s was ever seen in effect", fault)
		}
	}
	if len(complaints) > 0 {
		result.Cause = "the run proves nothing: " + strings.Join(complaints, "; ")
		for _, complaint := range complaints {
			result.Failures = append(result.Failures, Failure{Cause: complaint})
		}
		return result
	}
	total := 0
	for _, kind := range kinds {
		total += succeeded[kind]
	}
	result.Cause = fmt.Sprintf("%d operations succeeded, of every kind, under %d effective faults", total, len(outcomes)-countIneffective(outcomes))
	return result
}

func countIneffective(outcomes []FaultOutcome) (count int) {
	for _, outcome := range outcomes {
		if !outcome.Effective {
			count++
		}
	}
	return count
}
