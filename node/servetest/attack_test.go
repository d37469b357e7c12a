package servetest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/certs"
	"zoolab/internal/servers"
	"zoolab/zk"
	"zoolab/zk/jute"
)

// stress says that the attacks come in full strength (make stress).
var stress = os.Getenv("ZOOLAB_STRESS") != ""

// scale is the strength of an attack: few in every run of the tests, many under stress.
func scale(few, many int) int {
	if stress {
		return many
	}
	return few
}

// victim is a server under attack, with a client that goes on asking it.
type victim struct {
	*apache.Server
	t      *testing.T
	stop   chan struct{}
	served chan service
}

// service is what a client got during an attack.
type service struct {
	answers int
	slowest time.Duration
	err     error
}

// attack starts a server that lets everybody in.
func attack(t *testing.T, extra map[string]string) *victim {
	t.Helper()
	settings := map[string]string{"maxClientCnxns": "0", "4lw.commands.whitelist": "*"}
	for k, v := range extra {
		settings[k] = v
	}
	return &victim{Server: startNode(t, settings), t: t}
}

// enter is a client's connection with a session, for frames without a transcript.
func (v *victim) enter(name string) *wire {
	v.t.Helper()
	w := newScript(v.t, v.ClientAddr).dial(name)
	w.handshake("connect", &jute.ConnectRequest{TimeoutMs: 40_000, Passwd: make([]byte, 16)})
	if w.ended {
		v.t.Fatalf("%s: no session", name)
	}
	return w
}

// exchange sends a request and returns the code and the body of its answer.
func (w *wire) exchange(op jute.OpCode, body jute.Record) (jute.ErrorCode, []byte, error) {
	w.xid++
	h := jute.RequestHeader{Xid: w.xid, Type: op}
	w.send(body.Append(jute.Marshal(&h)))
	return w.answer()
}

func (w *wire) answer() (jute.ErrorCode, []byte, error) {
	_ = w.conn.SetReadDeadline(time.Now().Add(time.Minute))
	var head [4]byte
	if _, err := io.ReadFull(w.conn, head[:]); err != nil {
		return 0, nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(w.conn, frame); err != nil {
		return 0, nil, err
	}
	var h jute.ReplyHeader
	d := jute.NewDecoder(frame)
	h.Decode(d)
	return h.Err, d.Rest(), d.Err()
}

// begin lets the witness write and read until end, and forgets the peak of memory.
func (v *victim) begin() (residentBytes int) {
	v.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", v.PID()), []byte("5"), 0); err != nil {
		v.t.Skip(err)
	}
	w := v.enter("witness")
	v.stop, v.served = make(chan struct{}), make(chan service, 1)
	go func() {
		var got service
		defer func() { v.served <- got }()
		if code, _, err := w.exchange(jute.OpCreate, createReq("/witness", "", 0)); code != 0 || err != nil {
			got.err = fmt.Errorf("create: %v, %w", code, err)
			return
		}
		for {
			for _, ask := range []struct {
				op   jute.OpCode
				body jute.Record
			}{
				{jute.OpSetData, &jute.SetDataRequest{Path: "/witness", Data: []byte("alive"), Version: -1}},
				{jute.OpGetData, &jute.GetDataRequest{Path: "/witness"}},
			} {
				began := time.Now()
				if code, _, err := w.exchange(ask.op, ask.body); code != 0 || err != nil {
					got.err = fmt.Errorf("%v after %d answers: %v, %w", ask.op, got.answers, code, err)
					return
				}
				got.answers++
				got.slowest = max(got.slowest, time.Since(began))
			}
			select {
			case <-v.stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return v.memory("VmRSS")
}

// end checks that the witness was served all the time and the peak of memory. It returns
// the peak.
func (v *victim) end(what string, boundBytes int) (peakBytes int) {
	v.t.Helper()
	close(v.stop)
	got := <-v.served
	peakBytes = v.memory("VmHWM")
	v.t.Logf("%s: peak %.1f MB; the witness got %d answers, the slowest after %v", what, float64(peakBytes)/1e6, got.answers, got.slowest)
	if got.err != nil {
		v.t.Errorf("%s: the witness was not served: %v\n%s", what, got.err, logOf(v.t, v.Server))
	}
	if peakBytes > boundBytes {
		v.t.Errorf("%s: the server took %.1f MB, at most %.1f MB allowed", what, float64(peakBytes)/1e6, float64(boundBytes)/1e6)
	}
	return peakBytes
}

// memory returns a line of the process's status in bytes.
func (v *victim) memory(name string) int {
	v.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", v.PID()))
	if err != nil {
		v.t.Skip(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				v.t.Fatal(err)
			}
			return kb << 10
		}
	}
	v.t.Fatalf("no %s in the status of the process", name)
	return 0
}

// together runs n attackers at once.
func together(n int, attacker func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { attacker(i) })
	}
	wg.Wait()
}

