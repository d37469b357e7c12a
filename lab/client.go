package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"zoolab/lab/datadir"
	"zoolab/nemesis"
	"zoolab/workloads"
	"zoolab/zk"
	"zoolab/zk/jute"
)

const (
	sessionTimeout = workloads.SessionTimeoutMs * time.Millisecond
	// readTimeout gives up a silent member before operationTimeout does.
	readTimeout = 3 * time.Second
	// closeTimeout bounds the farewell to a member that may be down.
	closeTimeout = time.Second
)

// client is what a session asks of a ZooKeeper client: a zk.Client, or a simulated one.
type client interface {
	Sync(ctx context.Context, path string) (zk.Reply, error)
	Get(ctx context.Context, path string) (zk.DataReply, error)
	GetW(ctx context.Context, path string) (zk.DataReply, <-chan zk.Event, error)
	ExistsW(ctx context.Context, path string) (zk.ExistsReply, <-chan zk.Event, error)
	Children(ctx context.Context, path string) (zk.ChildrenReply, error)
	ChildrenW(ctx context.Context, path string) (zk.ChildrenReply, <-chan zk.Event, error)
	Create(ctx context.Context, path string, data []byte, mode zk.Mode, acl ...zk.ACL) (zk.CreateReply, error)
	Set(ctx context.Context, path string, data []byte, version int32) (zk.StatReply, error)
	SetACL(ctx context.Context, path string, acl []zk.ACL, version int32) (zk.StatReply, error)
	Delete(ctx context.Context, path string, version int32) (zk.Reply, error)
	Multi(ctx context.Context, ops ...zk.Op) (zk.MultiReply, error)
	Pipeline(ctx context.Context, requests ...zk.Pipelined) []zk.PipelineResult
	AddWatch(ctx context.Context, path string, mode zk.WatchMode, events chan zk.Event) (zk.Reply, error)
	AddAuth(ctx context.Context, scheme string, auth []byte) error
	Close(ctx context.Context) error
	Detach() zk.Session
	Server() string
	Session() zk.Session
	State() zk.State
	AliveUntil() time.Time
}

// session is one session, bound to one member, as the workloads and the lab
// want it. It is safe for concurrent use, but for Move, End, Abandon
// and what concerns watches, which are for one goroutine.
type session struct {
	addr   string // members that the session may use, with commas
	client client
	// proceed makes a client that continues a session that was detached.
	proceed func(s *session, detached zk.Session) (client, error)
	clock   nemesis.Clock

	users []string  // presented so far
	alive time.Time // the session can't have expired before: what an earlier connection has proved

	stray   *strayEvents              // those for which the client has no watch
	fires   map[watchedPath]onceWatch // watches that have not fired yet
	fired   []workloads.WatchEvent    // not yet handed over
	follows [2]chan zk.Event          // of the znode alone, and recursive; nil without Follow
}

// watchedPath tells watches that fire once apart: a server keeps one of each kind for
// a path.
type watchedPath struct {
	path string
	kind watchKind
}

type watchKind uint8

const (
	watchData watchKind = iota
	watchExistence
	watchChildren
)

// onceWatch fires once.
type onceWatch struct {
	fires <-chan zk.Event
	zxid  int64 // of what it was set on, 0 for a znode that was not there
}

// followCapacity is room for what a followed tree sees between two operations.
const followCapacity = 1 << 14

func openSession(ctx context.Context, addr string) (*session, error) {
	s := &session{addr: addr, proceed: proceed, clock: nemesis.RealClock{}, stray: &strayEvents{}}
	var err error
	if s.client, err = zk.Connect(ctx, addr, s.clientOptions()...); err != nil {
		return nil, err
	}
	return s, nil
}

// proceed continues a session over the network.
func proceed(s *session, detached zk.Session) (client, error) {
	options := append(s.clientOptions(), zk.WithSession(detached))
	for _, user := range s.users {
		options = append(options, zk.WithAuth("digest", credential(user)))
	}
	return zk.New(s.addr, options...)
}

func (s *session) clientOptions() []zk.Option {
	return []zk.Option{zk.WithSessionTimeout(sessionTimeout), zk.WithReadTimeout(readTimeout), zk.WithStrayEvents(s.stray.add)}
}

