package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"zoolab/node/quorum"
)

// FuzzParse: no text makes the parser panic, every fault names its file and
// says what is wrong, and what is accepted can be used.
func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/samples/*")
	if err != nil || len(samples) == 0 {
		f.Fatalf("samples: %v, %v", samples, err)
	}
	for _, sample := range samples {
		content, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content), "server.1=a:1:2;3", "1\n")
		f.Add("dataDir=/d\ninitLimit=1\nsyncLimit=1\ndynamicConfigFile=zoo.cfg.dynamic.f", string(content), "2")
	}
	f.Add("dataDir=a\nserver.1=[::1]:1:2|b:3:4:observer;;[::]:5\nmultiAddress.enabled=true", "", "x")
	f.Add("a\\\n#\\u00e9=b\\\r\n\\", "\\", "")
	f.Fuzz(func(t *testing.T, content, dynamic, myid string) {
		read := func(path string) ([]byte, error) {
			if filepath.Base(path) == "myid" {
				return []byte(myid), nil
			}
			return []byte(dynamic), nil
		}
		c, warnings, err := Parse("zoo.cfg", content, Options{ReadFile: read})
		for _, warning := range warnings {
			if warning.File == "" || warning.Problem == "" {
				t.Errorf("empty warning %+v", warning)
			}
		}
		if err != nil {
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 || c != nil {
				t.Fatalf("error %T %v with config %v", err, err, c)
			}
			for _, one := range all {
				if one.File == "" || one.Problem == "" {
					t.Errorf("empty error %+v", one)
				}
			}
			return
		}
		checkUsable(t, c)
	})
}

// checkUsable asserts what the rest of the server relies on.
func checkUsable(t *testing.T, c *Config) {
	t.Helper()
	if c.TickTimeMs < 1 || c.MinSessionTimeoutMs < 0 || c.MinSessionTimeoutMs > c.MaxSessionTimeoutMs ||
		c.JuteMaxBufferBytes < 1 || c.Storage.DataDir == "" || c.Storage.DataLogDir == "" || c.Storage.SnapCount < 2 {
		t.Errorf("out of range: %+v", *c)
	}
	own, known := c.Membership.Server(c.MyID)
	if c.Distributed && (!known || own.Role != c.Role || c.Ensemble.InitLimitTicks < 1 || c.Ensemble.SyncLimitTicks < 1) {
		t.Errorf("a member without a place: %+v", *c)
	}
	if c.Verifier().ContainsQuorum(quorum.Set{}) {
		t.Error("nobody is a quorum")
	}
	c.ConfText(0, 0)
	if c.Distributed {
		checkRoundTrip(t, &c.Membership)
	}
}

func checkRoundTrip(t *testing.T, m *Membership) {
	t.Helper()
	text := m.Text()
	again, err := ParseMembership("text", text)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if again.Text() != text {
		t.Errorf("wrote\n%s\nread\n%s", text, again.Text())
	}
}

// FuzzMembership: what other members send can't make the parser panic, and what
// it accepts it writes so that it reads the same.
func FuzzMembership(f *testing.F) {
	f.Add("server.1=a:1:2:participant;0.0.0.0:3\nserver.2=[::1]:1:2:observer\nversion=1f")
	f.Add("server.1=a:1:2|b:3:4;;5\nserver.17=c:1:2\ngroup.2=1\ngroup.18=17\nweight.1=3\nversion=ffffffffffffffff")
	f.Add("version=0")
	f.Add("server.1=a:1:2\nversion=-1")
	f.Fuzz(func(t *testing.T, membership string) {
		if m, err := ParseMembership("packet", membership); err == nil {
			checkRoundTrip(t, m)
		}
	})
}
