package workloads

import (
	"strings"
	"testing"
)

// logOf makes a log in which every record's digest is its zxid.
func logOf(member string, zxids ...int64) MemberLog {
	log := MemberLog{Member: member}
	for _, zxid := range zxids {
		log.Records = append(log.Records, LogRecord{Zxid: zxid, Digest: uint64(zxid)})
	}
	return log
}

func TestLogsAgree(t *testing.T) {
	const e1, e2 = int64(1) << 32, int64(2) << 32
	full := logOf("n1", e1+1, e1+2, e1+3, e2+1, e2+2)
	other := full
	other.Member = "n2"
	changed := logOf("n2", e1+1, e1+2, e1+3, e2+1, e2+2)
	changed.Records[2].Digest++
	received := logOf("n2", e1+1, e1+2, e1+9, e2+2)
	received.Records[2].Digest++
	received.Snapshots = []int64{0, e2 + 1}
	repeated := logOf("n2", e1+1, e1+2, e1+3, e1+2, e1+3, e2+1)
	otherwise := logOf("n2", e1+1, e1+2, e1+3, e1+2, e1+3, e2+1)
	otherwise.Records[4].Digest++
	unreadable := MemberLog{Member: "n2", Problem: "bad checksum"}
	for _, test := range []struct {
		name    string
		logs    []MemberLog
		verdict Verdict
		cause   string
	}{
		{"equal", []MemberLog{full, other}, VerdictOK, "agree"},
		{"one begins later and ends earlier", []MemberLog{full, logOf("n2", e1+3, e2+1)}, VerdictOK, "agree"},
		{"another transaction", []MemberLog{full, changed}, VerdictFail, "zxid 0x100000003 is one transaction in the log of n1 and another in the log of n2"},
		{"missing at an epoch's end", []MemberLog{full, logOf("n2", e1+1, e1+2, e2+1, e2+2)}, VerdictFail, "n1 has zxid 0x100000003 in its log, n2 does not"},
		{"extra at an epoch's end", []MemberLog{full, logOf("n2", e1+1, e1+2, e1+3, e1+4, e2+1)}, VerdictFail, "n2 has zxid 0x100000004 in its log, n1 does not"},
		{"gap", []MemberLog{full, logOf("n2", e1+1, e1+3)}, VerdictFail, "the log of n2 has a gap: zxid 0x100000001 is followed by 0x100000003"},
		{"goes back", []MemberLog{full, logOf("n2", e1+2, e1+1)}, VerdictFail, "the log of n2 goes back"},
		{"logged again", []MemberLog{full, repeated}, VerdictOK, "agree wherever they overlap; 2 records stand there twice"},
		{"logged again otherwise", []MemberLog{full, otherwise}, VerdictFail, "the log of n2 goes back"},
		{"old history superseded by a snapshot from the leader", []MemberLog{full, received}, VerdictOK, "agree"},
		{"nothing in common", []MemberLog{full, logOf("n2", e2+3)}, VerdictUnknown, "no zxid in common"},
		{"empty log", []MemberLog{full, logOf("n2")}, VerdictUnknown, "no zxid in common"},
		{"unreadable", []MemberLog{full, unreadable}, VerdictUnknown, "bad checksum"},
		{"single member", []MemberLog{full}, VerdictOK, "single member"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := CheckLogsAgree(test.logs)
			if result.Verdict != test.verdict || !strings.Contains(result.Cause, test.cause) {
				t.Fatalf("verdict %s, cause %q; want %s with %q", result.Verdict, result.Cause, test.verdict, test.cause)
			}
		})
	}
}

func TestTreesEqual(t *testing.T) {
	tree := func(member string, change func(map[string]TreeNode)) MemberTree {
		nodes := map[string]TreeNode{"/": {}, "/a": {Czxid: 1, Mzxid: 2, Version: 1, DataHash: 7}, "/b": {Czxid: 3, Mzxid: 3}}
		if change != nil {
			change(nodes)
		}
		return MemberTree{Member: member, Source: "served", Nodes: nodes}
	}
	for _, test := range []struct {
		name    string
		other   MemberTree
		verdict Verdict
		cause   string
	}{
		{"equal", tree("n2", nil), VerdictOK, "all 2 trees have the same 3 znodes"},
		{"missing znode", tree("n2", func(n map[string]TreeNode) { delete(n, "/b") }), VerdictFail, "/b exists on n1 but not on n2"},
		{"extra znode", tree("n2", func(n map[string]TreeNode) { n["/c"] = TreeNode{} }), VerdictFail, "/c exists on n2 but not on n1"},
		{"other data", tree("n2", func(n map[string]TreeNode) { n["/a"] = TreeNode{Czxid: 1, Mzxid: 2, Version: 1, DataHash: 8} }), VerdictFail, "/a has data (hash) 7 on n1 and 8 on n2"},
		{"other version", tree("n2", func(n map[string]TreeNode) { n["/a"] = TreeNode{Czxid: 1, Mzxid: 2, Version: 2, DataHash: 7} }), VerdictFail, "/a has version 1 on n1 and 2 on n2"},
		{"unreadable", MemberTree{Member: "n2", Source: "disk", Problem: "torn"}, VerdictUnknown, "the tree of n2 (disk) could not be read: torn"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := CheckTreesEqual([]MemberTree{tree("n1", nil), test.other}, DefaultBounds)
			if result.Verdict != test.verdict || !strings.Contains(result.Cause, test.cause) {
				t.Fatalf("verdict %s, cause %q; want %s with %q", result.Verdict, result.Cause, test.verdict, test.cause)
			}
		})
	}
	if result := CheckTreesEqual(nil, DefaultBounds); result.Verdict != VerdictUnknown {
		t.Errorf("no trees: verdict %s, want unknown", result.Verdict)
	}
}