// strayEvents are events that a member sent though the session had no such watch, or not
// any more. Their client would drop them, and nobody would see that one was sent twice.
type strayEvents struct {
	mu     sync.Mutex // guards events
	events []zk.Event
}

func (e *strayEvents) add(event zk.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, event)
}

// take hands the events over, each once.
func (e *strayEvents) take() []zk.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	events := e.events
	e.events = nil
	return events
}

// Server is the address of the member that the session is connected to, empty
// without one.
func (s *session) Server() string { return s.client.Server() }

// ID is the session's id.
func (s *session) ID() int64 { return s.client.Session().ID }

// Expired says that the session has ended and that a new one must be opened.
func (s *session) Expired() bool {
	state := s.client.State()
	return state == zk.StateExpired || state == zk.StateClosed
}

// Expiry implements clientSession.
func (s *session) Expiry() (expiry, bool) {
	granted := s.client.Session().Timeout
	if s.client.State() != zk.StateExpired || granted <= 0 {
		return expiry{}, false
	}
	return expiry{granted: granted, heard: s.aliveUntil().Add(-granted)}, true
}

// aliveUntil is the session's timeout after the sending of what was answered last.
func (s *session) aliveUntil() time.Time {
	if until := s.client.AliveUntil(); until.After(s.alive) {
		return until
	}
	return s.alive
}

// Close ends the session, on the server too if that answers in time.
func (s *session) Close() {
	ctx, cancel := s.clock.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// Without an answer the server lets the session expire, which is as good.
	_ = s.client.Close(ctx)
}

// Sync implements workloads.Client.
func (s *session) Sync(ctx context.Context, path string) (int64, error) {
	reply, err := s.client.Sync(ctx, path)
	return reply.Zxid, classify(err)
}

// Get implements workloads.Client.
func (s *session) Get(ctx context.Context, path string) ([]byte, workloads.Stat, int64, error) {
	reply, err := s.client.Get(ctx, path)
	return reply.Data, statOf(&reply.Stat), reply.Zxid, classify(err)
}

// Set implements workloads.Client.
func (s *session) Set(ctx context.Context, path string, data []byte, version int32) (workloads.Stat, int64, error) {
	reply, err := s.client.Set(ctx, path, data, version)
	return statOf(&reply.Stat), reply.Zxid, classify(err)
}

// Create implements workloads.Client.
func (s *session) Create(ctx context.Context, path string, data []byte) (workloads.Stat, int64, error) {
	reply, err := s.client.Create(ctx, path, data, zk.Persistent)
	return statOf(&reply.Stat), reply.Zxid, classify(err)
}

// CreateMode implements workloads.Service, as do the methods below.
func (s *session) CreateMode(ctx context.Context, path string, data []byte, mode workloads.Mode) (string, workloads.Stat, int64, error) {
	kind := zk.Persistent
	switch mode {
	case workloads.Sequential:
		kind = zk.PersistentSequential
	case workloads.Ephemeral:
		kind = zk.Ephemeral
	case workloads.Sequential | workloads.Ephemeral:
		kind = zk.EphemeralSequential
	}
	reply, err := s.client.Create(ctx, path, data, kind)
	return reply.Path, statOf(&reply.Stat), reply.Zxid, classify(err)
}

// Delete removes a znode.
func (s *session) Delete(ctx context.Context, path string, version int32) (int64, error) {
	reply, err := s.client.Delete(ctx, path, version)
	return reply.Zxid, classify(err)
}

// Children lists the names of a znode's children.
func (s *session) Children(ctx context.Context, path string) ([]string, int64, error) {
	reply, err := s.client.Children(ctx, path)
	return reply.Children, reply.Zxid, classify(err)
}

// Multi carries out a transaction.
func (s *session) Multi(ctx context.Context, parts []workloads.Part) (int64, error) {
	ops := make([]zk.Op, 0, len(parts))
	for _, part := range parts {
		if part.Data == nil {
			ops = append(ops, zk.CheckOp(part.Path, part.Version))
		} else {
			ops = append(ops, zk.SetOp(part.Path, part.Data, part.Version))
		}
	}
	reply, err := s.client.Multi(ctx, ops...)
	return reply.Zxid, classify(err)
}

