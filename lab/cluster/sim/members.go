package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"zoolab/nemesis"
	nodesim "zoolab/node/sim"
	"zoolab/zk/jute"
)

var (
	_ nemesis.Limiter      = (*Cluster)(nil)
	_ nemesis.Changer      = (*Cluster)(nil)
	_ nemesis.Reconfigurer = (*Cluster)(nil)
)

// can has the faults that this driver does, and meaningless why it does not do others.
var (
	can = slices.Concat([]string{
		"kill", "stop", "pause", "partition", nemesis.PartitionClients, "loss", "reset", "rate", "delay", "cpu", "config", "reconfig",
	}, breaks, damages)
	meaningless = map[string]string{
		"duplicate": "members talk over connections, which deliver every byte once, whatever the network does; on machines the fault tests the kernel",
		"reorder":   "members talk over connections, which deliver bytes in order; what is left of the fault is a delay",
		"memory":    "simulated processes have no memory of their own",
		"upgrade":   "there is one server, the code in this process",
	}
)

// pressureTime is how long a question for a member's pressure watches it work.
const pressureTime = 100 * time.Millisecond

// Limit implements nemesis.Limiter, as does the method below.
func (c *Cluster) Limit(_ context.Context, member string, limits nemesis.Limits) error {
	id, err := c.id(member)
	if err == nil {
		c.ensemble.LimitCPU(id, limits.CPUPercent)
	}
	return err
}

// Pressure counts what a member had to wait with for a processor.
func (c *Cluster) Pressure(ctx context.Context, member string) (nemesis.Pressure, error) {
	id, err := c.id(member)
	if err == nil {
		err = c.Sleep(ctx, pressureTime)
	}
	if err != nil {
		return nemesis.Pressure{}, err
	}
	return nemesis.Pressure{Throttled: c.ensemble.Waited(id)}, nil
}

// changedMaxSession is what the fault config sets maxSessionTimeout to.
const changedMaxSession = 15 * time.Second

// Change implements nemesis.Changer, as does the method below: the next process of a member
// reads another maxSessionTimeout.
func (c *Cluster) Change(_ context.Context, member, fault string, changed bool) error {
	id, err := c.id(member)
	switch {
	case err != nil:
		return err
	case fault != "config":
		return nemesis.Unavailable(fault, meaningless[fault])
	case changed:
		c.ensemble.LimitSessions(id, changedMaxSession)
	default:
		c.ensemble.LimitSessions(id, 0)
	}
	return nil
}

// Changed tells what the process that runs has read.
func (c *Cluster) Changed(_ context.Context, member, _ string) (bool, string, error) {
	id, err := c.id(member)
	if err != nil {
		return false, "", err
	}
	timeout := c.ensemble.MaxSession(id)
	return timeout == changedMaxSession, fmt.Sprintf("maxSessionTimeout is %d", timeout.Milliseconds()), nil
}

// Membership implements nemesis.Reconfigurer, as do the methods below.
func (c *Cluster) Membership(_ context.Context, member string) (nemesis.Membership, error) {
	id, err := c.id(member)
	if err != nil {
		return nemesis.Membership{}, err
	}
	observes, version, err := c.ensemble.Membership(id)
	if err != nil {
		return nemesis.Membership{}, fmt.Errorf("sim: the membership of %s: %w", member, err)
	}
	m := nemesis.Membership{Version: version, Parts: make(map[string]nemesis.Part)}
	for _, member := range c.members {
		observer, present := observes[member.ID]
		switch {
		case observer:
			m.Parts[member.Name] = nemesis.Observer
		case present:
			m.Parts[member.Name] = nemesis.Participant
		}
	}
	return m, nil
}

// Times of the sessions that change memberships.
const (
	reconfigTimeout     = 4 * time.Second
	reconfigReadTimeout = 2 * time.Second
)

// Reconfigure asks as a client does, with a session of its own.
func (c *Cluster) Reconfigure(ctx context.Context, version int64, parts map[string]nemesis.Part) error {
	members := make(map[int64]bool)
	addr := ""
	for _, member := range c.members {
		part, asked := parts[member.Name]
		if !asked {
			part = nemesis.Participant // at most one step changes the membership
		}
		if part != nemesis.Absent {
			members[member.ID] = part == nemesis.Observer
			addr += "," + member.Client
		}
	}
	s, err := c.Connect(ctx, addr[1:], ClientOptions{
		SessionTimeout: reconfigTimeout, ReadTimeout: reconfigReadTimeout, Auths: [][]byte{[]byte(nodesim.Superuser)},
	})
	if err != nil {
		return err
	}
	defer s.Detach() // its end needs a quorum, which may be gone: it expires
	list := nodesim.NewMembers(members)
	_, _, err = s.do(ctx, &call{op: jute.OpReconfig, changes: true, request: &jute.ReconfigRequest{NewMembers: &list, CurConfigID: version}})
	if err != nil {
		return fmt.Errorf("sim: reconfigure: %w", err)
	}
	return nil
}

// Readmit has nothing to do: a simulated process starts whether it is in the ensemble or not.
func (c *Cluster) Readmit(context.Context, string) error { return nil }
