package tree

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"zoolab/zk/jute"
)

// modelNode and model say what a tree should hold, in the plainest way.
type modelNode struct {
	data []byte
	acl  []jute.ACL
	stat jute.StatPersisted
}

type model struct {
	nodes    map[string]modelNode // by path, the root's is ""
	sessions map[int64]int32
	zxid     int64
}

func newModel() *model {
	m := &model{nodes: make(map[string]modelNode), sessions: make(map[int64]int32)}
	for _, path := range []string{"", ZookeeperPath, QuotaPath, ConfigPath} {
		m.nodes[path] = modelNode{data: []byte{}, acl: openAll}
	}
	m.nodes[ConfigPath] = modelNode{
		data: []byte{}, acl: []jute.ACL{{Perms: jute.PermRead, ID: jute.ID{Scheme: "world", ID: "anyone"}}},
		stat: jute.StatPersisted{Aversion: -1},
	}
	return m
}

func (m *model) clone() *model {
	return &model{nodes: maps.Clone(m.nodes), sessions: maps.Clone(m.sessions), zxid: m.zxid}
}

func (m *model) parent(path string) string { return path[:strings.LastIndexByte(path, '/')] }

func (m *model) children(path string) []string {
	var names []string
	for p := range m.nodes {
		if p != "" && m.parent(p) == path {
			names = append(names, p[len(path)+1:])
		}
	}
	slices.Sort(names)
	return names
}

func (m *model) update(path string, change func(n *modelNode)) {
	n := m.nodes[path]
	change(&n)
	m.nodes[path] = n
}

func (m *model) delete(path string, zxid int64) {
	delete(m.nodes, path)
	m.update(m.parent(path), func(n *modelNode) { n.stat.Pzxid = zxid })
}