// Pipeline sends several requests at once.
func (s *session) Pipeline(ctx context.Context, requests []workloads.Request, leaveMs int64) []workloads.Answer {
	sent := make([]zk.Pipelined, len(requests))
	for i, request := range requests {
		switch request.Kind {
		case workloads.RequestWrite:
			sent[i] = zk.SetOp(request.Path, request.Data, zk.AnyVersion)
		case workloads.RequestSync:
			sent[i] = zk.SyncOp{Path: request.Path}
		default:
			sent[i] = zk.GetOp(request.Path)
		}
	}
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if leaveMs > 0 {
		waiting, cancel = s.clock.WithTimeout(ctx, time.Duration(leaveMs)*time.Millisecond)
	}
	results := s.client.Pipeline(waiting, sent...)
	cancel()
	answers := make([]workloads.Answer, len(results))
	for i := range results {
		r := &results[i]
		answers[i] = workloads.Answer{Data: r.Data, Stat: statOf(&r.Stat), Zxid: r.Zxid, Err: classify(r.Err)}
	}
	if leaveMs > 0 && !s.Expired() {
		_ = s.Move() // where it stays instead, the next answers say so
	}
	return answers
}

// Watch reads a znode and watches its data.
func (s *session) Watch(ctx context.Context, path string) (workloads.Stat, int64, error) {
	reply, fires, err := s.client.GetW(ctx, path)
	if err == nil {
		s.armed(watchedPath{path, watchData}, fires, reply.Stat.Mzxid)
	}
	return statOf(&reply.Stat), reply.Zxid, classify(err)
}

// Await looks for a znode and watches whether it comes, changes or goes.
func (s *session) Await(ctx context.Context, path string) (workloads.Stat, int64, error) {
	reply, fires, err := s.client.ExistsW(ctx, path)
	if err == nil {
		s.armed(watchedPath{path, watchExistence}, fires, reply.Stat.Mzxid)
	}
	return statOf(&reply.Stat), reply.Zxid, classify(err)
}

// WatchChildren lists the names of a znode's children and watches them.
func (s *session) WatchChildren(ctx context.Context, path string) ([]string, workloads.Stat, int64, error) {
	reply, fires, err := s.client.ChildrenW(ctx, path)
	if err == nil {
		s.armed(watchedPath{path, watchChildren}, fires, reply.Stat.Pzxid)
	}
	return reply.Children, statOf(&reply.Stat), reply.Zxid, classify(err)
}

// armed keeps a watch that was just set. While what it was set on is still that of an
// earlier watch, servers know of one only, and the client's second one is let go.
func (s *session) armed(at watchedPath, fires <-chan zk.Event, zxid int64) {
	if old, ok := s.fires[at]; ok && old.zxid == zxid {
		return
	}
	s.poll() // the event of an earlier watch came before the newer state
	if _, ok := s.fires[at]; !ok {
		if s.fires == nil {
			s.fires = make(map[watchedPath]onceWatch)
		}
		s.fires[at] = onceWatch{fires, zxid}
	}
}

// poll takes over what the watches that fire once have seen.
func (s *session) poll() {
	ready := slices.SortedFunc(maps.Keys(s.fires), func(a, b watchedPath) int {
		return cmp.Or(strings.Compare(a.path, b.path), cmp.Compare(a.kind, b.kind))
	})
	for _, at := range ready { // in an order of its own: the same run has the same history
		select {
		case event := <-s.fires[at].fires:
			delete(s.fires, at)
			if event.Type != zk.EventNone {
				s.fired = append(s.fired, eventOf(event))
			}
		default:
		}
	}
}

// Follow watches a path, and all below it if recursive.
func (s *session) Follow(ctx context.Context, path string, recursive bool) (int64, error) {
	kind, mode := 0, zk.WatchPersistent
	if recursive {
		kind, mode = 1, zk.WatchRecursive
	}
	if s.follows[kind] != nil {
		return 0, fmt.Errorf("%w: the session follows already", workloads.ErrNotDone)
	}
	follows := make(chan zk.Event, followCapacity)
	reply, err := s.client.AddWatch(ctx, path, mode, follows)
	if err == nil {
		s.follows[kind] = follows
	}
	return reply.Zxid, classify(err)
}

