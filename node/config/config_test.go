package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"zoolab/node/quorum"
)

// files is what ReadFile sees beside the real file system.
type files map[string]string

func (f files) read(path string) ([]byte, error) {
	if content, ok := f[path]; ok {
		return []byte(content), nil
	}
	if strings.HasPrefix(path, "testdata/") {
		return os.ReadFile(path)
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// load reads a file of testdata without looking at the machine's own files.
func load(path, envMyID string) (*Config, []Warning, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	return Parse(path, string(content), Options{Env: Environment{MyID: envMyID}, ReadFile: files{}.read})
}

func mustParse(t *testing.T, content string, extra files) (*Config, []Warning) {
	t.Helper()
	c, warnings, err := Parse("zoo.cfg", content, Options{ReadFile: extra.read})
	if err != nil {
		t.Fatalf("unexpected error:\n%v", err)
	}
	return c, warnings
}

// TestSamples loads configurations as they are in use. Each must load, with
// only the warnings that are listed.
func TestSamples(t *testing.T) {
	cases := []struct {
		file     string
		envMyID  string
		warnings []string // what the warnings must contain, in order
		check    func(c *Config) bool
	}{
		{"zoo_sample.cfg", "", nil, func(c *Config) bool {
			return !c.Distributed && c.TickTimeMs == 2000 && c.Clients.Addr == (HostPort{Port: 2181}) &&
				c.MaxSessionTimeoutMs == 40000 && c.Storage.DataLogDir == "/tmp/zookeeper" && c.MyID == 0
		}},
		{"debian_ensemble.cfg", "3", nil, func(c *Config) bool {
			return c.Distributed && c.MyID == 3 && len(c.Membership.Servers) == 3 && c.Ensemble.LeaderServes
		}},
		{"docker_standalone.cfg", "1", []string{"is the only server"}, func(c *Config) bool {
			return !c.Distributed && c.Clients.Addr == (HostPort{Port: 2181}) && c.Storage.DataLogDir == "/datalog"
		}},
		{"docker_ensemble.cfg", "2", nil, func(c *Config) bool {
			return c.Distributed && c.Clients.Addr == (HostPort{Port: 2181}) && c.FourLetterAllowed("mntr") && c.Admin.PrometheusExporter
		}},
		{"reconfig.cfg", "3", []string{"two servers tolerate no failure"}, func(c *Config) bool {
			return c.Role == Observer && c.Membership.Version == 0x100000000 && c.Clients.Addr == (HostPort{"127.0.0.1", 2793}) &&
				c.FourLetterAllowed("conf") && c.FourLetterAllowed("srvr") && !c.FourLetterAllowed("mntr")
		}},
		{"kubernetes_operator.cfg", "1", nil, func(c *Config) bool {
			return c.Auth.SkipACL && c.Storage.SnapCount == 10000 && c.Storage.PreAllocSizeBytes == 64<<20 && c.ReconfigEnabled
		}},
		{"tls_sasl.cfg", "2", []string{"serverCnxnFactory: has no effect", "servicePrincipal: has no effect here: this server has no Kerberos", "quorum.cnxn.threads.size: has no effect"}, func(c *Config) bool {
			return c.Clients.SecureAddr == (HostPort{Port: 2281}) && c.Clients.Addr.Port == 0 && c.Ensemble.SSLQuorum &&
				c.Ensemble.SASL.User == "member" && c.Ensemble.SASL.Users["member"] == "quorumsecret" && c.Auth.Users["bob"] == "bobsecret" &&
				c.JuteMaxBufferBytes == 4<<20 && c.JuteExtraSizeBytes == 4<<20 && c.Auth.SuperDigest != "" &&
				c.Clients.TLS.KeyStore.Password == "secret=word" && c.Ensemble.TLS.KeyStore.Path == "/etc/zookeeper/quorum.jks" &&
				c.Membership.Servers[1].Addrs[0].Host == "fd00:0:0:0:0:0:0:2" && len(c.Membership.Servers[2].Addrs) == 2
		}},
		{"windows.cfg", "", nil, func(c *Config) bool { return c.Storage.DataDir == `C:\zookeeper\data` }},
	}
	for _, test := range cases {
		t.Run(test.file, func(t *testing.T) {
			c, warnings, err := load(filepath.Join("testdata/samples", test.file), test.envMyID)
			if err != nil {
				t.Fatalf("does not load:\n%v", err)
			}
			if len(warnings) != len(test.warnings) {
				t.Fatalf("warnings %v, want %q", warnings, test.warnings)
			}
			for i, warning := range warnings {
				if !strings.Contains(warning.String(), test.warnings[i]) {
					t.Errorf("warning %q, want %q", warning, test.warnings[i])
				}
			}
			if !test.check(c) {
				t.Errorf("not what the file says: %+v", *c)
			}
		})
	}
}

// TestConfAsApache compares ConfText with what Apache ZooKeeper 3.8.0 answered
// to conf when it ran with the same files. The sizes are Apache's.
func TestConfAsApache(t *testing.T) {
	recorded, err := filepath.Glob("testdata/apache-3.8.0/*.conf")
	if err != nil || len(recorded) < 8 {
		t.Fatalf("recorded answers: %v, %v", recorded, err)
	}
	size := func(want, label string) int64 {
		n, err := strconv.ParseInt(regexp.MustCompile(label + `=(\d+)`).FindStringSubmatch(want)[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, path := range recorded {
		base := strings.TrimSuffix(path, ".conf")
		t.Run(filepath.Base(base), func(t *testing.T) {
			answer, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := string(answer)
			envMyID := ""
			if at := strings.LastIndex(base, "-"); strings.Trim(base[at:], "-0123456789") == "" {
				envMyID = base[at+1:]
			}
			c, _, err := load(base+".cfg", envMyID)
			if err != nil {
				t.Fatal(err)
			}
			got := c.ConfText(size(want, "dataDirSize"), size(want, "dataLogSize"))
			if got != want {
				t.Errorf("got\n%s\nApache answered\n%s", got, want)
			}
			if !c.Distributed {
				return
			}
			if !strings.HasSuffix(want, "membership: \n"+c.MembershipText()) {
				t.Errorf("membership\n%s", c.MembershipText())
			}
			again, err := ParseMembership("a packet", c.MembershipText())
			if err != nil {
				t.Fatal(err)
			}
			if again.Text() != c.MembershipText() {
				t.Errorf("read back as\n%s", again.Text())
			}
		})
	}
}

func TestDefault(t *testing.T) {
	c := Default("./data")
	if c.TickTimeMs != 3000 || c.MinSessionTimeoutMs != 6000 || c.MaxSessionTimeoutMs != 60000 {
		t.Errorf("times %d, %d, %d", c.TickTimeMs, c.MinSessionTimeoutMs, c.MaxSessionTimeoutMs)
	}
	if c.Clients.Addr.String() != ":2181" || c.Distributed || c.JuteExtraSizeBytes != 0xfffff {
		t.Errorf("default is %+v", *c)
	}
	if v := c.Verifier(); !v.ContainsQuorum(quorum.SetOf(0)) || v.ContainsQuorum(quorum.SetOf()) {
		t.Errorf("a lone server decides by %v", v)
	}
	parsed, _ := mustParse(t, "dataDir=./data\nclientPort=2181", nil)
	if got, want := parsed.ConfText(0, 0), c.ConfText(0, 0); got != want {
		t.Errorf("a minimal file gives\n%swant the default\n%s", got, want)
	}
}

func TestThrottleSettings(t *testing.T) {
	c, warnings := mustParse(t, "dataDir=/d\nclientPort=2181\nzookeeper.connection_throttle_local_session_weight=4\n"+
		"connection_throttle_renew_session_weight=9\nlargeRequestThreshold=0\nrequestThrottleLimit=0x10", nil)
	if th := c.Clients.ConnectionThrottle; th.GlobalWeight != 4 || th.LocalWeight != 4 || th.RenewWeight != 9 {
		t.Errorf("weights %+v", th)
	}
	if c.Clients.LargeRequestThresholdBytes != -1 || c.Clients.RequestThrottle.MaxRequests != 16 {
		t.Errorf("%+v", c.Clients)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0].String(), "largeRequestThreshold") || !strings.Contains(warnings[1].String(), "global_session_weight") {
		t.Errorf("warnings %v", warnings)
	}
	for _, wrong := range []string{"connection_throttle_drop_increase=1.5", "connectionDropDecrease=-0.1",
		"connection_throttle_global_session_weight=0", "request_throttle_stall_time=0", "largeRequestMaxBytes=0"} {
		if _, _, err := Parse("zoo.cfg", "dataDir=/d\nclientPort=2181\n"+wrong, Options{ReadFile: os.ReadFile}); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

// TestSettings goes through every key with a field, with and without prefix:
// a good value changes the result, a bad one is an error at that key.
func TestSettings(t *testing.T) {
	good := map[string]string{
		"DigestAuthenticationProvider.digestAlg": "SHA-256",
		"clientPortAddress":                      "127.0.0.1", "secureClientPortAddress": "127.0.0.1", "electionAlg": "3", "peerType": "observer",
		"dataDir": "/a", "dataLogDir": "/b", "snapshot.compression.method": "gz", "snapshotSizeFactor": "0.5",
		"superDigest": "super:x", "DigestAuthenticationProvider.superDigest": "super:x", "4lw.commands.whitelist": "ruok",
		"clientPort": "2182", "dynamicConfigFile": "/dynamic", "maxSessionTimeout": "90000", "minSessionTimeout": "4444",
		"snapCount": "7", "commitLogCount": "777", "autopurge.snapRetainCount": "7",
		"fastleader.maxNotificationInterval": "70000", "admin.commandURL": "/c", "admin.serverAddress": "::1",
		"metricsProvider.className": "x", "metricsProvider.httpHost": "h",
	}
	for _, name := range []string{"connection_throttle_drop_increase", "connection_throttle_drop_decrease", "connection_throttle_decrease_ratio",
		"connectionDropIncrease", "connectionDropDecrease", "connectionDecreaseRatio"} {
		good[name] = "0.7"
	}
	free := map[string]bool{ // any text is a good value
		"audit.file":       true,
		"admin.commandURL": true, "admin.serverAddress": true, "metricsProvider.className": true,
		"metricsProvider.httpHost": true, "4lw.commands.whitelist": true, "dynamicConfigFile": true,
		"X509AuthenticationProvider.superUser": true, "ensembleAuthName": true, "letAnySaslUserDoX": true,
		"enforce.auth.schemes": true, "sasl.serverconfig": true,
		"quorum.auth.server.saslLoginContext": true, "quorum.auth.learner.saslLoginContext": true, "SASLAuthenticationProvider.superPassword": true,
	}
	base := "dataDir=/d\nclientPort=2181\nsecureClientPort=2281\n" +
		"quorum.auth.enableSasl=true\nquorum.auth.learnerRequireSasl=true\n"
	for name, spec := range settingsByName {
		if strings.HasPrefix(name, clientTLSPrefix) {
			continue // package tlsconf tests these
		}
		before := draft{Config: *defaults()}
		value := good[name]
		if value == "" {
			value = "5"
			if f := spec.set(&draft{Config: *defaults()}, name, value); f != nil {
				value = oppositeWord(f.fix)
			}
		}
		after := draft{Config: *defaults()}
		if f := spec.set(&after, name, value); f != nil {
			t.Errorf("%s=%s: %s", name, value, f.problem)
			continue
		}
		toggled := draft{Config: *defaults()}
		if value == "true" || value == "yes" {
			other := map[string]string{"true": "FALSE", "yes": "NO"}[value]
			if f := spec.set(&toggled, name, other); f != nil {
				t.Errorf("%s=%s: %s", name, other, f.problem)
			}
		}
		if sprint(before) == sprint(after) && sprint(before) == sprint(toggled) && name != "electionAlg" {
			t.Errorf("%s=%s changes nothing", name, value)
		}
		if free[name] {
			continue
		}
		bad := "\u00fc /x"
		if strings.HasSuffix(name, "Dir") {
			bad = ""
		}
		for _, key := range []string{name, "zookeeper." + name} {
			_, _, err := Parse("zoo.cfg", base+key+"="+bad, Options{ReadFile: files{}.read})
			var first *Error
			if !errors.As(err, &first) || first.Key != key || first.Line != 6 || first.File != "zoo.cfg" {
				t.Errorf("%s=%s: error %v", key, bad, err)
			} else if !strings.Contains(first.Fix, "write") {
				t.Errorf("%s: does not say what to write: %v", key, first)
			}
		}
	}
}

func oppositeWord(fix string) string {
	if strings.Contains(fix, "=yes") {
		return "yes"
	}
	return "true"
}

// sprint shows all that a setter can change.
func sprint(d draft) string { return fmt.Sprintf("%+v", d) }

func TestJavaNumbers(t *testing.T) {
	cases := []struct {
		line string
		want int
		ok   bool
	}{
		{"jute.maxbuffer=0x1000", 4096, true},
		{"jute.maxbuffer=#ff", 255, true},
		{"jute.maxbuffer=010", 8, true},
		{"jute.maxbuffer=+4096", 4096, true},
		{"jute.maxbuffer=2147483647", 1<<31 - 1, true},
		{"jute.maxbuffer=2147483648", 0, false},
		{"jute.maxbuffer=0x", 0, false},
		{"jute.maxbuffer=0x-5", 0, false},
		{"jute.maxbuffer=1_000", 0, false},
		{"jute.maxbuffer=-1", 0, false},
		{"jute.maxbuffer=", 0, false},
	}
	for _, test := range cases {
		c, _, err := Parse("zoo.cfg", "dataDir=/d\nclientPort=1\n"+test.line, Options{ReadFile: files{}.read})
		if (err == nil) != test.ok || err == nil && c.JuteMaxBufferBytes != test.want {
			t.Errorf("%s: error %v", test.line, err)
		}
	}
	if _, _, err := Parse("zoo.cfg", "dataDir=/d\nclientPort=0x10", Options{ReadFile: files{}.read}); err == nil {
		t.Error("clientPort=0x10 was taken, but Apache reads it as decimal only")
	}
}

func TestProperties(t *testing.T) {
	text := "# comment\n! comment\n\n  a = 1 \nb:2\nc 3\nd\n" + `e\ f\=g=h\:\\i` + "\n" +
		"j=k,\\\n   l,\\\r\n\tm\nn=\\u00e9\\ud83d\\ude00\n" + "o = # not a comment \\\\\np==q\r#x\rr=\\t\\z\\r\\f\\n.\n" + `s=end\`
	want := []property{{"a", "1", 4}, {"b", "2", 5}, {"c", "3", 6}, {"d", "", 7}, {"e f=g", `h:\i`, 8}, {"j", "k,l,m", 9},
		{"n", "é😀", 12}, {"o", `# not a comment \`, 13}, {"p", "=q", 14}, {"r", "z\r\f\n.", 16}, {"s", "end", 17}}
	got := parseProperties(text, func(line int, key string, f *fault) { t.Errorf("line %d: %v", line, f) })
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got[i], want[i])
		}
	}
}

// TestErrorsAreFound: a caller can reach the single errors.
func TestErrorsAreFound(t *testing.T) {
	_, _, err := Parse("zoo.cfg", "tickTime=x\nclientPort=y", Options{ReadFile: files{}.read})
	var all Errors
	var first *Error
	if !errors.As(err, &all) || len(all) != 3 || !errors.As(err, &first) || first.Key != "tickTime" {
		t.Errorf("error %v", err)
	}
	if _, _, err := Load("testdata/absent.cfg", Environment{}); !errors.As(err, &first) || first.File != "testdata/absent.cfg" {
		t.Errorf("absent file: %v", err)
	}
}

func TestClientProperties(t *testing.T) {
	got, err := Properties("# a client's\nzookeeper.client.secure = true\na:1\na=2\\\n3\n")
	if err != nil || len(got) != 2 || got["zookeeper.client.secure"] != "true" || got["a"] != "23" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Properties("a=1\nb=\\u12\n"); err == nil || !strings.Contains(err.Error(), "line 2: b: ") {
		t.Errorf("a malformed escape gives %v", err)
	}
}

// TestTakenAddresses: who joins may not listen where another member does, to whichever of its
// ports that belongs; all addresses of a machine are no address of a member's.
func TestTakenAddresses(t *testing.T) {
	m, err := ParseMembership("test", "server.1=a:1:2:participant;a:3\nserver.2=b:1:2:participant;0.0.0.0:3\nversion=5\n")
	if err != nil {
		t.Fatal(err)
	}
	for joining, taken := range map[string]bool{
		"server.3=a:1:9;c:9": true, "server.3=c:9:2;a:3": true, "server.3=b:2:9;c:9": true,
		"server.3=c:1:2;0.0.0.0:3": false, "server.1=a:1:2;a:4": false, "server.2=a:2:7;b:3": true,
	} {
		next, err := m.Change(Change{Joining: joining}, 6, 1)
		if got := err != nil && strings.Contains(err.Error(), "have the same address"); got != taken || !taken && err != nil {
			t.Errorf("%s: %v, %v", joining, next, err)
		}
	}
}
