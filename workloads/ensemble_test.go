package workloads

import (
	"errors"
	"fmt"
	"math/rand"
	"sort"
	"strings"
)

// ensemble plays a coordination service for the workloads: one order of changes,
// members that lag behind it, sessions that lose answers, move, expire and watch. One
// process acts at a time, from one call to the next, and the seed decides which, so
// that a run can be repeated. A defect is a promise that it breaks now and then.
type ensemble struct {
	rng     *rand.Rand
	defect  string
	trouble bool // answers are lost and sessions move

	nowNs    int64
	zxid     int64
	log      []fakeTxn
	head     fakeTree // after all of log
	members  []*fakeMember
	sessions map[int64]*fakeSession
	nextID   int64
	late     []Request // defect: writes that take effect after their session has moved
	hurt     int       // times that the defect was at work

	turns chan struct{} // given back by the process that acts
}

type fakeNode struct {
	data  []byte
	stat  Stat
	made  int // children so far
	owner int64
	user  string
}

type fakeTree map[string]*fakeNode

type fakeEdit struct {
	path  string
	kind  EventKind // created, changed or deleted; "guarded" changes the user only
	data  []byte
	owner int64
	user  string
	back  int // defect: how far the parent's count of children goes back
}

type fakeTxn struct {
	zxid  int64
	edits []fakeEdit
}

type fakeMember struct {
	tree    fakeTree
	applied int // of the log
	zxid    int64
}

func newEnsemble(seed int64, defect string) *ensemble {
	e := &ensemble{
		rng: rand.New(rand.NewSource(seed)), defect: defect, zxid: 1 << 32,
		head: newFakeTree(), sessions: make(map[int64]*fakeSession), turns: make(chan struct{}),
	}
	for range 3 {
		e.members = append(e.members, &fakeMember{tree: newFakeTree()})
	}
	return e
}

const firstMembership = "server.1=a:1:2\nserver.2=b:1:2\nversion=0"

func newFakeTree() fakeTree {
	return fakeTree{"/": {}, "/zookeeper": {}, configPath: {data: []byte(firstMembership)}}
}

// hurts says whether the defect is at work now; it is in one of so many cases.
func (e *ensemble) hurts(defect string, oneIn int) bool {
	if e.defect != defect || !e.trouble || e.rng.Intn(oneIn) > 0 {
		return false
	}
	e.hurt++
	return true
}

func parentOf(path string) string {
	if at := strings.LastIndexByte(path, '/'); at > 0 {
		return path[:at]
	}
	return "/"
}

// apply carries one edit out.
func (t fakeTree) apply(zxid int64, edit fakeEdit) {
	node, parent := t[edit.path], t[parentOf(edit.path)]
	switch {
	case edit.kind == EventCreated && parent != nil:
		t[edit.path] = &fakeNode{data: edit.data, stat: Stat{Czxid: zxid, Mzxid: zxid, Pzxid: zxid}, owner: edit.owner}
		parent.made += 1 - edit.back
		parent.stat.Pzxid = zxid
	case edit.kind == EventDeleted && node != nil && parent != nil:
		delete(t, edit.path)
		parent.stat.Pzxid = zxid
	case edit.kind == EventChanged && node != nil:
		node.data, node.stat.Mzxid = edit.data, zxid
		node.stat.Version++
	case edit.kind == "guarded" && node != nil:
		node.user = edit.user
	}
}

// catchUp lets a member apply the log up to a position.
func (e *ensemble) catchUp(m *fakeMember, upTo int) {
	for ; m.applied < upTo; m.applied++ {
		txn := e.log[m.applied]
		m.zxid = txn.zxid
		for _, edit := range txn.edits {
			if e.hurts("a member skips a change", 60) {
				continue
			}
			m.tree.apply(txn.zxid, edit)
			for _, s := range e.inOrder() {
				if s.member == m && !s.ended {
					s.see(txn.zxid, edit)
				}
			}
		}
	}
}

