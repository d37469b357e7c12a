package prep

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// javaClient is one session at an Apache server. It sends requests without waiting.
type javaClient struct {
	t    *testing.T
	conn net.Conn
	id   int64
	cxid int32
	who  tree.Caller
	sent map[int32]Request
	err  map[int32]jute.ErrorCode
	body map[int32][]byte
}

func (c *javaClient) frame(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(append(jute.AppendInt32(nil, int32(len(b))), b...)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *javaClient) read() []byte {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.conn, b); err != nil {
		c.t.Fatal(err)
	}
	return b
}

// patience bounds what the test waits for, such as Java to start on a machine that does much else.
const patience = 4 * time.Minute

func dialJava(t *testing.T, addr string) *javaClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	c := &javaClient{
		t: t, conn: conn, sent: make(map[int32]Request), err: make(map[int32]jute.ErrorCode), body: make(map[int32][]byte),
		who: tree.Caller{IDs: []jute.ID{{Scheme: "ip", ID: "127.0.0.1"}}},
	}
	c.frame(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 30000, Passwd: make([]byte, 16)}))
	var response jute.ReadOnlyConnectResponse
	if err := jute.Unmarshal(c.read(), &response); err != nil {
		t.Fatal(err)
	}
	c.id = response.SessionID
	return c
}

func (c *javaClient) addDigest(user, password, id string) {
	header := jute.RequestHeader{Xid: jute.XidAuth, Type: jute.OpAuth}
	c.frame(append(jute.Marshal(&header), jute.Marshal(&jute.AuthPacket{Scheme: "digest", Auth: []byte(user + ":" + password)})...))
	c.read()
	c.who.IDs = append(c.who.IDs, jute.ID{Scheme: "digest", ID: id})
}

func (c *javaClient) send(req Request) {
	c.cxid++
	req.SessionID, req.Cxid, req.Who = c.id, c.cxid, c.who
	c.sent[c.cxid] = req
	header := jute.RequestHeader{Xid: c.cxid, Type: req.Op}
	c.frame(append(jute.Marshal(&header), req.Body...))
}

// receive reads the answers to all requests that were sent.
func (c *javaClient) receive() {
	for len(c.err) < len(c.sent) {
		d := jute.NewDecoder(c.read())
		var header jute.ReplyHeader
		header.Decode(d)
		c.err[header.Xid] = header.Err
		c.body[header.Xid] = bytes.Clone(d.Rest())
	}
}

