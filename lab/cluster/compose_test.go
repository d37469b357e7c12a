package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func noEnv(string) string { return "" }

// TestComposeFile reads the repository's own compose.yaml in all sizes.
func TestComposeFile(t *testing.T) {
	for n := 1; n <= MaxNodes; n++ {
		topo, err := loadTopology("../../compose.yaml", n, noEnv)
		if err != nil {
			t.Fatalf("%d nodes: %v", n, err)
		}
		if len(topo.members) != n {
			t.Fatalf("%d members, want %d", len(topo.members), n)
		}
		addresses, volumes := make(map[string]bool), make(map[string]bool)
		for i, m := range topo.members {
			addresses[addrAt(topo.prefix, m.hostOffset).String()] = true
			volumes[m.node.Volumes[0]] = true
			if m.id != int64(i+1) || m.node.Environment["ZOO_MY_ID"] != string(rune('1'+i)) {
				t.Errorf("member %d has id %d and environment %v", i, m.id, m.node.Environment)
			}
			if m.name+"-net" != m.sidecarName || m.sidecar.Hostname != m.name || m.sidecar.Networks[topo.network].Aliases[0] != m.name {
				t.Errorf("%s: sidecar %s, %+v", m.name, m.sidecarName, m.sidecar)
			}
			if m.node.Volumes[0] != m.sidecar.Volumes[0] || !strings.HasPrefix(m.node.Volumes[0], m.name+"-data:") {
				t.Errorf("%s and its sidecar mount %v and %v", m.name, m.node.Volumes, m.sidecar.Volumes)
			}
			if _, known := topo.volumes[m.name+"-data"]; !known {
				t.Errorf("volume of %s is not declared", m.name)
			}
			if !m.node.ReadOnly || m.node.User != "10001:10001" || m.clientPort != 2181 || m.sidecar.CapAdd[0] != "NET_ADMIN" {
				t.Errorf("%s: %+v", m.name, m)
			}
		}
		if len(addresses) != n || len(volumes) != n {
			t.Errorf("%d nodes: addresses %v, volumes %v", n, addresses, volumes)
		}
	}
}

// TestComposeAndConfigAgree: people who start compose.yaml by hand use
// docker/conf/zoo.cfg as it is, so its server list must name the members.
func TestComposeAndConfigAgree(t *testing.T) {
	topo, err := loadTopology("../../compose.yaml", 5, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := topo.configDir()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "zoo.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := parseZooConfig(string(data))
	if err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, m := range topo.members {
		hosts = append(hosts, m.name)
	}
	adapted, err := memberConfig(string(data), hosts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if plain.String() != adapted.String() {
		t.Errorf("zoo.cfg has\n%s\nfor the members of compose.yaml it should have\n%s", plain, adapted)
	}
}

func TestComposeInterpolation(t *testing.T) {
	env := func(name string) string { return map[string]string{"ZOOLAB_NODE_IMAGE": "mine"}[name] }
	topo, err := loadTopology("../../compose.yaml", 1, env)
	if err != nil {
		t.Fatal(err)
	}
	if node, sidecar := topo.members[0].node.Image, topo.members[0].sidecar.Image; node != "mine" || sidecar != "zoolab/sidecar" {
		t.Errorf("images %q and %q, want mine and the default", node, sidecar)
	}
	if _, err := interpolate([]byte("image: ${NOWHERE}"), noEnv); err == nil || !strings.Contains(err.Error(), "NOWHERE") {
		t.Errorf("unset variable: %v", err)
	}
}

// TestComposeRejects: what the lab doesn't understand must not be ignored, or
// it would start another ensemble than compose does.
func TestComposeRejects(t *testing.T) {
	data, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for change, complaint := range map[string]string{
		"read_only: true->privileged: true":                           "privileged",
		"networks:\n  ensemble:->secrets: {}\nnetworks:\n  ensemble:": "secrets",
		`ZOO_MY_ID: "5"->ZOO_MY_ID: "7"`:                              "without gaps",
		`ZOO_MY_ID: "5"->ZOO_MY_ID: five`:                             "ZOO_MY_ID",
		"service:n5-net->service:n6-net":                              "n6-net",
		"ipv4_address: 10.181.0.15->ipv4_address: 10.182.0.15":        "not in subnet",
		"subnet: 10.181.0.0/24->subnet: fd00::/64":                    "not an IPv4 subnet",
		`network_mode: "service:n5-net"->network_mode: host`:          "pairs of services",
	} {
		from, to, _ := strings.Cut(change, "->")
		if !strings.Contains(string(data), from) {
			t.Errorf("compose.yaml has no %q", from)
		}
		_, err := parseTopology([]byte(strings.Replace(string(data), from, to, 1)), noEnv)
		if err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%s: error %v, want one with %q", change, err, complaint)
		}
	}
}

func TestMemberConfig(t *testing.T) {
	const base = "# comment\n\ntickTime=500\nserver.1=a:2888:3888\nserver.2=b:2888:3888\nclientPort = 2181\n"
	got, err := memberConfig(base, []string{"x", "y", "z"}, []string{"tickTime=200", "snapCount=50"})
	if err != nil {
		t.Fatal(err)
	}
	want := "tickTime=200\nclientPort=2181\nserver.1=x:2888:3888\nserver.2=y:2888:3888\nserver.3=z:2888:3888\nsnapCount=50\n"
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	alone, err := memberConfig(base, []string{"x"}, nil)
	if err != nil || strings.Contains(alone.String(), "server.") {
		t.Errorf("a single member's configuration has servers: %s, %v", alone, err)
	}
	if _, err := memberConfig(base, nil, []string{"nonsense"}); err == nil {
		t.Error("a line without = was accepted")
	}
}
