package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"zoolab/lab/cluster"
	"zoolab/nemesis"
	nodesim "zoolab/node/sim"
)

// Driver is the name of this driver beside those of package cluster.
const Driver = "sim"

// Cluster is a simulated ensemble. It implements cluster.Cluster, and nemesis.Clock.
type Cluster struct {
	ensemble *nodesim.Ensemble
	seed     int64
	members  []cluster.Member
	logs     []strings.Builder // by member
	own      [][]ownSnapshot   // by member: its own snapshots that thinOut knows of, oldest first
	// keptBytes is keptSnapshotBytes, or what a test sets it to.
	keptBytes int64
	blocked   map[string][]nemesis.Link // by the id of the fault
	shapes    map[string]shaping        // the same
	killed    map[int64]bool            // by a fault, and not started again
	current   *task                     // who runs now
	tasks     map[*task]struct{}        // those that have not ended
}

// New makes an ensemble whose members start at once, in the virtual time of Drive. Faults
// names what may be asked of the nemesis. With drift no member's clock is right.
func New(seed int64, nodes int, faults []string, drift bool) (*Cluster, error) {
	c := &Cluster{
		seed: seed, logs: make([]strings.Builder, nodes), own: make([][]ownSnapshot, nodes), keptBytes: keptSnapshotBytes,
		blocked: make(map[string][]nemesis.Link), shapes: make(map[string]shaping), killed: make(map[int64]bool), tasks: make(map[*task]struct{}),
	}
	for id := int64(1); id <= int64(nodes); id++ {
		name := fmt.Sprintf("n%d", id)
		c.members = append(c.members, cluster.Member{Name: name, ID: id, Addr: name, Client: name + ":2181"})
	}
	var err error
	c.ensemble, err = nodesim.NewEnsemble(nodesim.EnsembleOptions{Seed: uint64(seed), Members: nodes, Reconfig: slices.Contains(faults, "reconfig"), Drift: drift, Log: c.hear})
	return c, err
}

// hear writes a line of the world's story into the log of the member that it begins with.
func (c *Cluster) hear(at time.Time, line string) {
	name, text, _ := strings.Cut(line, " ")
	for i, member := range c.members {
		if member.Name != name {
			continue
		}
		level := "INFO"
		if strings.HasPrefix(text, "panic") {
			level = "ERROR"
		}
		fmt.Fprintf(&c.logs[i], "time=%s level=%s msg=%q\n", at.UTC().Format(time.RFC3339Nano), level, text)
		c.thinOut(i, text)
	}
}

// Members implements cluster.Cluster, as do the methods below.
func (c *Cluster) Members() []cluster.Member { return c.members }

// Start does nothing: the members run.
func (c *Cluster) Start(context.Context) error { return nil }

// farewell is the time in which members that are told to end write what they have logged.
const farewell = time.Second

// StopNodes ends all processes; what they wrote stays with the kernel.
func (c *Cluster) StopNodes(ctx context.Context) error {
	if err := c.Sleep(ctx, farewell); err != nil {
		return err
	}
	for _, member := range c.members {
		c.ensemble.Kill(member.ID, false)
	}
	return nil
}

// Stop does nothing: there is nothing outside of this process.
func (c *Cluster) Stop(context.Context) error { return nil }

// Info describes the cluster.
func (c *Cluster) Info() cluster.Info {
	return cluster.Info{
		Driver: Driver, Why: "asked for", Engine: "deterministic simulation", Image: "the server's code in this process",
		Network: "in memory", Run: fmt.Sprint(c.seed),
	}
}

// id finds a member by name.
func (c *Cluster) id(name string) (int64, error) {
	for _, member := range c.members {
		if member.Name == name || member.Client == name {
			return member.ID, nil
		}
	}
	return 0, fmt.Errorf("sim: there is no member %q", name)
}

// Leader implements nemesis.Injector, as do the methods below.
func (c *Cluster) Leader(context.Context) (string, error) {
	for _, member := range c.members {
		if mode, _, err := c.Mode(member.Client); err == nil && mode == modeLeader {
			return member.Name, nil
		}
	}
	return "", fmt.Errorf("sim: nobody leads")
}

