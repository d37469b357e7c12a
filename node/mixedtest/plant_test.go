package mixedtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// plant makes znodes of every kind below root, which must not exist, with a session at the
// members of c. Ephemerals stay as long as that session.
func plant(t *testing.T, c *zk.Client, root string) {
	t.Helper()
	p := &planter{t, c, root}
	p.create("", "root", zk.Persistent)
	p.create("/null", "", zk.Persistent)
	p.create("/ünï中文", "name", zk.Persistent)
	p.create("/large", strings.Repeat("0123456789abcdef", 20_000), zk.Persistent)
	p.create("/digest", "secret", zk.Persistent, zk.DigestACL(zk.PermAll, "somebody", "password")...)
	p.create("/several", "", zk.Persistent, zk.ACL{Perms: zk.PermRead, ID: jute.ID{Scheme: "world", ID: "anyone"}},
		zk.ACL{Perms: zk.PermAll, ID: jute.ID{Scheme: "ip", ID: "127.0.0.0/8"}})
	p.create("/ephemeral", "mine", zk.Ephemeral)
	p.create("/parent", "", zk.Persistent)
	for range 3 {
		p.create("/parent/s-", "sequence", zk.PersistentSequential)
		p.create("/parent/e-", "", zk.EphemeralSequential)
	}
	p.must(c.Delete(within(t), root+"/parent/s-0000000000", 0))
	for i := range int32(5) {
		_, err := c.Set(within(t), root+"/null", fmt.Appendf(nil, "version %d", i), i)
		p.must(zk.Reply{}, err)
	}
	_, err := c.SetACL(within(t), root+"/null", zk.WorldACL(zk.PermRead|zk.PermAdmin), 0)
	p.must(zk.Reply{}, err)
	p.create("/container", "c", zk.Container)
	p.create("/container/child", "", zk.Persistent)
	_, err = c.CreateTTL(within(t), root+"/ttl", []byte("t"), zk.TTL, time.Hour)
	p.must(zk.Reply{}, err)
	_, err = c.CreateTTL(within(t), root+"/ttl-", nil, zk.TTLSequential, time.Hour)
	p.must(zk.Reply{}, err)
	p.multis()
	p.quotas()
}

type planter struct {
	t    *testing.T
	c    *zk.Client
	root string
}

func (p *planter) must(_ zk.Reply, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("plant %s: %v", p.root, err)
	}
}

func (p *planter) create(path, data string, mode zk.Mode, acl ...zk.ACL) {
	p.t.Helper()
	_, err := p.c.Create(within(p.t), p.root+path, []byte(data), mode, acl...)
	p.must(zk.Reply{}, err)
}

// multis makes what several operations in one transaction make, and one that fails.
func (p *planter) multis() {
	p.t.Helper()
	path := p.root + "/multi"
	_, err := p.c.Multi(within(p.t),
		zk.CreateOp(path, []byte("m"), zk.Persistent),
		zk.CreateOp(path+"/s-", nil, zk.PersistentSequential),
		zk.CreateOp(path+"/e", nil, zk.Ephemeral),
		zk.CreateOp(path+"/c", nil, zk.Container),
		zk.CreateOp(path+"/c/child", nil, zk.Persistent),
		zk.CreateTTLOp(path+"/t", []byte("t"), zk.TTL, time.Hour),
		zk.SetOp(path, []byte("again"), 0),
		zk.CheckOp(path, 1),
		zk.CreateOp(path+"/gone", nil, zk.Persistent),
		zk.DeleteOp(path+"/gone", 0))
	p.must(zk.Reply{}, err)
	_, err = p.c.Multi(within(p.t), zk.SetOp(path, []byte("never"), zk.AnyVersion), zk.CheckOp(path, 77))
	if !errors.Is(err, zk.ErrBadVersion) {
		p.t.Fatalf("a multi with a wrong version gave %v", err)
	}
}