func (m *model) digest() int64 {
	var sum int64
	for path, n := range m.nodes {
		if strings.HasPrefix(path, "/zookeeper/") {
			continue
		}
		b := append([]byte(path), n.data...)
		s := n.stat
		for _, v := range []int64{s.Czxid, s.Mzxid, s.Pzxid, s.Ctime, s.Mtime} {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
		for _, v := range []int32{s.Version, s.Cversion, s.Aversion} {
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		}
		b = binary.BigEndian.AppendUint64(b, uint64(s.EphemeralOwner))
		sum += int64(crc32.ChecksumIEEE(b))
	}
	return sum
}

// step draws one change that is valid now, does it to the model and returns its transaction.
func (m *model) step(r *rand.Rand) *jute.LoggedTxn {
	m.zxid++
	h := jute.TxnHeader{ClientID: int64(1 + r.Intn(5)), Zxid: m.zxid, TimeMs: m.zxid * 10}
	if r.Intn(12) == 0 {
		return m.sessionStep(r, h)
	}
	if r.Intn(8) > 0 {
		op, body := m.change(r, h, true)
		h.Type = op
		return &jute.LoggedTxn{Header: h, Body: body, Digest: &jute.TxnDigest{Version: 2, TreeDigest: m.digest()}}
	}
	h.Type = jute.OpMulti
	multi := &jute.MultiTxn{}
	for range r.Intn(5) {
		op, body := m.change(r, h, false)
		multi.Txns = append(multi.Txns, jute.Txn{Type: op, Data: jute.Marshal(body)})
	}
	return &jute.LoggedTxn{Header: h, Body: multi, Digest: &jute.TxnDigest{Version: 2, TreeDigest: m.digest()}}
}

func (m *model) sessionStep(r *rand.Rand, h jute.TxnHeader) *jute.LoggedTxn {
	if r.Intn(2) == 0 {
		h.Type = jute.OpCreateSession
		m.sessions[h.ClientID] = int32(m.zxid)
		return &jute.LoggedTxn{Header: h, Body: &jute.CreateSessionTxn{TimeoutMs: int32(m.zxid)}}
	}
	h.Type = jute.OpCloseSession
	delete(m.sessions, h.ClientID)
	body := &jute.CloseSessionTxn{}
	for path, n := range m.nodes {
		if n.stat.EphemeralOwner == h.ClientID {
			body.Paths2Delete = append(body.Paths2Delete, path)
		}
	}
	slices.Sort(body.Paths2Delete)
	for _, path := range body.Paths2Delete {
		m.delete(path, h.Zxid)
	}
	return &jute.LoggedTxn{Header: h, Body: body, Digest: &jute.TxnDigest{Version: 2, TreeDigest: m.digest()}}
}

// pick draws a znode, in a repeatable way.
func (m *model) pick(r *rand.Rand) string {
	paths := slices.Sorted(maps.Keys(m.nodes))
	return paths[r.Intn(len(paths))]
}

// change draws an operation; a multi may not set ACLs.
func (m *model) change(r *rand.Rand, h jute.TxnHeader, acls bool) (jute.OpCode, jute.Record) {
	path := m.pick(r)
	system := path == "" || strings.HasPrefix(path, "/zookeeper")
	switch r.Intn(8) {
	case 0, 1:
		if !system && len(m.children(path)) == 0 {
			m.delete(path, h.Zxid)
			return jute.OpDelete, &jute.DeleteTxn{Path: path}
		}
	case 2:
		if !system && acls {
			acl := slices.Clone(openAll)
			acl[0].Perms = int32(1 + r.Intn(31))
			m.update(path, func(n *modelNode) { n.stat.Aversion++; n.acl = acl })
			return jute.OpSetACL, &jute.SetACLTxn{Path: path, ACL: acl, Version: m.nodes[path].stat.Aversion}
		}
	case 3, 4:
		if !system {
			data := fmt.Appendf(nil, "data %d", r.Intn(1000))
			m.update(path, func(n *modelNode) {
				n.data = data
				n.stat.Version++
				n.stat.Mzxid, n.stat.Mtime = h.Zxid, h.TimeMs
			})
			return jute.OpSetData, &jute.SetDataTxn{Path: path, Data: data, Version: m.nodes[path].stat.Version}
		}
	}
	return m.create(r, h, path)
}

func (m *model) create(r *rand.Rand, h jute.TxnHeader, parent string) (jute.OpCode, jute.Record) {
	for parent != "" && (KindOf(m.nodes[parent].stat.EphemeralOwner) == Ephemeral || strings.HasPrefix(parent, "/zookeeper")) {
		parent = m.parent(parent)
	}
	path := fmt.Sprintf("%s/%c", parent, 'a'+r.Intn(6))
	for m.nodes[path].acl != nil {
		path += "x"
	}
	m.update(parent, func(n *modelNode) { n.stat.Cversion++; n.stat.Pzxid = h.Zxid })
	n := modelNode{acl: openAll, stat: jute.StatPersisted{Czxid: h.Zxid, Mzxid: h.Zxid, Pzxid: h.Zxid, Ctime: h.TimeMs, Mtime: h.TimeMs}}
	if r.Intn(3) > 0 {
		n.data = fmt.Appendf(nil, "%d", h.Zxid)
	}
	if r.Intn(4) == 0 {
		n.acl = []jute.ACL{{Perms: int32(1 + r.Intn(31)), ID: jute.ID{Scheme: "digest", ID: fmt.Sprint("u:", r.Intn(20))}}}
	}
	cversion := m.nodes[parent].stat.Cversion
	op, body := jute.OpCreate, jute.Record(nil)
	switch kind := r.Intn(8); {
	case kind == 0:
		n.stat.EphemeralOwner = OwnerOfContainer()
		op, body = jute.OpCreateContainer, &jute.CreateContainerTxn{Path: path, Data: n.data, ACL: n.acl, ParentCVersion: cversion}
	case kind == 1:
		n.stat.EphemeralOwner = OwnerOfTTL(1000)
		op, body = jute.OpCreateTTL, &jute.CreateTTLTxn{Path: path, Data: n.data, ACL: n.acl, ParentCVersion: cversion, TtlMs: 1000}
	case kind < 4:
		n.stat.EphemeralOwner = h.ClientID
		body = &jute.CreateTxn{Path: path, Data: n.data, ACL: n.acl, Ephemeral: true, ParentCVersion: cversion}
	default:
		body = &jute.CreateTxn{Path: path, Data: n.data, ACL: n.acl, ParentCVersion: cversion}
	}
	m.nodes[path] = n
	return op, body
}

// collected gathers a view into a model and checks the order of the znodes.
type collected struct {
	t    *testing.T
	acls map[int64][]jute.ACL
	m    *model
}

func collect(t *testing.T, v *View) *collected {
	c := &collected{t: t, acls: map[int64][]jute.ACL{-1: openAll}, m: &model{nodes: make(map[string]modelNode), sessions: make(map[int64]int32), zxid: v.Zxid()}}
	v.Sessions(func(id int64, timeoutMs int32) bool { c.m.sessions[id] = timeoutMs; return true })
	v.ACLs(func(id int64, acl []jute.ACL) bool { c.acls[id] = acl; return true })
	return c
}

func (c *collected) add(path string, data []byte, aclID int64, stat *jute.StatPersisted) bool {
	if _, twice := c.m.nodes[path]; twice {
		c.t.Errorf("%q comes twice", path)
	}
	if path != "" && !c.hasParent(path) {
		c.t.Errorf("%q comes before its parent", path)
	}
	acl, known := c.acls[aclID]
	if !known {
		c.t.Errorf("%q has the unknown ACL %d", path, aclID)
	}
	c.m.nodes[path] = modelNode{data: data, acl: acl, stat: *stat}
	return true
}

func (c *collected) hasParent(path string) bool {
	_, there := c.m.nodes[c.m.parent(path)]
	return there
}

func diff(t *testing.T, what string, got, want *model) {
	t.Helper()
	for path, n := range want.nodes {
		if g, there := got.nodes[path]; !there || !reflect.DeepEqual(g, n) {
			t.Errorf("%s: %q is %+v (there: %v), want %+v", what, path, g, there, n)
		}
	}
	for path := range got.nodes {
		if _, there := want.nodes[path]; !there {
			t.Errorf("%s: %q should not be there", what, path)
		}
	}
	if !maps.Equal(got.sessions, want.sessions) || got.zxid != want.zxid {
		t.Errorf("%s: sessions %v at zxid %d, want %v at %d", what, got.sessions, got.zxid, want.sessions, want.zxid)
	}
	if t.Failed() {
		t.FailNow()
	}
}

func dump(t *testing.T, tr *Tree) *model {
	v := tr.View()
	defer v.Close()
	c := collect(t, v)
	v.Nodes(c.add)
	return c.m
}

func (m *model) apply(t *testing.T, tr *Tree, txn *jute.LoggedTxn) {
	t.Helper()
	if r := tr.Apply(txn); r.Err != jute.CodeOK {
		t.Fatalf("zxid %d %v: %v", txn.Header.Zxid, txn.Header.Type, r.Err)
	}
}

// TestModel compares the tree with the model after many random transactions: each
// digest, and now and then everything, through views and through reads.
func TestModel(t *testing.T) {
	for seed := range int64(4) {
		r := rand.New(rand.NewSource(seed))
		m, tr := newModel(), New()
		for i := range 800 {
			m.apply(t, tr, m.step(r))
			if i%150 == 0 {
				diff(t, fmt.Sprintf("seed %d step %d", seed, i), dump(t, tr), m)
				m.compareReads(t, tr)
			}
		}
		if tr.DigestMismatches() != 0 || tr.Digest() != m.digest() {
			t.Fatalf("seed %d: %d digests differ", seed, tr.DigestMismatches())
		}
	}
}

func (m *model) compareReads(t *testing.T, tr *Tree) {
	t.Helper()
	who := Caller{Super: true}
	var sizeBytes int64 = 1
	ephemerals := 0
	for path, n := range m.nodes {
		sizeBytes += int64(len(path) + len(n.data))
		names, stat, err := tr.ChildrenStat(path, who, nil)
		slices.Sort(names)
		want := m.children(path)
		if err != nil || !slices.Equal(names, want) || int(stat.NumChildren) != len(want) || stat.Cversion != n.stat.Cversion*2-int32(len(want)) {
			t.Fatalf("children of %q: %v %+v %v, want %v", path, names, stat, err, want)
		}
		data, _, err := tr.GetData(path, who, nil)
		if err != nil || !reflect.DeepEqual(data, n.data) {
			t.Fatalf("data of %q: %q %v, want %q", path, data, err, n.data)
		}
		below := 0
		if path == "" {
			below++ // as Apache counts below the empty path: the root itself
		}
		for p := range m.nodes {
			if strings.HasPrefix(p, path+"/") {
				below++
			}
		}
		if got, err := tr.AllChildrenNumber(path, who); err != nil || int(got) != below {
			t.Fatalf("%q has %d descendants, %v, want %d", path, got, err, below)
		}
		if KindOf(n.stat.EphemeralOwner) == Ephemeral {
			ephemerals++
			if !slices.Contains(tr.Ephemerals(n.stat.EphemeralOwner), path) {
				t.Fatalf("%q is not among the ephemerals of its session", path)
			}
		}
	}
	containers, ttls := m.checkDue(t, tr)
	got := tr.Counts()
	want := Counts{Znodes: len(m.nodes) + 1, Ephemerals: ephemerals, Containers: containers, TTLs: ttls, Sessions: len(m.sessions), DataSizeBytes: sizeBytes}
	if got != want {
		t.Fatalf("counts are %+v, want %+v", got, want)
	}
}

// checkDue compares what a sweep finds with a look at every znode, at a time when some of
// the TTL znodes are due. It counts the containers and the TTL znodes.
func (m *model) checkDue(t *testing.T, tr *Tree) (containers, ttls int) {
	t.Helper()
	nowMs := m.zxid*10 + 700
	var want, got []string
	for path, n := range m.nodes {
		childless := len(m.children(path)) == 0
		switch KindOf(n.stat.EphemeralOwner) {
		case Container:
			containers++
			if childless && (n.stat.Cversion > 0 || nowMs-n.stat.Mtime > 900) {
				want = append(want, path)
			}
		case TTL:
			ttls++
			if childless && nowMs-n.stat.Mtime > 1000 {
				want = append(want, path)
			}
		}
	}
	for sweep := tr.StartSweep(); !sweep.Done(); {
		got = append(got, tr.Due(&sweep, Disposal{TTLs: true, MaxNeverUsedMs: 900}, nowMs, 3)...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("due are %q, want %q", got, want)
	}
	return containers, ttls
}

// TestViews reads several views in small pieces while the tree changes: each must show
// the tree as it was when it was opened.
func TestViews(t *testing.T) {
	type open struct {
		v    *View
		got  *collected
		want *model
	}
	for seed := range int64(6) {
		r := rand.New(rand.NewSource(seed))
		m, tr := newModel(), New()
		var views []open
		finished := 0
		for range 1000 {
			m.apply(t, tr, m.step(r))
			if len(views) < 4 && r.Intn(20) == 0 {
				v := tr.View()
				if _, version, digest, ok := v.Digest(); !ok || version != 2 || digest != m.digest() {
					t.Fatalf("a view has the digest %x of version %d, %v", digest, version, ok)
				}
				views = append(views, open{v, collect(t, v), m.clone()})
			}
			if len(views) == 0 || r.Intn(3) > 0 {
				continue
			}
			i := r.Intn(len(views))
			batch := views[i].v.read(make([]viewNode, 0, 1+r.Intn(6)))
			for j := range batch {
				views[i].got.add(batch[j].path, batch[j].data, snapshotACLID(batch[j].acl), &batch[j].stat)
			}
			if len(batch) == 0 {
				diff(t, fmt.Sprintf("seed %d, view at zxid %d", seed, views[i].want.zxid), views[i].got.m, views[i].want)
				if len(views[i].v.kept) != 0 || len(views[i].v.deleted) != 0 {
					t.Fatalf("a finished view keeps %d and %d znodes", len(views[i].v.kept), len(views[i].v.deleted))
				}
				views[i].v.Close()
				views = slices.Delete(views, i, i+1)
				finished++
			}
		}
		if finished < 5 {
			t.Errorf("seed %d: only %d views were read to the end", seed, finished)
		}
	}
}

// TestReplayOverFuzzySnapshot takes snapshots as Apache does, reading znode after znode
// while the tree changes, and replays the log over them: the result must be the same
// as without.
func TestReplayOverFuzzySnapshot(t *testing.T) {
	for seed := range int64(30) {
		r := rand.New(rand.NewSource(seed))
		m, tr := newModel(), New()
		for range 200 {
			m.apply(t, tr, m.step(r))
		}
		b, startZxid := NewBuilder(), m.zxid
		for id, timeoutMs := range m.sessions {
			b.AddSession(id, timeoutMs)
		}
		ids := make(map[string]int64)
		for _, n := range m.nodes {
			if key := fmt.Sprint(n.acl); ids[key] == 0 {
				ids[key] = int64(len(ids) + 1)
				b.AddACL(ids[key], n.acl)
			}
		}
		var log []*jute.LoggedTxn
		missing := int64(1000)
		var visit func(path string)
		visit = func(path string) {
			n, there := m.nodes[path]
			if !there {
				return
			}
			children := m.children(path)
			id := ids[fmt.Sprint(n.acl)]
			if id == 0 {
				missing++
				id = missing
			}
			if err := b.AddNode(path, n.data, id, &n.stat); err != nil {
				t.Fatal(err)
			}
			for range r.Intn(4) {
				txn := m.step(r)
				m.apply(t, tr, txn)
				log = append(log, txn)
			}
			for _, name := range children {
				visit(path + "/" + name)
			}
		}
		visit("")
		b.SetDigest(m.zxid, DigestVersion, m.digest())
		if err := b.Finish(startZxid); err != nil {
			t.Fatal(err)
		}
		restored := b.Tree()
		for _, txn := range log {
			restored.Apply(txn)
		}
		diff(t, fmt.Sprintf("seed %d", seed), dump(t, restored), m)
		m.compareReads(t, restored)
		if restored.DigestMismatches() != 0 || restored.Digest() != tr.Digest() {
			t.Fatalf("seed %d: %d digests differ", seed, restored.DigestMismatches())
		}
	}
}

// TestViewAndReplay loads a view into a new tree and replays what came after it.
func TestViewAndReplay(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	m, tr := newModel(), New()
	for range 800 {
		m.apply(t, tr, m.step(r))
	}
	v := tr.View()
	var log []*jute.LoggedTxn
	for range 300 {
		txn := m.step(r)
		m.apply(t, tr, txn)
		log = append(log, txn)
	}
	restored := load(t, v)
	v.Close()
	for _, txn := range log {
		if r := restored.Apply(txn); r.Err != jute.CodeOK {
			t.Fatalf("zxid %d: %v", txn.Header.Zxid, r.Err)
		}
	}
	diff(t, "restored", dump(t, restored), m)
	if restored.DigestMismatches() != 0 {
		t.Errorf("%d digests differ", restored.DigestMismatches())
	}
}

func load(t testing.TB, v *View) *Tree {
	t.Helper()
	b := NewBuilder()
	check := func(err error) bool {
		if err != nil {
			t.Fatal(err)
		}
		return true
	}
	v.Sessions(func(id int64, timeoutMs int32) bool { return check(b.AddSession(id, timeoutMs)) })
	v.ACLs(func(id int64, acl []jute.ACL) bool { return check(b.AddACL(id, acl)) })
	v.Nodes(func(path string, data []byte, aclID int64, stat *jute.StatPersisted) bool {
		return check(b.AddNode(path, data, aclID, stat))
	})
	zxid, version, digest, ok := v.Digest()
	if !ok {
		t.Fatal("the view has no digest")
	}
	check(b.SetDigest(zxid, version, digest))
	check(b.Finish(v.Zxid()))
	return b.Tree()
}
