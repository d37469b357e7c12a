package recipes

import (
	"context"
	"errors"
	"slices"

	"zoolab/zk"
)

// Barrier holds back whoever waits, while its znode exists. It belongs to no session
// and stays until somebody removes it.
type Barrier struct {
	c    *zk.Client
	path string
}

// NewBarrier names a barrier by the path of its znode.
func NewBarrier(c *zk.Client, path string) *Barrier { return &Barrier{c, path} }

// Set puts the barrier up; that it is up already is success.
func (b *Barrier) Set(ctx context.Context) error {
	err := within(ctx, b.c, parentOf(b.path), zk.Container, func() error {
		return retry(ctx, func() error { _, err := b.c.Create(ctx, b.path, nil, zk.Persistent); return err })
	})
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// Remove takes the barrier down and so wakes all that wait; that it is down already is
// success.
func (b *Barrier) Remove(ctx context.Context) error { return remove(ctx, b.c, b.path) }

// Wait returns when the barrier is down, or ctx or the session ends.
func (b *Barrier) Wait(ctx context.Context) error {
	if err := retry(ctx, func() error { _, err := b.c.Sync(ctx, b.path); return err }); err != nil {
		return err
	}
	return awaitGone(ctx, b.c, b.path)
}

// DoubleBarrier lets a number of participants begin together and end together, any
// number of rounds. A participant whose session expires counts as one that has left.
//
// One value is one participant, used by one goroutine at a time.
type DoubleBarrier struct {
	c       *zk.Client
	path    string
	count   int
	journal *journal
	own     string // name of the participant's znode; empty outside a round
}

// NewDoubleBarrier names a barrier by the path of its znode; count participants enter.
func NewDoubleBarrier(c *zk.Client, path string, count int) *DoubleBarrier {
	return &DoubleBarrier{c: c, path: path, count: count, journal: newJournal(c, path, zk.Container)}
}

const (
	readyName         = "ready"
	participantPrefix = "participant-"
)

// Enter returns when all participants have entered. After an error one has not.
func (d *DoubleBarrier) Enter(ctx context.Context) error {
	name := participantPrefix + newGUID()
	_, err := d.journal.commit(ctx, zk.CreateOp(d.path+"/"+name, nil, zk.Ephemeral))
	if err == nil {
		err = d.awaitReady(ctx)
	}
	if err != nil {
		d.journal.disown(name)
		return err
	}
	d.own = name
	return nil
}

// awaitReady waits for the znode that the last one to enter makes. The watch is set
// before the participants are counted, so none of both is missed.
func (d *DoubleBarrier) awaitReady(ctx context.Context) error {
	ready := d.path + "/" + readyName
	var there zk.ExistsReply
	var events <-chan zk.Event
	err := retry(ctx, func() (err error) { there, events, err = d.c.ExistsW(ctx, ready); return err })
	if err != nil {
		return err
	}
	names, err := d.participants(ctx)
	if err != nil || there.Exists || len(names) >= d.count {
		unwatch(d.c, ready, events)
	}
	switch {
	case err != nil:
		return err
	case there.Exists:
		return nil
	case len(names) >= d.count:
		err := retry(ctx, func() error { _, err := d.c.Create(ctx, ready, nil, zk.Persistent); return err })
		if errors.Is(err, zk.ErrNodeExists) {
			return nil
		}
		return err
	}
	_, err = awaitEvent(ctx, d.c, ready, events)
	return err
}

// participants lists the names of those inside, in an order that all see.
func (d *DoubleBarrier) participants(ctx context.Context) ([]string, error) {
	var children zk.ChildrenReply
	err := retry(ctx, func() (err error) { children, err = d.c.Children(ctx, d.path); return err })
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return nil, err
	}
	names := slices.DeleteFunc(children.Children, func(name string) bool {
		return len(name) <= len(participantPrefix) || name[:len(participantPrefix)] != participantPrefix
	})
	slices.Sort(names)
	return names, nil
}

// Leave returns when all participants have left. After an error it may be called again.
//
// Each waits for one other only: those before the end for the first, and the first for
// the last. Who is left alone removes the ready znode together with its own, so that a
// next round can begin as soon as any Leave has returned.
func (d *DoubleBarrier) Leave(ctx context.Context) error {
	if d.own == "" {
		return ErrLost
	}
	members, err := d.participants(ctx)
	if err != nil {
		return err
	}
	for {
		inside, err := d.participants(ctx)
		if err != nil {
			return err
		}
		// Who entered for the next round is no member of this one.
		inside = slices.DeleteFunc(inside, func(name string) bool { return !slices.Contains(members, name) })
		waitFor := ""
		switch {
		case len(inside) == 0:
			d.own = ""
			return nil
		case len(inside) == 1 && inside[0] == d.own:
			if err := d.leaveLast(ctx); err != nil {
				return err
			}
			continue
		case inside[0] == d.own:
			waitFor = inside[len(inside)-1]
		default:
			if err := remove(ctx, d.c, d.path+"/"+d.own); err != nil {
				return err
			}
			waitFor = inside[0]
		}
		if err := awaitGone(ctx, d.c, d.path+"/"+waitFor); err != nil {
			return err
		}
	}
}

// leaveLast removes the ready znode and one's own. Its repetition after a lost answer
// does no harm: without one's own znode neither is removed.
func (d *DoubleBarrier) leaveLast(ctx context.Context) error {
	own := d.path + "/" + d.own
	err := retry(ctx, func() error {
		_, err := d.c.Multi(ctx, zk.DeleteOp(own, zk.AnyVersion), zk.DeleteOp(d.path+"/"+readyName, zk.AnyVersion))
		return err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return remove(ctx, d.c, own)
	}
	return err
}
