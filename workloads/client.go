package workloads

import (
	"context"
	"errors"
)

// Client is what workloads ask of a ZooKeeper client. It is one session, bound
// to one member. A call must not be retried behind the caller's back when its
// first attempt may have taken effect.
//
// Every call returns the zxid of the reply header (0 if there was no reply),
// also beside an error that the server sent. Errors wrap one of the sentinels
// below when they are definite; any other error leaves the outcome unknown.
type Client interface {
	Sync(ctx context.Context, path string) (zxid int64, err error)
	Get(ctx context.Context, path string) (data []byte, stat Stat, zxid int64, err error)
	Set(ctx context.Context, path string, data []byte, version int32) (stat Stat, zxid int64, err error)
	Create(ctx context.Context, path string, data []byte) (stat Stat, zxid int64, err error)
}

// Stat is the part of a znode's stat that workloads look at.
type Stat struct {
	Czxid, Mzxid, Pzxid int64
	Version             int32
}

// Definite errors: the operation certainly did not take effect.
var (
	// ErrNoNode says that the znode does not exist.
	ErrNoNode = errors.New("no node")
	// ErrNodeExists says that the znode exists already.
	ErrNodeExists = errors.New("node exists")
	// ErrBadVersion says that the znode is not at the expected version.
	ErrBadVersion = errors.New("bad version")
	// ErrNoAuth says that the session may not do this to the znode.
	ErrNoAuth = errors.New("no permission")
	// ErrNotDone covers every other error after which the operation certainly
	// did not happen: it was never sent, or the server refused it.
	ErrNotDone = errors.New("not done")
)

// ErrProtocol marks the loss of a connection on which a member sent what no client can
// understand, such as an answer to nothing that was asked. The outcome is unknown.
var ErrProtocol = errors.New("the member broke the protocol")

// Definite says whether err means that the operation certainly did not happen.
func Definite(err error) bool {
	return errors.Is(err, ErrNoNode) || errors.Is(err, ErrNodeExists) ||
		errors.Is(err, ErrBadVersion) || errors.Is(err, ErrNoAuth) || errors.Is(err, ErrNotDone)
}

// Outcome classifies an operation by the error of its call. An operation that
// changes nothing fails whatever the error was: nobody can be misled by it. A
// change whose error is not definite may have happened, or may still happen.
func Outcome(changes bool, err error) Type {
	switch {
	case err == nil:
		return OK
	case !changes || Definite(err):
		return Fail
	default:
		return Info
	}
}