// javaRequests are single requests for the checks that random ones seldom meet.
func javaRequests() []Request {
	world := func(perms int32) []jute.ACL {
		return []jute.ACL{{Perms: perms, ID: jute.ID{Scheme: "world", ID: "anyone"}}}
	}
	digest := func(id string) []jute.ACL { return []jute.ACL{{Perms: 31, ID: jute.ID{Scheme: "digest", ID: id}}} }
	ip := func(id string) []jute.ACL { return []jute.ACL{{Perms: 31, ID: jute.ID{Scheme: "ip", ID: id}}} }
	var list []Request
	add := func(op jute.OpCode, record jute.Record) {
		list = append(list, Request{Op: op, Body: jute.Marshal(record)})
	}
	for _, path := range []string{
		"", "x", "x/y", "/", "//", "/p/", "/p//q", "/.", "/..", "/.p", "/p..", "/...", "/p/./q", "/p/..", "/\x00", "/p\x01", "/p\x1f", "/p\x20", "/p\x7f",
		"/\u009f", "/\u00a0", "/\ud7ff", "/\ue000", "/\uf8ff", "/\uf900", "/\uffef", "/\ufff0", "/\U0001F600", "/\xff", "/日本", "/missing/p", "/zookeeper/p",
	} {
		add(jute.OpCreate2, &jute.CreateRequest{Path: path, ACL: world(31)})
		add(jute.OpCreate, &jute.CreateRequest{Path: path, ACL: world(31), Flags: jute.ModePersistentSequential})
		add(jute.OpSetData, &jute.SetDataRequest{Path: path, Data: []byte("d"), Version: -1})
		add(jute.OpSetACL, &jute.SetACLRequest{Path: path, ACL: world(31), Version: -1})
		add(jute.OpDelete, &jute.DeleteRequest{Path: path, Version: -1})
	}
	for i, acl := range [][]jute.ACL{
		nil, {}, world(0), world(4), {{Perms: 31, ID: jute.ID{Scheme: "world", ID: "somebody"}}}, {{Perms: 31, ID: jute.ID{Scheme: "auth"}}},
		{{Perms: 31, ID: jute.ID{Scheme: "auth", ID: "x"}}, {Perms: 1, ID: jute.ID{Scheme: "auth", ID: "x"}}}, append(world(31), world(31)...),
		{{Perms: 31}}, {{Perms: 31, ID: jute.ID{Scheme: "nosuch", ID: "x"}}}, digest(""), digest("u"), digest("u:"), digest(":h"), digest("u:h:"), digest("u:h:i"),
		ip("127.0.0.1"), ip("127.0.0.0/8"), ip("127.0.0.0/33"), ip("127.0.0"), ip("127.0.0.256"), ip("10.0.0.0/0"), ip("128.0.0.0/1"), ip("127.0.0.1/x"),
	} {
		path := "/acl" + string(rune('a'+i))
		add(jute.OpCreate, &jute.CreateRequest{Path: path, ACL: acl})
		add(jute.OpCreate, &jute.CreateRequest{Path: path + "/child", ACL: world(31), Flags: jute.ModeEphemeral})
		add(jute.OpSetData, &jute.SetDataRequest{Path: path, Version: 0})
		add(jute.OpSetACL, &jute.SetACLRequest{Path: path, ACL: world(31), Version: 1})
		add(jute.OpDelete, &jute.DeleteRequest{Path: path, Version: 0})
	}
	for flags := jute.CreateFlags(-1); flags < 9; flags++ {
		for _, op := range []jute.OpCode{jute.OpCreate, jute.OpCreate2} {
			if flags != jute.ModeContainer {
				add(op, &jute.CreateRequest{Path: "/mode", ACL: world(31), Flags: flags})
			}
		}
		for _, ttlMs := range []int64{-1, 0, 1, tree.MaxTTLMs, tree.MaxTTLMs + 1} {
			// Apache's reply to a TTL request without a TTL mode is no answer.
			if flags >= jute.ModeTTL || ttlMs >= 0 {
				add(jute.OpCreateTTL, &jute.CreateTTLRequest{Path: "/ttl", ACL: world(31), Flags: flags, TtlMs: ttlMs})
			}
		}
	}
	add(jute.OpCreateContainer, &jute.CreateRequest{Path: "/container", ACL: world(31), Flags: jute.ModeContainer})
	list = append(list, Request{Op: jute.OpCreate, Body: []byte{1, 2}}, Request{Op: jute.OpMulti, Body: []byte{0, 0}}, Request{Op: jute.OpReconfig, Body: jute.Marshal(&jute.ReconfigRequest{CurConfigID: -1})})
	return list
}

// logTxns returns the transactions of the server's log, in order.
func logTxns(t *testing.T, dataDir string) []jute.LoggedTxn {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dataDir, "version-2", "log.*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("logs: %v, %v", names, err)
	}
	content, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var txns []jute.LoggedTxn
	d := jute.NewDecoder(content[16:])
	for d.Int64() != 0 {
		var txn jute.LoggedTxn
		if err := jute.Unmarshal(d.Buffer(), &txn); err != nil {
			t.Fatal(err)
		}
		txns = append(txns, txn)
		d = jute.NewDecoder(d.Rest()[1:])
	}
	return txns
}

