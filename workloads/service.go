package workloads

import (
	"context"
	"fmt"
)

// Service is a Client with the operations beyond single registers. The rules of
// Client hold for each of them.
type Service interface {
	Client

	// CreateMode makes a znode of a kind and returns its path, which a
	// sequential znode learns only here.
	CreateMode(ctx context.Context, path string, data []byte, mode Mode) (created string, stat Stat, zxid int64, err error)
	Delete(ctx context.Context, path string, version int32) (zxid int64, err error)
	// Children lists names, not paths, in no order.
	Children(ctx context.Context, path string) (names []string, zxid int64, err error)
	// Multi carries out all parts in one transaction, or none.
	Multi(ctx context.Context, parts []Part) (zxid int64, err error)

	// Pipeline sends all requests, one right behind the other, and returns when each has
	// its end. After leaveMs the session goes on elsewhere, as by Move, and what has no
	// answer by then is of unknown outcome; 0 stays until the end of ctx.
	Pipeline(ctx context.Context, requests []Request, leaveMs int64) []Answer

	// Watch reads a znode and sets a watch on its data that fires once.
	Watch(ctx context.Context, path string) (stat Stat, zxid int64, err error)
	// Await looks whether a znode exists and sets a watch that fires once, when it is
	// made, changed or deleted. Where there is none, the stat is zero and no error.
	Await(ctx context.Context, path string) (stat Stat, zxid int64, err error)
	// WatchChildren lists names and sets a watch on them that fires once. Pzxid of
	// the stat tells how new the list is.
	WatchChildren(ctx context.Context, path string) (names []string, stat Stat, zxid int64, err error)
	// Follow sets a persistent watch, on the znode alone or on all below it too. A
	// session has at most one of each kind.
	Follow(ctx context.Context, path string, recursive bool) (zxid int64, err error)
	// Events hands over what watches saw since the last call. Whoever has seen new
	// data finds its event here.
	Events() []WatchEvent

	// Login presents a user to the server, on this connection and every later one of
	// the session.
	Login(ctx context.Context, user string) error
	// Guard leaves a znode to one user who has presented himself, with "" to everybody.
	Guard(ctx context.Context, path, user string) (zxid int64, err error)

	// Move takes the session to whichever member of those it may use answers
	// first. It returns at once; calls wait for the new connection. A session with
	// watches refuses, since they would not move with it.
	Move() error
	// End closes the session and waits for the answer.
	End(ctx context.Context) error
	// Abandon leaves the session to its timeout, without a word.
	Abandon()
}

// WatchEvent is a change that a watch saw. An empty path stands for changes that
// the watches of Follow may have missed, as after a reconnect.
type WatchEvent struct {
	Path string
	Kind EventKind
	Zxid int64 // -1 from servers that don't tell
}

// EventKind says what a watch saw. The names are those of histories.
type EventKind string

// The kinds of events.
const (
	EventCreated  EventKind = "created"
	EventDeleted  EventKind = "deleted"
	EventChanged  EventKind = "changed"
	EventChildren EventKind = "children"
	EventLost     EventKind = "lost" // stands for those that were missed; its path is empty
)

// Mode is the kind of znode that CreateMode makes; the bits may be combined.
type Mode uint8

// The modes.
const (
	Sequential Mode = 1 << iota
	Ephemeral
)

// Part is one part of a Multi: a set of a znode at a version, or only the check
// that it is at the version.
type Part struct {
	Path    string
	Data    []byte // nil: check only
	Version int32
}

// Request is one of a Pipeline.
type Request struct {
	Kind RequestKind
	Path string
	Data []byte // of a write
}

// RequestKind is what a Request asks. The names are those of histories.
type RequestKind string

// The kinds of requests.
const (
	RequestRead  RequestKind = "read"
	RequestWrite RequestKind = "write" // whatever the version
	RequestSync  RequestKind = "sync"
)

// Answer is what came of a Request.
type Answer struct {
	Data []byte
	Stat Stat
	Zxid int64 // of the reply's header, 0 without a reply
	Err  error // by the rules of Client
}

// withService is the Do of a workload that needs more than a Client.
func withService(do func(context.Context, Service, Op) Op) func(context.Context, Client, Op) Op {
	return func(ctx context.Context, client Client, op Op) Op {
		service, ok := client.(Service)
		if !ok {
			return refuse(op, fmt.Sprintf("%T can't do more than registers", client))
		}
		op.Version = -1
		return do(ctx, service, op)
	}
}

// refuse completes an operation that was never asked for.
func refuse(op Op, why string) Op {
	op.Type, op.Version, op.Error = Fail, -1, why
	return op
}

// complete ends op by the error of its last call. Changes says whether that call
// can have changed something.
func complete(op Op, changes bool, zxid int64, what string, err error) Op {
	op.Type, op.Zxid = Outcome(changes, err), zxid
	if err != nil {
		op.Error = what + ": " + err.Error()
	}
	return op
}
