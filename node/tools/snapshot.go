package tools

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/node/storage"
	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

const snapshotUsage = `usage: node snapshot dump [-d | -json] FILE
       node snapshot summary [-n N] [PATH] FILE
       node snapshot compare -l LEFT -r RIGHT [-b BYTES] [-n NODES] [-d]

Looks into snapshots, compressed ones (.gz, .snappy) too. The file is checked as a whole
first: a damaged one is told, and nothing of it is shown.

dump shows every znode with its stat, and the sessions.
  -d               with the data, in base64, in place of its length
  -json            names and sizes as JSON, as the disk usage viewer ncdu takes it
summary shows how many znodes and bytes the subtrees below PATH (/) hold, largest first.
  -n N             how many subtrees (10); 0 for all
compare shows, layer by layer, the subtrees in which two snapshots differ.
  -l, --left FILE, -r, --right FILE
  -b, --bytes N    only if they differ in more than N bytes of data (0),
  -n, --nodes N    or in more than N znodes (0)
  -d, --debug      also what was compared and left out
`

// Snapshot shows snapshots: dump is Apache's SnapshotFormatter, compare its
// SnapshotComparer without the interactive mode.
func Snapshot(args []string, s Streams) int {
	verbs := map[string]func([]string, Streams) int{"dump": snapshotDump, "summary": snapshotSummary, "compare": snapshotCompare}
	if len(args) == 0 {
		return newCommand("node snapshot", snapshotUsage, s).wrong("say dump, summary or compare")
	}
	if verb := verbs[args[0]]; verb != nil {
		return verb(args[1:], s)
	}
	c := newCommand("node snapshot", snapshotUsage, s)
	if _, code := c.parse(args[:1], 0, 1); code >= 0 {
		return code
	}
	return c.wrong("there is no %q; say dump, summary or compare", args[0])
}

// node is a znode of a snapshot.
type node struct {
	path     string // "/" for the root
	name     string
	data     []byte
	stat     jute.StatPersisted
	children []*node // by name
	// bytes and count are of the whole subtree: data, and znodes below this one.
	bytes, count int64
}

// snapshot is a snapshot as a tree of znodes: a storage.SnapshotSink.
type snapshot struct {
	zxid     int64
	nodes    map[string]*node
	sessions []session
	withData bool
}

type session struct {
	id         int64
	timeoutMs  int32
	ephemerals int
}

func (s *snapshot) AddSession(id int64, timeoutMs int32) error {
	s.sessions = append(s.sessions, session{id: id, timeoutMs: timeoutMs})
	return nil
}

func (s *snapshot) AddACL(int64, []jute.ACL) error { return nil }

func (s *snapshot) SetDigest(int64, int32, int64) error { return nil }

func (s *snapshot) AddNode(path string, data []byte, _ int64, stat *jute.StatPersisted) error {
	n := &node{path: path, stat: *stat, bytes: int64(len(data))}
	if s.withData {
		n.data = data
	}
	if path == "" {
		n.path, n.name = "/", "/"
		s.nodes["/"] = n
		return nil
	}
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return fmt.Errorf("%q is no path: %w", path, storage.ErrCorrupt)
	}
	n.name = path[at+1:]
	parent := s.nodes["/"]
	if at > 0 {
		parent = s.nodes[path[:at]]
	}
	if parent == nil {
		return fmt.Errorf("%q has no parent: %w", path, storage.ErrCorrupt)
	}
	parent.children = append(parent.children, n)
	s.nodes[path] = n
	return nil
}

// Finish sorts, and sums up subtrees.
func (s *snapshot) Finish(zxid int64) error {
	root := s.nodes["/"]
	if root == nil {
		return fmt.Errorf("there is no root: %w", storage.ErrCorrupt)
	}
	s.zxid = zxid
	ephemerals := make(map[int64]int)
	for _, n := range s.nodes {
		ephemerals[n.stat.EphemeralOwner]++
	}
	for i := range s.sessions {
		s.sessions[i].ephemerals = ephemerals[s.sessions[i].id]
	}
	slices.SortFunc(s.sessions, func(a, b session) int { return int(min(1, max(-1, a.id-b.id))) })
	root.sum()
	return nil
}

// sum goes as deep as the tree; jute.maxbuffer bounds the length of a path, and so the depth.
func (n *node) sum() {
	slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for _, child := range n.children {
		child.sum()
		n.bytes += child.bytes
		n.count += child.count + 1
	}
}

// ownBytes is the length of the znode's own data.
func (n *node) ownBytes() int64 {
	own := n.bytes
	for _, child := range n.children {
		own -= child.bytes
	}
	return own
}

// zxidOf is the zxid in a snapshot's name, -1 if there is none.
func zxidOf(file string) int64 {
	digits, ok := strings.CutPrefix(filepath.Base(file), "snapshot.")
	digits, _, _ = strings.Cut(digits, ".")
	zxid, err := strconv.ParseInt(digits, 16, 64)
	if !ok || err != nil {
		return -1
	}
	return zxid
}

func readSnapshot(file string, withData bool) (*snapshot, error) {
	s := &snapshot{nodes: make(map[string]*node), withData: withData}
	if err := storage.ReadSnapshot(vfs.OS{}, file, zxidOf(file), s); err != nil {
		return nil, err
	}
	return s, nil
}

