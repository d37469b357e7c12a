package recipes

import (
	"context"

	"zoolab/zk"
)

const (
	kindLock  = "lock"
	kindRead  = "read"
	kindWrite = "write"
)

func everyKind(string) bool { return true }

func onlyWriters(kind string) bool { return kind == kindWrite }

// Mutex is a lock that one contender holds at a time, in the order in which they came.
// When the holder's session expires the next contender gets it; the holder learns it
// from Lost.
type Mutex struct{ journal *journal }

// NewMutex names a lock by the path of its znode.
func NewMutex(c *zk.Client, path string) *Mutex { return &Mutex{newJournal(c, path, zk.Container)} }

// Lock waits until the lock is granted, ctx ends or the session does. After an error
// nothing is held and nobody is blocked.
func (m *Mutex) Lock(ctx context.Context) (*Lock, error) {
	return acquire(ctx, m.journal, kindLock, nil, everyKind, false)
}

// TryLock is Lock without the waiting: ErrBusy says that another contender holds it or
// was there before.
func (m *Mutex) TryLock(ctx context.Context) (*Lock, error) {
	return acquire(ctx, m.journal, kindLock, nil, everyKind, true)
}

// RWMutex is a lock that any number of readers hold, or one writer. It is granted in
// the order of coming, so neither side starves: a reader waits for the writers that
// came before it, a writer for all.
type RWMutex struct{ journal *journal }

// NewRWMutex names a lock by the path of its znode.
func NewRWMutex(c *zk.Client, path string) *RWMutex {
	return &RWMutex{newJournal(c, path, zk.Container)}
}

// Lock waits for the lock of a writer, as Mutex.Lock does.
func (m *RWMutex) Lock(ctx context.Context) (*Lock, error) {
	return acquire(ctx, m.journal, kindWrite, nil, everyKind, false)
}

// TryLock is Lock without the waiting, as Mutex.TryLock is.
func (m *RWMutex) TryLock(ctx context.Context) (*Lock, error) {
	return acquire(ctx, m.journal, kindWrite, nil, everyKind, true)
}

// RLock waits for the lock of a reader.
func (m *RWMutex) RLock(ctx context.Context) (*Lock, error) {
	return acquire(ctx, m.journal, kindRead, nil, onlyWriters, false)
}

// TryRLock is RLock without the waiting.
func (m *RWMutex) TryRLock(ctx context.Context) (*Lock, error) {
	return acquire(ctx, m.journal, kindRead, nil, onlyWriters, true)
}
