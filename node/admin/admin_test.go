package admin_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/internal/apache"
	"zoolab/node/config"
	"zoolab/node/member"
)

// patience bounds every wait of these tests.
const patience = time.Minute

// running is a lone server with AdminServer and metrics.
type running struct {
	*member.Member
	t               testing.TB
	dir             string
	admin, scrapeAt string // URLs
}

func start(t testing.TB, dir string, extra ...string) *running {
	t.Helper()
	ports, err := apache.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.serverAddress=127.0.0.1\nadmin.serverPort=%d\n"+
		"4lw.commands.whitelist=*\nmetricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\n"+
		"metricsProvider.httpHost=127.0.0.1\nmetricsProvider.httpPort=%d\nadmin.rateLimiterIntervalInMS=0\n%s\n",
		dir, ports[0], ports[1], ports[2], strings.Join(extra, "\n"))
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(file, config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := member.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the server does not end")
		}
	})
	r := &running{
		Member: m, t: t, dir: dir,
		admin: fmt.Sprintf("http://127.0.0.1:%d", ports[1]), scrapeAt: fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[2]),
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := apache.Mode(m.Addr()); err == nil {
			return r
		}
		if time.Now().After(end) {
			t.Fatal("the server does not serve")
		}
	}
}

// client opens a session. Until it is there the client may fail any request, if it takes a
// second to be connected.
func (r *running) client() *zk.Conn {
	r.t.Helper()
	c, _, err := zk.Connect([]string{r.Addr()}, 40*time.Second, zk.WithLogInfo(false))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	r.awaitAnswer(c)
	return c
}

// awaitAnswer waits until a client is answered.
func (r *running) awaitAnswer(c *zk.Conn) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		_, _, err := c.Exists("/")
		if err == nil {
			return
		}
		if time.Now().After(end) {
			r.t.Fatal(err)
		}
	}
}

// do sends a request to the AdminServer.
func (r *running) do(method, path, authorization, body string) (*http.Response, string) {
	r.t.Helper()
	q, err := http.NewRequest(method, r.admin+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if authorization != "" {
		q.Header.Set("Authorization", authorization)
	}
	// Each on a connection of its own: one that the server has left can't be told from a good one.
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer, string(text)
}

// TestGuarded: who may run what changes something or shows everything.
func TestGuarded(t *testing.T) {
	r := start(t, t.TempDir())
	c := r.client()
	if _, err := c.SetACL("/", zk.DigestACL(zk.PermAll, "admin", "secret"), -1); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path, authorization, body string
		status                            int
		answer                            string
	}{
		{"GET", "/commands/snapshot", "", "", 401, `"error" : "Auth info is missing for the command"`},
		{"GET", "/commands/snapshot", "nope x", "", 401, `"error" : "Not authenticated"`},
		{"GET", "/commands/snapshot", "digest", "", 401, `"error" : "Not authenticated"`},
		{"GET", "/commands/snapshot", "digest admin:secret more", "", 401, `"error" : "Not authenticated"`},
		{"GET", "/commands/snapshot", "digest admin:wrong", "", 403, `"error" : "Not authorized"`},
		{"GET", "/commands/snapshot", "ip", "", 403, `"error" : "Not authorized"`},
		{"POST", "/commands/snapshot", "digest admin:secret", "", 405, "takes GET"},
		{"GET", "/commands/snap?streaming=false", "digest admin:secret", "", 200, `"command" : "snapshot",` + "\n" + `  "error" : null`},
		{"GET", "/commands/shed_connections", "digest admin:secret", "", 405, "takes POST"},
		{"POST", "/commands/shed_connections", "", `{"percentage": 1}`, 401, "Auth info is missing"},
		{"POST", "/commands/shed_connections", "digest admin:secret", "", 400, "Request body is required"},
		{"POST", "/commands/shed_connections", "digest admin:secret", "{", 400, "Invalid JSON"},
		{"POST", "/commands/shed_connections", "digest admin:secret", "{}", 400, "Missing required field: percentage"},
		{"POST", "/commands/shed_connections", "digest admin:secret", `{"percentage": 101}`, 400, "Percentage must be between 0 and 100"},
		{"POST", "/commands/shed_connections", "digest admin:secret", `{"percentage": "1"}`, 400, "Percentage must be between 0 and 100"},
		{"POST", "/commands/shed_connections", "digest admin:secret", `{"percentage": 0}`, 200, `"connections_shed" : 0`},
		{"POST", "/commands/shed", "digest admin:secret", `{"percentage": 100}`, 200, `"connections_shed" : 1`},
		{"POST", "/commands/restore", "", "x", 401, "Auth info is missing"},
		{"POST", "/commands/restore", "digest admin:wrong", "x", 403, "Not authorized"},
		{"GET", "/commands/restore", "digest admin:secret", "", 405, "takes POST"},
		{"POST", "/commands/restore", "digest admin:secret", "", 400, "the body is not a whole snapshot"},
		{"POST", "/commands/restore", "digest admin:secret", "x", 400, "the body is not a whole snapshot"},
		{"POST", "/commands/ruok", "", "", 405, "takes GET"},
		{"TRACE", "/commands/ruok", "", "", 403, ""},
	} {
		answer, text := r.do(tt.method, tt.path, tt.authorization, tt.body)
		if answer.StatusCode != tt.status || !strings.Contains(text, tt.answer) {
			t.Errorf("%s %s as %q with %q: %d %s", tt.method, tt.path, tt.authorization, tt.body, answer.StatusCode, text)
		}
	}
	// A connection that was shed comes back with its session. Until it has, the client
	// fails requests on the way: each with the error of the moment.
	session := c.SessionID()
	r.awaitAnswer(c)
	if c.SessionID() != session {
		t.Errorf("session 0x%x, shed, came back as 0x%x", session, c.SessionID())
	}
}

