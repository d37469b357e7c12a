package cluster

import (
	"maps"
	"strings"
	"testing"

	"zoolab/nemesis"
)

// TestMembershipText: what a membership says is read, and a member that comes back is
// told as it was, but for its part; a client port that only zoo.cfg has is added.
func TestMembershipText(t *testing.T) {
	topo, err := loadTopology("../../compose.yaml", 3, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	e := newMembership([]Member{{Name: "n1", ID: 1}, {Name: "n2", ID: 2}, {Name: "n3", ID: 3}}, topo)
	got, err := e.parse("server.1=n1:2888:3888:participant\nserver.2=n2:2888:3888:observer;0.0.0.0:2182\nversion=10000002a")
	want := map[string]nemesis.Part{"n1": nemesis.Participant, "n2": nemesis.Observer}
	if err != nil || got.Version != 0x10000002a || !maps.Equal(got.Parts, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	if line := e.lines[1].text(1, nemesis.Observer); line != "server.1=n1:2888:3888:observer;2181" {
		t.Error(line)
	}
	if line := e.lines[2].text(2, nemesis.Participant); line != "server.2=n2:2888:3888:participant;0.0.0.0:2182" {
		t.Error(line)
	}
	if _, known := e.lines[3]; known {
		t.Error("n3 has an address that nobody told")
	}
	for _, text := range []string{"server.1=n1:2888:3888", "version=x"} {
		if _, err := e.parse(text); err == nil {
			t.Errorf("%q has a version", text)
		}
	}
}

// TestChangeConfig: what a server wrote into its zoo.cfg stays when the fault's line
// comes and goes.
func TestChangeConfig(t *testing.T) {
	const rewritten = "tickTime=500\ndynamicConfigFile=/conf/zoo.cfg.dynamic.7\n"
	changed, err := changeConfig(rewritten, "tickTime=500\nserver.1=n1:2888:3888\n", true)
	if err != nil || changed != rewritten+"maxSessionTimeout=15000\n" {
		t.Errorf("%q, %v", changed, err)
	}
	back, err := changeConfig(changed, "tickTime=500\nserver.1=n1:2888:3888\n", false)
	if err != nil || back != rewritten {
		t.Errorf("%q, %v", back, err)
	}
	back, err = changeConfig(changed, "maxSessionTimeout=9000\n", false)
	if err != nil || !strings.HasSuffix(back, "maxSessionTimeout=9000\n") {
		t.Errorf("%q, %v", back, err)
	}
}
