package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"zoolab/nemesis"
)

const (
	// cpuPeriodUs is the time in which a process gets its part of a processor.
	cpuPeriodUs = 100_000
	mebibyte    = 1 << 20
	// plenty is a limit of memory that is none: engines can raise a limit, but not
	// take it back.
	plenty = 1 << 42
	// cgroupRoot has one directory for each controller of version 1.
	cgroupRoot = "/sys/fs/cgroup"
)

// Limit implements nemesis.Limiter. What a process can't give back is what it
// uses without the pages that only cache files. Swap is not limited: an engine
// can't raise both limits again in the order that the kernel wants.
func (d *dockerCluster) Limit(ctx context.Context, member string, limits nemesis.Limits) error {
	id, err := d.node(member)
	if err != nil {
		return err
	}
	resources := container.Resources{CPUPeriod: cpuPeriodUs, CPUQuota: -1, Memory: plenty, MemorySwap: -1}
	if limits.CPUPercent > 0 {
		resources.CPUQuota = int64(limits.CPUPercent) * cpuPeriodUs / 100
	}
	if limits.HeadroomMiB > 0 {
		stats, err := d.stats(ctx, member)
		if err != nil {
			return err
		}
		kept := stats.MemoryStats.Stats["total_rss"] // version 1 of cgroups
		if kept == 0 {
			kept = stats.MemoryStats.Stats["anon"] // version 2
		}
		resources.Memory = int64(kept) + int64(limits.HeadroomMiB)*mebibyte
	}
	if _, err := d.cli.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: resources}); err != nil {
		return fmt.Errorf("cluster: limit %s to %+v: %w", member, limits, err)
	}
	return nil
}

// Pressure implements nemesis.Limiter.
func (d *dockerCluster) Pressure(ctx context.Context, member string) (nemesis.Pressure, error) {
	stats, err := d.stats(ctx, member)
	if err != nil {
		return nemesis.Pressure{}, err
	}
	return nemesis.Pressure{Throttled: int(stats.CPUStats.ThrottlingData.ThrottledPeriods), Refused: int(stats.MemoryStats.Failcnt)}, nil
}

func (d *dockerCluster) stats(ctx context.Context, member string) (stats container.StatsResponse, err error) {
	id, err := d.node(member)
	if err != nil {
		return stats, err
	}
	answer, err := d.cli.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return stats, fmt.Errorf("cluster: what %s uses: %w", member, err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil {
		return stats, fmt.Errorf("cluster: what %s uses: %w", member, err)
	}
	return stats, nil
}

// cgroup is the directory of a member's group of one controller.
func (l *localCluster) cgroup(controller, member string) string {
	return filepath.Join(cgroupRoot, controller, namespaceName(l.opts.Run, member))
}

// Limit implements nemesis.Limiter, with the groups in which processes start.
func (l *localCluster) Limit(_ context.Context, member string, limits nemesis.Limits) error {
	p, err := l.process(member)
	if err != nil {
		return err
	}
	quota, memory := -1, plenty
	if limits.CPUPercent > 0 {
		quota = limits.CPUPercent * cpuPeriodUs / 100
	}
	if limits.HeadroomMiB > 0 {
		memory = residentBytes(p.pid) + limits.HeadroomMiB*mebibyte
	}
	err = errors.Join(
		writeNumber(filepath.Join(l.cgroup("cpu", member), "cpu.cfs_period_us"), cpuPeriodUs),
		writeNumber(filepath.Join(l.cgroup("cpu", member), "cpu.cfs_quota_us"), quota),
		writeNumber(filepath.Join(l.cgroup("memory", member), "memory.limit_in_bytes"), memory),
	)
	if err != nil {
		return fmt.Errorf("cluster: limit %s to %+v: %w", member, limits, err)
	}
	return nil
}

// makeGroups makes a member's groups, if its processes may be limited.
func (l *localCluster) makeGroups(member string) error {
	limits := func(fault string) bool { return (fault == "cpu" || fault == "memory") && canLimit(fault) == nil }
	if !slices.ContainsFunc(l.opts.Faults, limits) {
		return nil
	}
	if err := errors.Join(os.MkdirAll(l.cgroup("cpu", member), 0o755), os.MkdirAll(l.cgroup("memory", member), 0o755)); err != nil {
		return fmt.Errorf("cluster: groups of %s: %w", member, err)
	}
	return nil
}

// inGroups is a command that joins its member's groups, if there are any, and becomes argv. A
// process that joined while it runs would not do: a group does not count the memory that a
// process brings with it, so it would have room for all that once more.
func (l *localCluster) inGroups(member string, argv []string) []string {
	var groups []string
	for _, controller := range []string{"cpu", "memory"} {
		procs := filepath.Join(l.cgroup(controller, member), "cgroup.procs")
		if _, err := os.Stat(procs); err == nil {
			groups = append(groups, procs)
		}
	}
	if len(groups) == 0 {
		return argv
	}
	join := "for group in " + strings.Join(groups, " ") + `; do echo $$ >"$group"; done; exec "$@"`
	return slices.Concat([]string{"sh", "-ec", join, "sh"}, argv)
}

// residentBytes is the memory of a process that isn't a cache of files, field
// RssAnon of /proc/PID/status. 0 if the process is gone.
func residentBytes(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(data), "RssAnon:")
	var kib int
	if _, err := fmt.Sscan(after, &kib); err != nil {
		return 0
	}
	return kib << 10
}

// Pressure implements nemesis.Limiter.
func (l *localCluster) Pressure(_ context.Context, member string) (nemesis.Pressure, error) {
	stat, err := os.ReadFile(filepath.Join(l.cgroup("cpu", member), "cpu.stat"))
	if err != nil {
		return nemesis.Pressure{}, fmt.Errorf("cluster: what %s met: %w", member, err)
	}
	failures, err := os.ReadFile(filepath.Join(l.cgroup("memory", member), "memory.failcnt"))
	if err != nil {
		return nemesis.Pressure{}, fmt.Errorf("cluster: what %s met: %w", member, err)
	}
	var p nemesis.Pressure
	_, after, _ := strings.Cut(string(stat), "nr_throttled ")
	if _, err := fmt.Sscan(after, &p.Throttled); err != nil {
		return p, fmt.Errorf("cluster: cpu.stat of %s: %w", member, err)
	}
	if _, err := fmt.Sscan(string(failures), &p.Refused); err != nil {
		return p, fmt.Errorf("cluster: memory.failcnt of %s: %w", member, err)
	}
	return p, nil
}

func writeNumber(path string, value int) error {
	return os.WriteFile(path, []byte(strconv.Itoa(value)), 0o644)
}

// canLimit is nil if the kernel has the groups that the local driver uses.
func canLimit(fault string) error {
	for _, controller := range []string{"cpu", "memory"} {
		// The root group has no limits, so that its list of processes must do.
		if _, err := os.Stat(filepath.Join(cgroupRoot, controller, "cgroup.procs")); err != nil {
			return nemesis.Unavailable(fault, "the local driver needs version 1 of control groups: "+err.Error())
		}
	}
	return nil
}

// removeGroups removes the groups of a run, whose processes have ended.
func removeGroups(run string) error {
	groups, err := filepath.Glob(filepath.Join(cgroupRoot, "*", bridgeName(run)+"-*"))
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, group := range groups {
		err = errors.Join(err, removeGroup(group))
	}
	return err
}

// removeGroup waits: a group stays busy for a moment after its last process.
func removeGroup(group string) error {
	deadline := time.Now().Add(killTimeout)
	for {
		err := os.Remove(group)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cluster: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
