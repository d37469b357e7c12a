package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"zoolab/nemesis"
)

const (
	killTimeout  = 10 * time.Second // for a process to be gone after SIGKILL
	termTimeout  = 10 * time.Second // for a server to end after SIGTERM
	stopTimeout  = 60 * time.Second // for everything to be removed
	startTimeout = 90 * time.Second // for network and containers to be made
	pauseRetries = 5                // after the first try
)

func (d *dockerCluster) node(member string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, found := d.nodes[member]
	if !found {
		return "", fmt.Errorf("cluster: no member %q, or it was not started", member)
	}
	return id, nil
}

func (d *dockerCluster) setKilled(member string, killed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.killed[member] = killed
}

// Leader implements nemesis.Injector.
func (d *dockerCluster) Leader(ctx context.Context) (string, error) { return findLeader(ctx, d.list) }

// Kill implements nemesis.Injector. It returns when the process is gone.
func (d *dockerCluster) Kill(ctx context.Context, member string) error {
	return d.signal(ctx, member, "SIGKILL", killTimeout)
}

// Terminate implements nemesis.Terminator.
func (d *dockerCluster) Terminate(ctx context.Context, member string) error {
	return d.signal(ctx, member, "SIGTERM", termTimeout)
}

// signal ends a process and waits for its end.
func (d *dockerCluster) signal(ctx context.Context, member, signal string, timeout time.Duration) error {
	id, err := d.node(member)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	gone, failed := d.cli.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := d.cli.ContainerKill(ctx, id, signal); err != nil {
		return fmt.Errorf("cluster: send %s to %s: %w", signal, member, err)
	}
	d.setKilled(member, true)
	select {
	case <-gone:
		return nil
	case err := <-failed:
		return fmt.Errorf("cluster: %s has not ended after %s: %w", member, signal, err)
	}
}

// Restart implements nemesis.Injector.
func (d *dockerCluster) Restart(ctx context.Context, member string) error {
	id, err := d.node(member)
	if err != nil {
		return err
	}
	if err := d.cli.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return fmt.Errorf("cluster: restart %s: %w", member, err)
	}
	d.setKilled(member, false)
	return nil
}

// Pause implements nemesis.Injector, with the freezer of the node's cgroup.
func (d *dockerCluster) Pause(ctx context.Context, member string) error {
	id, err := d.node(member)
	if err != nil {
		return err
	}
	err = d.cli.ContainerPause(ctx, id)
	for range pauseRetries {
		// The kernel's freezer may lose against a busy process; the runtime thaws it and gives up.
		if err == nil || !strings.Contains(err.Error(), "unable to freeze") || ctx.Err() != nil {
			break
		}
		err = d.cli.ContainerPause(ctx, id)
	}
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "cgroup") || strings.Contains(err.Error(), "freezer"):
		// A rootless engine, or a kernel without the freezer.
		return nemesis.Unavailable("pause", err.Error())
	}
	return fmt.Errorf("cluster: pause %s: %w", member, err)
}

// Resume implements nemesis.Injector.
func (d *dockerCluster) Resume(ctx context.Context, member string) error {
	id, err := d.node(member)
	if err != nil {
		return err
	}
	if err := d.cli.ContainerUnpause(ctx, id); err != nil {
		return fmt.Errorf("cluster: resume %s: %w", member, err)
	}
	return nil
}

// Status implements nemesis.Injector.
func (d *dockerCluster) Status(ctx context.Context, member string) (nemesis.Status, error) {
	id, err := d.node(member)
	if err != nil {
		return nemesis.Status{}, err
	}
	inspect, err := d.cli.ContainerInspect(ctx, id)
	if err != nil {
		return nemesis.Status{}, fmt.Errorf("cluster: inspect %s: %w", member, err)
	}
	switch state := inspect.State; {
	case state.Paused:
		return nemesis.Status{State: nemesis.Paused, Detail: fmt.Sprintf("pid %d frozen", state.Pid)}, nil
	case state.Running:
		return nemesis.Status{State: nemesis.Running, Detail: fmt.Sprintf("pid %d", state.Pid)}, nil
	default:
		return nemesis.Status{State: nemesis.Down, Detail: fmt.Sprintf("exit code %d, out of memory: %v", state.ExitCode, state.OOMKilled)}, nil
	}
}

// Answers implements nemesis.Injector, through the published port.
func (d *dockerCluster) Answers(ctx context.Context, member string) bool {
	i := slices.IndexFunc(d.list, func(m Member) bool { return m.Name == member })
	return i >= 0 && answers(ctx, d.list[i])
}

// HealAll implements nemesis.Injector. A process that ended by itself stays
// down: hiding a crash is not healing.
func (d *dockerCluster) HealAll(ctx context.Context) error {
	if d.netfilter == nil {
		return nil
	}
	d.healDisks()
	return errors.Join(d.healLinks(ctx), d.each(func(m Member) error {
		status, err := d.Status(ctx, m.Name)
		if err != nil {
			return err
		}
		d.mu.Lock()
		killed := d.killed[m.Name]
		d.mu.Unlock()
		switch {
		case status.State == nemesis.Paused:
			return d.Resume(ctx, m.Name)
		case status.State == nemesis.Down && killed:
			return d.Restart(ctx, m.Name)
		}
		return nil
	}))
}

// StopNodes implements Cluster.
func (d *dockerCluster) StopNodes(ctx context.Context) error {
	if d.netfilter == nil {
		return nil
	}
	seconds := int(termTimeout / time.Second)
	return d.each(func(m Member) error {
		id, err := d.node(m.Name)
		if err != nil {
			return err
		}
		if err := d.cli.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}); err != nil {
			return fmt.Errorf("cluster: stop %s: %w", m.Name, err)
		}
		return nil
	})
}
