package servetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/internal/apache"
)

// adminCall asks an AdminServer as somebody with a password.
func adminCall(t *testing.T, method, address, command string, body io.Reader) (status int, answer []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "http://"+address+"/commands/"+command, body)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "digest any:body")
	q.Header.Set("Content-Type", "application/octet-stream")
	a, err := toAdmins.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	answer, err = io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, answer
}

// clientOf opens a session with one server. Until it is there the client may fail any request,
// if it takes a second to be connected.
func clientOf(t *testing.T, s *apache.Server) *zk.Conn {
	t.Helper()
	c, _, err := zk.Connect([]string{s.ClientAddr}, 40*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	awaitDone(t, func() error { _, err := c.Sync("/"); return err })
	return c
}

// awaitDone tries until a request is answered without an error.
func awaitDone(t *testing.T, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// namesAt lists the root's children as soon as the server answers.
func namesAt(t *testing.T, s *apache.Server) (names []string) {
	t.Helper()
	c := clientOf(t, s)
	awaitDone(t, func() (err error) {
		if _, err = c.Sync("/"); err == nil {
			names, _, err = c.Children("/")
		}
		return err
	})
	slices.Sort(names)
	return names
}

func createAll(t *testing.T, s *apache.Server, names ...string) {
	t.Helper()
	c := clientOf(t, s)
	for _, name := range names {
		lost := false
		awaitDone(t, func() error {
			_, err := c.Create("/"+name, []byte(name), 0, zk.WorldACL(zk.PermAll))
			if lost && errors.Is(err, zk.ErrNodeExists) {
				return nil // made by the attempt whose answer was lost
			}
			lost = errors.Is(err, zk.ErrConnectionClosed)
			return err
		})
	}
}

// TestRestore: what the command snapshot sent, the command restore makes the data of a lone
// server, for good, with the stats that the znodes had.
func TestRestore(t *testing.T) {
	for _, compression := range []string{"", "gz", "snappy"} {
		extra, admin := adminOf(t)
		extra["admin.rateLimiterIntervalInMS"] = "0"
		extra["snapshot.compression.method"] = compression
		s := startNode(t, extra)
		createAll(t, s, "a", "b")
		_, before, err := clientOf(t, s).Get("/a")
		if err != nil {
			t.Fatal(err)
		}
		_, snapshot := adminCall(t, "GET", admin, "snapshot", nil)
		createAll(t, s, "c")
		if err := clientOf(t, s).Delete("/a", -1); err != nil {
			t.Fatal(err)
		}
		// What is cut or damaged changes nothing.
		damaged := bytes.Clone(snapshot)
		damaged[len(damaged)/2] ^= 0x40
		for _, wrong := range [][]byte{snapshot[:len(snapshot)-20], damaged, append(bytes.Clone(snapshot), 1)} {
			if status, answer := adminCall(t, "POST", admin, "restore", bytes.NewReader(wrong)); status != 400 {
				t.Errorf("a damaged snapshot is answered with %d %s", status, answer)
			}
		}
		if names := namesAt(t, s); !slices.Equal(names, []string{"b", "c", "zookeeper"}) {
			t.Errorf("damaged snapshots left %q", names)
		}
		status, answer := adminCall(t, "POST", admin, "restore", bytes.NewReader(snapshot))
		var told struct {
			LastZxid string `json:"last_zxid"`
			Error    *string
		}
		if err := json.Unmarshal(answer, &told); err != nil || status != 200 || told.Error != nil || !strings.HasPrefix(told.LastZxid, "0x") {
			t.Fatalf("restore with compression %q: %d %s", compression, status, answer)
		}
		want := []string{"a", "b", "zookeeper"}
		if names := namesAt(t, s); !slices.Equal(names, want) {
			t.Errorf("the restored server has %q", names)
		}
		if data, after, err := clientOf(t, s).Get("/a"); err != nil || string(data) != "a" || after.Czxid != before.Czxid || after.Mtime != before.Mtime {
			t.Errorf("/a is %q, %+v, %v; it was %+v", data, after, err, before)
		}
		createAll(t, s, "d")
		if err := errors.Join(s.Kill(), s.Restart()); err != nil {
			t.Fatal(err)
		}
		if names := namesAt(t, s); !slices.Equal(names, []string{"a", "b", "d", "zookeeper"}) {
			t.Errorf("after a crash the restored server has %q", names)
		}
	}
}

// TestRestoreEnsemble: one restore, on the leader, gives all members the tree, one that was
// down, too. Members of Apache's take it as any other tree of a leader.
func TestRestoreEnsemble(t *testing.T) {
	for _, test := range []struct {
		name string
		java int
	}{{"ours", 0}, {"mixed", 1}} {
		t.Run(test.name, func(t *testing.T) {
			if test.java > 0 && (testing.Short() || apache.Available() != nil) {
				t.Skip("starts a Java process; run without -short, and with Apache ZooKeeper installed")
			}
			testRestoreEnsemble(t, test.java)
		})
	}
}

// testRestoreEnsemble has so many members of Apache's, which have the lowest ids and so lead
// only if they must.
func testRestoreEnsemble(t *testing.T, java int) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	admins := make([]string, 3)
	cfgs := make([]apache.Config, 3)
	for i := range cfgs {
		extra, address := adminOf(t)
		admins[i] = address
		if i < java {
			cfgs[i] = apache.Config{HeapMB: 128}
			continue
		}
		extra["admin.rateLimiterIntervalInMS"] = "0"
		cfgs[i] = apache.Config{Command: []string{nodeBinary, "serve"}, Extra: extra}
	}
	servers, err := apache.StartEnsemble(ctx, t.TempDir(), cfgs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = apache.StopAll(servers)
		if t.Failed() {
			for _, s := range servers {
				text, _ := os.ReadFile(s.LogFile)
				t.Logf("%s ends:\n%s", filepath.Base(filepath.Dir(s.LogFile)), text[max(0, len(text)-2500):])
			}
		}
	})
	leader := leaderOfOurs(t, servers, java)
	createAll(t, servers[leader], "a", "b")
	_, snapshot := adminCall(t, "GET", admins[leader], "snapshot", nil)
	createAll(t, servers[leader], "c")
	for i := java; i < len(servers); i++ {
		if i == leader {
			continue
		}
		want := fmt.Sprintf("restore on the leader, member %d", leader+1)
		if status, answer := adminCall(t, "POST", admins[i], "restore", bytes.NewReader(snapshot)); status != 409 || !bytes.Contains(answer, []byte(want)) {
			t.Errorf("a follower answers %d %s", status, answer)
		}
	}
	leader = restoreOnLeader(t, servers, admins, java, snapshot)
	for i, s := range servers {
		if names := namesAt(t, s); !slices.Equal(names, []string{"a", "b", "zookeeper"}) {
			t.Errorf("member %d has %q", i+1, names)
		}
	}
	createAll(t, servers[leader], "c")
	// Without it, those who are left are ours: Apache's leader could not be told to restore.
	down := servers[(leader+1)%3]
	if java > 0 {
		down = servers[0]
	}
	if err := down.Kill(); err != nil {
		t.Fatal(err)
	}
	restoreOnLeader(t, servers, admins, 0, snapshot)
	if err := down.Restart(); err != nil {
		t.Fatal(err)
	}
	for i, s := range servers {
		if names := namesAt(t, s); !slices.Equal(names, []string{"a", "b", "zookeeper"}) {
			t.Errorf("member %d has %q", i+1, names)
		}
	}
	createAll(t, down, "d")
	for i, s := range servers {
		if names := namesAt(t, s); !slices.Contains(names, "d") {
			t.Errorf("member %d has %q", i+1, names)
		}
	}
}

