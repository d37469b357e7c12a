package servetest

import (
	"fmt"

	"zoolab/zk/jute"
)

// specialTrees has what is below /zookeeper.
func specialTrees(s *script) {
	w, super := s.connect("w"), s.connect("super")
	super.auth("super", "digest", "super:secret")
	for _, x := range []*wire{w, super} {
		for _, path := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
			x.get(path)
			x.getACL(path)
			x.delete(path)
			x.do("children of "+path, jute.OpGetChildren2, &jute.GetChildren2Request{Path: path}, &jute.GetChildren2Response{})
		}
		for _, path := range []string{"/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/own"} {
			x.createACL(path+"/x", entry(31, "world", "anyone"))
			x.delete(path + "/x")
		}
		x.set("/zookeeper/quota", "q")
		x.get("/zookeeper/quota")
		joining := "server.1=a:1:2;3"
		x.do("reconfig", jute.OpReconfig, &jute.ReconfigRequest{JoiningServers: &joining, CurConfigID: -1}, &jute.GetDataResponse{})
		x.do("setACL of config", jute.OpSetACL, &jute.SetACLRequest{Path: "/zookeeper/config", ACL: open, Version: 5}, &jute.SetACLResponse{})
	}
	w.set("/zookeeper/config", "c")
	w.get("/zookeeper/config")
	w.close()
	super.close()
}

func quotas(s *script) {
	w := s.connect("q")
	open := entry(31, "world", "anyone")
	limits := func(path, data string) {
		w.do(fmt.Sprintf("limits of %s %q", path, data), jute.OpCreate,
			&jute.CreateRequest{Path: "/zookeeper/quota" + path + "/zookeeper_limits", Data: []byte(data), ACL: []jute.ACL{open}}, &jute.CreateResponse{})
	}
	stats := func(path string) { w.get("/zookeeper/quota" + path + "/zookeeper_stats") }
	w.createACL("/app", open)
	w.createACL("/app/a", open)
	w.createACL("/zookeeper/quota/app", open)
	limits("/app", "count=4,bytes=12")
	w.createACL("/app/b", open)
	w.createACL("/zookeeper/quota/app/zookeeper_stats", open)
	stats("/app")
	write := func() {
		w.set("/app/a", "12345")
		stats("/app")
		w.set("/app/a", "12345678901234567890")
		w.set("/app/a", "1")
		w.createACL("/app/c", open)
		w.createACL("/app/d", open)
		w.do("sequential", jute.OpCreate2, createReq("/app/s", "12345", jute.ModeEphemeralSequential), &jute.Create2Response{})
		stats("/app")
		w.do("wrong version", jute.OpSetData, &jute.SetDataRequest{Path: "/app/a", Data: make([]byte, 99), Version: 99}, &jute.SetDataResponse{})
		w.do("exists already", jute.OpCreate, createReq("/app/a", "x", 0), &jute.CreateResponse{})
		w.do("no parent", jute.OpCreate, createReq("/app/none/x", "x", 0), &jute.CreateResponse{})
		multi := func(label string, ops ...jute.MultiOp) {
			w.do(label, jute.OpMulti, &jute.MultiRequest{Ops: ops}, &jute.MultiResponse{})
		}
		create := func(path, data string) jute.MultiOp {
			return jute.MultiOp{Type: jute.OpCreate, Record: createReq(path, data, 0)}
		}
		multi("multi", create("/other", ""), create("/app/m", "123456789012"), create("/app/n", ""))
		multi("multi of two", create("/app/e", ""), create("/app/f", ""))
		multi("multi that sets", jute.MultiOp{Type: jute.OpSetData, Record: &jute.SetDataRequest{Path: "/app/b", Data: make([]byte, 13), Version: -1}})
		stats("/app")
		w.delete("/app/m", "/app/n", "/app/e", "/app/f", "/other", "/app/d", "/app/c")
		w.set("/app/b", "")
		stats("/app")
	}
	write()
	for _, data := range []string{
		"count=-1,bytes=-1=;byteHardLimit=12;countHardLimit=4", "count=9,bytes=9=;countHardLimit=4", "byteHardLimit=0", "countHardLimit=0", "",
		"count=many", "count", "bytes=3;count=7",
	} {
		w.set("/zookeeper/quota/app/zookeeper_limits", data)
		write()
	}
	// A quota inside of another.
	w.createACL("/app/a/deep", open)
	w.createACL("/zookeeper/quota/app/a", open)
	limits("/app/a", "count=3,bytes=-1=;countHardLimit=3")
	w.createACL("/zookeeper/quota/app/a/zookeeper_stats", open)
	w.set("/zookeeper/quota/app/zookeeper_limits", "count=-1,bytes=-1=;countHardLimit=1")
	for _, path := range []string{"/app/a/1", "/app/a/2", "/app/2", "/app/a/deep/3"} {
		w.createACL(path, open)
		stats("/app/a")
		stats("/app")
	}
	w.set("/zookeeper/quota/app/a/zookeeper_stats", "own=7;count=1,bytes=5")
	w.set("/app/a/deep", "123")
	stats("/app/a")
	w.delete("/zookeeper/quota/app/a/zookeeper_limits")
	w.set("/app/a/deep", "")
	stats("/app/a")
	stats("/app")
	w.delete("/zookeeper/quota/app/zookeeper_stats")
	w.createACL("/app/unlimited", open)
	w.delete("/zookeeper/quota/app/zookeeper_limits")
	w.createACL("/app/unlimited2", open)
	w.close()
}
