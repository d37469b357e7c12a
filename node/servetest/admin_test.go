package servetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
)

// adminOf gives the settings of an AdminServer on a free port, and its address.
func adminOf(t *testing.T) (extra map[string]string, address string) {
	t.Helper()
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"admin.enableServer": "true", "admin.serverAddress": "127.0.0.1", "admin.serverPort": fmt.Sprint(ports[0]),
	}, fmt.Sprintf("127.0.0.1:%d", ports[0])
}

// get asks an AdminServer.
func get(t *testing.T, address, path string) (status int, header http.Header, body string) {
	t.Helper()
	// Apache's opens its port beside the client port: a little later than WaitReady sees.
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		r, err := toAdmins.Get("http://" + address + path)
		if err == nil {
			var b []byte
			b, err = io.ReadAll(r.Body)
			r.Body.Close()
			if err == nil {
				return r.StatusCode, r.Header, string(b)
			}
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// toAdmins asks each time on a connection of its own: of one that is kept it does not know at
// once that the server has ended it.
var toAdmins = http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// commandsOf reads the list of commands.
func commandsOf(t *testing.T, address string) []string {
	t.Helper()
	_, _, body := get(t, address, "/commands")
	var names []string
	for _, m := range regexp.MustCompile(`<a href="/commands/(\w+)">(\w+)</a>\n<br/>\n`).FindAllStringSubmatch(body, -1) {
		if m[1] == m[2] {
			names = append(names, m[1])
		}
	}
	return names
}

// later are the commands of versions after 3.8.0.
var later = []string{"restore", "shed_connections", "snapshot"}

// TestAdminServer compares the AdminServer's commands with Apache's: names, status,
// layout, keys and types.
func TestAdminServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several servers; run without -short")
	}
	if err := apache.AdminAvailable(); err != nil {
		t.Skip(err)
	}
	t.Run("standalone", func(t *testing.T) {
		javaExtra, javaAdmin := adminOf(t)
		oursExtra, oursAdmin := adminOf(t)
		for _, s := range []*apache.Server{startServer(t, javaExtra), startNode(t, oursExtra)} {
			watchSomething(t, s)
		}
		theirs, ours := commandsOf(t, javaAdmin), commandsOf(t, oursAdmin)
		ours = slices.DeleteFunc(ours, func(name string) bool { return slices.Contains(later, name) })
		if !slices.Equal(ours, theirs) {
			t.Errorf("our commands are\n%q, Apache's\n%q", ours, theirs)
		}
		compareCommands(t, javaAdmin, oursAdmin, theirs)
		// Short names, what is none, and arguments.
		compareCommands(t, javaAdmin, oursAdmin, []string{
			"crst", "conf", "config", "cons", "env", "envi", "gtmk", "icfg", "isro", "lsnp", "lead", "mntr", "orst", "obsr",
			"srvr", "stmk", "srst", "stat", "sysp", "wchs", "wchc", "wchp", "nope", "nope/", "ruok/", "Ruok", "ruok?x=%00",
			"set_trace_mask?traceMask=x", "set_trace_mask?traceMask=1", "set_trace_mask?traceMask=-1&traceMask=2",
			"set_trace_mask?traceMask=", "set_trace_mask?traceMask=9223372036854775808", "get_trace_mask",
		})
		for _, path := range []string{"/", "/commandsx", "/commands/", "/metrics"} {
			want, _, _ := get(t, javaAdmin, path)
			if got, _, _ := get(t, oursAdmin, path); got != want {
				t.Errorf("%s is answered with %d, by Apache with %d", path, got, want)
			}
		}
	})
	t.Run("ensemble", func(t *testing.T) {
		java, javaAdmins := startThreeWithAdmin(t)
		ours, oursAdmins := startThreeWithAdmin(t, nodeBinary, "serve")
		for _, mode := range []string{"leader", "follower"} {
			i := slices.Index(java, byMode(t, java, mode))
			j := slices.Index(ours, byMode(t, ours, mode))
			names := slices.DeleteFunc(commandsOf(t, javaAdmins[i]), func(name string) bool {
				return name == "initial_configuration" // null in a member of Apache's 3.8.0
			})
			compareCommands(t, javaAdmins[i], oursAdmins[j], names)
		}
		// Without a quorum.
		if err := apache.StopAll(append(slices.Clone(java[1:]), ours[1:]...)); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*apache.Server{java[0], ours[0]} {
			for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
				if _, err := apache.Mode(s.ClientAddr); err != nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("a member without a quorum still serves")
				}
			}
		}
		names := slices.DeleteFunc(commandsOf(t, oursAdmins[0]), func(name string) bool {
			// Of Apache's these fail, or show a server that is gone.
			return slices.Contains(later, name) || name == "monitor" || name == "zabstate"
		})
		compareCommands(t, javaAdmins[0], oursAdmins[0], names)
	})
}

