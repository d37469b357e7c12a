package tree

import (
	"fmt"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"testing"

	"zoolab/zk/jute"
)

// noted is a watcher that keeps its events as text.
type noted struct {
	name   string
	events []string
}

func (n *noted) Notify(ev jute.WatcherEvent, _ int64) {
	n.events = append(n.events, fmt.Sprint(ev.Type, " ", ev.Path))
}

// plainWatches says what the watches of one kind should do, in the plainest way: by path
// and by watcher.
type plainWatches map[string]map[*noted]watchMode

func (p plainWatches) set(path string, w *noted, mode watchMode) {
	if p[path] == nil {
		p[path] = make(map[*noted]watchMode)
	}
	p[path][w] = mode
}

// fire returns who is to be told of an event.
func (p plainWatches) fire(path string, event jute.EventType) map[*noted]bool {
	told := make(map[*noted]bool)
	for at := path; ; at, _ = splitPath(at) {
		for w, mode := range p[at] {
			switch {
			case mode == recursive:
				if event != jute.EventNodeChildrenChanged {
					told[w] = true
				}
			case at == path:
				told[w] = true
				if mode == oneShot {
					delete(p[at], w)
				}
			}
		}
		if at == "/" {
			return told
		}
	}
}

func (p plainWatches) summary() WatchSummary {
	var s WatchSummary
	watchers := make(map[*noted]bool)
	for _, ws := range p {
		if len(ws) > 0 {
			s.Paths++
		}
		for w := range ws {
			watchers[w] = true
			s.Watches++
		}
	}
	s.Connections = len(watchers)
	return s
}

// plain is the model of all watches: what each watcher must have been told.
type plain struct {
	kinds [watchKinds]plainWatches
	want  map[*noted][]string
}

func (p *plain) tell(told map[*noted]bool, event jute.EventType, path string) {
	for w := range told {
		p.want[w] = append(p.want[w], fmt.Sprint(event, " ", path))
	}
}

func (p *plain) apply(op jute.OpCode, path string) {
	parent, _ := splitPath(path)
	switch op {
	case jute.OpCreate:
		p.tell(p.kinds[dataWatch].fire(path, jute.EventNodeCreated), jute.EventNodeCreated, path)
	case jute.OpSetData:
		p.tell(p.kinds[dataWatch].fire(path, jute.EventNodeDataChanged), jute.EventNodeDataChanged, path)
		return
	case jute.OpDelete:
		told := p.kinds[dataWatch].fire(path, jute.EventNodeDeleted)
		for w := range p.kinds[childWatch].fire(path, jute.EventNodeDeleted) {
			told[w] = true
		}
		p.tell(told, jute.EventNodeDeleted, path)
	}
	p.tell(p.kinds[childWatch].fire(parent, jute.EventNodeChildrenChanged), jute.EventNodeChildrenChanged, parent)
}

// watchRun drives a tree and the model with the same random steps.
type watchRun struct {
	t    *testing.T
	r    *rand.Rand
	tree *Tree
	zxid int64
	plain
	watchers []*noted
	story    []string
}

func (run *watchRun) step() {
	path := "/" + strings.Join([]string{"a", "b", "a", "c"}[:1+run.r.Intn(4)], "/")
	w := run.watchers[run.r.Intn(len(run.watchers))]
	step := run.r.Intn(12)
	run.story = append(run.story, fmt.Sprint(step, " ", path, " ", w.name))
	data, child := run.kinds[dataWatch], run.kinds[childWatch]
	switch step {
	case 0, 1, 2:
		op := []jute.OpCode{jute.OpCreate, jute.OpSetData, jute.OpDelete}[step]
		body := []jute.Record{
			&jute.CreateTxn{Path: path, ACL: openAll, ParentCVersion: -1}, &jute.SetDataTxn{Path: path}, &jute.DeleteTxn{Path: path},
		}[step]
		if info, there := run.tree.Lookup(path); op == jute.OpDelete && there && info.NumChildren > 0 {
			return
		}
		run.zxid++
		if run.tree.Apply(txn(run.zxid, op, body)).Err == jute.CodeOK {
			run.apply(op, path)
		}
	case 3, 4:
		run.tree.Exists(path, anyone, w)
		data.set(path, w, oneShot)
	case 5, 6:
		if _, err := run.tree.Children(path, anyone, w); err == nil {
			child.set(path, w, oneShot)
		}
	case 7, 8:
		run.tree.AddWatch(path, jute.AddWatchMode(step-7), w)
		data.set(path, w, persistent+watchMode(step-7))
		child.set(path, w, persistent+watchMode(step-7))
	case 9, 10:
		kind := watchKind(step - 9)
		_, there := run.kinds[kind][path][w]
		delete(run.kinds[kind][path], w)
		which := []jute.WatcherType{jute.WatcherData, jute.WatcherChildren}[kind]
		if got := run.tree.RemoveWatch(path, which, w) == jute.CodeOK; got != there {
			run.t.Fatalf("removed %v, want %v after %v", got, there, run.story)
		}
	case 11:
		run.tree.RemoveWatcher(w)
		for _, kind := range run.kinds {
			for _, ws := range kind {
				delete(ws, w)
			}
		}
	}
}

