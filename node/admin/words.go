package admin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/node/replica"
	"zoolab/node/server"
	"zoolab/zk/jute"
)

// words are the four-letter words with the function that answers each.
var words = map[string]func(*View, io.Writer){
	"conf": (*View).conf,
	"cons": (*View).cons,
	"crst": (*View).crst,
	"dirs": (*View).dirs,
	"dump": (*View).dump,
	"envi": (*View).envi,
	"gtmk": func(v *View, w io.Writer) { fmt.Fprint(w, v.mask.get()) },
	"hash": (*View).hash,
	"isro": (*View).isro,
	"mntr": (*View).mntr,
	"ruok": func(_ *View, w io.Writer) { io.WriteString(w, "imok") },
	"srst": (*View).srst,
	"srvr": func(v *View, w io.Writer) { v.serverStats(w, false) },
	"stat": func(v *View, w io.Writer) { v.serverStats(w, true) },
	"stmk": nil, // has an argument: see Word
	"wchc": (*View).wchc,
	"wchp": (*View).wchp,
	"wchs": (*View).wchs,
}

// always are the words that are answered without a quorum, too.
var always = []string{"ruok", "envi", "gtmk", "stmk"}

// notServing is Apache's answer while there is no quorum.
const notServing = "This ZooKeeper instance is not currently serving requests\n"

// Word answers a four-letter word on w; false means that it is none. rest reads what the
// client sent behind the word. An answer that can't be written is lost, as its reader is.
func (v *View) Word(word string, rest io.Reader, w io.Writer) bool {
	answer, known := words[word]
	if !known {
		return false
	}
	var b bytes.Buffer
	switch {
	case !v.allowed(word):
		fmt.Fprintf(&b, "%s is not executed because it is not in the whitelist.\n", word)
	case word == "stmk":
		v.stmk(rest, &b)
	case v.serving() || slices.Contains(always, word):
		answer(v, &b)
	case word == "isro":
		b.WriteString("null")
	case word == "hash":
		b.WriteString(strings.TrimSpace(notServing)) // without an end of line, as in 3.8.0
	default:
		b.WriteString(notServing)
	}
	_, _ = b.WriteTo(w)
	return true
}

// allowed reports whether the whitelist has the word. Clients ask isro when they look for a
// server that takes writes, so it is allowed where servers may be read-only.
func (v *View) allowed(word string) bool {
	return v.Config.FourLetterAllowed(word) || word == "isro" && v.Config.ReadOnlyModeEnabled
}

func (v *View) isro(w io.Writer) {
	if v.readOnly() {
		io.WriteString(w, "ro")
		return
	}
	io.WriteString(w, "rw")
}

func (v *View) serverStats(w io.Writer, clients bool) {
	fmt.Fprintf(w, "Zookeeper version: %s\n", v.Version)
	if v.readOnly() {
		fmt.Fprintln(w, "READ-ONLY mode; serving only read-only clients")
	}
	if clients {
		fmt.Fprintln(w, "Clients:")
		for _, c := range v.Clients.Connections() {
			fmt.Fprintf(w, " /%s[%d](queued=%d,recved=%d,sent=%d)\n", c.Remote, interest(c), c.Queued, c.Received, c.Sent)
		}
		fmt.Fprintln(w)
	}
	m := v.Metrics
	least, mean, most := m.Latency()
	fmt.Fprintf(w, "Latency min/avg/max: %d/%s/%d\n", int64(least), decimal(mean), int64(math.Ceil(most)))
	fmt.Fprintf(w, "Received: %d\nSent: %d\nConnections: %d\n", m.PacketsReceived.Load(), m.PacketsSent.Load(), v.Clients.NumConnections())
	fmt.Fprintf(w, "Outstanding: %d\nZxid: %s\nMode: %s\n", v.Clients.Outstanding(), hex(v.shownZxid()), v.mode())
	fmt.Fprintf(w, "Node count: %d\n", v.Replica.Tree().Counts().Znodes)
	if v.leads() {
		p := v.Replica.Status().Proposals
		fmt.Fprintf(w, "Proposal sizes last/min/max: %d/%d/%d\n", p.Last, p.Least, p.Most)
	}
}