func (e *ensemble) inOrder() []*fakeSession {
	sessions := make([]*fakeSession, 0, len(e.sessions))
	for id := int64(1); id <= e.nextID; id++ {
		if s := e.sessions[id]; s != nil {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// change decides on a change at the leader. What is refused has a zxid too.
func (e *ensemble) change(decide func(fakeTree) ([]fakeEdit, error)) (int64, error) {
	edits, err := decide(e.head)
	e.zxid++
	if err != nil {
		edits = nil
	}
	if len(edits) > 0 && e.hurts("an acknowledged change is lost", 25) {
		edits = nil
	}
	if len(edits) > 1 && e.hurts("a multi is done by half", 8) {
		edits = edits[:1]
	}
	for _, edit := range edits {
		e.head.apply(e.zxid, edit)
	}
	e.log = append(e.log, fakeTxn{e.zxid, edits})
	return e.zxid, err
}

// end closes a session, whose ephemeral znodes go with it.
func (e *ensemble) end(id int64) {
	s := e.sessions[id]
	if s == nil || s.ended {
		return
	}
	s.ended = true
	if s.closed && e.hurts("ephemerals outlive a close", 3) || !s.closed && e.hurts("ephemerals outlive an expiry", 2) {
		return
	}
	_, _ = e.change(func(head fakeTree) ([]fakeEdit, error) {
		var edits []fakeEdit
		for path, node := range head {
			if node.owner == id {
				edits = append(edits, fakeEdit{path: path, kind: EventDeleted})
			}
		}
		sort.Slice(edits, func(i, j int) bool { return edits[i].path < edits[j].path })
		return edits, nil
	})
}

// drift is what happens between two calls: members catch up, sessions that were left
// expire.
func (e *ensemble) drift() {
	m := e.members[e.rng.Intn(len(e.members))]
	if e.rng.Intn(3) == 0 {
		e.catchUp(m, m.applied+e.rng.Intn(len(e.log)-m.applied+1))
	}
	for _, s := range e.inOrder() {
		if s.abandoned && !s.ended && e.hurts("sessions expire early", 30) {
			e.end(s.id)
		}
		if s.abandoned && !s.ended && e.nowNs > s.heardNs+SessionTimeoutMs*1_000_000 {
			e.end(s.id)
		}
	}
	if len(e.late) > 0 && e.rng.Intn(20) == 0 {
		r := e.late[0]
		e.late = e.late[1:]
		_, _ = e.change(func(fakeTree) ([]fakeEdit, error) {
			return []fakeEdit{{path: r.Path, kind: EventChanged, data: r.Data}}, nil
		})
	}
	if e.trouble && e.rng.Intn(150) == 0 {
		e.reconfigure()
	}
	if e.defect == "ephemerals go early" && e.trouble && e.rng.Intn(60) == 0 {
		e.dropEphemeral()
	}
}

// reconfigure makes a new version of the membership.
func (e *ensemble) reconfigure() {
	data := fmt.Sprintf("server.1=a:1:2\nserver.%d=b:1:2\nversion=%x", 2+e.rng.Intn(5), e.zxid+1)
	_, _ = e.change(func(fakeTree) ([]fakeEdit, error) {
		return []fakeEdit{{path: configPath, kind: EventChanged, data: []byte(data)}}, nil
	})
}

// dropEphemeral takes an ephemeral znode away from a session that lives.
func (e *ensemble) dropEphemeral() {
	var paths []string
	for path, node := range e.head {
		if s := e.sessions[node.owner]; s != nil && !s.ended && !s.abandoned {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return
	}
	e.hurt++
	sort.Strings(paths)
	path := paths[e.rng.Intn(len(paths))]
	_, _ = e.change(func(fakeTree) ([]fakeEdit, error) { return []fakeEdit{{path: path, kind: EventDeleted}}, nil })
}

// fakeSession implements Service. Its methods run on the goroutine of its process.
type fakeSession struct {
	e         *ensemble
	process   *fakeProcess
	id        int64
	member    *fakeMember
	zxid      int64 // how far it has come
	users     map[string]bool
	ended     bool
	closed    bool
	abandoned bool
	heardNs   int64

	once   map[fakeWatch]bool // watch -> whether its znode was there
	follow map[string]bool    // path -> recursive
	events []WatchEvent
	held   []WatchEvent // defect: events that come too late
}

type fakeWatch struct {
	path string
	kind string // "data", "existence", "children"
}

func (e *ensemble) open(p *fakeProcess) *fakeSession {
	e.nextID++
	s := &fakeSession{
		e: e, process: p, id: e.nextID, member: e.members[e.rng.Intn(len(e.members))],
		users: make(map[string]bool), once: make(map[fakeWatch]bool), follow: make(map[string]bool),
	}
	e.sessions[s.id] = s
	return s
}

var errFakeLoss = errors.New("connection loss")

// see hands an edit to the session's watches.
func (s *fakeSession) see(zxid int64, edit fakeEdit) {
	if edit.kind == "guarded" {
		return
	}
	fire := func(watch fakeWatch, kind EventKind) {
		if _, set := s.once[watch]; set {
			delete(s.once, watch)
			s.tell(WatchEvent{watch.path, kind, zxid})
		}
	}
	if edit.kind != EventCreated {
		fire(fakeWatch{edit.path, "data"}, edit.kind)
	}
	fire(fakeWatch{edit.path, "existence"}, edit.kind)
	if edit.kind != EventChanged {
		fire(fakeWatch{parentOf(edit.path), "children"}, EventChildren)
	}
	for _, path := range []string{edit.path, parentOf(edit.path)} {
		recursive, followed := s.follow[path]
		switch {
		case !followed:
		case path == edit.path || recursive:
			s.tell(WatchEvent{edit.path, edit.kind, zxid})
		case edit.kind != EventChanged:
			s.tell(WatchEvent{path, EventChildren, zxid})
		}
	}
}

// tell queues an event, by which the session has come to its zxid.
func (s *fakeSession) tell(event WatchEvent) {
	s.zxid = max(s.zxid, event.Zxid)
	switch e := s.e; {
	case e.hurts("an event is lost", 6):
	case e.hurts("an event comes after the data", 4):
		s.held = append(s.held, event)
	case e.hurts("an event comes twice", 6):
		s.events = append(s.events, event, event)
	case e.hurts("events change places", 4) && len(s.events) > 0:
		last := len(s.events) - 1
		s.events = append(s.events[:last], event, s.events[last])
	case e.hurts("an event is of another kind", 6):
		event.Kind = map[EventKind]EventKind{EventCreated: EventDeleted, EventDeleted: EventCreated, EventChanged: EventDeleted, EventChildren: EventChanged}[event.Kind]
		s.events = append(s.events, event)
	case event.Zxid > 0 && e.hurts("an event has another zxid", 6):
		event.Zxid++
		s.events = append(s.events, event)
	default:
		s.events = append(s.events, event)
	}
}

// reconnect takes the session to a member that has come at least as far as it has. What
// its watches that fire once have missed is found out; what persistent ones have missed
// is not, and the client says so.
func (s *fakeSession) reconnect() {
	e := s.e
	next := e.members[e.rng.Intn(len(e.members))]
	if next.zxid < s.zxid && !e.hurts("a session goes back", 3) {
		e.catchUp(next, len(e.log))
	}
	s.member = next
	if len(s.follow) > 0 {
		s.events = append(s.events, WatchEvent{Kind: EventLost, Zxid: -1})
	}
	watches := make([]fakeWatch, 0, len(s.once))
	for watch := range s.once {
		watches = append(watches, watch)
	}
	sort.Slice(watches, func(i, j int) bool { return fmt.Sprint(watches[i]) < fmt.Sprint(watches[j]) })
	for _, watch := range watches {
		node, there := next.tree[watch.path], s.once[watch]
		var kind EventKind
		switch {
		case node == nil && there:
			kind = EventDeleted
		case node == nil:
		case !there:
			kind = EventCreated
		case watch.kind == "children" && node.stat.Pzxid > s.zxid:
			kind = EventChildren
		case watch.kind != "children" && node.stat.Mzxid > s.zxid:
			kind = EventChanged
		}
		if kind != "" && !e.hurts("a watch is forgotten on the way", 2) {
			delete(s.once, watch)
			s.tell(WatchEvent{watch.path, kind, -1})
		}
	}
}
