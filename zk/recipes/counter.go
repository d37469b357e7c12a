package recipes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"zoolab/zk"
)

// Counter is a number that many sessions share. Each change happens exactly once, also
// when the connection is lost in its middle, as long as the session lives: if it
// expires just then, the error is one of which zk.Unknown is true.
//
// The number is a znode's data, as decimal text; a missing znode is 0.
type Counter struct {
	c       *zk.Client
	path    string
	journal *journal
}

// NewCounter names a counter by the path of its znode.
func NewCounter(c *zk.Client, path string) *Counter {
	return &Counter{c, path, newJournal(c, path, zk.Persistent)}
}

// Get reads the number after a sync: it is as new as the call.
func (n *Counter) Get(ctx context.Context) (int64, error) {
	value, _, err := n.read(ctx)
	return value, err
}

func (n *Counter) read(ctx context.Context) (value int64, version int32, err error) {
	var node zk.DataReply
	err = retry(ctx, func() (err error) {
		if _, err = n.c.Sync(ctx, n.path); err == nil {
			node, err = n.c.Get(ctx, n.path)
		}
		return err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	value, err = parseCount(n.path, node.Data)
	return value, node.Stat.Version, err
}

func parseCount(path string, data []byte) (int64, error) {
	if len(data) == 0 {
		return 0, nil
	}
	value, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds no number: %w", path, err)
	}
	return value, nil
}

// Add adds delta, which may be negative, and returns the sum.
func (n *Counter) Add(ctx context.Context, delta int64) (int64, error) {
	const longestPause = 100 * time.Millisecond
	for pause := time.Millisecond; ; pause = min(2*pause, longestPause) {
		value, version, err := n.read(ctx)
		if err != nil {
			return 0, err
		}
		swapped, err := n.swap(ctx, version, value+delta)
		if err != nil || swapped {
			return value + delta, err
		}
		select { // somebody else was first
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// CompareAndSwap sets the number to new if it is old, and says whether it was.
func (n *Counter) CompareAndSwap(ctx context.Context, old, new int64) (bool, error) {
	for {
		value, version, err := n.read(ctx)
		if err != nil || value != old {
			return false, err
		}
		if swapped, err := n.swap(ctx, version, new); err != nil || swapped {
			return swapped, err
		}
	}
}

// swap sets the number if the znode is at the version.
func (n *Counter) swap(ctx context.Context, version int32, value int64) (bool, error) {
	_, err := n.journal.commit(ctx, zk.SetOp(n.path, strconv.AppendInt(nil, value, 10), version))
	if errors.Is(err, zk.ErrBadVersion) {
		return false, nil
	}
	return err == nil, err
}

// Observe sends the number as it is and after changes, until ctx or the session ends;
// the channel is then closed. A slow reader misses those between.
func (n *Counter) Observe(ctx context.Context) <-chan int64 {
	values := make(chan int64, 1)
	go func() {
		defer close(values)
		for ctx.Err() == nil {
			if err := n.observe(ctx, values); err != nil && !passing(err) {
				return
			}
		}
	}()
	return values
}

// observe sends the number and waits until it may have changed.
func (n *Counter) observe(ctx context.Context, values chan int64) error {
	var node zk.DataReply
	var events <-chan zk.Event
	err := within(ctx, n.c, n.path, zk.Persistent, func() error {
		return retry(ctx, func() (err error) { node, events, err = n.c.GetW(ctx, n.path); return err })
	})
	if err != nil {
		return err
	}
	value, err := parseCount(n.path, node.Data)
	if err != nil {
		unwatch(n.c, n.path, events)
		return err
	}
	select {
	case <-values: // nobody has read it
	default:
	}
	values <- value
	_, err = awaitEvent(ctx, n.c, n.path, events)
	return err
}
