package cluster

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// composeFile is the part of a compose file that the lab understands. Anything
// else in it is an error: the lab must not start another topology than compose.
type composeFile struct {
	Version  string                    `yaml:"version"`
	Name     string                    `yaml:"name"`
	Services map[string]composeService `yaml:"services"`
	Networks map[string]composeNetwork `yaml:"networks"`
	Volumes  map[string]composeVolume  `yaml:"volumes"`
	Extra    map[string]yaml.Node      `yaml:",inline"` // x-fields only
}

type composeService struct {
	Image       string                     `yaml:"image"`
	Build       composeBuild               `yaml:"build"`
	Hostname    string                     `yaml:"hostname"`
	User        string                     `yaml:"user"`
	Init        bool                       `yaml:"init"`
	ReadOnly    bool                       `yaml:"read_only"`
	CapAdd      []string                   `yaml:"cap_add"`
	CapDrop     []string                   `yaml:"cap_drop"`
	SecurityOpt []string                   `yaml:"security_opt"`
	NetworkMode string                     `yaml:"network_mode"`
	Networks    map[string]composeEndpoint `yaml:"networks"`
	Ports       []string                   `yaml:"ports"`
	Volumes     []string                   `yaml:"volumes"`
	Environment map[string]string          `yaml:"environment"`
	DependsOn   []string                   `yaml:"depends_on"`
	Command     []string                   `yaml:"command"`
	Tmpfs       []string                   `yaml:"tmpfs"`
	StopGrace   string                     `yaml:"stop_grace_period"`
}

type composeBuild struct {
	Context    string `yaml:"context"`
	Dockerfile string `yaml:"dockerfile"`
}

type composeEndpoint struct {
	IPv4Address string   `yaml:"ipv4_address"`
	Aliases     []string `yaml:"aliases"`
}

type composeNetwork struct {
	Driver string `yaml:"driver"`
	IPAM   struct {
		Config []struct {
			Subnet string `yaml:"subnet"`
		} `yaml:"config"`
	} `yaml:"ipam"`
}

type composeVolume struct {
	Driver     string            `yaml:"driver"`
	DriverOpts map[string]string `yaml:"driver_opts"`
}

// memberSpec is one member of the topology: the node, the sidecar whose network
// namespace it joins, and where it stands in the subnet.
type memberSpec struct {
	name        string // of the node's service
	id          int64
	sidecarName string
	node        composeService
	sidecar     composeService
	hostOffset  int    // address minus the subnet's first address
	clientPort  uint16 // published port, inside the namespace
}

// topology is an ensemble as the compose file describes it.
type topology struct {
	dir     string // of the compose file; relative paths start here
	network string
	prefix  netip.Prefix
	members []memberSpec // in the order of ids
	volumes map[string]composeVolume
}

// CheckCompose says what keeps a compose file from describing an ensemble of so many nodes.
func CheckCompose(path string, nodes int) error {
	_, err := loadTopology(path, nodes, os.Getenv)
	return err
}

// loadTopology reads a compose file and cuts or extends it to so many nodes.
func loadTopology(path string, nodes int, getenv func(string) string) (*topology, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cluster: compose file: %w", err)
	}
	t, err := parseTopology(data, getenv)
	if err != nil {
		return nil, fmt.Errorf("cluster: %s: %w", path, err)
	}
	t.dir = filepath.Dir(path)
	if err := t.resize(nodes); err != nil {
		return nil, fmt.Errorf("cluster: %s: %w", path, err)
	}
	return t, nil
}

