package cluster

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// dataTarget is where a node and its sidecar have the member's data.
const dataTarget = "/" + dataName

// makeDisks mounts the disks that can be broken, owned by the node's user. The
// engine must be on this host to bind them.
func (d *dockerCluster) makeDisks() (err error) {
	try := func(ctx context.Context, member, script string, argv ...string) (string, error) {
		return d.netExec(ctx, member, append([]string{"bash", "-c", script, "bash", dataTarget}, argv...)...)
	}
	if !strings.HasPrefix(d.cli.DaemonHost(), "unix://") {
		d.disks = &disks{try: try, missing: "the engine is at " + d.cli.DaemonHost() + ", and disks are made on the lab's own host"}
		return nil
	}
	d.disks, err = mountDisks(&d.opts, d.list, try)
	if err != nil || len(d.mounted) == 0 {
		return err
	}
	for _, m := range d.topo.members {
		user, group, _ := strings.Cut(m.node.User, ":")
		uid, err := strconv.Atoi(user)
		if err != nil {
			return fmt.Errorf("cluster: %s: user %q is not a number", m.name, m.node.User)
		}
		gid, err := strconv.Atoi(group)
		if err != nil {
			return fmt.Errorf("cluster: %s: group %q is not a number", m.name, m.node.User)
		}
		if err := os.Chown(d.behind(d.opts.Run, m.name), uid, gid); err != nil {
			return fmt.Errorf("cluster: disk of %s: %w", m.name, err)
		}
	}
	return nil
}

// diskBinds binds a member's disk in place of its data volume.
func (d *dockerCluster) diskBinds(m memberSpec) []string {
	if len(d.mounted) == 0 {
		return nil
	}
	return []string{d.mountpoint(d.opts.Run, m.name) + ":" + dataTarget}
}

// Can implements nemesis.Capable.
func (d *dockerCluster) Can(ctx context.Context, fault string) error {
	if strings.HasPrefix(fault, diskFaultPrefix) {
		return d.disks.can(fault)
	}
	if fault == "upgrade" && d.images.second == "" {
		return errNoSecond("-image2 or -binary2")
	}
	return d.netfilter.Can(ctx, fault)
}
