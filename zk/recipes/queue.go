package recipes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"zoolab/zk"
)

const itemPrefix = "item-"

// Queue hands each item to one taker: those of a smaller priority number first, and
// those of the same priority in the order of their coming.
//
// Put and Take happen exactly once, also when the connection is lost in their middle,
// as long as the session lives: if it expires just then, the error is one of which
// zk.Unknown is true, and the item may be in the queue, or taken, or neither. An item
// that was taken is gone from the queue: a taker that dies takes it along.
//
// The changes of one Queue value go one after the other; use a value for each
// goroutine that shall work at the same time as others.
type Queue struct {
	c       *zk.Client
	path    string
	journal *journal
}

// NewQueue names a queue by the path of its znode.
func NewQueue(c *zk.Client, path string) *Queue {
	return &Queue{c, path, newJournal(c, path, zk.Container)}
}

// Put adds an item with priority 0.
func (q *Queue) Put(ctx context.Context, data []byte) error { return q.PutPriority(ctx, 0, data) }

// PutPriority adds an item; the smallest priority number is taken first.
func (q *Queue) PutPriority(ctx context.Context, priority uint32, data []byte) error {
	name := fmt.Sprintf("%s/%s%010d-", q.path, itemPrefix, priority)
	_, err := q.journal.commit(ctx, zk.CreateOp(name, data, zk.PersistentSequential))
	return err
}

// Take removes the first item and returns its data. It waits while the queue is empty,
// until ctx or the session ends.
func (q *Queue) Take(ctx context.Context) ([]byte, error) {
	for {
		names, events, err := q.items(ctx, true)
		if err != nil {
			return nil, err
		}
		data, err := q.takeOne(ctx, names)
		if !errors.Is(err, ErrEmpty) {
			unwatch(q.c, q.path, events)
			return data, err
		}
		if len(names) > 0 {
			unwatch(q.c, q.path, events)
			continue // others were faster: there may be more
		}
		if _, err := awaitEvent(ctx, q.c, q.path, events); err != nil {
			return nil, err
		}
	}
}

// ErrEmpty is the answer of TryTake when the queue has no item.
var ErrEmpty = errors.New("the queue is empty")

// TryTake is Take without the waiting.
func (q *Queue) TryTake(ctx context.Context) ([]byte, error) {
	for {
		names, _, err := q.items(ctx, false)
		if err != nil {
			return nil, err
		}
		data, err := q.takeOne(ctx, names)
		if !errors.Is(err, ErrEmpty) || len(names) == 0 {
			return data, err
		}
	}
}

// Len counts the items.
func (q *Queue) Len(ctx context.Context) (int, error) {
	names, _, err := q.items(ctx, false)
	return len(names), err
}

// takeOne takes the first of the items that nobody else takes meanwhile; ErrEmpty says
// that others have taken all.
func (q *Queue) takeOne(ctx context.Context, names []string) ([]byte, error) {
	for _, name := range names {
		path := q.path + "/" + name
		var node zk.DataReply
		err := retry(ctx, func() (err error) { node, err = q.c.Get(ctx, path); return err })
		if err == nil {
			_, err = q.journal.commit(ctx, zk.DeleteOp(path, zk.AnyVersion))
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return node.Data, err
		}
	}
	return nil, ErrEmpty
}

// items lists the items in their order, and with watch set watches for more.
func (q *Queue) items(ctx context.Context, watch bool) (names []string, events <-chan zk.Event, err error) {
	var children zk.ChildrenReply
	err = within(ctx, q.c, q.path, zk.Container, func() error {
		return retry(ctx, func() (err error) {
			if !watch {
				children, err = q.c.Children(ctx, q.path)
				return err
			}
			children, events, err = q.c.ChildrenW(ctx, q.path)
			return err
		})
	})
	if err != nil {
		return nil, nil, err
	}
	for _, name := range children.Children {
		if _, _, ok := parseItem(name); ok {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		aPriority, aSeq, _ := parseItem(a)
		bPriority, bSeq, _ := parseItem(b)
		if c := strings.Compare(aPriority, bPriority); c != 0 {
			return c
		}
		return int(aSeq - bSeq) // sequence numbers wrap at 32 bits
	})
	return names, events, nil
}

// parseItem splits a name of the form item-PRIORITY-SEQUENCE.
func parseItem(name string) (priority string, seq int32, ok bool) {
	rest, ok := strings.CutPrefix(name, itemPrefix)
	priority, digits, found := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(digits, 10, 32)
	return priority, int32(n), ok && found && err == nil
}
