package workloads

import (
	"context"
	"fmt"
	"strings"
)

// call is the frame of every call: others act first, then it takes effect at one
// moment, and its answer may be lost on the way there or back.
func (s *fakeSession) call(act func() (int64, error)) (int64, error) {
	e := s.e
	s.process.pause()
	if s.ended || s.abandoned {
		return 0, fmt.Errorf("%w: the session has ended", ErrNotDone)
	}
	s.heardNs = e.nowNs
	luck := 100
	if e.trouble {
		luck = e.rng.Intn(100)
	}
	switch {
	case luck == 0:
		s.reconnect()
		return 0, errFakeLoss
	case luck < 4:
		s.reconnect()
	}
	zxid, err := act()
	s.zxid = max(s.zxid, zxid)
	if luck == 4 {
		s.reconnect()
		return 0, errFakeLoss
	}
	return zxid, err
}

// write is a call that changes something.
func (s *fakeSession) write(decide func(fakeTree) ([]fakeEdit, error)) (int64, error) {
	return s.call(func() (int64, error) {
		zxid, err := s.e.change(decide)
		s.e.catchUp(s.member, len(s.e.log))
		return zxid, err
	})
}

// read is a call that looks at the member's tree.
func (s *fakeSession) read(look func(fakeTree) error) (int64, error) {
	return s.call(func() (int64, error) {
		err := look(s.member.tree)
		return s.member.zxid, err
	})
}

func (s *fakeSession) Sync(context.Context, string) (int64, error) {
	return s.call(func() (int64, error) {
		if !s.e.hurts("sync does nothing", 2) {
			s.e.catchUp(s.member, len(s.e.log))
		}
		return s.member.zxid, nil
	})
}

// allowed says whether the session may do something to a znode.
func (s *fakeSession) allowed(node *fakeNode) bool {
	return node.user == "" || s.users[node.user] || s.e.hurts("anybody may", 4)
}

func (s *fakeSession) Get(_ context.Context, path string) (data []byte, stat Stat, zxid int64, err error) {
	zxid, err = s.read(func(tree fakeTree) error {
		node := tree[path]
		if node == nil {
			return ErrNoNode
		}
		if !s.allowed(node) || s.e.hurts("owners are refused", 8) {
			return ErrNoAuth
		}
		data, stat = node.data, node.stat
		return nil
	})
	if path == configPath && s.e.hurts("the membership goes back", 4) {
		data = []byte(firstMembership)
	}
	return data, stat, zxid, err
}

func (s *fakeSession) Set(_ context.Context, path string, data []byte, version int32) (stat Stat, zxid int64, err error) {
	zxid, err = s.write(func(head fakeTree) ([]fakeEdit, error) {
		node := head[path]
		switch {
		case node == nil:
			return nil, ErrNoNode
		case !s.allowed(node):
			return nil, ErrNoAuth
		case version >= 0 && version != node.stat.Version && !s.e.hurts("versions are not checked", 2):
			return nil, ErrBadVersion
		}
		stat = Stat{Czxid: node.stat.Czxid, Mzxid: s.e.zxid + 1, Pzxid: node.stat.Pzxid, Version: node.stat.Version + 1}
		return []fakeEdit{{path: path, kind: EventChanged, data: data}}, nil
	})
	return stat, zxid, err
}

func (s *fakeSession) Create(ctx context.Context, path string, data []byte) (Stat, int64, error) {
	_, stat, zxid, err := s.CreateMode(ctx, path, data, 0)
	return stat, zxid, err
}

func (s *fakeSession) CreateMode(_ context.Context, path string, data []byte, mode Mode) (created string, stat Stat, zxid int64, err error) {
	zxid, err = s.write(func(head fakeTree) ([]fakeEdit, error) {
		parent := head[parentOf(path)]
		if parent == nil {
			return nil, ErrNoNode
		}
		if !s.allowed(parent) && !s.e.hurts("anybody makes children", 4) {
			return nil, ErrNoAuth
		}
		edit := fakeEdit{path: path, kind: EventCreated, data: data}
		if mode&Sequential != 0 {
			number := parent.made
			if number > 0 && s.e.hurts("a number is given twice", 5) {
				number--
				edit.back = 1
			}
			edit.path = fmt.Sprintf("%s%010d", path, number)
		}
		if mode&Ephemeral != 0 {
			edit.owner = s.id
		}
		if head[edit.path] != nil && edit.back == 0 {
			return nil, ErrNodeExists
		}
		created, stat = edit.path, Stat{Czxid: s.e.zxid + 1, Mzxid: s.e.zxid + 1, Pzxid: s.e.zxid + 1}
		return []fakeEdit{edit}, nil
	})
	return created, stat, zxid, err
}

func (s *fakeSession) Delete(_ context.Context, path string, version int32) (int64, error) {
	return s.write(func(head fakeTree) ([]fakeEdit, error) {
		node, parent := head[path], head[parentOf(path)]
		switch {
		case parent != nil && !s.allowed(parent) && !s.e.hurts("anybody drops children", 4):
			return nil, ErrNoAuth
		case node == nil && s.e.hurts("a deletion is done twice", 2):
			return nil, nil
		case node == nil:
			return nil, ErrNoNode
		case version >= 0 && version != node.stat.Version:
			return nil, ErrBadVersion
		case s.e.hurts("a deletion comes back", 8):
			return nil, nil
		}
		return []fakeEdit{{path: path, kind: EventDeleted}}, nil
	})
}