// leaderOfOurs waits for a leader behind the first java members, which are Apache's: where one
// of these leads, it is restarted, as the manual says.
func leaderOfOurs(t *testing.T, servers []*apache.Server, java int) int {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		leader := slices.IndexFunc(servers, func(s *apache.Server) bool {
			mode, err := apache.Mode(s.ClientAddr)
			return err == nil && mode == "leader"
		})
		switch {
		case leader >= java:
			return leader
		case leader >= 0:
			t.Log("a member of Apache's leads: restarting it")
			if err := errors.Join(servers[leader].Kill(), servers[leader].Restart()); err != nil {
				t.Fatal(err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("none of our members leads")
		}
	}
}

// restoreOnLeader restores as the manual says: if another member was elected meanwhile, which
// a slow machine brings about, on that one. It returns who leads.
func restoreOnLeader(t *testing.T, servers []*apache.Server, admins []string, java int, snapshot []byte) int {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		leader := leaderOfOurs(t, servers, java)
		status, answer := adminCall(t, "POST", admins[leader], "restore", bytes.NewReader(snapshot))
		switch {
		case status == http.StatusOK:
			return leader
		case status != http.StatusInternalServerError && status != http.StatusConflict || time.Now().After(deadline):
			t.Fatalf("restore: %d %s", status, answer)
		}
		t.Logf("restore once more: %d %s", status, answer)
	}
}
