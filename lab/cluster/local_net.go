package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Files in a run's directory.
const (
	ownerName = "owner"
	pidName   = "pid"
)

// Names carry a hash of the run, since an interface's name has 15 letters.
func bridgeName(run string) string            { return "zl" + runHash(run) }
func namespaceName(run, member string) string { return bridgeName(run) + "-" + member }
func vethName(run, member string) string      { return bridgeName(run) + member }

// hostOffset is the place of the host's own address in the ensemble's network,
// from which clients come.
const hostOffset = 1

// makeBridge makes the bridge, with the host's own address in it, and one
// namespace a member, connected to it.
func makeBridge(ctx context.Context, run string, prefix netip.Prefix, members []Member) error {
	bridge := bridgeName(run)
	steps := [][]string{
		{"ip", "link", "add", bridge, "type", "bridge"},
		{"ip", "addr", "add", fmt.Sprintf("%s/%d", addrAt(prefix, hostOffset), prefix.Bits()), "dev", bridge},
		{"ip", "link", "set", bridge, "up"},
		// Where bridged packets pass the host's FORWARD chain, as with a container
		// engine on the same host, its policy may be to drop them.
		append([]string{"iptables", "-w", "5", "-I"}, forwardRule(run)...),
	}
	for _, m := range members {
		namespace, veth := namespaceName(run, m.Name), vethName(run, m.Name)
		steps = append(steps,
			[]string{"ip", "netns", "add", namespace},
			[]string{"ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", namespace},
			[]string{"ip", "link", "set", veth, "master", bridge, "up"},
			[]string{"ip", "-n", namespace, "link", "set", "lo", "up"},
			[]string{"ip", "-n", namespace, "addr", "add", fmt.Sprintf("%s/%d", m.Addr, prefix.Bits()), "dev", "eth0"},
			[]string{"ip", "-n", namespace, "link", "set", "eth0", "up"},
		)
	}
	for _, step := range steps {
		if _, err := command(ctx, step[0], step[1:]...); err != nil {
			return err
		}
	}
	return nil
}

func forwardRule(run string) []string {
	bridge := bridgeName(run)
	return []string{"FORWARD", "-i", bridge, "-o", bridge, "-m", "comment", "--comment", ruleTag + " " + bridge, "-j", "ACCEPT"}
}

// sweepLocal removes the runs of ended labs, or with force all.
func sweepLocal(ctx context.Context, logger *slog.Logger, force bool) (int, error) {
	entries, err := os.ReadDir(localRoot())
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cluster: sweep: %w", err)
	}
	removed := 0
	var errs []error
	for _, entry := range entries {
		if !force && owned(filepath.Join(localRoot(), entry.Name())) {
			continue
		}
		n, err := removeLocal(ctx, entry.Name())
		removed += n
		errs = append(errs, err)
		logger.Debug("swept a local run", "run", entry.Name(), "removed", n)
	}
	return removed, errors.Join(errs...)
}

// ownTime is how long a directory may take to get the name of its owner.
const ownTime = time.Minute

// owned reports whether a run's directory belongs to a lab that lives, or may: one
// that is being made has no owner's name yet.
func owned(dir string) bool {
	name, err := os.ReadFile(filepath.Join(dir, ownerName))
	if err == nil && len(name) > 0 {
		return ownerAlive(string(name))
	}
	info, err := os.Stat(dir)
	return err == nil && time.Since(info.ModTime()) < ownTime
}

// removeLocal ends a run's processes and removes its disks, namespaces, bridge,
// host rule and directory. What is gone already is no error.
func removeLocal(ctx context.Context, run string) (int, error) {
	dir := filepath.Join(localRoot(), run)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	// The disks first: a process that waits for one can't be killed.
	if err := unmountDisks(dir); err != nil {
		return 0, err
	}
	removed, err := killByPidFiles(dir)
	if err != nil {
		return removed, err
	}
	// The bridge and the veth pairs first: those that go with their namespace go
	// some time later.
	interfaces, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return removed, fmt.Errorf("cluster: %w", err)
	}
	for _, entry := range interfaces {
		if !strings.HasPrefix(entry.Name(), bridgeName(run)) {
			continue
		}
		if _, err := command(ctx, "ip", "link", "del", entry.Name()); err != nil {
			return removed, err
		}
		removed++
	}
	out, err := command(ctx, "ip", "netns", "list")
	if err != nil {
		return removed, err
	}
	for line := range strings.Lines(out) {
		namespace, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(namespace, bridgeName(run)+"-") {
			continue
		}
		if _, err := command(ctx, "ip", "netns", "del", namespace); err != nil {
			return removed, err
		}
		removed++
	}
	if _, err := command(ctx, "iptables", append([]string{"-w", "5", "-C"}, forwardRule(run)...)...); err == nil {
		if _, err := command(ctx, "iptables", append([]string{"-w", "5", "-D"}, forwardRule(run)...)...); err != nil {
			return removed, err
		}
		removed++
	}
	if err := removeGroups(run); err != nil {
		return removed, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return removed, fmt.Errorf("cluster: %w", err)
	}
	return removed, nil
}

// killByPidFiles kills the processes that a run's pid files name, if they are
// still the run's: their command line names its directory.
func killByPidFiles(dir string) (int, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", pidName))
	if err != nil {
		return 0, fmt.Errorf("cluster: %w", err)
	}
	var pids []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("cluster: %w", err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil || pid <= 1 || !runsIn(pid, dir) {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return len(pids), fmt.Errorf("cluster: kill %d: %w", pid, err)
		}
		pids = append(pids, pid)
	}
	deadline := time.Now().Add(killTimeout)
	for _, pid := range pids {
		for runsIn(pid, dir) {
			if time.Now().After(deadline) {
				return len(pids), fmt.Errorf("cluster: process %d of %s does not end", pid, dir)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return len(pids), nil
}

// runsIn reports whether a process lives whose command line names a file in
// dir. A zombie has no command line.
func runsIn(pid int, dir string) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(data), dir+string(filepath.Separator))
}