// Kill ends a process. Half of the time its machine loses power, and what was not synced
// to its disk is lost, or torn.
func (c *Cluster) Kill(_ context.Context, member string) error {
	id, err := c.id(member)
	if err == nil {
		c.killed[id] = true
		c.ensemble.Kill(id, c.ensemble.Random().IntN(2) == 0)
	}
	return err
}

// Terminate implements nemesis.Terminator: the process ends and its machine lives on.
func (c *Cluster) Terminate(_ context.Context, member string) error {
	id, err := c.id(member)
	if err == nil {
		c.killed[id] = true
		c.ensemble.Kill(id, false)
	}
	return err
}

// Can implements nemesis.Capable.
func (c *Cluster) Can(_ context.Context, fault string) error {
	if reason, cannot := meaningless[fault]; cannot {
		return nemesis.Unavailable(fault, reason)
	}
	if !slices.Contains(can, fault) {
		return nemesis.Unavailable(fault, "the simulator does not do it")
	}
	return nil
}

// Restart starts a process that is down.
func (c *Cluster) Restart(_ context.Context, member string) error {
	id, err := c.id(member)
	if err == nil {
		delete(c.killed, id)
		c.ensemble.Start(id)
	}
	return err
}

// Pause freezes a process.
func (c *Cluster) Pause(_ context.Context, member string) error {
	id, err := c.id(member)
	if err == nil {
		c.ensemble.Pause(id)
	}
	return err
}

// Resume thaws a process.
func (c *Cluster) Resume(_ context.Context, member string) error {
	id, err := c.id(member)
	if err == nil {
		c.ensemble.Resume(id)
	}
	return err
}

// Status tells how a process is.
func (c *Cluster) Status(_ context.Context, member string) (nemesis.Status, error) {
	id, err := c.id(member)
	if err != nil {
		return nemesis.Status{}, err
	}
	state := c.ensemble.State(id)
	return nemesis.Status{State: state, Detail: "simulated process " + state.String()}, nil
}

// Answers reports whether the process would answer on its client port.
func (c *Cluster) Answers(_ context.Context, member string) bool {
	id, err := c.id(member)
	return err == nil && c.ensemble.State(id) == nemesis.Running
}

// Block holds back what is sent over the links.
func (c *Cluster) Block(_ context.Context, id string, links []nemesis.Link) error {
	if c.blocked[id] != nil {
		return fmt.Errorf("sim: %s blocks links already", id)
	}
	c.blocked[id] = links
	c.ensemble.Block(links)
	return nil
}

// Unblock ends a Block.
func (c *Cluster) Unblock(_ context.Context, id string) error {
	c.ensemble.Unblock(c.blocked[id])
	delete(c.blocked, id)
	return nil
}

// Probe tells what would happen to packets: there is no need to send any.
func (c *Cluster) Probe(_ context.Context, links []nemesis.Link) (map[nemesis.Link]nemesis.LinkState, error) {
	states := make(map[nemesis.Link]nemesis.LinkState, len(links))
	for _, link := range links {
		passes := c.ensemble.Passes(link)
		states[link] = nemesis.LinkState{Passed: passes, Dropped: !passes}
	}
	return states, nil
}

// HealAll undoes every fault. A process that ended by itself stays down: hiding a crash is
// not healing.
func (c *Cluster) HealAll(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(c.blocked)) {
		if err := c.Unblock(ctx, id); err != nil {
			return err
		}
	}
	clear(c.shapes)
	c.reshape()
	for _, member := range c.members {
		c.ensemble.LimitCPU(member.ID, 0)
		switch {
		case c.ensemble.State(member.ID) == nemesis.Paused:
			c.ensemble.Resume(member.ID)
		case c.killed[member.ID]:
			delete(c.killed, member.ID)
			c.ensemble.Start(member.ID)
		}
	}
	return nil
}
