package servetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/internal/apache"
	"zoolab/node/auth"
	"zoolab/zk/jute"
	"zoolab/zk/sasl"
)

// jaasFile has the users of both servers, and one for Java's client.
const jaasFile = `
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_bob="bobs password" user_admin="\"admin\"" user_jürgen="größe";
};
Client {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    username="bob" password="bobs password";
};
Wrong {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    username="bob" password="another password";
};
`

func writeJAAS(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jaas.conf")
	if err := os.WriteFile(path, []byte(jaasFile), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secured starts Apache's server and ours with the same settings and users.
func secured(t *testing.T, settings map[string]string) (java, ours *apache.Server) {
	t.Helper()
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	jaas := writeJAAS(t)
	ports, err := apache.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	own := maps.Clone(settings)
	own["java.security.auth.login.config"] = jaas
	servers := make([]*apache.Server, 2)
	for i, cfg := range []apache.Config{
		// The file of users is UTF-8, whatever the locale.
		{Extra: settings, JavaFlags: []string{"-Djava.security.auth.login.config=" + jaas, "-Dfile.encoding=UTF-8"}},
		{Extra: own, Command: []string{nodeBinary, "serve"}},
	} {
		cfg.ClientPort, cfg.HeapMB = ports[i], 128
		s, err := apache.Start(t.TempDir(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Kill() })
		servers[i] = s
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, s := range servers {
		if err := s.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return servers[0], servers[1]
}

// TestSecurityConformance compares who may do what with Apache's server, for each way to
// configure it.
func TestSecurityConformance(t *testing.T) {
	schemes := map[string]string{
		"authProvider.sasl":                        "org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
		"authProvider.x509":                        "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
		"DigestAuthenticationProvider.superDigest": auth.Digest("super:secret"),
		"superUser.1":                              "admin",
		"letAnySaslUserDoX":                        "any",
		"enforceQuota":                             "true",
		"reconfigEnabled":                          "true",
	}
	type scenario struct {
		name string
		run  func(*script)
	}
	for _, c := range []struct {
		name      string
		settings  map[string]string
		scenarios []scenario
	}{
		{"schemes", schemes, []scenario{
			{"SASL", saslExchanges}, {"ACLs", aclsOfSchemes}, {"super", superUsers}, {"order", orderOfIdentities},
			{"events", eventsOfPrivateZnodes}, {"special trees", specialTrees}, {"quota", quotas},
		}},
		{"digest demanded", map[string]string{
			"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest", "DigestAuthenticationProvider.digestAlg": "SHA-256",
		}, []scenario{{"demand", demandedDigest}}},
		{"SASL demanded", map[string]string{
			"authProvider.1": schemes["authProvider.sasl"], "sessionRequireClientSASLAuth": "true", "allowSaslFailedClients": "true",
		}, []scenario{{"demand", demandedSASL}}},
		{"no ACLs", map[string]string{"skipACL": "yes", "allowSaslFailedClients": "true"}, []scenario{{"skip", skippedACLs}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			java, ours := secured(t, c.settings)
			for _, sc := range c.scenarios {
				t.Run(sc.name, func(t *testing.T) {
					want, got := newScript(t, java.ClientAddr), newScript(t, ours.ClientAddr)
					for _, s := range []*script{want, got} {
						sc.run(s)
						s.leave()
					}
					compare(t, want.lines, got.lines)
				})
			}
		})
	}
}

// The requests that the stories below are made of.

func (w *wire) auth(label, scheme, credentials string) {
	w.t.Helper()
	w.raw(label, jute.XidAuth, jute.OpAuth, jute.Marshal(&jute.AuthPacket{Scheme: scheme, Auth: []byte(credentials)}), nil)
}

func (w *wire) whoAmI(label string) {
	w.t.Helper()
	w.do(label, jute.OpWhoAmI, nil, &jute.WhoAmIResponse{})
}

func (w *wire) createACL(path string, acl ...jute.ACL) {
	w.t.Helper()
	w.do(fmt.Sprintf("create %s %v", path, acl), jute.OpCreate, &jute.CreateRequest{Path: path, Data: []byte("d"), ACL: acl}, &jute.CreateResponse{})
}

func (w *wire) set(path, data string) {
	w.t.Helper()
	w.do(fmt.Sprintf("set %s %q", path, data), jute.OpSetData, &jute.SetDataRequest{Path: path, Data: []byte(data), Version: -1}, &jute.SetDataResponse{})
}

func (w *wire) get(path string) {
	w.t.Helper()
	w.do("get "+path, jute.OpGetData, &jute.GetDataRequest{Path: path}, &jute.GetDataResponse{})
}

func (w *wire) getACL(path string) {
	w.t.Helper()
	w.do("getACL "+path, jute.OpGetACL, &jute.GetACLRequest{Path: path}, &jute.GetACLResponse{})
}

func entry(perms int32, scheme, id string) jute.ACL {
	return jute.ACL{Perms: perms, ID: jute.ID{Scheme: scheme, ID: id}}
}

// ending notes that the server closes the connection, or that it does not.
func (w *wire) ending(label string) {
	if !w.ended {
		_, err := w.read()
		w.end(label, err)
	}
}

// step sends one message of a SASL exchange and returns the server's.
func (w *wire) step(label string, token []byte) []byte {
	w.t.Helper()
	w.xid++
	h := jute.RequestHeader{Xid: w.xid, Type: jute.OpSASL}
	w.send(append(jute.Marshal(&h), jute.Marshal(&jute.GetSASLRequest{Token: token})...))
	frame, err := w.read()
	if err != nil {
		w.end(label, err)
		return nil
	}
	var header jute.ReplyHeader
	var answer jute.SetSASLResponse
	d := jute.NewDecoder(frame)
	header.Decode(d)
	answer.Decode(d)
	w.note("%s %s: xid=%d zxid=%s err=%d token=%t rest=%x %v", w.name, label, header.Xid-w.xid, zxid(header.Zxid), header.Err, answer.Token != nil, d.Rest(), d.Err())
	return answer.Token
}

// login runs a SASL exchange to its end.
func (w *wire) login(user, password string) {
	w.t.Helper()
	c := sasl.NewClient(sasl.ClientConfig{User: user, Password: password, Protocol: sasl.ClientProtocol, Realm: sasl.ClientRealm}, make([]byte, sasl.NonceBytes))
	challenge := w.step(user+" begins", []byte{})
	if challenge == nil {
		return
	}
	answer, err := c.Step(challenge)
	if err != nil {
		w.t.Fatalf("the challenge %q: %v", challenge, err)
	}
	if proof := w.step(user+" answers", answer); proof != nil {
		_, err := c.Step(proof)
		w.note("%s %s is sure of the server: %t %v", w.name, user, c.Done(), err)
	}
}

func saslExchanges(s *script) {
	// Not asked here is an unknown user with the password of who logged in before: Apache's
	// server keeps that one's name and lets the unknown user in.
	for _, c := range [][2]string{
		{"bob", "bobs password"}, {"admin", `"admin"`}, {"jürgen", "größe"}, {"bob", "wrong"}, {"nobody", ""},
	} {
		w := s.connect(c[0] + "/" + c[1])
		w.login(c[0], c[1])
		if w.ended {
			continue
		}
		w.xid++
		h := jute.RequestHeader{Xid: w.xid, Type: jute.OpWhoAmI}
		w.send(jute.Marshal(&h))
		w.await("who is it", w.xid, &jute.WhoAmIResponse{})
		if !w.ended {
			w.close()
		}
	}
	for _, tokens := range [][]string{
		{"username=bob", "rubbish"}, {"", "rubbish"}, {"", ""}, {"", `nonce="x",response=00000000000000000000000000000000`},
	} {
		w := s.connect(fmt.Sprintf("%q", tokens))
		for _, token := range tokens {
			w.step("step", []byte(token))
		}
		w.ending("at last")
	}
	w := s.connect("goes on")
	w.login("bob", "bobs password")
	w.step("goes on after the end", []byte{})
	w.ending("at last")
	w = s.connect("null")
	w.raw("null token", 1, jute.OpSASL, jute.Marshal(&jute.GetSASLRequest{}), nil)
	w = s.connect("no token")
	w.raw("no token", 1, jute.OpSASL, nil, nil)
	w = s.connect("by auth")
	w.auth("sasl by an auth packet", "sasl", "bob")
	w.ending("at last")
	w = s.connect("x509 by auth")
	w.auth("x509 without a certificate", "x509", "CN=bob")
	w.ending("at last")
}

func aclsOfSchemes(s *script) {
	w := s.connect("a")
	for i, acl := range []jute.ACL{
		entry(31, "sasl", "bob"), entry(31, "sasl", "zk/host@REALM"), entry(31, "sasl", "a/b/c@REALM"), entry(31, "sasl", "a@b@c"), entry(31, "sasl", ""),
		entry(31, "x509", "CN=bob"), entry(31, "x509", "bob"), entry(31, "x509", ""), entry(31, "x509", "CN=bob,"), entry(31, "super", ""), entry(31, "world", "x"),
		entry(31, "auth", ""), entry(31, "digest", "a:b"), entry(31, "ip", "127.0.0.1/8"), entry(31, "ip", "127.0.0.1/"), entry(31, "ip", "127.0.0.1/33"),
	} {
		path := fmt.Sprintf("/acl%d", i)
		w.createACL(path, acl)
		w.getACL(path)
		w.get(path)
		w.delete(path)
	}
	bob, admin := s.connect("bob"), s.connect("admin")
	bob.login("bob", "bobs password")
	admin.login("admin", `"admin"`)
	bob.createACL("/bob", entry(31, "auth", ""))
	bob.createACL("/any", entry(1, "sasl", "any"))
	for _, x := range []*wire{w, bob, admin} {
		for _, path := range []string{"/bob", "/any"} {
			x.get(path)
			x.getACL(path)
			x.set(path, "x")
			x.do("exists "+path, jute.OpExists, &jute.ExistsRequest{Path: path}, &jute.ExistsResponse{})
			x.do("getChildren2 "+path, jute.OpGetChildren2, &jute.GetChildren2Request{Path: path}, &jute.GetChildren2Response{})
			x.do("getAllChildrenNumber "+path, jute.OpGetAllChildrenNumber, &jute.GetAllChildrenNumberRequest{Path: path}, &jute.GetAllChildrenNumberResponse{})
			x.do("sync "+path, jute.OpSync, &jute.SyncRequest{Path: path}, &jute.SyncResponse{})
			x.do("create below "+path, jute.OpCreate2, createReq(path+"/x", "", 0), &jute.Create2Response{})
			x.do("setACL "+path, jute.OpSetACL, &jute.SetACLRequest{Path: path, ACL: []jute.ACL{entry(31, "auth", "")}, Version: 7}, &jute.SetACLResponse{})
			x.do("check "+path, jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{
				{Type: jute.OpCheck, Record: &jute.CheckVersionRequest{Path: path, Version: -1}},
				{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: path + "/none", Version: -1}},
			}}, &jute.MultiResponse{})
			x.do("multiRead "+path, jute.OpMultiRead, &jute.MultiRequest{Ops: []jute.MultiOp{
				{Type: jute.OpGetData, Record: &jute.GetDataRequest{Path: path}}, {Type: jute.OpGetChildren, Record: &jute.GetChildrenRequest{Path: path}},
			}}, &jute.MultiResponse{})
			x.delete(path + "/x")
		}
	}
	admin.delete("/bob", "/any")
	for _, x := range []*wire{w, bob, admin} {
		x.close()
	}
}

func superUsers(s *script) {
	w, other := s.connect("super"), s.connect("other")
	w.createACL("/locked", entry(0, "world", "anyone"))
	w.createACL("/mine", entry(31, "digest", auth.Digest("u:p")))
	for _, label := range []string{"before", "after"} {
		w.get("/locked " + label)
		w.get("/locked")
		w.getACL("/mine")
		w.do("setACL "+label, jute.OpSetACL, &jute.SetACLRequest{Path: "/locked", ACL: []jute.ACL{entry(2, "world", "anyone")}, Version: -1}, &jute.SetACLResponse{})
		w.createACL("/auth", entry(31, "auth", ""))
		w.getACL("/auth")
		w.delete("/auth")
		w.whoAmI("who " + label)
		w.auth("super", "digest", "super:secret")
	}
	other.auth("wrong super", "digest", "super:wrong")
	other.get("/locked")
	other.auth("super is no scheme", "super", "super:secret")
	other.ending("at last")
	w.delete("/locked", "/mine")
	w.close()
}

// orderOfIdentities has ACLs with more than one identity in place of auth.
func orderOfIdentities(s *script) {
	for _, n := range []int{2, 5, 11, 12, 13, 30} {
		w := s.connect(fmt.Sprintf("%d", n))
		for i := range n {
			w.auth("auth", "digest", fmt.Sprintf("user%d:p", i))
		}
		w.auth("ip", "ip", "whatever")
		w.createACL("/order", entry(31, "auth", "x"), entry(1, "world", "anyone"), entry(1, "auth", "y"), entry(31, "auth", "x"))
		w.getACL("/order")
		w.whoAmI("who")
		w.delete("/order")
		w.close()
	}
}

func eventsOfPrivateZnodes(s *script) {
	bob, eve := s.connect("bob"), s.connect("eve")
	bob.auth("auth", "digest", "bob:p")
	private := entry(31, "auth", "")
	open := entry(31, "world", "anyone")
	bob.createACL("/e", open)
	eve.do("addWatch", jute.OpAddWatch, &jute.AddWatchRequest{Path: "/e", Mode: jute.AddWatchRecursive}, &jute.ErrorResponse{})
	eve.do("exists", jute.OpExists, &jute.ExistsRequest{Path: "/e/b", Watch: true}, &jute.ExistsResponse{})
	bob.createACL("/e/a", open)
	bob.createACL("/e/b", private)
	bob.createACL("/e/b/c", open)
	bob.set("/e/a", "1")
	bob.set("/e/b", "1")
	eve.do("exists with a watch", jute.OpExists, &jute.ExistsRequest{Path: "/e/b", Watch: true}, &jute.ExistsResponse{})
	eve.do("getChildren with a watch", jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/e", Watch: true}, &jute.GetChildrenResponse{})
	bob.set("/e/b", "2")
	bob.delete("/e/b/c", "/e/b", "/e/a")
	eve.do("sync", jute.OpSync, &jute.SyncRequest{Path: "/e"}, &jute.SyncResponse{})
	eve.do("getData", jute.OpGetData, &jute.GetDataRequest{Path: "/e"}, &jute.GetDataResponse{})
	bob.delete("/e")
	eve.awaitEvent("deleted")
	bob.close()
	eve.close()
}

func demandedDigest(s *script) {
	for _, op := range []jute.OpCode{jute.OpPing, jute.OpGetData, jute.OpCreate, jute.OpSync, jute.OpCloseSession, 999} {
		w := s.connect(fmt.Sprint(op))
		w.raw("before", 7, op, nil, nil)
		w.ending("at last")
	}
	w := s.connect("ip")
	w.auth("another scheme", "ip", "")
	w.get("/")
	w.ending("at last")
	w = s.connect("digest")
	w.auth("auth", "digest", "u:p")
	w.whoAmI("who")
	w.createACL("/d", entry(31, "auth", ""))
	w.getACL("/d")
	w.delete("/d")
	w.close()
}

func demandedSASL(s *script) {
	w := s.connect("none")
	w.get("/")
	w.ending("at last")
	w = s.connect("digest")
	w.auth("auth", "digest", "u:p")
	w.get("/")
	w.ending("at last")
	w = s.connect("wrong")
	w.login("bob", "wrong")
	w.ending("at last")
	w = s.connect("bob")
	w.login("bob", "bobs password")
	w.get("/")
	w.close()
}

func skippedACLs(s *script) {
	w := s.connect("w")
	w.createACL("/locked", entry(0, "world", "anyone"))
	w.createACL("/private", entry(1, "digest", auth.Digest("u:p")))
	w.createACL("/invalid", entry(1, "nosuch", "x"))
	for _, path := range []string{"/locked", "/private", "/zookeeper/config"} {
		w.get(path)
		w.getACL(path)
	}
	w.set("/locked", "x")
	w.delete("/private")
	w.delete("/locked")
	w.close()
	w = s.connect("wrong")
	w.login("bob", "wrong")
	w.xid++
	h := jute.RequestHeader{Xid: w.xid, Type: jute.OpWhoAmI}
	w.send(jute.Marshal(&h))
	w.await("who is it", w.xid, &jute.WhoAmIResponse{})
	w.step("again", []byte{})
	w.step("and again", []byte("x"))
	w.close()
}

// TestSASLOfJavasClient logs in with Apache's own shell.
func TestSASLOfJavasClient(t *testing.T) {
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	jaas := writeJAAS(t)
	s := startNode(t, map[string]string{"java.security.auth.login.config": jaas, "sessionRequireClientSASLAuth": "true"})
	t.Setenv("JAVA_TOOL_OPTIONS", "-Djava.security.auth.login.config="+jaas)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := apache.RunCLIScript(ctx, s.ClientAddr, "create /s data sasl:bob:cdrwa", "getAcl /s", "get /s", "whoami")
	if err != nil || !strings.Contains(output, "SaslAuthenticated") || !strings.Contains(output, "Created /s") ||
		!strings.Contains(output, "'sasl,'bob") || !strings.Contains(output, "sasl: bob") {
		t.Errorf("%v:\n%s", err, output)
	}
	t.Setenv("JAVA_TOOL_OPTIONS", "-Djava.security.auth.login.config="+jaas+" -Dzookeeper.sasl.clientconfig=Wrong")
	if output, err := apache.RunCLIScript(ctx, s.ClientAddr, "get /s"); err == nil && bytes.Contains([]byte(output), []byte("\ndata\n")) {
		t.Errorf("a wrong password reads /s:\n%s", output)
	}
}
