package prep

import (
	"reflect"
	"slices"
	"testing"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// bench is a Prep with a tree, whose transactions are applied when the test says so.
type bench struct {
	t       *testing.T
	tree    *tree.Tree
	prep    *Prep
	zxid    int64
	waiting []jute.LoggedTxn
}

const session = 7

func newBench(t *testing.T) *bench {
	tr := tree.New()
	b := &bench{t: t, tree: tr, prep: New(tr, Options{})}
	b.do(Request{Op: jute.OpCreateSession, Body: jute.AppendInt32(nil, 4000)})
	return b
}

func (b *bench) prepare(req Request) jute.LoggedTxn {
	if req.SessionID == 0 {
		req.SessionID = session
	}
	b.zxid++
	txn := b.prep.Prepare(req, b.zxid, b.zxid*1000)
	b.waiting = append(b.waiting, txn)
	return txn
}

func (b *bench) applyAll() {
	for i := range b.waiting {
		b.tree.Apply(&b.waiting[i])
	}
	b.prep.Committed(b.zxid)
	b.waiting = nil
	if b.tree.DigestMismatches() != 0 {
		b.t.Fatal("a digest was predicted wrongly")
	}
}

func (b *bench) do(req Request) jute.LoggedTxn {
	txn := b.prepare(req)
	b.applyAll()
	return txn
}

func request(op jute.OpCode, record jute.Record) Request {
	return Request{Op: op, Body: jute.Marshal(record)}
}

func create(path string, flags jute.CreateFlags) Request {
	return request(jute.OpCreate, &jute.CreateRequest{Path: path, Data: []byte{}, ACL: openAll, Flags: flags})
}

func code(txn jute.LoggedTxn) jute.ErrorCode {
	if e, ok := txn.Body.(*jute.ErrorTxn); ok && txn.Header.Type == jute.OpError {
		return e.Err
	}
	return jute.CodeOK
}

// TestErrors has one request for each way to fail.
func TestErrors(t *testing.T) {
	digest := []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "digest", ID: "u:h"}}}
	set := func(path string, version int32) Request {
		return request(jute.OpSetData, &jute.SetDataRequest{Path: path, Version: version})
	}
	remove := func(path string, version int32) Request {
		return request(jute.OpDelete, &jute.DeleteRequest{Path: path, Version: version})
	}
	setACL := func(path string, acl []jute.ACL, version int32) Request {
		return request(jute.OpSetACL, &jute.SetACLRequest{Path: path, ACL: acl, Version: version})
	}
	check := func(path string, version int32) Request {
		return request(jute.OpCheck, &jute.CheckVersionRequest{Path: path, Version: version})
	}
	ttl := func(flags jute.CreateFlags, ttlMs int64) Request {
		return request(jute.OpCreateTTL, &jute.CreateTTLRequest{Path: "/ttl", ACL: openAll, Flags: flags, TtlMs: ttlMs})
	}
	withACL := func(acl []jute.ACL) Request {
		return request(jute.OpCreate, &jute.CreateRequest{Path: "/acl", ACL: acl})
	}
	of := func(session int64, req Request) Request { req.SessionID = session; return req }
	refused := func(req Request) Request { req.Refuse = jute.CodeSessionMoved; return req }
	for _, c := range []struct {
		name string
		req  Request
		want jute.ErrorCode
	}{
		{"create", create("/new", 0), jute.CodeOK},
		{"create over outstanding create", create("/new", 0), jute.CodeNodeExists},
		{"create that exists", create("/p", 0), jute.CodeNodeExists},
		{"create the root", create("/", 0), jute.CodeNodeExists},
		{"create without a parent", create("/none/x", 0), jute.CodeNoNode},
		{"create below an ephemeral", create("/eph/x", 0), jute.CodeNoChildrenForEphemerals},
		{"create below a secret", create("/secret/x", 0), jute.CodeNoAuth},
		{"create without a slash", create("x", 0), jute.CodeBadArguments},
		{"create with a null", create("/x\x00", 0), jute.CodeBadArguments},
		{"create with a slash at the end", create("/p/", 0), jute.CodeBadArguments},
		{"create a sequence below a slash", create("/p/", jute.ModePersistentSequential), jute.CodeOK},
		{"create dot", create("/p/.", 0), jute.CodeBadArguments},
		{"create dots", create("/p/..", 0), jute.CodeBadArguments},
		{"create control character", create("/p\x07", 0), jute.CodeBadArguments},
		{"create bad mode", create("/x", 9), jute.CodeBadArguments},
		{"create ephemeral without a session", of(99, create("/x", jute.ModeEphemeral)), jute.CodeSessionExpired},
		{"create without ACL", withACL(nil), jute.CodeInvalidACL},
		{"create with bad ACL", withACL([]jute.ACL{{Perms: 1, ID: jute.ID{Scheme: "nosuch"}}}), jute.CodeInvalidACL},
		{"create with auth ACL without auth", withACL([]jute.ACL{{Perms: 1, ID: jute.ID{Scheme: "auth"}}}), jute.CodeInvalidACL},
		{"create TTL", ttl(jute.ModeTTL, 1000), jute.CodeUnimplemented},
		{"create malformed", Request{Op: jute.OpCreate, Body: []byte{1}}, jute.CodeMarshallingError},
		{"delete the root", remove("/", -1), jute.CodeBadArguments},
		{"delete the system", remove("/zookeeper", -1), jute.CodeBadArguments},
		{"delete the configuration", remove("/zookeeper/config", -1), jute.CodeBadArguments},
		{"delete without a slash", remove("x", -1), jute.CodeBadArguments},
		{"delete nothing", remove("/none", -1), jute.CodeNoNode},
		{"delete below nothing", remove("/none/x", -1), jute.CodeNoNode},
		{"delete another version", remove("/p/leaf", 3), jute.CodeBadVersion},
		{"delete with children", remove("/p", -1), jute.CodeNotEmpty},
		{"delete below a secret", remove("/secret/child", -1), jute.CodeNoAuth},
		{"delete by nobody", of(99, remove("/p/leaf", -1)), jute.CodeSessionExpired},
		{"delete malformed by nobody", Request{SessionID: 99, Op: jute.OpDelete, Body: []byte{1}}, jute.CodeSessionExpired},
		{"delete", remove("/p/leaf", 0), jute.CodeOK},
		{"delete again", remove("/p/leaf", -1), jute.CodeNoNode},
		{"set", set("/p", 0), jute.CodeOK},
		{"set by the version before", set("/p", 0), jute.CodeBadVersion},
		{"set by the outstanding version", set("/p", 1), jute.CodeOK},
		{"set nothing", set("/none", -1), jute.CodeNoNode},
		{"set a secret", set("/secret", -1), jute.CodeNoAuth},
		{"set a bad path", set("/p/", -1), jute.CodeBadArguments},
		{"set the configuration", set("/zookeeper/config", -1), jute.CodeNoAuth},
		{"set malformed", Request{Op: jute.OpSetData}, jute.CodeMarshallingError},
		{"setACL", setACL("/p", digest, 0), jute.CodeOK},
		{"set behind an outstanding setACL", set("/p", -1), jute.CodeNoAuth},
		{"setACL of a secret", setACL("/secret", openAll, -1), jute.CodeNoAuth},
		{"setACL of another version", setACL("/eph", openAll, 2), jute.CodeBadVersion},
		{"setACL of nothing", setACL("/none", openAll, -1), jute.CodeNoNode},
		{"setACL to nothing", setACL("/eph", nil, -1), jute.CodeInvalidACL},
		{"setACL of a bad path", setACL("eph", openAll, -1), jute.CodeBadArguments},
		{"check", check("/eph", 0), jute.CodeOK},
		{"check another version", check("/eph", 1), jute.CodeBadVersion},
		{"check nothing", check("/none", -1), jute.CodeNoNode},
		{"check a secret", check("/secret", -1), jute.CodeNoAuth},
		{"check a bad path", check("", -1), jute.CodeBadArguments},
		{"container delete of an ephemeral", Request{Op: jute.OpDeleteContainer, Body: []byte("/eph")}, jute.CodeBadVersion},
		{"container delete of nothing", Request{Op: jute.OpDeleteContainer, Body: []byte("/none")}, jute.CodeNoNode},
		{"container delete of the root", Request{Op: jute.OpDeleteContainer, Body: []byte("/")}, jute.CodeBadArguments},
		{"container delete with children", Request{Op: jute.OpDeleteContainer, Body: []byte("/secret")}, jute.CodeNotEmpty},
		{"createSession malformed", Request{Op: jute.OpCreateSession, Body: []byte{1}}, jute.CodeMarshallingError},
		{"multi malformed", Request{Op: jute.OpMulti, Body: []byte{1}}, jute.CodeMarshallingError},
		{"multi of reads", request(jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{{Type: jute.OpGetData, Record: &jute.GetDataRequest{Path: "/"}}}}), jute.CodeMarshallingError},
		{"multi with a TTL mode and no TTL", request(jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
			{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/p/leaf", Version: -1}},
			{Type: jute.OpCreate, Record: &jute.CreateRequest{Path: "/x", ACL: openAll, Flags: jute.ModeTTL}},
		}}), jute.CodeMarshallingError},
		{"multi with a TTL mode and no TTL, behind a failure", request(jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
			{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/none", Version: -1}},
			{Type: jute.OpCreate, Record: &jute.CreateRequest{Path: "/x", ACL: openAll, Flags: jute.ModeTTL}},
		}}), jute.CodeOK}, // the parts have the errors
		{"reconfig", request(jute.OpReconfig, &jute.ReconfigRequest{}), jute.CodeReconfigDisabled},
		{"reconfig malformed", Request{Op: jute.OpReconfig}, jute.CodeMarshallingError},
		{"a read", Request{Op: jute.OpGetData}, jute.CodeUnimplemented},
		{"refused", refused(create("/refused", 0)), jute.CodeSessionMoved},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.do(create("/p", 0))
			b.do(create("/p/leaf", 0))
			b.do(create("/eph", jute.ModeEphemeral))
			b.do(create("/secret", 0))
			b.do(create("/secret/child", 0))
			b.do(setACL("/secret", digest, -1))
			// What earlier rows left outstanding and this one builds upon.
			switch c.name {
			case "create over outstanding create":
				b.prepare(create("/new", 0))
			case "delete again":
				b.prepare(remove("/p/leaf", -1))
			case "set by the version before", "set by the outstanding version":
				b.prepare(set("/p", 0))
			case "set behind an outstanding setACL":
				b.prepare(setACL("/p", digest, 0))
			}
			outstanding := b.prep.Outstanding()
			txn := b.prepare(c.req)
			if got := code(txn); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			if c.want != jute.CodeOK && (txn.Digest != nil || b.prep.Outstanding() != outstanding) {
				t.Errorf("a failed request left %d changes and the digest %v", b.prep.Outstanding()-outstanding, txn.Digest)
			}
			b.applyAll()
		})
	}
}

