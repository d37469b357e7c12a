package apache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// buildNode builds this server.
func buildNode(t *testing.T) string {
	t.Helper()
	binary, err := BuildNode(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// TestMixedEnsemble forms ensembles of one member of this server and two of the
// original, with either kind as leader; all must agree on a thousand writes of all kinds,
// also after the leader was killed and came back.
func TestMixedEnsemble(t *testing.T) {
	requireApache(t)
	ours := Config{
		Command: []string{buildNode(t), "serve"},
		Extra:   map[string]string{"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": "1000"},
	}
	java := Config{HeapMB: 128, JavaFlags: []string{"-Dznode.container.checkIntervalMs=1000"}}
	for name, cfgs := range map[string][]Config{
		// The largest id among those that are up wins between equal logs. This
		// server is up long before Java is.
		"this server leads": {java, java, ours},
		"Java leads":        {ours, java, java},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			members, err := StartEnsemble(ctx, t.TempDir(), cfgs...)
			if err != nil {
				t.Fatal(err)
			}
			defer StopAll(members)
			leader := leaderOf(t, members)
			if ourLead := len(leader.cfg.Command) > 0; ourLead != (name == "this server leads") {
				t.Fatalf("member %d leads", leader.cfg.ID)
			}
			rest := slices.DeleteFunc(slices.Clone(members), func(m *Server) bool { return m == leader })
			writeEverywhere(t, members, "/first", 600)
			awaitSwept(t, members[0], "/first")
			requireAgreement(t, members)
			if err := leader.Kill(); err != nil {
				t.Fatal(err)
			}
			for _, member := range rest {
				if err := member.WaitReady(ctx); err != nil {
					t.Fatal(err)
				}
			}
			writeEverywhere(t, rest, "/second", 600)
			if err := leader.Restart(); err != nil {
				t.Fatal(err)
			}
			if err := leader.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
			writeEverywhere(t, members, "/third", 50)
			for _, root := range []string{"/second", "/third"} {
				awaitSwept(t, members[0], root)
			}
			requireAgreement(t, members)
		})
	}
}

// patience bounds what these tests wait for, on a machine that does much else.
const patience = 4 * time.Minute

func leaderOf(t *testing.T, members []*Server) *Server {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		for _, member := range members {
			if mode, err := Mode(member.ClientAddr); err == nil && mode == "leader" {
				return member
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no member leads")
		}
	}
}

