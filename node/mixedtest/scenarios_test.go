package mixedtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zoolab/zk"
)

// layouts are ensembles of both kinds, by who leads: the last member.
var layouts = map[string][]kind{
	"this server leads Java":     {java, java, ours},
	"Java leads this server":     {ours, ours, java},
	"Java leads one of each":     {ours, java, java},
	"this server leads each one": {java, ours, ours},
}

// TestBothLead lets either kind lead the other, with everything that a tree may hold.
func TestBothLead(t *testing.T) {
	requireApache(t)
	for _, name := range []string{"this server leads Java", "Java leads this server"} {
		t.Run(name, func(t *testing.T) {
			e := newEnsemble(t, layouts[name]...)
			e.startUnder(e.members[2])
			e.everyKind()
			e.sessionMoves()
			e.sweeps()
		})
	}
}

// TestSynchronization brings members back by each way of synchronization, and lets the
// leader's place go to and fro.
func TestSynchronization(t *testing.T) {
	requireFull(t)
	for _, name := range []string{"this server leads Java", "Java leads this server"} {
		t.Run(name, func(t *testing.T) {
			e := newEnsemble(t, layouts[name]...)
			e.startUnder(e.members[2])
			e.everyKind()
			e.diff()
			e.snap()
			e.sweeps()
			e.trunc()
		})
	}
}

// TestElections ends each leader by a crash and by a stop, under load, for ensembles of
// each composition.
func TestElections(t *testing.T) {
	requireFull(t)
	for name, kinds := range layouts {
		t.Run(name, func(t *testing.T) {
			e := newEnsemble(t, kinds...)
			e.startUnder(e.members[2])
			e.elections()
		})
	}
}

// everyKind plants znodes through every member.
func (e *ensemble) everyKind() {
	t := e.t
	t.Helper()
	for _, m := range e.members {
		c := super(t, addresses(m))
		root := fmt.Sprintf("/kinds-%d", m.id)
		plant(t, c, root)
		create2InMulti(t, m, root+"/create2")
		for _, each := range e.members {
			refusals(t, each, root)
		}
		if tree := e.agree(); tree[root+"/ephemeral"] == "" || tree[root+"/create2/s-0000000000"] == "" {
			t.Fatalf("%s is not complete", root)
		}
		bye(t, c)
	}
	if tree := e.agree(); tree["/kinds-1/ephemeral"] != "" {
		t.Fatal("an ephemeral outlives its session")
	}
}

// sessionMoves carries one session over all members, to and fro, and ends it at another
// one than it began at.
func (e *ensemble) sessionMoves() {
	t := e.t
	t.Helper()
	c := super(t, addresses(e.members[0]))
	path := "/moving"
	if _, err := c.Create(within(t), path, nil, zk.Ephemeral); err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{1, 2, 1, 0, 2, 0} {
		m := e.members[step]
		c = e.moveTo(c, m)
		if _, err := c.Set(within(t), path, fmt.Appendf(nil, "at %d", m.id), zk.AnyVersion); err != nil {
			t.Fatalf("at %v: %v", m, err)
		}
		stranger := c.Session()
		stranger.Password = bytes.Repeat([]byte{1}, 16)
		other, err := zk.Connect(within(t), addresses(m), zk.WithSession(stranger))
		if !errors.Is(err, zk.ErrSessionExpired) {
			t.Fatalf("%v takes a wrong password: %v", m, err)
		}
		if other != nil {
			other.Detach()
		}
	}
	if tree := e.agree(); !strings.Contains(tree[path], "at 1") {
		t.Fatalf("the moved session's znode is %s", tree[path])
	}
	bye(t, e.moveTo(c, e.members[1]))
	if tree := e.agree(); tree[path] != "" {
		t.Fatal("the ephemeral of a moved session outlives it")
	}
}

// moveTo carries a session over to a member.
func (e *ensemble) moveTo(c *zk.Client, m *member) *zk.Client {
	t := e.t
	t.Helper()
	session := c.Detach()
	moved := attach(t, m, session)
	if got := moved.Session().ID; got != session.ID {
		t.Fatalf("%v gave the session %x for %x", m, got, session.ID)
	}
	return moved
}

