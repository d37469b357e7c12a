package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	dockernetwork "github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
)

// Labels on everything that the docker driver makes.
const (
	labelRun    = "zoolab.run"    // run id
	labelOwner  = "zoolab.owner"  // process that the run belongs to
	labelMember = "zoolab.member" // member's name
)

// dockerCluster is the docker driver.
type dockerCluster struct {
	*netfilter
	*disks
	*membership
	opts Options
	why  string
	cli  *client.Client
	topo *topology

	// What follows is written by Start before any other method may be called.
	list     []Member
	nodes    map[string]string // member -> container id
	sidecars map[string]string
	info     Info
	images   clusterImages
	// config is the zoo.cfg of all members, in the directory configTarget.
	config, configTarget string
	// containers has all node containers of a member, the first server's first.
	containers map[string][]string

	mu sync.Mutex
	// killed has the members that Kill has ended and Restart has not started.
	killed map[string]bool
	// shells has the idle shells in each member's sidecar.
	shells map[string][]*shell
}

func newDocker(ctx context.Context, o Options, why string) (*dockerCluster, error) {
	topo, err := loadTopology(o.ComposeFile, o.Nodes, os.Getenv)
	if err != nil {
		return nil, err
	}
	cli, version, err := connectEngine(ctx)
	if err != nil {
		return nil, err
	}
	d := &dockerCluster{
		opts: o, why: why, cli: cli, topo: topo, disks: &disks{},
		containers: make(map[string][]string), nodes: make(map[string]string), sidecars: make(map[string]string), killed: make(map[string]bool), shells: make(map[string][]*shell),
		info: Info{Driver: DriverDocker, Why: why, Engine: version, Run: o.Run},
	}
	for _, m := range topo.members {
		d.list = append(d.list, Member{Name: m.name, ID: m.id})
	}
	return d, nil
}

// connectEngine finds the engine that the environment names. It returns
// ErrNoEngine if none answers.
func connectEngine(ctx context.Context) (*client.Client, string, error) {
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNoEngine, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	version, err := cli.ServerVersion(ctx)
	if err != nil {
		_ = cli.Close() // the first error is the one to tell
		return nil, "", fmt.Errorf("%w: %w", ErrNoEngine, err)
	}
	return cli, fmt.Sprintf("docker %s (API %s), kernel %s", version.Version, version.APIVersion, version.KernelVersion), nil
}

func (d *dockerCluster) Members() []Member { return slices.Clone(d.list) }

func (d *dockerCluster) Info() Info { return d.info }

func (d *dockerCluster) labels(member string) map[string]string {
	labels := map[string]string{labelRun: d.opts.Run, labelOwner: owner()}
	if member != "" {
		labels[labelMember] = member
	}
	return labels
}

// name prefixes a name with the run, as all names of a run are.
func (d *dockerCluster) name(s string) string { return "zoolab-" + d.opts.Run + "-" + s }

// Start implements Cluster. On an error it removes what it has made.
func (d *dockerCluster) Start(ctx context.Context) (err error) {
	begin := time.Now()
	defer func() {
		if err == nil {
			return
		}
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if stopErr := d.Stop(cleanup); stopErr != nil {
			err = errors.Join(err, stopErr)
		}
	}()
	if d.images, err = d.ensureImages(ctx); err != nil {
		return err
	}
	if err := prepareTestcontainers(ctx, d.cli, d.opts.Logger); err != nil {
		return err
	}
	// A request that is cancelled may still be carried out by the engine, after
	// Stop has looked. So ctx is heeded between the stages, each of which is short.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	network, prefix, err := d.createNetwork(work)
	if err != nil {
		return err
	}
	d.info.Network = prefix.String()
	for i, m := range d.topo.members {
		d.list[i].Addr = addrAt(prefix, m.hostOffset).String()
	}
	d.netfilter = newNetfilter(d, d.list, addrAt(prefix, hostOffset).String())
	d.membership = newMembership(d.list, d.topo)
	for _, stage := range []func() error{
		func() error { return d.createVolumes(work) },
		func() error { return d.makeDisks() },
		func() error {
			return d.eachMember(func(i int, m memberSpec) error { return d.startSidecar(work, i, m, d.images.sidecar, network) })
		},
		func() error { return d.setup(work, d.opts.Logger) },
		func() error { return d.giveConfigs(work) },
		func() error {
			return d.eachMember(func(_ int, m memberSpec) error { return d.makeNode(work, m, d.images.node, m.name, true) })
		},
	} {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cluster: start of run %s: %w", d.opts.Run, err)
		}
		if err := stage(); err != nil {
			return err
		}
	}
	d.info.Image, d.info.ImageID, d.info.Started = d.images.node, d.images.nodeID, time.Since(begin)
	d.opts.Logger.Info("cluster started", "driver", DriverDocker, "run", d.opts.Run, "members", len(d.list), "network", prefix, "took", d.info.Started)
	return nil
}

