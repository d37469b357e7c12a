package mixedtest

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"testing"

	"zoolab/internal/apache"
	"zoolab/zk"
)

// TestOperationsPage runs the commands of docs/operations.md on an ensemble: it is backed up,
// changed, restored, and a member is restarted.
func TestOperationsPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several processes; run without -short")
	}
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s: %v", program, err)
		}
	}
	p := readPage(t, "operations.md")
	e := newEnsemble(t, ours, ours, ours)
	ports, err := apache.FreePorts(len(e.members))
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range e.members {
		m.cfg.Extra = maps.Clone(settings)
		maps.Copy(m.cfg.Extra, map[string]string{
			"snapshot.compression.method": "gz", "admin.enableServer": "true", "admin.serverAddress": "127.0.0.1", "admin.serverPort": fmt.Sprint(ports[i]),
		})
		e.place(m)
		p.all += " " + m.ClientAddr
	}
	p.steps["start"] = []string{`node start "$CFG"`}
	for _, m := range e.members {
		p.run(m, "start")
	}
	leader := e.leader()
	ask := func(m *member) {
		p.env = []string{fmt.Sprintf("ADMIN=http://127.0.0.1:%d", ports[slices.Index(e.members, m)]), "AUTH=digest " + superAuth}
	}
	ask(leader)
	c := super(t, addresses(e.members...))
	for _, path := range []string{"/kept", "/added"} {
		if path == "/added" {
			p.run(leader, "configuration", "health", "inspect", "backup")
		}
		if _, err := c.Create(within(t), path, nil, zk.Persistent); err != nil {
			t.Fatal(err)
		}
	}
	c.Detach()
	// As the page says: if another member was elected meanwhile, once more, there.
	await(t, "the backup is restored", func() bool {
		ask(e.leader())
		err := p.try(leader, "restore")
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	p.run(e.members[0], "restart", "health")
	for _, m := range e.members {
		await(t, fmt.Sprintf("%v has what was restored", m), func() bool {
			c, err := zk.Connect(within(t), m.ClientAddr)
			if err != nil {
				return false
			}
			defer c.Detach()
			if _, err := c.Sync(within(t), "/"); err != nil {
				return false
			}
			children, err := c.Children(within(t), "/")
			return err == nil && slices.Contains(children.Children, "kept") && !slices.Contains(children.Children, "added")
		})
	}
	p.steps["unnamed"] = []string{`cp backup "$DATA/version-2/snapshot.1"` + "\n"}
	p.steps["named"] = []string{`test -f "$DATA/version-2/snapshot.1.gz"` + "\n"}
	p.run(leader, "inspect", "unnamed", "endings", "named")
}
