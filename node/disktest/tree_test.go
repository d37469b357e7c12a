package disktest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	superAuth = "super:secret"
	// superDigest is what the servers are told of it: the SHA-1 of superAuth, in base64.
	superDigest = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
)

type silent struct{}

func (silent) Printf(string, ...any) {}

// connect opens a session that may do everything. Its timeout is the longest that the servers
// grant: the client gives a connection up after two thirds.
func (p *place) connect() *zk.Conn {
	t := p.t
	t.Helper()
	c, _, err := zk.Connect([]string{fmt.Sprintf("127.0.0.1:%d", p.port)}, 20*time.Second,
		zk.WithLogger(silent{}), zk.WithMaxBufferSize(2<<20), zk.WithDialer(p.dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	// Until the session is there the client may fail requests, if it takes a second to be connected.
	await(t, "a session that may do everything", func() bool { return c.AddAuth("digest", []byte(superAuth)) == nil })
	return c
}

// dump is everything that a client can learn of a tree: a line for each znode, by its path.
type dump map[string]string

func (p *place) dumpTree() dump {
	p.t.Helper()
	c := p.connect()
	defer c.Close()
	d := make(dump)
	visit(p.t, c, "/", d)
	return d
}

func visit(t *testing.T, c *zk.Conn, path string, d dump) {
	t.Helper()
	data, stat, err := c.Get(path)
	if err != nil {
		t.Fatalf("get %s: %v", path, err)
	}
	acl, _, err := c.GetACL(path)
	if err != nil {
		t.Fatalf("getACL %s: %v", path, err)
	}
	children, _, err := c.Children(path)
	if err != nil {
		t.Fatalf("ls %s: %v", path, err)
	}
	slices.Sort(children)
	d[path] = fmt.Sprintf("%q %+v %v %q", data, *stat, acl, children)
	for _, child := range children {
		visit(t, c, strings.TrimSuffix(path, "/")+"/"+child, d)
	}
}

// compare reports where two trees differ.
func compare(t *testing.T, what string, before, after dump) {
	t.Helper()
	differences := 0
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if after[path] != before[path] && differences < 5 {
			differences++
			t.Errorf("%s: %s\nbefore %.600s\nafter  %.600s", what, path, before[path], after[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if before[path] == "" && differences < 5 {
			differences++
			t.Errorf("%s: %s was not there: %.600s", what, path, after[path])
		}
	}
}

// plant makes znodes of every kind below /<name>. Ephemerals are the session's of owner.
func plant(t *testing.T, owner *zk.Conn, name string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("plant %s: %v", name, err)
		}
	}
	open := zk.WorldACL(zk.PermAll)
	root := "/" + name
	create := func(path string, data []byte, flags int32, acl []zk.ACL) string {
		t.Helper()
		path, err := owner.Create(root+path, data, flags, acl)
		must(err)
		return path
	}
	create("", []byte("root of "+name), 0, open)
	create("/null", nil, 0, open)
	create("/empty", []byte{}, 0, open)
	create("/binary", []byte{0, 1, 0xff, 0xfe, 0x80}, 0, open)
	create("/ünï中文", []byte("name"), 0, open)
	create("/large", bytes.Repeat([]byte("0123456789abcdef"), 50_000), 0, open)
	create("/digest", nil, 0, zk.DigestACL(zk.PermAll, "somebody", "password"))
	create("/several", nil, 0, []zk.ACL{{Perms: zk.PermRead, Scheme: "world", ID: "anyone"},
		{Perms: zk.PermAll, Scheme: "ip", ID: "127.0.0.0/8"}, {Perms: zk.PermRead | zk.PermWrite, Scheme: "digest", ID: "a:b="}})
	create("/ephemeral", []byte("mine"), zk.FlagEphemeral, open)
	create("/parent", nil, 0, open)
	for range 3 {
		create("/parent/s-", []byte("sequence"), zk.FlagSequence, open)
		create("/parent/e-", nil, zk.FlagSequence|zk.FlagEphemeral, open)
	}
	must(owner.Delete(root+"/parent/s-0000000000", 0))
	deep := "/deep"
	for i := range 30 {
		create(deep, []byte(fmt.Sprint(i)), 0, open)
		deep += fmt.Sprintf("/%d", i)
	}
	for i := range 5 {
		_, err := owner.Set(root+"/empty", []byte(fmt.Sprint("version ", i)), int32(i))
		must(err)
	}
	_, err := owner.SetACL(root+"/null", zk.WorldACL(zk.PermRead|zk.PermAdmin), 0)
	must(err)
	_, err = owner.CreateContainer(root+"/container", []byte("c"), zk.FlagContainer, open)
	must(err)
	create("/container/child", nil, 0, open)
	_, err = owner.CreateTTL(root+"/ttl", []byte("t"), zk.FlagTTL, open, 30*24*time.Hour)
	must(err)
	_, err = owner.CreateTTL(root+"/ttl-", nil, zk.FlagPersistentSequentialWithTTL, open, 30*24*time.Hour)
	must(err)
	plantMulti(t, owner, root)
	plantQuota(t, owner, root)
}

// plantMulti makes what several operations in one transaction make, and one that fails.
func plantMulti(t *testing.T, owner *zk.Conn, root string) {
	t.Helper()
	open := zk.WorldACL(zk.PermAll)
	_, err := owner.Multi(
		&zk.CreateRequest{Path: root + "/multi", Data: []byte("m"), Acl: open},
		&zk.CreateRequest{Path: root + "/multi/s-", Acl: open, Flags: zk.FlagSequence},
		&zk.CreateRequest{Path: root + "/multi/e", Acl: open, Flags: zk.FlagEphemeral},
		&zk.SetDataRequest{Path: root + "/multi", Data: []byte("again"), Version: 0},
		&zk.CheckVersionRequest{Path: root + "/multi", Version: 1},
		&zk.CreateRequest{Path: root + "/multi/gone", Acl: open},
		&zk.DeleteRequest{Path: root + "/multi/gone", Version: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = owner.Multi(
		&zk.SetDataRequest{Path: root + "/multi", Data: []byte("never"), Version: -1},
		&zk.CheckVersionRequest{Path: root + "/multi", Version: 77}); err == nil {
		t.Fatal("a multi with a wrong version passes")
	}
}

// plantQuota limits a subtree, softly, and uses it.
func plantQuota(t *testing.T, owner *zk.Conn, root string) {
	t.Helper()
	open := zk.WorldACL(zk.PermAll)
	path := "/zookeeper/quota"
	for _, step := range []string{root, "/limited"} {
		path += step
		if _, err := owner.Create(path, nil, 0, open); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string]string{"zookeeper_limits": "count=3,bytes=40", "zookeeper_stats": "count=0,bytes=0"} {
		if _, err := owner.Create(path+"/"+name, []byte(data), 0, open); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/limited", "/limited/a", "/limited/b", "/limited/c"} {
		if _, err := owner.Create(root+name, []byte("twenty bytes of data"), 0, open); err != nil {
			t.Fatal(err)
		}
	}
	if err := owner.Delete(root+"/limited/b", -1); err != nil {
		t.Fatal(err)
	}
}
