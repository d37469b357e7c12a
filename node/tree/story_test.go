package tree

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"zoolab/zk/jute"
)

// storyWatcher writes its events into the story.
type storyWatcher struct {
	name string
	out  *strings.Builder
}

func (w *storyWatcher) Notify(ev jute.WatcherEvent, zxid int64) {
	names := map[jute.EventType]string{
		jute.EventNodeCreated: "created", jute.EventNodeDeleted: "deleted",
		jute.EventNodeDataChanged: "data changed", jute.EventNodeChildrenChanged: "children changed",
	}
	fmt.Fprintf(w.out, "  %s: %s %s at %d\n", w.name, ev.Path, names[ev.Type], zxid)
}

// story runs the commands of a transcript against one tree.
type story struct {
	tree     *Tree
	zxid     int64
	out      strings.Builder
	watchers map[string]*storyWatcher
}

func (s *story) watcher(name string) Watcher {
	if name == "" {
		return nil
	}
	if s.watchers[name] == nil {
		s.watchers[name] = &storyWatcher{name, &s.out}
	}
	return s.watchers[name]
}

func argument(d *datadriven.TestData, key string) string {
	for _, arg := range d.CmdArgs {
		if arg.Key == key && len(arg.Vals) > 0 {
			return strings.Join(arg.Vals, ",")
		}
	}
	return ""
}

func (s *story) run(d *datadriven.TestData) string {
	s.out.Reset()
	switch d.Cmd {
	case "apply":
		s.apply(d.Input)
	case "read":
		s.read(d)
	case "set-watches":
		split := func(key string) []string {
			if v := argument(d, key); v != "" {
				return strings.Split(v, ",")
			}
			return nil
		}
		zxid, _ := strconv.ParseInt(argument(d, "zxid"), 10, 64)
		s.tree.SetWatches(&jute.SetWatches2{
			RelativeZxid: zxid, DataWatches: split("data"), ExistWatches: split("exist"), ChildWatches: split("child"),
			PersistentWatches: split("persistent"), PersistentRecursiveWatches: split("recursive"),
		}, s.watcher(argument(d, "w")))
	case "add-watch":
		mode, _ := strconv.Atoi(argument(d, "mode"))
		fmt.Fprintln(&s.out, s.tree.AddWatch(argument(d, "path"), jute.AddWatchMode(mode), s.watcher(argument(d, "w"))))
	case "has-watch":
		which, _ := strconv.Atoi(argument(d, "type"))
		fmt.Fprintln(&s.out, s.tree.HasWatch(argument(d, "path"), jute.WatcherType(which)))
	case "remove-watch":
		which, _ := strconv.Atoi(argument(d, "type"))
		fmt.Fprintln(&s.out, s.tree.RemoveWatch(argument(d, "path"), jute.WatcherType(which), s.watcher(argument(d, "w"))))
	case "remove-watcher":
		s.tree.RemoveWatcher(s.watcher(argument(d, "w")))
	case "watches":
		data, child := s.tree.WatchSummaries()
		fmt.Fprintf(&s.out, "data %+v, child %+v\n", data, child)
		for _, watch := range s.tree.DataWatches() {
			fmt.Fprintf(&s.out, "  %s by %s\n", watch.Path, watch.Watcher.(*storyWatcher).name)
		}
	}
	return s.out.String()
}

// apply applies one transaction for each line: create PATH [SESSION], delete PATH,
// set PATH DATA, close SESSION; "multi" joins the lines that follow into one.
func (s *story) apply(input string) {
	lines := strings.Split(input, "\n")
	s.zxid++
	if lines[0] == "multi" {
		multi := &jute.MultiTxn{}
		for _, line := range lines[1:] {
			op, _, body := storyTxn(line)
			multi.Txns = append(multi.Txns, jute.Txn{Type: op, Data: jute.Marshal(body)})
		}
		r := s.tree.Apply(txn(s.zxid, jute.OpMulti, multi))
		fmt.Fprintf(&s.out, "%d multi: %v\n", s.zxid, r.Err)
		for _, sub := range r.Multi {
			fmt.Fprintf(&s.out, "%d - %v %s: %v\n", s.zxid, sub.Type, sub.Path, sub.Err)
		}
		return
	}
	for i, line := range lines {
		if i > 0 {
			s.zxid++
		}
		op, session, body := storyTxn(line)
		tx := txn(s.zxid, op, body)
		tx.Header.ClientID = session
		r := s.tree.Apply(tx)
		fmt.Fprintf(&s.out, "%d %s: %v\n", s.zxid, line, r.Err)
	}
}

func storyTxn(line string) (jute.OpCode, int64, jute.Record) {
	fields := append(strings.Fields(line), "", "")
	switch fields[0] {
	case "create":
		session, _ := strconv.ParseInt(fields[2], 10, 64)
		return jute.OpCreate, session, &jute.CreateTxn{Path: fields[1], Data: []byte{}, ACL: openAll, Ephemeral: session != 0, ParentCVersion: -1}
	case "set":
		return jute.OpSetData, 0, &jute.SetDataTxn{Path: fields[1], Data: []byte(fields[2])}
	case "delete":
		return jute.OpDelete, 0, &jute.DeleteTxn{Path: fields[1]}
	case "fail":
		code, _ := strconv.Atoi(fields[1])
		return jute.OpError, 0, &jute.ErrorTxn{Err: jute.ErrorCode(code)}
	case "close":
		session, _ := strconv.ParseInt(fields[1], 10, 64)
		return jute.OpCloseSession, session, &jute.CloseSessionTxn{}
	}
	panic("story: no transaction " + line)
}

func (s *story) read(d *datadriven.TestData) {
	path, w := argument(d, "path"), s.watcher(argument(d, "w"))
	var err error
	switch d.CmdArgs[0].Key {
	case "data":
		var data []byte
		if data, _, err = s.tree.GetData(path, anyone, w); err == nil {
			fmt.Fprintf(&s.out, "%q\n", data)
		}
	case "exists":
		var stat jute.Stat
		if stat, err = s.tree.Exists(path, anyone, w); err == nil {
			fmt.Fprintf(&s.out, "%+v\n", stat)
		}
	case "children":
		var names []string
		if names, err = s.tree.Children(path, anyone, w); err == nil {
			fmt.Fprintln(&s.out, names)
		}
	}
	if err != nil {
		fmt.Fprintln(&s.out, err)
	}
}

// TestStories runs the transcripts below testdata; -rewrite writes them anew.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{tree: New(), watchers: make(map[string]*storyWatcher)}
		datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) string { return s.run(d) })
	})
}