func snapshotDump(args []string, streams Streams) int {
	c := newCommand("node snapshot dump", snapshotUsage, streams)
	withData := c.flags.Bool("d", false, "")
	asJSON := c.flags.Bool("json", false, "")
	rest, code := c.parse(args, 1, 1)
	if code >= 0 {
		return code
	}
	if *withData && *asJSON {
		return c.wrong("-d and -json do not go together")
	}
	s, err := readSnapshot(rest[0], *withData)
	if err != nil {
		return c.failed(err)
	}
	out := bufio.NewWriter(c.Out)
	if *asJSON {
		err = s.writeJSON(out)
	} else {
		s.writeText(out)
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return c.failed(err)
	}
	return exitDone
}

func (s *snapshot) writeText(w *bufio.Writer) {
	// Apache's count has the root twice: under its path, and under none.
	fmt.Fprintf(w, "ZNode Details (count=%d):\n", len(s.nodes)+1)
	last := s.writeNode(w, s.nodes["/"])
	fmt.Fprintln(w, "----\nSession Details (sid, timeout, ephemeralCount):")
	for _, one := range s.sessions {
		fmt.Fprintf(w, "0x%014x, %d, %d\n", uint64(one.id), one.timeoutMs, one.ephemerals)
	}
	fmt.Fprintf(w, "----\nLast zxid: 0x%x\n", uint64(max(s.zxid, last)))
}

// writeNode writes a subtree and returns the highest zxid in it.
func (s *snapshot) writeNode(w *bufio.Writer, n *node) int64 {
	st := &n.stat
	fmt.Fprintf(w, "----\n%s\n", plain(n.path))
	fmt.Fprintf(w, "  cZxid = 0x%014x\n  ctime = %s\n  mZxid = 0x%014x\n  mtime = %s\n  pZxid = 0x%014x\n",
		uint64(st.Czxid), javaTime(st.Ctime), uint64(st.Mzxid), javaTime(st.Mtime), uint64(st.Pzxid))
	fmt.Fprintf(w, "  cversion = %d\n  dataVersion = %d\n  aclVersion = %d\n  ephemeralOwner = 0x%014x\n",
		st.Cversion, st.Version, st.Aversion, uint64(st.EphemeralOwner))
	if s.withData {
		fmt.Fprintf(w, "  data = %s\n", base64.StdEncoding.EncodeToString(n.data))
	} else {
		fmt.Fprintf(w, "  dataLength = %d\n", n.ownBytes())
	}
	last := max(st.Mzxid, st.Pzxid)
	for _, child := range n.children {
		last = max(last, s.writeNode(w, child))
	}
	return last
}

// javaTime is a time as java.util.Date prints itself.
func javaTime(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }

// writeJSON writes the tree in ncdu's format: a directory is a list whose first element is itself.
func (s *snapshot) writeJSON(w *bufio.Writer) error {
	fmt.Fprintf(w, `[1,0,{"progname":"SnapshotFormatter.java","progver":"0.01","timestamp":%d}`, time.Now().UnixMilli())
	inode := 1000
	var visit func(n *node) error
	visit = func(n *node) error {
		inode++
		var name strings.Builder
		encoder := json.NewEncoder(&name)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(n.name); err != nil {
			return err
		}
		open, end := ",", ""
		if len(n.children) > 0 {
			open, end = ",[", "]"
		}
		fmt.Fprintf(w, `%s{"name":%s,"asize":%d,"dsize":%[3]d,"dev":0,"ino":%d}`, open, strings.TrimSpace(name.String()), n.ownBytes(), inode)
		for _, child := range n.children {
			if err := visit(child); err != nil {
				return err
			}
		}
		_, err := w.WriteString(end)
		return err
	}
	if err := visit(s.nodes["/"]); err != nil {
		return err
	}
	_, err := w.WriteString("]")
	return err
}

func snapshotSummary(args []string, streams Streams) int {
	c := newCommand("node snapshot summary", snapshotUsage, streams)
	top := c.flags.Int("n", 10, "")
	rest, code := c.parse(args, 1, 2)
	if code >= 0 {
		return code
	}
	path, file := "/", rest[len(rest)-1]
	if len(rest) == 2 {
		path = rest[0]
	}
	if !strings.HasPrefix(path, "/") || path != "/" && strings.HasSuffix(path, "/") || *top < 0 {
		return c.wrong("%q is no path of a znode, or -n is negative", path)
	}
	s, err := readSnapshot(file, false)
	if err != nil {
		return c.failed(err)
	}
	from := s.nodes[path]
	if from == nil {
		return c.failed(fmt.Errorf("there is no znode %s in %s", path, file))
	}
	out := bufio.NewWriter(c.Out)
	fmt.Fprintf(out, "Children of %s: %d\nZnodes: %d\nData bytes: %d\nSessions: %d\n----\n", plain(path), len(from.children),
		from.count+1, from.bytes, len(s.sessions))
	largest := slices.Clone(from.children)
	slices.SortStableFunc(largest, func(a, b *node) int { return int(min(1, max(-1, b.bytes-a.bytes))) })
	if *top > 0 && len(largest) > *top {
		largest = largest[:*top]
	}
	fmt.Fprintf(out, "%12s %10s  %s\n", "bytes", "znodes", "subtree")
	for _, n := range largest {
		fmt.Fprintf(out, "%12d %10d  %s\n", n.bytes, n.count+1, plain(n.path))
	}
	if err := out.Flush(); err != nil {
		return c.failed(err)
	}
	return exitDone
}