// TestIdleSessions measures what a session costs that does nothing.
func TestIdleSessions(t *testing.T) {
	sessions := scale(1000, 10_000)
	v := attack(t, nil)
	v.enter("first")
	before := v.begin()
	const mostBytes = 20 << 10
	for i := range sessions {
		v.enter(fmt.Sprint(i))
	}
	grown := v.memory("VmRSS") - before
	t.Logf("%d idle sessions: %d bytes each", sessions, grown/sessions)
	if grown/sessions > mostBytes {
		t.Errorf("an idle session takes %d bytes, at most %d allowed", grown/sessions, mostBytes)
	}
	v.end("idle sessions", before+sessions*mostBytes+32<<20)
}

const megabyte = 1_000_000 // of data, below jute.maxbuffer with its request

// TestClientsThatNeverRead ask for far more than they take, at once or behind a write: then
// the event loop makes the answers, which may wait for nobody.
func TestClientsThatNeverRead(t *testing.T) {
	clients, requests := scale(20, 200), 100
	for name, behindWrite := range map[string]bool{"at once": false, "behind a write": true} {
		t.Run(name, func(t *testing.T) {
			v := attack(t, nil)
			if code, _, err := v.enter("writer").exchange(jute.OpCreate, createReq("/big", strings.Repeat("x", megabyte), 0)); code != 0 || err != nil {
				t.Fatal(code, err)
			}
			var deaf []*wire
			for i := range clients {
				deaf = append(deaf, v.enter(fmt.Sprint(i)))
			}
			before := v.begin()
			together(clients, func(i int) {
				if behindWrite {
					h := jute.RequestHeader{Xid: 1, Type: jute.OpSetData}
					deaf[i].send((&jute.SetDataRequest{Path: "/big", Data: make([]byte, megabyte), Version: -1}).Append(jute.Marshal(&h)))
				}
				for xid := range int32(requests) {
					h := jute.RequestHeader{Xid: 100 + xid, Type: jute.OpGetData}
					deaf[i].send((&jute.GetDataRequest{Path: "/big"}).Append(jute.Marshal(&h)))
				}
			})
			time.Sleep(time.Second)
			// What waits for all of them is bounded, beside a frame or two of each, and the
			// collector lets twice as much lie about.
			v.end("clients that never read, "+name, before+3*min(clients*16, 128)<<20+clients*4<<20+128<<20)
		})
	}
}

// TestHalfFrames: connections that announce a megabyte and send half of it.
func TestHalfFrames(t *testing.T) {
	clients := scale(50, 1000)
	v := attack(t, nil)
	before := v.begin()
	half := append(binary.BigEndian.AppendUint32(nil, megabyte), make([]byte, megabyte/2)...)
	for i := range clients {
		v.enter(fmt.Sprint(i)).sendBytes(half)
	}
	time.Sleep(500 * time.Millisecond)
	v.end("half frames", before+clients*(megabyte*7/10)+64<<20)
}

// TestAnnouncedFrames: lengths alone cost nothing.
func TestAnnouncedFrames(t *testing.T) {
	clients := scale(200, 2000)
	v := attack(t, nil)
	before := v.begin()
	for i := range clients {
		v.enter(fmt.Sprint(i)).sendBytes(append(binary.BigEndian.AppendUint32(nil, megabyte), make([]byte, 12)...))
	}
	time.Sleep(200 * time.Millisecond)
	v.end("announced frames", before+clients*(100<<10)+32<<20)
}

// TestManyWatches measures what a watch costs, and leaves them all at once.
func TestManyWatches(t *testing.T) {
	watches := scale(100_000, 1_000_000)
	v := attack(t, nil)
	w := v.enter("watcher")
	before := v.begin()
	const inOne = 10_000
	for from := 0; from < watches; from += inOne {
		paths := make([]string, inOne)
		for i := range paths {
			paths[i] = fmt.Sprintf("/some/path/of/usual/length-%010d", from+i)
		}
		w.xid = jute.XidSetWatches - 1
		if code, _, err := w.exchange(jute.OpSetWatches2, &jute.SetWatches2{RelativeZxid: 1 << 60, ExistWatches: paths}); code != 0 || err != nil {
			t.Fatal(code, err)
		}
	}
	grown := v.memory("VmRSS") - before
	t.Logf("%d watches of one session: %d bytes each", watches, grown/watches)
	if grown/watches > 500 {
		t.Errorf("a watch takes %d bytes", grown/watches)
	}
	w.conn.Close()
	v.end("many watches", before+watches*700+64<<20)
}

