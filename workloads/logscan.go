package workloads

import (
	"fmt"
	"strings"
)

// alarms are what no log of a healthy server has, under whatever faults: the
// words of Go's and Java's runtimes when a program is broken, and of a broken
// invariant.
var alarms = []string{
	"panic: ", "fatal error: ", "WARNING: DATA RACE", "invariant violated",
	"java.lang.NullPointerException", "java.lang.OutOfMemoryError", "java.lang.StackOverflowError",
}

// LogAlarm tells whether a line of a server's log is one that no healthy server
// writes.
func LogAlarm(line string) bool {
	for _, alarm := range alarms {
		if strings.Contains(line, alarm) {
			return true
		}
	}
	return false
}

// knownBugs has what alarms of Apache's server are known to come from.
var knownBugs = []struct{ words, bug string }{
	{`"pif" is null`, "ZOOKEEPER-4394"},
	{`"this.learner.sock" is null`, "ZOOKEEPER-4409"},
}

// knownBug names the bug of Apache's that a line tells of, in brackets, or is empty.
func knownBug(line string) string {
	for _, known := range knownBugs {
		if strings.Contains(line, known.words) {
			return " (" + known.bug + " of Apache's server)"
		}
	}
	return ""
}

// MemberAlarms are the alarming lines of one member's log.
type MemberAlarms struct {
	Member  string
	Lines   []string // the first few
	Count   int
	Problem string // why the log could not be read, "" if it could
}

// CheckLogsClean judges what members have logged. Only words of a program that
// is broken count: errors that tell of a lost peer or a full disk belong to
// faults.
func CheckLogsClean(members []MemberAlarms, bounds Bounds) Result {
	result := Result{Checker: "logs-clean", Verdict: VerdictOK, Stats: map[string]any{"members": len(members)}}
	count, unreadable := 0, ""
	for _, member := range members {
		count += member.Count
		if member.Problem != "" && unreadable == "" {
			unreadable = fmt.Sprintf("the log of %s can't be read: %s", member.Member, member.Problem)
		}
		for _, line := range member.Lines {
			if len(result.Failures) < max(1, bounds.MaxFailures) {
				result.Failures = append(result.Failures, Failure{Cause: fmt.Sprintf("%s logged: %s%s", member.Member, line, knownBug(line))})
			}
		}
	}
	result.Stats["alarms"] = count
	switch {
	case count > 0:
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d lines that no healthy server logs; first: %s", count, result.Failures[0].Cause)
	case unreadable != "":
		result.Verdict, result.Cause = VerdictUnknown, unreadable
	default:
		result.Cause = fmt.Sprintf("no panic, data race or broken invariant in the logs of %d members", len(members))
	}
	return result
}
