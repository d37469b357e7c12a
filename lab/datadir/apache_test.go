package datadir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"zoolab/internal/apache"
	"zoolab/workloads"
)

// TestApacheDirectory lets Apache ZooKeeper write a data directory, with all
// kinds of transactions, a restart and several snapshots, and compares what is
// read from the disk with what the server served.
func TestApacheDirectory(t *testing.T) {
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts Java processes; run without -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	server, err := apache.Start(t.TempDir(), apache.Config{ClientPort: ports[0], Extra: map[string]string{"snapCount": "40", "preAllocSize": "64"}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	if err := server.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, server.ClientAddr)
	change(t, conn, "first")
	conn.Close()
	awaitSnapshots(t, server.DataDir)
	if err := errors.Join(server.Kill(), server.Restart(), server.WaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	conn = connect(t, server.ClientAddr)
	change(t, conn, "second")
	served := map[string]workloads.TreeNode{}
	walk(t, conn, "/", served)
	awaitSnapshots(t, server.DataDir)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	conn.Close()

	data, err := Load(server.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(data.Snapshots) < 2 || len(data.Skipped) > 0 {
		t.Errorf("snapshots %x, skipped %v", data.Snapshots, data.Skipped)
	}
	if len(data.Log) < 150 {
		t.Errorf("%d records in the log", len(data.Log))
	}
	disk := workloads.MemberTree{Member: "disk", Nodes: data.Tree}
	result := workloads.CheckTreesEqual([]workloads.MemberTree{{Member: "served", Nodes: served}, disk}, workloads.DefaultBounds)
	if result.Verdict != workloads.VerdictOK {
		t.Errorf("%s: %+v", result.Cause, result.Failures)
	}
	logs := []workloads.MemberLog{{Member: "a", Records: data.Log, Snapshots: data.Snapshots}, {Member: "b", Records: data.Log, Snapshots: data.Snapshots}}
	if result := workloads.CheckLogsAgree(logs); result.Verdict != workloads.VerdictOK {
		t.Error(result.Cause)
	}
	damageNewestSnapshot(t, server.DataDir, len(data.Log), len(data.Snapshots))
}

// awaitSnapshots waits until the server, which is asked for nothing any more, has written its
// snapshots to their ends: it does so beside its other work, and one that is killed meanwhile
// leaves half a snapshot.
func awaitSnapshots(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for before := -1; ; time.Sleep(time.Second) {
		data, err := Load(dir)
		if err == nil && len(data.Skipped) == 0 && len(data.Snapshots) == before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the snapshots do not come to an end: skipped %v, %v", data.Skipped, err)
		}
		before = -1
		if err == nil && len(data.Skipped) == 0 {
			before = len(data.Snapshots)
		}
	}
}

// damageNewestSnapshot flips one bit: the snapshot must be skipped, and the
// older one with the log must give the same tree.
func damageNewestSnapshot(t *testing.T, dir string, records, snapshots int) {
	t.Helper()
	before, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	newest := before.Snapshots[len(before.Snapshots)-1]
	path := filepath.Join(dir, versionDir, fmt.Sprintf("snapshot.%x", newest))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 4
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	after, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Skipped) != 1 || len(after.Snapshots) != snapshots-1 || len(after.Log) != records {
		t.Errorf("after the damage: skipped %v, %d snapshots, %d records", after.Skipped, len(after.Snapshots), len(after.Log))
	}
	trees := []workloads.MemberTree{{Member: "before", Nodes: before.Tree}, {Member: "after", Nodes: after.Tree}}
	if result := workloads.CheckTreesEqual(trees, workloads.DefaultBounds); result.Verdict != workloads.VerdictOK {
		t.Error(result.Cause)
	}
}

// containerFlag is what go-zookeeper has no name for.
const containerFlag = 4

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func connect(t *testing.T, addr string) *gozk.Conn {
	t.Helper()
	// The longest timeout that the server grants: the client gives a connection up after two thirds.
	conn, _, err := gozk.Connect([]string{addr}, 40*time.Second, gozk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// change makes about a hundred transactions of every kind below /name.
func change(t *testing.T, conn *gozk.Conn, name string) {
	t.Helper()
	root := "/" + name
	open := gozk.WorldACL(gozk.PermAll)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(conn.Create(root, nil, 0, open))
	for i := range 30 {
		path := fmt.Sprintf("%s/n%d", root, i)
		must(conn.Create(path, []byte(path), 0, open))
		must(conn.Set(path, []byte(strings.Repeat("x", i)), -1))
		if i%3 == 0 {
			must(nil, conn.Delete(path, -1))
		}
	}
	must(conn.Create(root+"/seq-", nil, gozk.FlagSequence, open))
	must(conn.Create(root+"/ephemeral", nil, gozk.FlagEphemeral, open))
	must(conn.CreateContainer(root+"/container", nil, containerFlag, open))
	must(conn.SetACL(root+"/n1", gozk.DigestACL(gozk.PermAll, "a", "b"), -1))
	must(conn.SetACL(root+"/n2", gozk.WorldACL(gozk.PermRead), -1))
	must(conn.Multi(&gozk.SetDataRequest{Path: root, Data: []byte("m"), Version: -1}, &gozk.CreateRequest{Path: root + "/m", Acl: open}, &gozk.DeleteRequest{Path: root + "/n4", Version: -1}))
	if _, err := conn.Multi(&gozk.DeleteRequest{Path: root + "/n5", Version: -1}, &gozk.DeleteRequest{Path: root + "/none", Version: -1}); err == nil {
		t.Fatal("a multi with a missing znode succeeded")
	}
	if _, err := conn.Set(root+"/n7", nil, 99); !errors.Is(err, gozk.ErrBadVersion) {
		t.Fatalf("set at a wrong version: %v", err)
	}
}

func walk(t *testing.T, conn *gozk.Conn, path string, into map[string]workloads.TreeNode) {
	t.Helper()
	children, stat, err := conn.Children(path)
	var data []byte
	if err == nil {
		data, stat, err = conn.Get(path)
	}
	if errors.Is(err, gozk.ErrNoAuth) {
		_, stat, err = conn.Exists(path) // its data is not compared
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	node := workloads.TreeNode{
		Czxid: stat.Czxid, Mzxid: stat.Mzxid, Pzxid: stat.Pzxid, CtimeMs: stat.Ctime, MtimeMs: stat.Mtime,
		Version: stat.Version, Cversion: stat.Cversion, Aversion: stat.Aversion, EphemeralOwner: stat.EphemeralOwner,
		DataLength: stat.DataLength, Children: stat.NumChildren, DataHash: Hash(data),
	}
	if data == nil && stat.DataLength > 0 {
		node.DataHash = Hash([]byte(strings.Repeat("x", int(stat.DataLength)))) // what change wrote
	}
	into[path] = node
	for _, child := range children {
		walk(t, conn, strings.TrimSuffix(path, "/")+"/"+child, into)
	}
}