// TestManyChildren lists a long list while others write.
func TestManyChildren(t *testing.T) {
	children := scale(50_000, 1_000_000)
	v := attack(t, nil)
	w := v.enter("lister")
	if code, _, err := w.exchange(jute.OpCreate, createReq("/many", "", 0)); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	before := v.memory("VmRSS")
	const inOne = 5000
	for from := 0; from < children; from += inOne {
		multi := &jute.MultiRequest{}
		for i := range inOne {
			multi.Ops = append(multi.Ops, jute.MultiOp{Type: jute.OpCreate, Record: createReq(fmt.Sprintf("/many/child-%010d", from+i), "", 0)})
		}
		if code, _, err := w.exchange(jute.OpMulti, multi); code != 0 || err != nil {
			t.Fatal(code, err)
		}
	}
	filled := v.memory("VmRSS")
	t.Logf("%d znodes: %d bytes each", children, (filled-before)/children)
	v.begin()
	time.Sleep(500 * time.Millisecond)
	v.end("before the listing", 4<<30)
	v = &victim{Server: v.Server, t: t}
	if code, _, err := w.exchange(jute.OpDelete, &jute.DeleteRequest{Path: "/witness", Version: -1}); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	v.begin()
	for range 5 {
		began := time.Now()
		code, body, err := w.exchange(jute.OpGetChildren, &jute.GetChildrenRequest{Path: "/many"})
		if code != 0 || err != nil {
			t.Fatal(code, err)
		}
		t.Logf("listing of %d bytes took %v", len(body), time.Since(began))
		if n := jute.NewDecoder(body).Int32(); int(n) != children {
			t.Errorf("%d children listed, want %d", n, children)
		}
	}
	v.end("listing", filled+200*children+128<<20)
}

// TestSlowStarts: clients that never finish what they begin, be it a connect request, a
// word or a TLS handshake, are dropped after the time that one has for it, and no
// connection is left.
func TestSlowStarts(t *testing.T) {
	clients := scale(60, 2000)
	secure, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	v := attack(t, map[string]string{
		"nio.sessionlessCnxnTimeout": "3000", "secureClientPort": strconv.Itoa(secure[0]),
		"ssl.keyStore.location": filepath.Join(stores, "server.jks"), "ssl.keyStore.password": "secret6",
		"ssl.trustStore.location": filepath.Join(stores, "trust.p12"), "ssl.trustStore.password": "secret6",
	})
	before := v.begin()
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	beginnings := []struct{ port, text string }{
		{v.ClientAddr, ""}, {v.ClientAddr, "\x00\x00\x00"}, {v.ClientAddr, "\x00\x00\x00\x2d\x00\x00\x00"}, {v.ClientAddr, "ru"},
		{fmt.Sprintf("127.0.0.1:%d", secure[0]), ""}, {fmt.Sprintf("127.0.0.1:%d", secure[0]), hello},
	}
	var ended atomic.Int32
	together(clients, func(i int) {
		b := beginnings[i%len(beginnings)]
		c, err := net.DialTimeout("tcp", b.port, time.Minute)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, b.text)
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, c); err == nil || !os.IsTimeout(err) {
			ended.Add(1)
		}
	})
	if n := int(ended.Load()); n != clients {
		t.Errorf("%d of %d connections were not ended", clients-n, clients)
	}
	v.end("slow starts", before+clients*(64<<10)+64<<20)
}

// TestLyingRecords: counts and lengths that their bytes don't bear out, deep and long paths
// and text that is none cost no memory and stop nobody.
func TestLyingRecords(t *testing.T) {
	v := attack(t, nil)
	before := v.begin()
	const million10 = 10_000_000
	count := func(n int32) []byte { return jute.AppendInt32(nil, n) }
	path := func(s string) []byte { return jute.AppendString(nil, s) }
	deep, long := strings.Repeat("/d", 10_000), "/"+strings.Repeat("l", megabyte)
	header := jute.Marshal(&jute.MultiHeader{Type: jute.OpCheck, Done: false, Err: -1})
	for _, lie := range []struct {
		name string
		op   jute.OpCode
		body []byte
	}{
		{"a multi without its end", jute.OpMulti, bytes.Repeat(append(header, append(path("/a"), count(1)...)...), 40_000)},
		{"a multi of empty headers", jute.OpMulti, bytes.Repeat(header, 100_000)},
		{"ten million watches", jute.OpSetWatches, append(make([]byte, 8), count(million10)...)},
		{"two billion watches", jute.OpSetWatches2, append(make([]byte, 8), count(1<<31-1)...)},
		{"watches of empty paths", jute.OpSetWatches, append(append(make([]byte, 8), count(200_000)...), make([]byte, 4*200_000+8)...)},
		{"a giant list of permissions", jute.OpSetACL, append(path("/witness"), count(million10)...)},
		{"permissions of a create", jute.OpCreate, append(append(path("/x"), count(0)...), count(1<<31-1)...)},
		{"giant data", jute.OpSetData, append(path("/witness"), count(1<<31-1)...)},
		{"a negative length", jute.OpGetData, count(-2)},
		{"the least length", jute.OpGetData, count(-1 << 31)},
		{"a deep path", jute.OpGetData, append(path(deep), 0)},
		{"a deep create", jute.OpCreate, jute.Marshal(createReq(deep, "", 0))},
		{"a deep watch", jute.OpAddWatch, jute.Marshal(&jute.AddWatchRequest{Path: deep, Mode: jute.AddWatchRecursive})},
		{"a path of a megabyte", jute.OpCreate, jute.Marshal(createReq(long, "", 0))},
		{"text that is none", jute.OpCreate, jute.Marshal(createReq("/\xff\xfe\xc3\x28", "", 0))},
		{"text that is none, to read", jute.OpExists, append(path("/\xed\xa0\x80"), 1)},
		{"no body", jute.OpMulti, nil},
		{"no body", jute.OpMultiRead, nil},
		{"an unknown operation", 99, nil},
	} {
		for range scale(5, 200) {
			w := v.enter(lie.name)
			h := jute.RequestHeader{Xid: 1, Type: lie.op}
			w.send(append(jute.Marshal(&h), lie.body...))
			if _, _, err := w.answer(); os.IsTimeout(err) {
				t.Errorf("%s: neither an answer nor an end", lie.name)
			}
			w.conn.Close()
		}
	}
	v.end("lying records", before+192<<20)
	serves(t, v.Server)
}