// quotas limits a subtree and goes beyond.
func (p *planter) quotas() {
	p.t.Helper()
	quota := &planter{p.t, p.c, "/zookeeper/quota" + p.root}
	quota.create("", "", zk.Persistent)
	quota.create("/limited", "", zk.Persistent)
	quota.create("/limited/zookeeper_limits", "count=3,bytes=40=;byteHardLimit=-1;countHardLimit=4", zk.Persistent)
	quota.create("/limited/zookeeper_stats", "count=0,bytes=0", zk.Persistent)
	for _, name := range []string{"/limited", "/limited/a", "/limited/b", "/limited/c"} {
		p.create(name, "twenty bytes of data", zk.Persistent)
	}
	p.must(p.c.Delete(within(p.t), p.root+"/limited/b", zk.AnyVersion))
}

// refusals expects the same answers to forbidden requests of every member.
func refusals(t *testing.T, m *member, root string) {
	t.Helper()
	c := connect(t, addresses(m))
	defer bye(t, c)
	if _, err := c.Sync(within(t), "/"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(within(t), root+"/digest"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("%v: a stranger's read gave %v", m, err)
	}
	if _, err := c.Set(within(t), root+"/null", nil, zk.AnyVersion); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("%v: a stranger's write gave %v", m, err)
	}
	// A Java leader looks at what it has applied, which may be less than what a follower
	// has acknowledged: so its limits come into force, and are relieved, a moment late.
	await(t, fmt.Sprintf("%v takes a create within the quota", m), func() bool {
		_, err := c.Create(within(t), root+"/limited/d", nil, zk.Persistent)
		return allowed(t, err)
	})
	await(t, fmt.Sprintf("%v refuses a create beyond the quota", m), func() bool {
		_, err := c.Create(within(t), root+"/limited/e", nil, zk.Persistent)
		if !allowed(t, err) {
			return true
		}
		_, err = c.Delete(within(t), root+"/limited/e", 0)
		return !allowed(t, err)
	})
	if _, err := c.Delete(within(t), root+"/limited/d", 0); err != nil {
		t.Error(err)
	}
	if err := c.AddAuth(within(t), "digest", []byte("somebody:password")); err != nil {
		t.Fatal(err)
	}
	if data, err := c.Get(within(t), root+"/digest"); err != nil || string(data.Data) != "secret" {
		t.Errorf("%v: the owner reads %q, %v", m, data.Data, err)
	}
}

// allowed tells a write that was carried out from one that a quota refused.
func allowed(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && !errors.Is(err, zk.ErrQuotaExceeded) {
		t.Fatal(err)
	}
	return err == nil
}

// create2InMulti makes a znode by a create2 inside of a multi, as no usual client does. A
// leader newer than 3.8.0 logs it in a way that members of 3.8.0 can't apply.
func create2InMulti(t *testing.T, m *member, path string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", m.ClientAddr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	exchange(t, conn, jute.Marshal(&jute.ConnectRequest{TimeoutMs: 10_000, Passwd: make([]byte, 16)}))
	open := zk.WorldACL(zk.PermAll)
	request := jute.MultiRequest{Ops: []jute.MultiOp{
		{Type: jute.OpCreate2, Record: &jute.CreateRequest{Path: path, Data: []byte("create2"), ACL: open}},
		{Type: jute.OpCreate2, Record: &jute.CreateRequest{Path: path + "/s-", ACL: open, Flags: zk.PersistentSequential}},
	}}
	body := request.Append(jute.Marshal(&jute.RequestHeader{Xid: 1, Type: jute.OpMulti}))
	var header jute.ReplyHeader
	header.Decode(jute.NewDecoder(exchange(t, conn, body)))
	if header.Xid != 1 || header.Err != 0 {
		t.Fatalf("%v answers a multi of create2 with %+v", m, header)
	}
	exchange(t, conn, jute.Marshal(&jute.RequestHeader{Xid: 2, Type: jute.OpCloseSession}))
}

// exchange sends a frame and reads one.
func exchange(t *testing.T, conn net.Conn, body []byte) []byte {
	t.Helper()
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	return answer
}
