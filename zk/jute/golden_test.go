package jute_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/adler32"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"zoolab/zk/jute"
)

// sample is one record's bytes as Apache ZooKeeper 3.8.0 sent, received or
// stored them.
type sample struct {
	where string // file and line, or file and offset
	kind  string // a key of kinds
	bytes []byte
}

// kinds makes every decodable thing of the package: the 72 records and the
// shapes composed of them.
var kinds = func() map[string]func() jute.Record {
	all := map[string]func() jute.Record{
		"ReadOnlyConnectRequest":  func() jute.Record { return new(jute.ReadOnlyConnectRequest) },
		"ReadOnlyConnectResponse": func() jute.Record { return new(jute.ReadOnlyConnectResponse) },
		"MultiRequest":            func() jute.Record { return new(jute.MultiRequest) },
		"MultiResponse":           func() jute.Record { return new(jute.MultiResponse) },
		"LoggedTxn":               func() jute.Record { return new(jute.LoggedTxn) },
		"Notification":            func() jute.Record { return new(jute.Notification) },
		"InitialMessage":          func() jute.Record { return new(jute.InitialMessage) },
	}
	for name, make := range jute.Records {
		all[name] = make
	}
	return all
}()

// requestKinds names the body of each request; an operation without a body has "".
var requestKinds = map[jute.OpCode]string{
	jute.OpCreate: "CreateRequest", jute.OpCreate2: "CreateRequest", jute.OpCreateContainer: "CreateRequest",
	jute.OpCreateTTL: "CreateTTLRequest", jute.OpDelete: "DeleteRequest", jute.OpExists: "ExistsRequest",
	jute.OpGetData: "GetDataRequest", jute.OpSetData: "SetDataRequest", jute.OpGetACL: "GetACLRequest",
	jute.OpSetACL: "SetACLRequest", jute.OpGetChildren: "GetChildrenRequest", jute.OpSync: "SyncRequest",
	jute.OpPing: "", jute.OpGetChildren2: "GetChildren2Request", jute.OpMulti: "MultiRequest",
	jute.OpMultiRead: "MultiRequest", jute.OpReconfig: "ReconfigRequest", jute.OpCheckWatches: "CheckWatchesRequest",
	jute.OpRemoveWatches: "RemoveWatchesRequest", jute.OpAuth: "AuthPacket", jute.OpSetWatches: "SetWatches",
	jute.OpSetWatches2: "SetWatches2", jute.OpSASL: "GetSASLRequest", jute.OpGetEphemerals: "GetEphemeralsRequest",
	jute.OpGetAllChildrenNumber: "GetAllChildrenNumberRequest", jute.OpAddWatch: "AddWatchRequest",
	jute.OpWhoAmI: "", jute.OpCloseSession: "", jute.OpCode(99): "",
}

// replyKinds names the body of each successful reply.
var replyKinds = map[jute.OpCode]string{
	jute.OpCreate: "CreateResponse", jute.OpCreate2: "Create2Response", jute.OpCreateContainer: "Create2Response",
	jute.OpCreateTTL: "Create2Response", jute.OpExists: "ExistsResponse", jute.OpGetData: "GetDataResponse",
	jute.OpSetData: "SetDataResponse", jute.OpGetACL: "GetACLResponse", jute.OpSetACL: "SetACLResponse",
	jute.OpGetChildren: "GetChildrenResponse", jute.OpSync: "SyncResponse", jute.OpGetChildren2: "GetChildren2Response",
	jute.OpMulti: "MultiResponse", jute.OpMultiRead: "MultiResponse", jute.OpSASL: "SetSASLResponse",
	jute.OpGetEphemerals: "GetEphemeralsResponse", jute.OpGetAllChildrenNumber: "GetAllChildrenNumberResponse",
	jute.OpAddWatch: "ErrorResponse", jute.OpWhoAmI: "WhoAmIResponse",
}

// collector gathers samples; its errors end the test.
type collector struct {
	t       testing.TB
	samples []sample
	ops     map[jute.OpCode]int     // requests seen on the client port
	packets map[jute.PacketType]int // packets seen on the quorum port
	txns    map[jute.OpCode]int     // transactions seen in logs and proposals
	errs    map[jute.ErrorCode]int  // error codes seen in replies
	events  map[jute.EventType]int  // watch events seen
}