// TestWatchesAgainstModel draws watches and changes of few znodes.
func TestWatchesAgainstModel(t *testing.T) {
	for seed := range int64(300) {
		run := &watchRun{t: t, r: rand.New(rand.NewSource(seed)), tree: New()}
		run.plain = plain{kinds: [watchKinds]plainWatches{{}, {}}, want: make(map[*noted][]string)}
		for i := range 3 {
			run.watchers = append(run.watchers, &noted{name: fmt.Sprint("w", i)})
		}
		for range 150 {
			run.step()
			for _, w := range run.watchers {
				if !slices.Equal(w.events, run.want[w]) {
					t.Fatalf("seed %d: %s was told %q, want %q after %v", seed, w.name, w.events, run.want[w], run.story)
				}
			}
			data, child := run.tree.WatchSummaries()
			if data != run.kinds[dataWatch].summary() || child != run.kinds[childWatch].summary() {
				t.Fatalf("seed %d: summaries %+v %+v, want %+v %+v after %v", seed, data, child,
					run.kinds[dataWatch].summary(), run.kinds[childWatch].summary(), run.story)
			}
		}
	}
}

// TestManyWatchesGoSlowly closes a client with more watches than one call releases: it is
// told of nothing, and the rest goes bit by bit with what others do.
func TestManyWatchesGoSlowly(t *testing.T) {
	const many = 3 * reapLinks
	tr := New()
	gone, stays := &noted{}, &noted{}
	for i := range many {
		tr.Exists(fmt.Sprintf("/n%d", i), anyone, gone)
	}
	tr.AddWatch("/", jute.AddWatchRecursive, stays)
	tr.RemoveWatcher(gone)
	data, _ := tr.WatchSummaries()
	if left := data.Watches; left != many-reapLinks+1 {
		t.Fatalf("%d watches are left", left)
	}
	if list := tr.DataWatches(); len(list) != 1 {
		t.Fatalf("%d watches are listed, want that of the client that stays", len(list))
	}
	for i := range many {
		tr.Apply(txn(int64(i+1), jute.OpCreate, &jute.CreateTxn{Path: fmt.Sprintf("/n%d", i), ACL: openAll, ParentCVersion: -1}))
	}
	if len(gone.events) > 0 || len(stays.events) != many {
		t.Fatalf("the client that is gone was told %d times, the other %d times", len(gone.events), len(stays.events))
	}
	if data, child := tr.WatchSummaries(); data != (WatchSummary{1, 1, 1}) || child != data {
		t.Fatalf("watches are left: %+v %+v", data, child)
	}
	// A watcher that comes back under the same name starts from nothing.
	tr.Exists("/n", anyone, gone)
	tr.Apply(txn(many+1, jute.OpCreate, &jute.CreateTxn{Path: "/n", ACL: openAll, ParentCVersion: -1}))
	if len(gone.events) != 1 {
		t.Fatalf("told %d times, want once", len(gone.events))
	}
}

// BenchmarkWatches sets a million watches of one client, and tells what one costs.
func BenchmarkWatches(b *testing.B) {
	const many = 1_000_000
	for range b.N {
		tr, w := New(), &noted{}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range many {
			tr.Exists(fmt.Sprintf("/services/name-%07d", i), anyone, w)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/watch")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/many, "ns/watch")
		tr.AddWatch("/services", jute.AddWatchRecursive, w)
		runtime.KeepAlive(tr)
	}
}