func parseTopology(data []byte, getenv func(string) string) (*topology, error) {
	data, err := interpolate(data, getenv)
	if err != nil {
		return nil, err
	}
	var file composeFile
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		return nil, err
	}
	for key := range file.Extra {
		if !strings.HasPrefix(key, "x-") {
			return nil, fmt.Errorf("key %q is not understood by the lab", key)
		}
	}
	t := &topology{volumes: file.Volumes}
	for name, service := range file.Services {
		sidecarName, joins := strings.CutPrefix(service.NetworkMode, "service:")
		if !joins {
			continue
		}
		sidecar, found := file.Services[sidecarName]
		if !found {
			return nil, fmt.Errorf("service %s joins service %s, which does not exist", name, sidecarName)
		}
		member := memberSpec{name: name, sidecarName: sidecarName, node: service, sidecar: sidecar}
		if err := t.place(&member, file.Networks); err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
		t.members = append(t.members, member)
	}
	if len(t.members) == 0 || len(file.Services) != 2*len(t.members) {
		return nil, fmt.Errorf("want pairs of services, a sidecar and a node with network_mode service:<sidecar>; have %d services and %d such nodes", len(file.Services), len(t.members))
	}
	slices.SortFunc(t.members, func(a, b memberSpec) int { return int(a.id - b.id) })
	for i, m := range t.members {
		if m.id != int64(i+1) {
			return nil, fmt.Errorf("service %s has ZOO_MY_ID %d, want 1 to %d without gaps", m.name, m.id, len(t.members))
		}
	}
	return t, nil
}

// place reads a member's id, address and client port.
func (t *topology) place(m *memberSpec, networks map[string]composeNetwork) error {
	id, err := strconv.ParseInt(m.node.Environment["ZOO_MY_ID"], 10, 64)
	if err != nil {
		return fmt.Errorf("environment ZOO_MY_ID: %w", err)
	}
	m.id = id
	if len(m.sidecar.Networks) != 1 {
		return fmt.Errorf("%s has %d networks, want one", m.sidecarName, len(m.sidecar.Networks))
	}
	for network, endpoint := range m.sidecar.Networks {
		if t.network != "" && t.network != network {
			return fmt.Errorf("%s is in network %s, others in %s", m.sidecarName, network, t.network)
		}
		t.network = network
		config := networks[network].IPAM.Config
		if len(config) != 1 {
			return fmt.Errorf("network %s has %d subnets, want one", network, len(config))
		}
		if t.prefix, err = netip.ParsePrefix(config[0].Subnet); err != nil || !t.prefix.Addr().Is4() {
			return fmt.Errorf("network %s: subnet %q is not an IPv4 subnet", network, config[0].Subnet)
		}
		addr, err := netip.ParseAddr(endpoint.IPv4Address)
		if err != nil || !t.prefix.Contains(addr) {
			return fmt.Errorf("%s: address %q is not in subnet %s", m.sidecarName, endpoint.IPv4Address, t.prefix)
		}
		m.hostOffset = addrNumber(addr) - addrNumber(t.prefix.Masked().Addr())
	}
	if len(m.sidecar.Ports) != 1 {
		return fmt.Errorf("%s publishes %d ports, want the client port only", m.sidecarName, len(m.sidecar.Ports))
	}
	ports := strings.Split(m.sidecar.Ports[0], ":")
	port, err := strconv.ParseUint(ports[len(ports)-1], 10, 16)
	if err != nil {
		return fmt.Errorf("%s: port %q: %w", m.sidecarName, m.sidecar.Ports[0], err)
	}
	m.clientPort = uint16(port)
	return nil
}

// resize takes the first n members, or derives further ones from the last.
func (t *topology) resize(n int) error {
	last := t.members[len(t.members)-1]
	for len(t.members) < n {
		id := int64(len(t.members) + 1)
		derived, err := t.derive(last, id)
		if err != nil {
			return err
		}
		t.members = append(t.members, derived)
	}
	t.members = t.members[:n]
	return nil
}