// eachMember calls f for all members of the topology at the same time.
func (d *dockerCluster) eachMember(f func(i int, m memberSpec) error) error {
	errs := make([]error, len(d.topo.members))
	var wg sync.WaitGroup
	for i, m := range d.topo.members {
		wg.Go(func() { errs[i] = f(i, m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// createNetwork makes the bridge network in a subnet that is free here.
func (d *dockerCluster) createNetwork(ctx context.Context) (string, netip.Prefix, error) {
	for try := range subnetTries {
		prefix := candidateSubnet(d.opts.Run, try, d.topo.prefix.Bits())
		taken, err := overlapsInterface(prefix)
		if err != nil {
			return "", netip.Prefix{}, err
		}
		if taken {
			continue
		}
		network, err := tcnetwork.New(ctx, tcnetwork.WithLabels(d.labels("")), tcnetwork.WithIPAM(&dockernetwork.IPAM{
			Config: []dockernetwork.IPAMConfig{{Subnet: prefix.String(), Gateway: addrAt(prefix, hostOffset).String()}},
		}))
		switch {
		case err == nil:
			return network.Name, prefix, nil
		case strings.Contains(err.Error(), "overlap"):
			continue
		}
		return "", netip.Prefix{}, fmt.Errorf("cluster: create network %s: %w", prefix, err)
	}
	return "", netip.Prefix{}, fmt.Errorf("cluster: no free subnet in %d tries; remove unused networks (docker network prune)", subnetTries)
}

// createVolumes makes the run's own copies of the named volumes, and one in
// place of each directory that a node binds: the engine may be elsewhere.
func (d *dockerCluster) createVolumes(ctx context.Context) error {
	wanted := make(map[string]composeVolume)
	for _, m := range d.topo.members {
		for _, text := range slices.Concat(m.node.Volumes, m.sidecar.Volumes) {
			mount, err := parseMount(text)
			if err != nil {
				return fmt.Errorf("cluster: %s: %w", m.name, err)
			}
			wanted[d.volumeName(m, mount)] = d.topo.volumes[mount.source]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		_, err := d.cli.VolumeCreate(ctx, volume.CreateOptions{
			Name: name, Driver: wanted[name].Driver, DriverOpts: wanted[name].DriverOpts, Labels: d.labels(""),
		})
		if err != nil {
			return fmt.Errorf("cluster: create volume %s: %w", name, err)
		}
	}
	return nil
}

// volumeName is a volume of the run. One that stands for a bound directory is the
// member's own, so that its configuration can be changed.
func (d *dockerCluster) volumeName(member memberSpec, m mountSpec) string {
	if m.bind() {
		return d.name(member.name + "-bind-" + strings.Trim(strings.ReplaceAll(m.target, "/", "-"), "-"))
	}
	return d.name(m.source)
}

// mounts leaves out the data volume of members whose disk can be broken.
func (d *dockerCluster) mounts(member memberSpec, volumes []string) (testcontainers.ContainerMounts, error) {
	var out testcontainers.ContainerMounts
	for _, text := range volumes {
		mount, err := parseMount(text)
		if err != nil {
			return nil, err
		}
		if mount.target == dataTarget && len(d.mounted) > 0 {
			continue
		}
		out = append(out, testcontainers.ContainerMount{
			Source:   testcontainers.GenericVolumeMountSource{Name: d.volumeName(member, mount)},
			Target:   testcontainers.ContainerMountTarget(mount.target),
			ReadOnly: mount.readOnly && !(mount.bind() && d.opts.reconfigures()),
		})
	}
	return out, nil
}

// startSidecar creates and starts the owner of a member's network namespace.
// It also carries the configuration into the volumes that stand for bound
// directories, since a node without a shell can't be written to.
func (d *dockerCluster) startSidecar(ctx context.Context, i int, m memberSpec, image, network string) error {
	volumes, files, err := d.configFiles(m, slices.Clone(m.sidecar.Volumes))
	if err != nil {
		return fmt.Errorf("cluster: %s: %w", m.sidecarName, err)
	}
	mounts, err := d.mounts(m, volumes)
	if err != nil {
		return fmt.Errorf("cluster: %s: %w", m.sidecarName, err)
	}
	port := nat.Port(fmt.Sprintf("%d/tcp", m.clientPort))
	endpoint := m.sidecar.Networks[d.topo.network]
	c, err := d.startContainer(ctx, testcontainers.ContainerRequest{
		Image:          image,
		Name:           d.name(m.sidecarName),
		Labels:         d.labels(m.name),
		Env:            m.sidecar.Environment,
		Cmd:            m.sidecar.Command,
		Mounts:         mounts,
		Files:          files,
		ExposedPorts:   []string{string(port)},
		Networks:       []string{network},
		NetworkAliases: map[string][]string{network: endpoint.Aliases},
		ConfigModifier: func(c *container.Config) { c.Hostname = m.sidecar.Hostname },
		HostConfigModifier: func(h *container.HostConfig) {
			applyService(h, m.sidecar)
			h.Binds = d.diskBinds(m)
			h.PortBindings = nat.PortMap{port: []nat.PortBinding{{HostIP: "127.0.0.1"}}}
		},
		EndpointSettingsModifier: func(settings map[string]*dockernetwork.EndpointSettings) {
			for _, s := range settings {
				s.IPAMConfig = &dockernetwork.EndpointIPAMConfig{IPv4Address: d.list[i].Addr}
			}
		},
	}, true)
	if err != nil {
		return fmt.Errorf("cluster: start %s: %w", m.sidecarName, err)
	}
	inspect, err := c.Inspect(ctx)
	if err != nil {
		return fmt.Errorf("cluster: inspect %s: %w", m.sidecarName, err)
	}
	bindings := inspect.NetworkSettings.Ports[port]
	if len(bindings) == 0 {
		return fmt.Errorf("cluster: %s does not publish %s", m.sidecarName, port)
	}
	d.list[i].Client = "127.0.0.1:" + bindings[0].HostPort
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sidecars[m.name] = c.GetContainerID()
	return nil
}

// makeNode creates, and perhaps starts, a server in its sidecar's network
// namespace.
func (d *dockerCluster) makeNode(ctx context.Context, m memberSpec, image, name string, start bool) error {
	mounts, err := d.mounts(m, m.node.Volumes)
	if err != nil {
		return fmt.Errorf("cluster: %s: %w", m.name, err)
	}
	d.mu.Lock()
	sidecar := d.sidecars[m.name]
	d.mu.Unlock()
	c, err := d.startContainer(ctx, testcontainers.ContainerRequest{
		Image:          image,
		Name:           d.name(name),
		Labels:         d.labels(m.name),
		Env:            m.node.Environment,
		Cmd:            m.node.Command,
		Mounts:         mounts,
		ConfigModifier: func(c *container.Config) { c.User = m.node.User },
		HostConfigModifier: func(h *container.HostConfig) {
			applyService(h, m.node)
			h.Binds = d.diskBinds(m)
			h.NetworkMode = container.NetworkMode("container:" + sidecar)
		},
	}, start)
	if err != nil {
		return fmt.Errorf("cluster: start %s: %w", m.name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nodes[m.name] = c.GetContainerID()
	d.containers[m.name] = append(d.containers[m.name], c.GetContainerID())
	return nil
}

// applyService carries a compose service's settings over. Logs are kept whole:
// the run's checkers read them.
func applyService(h *container.HostConfig, s composeService) {
	h.CapAdd, h.CapDrop, h.SecurityOpt = s.CapAdd, s.CapDrop, s.SecurityOpt
	h.ReadonlyRootfs = s.ReadOnly
	if s.Init {
		h.Init = &s.Init
	}
	if len(s.Tmpfs) > 0 {
		h.Tmpfs = make(map[string]string)
		for _, entry := range s.Tmpfs {
			path, options, _ := strings.Cut(entry, ":")
			h.Tmpfs[path] = options
		}
	}
	h.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "512m"}}
}

func (d *dockerCluster) startContainer(ctx context.Context, request testcontainers.ContainerRequest, start bool) (testcontainers.Container, error) {
	return testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: request,
		Started:          start,
		Logger:           containerLogger{d.opts.Logger},
	})
}

// configFiles adds the volumes that stand for the node's bound directories to a
// sidecar's, writable, and lists the files for them: those of the directories,
// with zoo.cfg made to fit the run.
func (d *dockerCluster) configFiles(m memberSpec, volumes []string) ([]string, []testcontainers.ContainerFile, error) {
	var files []testcontainers.ContainerFile
	for _, text := range m.node.Volumes {
		mount, err := parseMount(text)
		if err != nil {
			return nil, nil, err
		}
		if !mount.bind() {
			continue
		}
		volumes = append(volumes, mount.source+":"+mount.target)
		contents, err := readConfigDir(d.topo.path(mount.source), d.hosts(), d.opts.Config)
		if err != nil {
			return nil, nil, err
		}
		d.mu.Lock()
		d.config, d.configTarget = contents[configName], mount.target
		d.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(contents)) {
			files = append(files, testcontainers.ContainerFile{
				Reader: strings.NewReader(contents[name]), ContainerFilePath: mount.target + "/" + name, FileMode: 0o644,
			})
		}
	}
	return volumes, files, nil
}

// hosts are the members' names inside the network.
func (d *dockerCluster) hosts() []string {
	var hosts []string
	for _, m := range d.topo.members {
		hosts = append(hosts, m.name)
	}
	return hosts
}

// readConfigDir reads the regular files of a directory, zoo.cfg adapted.
func readConfigDir(dir string, hosts, extra []string) (map[string]string, error) {
	out := make(map[string]string)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("configuration directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeType != 0 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("configuration directory: %w", err)
		}
		out[entry.Name()] = string(data)
	}
	base, found := out["zoo.cfg"]
	if !found {
		return nil, fmt.Errorf("configuration directory %s has no zoo.cfg", dir)
	}
	config, err := memberConfig(base, hosts, extra)
	if err != nil {
		return nil, err
	}
	out["zoo.cfg"] = config.String()
	return out, nil
}