func startThreeWithAdmin(t *testing.T, command ...string) ([]*apache.Server, []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var addresses []string
	cfgs := make([]apache.Config, 3)
	for i := range cfgs {
		extra, address := adminOf(t)
		addresses = append(addresses, address)
		cfgs[i] = apache.Config{HeapMB: 128, Command: command, Extra: extra}
	}
	servers, err := apache.StartEnsemble(ctx, t.TempDir(), cfgs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apache.StopAll(servers) })
	return servers, addresses
}

// otherKeys are commands whose keys tell of Java and of the machine.
var otherKeys = []string{"environment", "env", "envi", "system_properties", "sysp"}

func compareCommands(t *testing.T, java, ours string, names []string) {
	t.Helper()
	for _, name := range names {
		awaitAgreement(t, func() string { return commandDiffers(t, java, ours, name) })
	}
}

// commandDiffers says how our answer to a command differs from Apache's.
func commandDiffers(t *testing.T, java, ours, name string) string {
	t.Helper()
	wantStatus, wantHeader, want := get(t, java, "/commands/"+name)
	status, header, got := get(t, ours, "/commands/"+name)
	if status != wantStatus || header.Get("Content-Type") != wantHeader.Get("Content-Type") {
		return fmt.Sprintf("%s: status %d, type %q; Apache's %d, %q", name, status, header.Get("Content-Type"), wantStatus, wantHeader.Get("Content-Type"))
	}
	wantShape, gotShape := jsonShape(t, name, want), jsonShape(t, name, got)
	switch {
	case slices.Contains(otherKeys, name):
		if !strings.Contains(got, `"command" : "`) || !strings.HasSuffix(got, "\n  \"error\" : null\n}") {
			return fmt.Sprintf("%s answers\n%s", name, got)
		}
	case name == "monitor" || name == "mntr":
		return monitorDiffers(wantShape, gotShape)
	case gotShape != wantShape:
		return fmt.Sprintf("%s answers\n%s\nApache:\n%s", name, gotShape, wantShape)
	}
	return ""
}

func jsonOf(t *testing.T, text string) (parsed map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
	return parsed
}

// jsonShape is an answer with its layout but for the order, its keys, and types for values. Keys that are
// numbers or paths are values, too, and sessions and expiry times are as many as there are.
func jsonShape(t *testing.T, name, text string) string {
	t.Helper()
	var parsed any
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatalf("%s is no JSON: %v\n%s", name, err, text)
	}
	for _, r := range shapes {
		text = r.from.ReplaceAllString(text, r.to)
	}
	if name == "monitor" || name == "mntr" {
		return text
	}
	// The order of a bean's fields is an accident of Java's.
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], ",")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

var shapes = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`"version" : "[^"]*"`), `"version" : VERSION`},
	{regexp.MustCompile(`"initial_configuration" : "(?:[^"\\]|\\.)*"`), `"initial_configuration" : TEXT`},
	{regexp.MustCompile(`"(data_dir|data_log_dir)" : "/[^"]*/data/version-2"`), `"$1" : DIR`},
	{regexp.MustCompile(`"(\d+)" : (?:\[ \]|\[ \d+ \])(,?)`), `NUMBERS`},
	{regexp.MustCompile(`(NUMBERS\s*)+`), "NUMBERS "},
	{regexp.MustCompile(`"/\w*" : `), `PATH : `},
	{regexp.MustCompile(`"/\w*"`), `PATH`},
	{regexp.MustCompile(`"last_operation" : "\w+"`), `"last_operation" : NAME`}, // on a slow machine, a ping
	{regexp.MustCompile(`"zxid" : "[0-9a-f]+"`), `"zxid" : HEX`},
	{regexp.MustCompile(`"(\d+)"`), `"N"`},
	{regexp.MustCompile(`"0x[0-9a-f]+"`), `HEX`},
	{regexp.MustCompile(`(127\.0\.0\.1|0\.0\.0\.0):\d+`), `ADDRESS`},
	{regexp.MustCompile(`: -?\d+\.\d+`), `: FLOAT`},
	{regexp.MustCompile(`(: |\[ |, )-?\d+\b`), `${1}N`},
	{regexp.MustCompile(`"proposal_stats" : \{[^}]*\},`), `"proposal_stats",`},
}

// monitorDiffers compares keys and types, but for the keys of noCounterpart.
func monitorDiffers(want, got string) string {
	lines := func(text string) []string {
		var others, sets []string
		for _, line := range strings.Split(text, "\n") {
			name, _, _ := strings.Cut(strings.Trim(line, ` "`), `"`)
			switch {
			case noCounterpart.MatchString("zk_" + name):
			case strings.HasSuffix(name, "_per_namespace"):
				sets = append(sets, line)
			default:
				others = append(others, line)
			}
		}
		slices.Sort(sets) // their order is that of a hash table
		return append(others, sets...)
	}
	a, b := lines(want), lines(got)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("monitor: line %d is\n%s\nApache's:\n%s", i+1, b[i], a[i])
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("monitor has %d lines, Apache's %d", len(b), len(a))
	}
	return ""
}
