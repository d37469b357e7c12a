package conformance

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"zoolab/zk/jute"
)

// view is how answers are written: what differs from run to run becomes a name.
type view struct {
	base  int64            // the last zxid before the section
	names map[int64]string // session id -> its name
}

// answer writes one reply frame.
func (v *view) answer(frame []byte, record func() jute.Record) string {
	d := jute.NewDecoder(frame)
	var h jute.ReplyHeader
	h.Decode(d)
	if d.Err() != nil {
		return "bytes=" + hex.EncodeToString(frame)
	}
	head := fmt.Sprintf("xid=%d z=%s", h.Xid, v.zxid(h.Zxid))
	if h.Err == 0 {
		head += " ok"
	} else {
		head += fmt.Sprintf(" err=%d (%v)", h.Err, h.Err)
	}
	return strings.TrimRight(head+" "+v.body(d.Rest(), record), " ")
}

// event writes a notification, without its zxid: Apache gives none before 3.9, this server
// that of the change.
func (v *view) event(frame []byte) string {
	d := jute.NewDecoder(frame)
	var h jute.ReplyHeader
	h.Decode(d)
	var ev jute.WatcherEvent
	if err := jute.Unmarshal(d.Rest(), &ev); err != nil {
		return v.answer(frame, nil) // an answer to a request under the events' xid
	}
	name, known := eventNames[ev.Type]
	if !known {
		name = fmt.Sprint(int32(ev.Type))
	}
	text := fmt.Sprintf("event %s %s", name, quote(ev.Path))
	if h.Err != 0 || ev.State != jute.StateSyncConnected {
		text += fmt.Sprintf(" err=%d state=%d", h.Err, ev.State)
	}
	return text
}

var eventNames = map[jute.EventType]string{
	jute.EventNone: "none", jute.EventNodeCreated: "created", jute.EventNodeDeleted: "deleted",
	jute.EventNodeDataChanged: "changed", jute.EventNodeChildrenChanged: "children",
	jute.EventDataWatchRemoved: "dataWatchRemoved", jute.EventChildWatchRemoved: "childWatchRemoved",
	jute.EventPersistentWatchRemoved: "persistentWatchRemoved",
}

// body writes what follows a reply's header. What is not exactly the bytes of its record is
// written as it came.
func (v *view) body(b []byte, record func() jute.Record) string {
	if len(b) == 0 {
		return ""
	}
	if record == nil {
		return "bytes=" + hex.EncodeToString(b)
	}
	r := record()
	if err := jute.Unmarshal(b, r); err != nil || !bytes.Equal(jute.Marshal(r), b) {
		return "bytes=" + hex.EncodeToString(b)
	}
	return v.record(r)
}

func (v *view) record(record jute.Record) string {
	switch r := record.(type) {
	case *jute.CreateResponse:
		return "path=" + quote(r.Path)
	case *jute.Create2Response:
		return "path=" + quote(r.Path) + " " + v.stat(&r.Stat)
	case *jute.ExistsResponse:
		return v.stat(&r.Stat)
	case *jute.SetDataResponse:
		return v.stat(&r.Stat)
	case *jute.SetACLResponse:
		return v.stat(&r.Stat)
	case *jute.SyncResponse:
		return "path=" + quote(r.Path)
	case *jute.GetDataResponse:
		return "data=" + quoteBytes(r.Data) + " " + v.stat(&r.Stat)
	case *jute.GetACLResponse:
		return "acl=" + aclText(r.ACL) + " " + v.stat(&r.Stat)
	case *jute.GetChildren2Response:
		return "children=" + list(r.Children) + " " + v.stat(&r.Stat)
	case *jute.GetChildrenResponse:
		return "children=" + list(r.Children)
	case *jute.GetEphemeralsResponse:
		return "ephemerals=" + list(r.Ephemerals)
	case *jute.GetAllChildrenNumberResponse:
		return fmt.Sprintf("number=%d", r.TotalNumber)
	case *jute.ErrorResponse:
		return fmt.Sprintf("error=%d", r.Err)
	case *jute.SetSASLResponse:
		return "token=" + quoteBytes(r.Token)
	case *jute.WhoAmIResponse:
		return "clients=" + clients(r.ClientInfo)
	case *jute.MultiResponse:
		return v.parts(r.Results)
	}
	return fmt.Sprintf("%+v", record)
}