// TestSameTransactionsAsApache sends the same requests to Apache ZooKeeper 3.8.0 and to
// a Prep: the log of the one must hold, byte for byte, what the other prepares, digests
// included, and the answers must be the same.
func TestSameTransactionsAsApache(t *testing.T) {
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts a Java process")
	}
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	server, err := apache.Start(t.TempDir(), apache.Config{ClientPort: ports[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Kill() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	clients := []*javaClient{dialJava(t, server.ClientAddr), dialJava(t, server.ClientAddr), dialJava(t, server.ClientAddr)}
	clients[1].addDigest("u", "p", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=")
	exchange(clients)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	compareWithJava(t, clients, logTxns(t, server.DataDir))
}

// exchange sends all requests, in bursts, so that many are outstanding at the server.
func exchange(clients []*javaClient) {
	for _, req := range javaRequests() {
		for _, c := range clients {
			c.send(req)
			c.receive()
		}
	}
	g := &generator{r: rand.New(rand.NewSource(1)), noRoot: true}
	for range 30 {
		for range 20 {
			for _, c := range clients {
				req := g.request([]int64{0})
				if req.Op != jute.OpCreateSession && req.Op != jute.OpCloseSession {
					c.send(req)
				}
			}
		}
		for _, c := range clients {
			c.receive()
		}
	}
	clients[0].send(Request{Op: jute.OpCloseSession})
	clients[0].receive()
}

func compareWithJava(t *testing.T, clients []*javaClient, txns []jute.LoggedTxn) {
	tr := tree.New()
	p := New(tr, Options{ExtendedTypes: true})
	compared, failed := 0, 0
	for i := range txns {
		want := &txns[i]
		h := want.Header
		var client *javaClient
		for _, c := range clients {
			if c.id == h.ClientID {
				client = c
			}
		}
		req, known := client.sent[h.Cxid]
		if !known {
			if h.Type != jute.OpCreateSession {
				t.Fatalf("%v with cxid %d was not sent", h.Type, h.Cxid)
			}
			req = Request{SessionID: client.id, Cxid: h.Cxid, Op: jute.OpCreateSession, Body: jute.AppendInt32(nil, 30000)}
		}
		if body, ok := want.Body.(*jute.CloseSessionTxn); ok {
			sort.Strings(body.Paths2Delete) // a hash set's order
		}
		got := p.Prepare(req, h.Zxid, h.TimeMs)
		if a, b := jute.Marshal(&got), jute.Marshal(want); !bytes.Equal(a, b) {
			t.Errorf("%v %q by %x:\nprepared %v %+v %v\nApache   %v %+v %v", req.Op, req.Body, h.ClientID, got.Header.Type, got.Body, got.Digest, h.Type, want.Body, want.Digest)
			if failed++; failed > 10 {
				t.FailNow()
			}
		}
		r := tr.Apply(want)
		p.Committed(h.Zxid)
		if known {
			compareReply(t, req, r, client.err[h.Cxid], client.body[h.Cxid])
		}
		compared++
	}
	if tr.DigestMismatches() != 0 || compared < 1000 {
		t.Errorf("%d transactions compared, %d digests differ", compared, tr.DigestMismatches())
	}
}

// compareReply compares what Apache answered with what the result says.
func compareReply(t *testing.T, req Request, r tree.Result, code jute.ErrorCode, body []byte) {
	t.Helper()
	want := r.Err
	if r.Type == jute.OpMulti {
		want = jute.CodeOK
	}
	if code != want {
		t.Errorf("%v %q: Apache answers %v, the result says %v", req.Op, req.Body, code, want)
	}
	if code != jute.CodeOK {
		return
	}
	var reply []byte
	switch r.Type {
	case jute.OpCreate:
		reply = jute.Marshal(&jute.CreateResponse{Path: r.Path})
	case jute.OpCreate2, jute.OpCreateContainer, jute.OpCreateTTL:
		reply = jute.Marshal(&jute.Create2Response{Path: r.Path, Stat: r.Stat})
	case jute.OpSetData, jute.OpSetACL:
		reply = jute.Marshal(&jute.SetDataResponse{Stat: r.Stat})
	case jute.OpMulti:
		reply = jute.Marshal(multiReply(r))
	}
	if !bytes.Equal(reply, body) {
		t.Errorf("%v %q: Apache answers %x, the result gives %x", req.Op, req.Body, body, reply)
	}
}

func multiReply(r tree.Result) *jute.MultiResponse {
	response := &jute.MultiResponse{}
	for _, sub := range r.Multi {
		part := jute.MultiOp{Type: sub.Type}
		switch sub.Type {
		case jute.OpError:
			part.Err = sub.Err
			part.Record = &jute.ErrorResponse{Err: sub.Err}
		case jute.OpCreate:
			part.Record = &jute.CreateResponse{Path: sub.Path}
		case jute.OpCreateContainer, jute.OpCreateTTL:
			part.Type = jute.OpCreate2 // as Apache labels every answer with a stat
			part.Record = &jute.Create2Response{Path: sub.Path, Stat: sub.Stat}
		case jute.OpSetData:
			part.Record = &jute.SetDataResponse{Stat: sub.Stat}
		}
		response.Results = append(response.Results, part)
	}
	return response
}