// interest is the number that Java's selector shows for a connection: 1 while it waits
// for requests, 0 for one without a session, which is being answered.
func interest(c server.ConnInfo) int {
	if c.SessionID == 0 {
		return 0
	}
	return 1
}

// decimal prints a number as Java does: up to four digits behind the point, at least one.
func decimal(v float64) string {
	text := strings.TrimRight(strconv.FormatFloat(v, 'f', 4, 64), "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text
}

func (v *View) conf(w io.Writer) {
	snapshots, logs := v.sizes()
	io.WriteString(w, v.Config.ConfText(snapshots, logs))
}

func (v *View) cons(w io.Writer) {
	for _, c := range v.Clients.Connections() {
		fmt.Fprintf(w, " /%s[%d](queued=%d,recved=%d,sent=%d", c.Remote, interest(c), c.Queued, c.Received, c.Sent)
		if c.SessionID != 0 {
			fmt.Fprintf(w, ",sid=%s,lop=%s,est=%d,to=%d", hex(c.SessionID), operationName(c.LastOp), c.Since.UnixMilli(), c.TimeoutMs)
			if c.LastXid >= 0 {
				fmt.Fprintf(w, ",lcxid=0x%x", c.LastXid)
			}
			fmt.Fprintf(w, ",lzxid=%s,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d", hex(c.LastZxid), v.answerMs(c.LastAnswer),
				wholeMs(c.LastUs), wholeMs(c.LeastUs), wholeMs(c.MeanUs), wholeMs(c.MostUs))
		}
		io.WriteString(w, ")\n")
	}
	fmt.Fprintln(w)
}

// answerMs is when an answer left, in milliseconds of the server's run; 0 for never.
func (v *View) answerMs(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Sub(v.Started).Milliseconds()
}

// wholeMs rounds microseconds to milliseconds.
func wholeMs(us int64) int64 { return (us + 500) / 1000 }

// operationNames are Apache's for what a connection did last.
var operationNames = map[jute.OpCode]string{
	jute.OpPing: "PING", jute.OpMulti: "MULT", jute.OpMultiRead: "MLTR", jute.OpCreate: "CREA", jute.OpCreate2: "CREA",
	jute.OpCreateContainer: "CREA", jute.OpCreateTTL: "CREA", jute.OpDelete: "DELE", jute.OpSetData: "SETD",
	jute.OpReconfig: "RECO", jute.OpSetACL: "SETA", jute.OpCloseSession: "CLOS", jute.OpSync: "SYNC", jute.OpCheck: "CHEC",
	jute.OpExists: "EXIS", jute.OpGetData: "GETD", jute.OpSetWatches: "SETW", jute.OpSetWatches2: "STW2",
	jute.OpAddWatch: "ADDW", jute.OpGetACL: "GETA", jute.OpGetChildren: "GETC", jute.OpGetAllChildrenNumber: "GETACN",
	jute.OpGetChildren2: "GETC", jute.OpCheckWatches: "CHKW", jute.OpRemoveWatches: "REMW", jute.OpWhoAmI: "HOMI",
	jute.OpGetEphemerals: "GETE", jute.OpCreateSession: "SESS",
}

// operationName is "null" before the first answer, as Apache's is.
func operationName(op jute.OpCode) string {
	if op == 0 {
		return "null"
	}
	if name, ok := operationNames[op]; ok {
		return name
	}
	return "NA"
}

func (v *View) crst(w io.Writer) {
	v.Clients.ResetConnections()
	fmt.Fprintln(w, "Connection stats reset.")
}

func (v *View) srst(w io.Writer) {
	v.resetStats()
	fmt.Fprintln(w, "Server stats reset.")
}

func (v *View) dirs(w io.Writer) {
	snapshots, logs := v.sizes()
	fmt.Fprintf(w, "datadir_size: %d\nlogdir_size: %d\n", snapshots, logs)
}

// stmk sets the trace mask, eight bytes behind the word. Without them it says nothing.
func (v *View) stmk(rest io.Reader, w io.Writer) {
	var mask [8]byte
	if _, err := io.ReadFull(rest, mask[:]); err != nil {
		return
	}
	v.mask.set(int64(binary.BigEndian.Uint64(mask[:])))
	fmt.Fprint(w, v.mask.get())
}

func (v *View) hash(w io.Writer) {
	for _, d := range v.Replica.Tree().DigestLog() {
		fmt.Fprintf(w, "%x: %d\n", uint64(d.Zxid), d.Digest)
	}
}

func (v *View) wchs(w io.Writer) {
	data, _ := v.Replica.Tree().WatchSummaries()
	fmt.Fprintf(w, "%d connections watching %d paths\nTotal watches:%d\n", data.Connections, data.Paths, data.Watches)
}

func (v *View) wchp(w io.Writer) {
	last := ""
	for _, watch := range v.Replica.Tree().DataWatches() {
		if watch.Path != last {
			fmt.Fprintln(w, watch.Path)
		}
		last = watch.Path
		fmt.Fprintf(w, "\t%s\n", hex(sessionOf(watch.Watcher)))
	}
	fmt.Fprintln(w)
}

func (v *View) wchc(w io.Writer) {
	ids, paths := v.watchesBySession()
	for _, id := range ids {
		fmt.Fprintln(w, hex(id))
		for _, path := range paths[id] {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	fmt.Fprintln(w)
}

// watchesBySession returns the paths that each session watches, sessions in ascending order.
func (v *View) watchesBySession() (ids []int64, paths map[int64][]string) {
	paths = make(map[int64][]string)
	for _, watch := range v.Replica.Tree().DataWatches() {
		id := sessionOf(watch.Watcher)
		if paths[id] == nil {
			ids = append(ids, id)
		}
		paths[id] = append(paths[id], watch.Path)
	}
	slices.Sort(ids)
	return ids, paths
}

// javaDate is the form of Java's Date.toString.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

func (v *View) dump(w io.Writer) {
	fmt.Fprintln(w, "SessionTracker dump:")
	sessions, err := v.sessions()
	if err != nil {
		fmt.Fprintln(w, err)
	}
	global := slices.IndexFunc(sessions, func(s replica.SessionInfo) bool { return !s.Local })
	if global < 0 {
		global = len(sessions)
	}
	local := v.hasLocalSessions()
	if local {
		v.writeSessions(w, "Local Session ", sessions[:global])
	}
	switch sessions = sessions[global:]; {
	case !v.knowsExpiry():
		fmt.Fprintf(w, "Global Sessions(%d):\n", len(sessions))
		for _, s := range sessions {
			fmt.Fprintf(w, "%s\t%dms\n", hex(s.ID), s.TimeoutMs)
		}
	case local:
		v.writeSessions(w, "Global Session ", sessions)
	default:
		v.writeSessions(w, "Session ", sessions)
	}
	t := v.Replica.Tree()
	ids := t.SessionsWithEphemerals()
	fmt.Fprintf(w, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(ids))
	for _, id := range ids {
		fmt.Fprintf(w, "%s:\n", hex(id))
		for _, path := range t.Ephemerals(id) {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	io.WriteString(w, "Connections dump:\nConnections ")
	writeSets(w, v.Clients.Connections(),
		func(c server.ConnInfo) time.Time { return c.Expires },
		func(c server.ConnInfo) string {
			return fmt.Sprintf("ip: /%s sessionId: %s", c.Remote, hex(c.SessionID))
		})
}

func (v *View) writeSessions(w io.Writer, title string, sessions []replica.SessionInfo) {
	io.WriteString(w, title)
	writeSets(w, sessions,
		func(s replica.SessionInfo) time.Time { return v.at(s.ExpiresMs) },
		func(s replica.SessionInfo) string { return hex(s.ID) })
}

// writeSets lists items by the second in which they expire, as Apache lists its expiry queues.
func writeSets[T any](w io.Writer, items []T, expires func(T) time.Time, text func(T) string) {
	sets := make(map[int64][]T)
	var seconds []int64
	for _, item := range items {
		at := expires(item).Unix()
		if sets[at] == nil {
			seconds = append(seconds, at)
		}
		sets[at] = append(sets[at], item)
	}
	slices.Sort(seconds)
	fmt.Fprintf(w, "Sets (%d)/(%d):\n", len(sets), len(items))
	for _, at := range seconds {
		fmt.Fprintf(w, "%d expire at %s:\n", len(sets[at]), time.Unix(at, 0).Format(javaDate))
		for _, item := range sets[at] {
			fmt.Fprintf(w, "\t%s\n", text(item))
		}
	}
}