// Events hands over what the watches have seen.
func (s *session) Events() []workloads.WatchEvent {
	s.poll()
	events := s.fired
	s.fired = nil
	for _, follows := range s.follows {
		for range len(follows) {
			events = append(events, eventOf(<-follows))
		}
	}
	for _, event := range s.stray.take() {
		events = append(events, eventOf(event))
	}
	return events
}

func eventOf(event zk.Event) workloads.WatchEvent {
	out := workloads.WatchEvent{Path: event.Path, Zxid: event.Zxid}
	switch event.Type {
	case zk.EventCreated:
		out.Kind = workloads.EventCreated
	case zk.EventDeleted:
		out.Kind = workloads.EventDeleted
	case zk.EventDataChanged:
		out.Kind = workloads.EventChanged
	case zk.EventChildrenChanged:
		out.Kind = workloads.EventChildren
	default:
		out.Kind, out.Path = workloads.EventLost, ""
	}
	return out
}

// Login presents a user, whose name is his password.
func (s *session) Login(ctx context.Context, user string) error {
	// It is presented again after a Move also if there was no answer: the server may
	// have it.
	if !slices.Contains(s.users, user) {
		s.users = append(s.users, user)
	}
	return classify(s.client.AddAuth(ctx, "digest", credential(user)))
}

func credential(user string) []byte { return []byte(user + ":" + user) }

// Guard leaves a znode to one user, or to everybody.
func (s *session) Guard(ctx context.Context, path, user string) (int64, error) {
	acl := zk.WorldACL(zk.PermAll)
	if user != "" {
		acl = zk.DigestACL(zk.PermAll, user, user)
	}
	reply, err := s.client.SetACL(ctx, path, acl, -1)
	return reply.Zxid, classify(err)
}

// Move gives up the connection and takes the session elsewhere.
func (s *session) Move() error {
	if s.fires != nil || s.follows[0] != nil || s.follows[1] != nil {
		return fmt.Errorf("%w: the session has watches", workloads.ErrNotDone)
	}
	s.alive = s.aliveUntil()
	client, err := s.proceed(s, s.client.Detach())
	if err != nil {
		return fmt.Errorf("%w: %w", workloads.ErrNotDone, err)
	}
	s.client = client
	return nil
}

// End closes the session on the server.
func (s *session) End(ctx context.Context) error { return s.client.Close(ctx) }

// Abandon leaves the session to its timeout.
func (s *session) Abandon() { s.client.Detach() }

// node reads one znode with the names of its children.
func (s *session) node(ctx context.Context, path string) (workloads.TreeNode, []string, error) {
	children, err := s.client.Children(ctx, path)
	if err != nil {
		return workloads.TreeNode{}, nil, err
	}
	data, err := s.client.Get(ctx, path)
	if err != nil {
		return workloads.TreeNode{}, nil, err
	}
	stat := &data.Stat
	return workloads.TreeNode{
		Czxid: stat.Czxid, Mzxid: stat.Mzxid, Pzxid: stat.Pzxid, CtimeMs: stat.Ctime, MtimeMs: stat.Mtime,
		Version: stat.Version, Cversion: stat.Cversion, Aversion: stat.Aversion, EphemeralOwner: stat.EphemeralOwner,
		DataLength: stat.DataLength, Children: stat.NumChildren, DataHash: datadir.Hash(data.Data),
	}, children.Children, nil
}

func statOf(stat *zk.Stat) workloads.Stat {
	return workloads.Stat{Czxid: stat.Czxid, Mzxid: stat.Mzxid, Pzxid: stat.Pzxid, Version: stat.Version}
}

// classify says in the workloads' terms what is certain about an error.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jute.ErrMalformed):
		return fmt.Errorf("%w: %w", workloads.ErrProtocol, err)
	case !zk.Definite(err):
		return err
	}
	for cause, kind := range map[error]error{
		zk.ErrNoNode: workloads.ErrNoNode, zk.ErrNodeExists: workloads.ErrNodeExists, zk.ErrBadVersion: workloads.ErrBadVersion,
		zk.ErrNoAuth: workloads.ErrNoAuth,
	} {
		if errors.Is(err, cause) {
			return fmt.Errorf("%w: %w", kind, err)
		}
	}
	return fmt.Errorf("%w: %w", workloads.ErrNotDone, err)
}
