package workloads

import (
	"strings"
	"testing"
)

func TestGauges(t *testing.T) {
	level := Gauge{Descriptors: 20, MemoryBytes: 30 << 20}
	for _, test := range []struct {
		name    string
		end     Gauge
		verdict Verdict
		cause   string
	}{
		{"at its level", Gauge{Descriptors: 25, MemoryBytes: 80 << 20}, VerdictOK, "no member has more than 25 descriptors and 80 MiB (at the start: 20 and 30)"},
		{"descriptors leak", Gauge{Descriptors: 90, MemoryBytes: 30 << 20}, VerdictFail, "n1 has 90 descriptors open when all clients have gone, more than the 52 that its level allows"},
		{"memory leaks", Gauge{Descriptors: 20, MemoryBytes: 400 << 20}, VerdictFail, "n1 holds 400 MiB of memory when all clients have gone, more than the 158 MiB"},
		{"memory for znodes", Gauge{Descriptors: 20, MemoryBytes: 400 << 20, DataBytes: 10 << 20, Znodes: 100_000}, VerdictOK, "400 MiB"},
		{"not measured", Gauge{Problem: "no answer"}, VerdictUnknown, "n1 could not be measured: no answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := CheckGauges([]MemberGauge{{Member: "n1", Start: level, End: test.end}, {Member: "n2", Start: level, End: level}}, DefaultBounds)
			if result.Verdict != test.verdict || !strings.Contains(result.Cause, test.cause) {
				t.Errorf("verdict %s, cause %q; want %s with %q", result.Verdict, result.Cause, test.verdict, test.cause)
			}
		})
	}
}
