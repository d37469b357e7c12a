package workloads

import (
	"fmt"
	"sort"
)

// TreeNode is one znode as a member has it.
type TreeNode struct {
	Czxid, Mzxid, Pzxid         int64
	CtimeMs, MtimeMs            int64
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	DataLength, Children        int32
	DataHash                    uint64
}

// MemberTree is the whole tree of one member.
type MemberTree struct {
	Member  string
	Source  string // where it was read: "served" or "disk"
	Nodes   map[string]TreeNode
	Problem string // why the tree could not be read, "" if it could
}

// CheckTreesEqual compares the trees of all members with the first one's,
// znode by znode, and names the first differences.
func CheckTreesEqual(trees []MemberTree, bounds Bounds) Result {
	result := Result{Checker: "trees-equal", Verdict: VerdictOK, Stats: map[string]any{"trees": len(trees)}}
	var readable []*MemberTree
	unreadable := ""
	for i := range trees {
		tree := &trees[i]
		if tree.Problem != "" {
			if unreadable == "" {
				unreadable = fmt.Sprintf("the tree of %s (%s) could not be read: %s", tree.Member, tree.Source, tree.Problem)
			}
			continue
		}
		result.Stats["znodes-"+tree.Source+"-"+tree.Member] = len(tree.Nodes)
		readable = append(readable, tree)
	}
	differences := 0
	for i := 1; i < len(readable); i++ {
		for _, path := range unitedPaths(readable[0], readable[i]) {
			cause := difference(path, readable[0], readable[i])
			if cause == "" {
				continue
			}
			if differences++; len(result.Failures) < max(1, bounds.MaxFailures) {
				result.Failures = append(result.Failures, Failure{Key: path, Cause: cause})
			}
		}
	}
	result.Stats["differences"] = differences
	switch {
	case differences > 0:
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("the trees differ at %d znodes; first: %s", differences, result.Failures[0].Cause)
	case unreadable != "":
		result.Verdict, result.Cause = VerdictUnknown, unreadable
	case len(readable) == 0 || len(readable[0].Nodes) == 0:
		result.Verdict, result.Cause = VerdictUnknown, "no tree was read"
	default:
		result.Cause = fmt.Sprintf("all %d trees have the same %d znodes", len(readable), len(readable[0].Nodes))
	}
	return result
}

func unitedPaths(a, b *MemberTree) []string {
	paths := make([]string, 0, len(a.Nodes))
	for path := range a.Nodes {
		paths = append(paths, path)
	}
	for path := range b.Nodes {
		if _, ok := a.Nodes[path]; !ok {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	return paths
}

// difference says in words how two members differ at path, "" if they do not.
func difference(path string, a, b *MemberTree) string {
	nameA, nameB := a.Member, b.Member
	if a.Source != b.Source {
		nameA, nameB = fmt.Sprintf("%s (%s)", a.Member, a.Source), fmt.Sprintf("%s (%s)", b.Member, b.Source)
	}
	nodeA, okA := a.Nodes[path]
	nodeB, okB := b.Nodes[path]
	switch {
	case !okB:
		return fmt.Sprintf("%s exists on %s but not on %s", path, nameA, nameB)
	case !okA:
		return fmt.Sprintf("%s exists on %s but not on %s", path, nameB, nameA)
	case nodeA == nodeB:
		return ""
	}
	fields := []struct {
		name string
		a, b any
	}{
		{"data (hash)", nodeA.DataHash, nodeB.DataHash},
		{"dataLength", nodeA.DataLength, nodeB.DataLength},
		{"version", nodeA.Version, nodeB.Version},
		{"mzxid", hex(nodeA.Mzxid), hex(nodeB.Mzxid)},
		{"czxid", hex(nodeA.Czxid), hex(nodeB.Czxid)},
		{"pzxid", hex(nodeA.Pzxid), hex(nodeB.Pzxid)},
		{"cversion", nodeA.Cversion, nodeB.Cversion},
		{"aversion", nodeA.Aversion, nodeB.Aversion},
		{"numChildren", nodeA.Children, nodeB.Children},
		{"ephemeralOwner", hex(nodeA.EphemeralOwner), hex(nodeB.EphemeralOwner)},
		{"ctime", nodeA.CtimeMs, nodeB.CtimeMs},
		{"mtime", nodeA.MtimeMs, nodeB.MtimeMs},
	}
	for _, field := range fields {
		if field.a != field.b {
			return fmt.Sprintf("%s has %s %v on %s and %v on %s", path, field.name, field.a, nameA, field.b, nameB)
		}
	}
	return ""
}
