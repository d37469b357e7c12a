package servetest

import "zoolab/zk/jute"

func container(path string) *jute.CreateRequest { return createReq(path, "c", jute.ModeContainer) }

func ttlReq(path string, flags jute.CreateFlags, ttlMs int64) *jute.CreateTTLRequest {
	return &jute.CreateTTLRequest{Path: path, Data: []byte("t"), ACL: open, Flags: flags, TtlMs: ttlMs}
}

// kinds creates containers and TTL znodes, alone and in multis.
func kinds(s *script) {
	w := s.connect("k")
	w.do("container", jute.OpCreateContainer, container("/k"), &jute.Create2Response{})
	w.do("container exists", jute.OpCreateContainer, container("/k"), &jute.Create2Response{})
	w.do("stat of a container", jute.OpExists, &jute.ExistsRequest{Path: "/k"}, &jute.ExistsResponse{})
	w.do("container with flags 0", jute.OpCreateContainer, createReq("/k/0", "", 0), &jute.Create2Response{})
	w.do("container with flags 3", jute.OpCreateContainer, createReq("/k/3", "", 3), &jute.Create2Response{})
	w.do("container with flags 5", jute.OpCreateContainer, createReq("/k/5", "", 5), &jute.Create2Response{})
	w.do("container with flags 7", jute.OpCreateContainer, createReq("/k/7", "", 7), &jute.Create2Response{})
	w.do("create with flags 5", jute.OpCreate, createReq("/k/t", "", 5), &jute.CreateResponse{})
	w.do("create2 with flags 6", jute.OpCreate2, createReq("/k/t", "", 6), &jute.Create2Response{})
	w.do("ttl", jute.OpCreateTTL, ttlReq("/k/t", jute.ModeTTL, 100000), &jute.Create2Response{})
	w.do("ttl exists", jute.OpCreateTTL, ttlReq("/k/t", jute.ModeTTL, 100000), &jute.Create2Response{})
	w.do("stat of a ttl znode", jute.OpExists, &jute.ExistsRequest{Path: "/k/t"}, &jute.ExistsResponse{})
	w.do("ttl sequential", jute.OpCreateTTL, ttlReq("/k/t", jute.ModeTTLSequential, 1<<40-1), &jute.Create2Response{})
	for _, ttlMs := range []int64{0, -1, 1 << 40, 1 << 62} {
		w.do("ttl out of bounds", jute.OpCreateTTL, ttlReq("/k/b", jute.ModeTTL, ttlMs), &jute.Create2Response{})
	}
	for _, flags := range []jute.CreateFlags{0, 1, 4, 7, -1} {
		w.do("ttl with other flags", jute.OpCreateTTL, ttlReq("/k/o", flags, 5), &jute.Create2Response{})
	}
	w.do("child of a ttl znode", jute.OpCreate2, createReq("/k/t/child", "", 0), &jute.Create2Response{})
	part := func(op jute.OpCode, r jute.Record) jute.MultiOp { return jute.MultiOp{Type: op, Record: r} }
	multi := func(label string, ops ...jute.MultiOp) {
		w.t.Helper()
		w.do(label, jute.OpMulti, &jute.MultiRequest{Ops: ops}, &jute.MultiResponse{})
	}
	multi("kinds in a multi",
		part(jute.OpCreateContainer, container("/k/m")), part(jute.OpCreateTTL, ttlReq("/k/m/t", 5, 7)),
		part(jute.OpCreateTTL, ttlReq("/k/m/t", 6, 7)), part(jute.OpCreate2, createReq("/k/m/two", "", 1)),
		part(jute.OpCreate, container("/k/m/by-flags")), part(jute.OpCreateContainer, createReq("/k/m/no-flags", "", 0)),
		part(jute.OpCreateTTL, ttlReq("/k/m/no-ttl", 0, 7)), part(jute.OpCreate2, container("/k/m/two-by-flags")))
	multi("create with the flags of a ttl", part(jute.OpDelete, &jute.DeleteRequest{Path: "/k/m/two", Version: -1}), part(jute.OpCreate, createReq("/k/m/x", "", 5)))
	multi("create with the flags of a ttl, behind a failure", part(jute.OpDelete, &jute.DeleteRequest{Path: "/none", Version: -1}), part(jute.OpCreate, createReq("/k/m/x", "", 5)))
	multi("a read behind a failure", part(jute.OpDelete, &jute.DeleteRequest{Path: "/none", Version: -1}), part(jute.OpGetData, &jute.GetDataRequest{Path: "/k"}))
	multi("ttl out of bounds", part(jute.OpCreateTTL, ttlReq("/k/m/x", 5, 0)))
	multi("container exists", part(jute.OpCreateContainer, container("/k/m")))
	multi("flags 7", part(jute.OpCreateTTL, ttlReq("/k/m/x", 7, 5)))
	multi("reads", part(jute.OpGetData, &jute.GetDataRequest{Path: "/k"}))
	multi("checks only", part(jute.OpCheck, &jute.CheckVersionRequest{Path: "/k"}), part(jute.OpCheck, &jute.CheckVersionRequest{Path: "/k", Version: -1}))
	w.do("children", jute.OpGetChildren2, &jute.GetChildren2Request{Path: "/k/m"}, &jute.GetChildren2Response{})
	w.do("ephemerals", jute.OpGetEphemerals, &jute.GetEphemeralsRequest{PrefixPath: " "}, &jute.GetEphemeralsResponse{})
	w.do("all", jute.OpGetAllChildrenNumber, &jute.GetAllChildrenNumberRequest{Path: "/k"}, &jute.GetAllChildrenNumberResponse{})
	w.do("all of the empty path", jute.OpGetAllChildrenNumber, &jute.GetAllChildrenNumberRequest{}, &jute.GetAllChildrenNumberResponse{})
	w.do("reconfig", jute.OpReconfig, &jute.ReconfigRequest{}, nil)
	w.do("failing check", jute.OpCheck, &jute.CheckVersionRequest{Path: "/k", Version: 9}, nil)
	w.delete("/k/m/two", "/k/m/t", "/k/m/t0000000001", "/k/m/t0000000002", "/k/m/by-flags", "/k/m/no-flags", "/k/m/no-ttl", "/k/m/two-by-flags", "/k/m",
		"/k/t/child", "/k/t", "/k/t0000000003", "/k/t0000000004", "/k/0", "/k/3", "/k")
	w.do("what is left", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/"}, &jute.GetChildrenResponse{})
	w.close()
}

// readsTogether sends multiReads, and asks who is there.
func readsTogether(s *script) {
	w := s.connect("r")
	w.create("/r", "one")
	w.create("/r/child", "")
	read := func(label string, ops ...jute.MultiOp) {
		w.t.Helper()
		w.do(label, jute.OpMultiRead, &jute.MultiRequest{Ops: ops}, &jute.MultiResponse{})
	}
	get := func(path string) jute.MultiOp {
		return jute.MultiOp{Type: jute.OpGetData, Record: &jute.GetDataRequest{Path: path, Watch: true}}
	}
	list := func(path string) jute.MultiOp {
		return jute.MultiOp{Type: jute.OpGetChildren, Record: &jute.GetChildrenRequest{Path: path, Watch: true}}
	}
	read("no reads")
	read("reads", get("/r"), list("/r"), get("/none"), list("/r/child"), list("/none"), get("/zookeeper/config"))
	read("a write", jute.MultiOp{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/r/child", Version: -1}})
	read("mixed", get("/r"), jute.MultiOp{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/r/child", Version: -1}})
	w.delete("/r/child", "/r") // no watch was set
	w.do("who", jute.OpWhoAmI, nil, &jute.WhoAmIResponse{})
	w.close()
}

// lastingWatches adds, asks for and removes watches that stay.
func lastingWatches(s *script) {
	w, other := s.connect("l"), s.connect("o")
	add := func(path string, mode jute.AddWatchMode) {
		w.t.Helper()
		w.do("addWatch "+path, jute.OpAddWatch, &jute.AddWatchRequest{Path: path, Mode: mode}, &jute.ErrorResponse{})
	}
	check := func(c *wire, path string) {
		c.t.Helper()
		for which := range jute.WatcherType(5) {
			c.do("check "+path, jute.OpCheckWatches, &jute.CheckWatchesRequest{Path: path, Type: which}, nil)
		}
	}
	remove := func(path string, which jute.WatcherType) {
		w.t.Helper()
		w.do("remove "+path, jute.OpRemoveWatches, &jute.RemoveWatchesRequest{Path: path, Type: which}, nil)
	}
	set := func(path string) {
		w.t.Helper()
		w.do("set "+path, jute.OpSetData, &jute.SetDataRequest{Path: path, Version: -1}, &jute.SetDataResponse{})
	}
	add("/l", jute.AddWatchPersistent)
	add("/l", 2)
	add("/l", -1)
	add("", jute.AddWatchRecursive)
	add("no path", jute.AddWatchRecursive)
	// Its own events come before its answers.
	w.create("/l", "")
	w.create("/l/a", "")
	set("/l")
	set("/l")
	set("/l/a")
	add("/l", jute.AddWatchRecursive)
	add("/l/a", jute.AddWatchPersistent)
	w.create("/l/a/b", "")
	set("/l/a/b")
	set("/l/a")
	check(w, "/l")
	check(w, "/l/a/b")
	check(other, "/l/a")
	check(other, "/")
	w.do("one-shot in its place", jute.OpGetData, &jute.GetDataRequest{Path: "/l", Watch: true}, &jute.GetDataResponse{})
	set("/l")
	set("/l")
	w.create("/l/c", "")
	w.delete("/l/c")
	w.do("one-shot children", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/l/a", Watch: true}, &jute.GetChildrenResponse{})
	w.delete("/l/a/b")
	w.create("/l/a/b", "")
	remove("/l", jute.WatcherData)
	remove("/l", jute.WatcherChildren)
	remove("/l", jute.WatcherAny)
	remove("/l/a", jute.WatcherAny)
	remove("/l/a", 4)
	remove("/l/none", jute.WatcherAny)
	w.do("removed by another", jute.OpExists, &jute.ExistsRequest{Path: "/l", Watch: true}, &jute.ExistsResponse{})
	other.do("remove another's", jute.OpRemoveWatches, &jute.RemoveWatchesRequest{Path: "/l", Type: jute.WatcherAny}, nil)
	remove("/l", jute.WatcherData)
	set("/l")
	w.raw("setWatches2", jute.XidSetWatches, jute.OpSetWatches2, jute.Marshal(&jute.SetWatches2{
		RelativeZxid: 1 << 62, DataWatches: []string{"/l", "/l/none"}, ExistWatches: []string{"/l/a", "/l/later"}, ChildWatches: []string{"/l"},
		PersistentWatches: []string{"/l/a", "/l"}, PersistentRecursiveWatches: []string{"/l/a/b", "/zookeeper"},
	}), nil)
	set("/l")
	set("/l/a")
	w.create("/l/a/b/c", "")
	w.create("/l/later", "")
	w.do("multi", jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
		{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/l/a/b/c", Version: -1}},
		{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/l/a/b", Version: -1}},
		{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/l/later", Version: -1}},
	}}, &jute.MultiResponse{})
	w.delete("/l/a", "/l")
	other.close()
	w.close()
}