func TestSequence(t *testing.T) {
	b := newBench(t)
	b.do(create("/p", 0))
	var got []string
	for range 3 {
		got = append(got, b.prepare(create("/p/n-", jute.ModeEphemeralSequential)).Body.(*jute.CreateTxn).Path)
	}
	b.applyAll()
	b.do(request(jute.OpDelete, &jute.DeleteRequest{Path: got[2], Version: -1}))
	// A number is never given twice: a delete doesn't count back.
	got = append(got, b.do(create("/p/n-", jute.ModePersistentSequential)).Body.(*jute.CreateTxn).Path)
	want := []string{"/p/n-0000000000", "/p/n-0000000001", "/p/n-0000000002", "/p/n-0000000003"}
	if !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
}

func TestCloseSession(t *testing.T) {
	b := newBench(t)
	b.do(create("/applied", jute.ModeEphemeral))
	b.do(create("/deleted", jute.ModeEphemeral))
	b.do(create("/taken", jute.ModeEphemeral))
	b.do(create("/persistent", 0))
	b.do(Request{SessionID: 8, Op: jute.OpCreateSession, Body: jute.AppendInt32(nil, 4000)})
	b.prepare(create("/inflight", jute.ModeEphemeral))
	b.prepare(request(jute.OpDelete, &jute.DeleteRequest{Path: "/deleted", Version: -1}))
	b.prepare(request(jute.OpDelete, &jute.DeleteRequest{Path: "/taken", Version: -1}))
	other := create("/taken", jute.ModeEphemeral)
	other.SessionID = 8
	b.prepare(other)
	closed := b.prepare(Request{Op: jute.OpCloseSession})
	want := []string{"/applied", "/inflight"}
	if got := closed.Body.(*jute.CloseSessionTxn).Paths2Delete; !slices.Equal(got, want) {
		t.Errorf("closeSession lists %v, want %v", got, want)
	}
	if got := code(b.prepare(create("/late", jute.ModeEphemeral))); got != jute.CodeSessionExpired {
		t.Errorf("a request behind closeSession gives %v", got)
	}
	b.applyAll()
	if _, open := b.tree.SessionTimeout(session); open || len(b.tree.Ephemerals(session)) != 0 || !reflect.DeepEqual(b.tree.Ephemerals(8), []string{"/taken"}) {
		t.Error("the close was not applied")
	}
	if got := code(b.do(create("/late", jute.ModeEphemeral))); got != jute.CodeSessionExpired {
		t.Errorf("a request after closeSession gives %v", got)
	}
}