// derive copies a member under another id: n5, n5-net and n5-data become n6,
// n6-net and n6-data, the address moves on.
func (t *topology) derive(from memberSpec, id int64) (memberSpec, error) {
	suffix := strconv.FormatInt(from.id, 10)
	base, found := strings.CutSuffix(from.name, suffix)
	if !found {
		return memberSpec{}, fmt.Errorf("can't derive more members: the name of %s does not end with its id", from.name)
	}
	name := base + strconv.FormatInt(id, 10)
	rename := func(s string) string { return strings.ReplaceAll(s, from.name, name) }
	renameAll := func(in []string) []string {
		out := slices.Clone(in)
		for i := range out {
			out[i] = rename(out[i])
		}
		return out
	}
	m := from
	m.name, m.id, m.sidecarName = name, id, rename(from.sidecarName)
	m.hostOffset = from.hostOffset + int(id-from.id)
	m.node.Volumes, m.sidecar.Volumes = renameAll(from.node.Volumes), renameAll(from.sidecar.Volumes)
	m.sidecar.Hostname = rename(from.sidecar.Hostname)
	endpoint := from.sidecar.Networks[t.network]
	endpoint.Aliases = renameAll(endpoint.Aliases)
	m.sidecar.Networks = map[string]composeEndpoint{t.network: endpoint}
	m.node.Environment = make(map[string]string, len(from.node.Environment))
	for key, value := range from.node.Environment {
		m.node.Environment[key] = value
	}
	m.node.Environment["ZOO_MY_ID"] = strconv.FormatInt(id, 10)
	for _, volume := range slices.Concat(m.node.Volumes, m.sidecar.Volumes) {
		mount, err := parseMount(volume)
		if err != nil {
			return memberSpec{}, err
		}
		original := strings.ReplaceAll(mount.source, name, from.name)
		if _, known := t.volumes[mount.source]; !known && !mount.bind() {
			t.volumes[mount.source] = t.volumes[original]
		}
	}
	return m, nil
}

// mountSpec is a short-form volume of a compose file: source:target[:ro].
type mountSpec struct {
	source, target string
	readOnly       bool
}

// bind reports whether the source is a path, not a named volume.
func (m mountSpec) bind() bool {
	return strings.HasPrefix(m.source, ".") || strings.HasPrefix(m.source, "/")
}

func parseMount(s string) (mountSpec, error) {
	parts := strings.Split(s, ":")
	switch {
	case len(parts) == 2:
		return mountSpec{source: parts[0], target: parts[1]}, nil
	case len(parts) == 3 && (parts[2] == "ro" || parts[2] == "rw"):
		return mountSpec{source: parts[0], target: parts[1], readOnly: parts[2] == "ro"}, nil
	}
	return mountSpec{}, fmt.Errorf("volume %q: want source:target or source:target:ro", s)
}

// configDir is the directory with zoo.cfg that the nodes bind.
func (t *topology) configDir() (string, error) {
	for _, text := range t.members[0].node.Volumes {
		mount, err := parseMount(text)
		if err != nil {
			return "", err
		}
		if mount.bind() {
			return t.path(mount.source), nil
		}
	}
	return "", fmt.Errorf("cluster: service %s binds no directory with a zoo.cfg", t.members[0].name)
}

// path makes a path of the compose file relative to the working directory.
func (t *topology) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(t.dir, p)
}

var variablePattern = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}`)

// interpolate replaces ${NAME} and ${NAME:-default} as compose does.
func interpolate(data []byte, getenv func(string) string) ([]byte, error) {
	var missing []string
	out := variablePattern.ReplaceAllFunc(data, func(match []byte) []byte {
		parts := variablePattern.FindSubmatch(match)
		value := getenv(string(parts[1]))
		switch {
		case value != "":
			return []byte(value)
		case bytes.Contains(match, []byte(":-")):
			return parts[2]
		}
		missing = append(missing, string(parts[1]))
		return nil
	})
	if len(missing) > 0 {
		return nil, fmt.Errorf("environment variables %v are not set and have no default", missing)
	}
	return out, nil
}

// addrNumber is an IPv4 address as a number, addrAt the reverse relative to a
// subnet.
func addrNumber(a netip.Addr) int {
	b := a.As4()
	return int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

func addrAt(prefix netip.Prefix, offset int) netip.Addr {
	n := addrNumber(prefix.Masked().Addr()) + offset
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