func (v *view) parts(results []jute.MultiOp) string {
	parts := make([]string, len(results))
	for i, part := range results {
		parts[i] = part.Type.String()
		if part.Err != 0 {
			parts[i] += fmt.Sprintf(" err=%d", part.Err)
		}
		if part.Record != nil {
			parts[i] += " " + v.record(part.Record)
		}
	}
	return "[" + strings.Join(parts, " ; ") + "]"
}

// stat leaves out times that are as they should be, and of the nodes that are there from the
// beginning the versions, which depend on what ran before.
func (v *view) stat(s *jute.Stat) string {
	system, times := s.Czxid == 0, ""
	if !timesFit(s) {
		times = fmt.Sprintf(" ctime=%d mtime=%d", s.Ctime, s.Mtime)
	}
	versions := fmt.Sprintf("v=%d cv=%d av=%d", s.Version, s.Cversion, s.Aversion)
	modified, children := v.zxid(s.Mzxid), v.zxid(s.Pzxid)
	if system {
		versions = "v=* cv=* av=*"
		modified, children = v.sinceBase(s.Mzxid), v.sinceBase(s.Pzxid)
	}
	return fmt.Sprintf("{c=%s m=%s p=%s %s owner=%s len=%d kids=%d%s}", v.zxid(s.Czxid), modified, children,
		versions, v.session(s.EphemeralOwner), s.DataLength, s.NumChildren, times)
}

// timesFit reports whether a znode's times are near the present, and the same or ordered as
// its zxids say.
func timesFit(s *jute.Stat) bool {
	switch {
	case s.Czxid == 0 && s.Mzxid == 0:
		return s.Ctime == 0 && s.Mtime == 0
	case s.Czxid == 0:
		return s.Ctime == 0 && plausible(s.Mtime)
	case s.Czxid == s.Mzxid:
		return plausible(s.Ctime) && s.Ctime == s.Mtime
	}
	return plausible(s.Ctime) && plausible(s.Mtime) && s.Mtime >= s.Ctime
}

// plausible reports whether a time in milliseconds lies near the present.
func plausible(ms int64) bool {
	age := time.Since(time.UnixMilli(ms))
	return age > -5*time.Second && age < time.Hour
}

func (v *view) session(id int64) string {
	if id == 0 {
		return "0"
	}
	if name := v.names[id]; name != "" {
		return name
	}
	return fmt.Sprintf("%#x", uint64(id))
}

// sinceBase tells nothing of what was before the section.
func (v *view) sinceBase(z int64) string {
	if z <= v.base {
		return "old"
	}
	return v.zxid(z)
}

func (v *view) zxid(z int64) string {
	switch {
	case z == 0 || z == -1:
		return fmt.Sprint(z)
	case z < v.base:
		return "old"
	}
	return fmt.Sprintf("+%d", z-v.base)
}

// longest is how many bytes of data a line shows.
const longest = 300

func quoteBytes(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > longest:
		return fmt.Sprintf("%d bytes", len(b))
	}
	return quote(string(b))
}

func quote(s string) string { return fmt.Sprintf("%+q", s) }

// ascii is quote without the quotes.
func ascii(s string) string { return strings.Trim(quote(s), `"`) }

// list writes names in their order of the alphabet; a null list differs from an empty one in
// the bytes, and is therefore not shown by its record.
func list(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	for i, name := range names {
		names[i] = quote(name)
	}
	return "[" + strings.Join(names, " ") + "]"
}

func aclText(entries []jute.ACL) string {
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = fmt.Sprintf("%s:%s:%d", ascii(e.ID.Scheme), ascii(e.ID.ID), e.Perms)
	}
	return "[" + strings.Join(texts, " ") + "]"
}

func clients(infos []jute.ClientInfo) string {
	texts := make([]string, len(infos))
	for i, info := range infos {
		texts[i] = ascii(info.AuthScheme) + ":" + ascii(info.User)
	}
	slices.Sort(texts) // Apache's order is that of a hash table
	return "[" + strings.Join(texts, " ") + "]"
}
