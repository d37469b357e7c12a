package servetest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/internal/apache"
)

var auditLine = regexp.MustCompile(`Slf4jAuditLogger(?: -|:) (.*)\n`)

// audited makes changes and returns the events of the audit log, which is in a file.
func audited(t *testing.T, s *apache.Server, file string) []string {
	t.Helper()
	c := clientOf(t, s)
	world := zk.WorldACL(zk.PermAll)
	_, _ = c.Create("/before", nil, 0, world)
	if err := c.AddAuth("digest", []byte("ann:secret")); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []int32{0, zk.FlagEphemeral, zk.FlagSequence, zk.FlagEphemeral | zk.FlagSequence} {
		_, _ = c.Create("/a", []byte("x"), flags, world)
	}
	_, _ = c.CreateContainer("/container", nil, zk.FlagTTL, world)
	_, _ = c.Create("/a", nil, 0, world)
	_, _ = c.Create("/none/a", nil, 0, world)
	_, _ = c.Create("/mine", nil, zk.FlagEphemeral, world)
	_, _ = c.Set("/a", []byte("y"), -1)
	_, _ = c.Set("/a", []byte("y"), 9)
	_, _, _ = c.Get("/a")
	_, _ = c.SetACL("/a", append(zk.AuthACL(zk.PermRead|zk.PermWrite|zk.PermAdmin), world...), -1)
	_, _ = c.SetACL("/none", world, -1)
	_ = c.Delete("/none", -1)
	_, _ = c.Multi(&zk.CreateRequest{Path: "/m", Acl: world}, &zk.SetDataRequest{Path: "/m", Version: -1},
		&zk.CheckVersionRequest{Path: "/m", Version: -1}, &zk.CreateRequest{Path: "/m/e", Acl: world, Flags: zk.FlagEphemeral},
		&zk.DeleteRequest{Path: "/m/e", Version: -1})
	_, _ = c.Multi(&zk.CreateRequest{Path: "/m2", Acl: world}, &zk.DeleteRequest{Path: "/none", Version: -1})
	_ = c.Delete("/m", -1)
	c.Close()
	var events []string
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		events = nil
		for _, m := range auditLine.FindAllStringSubmatch(string(text), -1) {
			events = append(events, numbers.ReplaceAllString(m[1], "N"))
		}
		// The ephemerals of the session come last.
		if strings.Count(strings.Join(events, "\n"), "OnSessionClose") >= 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the session's end is not audited:\n%s", strings.Join(events, "\n"))
		}
	}
	// In which order ephemerals are deleted is an accident of Apache's.
	slices.SortFunc(events[len(events)-3:], strings.Compare)
	return events
}

// TestAudit compares the audit log with Apache's, event for event.
func TestAudit(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers; run without -short")
	}
	extra := map[string]string{"audit.enable": "true", "extendedTypesEnabled": "true"}
	java := startServer(t, extra)
	file := filepath.Join(t.TempDir(), "audit.log")
	extra["audit.file"] = file
	ours := startNode(t, extra)
	want, got := audited(t, java, java.LogFile), audited(t, ours, file)
	for i := range max(len(want), len(got)) {
		a, b := "", ""
		if i < len(want) {
			a = want[i]
		}
		if i < len(got) {
			b = got[i]
		}
		if a != b {
			t.Errorf("event %d is\n%s\nApache's\n%s", i, b, a)
		}
	}
	if len(want) < 20 {
		t.Errorf("only %d events were compared", len(want))
	}
	if err := ours.Stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(string(text), "\toperation=serverStop\tresult=invoked\n") {
		t.Errorf("the log ends with\n%s, %v", text[max(0, len(text)-100):], err)
	}
}