// TestFailoverInAFlood ends the leader while strangers begin TLS handshakes at all ports of the
// members without end, each of which would cost the members a signature and costs them nothing.
func TestFailoverInAFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the processor from everybody")
	}
	const perSecond, hosts = 1900, 8
	cert, err := certs.New(certs.Template{Hosts: []string{"127.0.0.1"}, CA: true, RSA: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, trusted := filepath.Join(t.TempDir(), "key.pem"), filepath.Join(t.TempDir(), "trusted.pem")
	content, err := cert.KeyPEM()
	if err := errors.Join(certs.Write(key, content, err), certs.Write(trusted, certs.TrustPEM(cert.Leaf), nil)); err != nil {
		t.Fatal(err)
	}
	cfg := apache.Config{Command: []string{nodeBinary, "serve"}, Extra: map[string]string{
		"sslQuorum": "true", "ssl.quorum.keyStore.location": key, "ssl.quorum.trustStore.location": trusted,
	}}
	ctx := servers.Deadline(t)
	members, err := apache.StartEnsemble(ctx, t.TempDir(), cfg, cfg, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apache.StopAll(members) })
	leader := leaderOfOurs(t, members, 0)
	answered := flood(t, members[0], perSecond, hosts)
	if err := members[leader].Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	left := slices.Delete(slices.Clone(members), leader, leader+1)
	c := servers.Connect(t, left[0].ClientAddr+","+left[1].ClientAddr)
	for err := errors.New("none yet"); err != nil && !errors.Is(err, zk.ErrNodeExists); {
		if ctx.Err() != nil {
			t.Fatalf("no write after %v: %v", time.Since(began), err)
		}
		_, err = c.Create(ctx, "/after", nil, zk.Persistent)
	}
	t.Logf("the next write after %v; %d handshakes were answered", time.Since(began), answered.Load())
	if answered.Load() == 0 {
		t.Error("there was no flood")
	}
}

// flood calls the members' ports, as the configuration of one names them, until the test ends.
func flood(t *testing.T, member *apache.Server, perSecond, hosts int) (answered *atomic.Int64) {
	t.Helper()
	hello, err := certs.ClientHello()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(member.Dir, "zoo.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	var ports []string
	for _, m := range regexp.MustCompile(`(?m)^server\.\d+=([^:]+):(\d+):(\d+)`).FindAllStringSubmatch(string(text), -1) {
		ports = append(ports, net.JoinHostPort(m[1], m[2]), net.JoinHostPort(m[1], m[3]))
	}
	answered = new(atomic.Int64)
	call := func(i int) {
		d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%hosts))}}
		c, err := d.Dial("tcp", ports[i%len(ports)])
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = c.Write(hello)
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			answered.Add(1)
		}
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); wg.Wait() })
	wg.Go(func() {
		began, called := time.Now(), 0
		under := make(chan struct{}, perSecond) // way
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-tick.C:
			case <-stop:
				tick.Stop()
				return
			}
			for ; called < int(time.Since(began).Seconds()*float64(perSecond)); called++ {
				select {
				case under <- struct{}{}:
					i := called // which goes on before the call begins
					wg.Go(func() { call(i); <-under })
				default:
				}
			}
		}
	})
	for answered.Load() == 0 && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(time.Second)
	return answered
}
