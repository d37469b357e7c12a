package replica

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"zoolab/zk/jute"
)

// TestTranscripts tells the stories of testdata. Each directive lets everything happen
// that needs no time and prints what clients saw:
//
//	ensemble n=3          members 1 to n; the highest becomes the leader. readonly lets them
//	                      serve reads without one, local makes sessions local, upgrade the
//	                      ensemble's when they make an ephemeral; the highest observers=N
//	                      have no vote and learn from followers
//	do                    lines "CLIENT OPERATION ARGS", all sent before anything travels,
//	                      but for "CLIENT connect ARGS"
//	pass ms=N             time goes by
//	freeze member=N       the member's disk does nothing, until thaw
//	stop member=N         the member's process does nothing, until resume
//	isolate member=N      the member is cut off from the others, until heal
//	roles                 what the members say of themselves
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "ensemble" {
				n, observers := 3, 0
				d.MaybeScanArgs(t, "n", &n)
				d.MaybeScanArgs(t, "observers", &observers)
				w = newWorld(t, n, func(c *Config) {
					c.ReadOnlyMode = d.HasArg("readonly")
					c.UpgradeSessions = d.HasArg("upgrade")
					if observers > 0 {
						observe(c, n-observers, n)
					}
					c.LocalSessions = d.HasArg("local") || c.UpgradeSessions
				})
				return w.roles()
			}
			w.t = t
			w.out.Reset()
			var sid, ms int64
			if d.HasArg("member") {
				d.ScanArgs(t, "member", &sid)
			}
			switch d.Cmd {
			case "do":
				for line := range strings.SplitSeq(d.Input, "\n") {
					w.do(strings.Fields(line))
				}
			case "pass":
				d.ScanArgs(t, "ms", &ms)
				w.pass(ms)
			case "freeze":
				w.member(sid).frozen = true
			case "thaw":
				w.member(sid).frozen = false
				w.member(sid).disk()
			case "stop":
				w.member(sid).stopped = true
			case "resume":
				w.member(sid).resume()
			case "isolate":
				w.member(sid).isolate()
			case "heal":
				w.member(sid).isolated = false
			case "roles":
				return w.roles()
			default:
				d.Fatalf(t, "unknown directive %s", d.Cmd)
			}
			w.run()
			return w.out.String()
		})
	})
}