func (s *fakeSession) list(tree fakeTree, path string) (names []string, stat Stat, err error) {
	node := tree[path]
	if node == nil {
		return nil, Stat{}, ErrNoNode
	}
	for child := range tree {
		if name, ok := strings.CutPrefix(child, path+"/"); ok && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names, node.stat, nil
}

func (s *fakeSession) Children(_ context.Context, path string) (names []string, zxid int64, err error) {
	zxid, err = s.read(func(tree fakeTree) error {
		names, _, err = s.list(tree, path)
		return err
	})
	return names, zxid, err
}

func (s *fakeSession) Multi(_ context.Context, parts []Part) (int64, error) {
	return s.write(func(head fakeTree) (edits []fakeEdit, err error) {
		blind := s.e.hurts("a multi checks nothing", 3)
		for _, part := range parts {
			node := head[part.Path]
			switch {
			case node == nil && blind:
				continue
			case node == nil:
				return nil, ErrNoNode
			case part.Version >= 0 && part.Version != node.stat.Version && !blind:
				return nil, ErrBadVersion
			}
			if part.Data != nil {
				edits = append(edits, fakeEdit{path: part.Path, kind: EventChanged, data: part.Data})
			}
		}
		return edits, nil
	})
}

// Pipeline carries requests out in order; a connection that is lost loses the answers of
// what was under way on it, and what of it was not carried out yet never is.
func (s *fakeSession) Pipeline(ctx context.Context, requests []Request, leaveMs int64) []Answer {
	answers := make([]Answer, len(requests))
	var late []Request
	lost := len(requests)
	if leaveMs > 0 {
		lost = s.e.rng.Intn(len(requests) + 1)
	}
	for i, r := range requests {
		a := &answers[i]
		switch {
		case i >= lost && r.Kind == RequestWrite && s.e.hurts("a request outlives its connection", 2):
			late = append(late, r)
			a.Err = errFakeLoss
		case i >= lost:
			a.Err = errFakeLoss
		case r.Kind == RequestSync:
			a.Zxid, a.Err = s.Sync(ctx, r.Path)
		case r.Kind == RequestRead:
			a.Data, a.Stat, a.Zxid, a.Err = s.Get(ctx, r.Path)
		default:
			a.Stat, a.Zxid, a.Err = s.Set(ctx, r.Path, r.Data, -1)
		}
	}
	if at := s.e.rng.Intn(len(answers)); at > 0 && requests[at].Kind == RequestWrite && requests[at-1].Kind == RequestWrite && s.e.hurts("writes of a session change places", 4) {
		answers[at], answers[at-1] = answers[at-1], answers[at]
	}
	if leaveMs > 0 {
		s.reconnect()
		s.e.late = append(s.e.late, late...)
	}
	return answers
}

// arm sets a watch that fires once.
func (s *fakeSession) arm(path, kind string, there bool) {
	watch := fakeWatch{path, kind}
	if _, set := s.once[watch]; !set && !s.e.hurts("a watch is not set", 4) {
		s.once[watch] = there
	}
}

func (s *fakeSession) Watch(_ context.Context, path string) (stat Stat, zxid int64, err error) {
	zxid, err = s.read(func(tree fakeTree) error {
		node := tree[path]
		if node == nil {
			return ErrNoNode
		}
		stat = node.stat
		s.arm(path, "data", true)
		return nil
	})
	return stat, zxid, err
}

func (s *fakeSession) Await(_ context.Context, path string) (stat Stat, zxid int64, err error) {
	zxid, err = s.read(func(tree fakeTree) error {
		if node := tree[path]; node != nil {
			stat = node.stat
		}
		s.arm(path, "existence", tree[path] != nil)
		return nil
	})
	return stat, zxid, err
}

func (s *fakeSession) WatchChildren(_ context.Context, path string) (names []string, stat Stat, zxid int64, err error) {
	zxid, err = s.read(func(tree fakeTree) error {
		if names, stat, err = s.list(tree, path); err == nil {
			s.arm(path, "children", true)
		}
		return err
	})
	return names, stat, zxid, err
}

func (s *fakeSession) Follow(_ context.Context, path string, recursive bool) (int64, error) {
	for _, other := range s.follow {
		if other == recursive {
			return 0, fmt.Errorf("%w: the session follows already", ErrNotDone)
		}
	}
	return s.read(func(fakeTree) error {
		s.follow[path] = recursive
		return nil
	})
}

func (s *fakeSession) Events() []WatchEvent {
	events := s.events
	s.events = s.held
	s.held = nil
	return events
}

func (s *fakeSession) Login(_ context.Context, user string) error {
	_, err := s.read(func(fakeTree) error {
		s.users[user] = true
		return nil
	})
	return err
}

func (s *fakeSession) Guard(_ context.Context, path, user string) (int64, error) {
	return s.write(func(head fakeTree) ([]fakeEdit, error) {
		node := head[path]
		switch {
		case node == nil:
			return nil, ErrNoNode
		case !s.allowed(node):
			return nil, ErrNoAuth
		case s.e.hurts("a change of owner is lost", 4):
			return nil, nil
		}
		return []fakeEdit{{path: path, kind: "guarded", user: user}}, nil
	})
}

func (s *fakeSession) Move() error {
	if len(s.once) > 0 || len(s.follow) > 0 {
		return fmt.Errorf("%w: the session has watches", ErrNotDone)
	}
	s.reconnect()
	return nil
}

func (s *fakeSession) End(context.Context) error {
	_, err := s.call(func() (int64, error) {
		s.closed = true
		s.e.end(s.id)
		return s.e.zxid, nil
	})
	s.abandoned = true
	return err
}

func (s *fakeSession) Abandon() { s.abandoned = true }
