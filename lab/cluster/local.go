package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"zoolab/nemesis"
)

// localCluster is the local driver: one process and one network namespace a
// member, on a bridge that the lab's own host is connected to.
type localCluster struct {
	*netfilter
	*disks
	*membership
	opts Options
	why  string
	topo *topology
	dir  string // of the run: configuration, data, logs and pid files

	// What follows is written by Start before any other method may be called.
	list []Member
	info Info

	mu        sync.Mutex
	processes map[string]*localProcess
	// killed has the members that Kill has ended and Restart has not started.
	killed map[string]bool
	// upgraded has the members that run, or are to run, the second server.
	upgraded map[string]bool
	// configs has each member's zoo.cfg as it was made.
	configs map[string]string
}

// localProcess is one start of a server. done is closed after exit is written.
type localProcess struct {
	pid  int
	done chan struct{}
	exit string
}

// localRoot holds the directories of all runs, so that a sweep finds them.
func localRoot() string { return filepath.Join(os.TempDir(), "zoolab-local") }

func newLocal(o Options, why string) (*localCluster, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("cluster: the local driver needs Linux network namespaces, this is %s: start a container engine", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("cluster: the local driver makes network namespaces and needs root: run the lab with sudo, or start a container engine")
	}
	for _, tool := range []string{"ip", "iptables-restore", "iptables-save", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("cluster: the local driver needs %s (packages iproute2, iptables, bash): %w", tool, err)
		}
	}
	if o.Binary == "" {
		return nil, errors.New("cluster: the local driver needs a server binary")
	}
	binary, err := filepath.Abs(o.Binary)
	if err != nil {
		return nil, fmt.Errorf("cluster: server binary: %w", err)
	}
	o.Binary = binary
	if o.Binary2 != "" {
		if o.Binary2, err = filepath.Abs(o.Binary2); err != nil {
			return nil, fmt.Errorf("cluster: second server binary: %w", err)
		}
	}
	topo, err := loadTopology(o.ComposeFile, o.Nodes, os.Getenv)
	if err != nil {
		return nil, err
	}
	l := &localCluster{
		opts: o, why: why, topo: topo, disks: &disks{}, dir: filepath.Join(localRoot(), o.Run),
		processes: make(map[string]*localProcess), killed: make(map[string]bool),
		upgraded: make(map[string]bool), configs: make(map[string]string),
		info: Info{Driver: DriverLocal, Why: why, Engine: "kernel " + kernelRelease(), Image: binary, Run: o.Run},
	}
	for _, m := range topo.members {
		l.list = append(l.list, Member{Name: m.name, ID: m.id})
	}
	return l, nil
}

func kernelRelease() string {
	var name syscall.Utsname
	if err := syscall.Uname(&name); err != nil {
		return "unknown"
	}
	var out strings.Builder
	for _, c := range name.Release {
		if c == 0 {
			break
		}
		out.WriteByte(byte(c))
	}
	return out.String()
}

func (l *localCluster) Members() []Member { return slices.Clone(l.list) }

func (l *localCluster) Info() Info { return l.info }

// Start implements Cluster. On an error it removes what it has made.
func (l *localCluster) Start(ctx context.Context) (err error) {
	begin := time.Now()
	defer func() {
		if err == nil {
			return
		}
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, l.Stop(cleanup))
	}()
	if l.info.ImageID, err = fileHash(l.opts.Binary); err != nil {
		return fmt.Errorf("cluster: server binary: %w", err)
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, ownerName), []byte(owner()), 0o644); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	prefix, err := l.findSubnet()
	if err != nil {
		return err
	}
	l.info.Network = prefix.String()
	var hosts []string
	for i, m := range l.topo.members {
		l.list[i].Addr = addrAt(prefix, m.hostOffset).String()
		l.list[i].Client = fmt.Sprintf("%s:%d", l.list[i].Addr, m.clientPort)
		hosts = append(hosts, l.list[i].Addr)
	}
	l.netfilter = newNetfilter(l, l.list, addrAt(prefix, hostOffset).String())
	l.membership = newMembership(l.list, l.topo)
	l.disks, err = mountDisks(&l.opts, l.list, func(ctx context.Context, member, script string, argv ...string) (string, error) {
		return command(ctx, "bash", append([]string{"-c", script, "bash", l.dataDir(member)}, argv...)...)
	})
	if err != nil {
		return err
	}
	if err := l.writeConfigs(hosts); err != nil {
		return err
	}
	if err := makeBridge(ctx, l.opts.Run, prefix, l.list); err != nil {
		return err
	}
	if err := l.setup(ctx, l.opts.Logger); err != nil {
		return err
	}
	if err := l.each(func(m Member) error { return l.startProcess(m) }); err != nil {
		return err
	}
	l.info.Started = time.Since(begin)
	l.opts.Logger.Info("cluster started", "driver", DriverLocal, "run", l.opts.Run, "members", len(l.list), "network", prefix, "took", l.info.Started)
	return nil
}

