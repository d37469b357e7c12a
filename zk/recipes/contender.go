package recipes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"zoolab/zk"
)

var (
	// ErrBusy is the answer of TryLock and the like: somebody else holds it.
	ErrBusy = errors.New("held by another")
	// ErrLost says that one's znode is gone: the session has expired, or somebody
	// has deleted the znode.
	ErrLost = errors.New("the znode was deleted")
)

// contender is a place in the order of a recipe's znode.
type contender struct {
	name string
	kind string
	seq  int32
}

// parseContender reads a name of the form GUID-KIND-SEQUENCE.
func parseContender(name string) (contender, bool) {
	parts := strings.SplitN(name, "-", 3)
	if len(parts) != 3 {
		return contender{}, false
	}
	seq, err := strconv.ParseInt(parts[2], 10, 32)
	return contender{name: name, kind: parts[1], seq: int32(seq)}, err == nil
}

// before compares sequence numbers, which wrap at 32 bits.
func (a contender) before(b contender) bool { return a.seq-b.seq < 0 }

// contenders lists those of dir in their order.
func contenders(ctx context.Context, c *zk.Client, dir string) ([]contender, error) {
	var reply zk.ChildrenReply
	err := retry(ctx, func() (err error) { reply, err = c.Children(ctx, dir); return err })
	if err != nil {
		return nil, err
	}
	var all []contender
	for _, name := range reply.Children {
		if k, ok := parseContender(name); ok {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b contender) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return all, nil
}

// Lock is a lock that was granted.
type Lock struct {
	c       *zk.Client
	journal *journal
	guid    string
	path    string
	token   int64
	lost    chan struct{}
	release func() // ends the monitor
	once    sync.Once
}

// Token is a number that is larger than that of every earlier holder: the zxid of the
// transaction that made the lock's znode. It never repeats.
func (l *Lock) Token() int64 { return l.token }

// Path is the path of the lock's znode.
func (l *Lock) Path() string { return l.path }

// Lost is closed when the lock may no longer be held: the session has ended or may
// have expired on the servers, or the lock's znode was deleted. It is closed by Unlock
// too. A holder stops its work then, or relies on the token.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Unlock gives the lock back. A lost connection is waited out until ctx ends; then the
// lock is given back in the background, at the latest by the end of the session.
// Unlock may be called again, and after a loss.
func (l *Lock) Unlock(ctx context.Context) error {
	l.once.Do(l.release)
	err := remove(ctx, l.c, l.path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zk.ErrSessionExpired):
		return nil // the znode has ended with its session
	case l.c.Err() == nil:
		l.journal.disown(l.guid)
	}
	return fmt.Errorf("unlock %s: %w", l.path, err)
}

// acquire takes a place of the kind in the journal's znode and waits until nobody of
// those that blocks selects is before it. With try set it does not wait.
func acquire(ctx context.Context, j *journal, kind string, data []byte, blocks func(kind string) bool, try bool) (*Lock, error) {
	guid := newGUID()
	path, err := j.create(ctx, guid, "-"+kind+"-", data, zk.EphemeralSequential)
	if err == nil {
		err = awaitTurn(ctx, j.c, j.dir, path, blocks, try)
	}
	var lock *Lock
	if err == nil {
		lock, err = hold(ctx, j, guid, path)
	}
	if err == nil {
		return lock, nil
	}
	if gone := path != "" && ctx.Err() == nil && remove(ctx, j.c, path) == nil; !gone && j.c.Err() == nil {
		j.disown(guid)
	}
	if errors.Is(err, ErrBusy) {
		return nil, ErrBusy
	}
	return nil, fmt.Errorf("%s: %w", j.dir, err)
}

// awaitTurn waits for the nearest one before path that blocks selects, and looks again:
// it may have given up while others before it remain.
func awaitTurn(ctx context.Context, c *zk.Client, dir, path string, blocks func(kind string) bool, try bool) error {
	for {
		all, err := contenders(ctx, c, dir)
		if err != nil {
			return err
		}
		own := slices.IndexFunc(all, func(k contender) bool { return dir+"/"+k.name == path })
		if own < 0 {
			return ErrLost
		}
		ahead := own - 1
		for ahead >= 0 && !blocks(all[ahead].kind) {
			ahead--
		}
		switch {
		case ahead < 0:
			return nil
		case try:
			return ErrBusy
		}
		if err := awaitGone(ctx, c, dir+"/"+all[ahead].name); err != nil {
			return err
		}
	}
}

// hold watches over a place that has been reached. The watch for children of an
// ephemeral znode, which can have none, fires when the znode is deleted and never else.
func hold(ctx context.Context, j *journal, guid, path string) (*Lock, error) {
	var own zk.ChildrenReply
	var deleted <-chan zk.Event
	err := retry(ctx, func() (err error) { own, deleted, err = j.c.ChildrenW(ctx, path); return err })
	if errors.Is(err, zk.ErrNoNode) {
		return nil, ErrLost
	}
	if err != nil {
		return nil, err
	}
	held, release := context.WithCancel(context.Background())
	l := &Lock{c: j.c, journal: j, guid: guid, path: path, token: own.Stat.Czxid, lost: make(chan struct{}), release: release}
	go l.monitor(held, deleted)
	return l, nil
}

// monitor closes lost when the lock may be lost.
func (l *Lock) monitor(held context.Context, deleted <-chan zk.Event) {
	defer close(l.lost)
	timer := time.NewTimer(time.Until(l.c.AliveUntil()))
	defer timer.Stop()
	for {
		select {
		case <-deleted: // or the end of the session
			return
		case <-held.Done():
			return
		case <-timer.C:
			left := time.Until(l.c.AliveUntil())
			if left <= 0 {
				return
			}
			timer.Reset(left)
		}
	}
}
