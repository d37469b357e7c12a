package cluster

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"zoolab/nemesis"
)

// The change of configuration is one that a server tells of in its answer to the
// word conf, and that no client of the lab meets.
const (
	changedKey   = "maxSessionTimeout"
	changedValue = "15000" // milliseconds
	configName   = "zoo.cfg"
)

// changeConfig sets or takes back the changed line. The file may have been
// rewritten by its server since it was original.
func changeConfig(present, original string, changed bool) (string, error) {
	c, err := parseZooConfig(present)
	if err != nil {
		return "", fmt.Errorf("cluster: zoo.cfg: %w", err)
	}
	before, err := parseZooConfig(original)
	if err != nil {
		return "", fmt.Errorf("cluster: zoo.cfg: %w", err)
	}
	if value, had := before.values[changedKey]; changed {
		c.set(changedKey, changedValue)
	} else if had {
		c.set(changedKey, value)
	} else {
		c.remove(changedKey)
	}
	return c.String(), nil
}

// configChanged asks a member for its configuration.
func (n *netfilter) configChanged(ctx context.Context, member string) (bool, string, error) {
	for _, m := range n.members {
		if m.Name != member {
			continue
		}
		answer, err := FourLetter(ctx, m.Client, "conf")
		if err != nil {
			return false, "", err
		}
		for line := range strings.Lines(answer) {
			if value, found := strings.CutPrefix(strings.TrimSpace(line), changedKey+"="); found {
				return value == changedValue, changedKey + " is " + value, nil
			}
		}
		return false, "", fmt.Errorf("cluster: %s does not tell its %s", member, changedKey)
	}
	return false, "", fmt.Errorf("cluster: no member %q", member)
}

// errNoSecond says that there is nothing to upgrade to.
func errNoSecond(flags string) error {
	return nemesis.Unavailable("upgrade", "there is no second server: name one with "+flags)
}

// Change implements nemesis.Changer.
func (l *localCluster) Change(_ context.Context, member, fault string, changed bool) error {
	if fault == "upgrade" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.upgraded[member] = changed
		return nil
	}
	l.mu.Lock()
	original := l.configs[member]
	l.mu.Unlock()
	present, err := l.readConfig(member)
	if err != nil {
		return err
	}
	text, err := changeConfig(present, original, changed)
	if err != nil {
		return err
	}
	return l.writeConfig(member, text)
}

// Changed implements nemesis.Changer.
func (l *localCluster) Changed(ctx context.Context, member, fault string) (bool, string, error) {
	if fault != "upgrade" {
		return l.configChanged(ctx, member)
	}
	p, err := l.process(member)
	if err != nil {
		return false, "", err
	}
	program, err := os.Readlink("/proc/" + strconv.Itoa(p.pid) + "/exe")
	if err != nil {
		return false, "", fmt.Errorf("cluster: what %s runs: %w", member, err)
	}
	return program == l.opts.Binary2, "runs " + program, nil
}

// program is the server that a member is to run; the lock is held.
func (l *localCluster) program(member string) string {
	if l.upgraded[member] {
		return l.opts.Binary2
	}
	return l.opts.Binary
}

// Change implements nemesis.Changer.
func (d *dockerCluster) Change(ctx context.Context, member, fault string, changed bool) error {
	if fault == "upgrade" {
		return d.upgrade(ctx, member, changed)
	}
	present, err := d.readConfig(ctx, member)
	if err != nil {
		return err
	}
	text, err := changeConfig(present, d.config, changed)
	if err != nil {
		return err
	}
	return d.writeConfig(ctx, member, text)
}

// upgrade lets a member's other container be the one that is started next. It is
// made when it is first wanted.
func (d *dockerCluster) upgrade(ctx context.Context, member string, changed bool) error {
	want := 0
	if changed {
		want = 1
	}
	d.mu.Lock()
	made := len(d.containers[member])
	d.mu.Unlock()
	if made <= want {
		for _, m := range d.topo.members {
			if m.name != member {
				continue
			}
			if err := d.makeNode(ctx, m, d.images.second, m.name+"-2", false); err != nil {
				return err
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nodes[member] = d.containers[member][want]
	return nil
}

// Changed implements nemesis.Changer.
func (d *dockerCluster) Changed(ctx context.Context, member, fault string) (bool, string, error) {
	if fault != "upgrade" {
		return d.configChanged(ctx, member)
	}
	id, err := d.node(member)
	if err != nil {
		return false, "", err
	}
	inspect, err := d.cli.ContainerInspect(ctx, id)
	if err != nil {
		return false, "", fmt.Errorf("cluster: inspect %s: %w", member, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	second := len(d.containers[member]) > 1 && d.containers[member][1] == id
	return second && inspect.State.Running, "runs " + inspect.Config.Image, nil
}