// modeOf waits until a member says what it is.
func modeOf(t *testing.T, member *Server) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		mode, err := Mode(member.ClientAddr)
		if err == nil {
			return mode
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func dial(t *testing.T, member *Server) *zk.Conn {
	t.Helper()
	// The longest timeout that members grant: the client gives a connection up after two thirds.
	conn, events, err := zk.Connect([]string{member.ClientAddr}, 40*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(patience)
	for {
		select {
		case event := <-events:
			if event.State == zk.StateHasSession {
				return conn
			}
		case <-deadline:
			t.Fatalf("no session at %s", member.ClientAddr)
		}
	}
}

// writeEverywhere makes count writes of many kinds through each member in turn.
func writeEverywhere(t *testing.T, members []*Server, root string, count int) {
	t.Helper()
	acl := zk.WorldACL(zk.PermAll)
	first := dial(t, members[0])
	defer first.Close()
	if _, err := first.Create(root, nil, 0, acl); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	errs := make([]error, len(members))
	for i, member := range members {
		conn := dial(t, member)
		defer conn.Close()
		if _, err := conn.Sync(root); err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			for n := range count / len(members) {
				if errs[i] = writeOne(conn, fmt.Sprintf("%s/%d-%d", root, i, n), n); errs[i] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func writeOne(conn *zk.Conn, path string, n int) error {
	acl := zk.WorldACL(zk.PermAll)
	switch n % 7 {
	case 0:
		_, err := conn.Create(path+"-", []byte(path), zk.FlagSequence, acl)
		return err
	case 1:
		// The session's end deletes it on every member.
		_, err := conn.Create(path, []byte(path), zk.FlagEphemeral, acl)
		return err
	case 2:
		_, err := conn.Multi(
			&zk.CreateRequest{Path: path, Data: []byte("one"), Acl: acl},
			&zk.SetDataRequest{Path: path, Data: []byte(path), Version: 0},
			&zk.CheckVersionRequest{Path: path, Version: 1})
		return err
	case 3:
		if _, err := conn.Create(path, nil, 0, acl); err != nil {
			return err
		}
		return conn.Delete(path, 0)
	case 4:
		_, err := conn.CreateTTL(path, []byte(path), zk.FlagTTL, acl, time.Hour)
		return err
	case 5:
		// The leader, of whatever kind, deletes it after its child.
		if _, err := conn.CreateContainer(path+containerMark, nil, zk.FlagContainer, acl); err != nil {
			return err
		}
		if _, err := conn.Create(path+containerMark+"/child", nil, 0, acl); err != nil {
			return err
		}
		return conn.Delete(path+containerMark+"/child", 0)
	}
	if _, err := conn.Create(path, nil, 0, acl); err != nil {
		return err
	}
	if _, err := conn.Set(path, []byte(path), 0); err != nil {
		return err
	}
	// A refused write takes a zxid as well.
	if _, err := conn.Set(path, nil, 77); !errors.Is(err, zk.ErrBadVersion) {
		return fmt.Errorf("set with a wrong version gave %v", err)
	}
	return nil
}

const containerMark = "-container"

// awaitSwept waits until no container is left below root. Each makes a delete without a
// session, which all members apply.
func awaitSwept(t *testing.T, member *Server, root string) {
	t.Helper()
	conn := dial(t, member)
	defer conn.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if _, err := conn.Sync(root); err != nil {
			t.Fatal(err)
		}
		children, _, err := conn.Children(root)
		if err != nil {
			t.Fatal(err)
		}
		left := slices.DeleteFunc(children, func(name string) bool { return !strings.HasSuffix(name, containerMark) })
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d containers are not deleted", len(left))
		}
	}
}

// requireAgreement compares all znodes with their data and stats, and asks the
// Java members, which check our digest at every transaction, for mismatches.
func requireAgreement(t *testing.T, members []*Server) {
	t.Helper()
	var conns []*zk.Conn
	for _, member := range members {
		conn := dial(t, member)
		defer conn.Close()
		conns = append(conns, conn)
	}
	// The client waits for a second only until its session is closed. What it gives up, and
	// the session's ephemerals, go when the session expires: maybe between two looks.
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		lines, difference := compareTrees(t, members, conns)
		if difference == "" {
			if lines < 300 {
				t.Errorf("only %d znodes were compared", lines)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Error(difference)
			break
		}
	}
	for _, member := range members {
		if len(member.cfg.Command) > 0 {
			continue
		}
		mntr, err := Command(member.ClientAddr, "mntr")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(mntr, "zk_digest_mismatches_count\t0\n") {
			t.Errorf("%s counts digest mismatches:\n%s", member.ClientAddr, mntr)
		}
	}
}

// compareTrees says how many znodes there are, and where the first member differs from another.
func compareTrees(t *testing.T, members []*Server, conns []*zk.Conn) (lines int, difference string) {
	t.Helper()
	var want string
	for i, conn := range conns {
		if _, err := conn.Sync("/"); err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := describe(conn, "/", &text); err != nil {
			return 0, err.Error()
		}
		if i == 0 {
			want = text.String()
		} else if text.String() != want {
			return 0, fmt.Sprintf("%s and %s differ: %s", members[0].ClientAddr, members[i].ClientAddr, firstDifference(want, text.String()))
		}
	}
	return strings.Count(want, "\n"), ""
}

func describe(conn *zk.Conn, path string, text *bytes.Buffer) error {
	data, stat, err := conn.Get(path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	children, _, err := conn.Children(path)
	if err != nil {
		return fmt.Errorf("children of %s: %w", path, err)
	}
	if path == "/zookeeper" {
		return nil
	}
	fmt.Fprintf(text, "%s %q %+v\n", path, data, *stat)
	slices.Sort(children)
	for _, child := range children {
		if err := describe(conn, strings.TrimSuffix(path, "/")+"/"+child, text); err != nil {
			return err
		}
	}
	return nil
}

func firstDifference(a, b string) string {
	aLines, bLines := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(aLines), len(bLines)) {
		if aLines[i] != bLines[i] {
			return fmt.Sprintf("line %d: %s | %s", i, aLines[i], bLines[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(aLines), len(bLines))
}
