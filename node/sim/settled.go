package sim

import (
	"hash/fnv"
	"maps"
	"slices"

	"zoolab/workloads"
	"zoolab/zk/jute"
)

// allServe reports whether every member has an established role.
func (t *truth) allServe() bool {
	for _, m := range t.w.members {
		if !m.up || !m.replica.Status().Role.Established() {
			return false
		}
	}
	return true
}

// everybodyServes is the demand for progress: the faults are long over.
func (t *truth) everybodyServes() {
	leaders := 0
	for _, m := range t.w.members {
		if m.leads() {
			leaders++
		}
		if !m.up || !m.replica.Status().Role.Established() {
			t.w.violate("no progress: %s does not serve %d s after the last fault was healed", name(m.sid), settleUs/second)
		}
	}
	if leaders != 1 {
		t.w.violate("no progress: %d members lead %d s after the last fault was healed", leaders, settleUs/second)
	}
}

func (t *truth) clientsFinished() {
	for _, c := range t.w.clients {
		if !c.finished {
			t.w.violate("no progress: client %d was not answered %d s after the ensemble had settled", c.number, finalReadsUs/second)
		}
	}
}

// caughtUp reports whether all members have applied, and logged, the same.
func (t *truth) caughtUp() bool {
	for _, m := range t.w.members {
		v := t.of(m)
		if !m.up || v.applied != len(t.committed) || len(v.log) != v.applied {
			return false
		}
	}
	return true
}

// treesEqual compares all trees, znode by znode and session by session, and that nothing
// committed is missing.
func (t *truth) treesEqual() {
	t.sameMembership()
	t.sameACLs()
	var want workloads.MemberTree
	var wantSessions map[int64]int32
	for i, m := range t.w.members {
		last := m.replica.Tree().LastZxid()
		if n := len(t.committed); n > 0 && last < t.committed[n-1].zxid {
			t.w.violate("lost: %s ends at %x, %x was committed", name(m.sid), last, t.committed[n-1].zxid)
		}
		got, sessions := treeOf(m)
		for _, path := range slices.Sorted(maps.Keys(got.Nodes)) {
			node := got.Nodes[path]
			if _, lives := sessions[node.EphemeralOwner]; !livesOn(node.EphemeralOwner) && !lives {
				t.w.violate("Ephemeral: %s has a znode %s of session %x, which has ended", name(m.sid), path, node.EphemeralOwner)
			}
		}
		if i == 0 {
			want, wantSessions = got, sessions
			continue
		}
		if r := workloads.CheckTreesEqual([]workloads.MemberTree{want, got}, workloads.DefaultBounds); r.Verdict != workloads.VerdictOK {
			t.w.violate("Agreement: %s", r.Cause)
		}
		if !maps.Equal(sessions, wantSessions) {
			t.w.violate("Agreement: %s has sessions %v, n1 has %v", name(m.sid), sessions, wantSessions)
		}
	}
}

// sameACLs compares who may do what with each znode. The digest of a tree leaves that out.
func (t *truth) sameACLs() {
	want := aclsOf(t.w.members[0])
	for _, m := range t.w.members[1:] {
		got := aclsOf(m)
		for _, path := range slices.Sorted(maps.Keys(want)) {
			if !slices.Equal(got[path], want[path]) {
				t.w.violate("Agreement: %s has the ACL %v on %s, n1 has %v", name(m.sid), got[path], path, want[path])
				return
			}
		}
	}
}

func aclsOf(m *member) map[string][]jute.ACL {
	view := m.replica.Tree().View()
	defer view.Close()
	acls := map[int64][]jute.ACL{openACL: {{Perms: jute.PermAll, ID: worldACL[0].ID}}}
	view.ACLs(func(id int64, acl []jute.ACL) bool {
		acls[id] = acl
		return true
	})
	of := make(map[string][]jute.ACL)
	view.Nodes(func(path string, _ []byte, id int64, _ *jute.StatPersisted) bool {
		of[path] = acls[id]
		return true
	})
	return of
}

// openACL stands in snapshots for that of znodes which everybody may use.
const openACL = -1

// treeOf returns all that a member's tree holds.
func treeOf(m *member) (workloads.MemberTree, map[int64]int32) {
	tree := workloads.MemberTree{Member: name(m.sid), Source: "served", Nodes: make(map[string]workloads.TreeNode)}
	sessions := make(map[int64]int32)
	view := m.replica.Tree().View()
	defer view.Close()
	view.Nodes(func(path string, data []byte, _ int64, stat *jute.StatPersisted) bool {
		if path == membershipPath {
			return true // servers write it by themselves, so their stats differ: see sameMembership
		}
		h := fnv.New64a()
		h.Write(data)
		tree.Nodes[path] = workloads.TreeNode{
			Czxid: stat.Czxid, Mzxid: stat.Mzxid, Pzxid: stat.Pzxid, CtimeMs: stat.Ctime, MtimeMs: stat.Mtime,
			Version: stat.Version, Cversion: stat.Cversion, Aversion: stat.Aversion,
			EphemeralOwner: stat.EphemeralOwner, DataLength: int32(len(data)), DataHash: h.Sum64(),
		}
		return true
	})
	view.Sessions(func(id int64, timeoutMs int32) bool {
		sessions[id] = timeoutMs
		return true
	})
	return tree, sessions
}