// TestSnapshot: what is sent is a snapshot, from which a server starts with all data.
func TestSnapshot(t *testing.T) {
	r := start(t, t.TempDir())
	c := r.client()
	for i := range 50 {
		if _, err := c.Create(fmt.Sprintf("/n%d", i), bytes.Repeat([]byte{byte(i)}, 1000), 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
	answer, text := r.do("GET", "/commands/snapshot", "digest any:body", "")
	zxid, ok := strings.CutPrefix(answer.Header.Get("last_zxid"), "0x")
	if answer.StatusCode != 200 || !ok || answer.Header.Get("snapshot_size") != strconv.Itoa(len(text)) {
		t.Fatalf("%s %v: %d bytes", answer.Status, answer.Header, len(text))
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "version-2"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "version-2", "snapshot."+zxid), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := start(t, dir).client()
	for i := range 50 {
		if data, _, err := copied.Get(fmt.Sprintf("/n%d", i)); err != nil || !bytes.Equal(data, bytes.Repeat([]byte{byte(i)}, 1000)) {
			t.Fatalf("/n%d: %d bytes, %v", i, len(data), err)
		}
	}
}

func TestSnapshotLimits(t *testing.T) {
	r := start(t, t.TempDir(), "admin.rateLimiterIntervalInMS=300000")
	for _, want := range []int{200, 429} {
		if answer, text := r.do("GET", "/commands/snapshot", "digest any:body", ""); answer.StatusCode != want {
			t.Errorf("%d %s, not %d", answer.StatusCode, text, want)
		}
	}
	for _, want := range []int{400, 429} {
		if answer, text := r.do("POST", "/commands/restore", "digest any:body", "x"); answer.StatusCode != want {
			t.Errorf("restore: %d %s, not %d", answer.StatusCode, text, want)
		}
	}
	r = start(t, t.TempDir(), "admin.snapshot.enabled=false", "admin.restore.enabled=false")
	if answer, text := r.do("GET", "/commands/snapshot", "digest any:body", ""); answer.StatusCode != 503 {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
	if answer, text := r.do("POST", "/commands/restore", "digest any:body", "x"); answer.StatusCode != 503 {
		t.Errorf("restore: %d %s", answer.StatusCode, text)
	}
}

// TestPasswordsStaySecret: everybody who reaches the port can read the properties.
func TestPasswordsStaySecret(t *testing.T) {
	r := start(t, t.TempDir(), "my.tool.password=hush", "my.tool.other=loud")
	_, text := r.do("GET", "/commands/system_properties", "", "")
	if strings.Contains(text, "hush") || !strings.Contains(text, "loud") {
		t.Error(text)
	}
	_, text = r.do("GET", "/commands/initial_configuration", "", "")
	if strings.Contains(text, "hush") || !strings.Contains(text, "loud") {
		t.Error(text)
	}
}

var sample = regexp.MustCompile(`(?m)^([a-z0-9_]+)(?:\{(?:key="([^"]*)",?)?(?:quantile="([0-9.]+)")?\})? (\S+)$`)

// TestMetricsAgree: Prometheus sees what mntr shows.
func TestMetricsAgree(t *testing.T) {
	r := start(t, t.TempDir())
	c := r.client()
	for i := range 20 {
		if _, err := c.Create(fmt.Sprintf("/n%d", i), nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Get("/"); err != nil {
			t.Fatal(err)
		}
	}
	// Between the two questions, which may be seconds, a figure may change.
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		differences := compareMetrics(t, r)
		if len(differences) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal(strings.Join(differences, "\n"))
		}
	}
}

// compareMetrics says where Prometheus and mntr differ.
func compareMetrics(t *testing.T, r *running) (differences []string) {
	t.Helper()
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	mntr, err := apache.Command(r.Addr(), "mntr")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(r.scrapeAt)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	scraped := make(map[string]string)
	for _, m := range sample.FindAllStringSubmatch(string(body), -1) {
		name := m[1]
		switch {
		case m[3] != "":
			name = map[string]string{"0.5": "p50_", "0.99": "p99_", "0.9": "p90_"}[m[3]] + name
		case strings.HasSuffix(name, "_count") && strings.Contains(string(body), "# TYPE "+strings.TrimSuffix(name, "_count")+" summary"):
			name = "cnt_" + strings.TrimSuffix(name, "_count")
		case strings.HasSuffix(name, "_sum"):
			name = "sum_" + strings.TrimSuffix(name, "_sum")
		}
		scraped[name] = m[4]
	}
	// What the questions themselves change.
	moving := regexp.MustCompile(`uptime|packets|readlatency|(avg|min|max)_latency|bytes|open_file|num_alive|response_size|prep_process|jvm_pause`)
	compared := 0
	for line := range strings.Lines(mntr) {
		name, want, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, "zk_"), "\n"), "\t")
		if regexp.MustCompile(`^(version|server_state|(avg|min|max|p95|p999)_.*)$`).MatchString(name) || strings.HasSuffix(name, "namespace") {
			continue
		}
		got, there := scraped[name]
		if !there {
			differ("%s is not scraped", name)
			continue
		}
		if moving.MatchString(name) {
			continue
		}
		a, errA := strconv.ParseFloat(got, 64)
		b, errB := strconv.ParseFloat(want, 64)
		if errA != nil || errB != nil || a-b > 1 || b-a > 1 {
			differ("%s is %s for Prometheus, and %s for mntr", name, got, want)
		}
		compared++
	}
	if compared < 150 {
		differ("only %d figures were compared", compared)
	}
	if !strings.Contains(string(body), "\ngo_goroutines ") || !strings.Contains(string(body), "\nprocess_open_fds ") {
		differ("nothing is told of the runtime")
	}
	return differences
}