func attach(t *testing.T, m *member, session zk.Session) *zk.Client {
	t.Helper()
	return connect(t, addresses(m), zk.WithAuth("digest", []byte(superAuth)), zk.WithSession(session))
}

// sweeps waits until the leader, of whatever kind, has deleted containers that became
// empty and znodes whose time to live is over.
func (e *ensemble) sweeps() {
	t := e.t
	t.Helper()
	c := super(t, addresses(e.members...))
	defer bye(t, c)
	root := fmt.Sprintf("/swept-%d", time.Now().UnixNano())
	for i := range 5 {
		container := fmt.Sprintf("%s-c%d", root, i)
		_, err := c.Multi(within(t), zk.CreateOp(container, nil, zk.Container), zk.CreateOp(container+"/child", nil, zk.Persistent))
		if err == nil {
			_, err = c.Delete(within(t), container+"/child", 0)
		}
		if err == nil {
			_, err = c.CreateTTL(within(t), fmt.Sprintf("%s-t%d", root, i), nil, zk.TTL, 500*time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the containers and what has a time to live are deleted", func() bool {
		children, err := c.Children(within(t), "/")
		if err != nil {
			t.Fatal(err)
		}
		return !strings.Contains("/"+strings.Join(children.Children, "/"), root)
	})
	e.agree()
}

// write makes count changes, many at a time.
func write(t *testing.T, c *zk.Client, root string, count int) {
	t.Helper()
	if _, err := c.Create(within(t), root, nil, zk.Persistent); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		t.Fatal(err)
	}
	const writers = 20
	ctx := within(t)
	errs := make([]error, writers)
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			path := fmt.Sprintf("%s/%d", root, w)
			if _, errs[w] = c.Create(ctx, path, nil, zk.Persistent); errs[w] != nil {
				return
			}
			for i := range count / writers {
				if _, errs[w] = c.Set(ctx, path, fmt.Append(nil, i), zk.AnyVersion); errs[w] != nil {
					return
				}
			}
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// marks is where the logs of all members end, so that what comes after can be told.
func (e *ensemble) marks() map[*member]int64 {
	sizes := make(map[*member]int64)
	for _, m := range e.members {
		if info, err := os.Stat(m.LogFile); err == nil {
			sizes[m] = info.Size()
		}
	}
	return sizes
}

// logged tells whether a member's log has a text behind a mark.
func (e *ensemble) logged(m *member, mark int64, text string) bool {
	e.t.Helper()
	log, err := os.ReadFile(m.LogFile)
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.Contains(string(log[mark:]), text)
}

// syncWords are what learners of either kind log of the ways of synchronization. Ours
// logs nothing of a DIFF, but it does of the other two.
var syncWords = map[kind]map[string]string{
	java: {"DIFF": "Getting a diff from the leader", "SNAP": "Getting a snapshot from leader", "TRUNC": "Truncating log to get in sync"},
	ours: {"SNAP": "installing the leader's snapshot", "TRUNC": "truncating the log"},
}

// requireSync expects that a learner was synchronized in a way, and no other, by a leader of
// the other kind.
func (e *ensemble) requireSync(way string, learner *member, marks map[*member]int64) {
	t := e.t
	t.Helper()
	if leader := e.leader(); leader.kind == learner.kind {
		t.Fatalf("%v was synchronized by %v: nothing is tried", learner, leader)
	}
	for other, word := range syncWords[learner.kind] {
		if is := e.logged(learner, marks[learner], word); is != (other == way) {
			t.Fatalf("%v should be synchronized by %s, but %q is in its log: %v", learner, way, word, is)
		}
	}
}

// diff lets a follower miss a few transactions.
func (e *ensemble) diff() {
	t := e.t
	t.Helper()
	learner := e.members[0]
	c := super(t, addresses(e.members[1:]...))
	e.kill(learner)
	plant(t, c, "/diff")
	write(t, c, "/diff/writes", 100)
	marks := e.marks()
	e.join(learner)
	e.requireSync("DIFF", learner, marks)
	e.agree()
	bye(t, e.moveTo(c, learner))
	e.agree()
}

// snap lets a follower miss more than the leader keeps in memory, with a session in what
// it gets.
func (e *ensemble) snap() {
	t := e.t
	t.Helper()
	learner := e.members[1]
	c := super(t, addresses(e.members[0], e.members[2]))
	e.kill(learner)
	plant(t, c, "/snap")
	write(t, c, "/snap/writes", 700)
	marks := e.marks()
	e.join(learner)
	e.requireSync("SNAP", learner, marks)
	e.agree()
	c = e.moveTo(c, learner)
	if _, err := c.Set(within(t), "/snap/ephemeral", []byte("moved"), 0); err != nil {
		t.Fatal(err)
	}
	refusals(t, learner, "/snap")
	// What came in the snapshot must also be on the learner's disk.
	e.kill(learner)
	e.join(learner)
	e.agree()
	bye(t, c)
	if tree := e.agree(); tree["/snap/ephemeral"] != "" {
		t.Fatal("an ephemeral outlives its session")
	}
}

// trunc lets a leader log what nobody else has, and rejoin under a leader of the other
// kind, which has nothing newer than what both have: it has to truncate. Then it does so
// again, to a leader that has gone on meanwhile; Java's sends a snapshot across epochs.
func (e *ensemble) trunc() {
	t := e.t
	t.Helper()
	old, rest := e.loneProposals("never-1")
	marks := e.marks()
	e.join(old)
	e.requireSync("TRUNC", old, marks)
	e.requireNone("never-1")
	// Once more from the disk: the truncated log must have lost it, too.
	e.kill(old)
	c := super(t, addresses(rest...))
	write(t, c, "/after-never-1", 40)
	bye(t, c)
	e.join(old)
	e.requireNone("never-1")

	old, rest = e.loneProposals("never-2")
	c = super(t, addresses(rest...))
	write(t, c, "/after-never-2", 40)
	bye(t, c)
	e.join(old)
	e.requireNone("never-2")
}

// loneProposals lets the leader log proposals that nobody else sees, and restarts the
// others without it.
func (e *ensemble) loneProposals(name string) (old *member, rest []*member) {
	t := e.t
	t.Helper()
	old = e.leader()
	c := super(t, addresses(old))
	for _, m := range e.members {
		if m == old {
			continue
		}
		rest = append(rest, m)
		if err := m.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked sync.WaitGroup
	for i := range 3 {
		asked.Go(func() {
			if _, err := c.Create(ctx, fmt.Sprintf("/%s-%d", name, i), nil, zk.Persistent); err == nil {
				t.Errorf("a write was acknowledged by a leader alone")
			}
		})
	}
	await(t, "the leader logs the proposals", func() bool {
		return inLog(t, old, name+"-0") && inLog(t, old, name+"-1") && inLog(t, old, name+"-2")
	})
	// What the stopped members have not read of their connections ends with them.
	for _, m := range rest {
		e.kill(m)
	}
	e.kill(old)
	cancel()
	asked.Wait()
	c.Detach()
	for _, m := range rest {
		e.start(m)
	}
	e.awaitServing()
	return old, rest
}

// requireNone expects that the members agree, on a tree without the name.
func (e *ensemble) requireNone(name string) {
	e.t.Helper()
	for path := range e.agree() {
		if strings.HasPrefix(path, "/"+name) {
			e.t.Fatalf("%s was never acknowledged and is there", path)
		}
	}
}

// inLog tells whether a member's transaction logs have a text.
func inLog(t *testing.T, m *member, text string) bool {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(m.DataDir, "version-2", "log.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		if content, err := os.ReadFile(name); err == nil && bytes.Contains(content, []byte(text)) {
			return true
		}
	}
	return false
}

// elections ends the leader by a crash and by a stop in turns, under load; each comes back
// as a follower. Whatever was acknowledged must be there.
func (e *ensemble) elections() {
	t := e.t
	t.Helper()
	l := startLoad(t, addresses(e.members...), "/elections", 6)
	for round, end := range []func(*member){e.kill, e.kill, e.stop, e.stop} {
		leader := e.leader()
		l.more(50)
		t.Logf("round %d: %v ends", round, leader)
		end(leader)
		l.more(50)
		e.join(leader)
	}
	acknowledged := l.end()
	tree := e.agree()
	for path, data := range acknowledged {
		if !strings.HasPrefix(tree[path], fmt.Sprintf("%q ", data)) {
			t.Errorf("%s was acknowledged with %q and is %.100s", path, data, tree[path])
		}
	}
	t.Logf("%d writes were acknowledged", len(acknowledged))
}
