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
			connected, err := c.Connect(ctx, addr, simulatedOptions(nil))
			if err != nil {
				return nil, err
			}
			return &session{addr: addr, client: connected, clock: c, proceed: func(addr string, detached zk.Session, users []string) (client, error) {
				return c.Continue(addr, simulatedOptions(users), detached)
			}}, nil
		},
		ask: func(_ context.Context, addr string) memberStatus {
			mode, zxid, err := c.Mode(addr)
			return memberStatus{mode: mode, zxid: zxid, err: err}
		},
		tree: func(ctx context.Context, member cluster.Member) (map[string]workloads.TreeNode, error) {
			s, err := c.Connect(ctx, member.Client, simulatedOptions(nil))
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

func simulatedOptions(users []string) sim.ClientOptions {
	o := sim.ClientOptions{SessionTimeout: sessionTimeout, ReadTimeout: readTimeout}
	for _, user := range users {
		o.Auths = append(o.Auths, credential(user))
	}
	return o
}

// simulate carries the run out in a simulator. It needs neither a build nor a network.
func (r *runner) simulate(ctx context.Context) (err error) {
	c, err := sim.New(r.options.Seed, r.options.Nodes)
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
