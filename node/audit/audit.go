// Package audit writes who changed what, in the format of Apache ZooKeeper's audit log:
// key=value pairs, with tabs between them, one line for each operation.
//
// A server audits the operations of its own clients, and the ephemerals that any session
// leaves behind. Events are written by a goroutine in the order in which they were logged.
// None is dropped: when the writer is far behind, Log waits, and the server with it.
package audit

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"zoolab/zk/jute"
)

// Operations of servers, and of sessions that end. Those of clients are named by Operation.
const (
	ServerStart     = "serverStart"
	ServerStop      = "serverStop"
	EphemeralDelete = "ephemeralZNodeDeletionOnSessionCloseOrExpire"
)

// Results.
const (
	Success = "success"
	Failure = "failure"
	Invoked = "invoked" // of a stop, which can't tell how it ended
)

// Event is a line of the log. Fields that are empty are left out.
type Event struct {
	Session   int64
	User, IP  string
	Operation string
	Znode     string
	ZnodeType string // of a create: see ZnodeType
	ACL       string // of a setAcl: see ACL
	Result    string
}

// String returns the line without its end.
func (e Event) String() string {
	var b strings.Builder
	put := func(key, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte('\t')
		}
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(oneLine(value))
	}
	if e.Session != 0 {
		put("session", fmt.Sprintf("0x%x", uint64(e.Session)))
	}
	put("user", e.User)
	put("ip", e.IP)
	put("operation", e.Operation)
	put("znode", e.Znode)
	put("znode_type", e.ZnodeType)
	put("acl", e.ACL)
	put("result", e.Result)
	return b.String()
}

// oneLine escapes what would make two lines or fields of a value: clients choose names, and
// must not forge events.
func oneLine(value string) string {
	if !strings.ContainsFunc(value, isControl) {
		return value
	}
	var b strings.Builder
	for _, r := range value {
		if isControl(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029'
}

// Operation names a client's operation; "" for one that is not audited.
func Operation(op jute.OpCode) string {
	switch op {
	case jute.OpCreate, jute.OpCreate2, jute.OpCreateContainer, jute.OpCreateTTL:
		return "create"
	case jute.OpDelete, jute.OpDeleteContainer:
		return "delete"
	case jute.OpSetData:
		return "setData"
	case jute.OpSetACL:
		return "setAcl"
	case jute.OpMulti:
		return "multiOperation"
	case jute.OpReconfig:
		return "reconfig"
	}
	return ""
}

// ZnodeType names what a create's flags ask for; "" for unknown flags.
func ZnodeType(flags jute.CreateFlags) string {
	names := []string{"persistent", "ephemeral", "persistent_sequential", "ephemeral_sequential", "container",
		"persistent_with_ttl", "persistent_sequential_with_ttl"}
	if flags < 0 || int(flags) >= len(names) {
		return ""
	}
	return names[flags]
}

// ACL prints a list as scheme:id:permissions, one behind the other.
func ACL(list []jute.ACL) string {
	var b strings.Builder
	for _, a := range list {
		b.WriteString(a.ID.Scheme + ":" + a.ID.ID + ":")
		for _, p := range []struct {
			perm   int32
			letter byte
		}{{jute.PermCreate, 'c'}, {jute.PermDelete, 'd'}, {jute.PermRead, 'r'}, {jute.PermWrite, 'w'}, {jute.PermAdmin, 'a'}} {
			if a.Perms&p.perm != 0 {
				b.WriteByte(p.letter)
			}
		}
	}
	return b.String()
}

// Users names who a client is: the ids of all its identities, of a digest only the user.
func Users(ids []jute.ID) string {
	var names []string
	for _, id := range ids {
		name := id.ID
		if id.Scheme == "digest" || id.Scheme == "super" {
			name, _, _ = strings.Cut(name, ":")
		}
		if strings.TrimSpace(name) != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// IP returns the address among a client's identities.
func IP(ids []jute.ID) string {
	for _, id := range ids {
		if id.Scheme == "ip" {
			return id.ID
		}
	}
	return ""
}

// maxWaiting bounds the events that wait for the writer.
const maxWaiting = 10_000

// Log writes events. Open makes it.
type Log struct {
	events chan Event
	done   sync.WaitGroup
	write  func(Event) error
	close  func() error
	log    *slog.Logger
}

// Open begins to write: to the end of a file, or where its name is "" to the server's log.
func Open(file string, log *slog.Logger) (*Log, error) {
	l := &Log{events: make(chan Event, maxWaiting), log: log, close: func() error { return nil }}
	l.write = func(e Event) error { log.Info("audit", "event", e.String()); return nil }
	if file != "" {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("audit log (audit.file): %w", err)
		}
		w := bufio.NewWriter(f)
		l.write = func(e Event) error {
			err := l.writeLine(w, e)
			if err != nil {
				w.Reset(f) // a failure would stay, and the next event may be luckier
			}
			return err
		}
		l.close = f.Close
	}
	l.done.Go(l.run)
	return l, nil
}

// Add logs an event. It waits if too many are not yet written.
func (l *Log) Add(e Event) { l.events <- e }

// Close writes what waits. Nothing may be added any more.
func (l *Log) Close() error {
	close(l.events)
	l.done.Wait()
	return l.close()
}

func (l *Log) run() {
	failing := false
	for e := range l.events {
		err := l.write(e)
		if err != nil && !failing {
			l.log.Error("the audit log can't be written; events are lost until it can", "err", err)
		}
		failing = err != nil
	}
}

// writeLine has the layout of Apache's default pattern.
func (l *Log) writeLine(w *bufio.Writer, e Event) error {
	now := time.Now().Format("2006-01-02 15:04:05.000")
	_, err := io.WriteString(w, strings.Replace(now, ".", ",", 1)+" INFO audit.Slf4jAuditLogger: "+e.String()+"\n")
	if err == nil && len(l.events) > 0 {
		return nil // more come: they leave together
	}
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	return err
}