func (l *localCluster) findSubnet() (netip.Prefix, error) {
	for try := range subnetTries {
		prefix := candidateSubnet(l.opts.Run, try, l.topo.prefix.Bits())
		taken, err := overlapsInterface(prefix)
		if err != nil {
			return netip.Prefix{}, err
		}
		if !taken {
			return prefix, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("cluster: no free subnet in %d tries", subnetTries)
}

func (l *localCluster) memberDir(name string) string { return filepath.Join(l.dir, name) }

// dataDir is where a member has its data: on a disk that can be broken, if there
// is one.
func (l *localCluster) dataDir(name string) string {
	if l.mounted[name] != nil {
		return l.mountpoint(l.opts.Run, name)
	}
	return l.behind(l.opts.Run, name)
}

// writeConfigs makes each member's directory with its zoo.cfg and empty data.
func (l *localCluster) writeConfigs(hosts []string) error {
	configDir, err := l.topo.configDir()
	if err != nil {
		return err
	}
	for _, m := range l.list {
		dir := l.memberDir(m.Name)
		data := l.dataDir(m.Name)
		if err := os.MkdirAll(data, 0o755); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		files, err := readConfigDir(configDir, hosts, append(slices.Clone(l.opts.Config), "dataDir="+data))
		if err != nil {
			return fmt.Errorf("cluster: %s: %w", m.Name, err)
		}
		l.configs[m.Name] = files[configName]
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				return fmt.Errorf("cluster: %w", err)
			}
		}
	}
	return nil
}

// startProcess starts a member's server in its namespace. Its output goes to
// the end of its log.
func (l *localCluster) startProcess(m Member) error {
	dir := l.memberDir(m.Name)
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cluster: start %s: %w", m.Name, err)
	}
	defer log.Close()
	if err := l.makeGroups(m.Name); err != nil {
		return err
	}
	l.mu.Lock()
	program := l.program(m.Name)
	l.mu.Unlock()
	argv := l.inGroups(m.Name, []string{"ip", "netns", "exec", namespaceName(l.opts.Run, m.Name), program, "serve", filepath.Join(dir, "zoo.cfg")})
	command := exec.Command(argv[0], argv[1:]...)
	command.Dir = dir
	command.Env = append(os.Environ(), "ZOO_MY_ID="+strconv.FormatInt(m.ID, 10))
	command.Stdout, command.Stderr = log, log
	// A process group of its own: Ctrl-C on the terminal is for the lab.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("cluster: start %s: %w", m.Name, err)
	}
	p := &localProcess{pid: command.Process.Pid, done: make(chan struct{})}
	go func() {
		// The error says how the process ended, which the state tells better.
		_ = command.Wait()
		p.exit = command.ProcessState.String()
		close(p.done)
	}()
	l.mu.Lock()
	l.processes[m.Name] = p
	l.mu.Unlock()
	if err := os.WriteFile(filepath.Join(dir, pidName), []byte(strconv.Itoa(p.pid)), 0o644); err != nil {
		return fmt.Errorf("cluster: start %s: %w", m.Name, err)
	}
	return nil
}

