package recipes

import (
	"context"
	"errors"

	"zoolab/zk"
)

const kindCandidate = "candidate"

// ErrNoLeader says that nobody stands for election.
var ErrNoLeader = errors.New("there is no leader")

// Election has one leader at a time among those that campaign, in the order in which
// they came. When the leader's session expires the next one leads.
type Election struct {
	c       *zk.Client
	path    string
	journal *journal
}

// NewElection names an election by the path of its znode.
func NewElection(c *zk.Client, path string) *Election {
	return &Election{c, path, newJournal(c, path, zk.Container)}
}

// Leadership is the lead of an election.
type Leadership struct{ lock *Lock }

// Epoch is a number that is larger than that of every earlier leader. Pass it with
// each effect of the leader, so that those of a deposed one can be refused.
func (l *Leadership) Epoch() int64 { return l.lock.token }

// Lost is closed when the lead may be lost, as Lock.Lost is, and by Resign.
func (l *Leadership) Lost() <-chan struct{} { return l.lock.lost }

// Resign lets the next one lead, as Lock.Unlock gives back.
func (l *Leadership) Resign(ctx context.Context) error { return l.lock.Unlock(ctx) }

// Campaign waits until one leads, ctx ends or the session does. The data, such as an
// address, is what others see of the leader. After an error one is no candidate.
func (e *Election) Campaign(ctx context.Context, data []byte) (*Leadership, error) {
	lock, err := acquire(ctx, e.journal, kindCandidate, data, everyKind, false)
	if err != nil {
		return nil, err
	}
	return &Leadership{lock}, nil
}

// Leader is who leads an election.
type Leader struct {
	Epoch int64  // as the leader itself knows it
	Data  []byte // what it has campaigned with
	path  string
}

// Leader tells who leads, as far as the connected server knows; ErrNoLeader if nobody
// does.
func (e *Election) Leader(ctx context.Context) (Leader, error) {
	for {
		all, err := contenders(ctx, e.c, e.path)
		if err != nil && !errors.Is(err, zk.ErrNoNode) {
			return Leader{}, err
		}
		if len(all) == 0 {
			return Leader{}, ErrNoLeader
		}
		path := e.path + "/" + all[0].name
		var node zk.DataReply
		err = retry(ctx, func() (err error) { node, err = e.c.Get(ctx, path); return err })
		if err == nil {
			return Leader{Epoch: node.Stat.Czxid, Data: node.Data, path: path}, nil
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return Leader{}, err
		}
	}
}

// Observe sends each leader, once it is known, until ctx or the session ends; the
// channel is then closed. A leader that follows a slow reader's last one replaces
// those between. The epochs rise.
func (e *Election) Observe(ctx context.Context) <-chan Leader {
	leaders := make(chan Leader, 1)
	go func() {
		defer close(leaders)
		var last int64
		for ctx.Err() == nil && e.c.Err() == nil {
			leader, err := e.Leader(ctx)
			switch {
			case errors.Is(err, ErrNoLeader):
				err = e.awaitCandidate(ctx)
			case err == nil:
				if leader.Epoch > last {
					last = leader.Epoch
					select {
					case <-leaders: // nobody has read it
					default:
					}
					leaders <- leader
				}
				err = awaitGone(ctx, e.c, leader.path)
			}
			if err != nil {
				if !passing(err) {
					return
				}
				pause(ctx)
			}
		}
	}()
	return leaders
}

// awaitCandidate returns when a candidate may have come.
func (e *Election) awaitCandidate(ctx context.Context) error {
	return within(ctx, e.c, e.path, zk.Container, func() error {
		children, events, err := e.c.ChildrenW(ctx, e.path)
		if err != nil {
			return err
		}
		for _, name := range children.Children {
			if _, ok := parseContender(name); ok {
				unwatch(e.c, e.path, events)
				return nil
			}
		}
		_, err = awaitEvent(ctx, e.c, e.path, events)
		return err
	})
}
