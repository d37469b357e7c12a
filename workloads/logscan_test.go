package workloads

import (
	"strings"
	"testing"
)

func TestLogsClean(t *testing.T) {
	for line, want := range map[string]bool{
		"panic: runtime error: index out of range":                true,
		"fatal error: all goroutines are asleep":                  true,
		"WARNING: DATA RACE":                                      true,
		"time=2026-01-01 level=ERROR msg=\"lost the leader\"":     false,
		"time=2026-01-01 level=INFO msg=\"looking for a leader\"": false,
	} {
		if got := LogAlarm(line); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
	for _, test := range []struct {
		members []MemberAlarms
		want    Verdict
	}{
		{[]MemberAlarms{{Member: "n1"}}, VerdictOK},
		{[]MemberAlarms{{Member: "n1"}, {Member: "n2", Problem: "no such file"}}, VerdictUnknown},
		{[]MemberAlarms{{Member: "n1", Problem: "cut"}, {Member: "n2", Lines: []string{"panic: x"}, Count: 1}}, VerdictFail},
	} {
		if got := CheckLogsClean(test.members, DefaultBounds); got.Verdict != test.want || got.Cause == "" {
			t.Errorf("%+v: %s, %s; want %s", test.members, got.Verdict, got.Cause, test.want)
		}
	}
}

// TestKnownAlarm: an alarm of Apache's server that is known has its number in the verdict.
func TestKnownAlarm(t *testing.T) {
	const line = `java.lang.NullPointerException: Cannot read field "hdr" because "pif" is null`
	if got := CheckLogsClean([]MemberAlarms{{Member: "n1", Lines: []string{line}, Count: 1}}, DefaultBounds); !strings.Contains(got.Cause, "ZOOKEEPER-4394") {
		t.Errorf("cause %q", got.Cause)
	}
	if got := CheckLogsClean([]MemberAlarms{{Member: "n1", Lines: []string{"panic: x"}, Count: 1}}, DefaultBounds); strings.Contains(got.Cause, "ZOOKEEPER-") {
		t.Errorf("cause %q", got.Cause)
	}
}