func TestMulti(t *testing.T) {
	b := newBench(t)
	part := func(op jute.OpCode, record jute.Record) jute.MultiOp { return jute.MultiOp{Type: op, Record: record} }
	good := request(jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
		part(jute.OpCreate2, &jute.CreateRequest{Path: "/m", ACL: openAll}),
		part(jute.OpCreate, &jute.CreateRequest{Path: "/m/", ACL: openAll, Flags: jute.ModeEphemeralSequential}),
		part(jute.OpCheck, &jute.CheckVersionRequest{Path: "/m", Version: 0}),
		part(jute.OpSetData, &jute.SetDataRequest{Path: "/m", Data: []byte("x"), Version: 0}),
		part(jute.OpCreateContainer, &jute.CreateRequest{Path: "/c", ACL: openAll, Flags: jute.ModeContainer}),
		part(jute.OpDelete, &jute.DeleteRequest{Path: "/c", Version: 0}),
	}})
	txn := b.do(good)
	var types []jute.OpCode
	for _, sub := range txn.Body.(*jute.MultiTxn).Txns {
		types = append(types, sub.Type)
	}
	// create2 is logged as create, which followers of version 3.8 need.
	want := []jute.OpCode{jute.OpCreate, jute.OpCreate, jute.OpCheck, jute.OpSetData, jute.OpCreateContainer, jute.OpDelete}
	if !slices.Equal(types, want) {
		t.Errorf("logged as %v, want %v", types, want)
	}
	if data, stat, err := b.tree.GetData("/m", tree.Caller{}, nil); string(data) != "x" || stat.NumChildren != 1 || err != nil {
		t.Errorf("/m is %q %+v %v", data, stat, err)
	}

	// A failure takes everything back, also what was outstanding before it is as it was.
	b.prepare(request(jute.OpSetData, &jute.SetDataRequest{Path: "/m", Data: []byte("y"), Version: 1}))
	outstanding := b.prep.Outstanding()
	bad := b.prepare(request(jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
		part(jute.OpSetData, &jute.SetDataRequest{Path: "/m", Data: []byte("z"), Version: 2}),
		part(jute.OpCreate, &jute.CreateRequest{Path: "/m/s", ACL: openAll, Flags: jute.ModePersistentSequential}),
		part(jute.OpDelete, &jute.DeleteRequest{Path: "/none", Version: -1}),
		part(jute.OpCheck, &jute.CheckVersionRequest{Path: "/m", Version: -1}),
	}}))
	if bad.Header.Type != jute.OpMulti || b.prep.Outstanding() != outstanding {
		t.Errorf("a failed multi is logged as %v and leaves %d changes", bad.Header.Type, b.prep.Outstanding()-outstanding)
	}
	next := b.prepare(create("/m/s", jute.ModePersistentSequential))
	if path := next.Body.(*jute.CreateTxn).Path; path != "/m/s0000000001" {
		t.Errorf("behind the failed multi the sequence goes on at %s", path)
	}
	set := b.prepare(request(jute.OpSetData, &jute.SetDataRequest{Path: "/m", Version: 2}))
	if code(set) != jute.CodeOK {
		t.Errorf("behind the failed multi the version is wrong: %v", code(set))
	}
	result := b.tree.Apply(&b.waiting[0])
	if result.Err != jute.CodeOK {
		t.Fatal(result)
	}
	result = b.tree.Apply(&b.waiting[1])
	var codes []jute.ErrorCode
	for _, sub := range result.Multi {
		codes = append(codes, sub.Err)
	}
	if wantCodes := []jute.ErrorCode{0, 0, jute.CodeNoNode, jute.CodeRuntimeInconsistency}; !slices.Equal(codes, wantCodes) {
		t.Errorf("a failed multi answers %v, want %v", codes, wantCodes)
	}
	b.waiting = b.waiting[2:]
	b.applyAll()
}

func TestReset(t *testing.T) {
	b := newBench(t)
	b.prepare(create("/lost", 0))
	b.prepare(Request{Op: jute.OpCloseSession})
	b.waiting = nil
	b.prep.Reset()
	if got := code(b.do(create("/lost", 0))); got != jute.CodeOK {
		t.Errorf("after a reset: %v", got)
	}
}

func BenchmarkPrepareSetData(b *testing.B) {
	tr := tree.New()
	p := New(tr, Options{})
	for i, req := range []Request{{SessionID: session, Op: jute.OpCreateSession, Body: jute.AppendInt32(nil, 4000)}, create("/p", 0)} {
		req.SessionID = session
		txn := p.Prepare(req, int64(i+1), 0)
		tr.Apply(&txn)
	}
	p.Committed(2)
	req := request(jute.OpSetData, &jute.SetDataRequest{Path: "/p", Data: make([]byte, 1024), Version: -1})
	req.SessionID = session
	b.ReportAllocs()
	for i := int64(3); b.Loop(); i++ {
		txn := p.Prepare(req, i, i)
		tr.Apply(&txn)
		p.Committed(i)
	}
}