// TestPortsAreTaken: without an AdminServer a server goes on, without metrics it does not start.
func TestPortsAreTaken(t *testing.T) {
	r := start(t, t.TempDir())
	port := r.admin[strings.LastIndex(r.admin, ":")+1:]
	other := start(t, t.TempDir(), "admin.serverPort="+port)
	if _, err := apache.Command(other.Addr(), "ruok"); err != nil {
		t.Error(err)
	}
	cfg := config.Default(t.TempDir())
	cfg.Clients.Addr = config.HostPort{Host: "127.0.0.1"}
	cfg.Admin.Enabled, cfg.Admin.PrometheusExporter = false, true
	cfg.Admin.MetricsPort, _ = strconv.Atoi(port)
	if _, err := member.Open(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "metricsProvider.httpPort") {
		t.Errorf("the metrics' port is taken, and Open says: %v", err)
	}
}

// TestHTTPS: with TLS alone nobody is answered without it, and with both each is.
func TestHTTPS(t *testing.T) {
	file, roots := certificate(t)
	stores := []string{"ssl.quorum.keyStore.location=" + file, "ssl.quorum.trustStore.location=" + file}
	get := func(url string) error {
		client := http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
		answer, err := client.Get(url + "/commands/ruok")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && !strings.Contains(string(body), `"command" : "ruok"`) {
			err = fmt.Errorf("%s: %s", answer.Status, body)
		}
		return err
	}
	for setting, plainToo := range map[string]bool{"admin.forceHttps=true": false, "admin.portUnification=true": true} {
		r := start(t, t.TempDir(), append([]string{setting}, stores...)...)
		if err := get(strings.Replace(r.admin, "http:", "https:", 1)); err != nil {
			t.Errorf("%s, with TLS: %v", setting, err)
		}
		if err := get(r.admin); plainToo != (err == nil) {
			t.Errorf("%s, without TLS: %v", setting, err)
		}
	}
	// Without a certificate there is no AdminServer, least of all a plain one.
	r := start(t, t.TempDir(), "admin.forceHttps=true")
	if err := get(r.admin); err == nil {
		t.Error("TLS is asked for and the answer came without")
	}
}