func (w *world) roles() string {
	var b strings.Builder
	for i, m := range w.members {
		s := m.Status()
		fmt.Fprintf(&b, "%d: %v, epoch %d, zxid %x", i+1, s.Role, s.Epoch, m.Tree().LastZxid())
		if s.ReadOnly {
			b.WriteString(", read-only")
		}
		if s.LocalSessions > 0 {
			fmt.Fprintf(&b, ", %d local sessions", s.LocalSessions)
		}
		if m.lead.sessions != nil {
			fmt.Fprintf(&b, ", %d sessions, %d outstanding", len(m.lead.sessions.sessions), m.core.Outstanding())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

var anyone = []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}

// do carries out one line of a story.
func (w *world) do(words []string) {
	name, op, args := words[0], words[1], words[2:]
	if op == "connect" {
		w.connect(name, args)
		return
	}
	c := w.clients[name]
	if c == nil {
		w.t.Fatalf("there is no client %s", name)
	}
	if op == "leave" {
		c.leave()
		return
	}
	c.xid++
	xid := c.xid
	if n := len(args) - 1; n >= 0 {
		if given, ok := strings.CutPrefix(args[n], "xid="); ok {
			xid, args = int32(must(strconv.Atoi(given))), args[:n]
		}
	}
	code, body, err := parseRequest(op, args)
	if err != nil {
		w.t.Fatalf("%v: %v", words, err)
	}
	switch code {
	case jute.OpPing:
		xid = jute.XidPing
	case jute.OpAuth:
		xid = jute.XidAuth
	}
	c.send(xid, code, strings.Join(words[1:], " "), body)
}

func (w *world) connect(name string, args []string) {
	var m *member
	var of *client
	timeoutMs, seen, badPassword, readOnly := int64(4000), int64(0), false, false
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "readonly":
			readOnly = true
		case "member":
			m = w.member(int64(must(strconv.Atoi(value))))
		case "timeout":
			timeoutMs = int64(must(strconv.Atoi(value)))
		case "session":
			of = w.clients[value]
		case "seen":
			seen = must(strconv.ParseInt(value, 16, 64))
		case "password":
			badPassword = value == "wrong"
		}
	}
	if badPassword {
		of = &client{session: of.session, passwd: make([]byte, 16)}
	}
	c := w.client(name, m)
	c.readOnly = readOnly
	c.connect(int32(timeoutMs), of, seen)
	w.run() // the transport reads no requests before the session is attached
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var errNoRequest = errors.New("no such operation")

// parseRequest makes a request of a story's words.
func parseRequest(op string, args []string) (jute.OpCode, jute.Record, error) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	watch := arg(1) == "watch"
	switch op {
	case "create":
		r := &jute.CreateRequest{Path: arg(0), ACL: anyone}
		switch arg(1) {
		case "ephemeral":
			r.Flags = jute.ModeEphemeral
		case "sequential":
			r.Flags = jute.ModePersistentSequential
		case "container":
			r.Flags = jute.ModeContainer
			return jute.OpCreateContainer, r, nil
		case "ttl":
			return jute.OpCreateTTL, &jute.CreateTTLRequest{Path: arg(0), ACL: anyone, Flags: jute.ModeTTL, TtlMs: must(strconv.ParseInt(arg(2), 10, 64))}, nil
		case "creator":
			r.ACL = []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "auth"}}}
		}
		return jute.OpCreate, r, nil
	case "delete":
		return jute.OpDelete, &jute.DeleteRequest{Path: arg(0), Version: -1}, nil
	case "check":
		return jute.OpCheck, &jute.CheckVersionRequest{Path: arg(0), Version: int32(must(strconv.Atoi(arg(1))))}, nil
	case "set":
		return jute.OpSetData, &jute.SetDataRequest{Path: arg(0), Data: []byte(arg(1)), Version: -1}, nil
	case "get":
		return jute.OpGetData, &jute.GetDataRequest{Path: arg(0), Watch: watch}, nil
	case "exists":
		return jute.OpExists, &jute.ExistsRequest{Path: arg(0), Watch: watch}, nil
	case "ls":
		return jute.OpGetChildren, &jute.GetChildrenRequest{Path: arg(0), Watch: watch}, nil
	case "sync":
		return jute.OpSync, &jute.SyncRequest{Path: arg(0)}, nil
	case "ping":
		return jute.OpPing, nil, nil
	case "close":
		return jute.OpCloseSession, nil, nil
	case "auth":
		return jute.OpAuth, &jute.AuthPacket{Scheme: arg(0), Auth: []byte(arg(1))}, nil
	case "setwatches":
		return jute.OpSetWatches, &jute.SetWatches{RelativeZxid: must(strconv.ParseInt(arg(0), 16, 64)), DataWatches: args[1:]}, nil
	case "multi":
		return parseMulti(args)
	case "multiread":
		_, body, err := parseMulti(args)
		return jute.OpMultiRead, body, err
	case "whoami":
		return jute.OpWhoAmI, nil, nil
	case "reconfig":
		return jute.OpReconfig, &jute.ReconfigRequest{}, nil
	case "op":
		return jute.OpCode(must(strconv.Atoi(arg(0)))), nil, nil
	}
	return 0, nil, errNoRequest
}

// parseMulti makes a multi of parts that are separated by "+".
func parseMulti(args []string) (jute.OpCode, jute.Record, error) {
	multi := new(jute.MultiRequest)
	for part := range strings.SplitSeq(strings.Join(args, " "), "+") {
		words := strings.Fields(part)
		code, body, err := parseRequest(words[0], words[1:])
		if err != nil {
			return 0, nil, err
		}
		multi.Ops = append(multi.Ops, jute.MultiOp{Type: code, Record: body})
	}
	return jute.OpMulti, multi, nil
}