func collect(t testing.TB) *collector {
	t.Helper()
	c := &collector{
		t: t, ops: map[jute.OpCode]int{}, packets: map[jute.PacketType]int{}, txns: map[jute.OpCode]int{},
		errs: map[jute.ErrorCode]int{}, events: map[jute.EventType]int{},
	}
	c.transcript("client.txt", func() func(where, mark string, frame []byte) {
		session := clientConnection{collector: c, requests: map[int32]jute.OpCode{}}
		return session.frame
	})
	for _, name := range []string{"quorum.txt", "reconfig.txt"} {
		c.transcript(name, func() func(where, mark string, frame []byte) { return c.quorumFrame })
	}
	c.transcript("election.txt", func() func(where, mark string, frame []byte) {
		greeted := false
		return func(where, mark string, frame []byte) {
			if mark == ">" && !greeted {
				greeted = true
				c.add(where, "InitialMessage", frame)
				return
			}
			c.add(where, "Notification", frame)
		}
	})
	c.log("standalone.log")
	c.log("reconfig.log")
	c.snapshot("standalone.snapshot")
	return c
}

func (c *collector) add(where, kind string, b []byte) {
	c.t.Helper()
	if kinds[kind] == nil {
		c.t.Fatalf("%s: no record kind %q", where, kind)
	}
	c.samples = append(c.samples, sample{where, kind, bytes.Clone(b)})
}

// decode reads a record that the collector itself needs to find its way.
func (c *collector) decode(where string, d *jute.Decoder, r jute.Record) {
	c.t.Helper()
	r.Decode(d)
	if d.Err() != nil {
		c.t.Fatalf("%s: %T: %v", where, r, d.Err())
	}
}

// transcript reads a file of captured connections; perConnection makes the
// reader of the frames of one of them.
func (c *collector) transcript(name string, perConnection func() func(where, mark string, frame []byte)) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		c.t.Fatal(err)
	}
	var read func(where, mark string, frame []byte)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		where := fmt.Sprintf("%s:%d", name, number)
		mark, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch mark {
		case "#":
		case "connection":
			read = perConnection()
		case ">", "<", "<<":
			frame, err := hex.DecodeString(rest)
			if err != nil {
				c.t.Fatalf("%s: %v", where, err)
			}
			read(where, mark, frame)
		default:
			c.t.Fatalf("%s: not a line of a transcript: %.40q", where, line)
		}
	}
}

// clientConnection follows one connection of the client port.
type clientConnection struct {
	*collector
	requests      map[int32]jute.OpCode // unanswered, by xid
	asked, answer bool                  // the handshake's halves were seen
}

func (c *clientConnection) frame(where, mark string, frame []byte) {
	c.t.Helper()
	switch {
	case mark == ">" && !c.asked:
		c.asked = true
		c.add(where, "ReadOnlyConnectRequest", frame)
	case mark == "<" && !c.answer:
		c.answer = true
		c.add(where, "ReadOnlyConnectResponse", frame)
	case mark == ">":
		c.request(where, frame)
	default:
		c.reply(where, frame)
	}
}

func (c *clientConnection) request(where string, frame []byte) {
	c.t.Helper()
	d := jute.NewDecoder(frame)
	var header jute.RequestHeader
	c.decode(where, d, &header)
	c.add(where, "RequestHeader", frame[:len(frame)-d.Len()])
	kind, known := requestKinds[header.Type]
	if !known {
		c.t.Fatalf("%s: request %v", where, header.Type)
	}
	c.ops[header.Type]++
	c.requests[header.Xid] = header.Type
	if kind != "" {
		c.add(where, kind, d.Rest())
	} else if d.Len() > 0 {
		c.t.Errorf("%s: %v has a body of %d bytes", where, header.Type, d.Len())
	}
}

func (c *clientConnection) reply(where string, frame []byte) {
	c.t.Helper()
	d := jute.NewDecoder(frame)
	var header jute.ReplyHeader
	c.decode(where, d, &header)
	c.add(where, "ReplyHeader", frame[:len(frame)-d.Len()])
	c.errs[header.Err]++
	if header.Xid == jute.XidNotification {
		var event jute.WatcherEvent
		c.add(where, "WatcherEvent", d.Rest())
		c.decode(where, d, &event)
		c.events[event.Type]++
		return
	}
	op, asked := c.requests[header.Xid]
	if !asked {
		c.t.Fatalf("%s: a reply to xid %d, which was not asked", where, header.Xid)
	}
	if kind := replyKinds[op]; kind != "" && header.Err == jute.CodeOK {
		c.add(where, kind, d.Rest())
	} else if d.Len() > 0 {
		c.t.Errorf("%s: the reply to %v with code %d has a body of %d bytes", where, op, header.Err, d.Len())
	}
}

