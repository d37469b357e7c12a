package main

import (
	"context"
	"fmt"

	"zoolab/lab/cluster"
	"zoolab/lab/cluster/sim"
	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
	"zoolab/zk"
)

// access is how the lab reaches the members of a cluster, and by which clock. That of
// containers and processes is the network and this machine's time; a simulated cluster
// has its own of both, and everything else is the same.
type access struct {
	clock nemesis.Clock
	open  func(ctx context.Context, addr string) (clientSession, error)
	ask   func(ctx context.Context, addr string) memberStatus
	tree  func(ctx context.Context, member cluster.Member) (map[string]workloads.TreeNode, error)
}

func networkAccess() access {
	return access{
		clock: nemesis.RealClock{},
		open:  func(ctx context.Context, addr string) (clientSession, error) { return openSession(ctx, addr) },
		ask:   askStatus,
		tree:  readTree,
	}
}

func simulatedAccess(c *sim.Cluster) access {
	return access{
		clock: c,
		open: func(ctx context.Context, addr string) (clientSession, error) {
			s := &session{addr: addr, clock: c, stray: &strayEvents{}, proceed: func(s *session, detached zk.Session) (client, error) {
				return c.Continue(s.addr, simulatedOptions(s), detached)
			}}
			connected, err := c.Connect(ctx, addr, simulatedOptions(s))
			if err != nil {
				return nil, err
			}
			s.client = connected
			return s, nil
		},
		ask: func(_ context.Context, addr string) memberStatus {
			mode, zxid, err := c.Mode(addr)
			return memberStatus{mode: mode, zxid: zxid, err: err}
		},
		tree: func(ctx context.Context, member cluster.Member) (map[string]workloads.TreeNode, error) {
			s, err := c.Connect(ctx, member.Client, simulatedOptions(&session{stray: &strayEvents{}}))
			if err != nil {
				return nil, err
			}
			defer s.Detach()
			if _, err := s.Sync(ctx, "/"); err != nil {
				return nil, fmt.Errorf("sync: %w", err)
			}
			return c.Tree(member.Name, localPath)
		},
	}
}

func simulatedOptions(s *session) sim.ClientOptions {
	o := sim.ClientOptions{SessionTimeout: sessionTimeout, ReadTimeout: readTimeout, Stray: s.stray.add}
	for _, user := range s.users {
		o.Auths = append(o.Auths, credential(user))
	}
	return o
}

// simulate carries the run out in a simulator. It needs neither a build nor a network.
func (r *runner) simulate(ctx context.Context) (err error) {
	c, err := sim.New(r.options.Seed, r.options.Nodes, r.madeFor, r.options.Drift)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotStarted, err)
	}
	r.cluster, r.access = c, simulatedAccess(c)
	c.Drive(func() { err = r.do(ctx) })
	return err
}

// judgeUnkept judges a simulated run of which nothing was kept.
func (r *runner) judgeUnkept() (store.Results, error) {
	e := evidence{meta: &r.meta, trees: r.trees}
	var err error
	if e.ops, err = r.recorder.Close(); err != nil {
		return store.Results{}, err
	}
	if e.collected, err = r.cluster.(*sim.Cluster).Files(); err != nil {
		return store.Results{}, err
	}
	return e.judge()
}