// netExec implements namespaces.
func (l *localCluster) netExec(ctx context.Context, member string, argv ...string) (string, error) {
	return command(ctx, "ip", append([]string{"netns", "exec", namespaceName(l.opts.Run, member)}, argv...)...)
}

// netFile implements namespaces, where ip has its namespaces.
func (l *localCluster) netFile(_ context.Context, member string) (*os.File, error) {
	file, err := os.Open(filepath.Join("/var/run/netns", namespaceName(l.opts.Run, member)))
	if err != nil {
		return nil, fmt.Errorf("cluster: network namespace of %s: %w", member, err)
	}
	return file, nil
}

// command runs a program and returns its standard output; its error holds the
// standard error output. When ctx ends, the program is killed with all that it
// started: a child that outlives it would hold its standard output open, and
// the wait for the end of that output would not end.
func command(ctx context.Context, name string, argv ...string) (string, error) {
	program := exec.CommandContext(ctx, name, argv...)
	program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	program.Cancel = func() error { return syscall.Kill(-program.Process.Pid, syscall.SIGKILL) }
	program.WaitDelay = time.Second
	out, err := program.Output()
	if err != nil {
		detail := ""
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			detail = ": " + strings.TrimSpace(string(exit.Stderr))
		}
		return "", fmt.Errorf("cluster: %s %s: %w%s", name, strings.Join(argv, " "), err, detail)
	}
	return string(out), nil
}

// Stop implements Cluster.
func (l *localCluster) Stop(ctx context.Context) error {
	if l.netfilter != nil {
		l.closeDelays()
	}
	_, err := removeLocal(ctx, l.opts.Run)
	if err != nil {
		return fmt.Errorf("cluster: stop run %s: %w", l.opts.Run, err)
	}
	return nil
}

// Collect implements Cluster.
func (l *localCluster) Collect(ctx context.Context, dir string) error {
	if l.netfilter == nil {
		return fmt.Errorf("cluster: collect: run %s was not started", l.opts.Run)
	}
	return l.each(func(m Member) error {
		target := filepath.Join(dir, m.Name)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("cluster: collect: %w", err)
		}
		status, err := l.Status(ctx, m.Name)
		if err != nil {
			return err
		}
		return errors.Join(
			copyFile(filepath.Join(l.memberDir(m.Name), logName), filepath.Join(target, logName)),
			copyTree(filepath.Join(l.memberDir(m.Name), dataName), filepath.Join(target, dataName)),
			writeState(target, map[string]string{"State": status.State.String(), "Detail": status.Detail}),
		)
	})
}

// Leader implements nemesis.Injector.
func (l *localCluster) Leader(ctx context.Context) (string, error) { return findLeader(ctx, l.list) }

// Answers implements nemesis.Injector.
func (l *localCluster) Answers(ctx context.Context, member string) bool {
	i := slices.IndexFunc(l.list, func(m Member) bool { return m.Name == member })
	return i >= 0 && answers(ctx, l.list[i])
}

// HealAll implements nemesis.Injector. A process that ended by itself stays
// down: hiding a crash is not healing.
func (l *localCluster) HealAll(ctx context.Context) error {
	if l.netfilter == nil {
		return nil
	}
	l.healDisks()
	return errors.Join(l.healLinks(ctx), l.each(func(m Member) error {
		status, err := l.Status(ctx, m.Name)
		if err != nil {
			return err
		}
		l.mu.Lock()
		killed := l.killed[m.Name]
		l.mu.Unlock()
		switch {
		case status.State == nemesis.Paused:
			return l.Resume(ctx, m.Name)
		case status.State == nemesis.Down && killed:
			return l.Restart(ctx, m.Name)
		}
		return nil
	}))
}

// Can implements nemesis.Capable.
func (l *localCluster) Can(ctx context.Context, fault string) error {
	if strings.HasPrefix(fault, diskFaultPrefix) {
		return l.disks.can(fault)
	}
	if fault == "upgrade" && l.opts.Binary2 == "" {
		return errNoSecond("-binary2")
	}
	if fault == "cpu" || fault == "memory" {
		return canLimit(fault)
	}
	return l.netfilter.Can(ctx, fault)
}