// quorumFrame takes a packet of the quorum port and what its data holds.
func (c *collector) quorumFrame(where, mark string, frame []byte) {
	c.t.Helper()
	if mark == "<<" {
		rest := c.tree(where, frame)
		if string(rest) != "\x00\x00\x00\x0aBenWasHere" {
			c.t.Errorf("%s: behind the tree stands %q", where, rest)
		}
		return
	}
	c.add(where, "QuorumPacket", frame)
	var packet jute.QuorumPacket
	c.decode(where, jute.NewDecoder(frame), &packet)
	c.packets[packet.Type]++
	switch packet.Type {
	case jute.PacketFollowerInfo, jute.PacketObserverInfo:
		c.add(where, "LearnerInfo", packet.Data)
	case jute.PacketProposal, jute.PacketInform:
		c.txn(where, packet.Data)
	case jute.PacketInformAndActivate:
		// A long stands before the transaction: the designated leader.
		c.txn(where, packet.Data[8:])
	case jute.PacketRequest:
		d := jute.NewDecoder(packet.Data)
		d.Int64()
		d.Int32()
		op := jute.OpCode(d.Int32())
		if op == jute.OpCreateSession {
			c.add(where, "CreateSessionTxn", d.Rest())
		} else if kind := requestKinds[op]; kind != "" {
			c.add(where, kind, d.Rest())
		} else if op != jute.OpCloseSession {
			c.t.Errorf("%s: a forwarded %v", where, op)
		}
	}
}

// txn takes a logged transaction apart: header, body and digest.
func (c *collector) txn(where string, b []byte) {
	c.t.Helper()
	c.add(where, "LoggedTxn", b)
	d := jute.NewDecoder(b)
	var txn jute.LoggedTxn
	c.decode(where, d, &txn)
	if d.Len() > 0 {
		c.t.Errorf("%s: %d bytes behind the transaction", where, d.Len())
	}
	c.txns[txn.Header.Type]++
	c.add(where, "TxnHeader", jute.Marshal(&txn.Header))
	// A failed request changes no tree, so its transaction carries no digest.
	if hasDigest := txn.Digest != nil; hasDigest == (txn.Header.Type == jute.OpError) {
		c.t.Errorf("%s: %v with a digest: %t", where, txn.Header.Type, hasDigest)
	}
	if txn.Digest != nil {
		c.add(where, "TxnDigest", jute.Marshal(txn.Digest))
	}
	body := reflect.TypeOf(txn.Body).Elem().Name()
	c.add(where, body, jute.Marshal(txn.Body))
	multi, ok := txn.Body.(*jute.MultiTxn)
	if !ok {
		return
	}
	for _, part := range multi.Txns {
		record := jute.TxnRecord(part.Type)
		if record == nil {
			c.t.Fatalf("%s: a multi with %v", where, part.Type)
		}
		c.add(where, "Txn", jute.Marshal(&part))
		c.add(where, reflect.TypeOf(record).Elem().Name(), part.Data)
	}
}

// log reads a transaction log whose padding was cut off.
func (c *collector) log(name string) {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "disk", name))
	if err != nil {
		c.t.Fatal(err)
	}
	d := jute.NewDecoder(content)
	var header jute.FileHeader
	c.decode(name, d, &header)
	c.add(name, "FileHeader", content[:len(content)-d.Len()])
	for d.Len() > 0 {
		where := fmt.Sprintf("%s+%d", name, len(content)-d.Len())
		sum, payload := d.Int64(), d.Buffer()
		if d.Err() != nil {
			c.t.Fatalf("%s: %v", where, d.Err())
		}
		if got := int64(adler32.Checksum(payload)); got != sum {
			c.t.Errorf("%s: the checksum is %d, stored is %d", where, got, sum)
		}
		c.txn(where, payload)
		if rest := d.Rest(); len(rest) == 0 || rest[0] != 0x42 {
			c.t.Fatalf("%s: the record does not end in 0x42", where)
		}
		*d = *jute.NewDecoder(d.Rest()[1:])
	}
}

// snapshot reads a snapshot file: header, tree, seal, digest, seal.
func (c *collector) snapshot(name string) {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "disk", name))
	if err != nil {
		c.t.Fatal(err)
	}
	d := jute.NewDecoder(content)
	var header jute.FileHeader
	c.decode(name, d, &header)
	c.add(name, "FileHeader", content[:len(content)-d.Len()])
	d = jute.NewDecoder(c.tree(name, d.Rest()))
	seal := func() {
		c.t.Helper()
		want := int64(adler32.Checksum(content[:len(content)-d.Len()]))
		if got := d.Int64(); got != want {
			c.t.Errorf("%s: the seal is %d, the checksum %d", name, got, want)
		}
		if slash := d.String(); slash != "/" {
			c.t.Errorf("%s: the seal ends in %q", name, slash)
		}
	}
	seal()
	if zxid, version, digest := d.Int64(), d.Int32(), d.Int64(); zxid == 0 || version != 2 || digest == 0 {
		c.t.Errorf("%s: digest %x of version %d at zxid %x", name, digest, version, zxid)
	}
	seal()
	if d.Err() != nil || d.Len() > 0 {
		c.t.Errorf("%s: %d bytes left, %v", name, d.Len(), d.Err())
	}
}

