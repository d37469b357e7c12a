package audit

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/zk/jute"
)

func TestEvent(t *testing.T) {
	e := Event{Session: -0x100, User: "127.0.0.1,ann", IP: "127.0.0.1", Operation: "create",
		Znode: "/a\nresult=success\tx\u2028", ZnodeType: "persistent", Result: Failure}
	want := "session=0xffffffffffffff00\tuser=127.0.0.1,ann\tip=127.0.0.1\toperation=create\t" +
		`znode=/a\u000aresult=success\u0009x\u2028` + "\tznode_type=persistent\tresult=failure"
	if got := e.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (Event{User: "root", Operation: ServerStop, Result: Invoked}).String(); got != "user=root\toperation=serverStop\tresult=invoked" {
		t.Error(got)
	}
}

func TestNames(t *testing.T) {
	ids := []jute.ID{{Scheme: "ip", ID: "10.0.0.1"}, {Scheme: "digest", ID: "ann:hash="}, {Scheme: "super", ID: ""}}
	if got := Users(ids); got != "10.0.0.1,ann" || IP(ids) != "10.0.0.1" {
		t.Error(got, IP(ids))
	}
	acl := []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}, {Perms: jute.PermRead, ID: jute.ID{Scheme: "ip", ID: "::1"}}}
	if got := ACL(acl); got != "world:anyone:cdrwaip:::1:r" {
		t.Error(got)
	}
	if ZnodeType(7) != "" || ZnodeType(-1) != "" || ZnodeType(6) != "persistent_sequential_with_ttl" {
		t.Error("flags")
	}
}

// TestFile: events stand in the file in their order, behind what it had.
func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	for range 2 {
		l, err := Open(file, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 * maxWaiting {
			l.Add(Event{Session: int64(i + 1), Operation: "delete", Result: Success})
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 4*maxWaiting {
		t.Fatalf("%d lines", len(lines))
	}
	for i, want := range map[int]string{0: "session=0x1\t", 2*maxWaiting - 1: "session=0x4e20\t", 2 * maxWaiting: "session=0x1\t"} {
		if !strings.Contains(lines[i], " INFO audit.Slf4jAuditLogger: "+want) {
			t.Errorf("line %d is %s", i, lines[i])
		}
	}
	if _, err := Open(t.TempDir(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "audit.file") {
		t.Errorf("a directory can't be written, and Open says: %v", err)
	}
}
