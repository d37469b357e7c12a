package prep

import (
	"math"
	"testing"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

func extendedBench(t *testing.T) *bench {
	b := newBench(t)
	b.prep = New(b.tree, Options{ExtendedTypes: true, MaxNeverUsedMs: 20_000})
	return b
}

func createTTL(path string, flags jute.CreateFlags, ttlMs int64) Request {
	return request(jute.OpCreateTTL, &jute.CreateTTLRequest{Path: path, ACL: openAll, Flags: flags, TtlMs: ttlMs})
}

// TestTTLRequests has the bounds of a time to live and the modes that may have one.
func TestTTLRequests(t *testing.T) {
	for _, c := range []struct {
		name string
		req  Request
		want jute.ErrorCode
	}{
		{"least", createTTL("/t", jute.ModeTTL, 1), jute.CodeOK},
		{"most", createTTL("/t", jute.ModeTTL, tree.MaxTTLMs), jute.CodeOK},
		{"sequential", createTTL("/t", jute.ModeTTLSequential, 1000), jute.CodeOK},
		{"none", createTTL("/t", jute.ModeTTL, 0), jute.CodeBadArguments},
		{"negative", createTTL("/t", jute.ModeTTL, -1), jute.CodeBadArguments},
		{"more than most", createTTL("/t", jute.ModeTTL, tree.MaxTTLMs+1), jute.CodeBadArguments},
		{"of a persistent znode", createTTL("/t", jute.ModePersistent, 1000), jute.CodeBadArguments},
		{"of a container", createTTL("/t", jute.ModeContainer, 1000), jute.CodeBadArguments},
		{"none of a persistent znode", createTTL("/t", jute.ModePersistent, -1), jute.CodeBadArguments},
		{"mode of a create", create("/t", jute.ModeTTL), jute.CodeBadArguments},
		{"bad mode", createTTL("/t", 7, 1000), jute.CodeBadArguments},
	} {
		b := extendedBench(t)
		txn := b.do(c.req)
		if got := code(txn); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if body, ok := txn.Body.(*jute.CreateTTLTxn); ok {
			info, _ := b.tree.Lookup(body.Path)
			if owner := info.Stat.EphemeralOwner; tree.KindOf(owner) != tree.TTL || owner != tree.OwnerOfTTL(body.TtlMs) {
				t.Errorf("%s: owner %x", c.name, uint64(owner))
			}
		}
	}
}

// TestDeleteContainerLooksAgain has what may happen between the moment at which the
// leader finds a znode and the one at which the delete is prepared. Each request comes a
// second after the one before it.
func TestDeleteContainerLooksAgain(t *testing.T) {
	sweep := func(path string) Request { return Request{Op: jute.OpDeleteContainer, Body: []byte(path)} }
	remove := func(path string) Request {
		return request(jute.OpDelete, &jute.DeleteRequest{Path: path, Version: -1})
	}
	set := request(jute.OpSetData, &jute.SetDataRequest{Path: "/x", Version: -1})
	container := request(jute.OpCreateContainer, &jute.CreateRequest{Path: "/x", ACL: openAll, Flags: jute.ModeContainer})
	ping := create("/other", jute.ModePersistentSequential) // lets a second pass
	for _, c := range []struct {
		name   string
		before []Request
		want   jute.ErrorCode
	}{
		{"a container that was used", []Request{container, create("/x/y", 0), remove("/x/y")}, jute.CodeOK},
		{"one that is used", []Request{container, create("/x/y", 0)}, jute.CodeNotEmpty},
		{"one that is new", []Request{container}, jute.CodeBadVersion},
		{"one that is gone", []Request{container, create("/x/y", 0), remove("/x/y"), remove("/x")}, jute.CodeNoNode},
		{"a persistent znode in its place", []Request{container, create("/x/y", 0), remove("/x/y"), remove("/x"), create("/x", 0)}, jute.CodeBadVersion},
		{"a TTL znode whose time is over", []Request{createTTL("/x", jute.ModeTTL, 1500), ping}, jute.CodeOK},
		{"one that was written meanwhile", []Request{createTTL("/x", jute.ModeTTL, 1500), ping, set}, jute.CodeBadVersion},
		{"one whose time is not quite over", []Request{createTTL("/x", jute.ModeTTL, 2000), ping}, jute.CodeBadVersion},
		{"an ephemeral in its place", []Request{createTTL("/x", jute.ModeTTL, 1), ping, remove("/x"), create("/x", jute.ModeEphemeral)}, jute.CodeBadVersion},
	} {
		for _, applied := range []bool{false, true} {
			b := extendedBench(t)
			for _, req := range c.before {
				if got := code(b.prepare(req)); got != jute.CodeOK {
					t.Fatalf("%s: %v before", c.name, got)
				}
			}
			if applied {
				b.applyAll()
			}
			if got := code(b.do(sweep("/x"))); got != c.want {
				t.Errorf("%s, applied %v: %v, want %v", c.name, applied, got, c.want)
			}
		}
	}
}

// TestCountersWrap goes over the largest number of each 32-bit counter, which ZooKeeper's
// documentation tells for sequences: behind 2147483647 comes -2147483648.
func TestCountersWrap(t *testing.T) {
	builder := tree.NewBuilder()
	for _, n := range []struct {
		path string
		stat jute.StatPersisted
	}{
		{"", jute.StatPersisted{}},
		{"/s", jute.StatPersisted{Cversion: math.MaxInt32, Version: math.MaxInt32, Aversion: math.MaxInt32}},
		{"/m", jute.StatPersisted{Cversion: -2, Version: -2}},
	} {
		if err := builder.AddNode(n.path, nil, -1, &n.stat); err != nil {
			t.Fatal(err)
		}
	}
	if err := builder.AddSession(session, 4000); err != nil {
		t.Fatal(err)
	}
	if err := builder.Finish(1); err != nil {
		t.Fatal(err)
	}
	tr := builder.Tree()
	b := &bench{t: t, tree: tr, prep: New(tr, Options{}), zxid: 1}
	for _, want := range []string{"/s/n2147483647", "/s/n-2147483648", "/s/n-2147483647"} {
		if path := b.do(create("/s/n", jute.ModePersistentSequential)).Body.(*jute.CreateTxn).Path; path != want {
			t.Errorf("the sequence goes on with %s, want %s", path, want)
		}
	}
	for _, want := range []string{"/m/n-000000002", "/m/n-000000001", "/m/n0000000000"} {
		if path := b.do(create("/m/n", jute.ModePersistentSequential)).Body.(*jute.CreateTxn).Path; path != want {
			t.Errorf("the sequence goes on with %s, want %s", path, want)
		}
	}
	set := func(path string, version int32) Request {
		return request(jute.OpSetData, &jute.SetDataRequest{Path: path, Version: version})
	}
	if got := b.do(set("/s", math.MaxInt32)).Body.(*jute.SetDataTxn).Version; got != math.MinInt32 {
		t.Errorf("the version goes on with %d", got)
	}
	if got := code(b.do(set("/s", math.MaxInt32))); got != jute.CodeBadVersion {
		t.Errorf("the old version is accepted: %v", got)
	}
	setACL := request(jute.OpSetACL, &jute.SetACLRequest{Path: "/s", ACL: openAll, Version: math.MaxInt32})
	if got := b.do(setACL).Body.(*jute.SetACLTxn).Version; got != math.MinInt32 {
		t.Errorf("the ACL's version goes on with %d", got)
	}
	// As in 3.8, -1 is a version like others, though a request for it means any.
	for _, want := range []int32{-1, 0} {
		if got := b.do(set("/m", want-1)).Body.(*jute.SetDataTxn).Version; got != want {
			t.Errorf("the version goes on with %d, want %d", got, want)
		}
	}
}