// certificate makes a PEM file with a certificate and its key for 127.0.0.1.
func certificate(t *testing.T) (file string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	file = filepath.Join(t.TempDir(), "server.pem")
	if err := os.WriteFile(file, append(cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, roots
}

// FuzzCommands: no path, argument or body stops the server.
func FuzzCommands(f *testing.F) {
	for _, seed := range []string{"ruok", "set_trace_mask?traceMask=9", "mntr?%zz", "snapshot?streaming=", "restore", "../x", "stats?%00", "hash/"} {
		f.Add("GET", seed, "digest a:b", "")
	}
	f.Add("POST", "shed", "digest a:b", `{"percentage":1e99}`)
	f.Add("TRACE", "ruok", "ip", "[[[")
	r := start(f, f.TempDir())
	f.Fuzz(func(t *testing.T, method, path, authorization, body string) {
		q, err := http.NewRequest(method, r.admin+"/commands/"+path, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		q.Header.Set("Authorization", authorization)
		answer, err := http.DefaultTransport.RoundTrip(q)
		if err != nil {
			t.Skip() // not a request that can be sent
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode >= 500 && answer.StatusCode != 501 && answer.StatusCode != 505 {
			t.Errorf("%s %q: %s", method, path, answer.Status)
		}
	})
}

// FuzzWords: whatever stands on the client port in place of a length is a word with an
// answer, or none, and what follows it changes nothing.
func FuzzWords(f *testing.F) {
	for _, word := range []string{"conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "srvr", "srst", "stat", "wchc", "wchp", "wchs", "mntr", "isro", "hash", "ruok"} {
		f.Add(word, "")
	}
	f.Add("stmk", "\x00\x00\x00\x00\x00\x00\x00\x09")
	f.Add("stmk", "\xff")
	f.Add("nope", "\n")
	r := start(f, f.TempDir())
	f.Fuzz(func(t *testing.T, word, rest string) {
		if len(word) != 4 || word[0] == 0 {
			t.Skip() // a length
		}
		c, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(c, word+rest)
		answer, err := io.ReadAll(c)
		if os.IsTimeout(err) {
			t.Fatalf("%q, %q: the connection stays open", word, rest)
		}
		if word == "ruok" && rest == "" && string(answer) != "imok" {
			t.Errorf("ruok is answered with %q, %v", answer, err)
		}
	})
}