// tree reads sessions, ACLs and znodes up to the closing "/" and gives what
// stands behind it.
func (c *collector) tree(where string, b []byte) []byte {
	c.t.Helper()
	d := jute.NewDecoder(b)
	for range d.Int32() {
		d.Int64()
		d.Int32()
	}
	for range d.Int32() {
		d.Int64()
		for range d.Int32() {
			before := d.Rest()
			var acl jute.ACL
			c.decode(where, d, &acl)
			c.add(where, "ACL", before[:len(before)-d.Len()])
		}
	}
	for {
		path := d.String()
		if d.Err() != nil {
			c.t.Fatalf("%s: %v", where, d.Err())
		}
		if path == "/" {
			return d.Rest()
		}
		d.Buffer()
		d.Int64()
		before := d.Rest()
		var stat jute.StatPersisted
		c.decode(where, d, &stat)
		c.add(where, "StatPersisted", before[:len(before)-d.Len()])
	}
}

// TestGolden decodes what a running Apache ZooKeeper produced and encodes it to
// the same bytes, and checks that the captures hold what they are to hold.
func TestGolden(t *testing.T) {
	c := collect(t)
	seen := map[string]int{}
	for _, s := range c.samples {
		seen[s.kind]++
		record := kinds[s.kind]()
		if err := jute.Unmarshal(s.bytes, record); err != nil {
			t.Errorf("%s: %s: %v\n%x", s.where, s.kind, err, s.bytes)
			continue
		}
		if got := jute.Marshal(record); !bytes.Equal(got, s.bytes) {
			t.Errorf("%s: %s: %+v\nencodes to %x\ncaptured   %x", s.where, s.kind, record, got, s.bytes)
		}
	}
	// Nothing in an ensemble without SASL, of one version, makes these.
	absent := []string{
		"CreateTxnV0", "GetMaxChildrenRequest", "GetMaxChildrenResponse", "QuorumAuthPacket",
		"SetMaxChildrenRequest", "SetMaxChildrenTxn", "SetSASLRequest",
		// These stand inside other records, which are compared as a whole.
		"CheckVersionRequest", "ClientInfo", "ConnectRequest", "ConnectResponse", "ID", "MultiHeader", "Stat",
	}
	for kind := range kinds {
		if missing := slices.Contains(absent, kind); missing == (seen[kind] > 0) {
			t.Errorf("%d samples of %s, expected some: %t", seen[kind], kind, !missing)
		}
	}
	for op := range requestKinds {
		if c.ops[op] == 0 {
			t.Errorf("no %v request was captured", op)
		}
	}
	for packet := jute.PacketRequest; packet <= jute.PacketInformAndActivate; packet++ {
		if c.packets[packet] == 0 {
			t.Errorf("no %v was captured", packet)
		}
	}
	for _, op := range []jute.OpCode{
		jute.OpCreateSession, jute.OpCloseSession, jute.OpCreate, jute.OpCreate2, jute.OpCreateContainer,
		jute.OpCreateTTL, jute.OpDelete, jute.OpDeleteContainer, jute.OpSetData, jute.OpSetACL, jute.OpMulti,
		jute.OpError, jute.OpReconfig,
	} {
		if c.txns[op] == 0 {
			t.Errorf("no %v transaction was captured", op)
		}
	}
	for _, event := range []jute.EventType{
		jute.EventNodeCreated, jute.EventNodeDeleted, jute.EventNodeDataChanged, jute.EventNodeChildrenChanged,
	} {
		if c.events[event] == 0 {
			t.Errorf("no watch event %d was captured", event)
		}
	}
	t.Logf("%d samples; error codes seen: %v", len(c.samples), c.errs)
}

// TestGoldenStream reads the captured quorum packets as a stream.
func TestGoldenStream(t *testing.T) {
	var stream []byte
	var want []jute.QuorumPacket
	for _, s := range collect(t).samples {
		if s.kind != "QuorumPacket" {
			continue
		}
		stream = append(stream, s.bytes...)
		var packet jute.QuorumPacket
		if err := jute.Unmarshal(s.bytes, &packet); err != nil {
			t.Fatal(err)
		}
		want = append(want, packet)
	}
	reader := jute.NewReader(bufio.NewReader(bytes.NewReader(stream)), 1<<20)
	for i := range want {
		got, err := reader.QuorumPacket()
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if !bytes.Equal(jute.Marshal(&got), jute.Marshal(&want[i])) {
			t.Errorf("packet %d: got %+v, want %+v", i, got, want[i])
		}
	}
}
