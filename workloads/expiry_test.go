package workloads

import (
	"strings"
	"testing"
)

func TestExpiry(t *testing.T) {
	for _, test := range []struct {
		name    string
		told    int64 // ms after the client had sent what was answered
		verdict Verdict
		cause   string
	}{
		{"in time", 8200, VerdictOK, "no session expired early, neither those of the workload nor 6"},
		{"the leader was deaf", 1500, VerdictOK, "1 expired when their time had come"},
		{"early", 1499, VerdictFail, "session 0xab (idle at n2) was told at 21.499 s that it had expired, only 1499 ms after it had sent what was answered; its timeout is 8000 ms"},
		{"at once", 3, VerdictFail, "1 sessions expired early"},
	} {
		t.Run(test.name, func(t *testing.T) {
			end := ExpiredSession{Session: 0xab, Who: "idle at n2", GrantedMs: 8000, HeardNs: 20_000_000_000, ToldNs: 20_000_000_000 + test.told*1_000_000}
			result := CheckExpiry(SessionWatch{Idle: 6, Expired: []ExpiredSession{end}}, DefaultBounds)
			if result.Verdict != test.verdict || !strings.Contains(result.Cause, test.cause) {
				t.Errorf("verdict %s, cause %q; want %s with %q", result.Verdict, result.Cause, test.verdict, test.cause)
			}
		})
	}
}
