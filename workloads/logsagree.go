package workloads

import (
	"fmt"
	"sort"
)

// LogRecord is one transaction of a member's log.
type LogRecord struct {
	Zxid   int64
	Digest uint64 // of the transaction's bytes
}

// MemberLog is what a member has on its disk after the run.
type MemberLog struct {
	Member    string
	Records   []LogRecord // in file order
	Snapshots []int64     // zxids of the valid snapshots, in any order
	Problem   string      // why the log could not be read, "" if it could
}

// CheckLogsAgree compares the logs of all members, pair by pair, on the range
// of zxids that both cover. Uncommitted transactions are gone by then, because
// every member has synchronized with the last leader.
//
// A member that got a whole snapshot from a leader starts a new history there:
// what its older log files hold was superseded and may differ. Such a snapshot
// is told from one that the member took itself by its zxid, which does not
// stand in the member's log. Only what follows the newest one is compared. A
// gap that no snapshot explains is a failure of its own.
//
// Apache's server logs transactions again that its next leader sends it again, if
// its process lives on and has not applied them. A record that stands in the log
// already, byte for byte, says nothing new; it is counted, and does not go back.
func CheckLogsAgree(logs []MemberLog) Result {
	result := Result{Checker: "logs-agree", Verdict: VerdictOK, Stats: map[string]any{"members": len(logs)}}
	if len(logs) < 2 {
		result.Cause = "a single member has no other log to agree with"
		return result
	}
	unreadable, repeated := "", 0
	parts := make([][]LogRecord, len(logs))
	for i := range logs {
		log := &logs[i]
		result.Stats["records-"+log.Member] = len(log.Records)
		if log.Problem != "" {
			if unreadable == "" {
				unreadable = fmt.Sprintf("the log of %s could not be read: %s", log.Member, log.Problem)
			}
			continue
		}
		records := once(log.Records)
		repeated += len(log.Records) - len(records)
		if cause := outOfOrder(log.Member, records); cause != "" {
			result.Failures = append(result.Failures, Failure{Cause: cause})
		}
		parts[i] = records[effectiveStart(records, log.Snapshots):]
		if cause := gap(log.Member, parts[i]); cause != "" {
			result.Failures = append(result.Failures, Failure{Cause: cause})
		}
	}
	compared, vacuous := 0, ""
	for i := range logs {
		for j := i + 1; j < len(logs); j++ {
			if logs[i].Problem != "" || logs[j].Problem != "" {
				continue
			}
			count, cause := comparePair(logs[i].Member, logs[j].Member, parts[i], parts[j])
			compared += count
			if cause != "" {
				result.Failures = append(result.Failures, Failure{Cause: cause})
			} else if count == 0 && vacuous == "" {
				vacuous = fmt.Sprintf("the logs of %s and %s have no zxid in common that could be compared", logs[i].Member, logs[j].Member)
			}
		}
	}
	result.Stats["compared"], result.Stats["repeated"] = compared, repeated
	switch {
	case len(result.Failures) > 0:
		result.Verdict, result.Cause = VerdictFail, result.Failures[0].Cause
	case unreadable != "":
		result.Verdict, result.Cause = VerdictUnknown, unreadable
	case vacuous != "":
		result.Verdict, result.Cause = VerdictUnknown, vacuous
	default:
		result.Cause = fmt.Sprintf("the logs of %d members agree wherever they overlap", len(logs))
		if repeated > 0 {
			result.Cause += fmt.Sprintf("; %d records stand there twice, byte for byte", repeated)
		}
	}
	return result
}

// once leaves out the records that stand before, byte for byte.
func once(records []LogRecord) []LogRecord {
	if outOfOrder("", records) == "" {
		return records // as nearly all logs are: a record that stands twice does not rise
	}
	seen := make(map[LogRecord]bool, len(records))
	kept := make([]LogRecord, 0, len(records))
	for _, record := range records {
		if !seen[record] {
			seen[record] = true
			kept = append(kept, record)
		}
	}
	return kept
}

// outOfOrder names the first record whose zxid does not rise.
func outOfOrder(member string, records []LogRecord) string {
	for i := 1; i < len(records); i++ {
		if records[i].Zxid <= records[i-1].Zxid {
			return fmt.Sprintf("the log of %s goes back: zxid %s stands after %s", member, hex(records[i].Zxid), hex(records[i-1].Zxid))
		}
	}
	return ""
}

// effectiveStart gives the position after everything that a snapshot from a
// leader has superseded.
func effectiveStart(records []LogRecord, snapshots []int64) int {
	behind := func(zxid int64) int { // the first record with a later zxid
		return sort.Search(len(records), func(i int) bool { return records[i].Zxid > zxid })
	}
	received := int64(-1)
	for _, zxid := range snapshots {
		if at := behind(zxid); zxid != 0 && (at == 0 || records[at-1].Zxid != zxid) {
			received = max(received, zxid)
		}
	}
	return behind(received)
}

// gap names the first zxid that is missing inside an epoch.
func gap(member string, records []LogRecord) string {
	for i := 1; i < len(records); i++ {
		before, this := records[i-1].Zxid, records[i].Zxid
		if before>>32 == this>>32 && this > before+1 {
			return fmt.Sprintf("the log of %s has a gap: zxid %s is followed by %s", member, hex(before), hex(this))
		}
	}
	return ""
}

// comparePair compares two logs on their common range and names the first
// difference.
func comparePair(nameA, nameB string, a, b []LogRecord) (compared int, cause string) {
	if len(a) == 0 || len(b) == 0 {
		return 0, ""
	}
	from := max(a[0].Zxid, b[0].Zxid)
	to := min(a[len(a)-1].Zxid, b[len(b)-1].Zxid)
	a, b = within(a, from, to), within(b, from, to)
	for i := 0; i < len(a) || i < len(b); i++ {
		switch {
		case i >= len(b) || i < len(a) && a[i].Zxid < b[i].Zxid:
			return compared, fmt.Sprintf("%s has zxid %s in its log, %s does not", nameA, hex(a[i].Zxid), nameB)
		case i >= len(a) || b[i].Zxid < a[i].Zxid:
			return compared, fmt.Sprintf("%s has zxid %s in its log, %s does not", nameB, hex(b[i].Zxid), nameA)
		case a[i].Digest != b[i].Digest:
			return compared, fmt.Sprintf("zxid %s is one transaction in the log of %s and another in the log of %s", hex(a[i].Zxid), nameA, nameB)
		}
		compared++
	}
	return compared, ""
}

func within(records []LogRecord, from, to int64) []LogRecord {
	start := sort.Search(len(records), func(i int) bool { return records[i].Zxid >= from })
	end := sort.Search(len(records), func(i int) bool { return records[i].Zxid > to })
	return records[start:max(start, end)]
}
