package conformance

import (
	"fmt"
	"strings"

	"zoolab/zk/jute"
)

// kind is the wire type of a field, and how a script writes it.
type kind int

const (
	bare    kind = iota // a string, written without its name
	text                // a string, name=value
	buffer              // bytes
	token               // bytes, written without the field's name
	number              // an int
	long                // a long; may be relative to the section's first zxid
	boolean             // a bool, true when its name is there
	acl                 // a list of ACL entries
	texts               // a list of strings
)

type field struct {
	name      string
	kind      kind
	otherwise string
}

// operation is how a request is written in scripts, and the record that answers it.
type operation struct {
	code   jute.OpCode
	xid    int32 // what clients send with it; 0 for a number of its own
	fields []field
	answer func() jute.Record // nil when nothing follows the header
}

var (
	path    = field{"path", bare, ""}
	watch   = field{"watch", boolean, ""}
	version = field{"v", number, "-1"}
	created = []field{path, {"data", buffer, ""}, {"acl", acl, "open"}, {"flags", number, "0"}}
)

// of makes records of one type, to read an answer into.
func of[T any, P interface {
	*T
	jute.Record
}]() jute.Record {
	return P(new(T))
}

// operations are the requests that scripts can name. The fields are those of the protocol's
// records, in their order, encoded here anew: the codec under test has no part in it.
var operations = map[string]operation{
	"create":               {jute.OpCreate, 0, created, of[jute.CreateResponse]},
	"create2":              {jute.OpCreate2, 0, created, of[jute.Create2Response]},
	"createContainer":      {jute.OpCreateContainer, 0, []field{path, created[1], created[2], {"flags", number, "4"}}, of[jute.Create2Response]},
	"createTTL":            {jute.OpCreateTTL, 0, []field{path, created[1], created[2], {"flags", number, "5"}, {"ttl", long, "60000"}}, of[jute.Create2Response]},
	"delete":               {jute.OpDelete, 0, []field{path, version}, nil},
	"deleteContainer":      {jute.OpDeleteContainer, 0, []field{path}, nil},
	"exists":               {jute.OpExists, 0, []field{path, watch}, of[jute.ExistsResponse]},
	"getData":              {jute.OpGetData, 0, []field{path, watch}, of[jute.GetDataResponse]},
	"setData":              {jute.OpSetData, 0, []field{path, created[1], version}, of[jute.SetDataResponse]},
	"getACL":               {jute.OpGetACL, 0, []field{path}, of[jute.GetACLResponse]},
	"setACL":               {jute.OpSetACL, 0, []field{path, created[2], version}, of[jute.SetACLResponse]},
	"getChildren":          {jute.OpGetChildren, 0, []field{path, watch}, of[jute.GetChildrenResponse]},
	"getChildren2":         {jute.OpGetChildren2, 0, []field{path, watch}, of[jute.GetChildren2Response]},
	"sync":                 {jute.OpSync, 0, []field{path}, of[jute.SyncResponse]},
	"ping":                 {jute.OpPing, jute.XidPing, nil, nil},
	"check":                {jute.OpCheck, 0, []field{path, version}, nil},
	"multi":                {jute.OpMulti, 0, nil, of[jute.MultiResponse]},
	"multiRead":            {jute.OpMultiRead, 0, nil, of[jute.MultiResponse]},
	"reconfig":             {jute.OpReconfig, 0, []field{{"joining", text, "null"}, {"leaving", text, "null"}, {"members", text, "null"}, {"version", long, "-1"}}, of[jute.GetDataResponse]},
	"checkWatches":         {jute.OpCheckWatches, 0, []field{path, {"type", number, "3"}}, nil},
	"removeWatches":        {jute.OpRemoveWatches, 0, []field{path, {"type", number, "3"}}, nil},
	"addWatch":             {jute.OpAddWatch, 0, []field{path, {"mode", number, "0"}}, of[jute.ErrorResponse]},
	"auth":                 {jute.OpAuth, jute.XidAuth, []field{{"type", number, "0"}, {"scheme", bare, ""}, {"auth", token, ""}}, nil},
	"sasl":                 {jute.OpSASL, 0, []field{{"token", token, ""}}, of[jute.SetSASLResponse]},
	"setWatches":           {jute.OpSetWatches, jute.XidSetWatches, []field{{"zxid", long, "+0"}, {"data", texts, ""}, {"exist", texts, ""}, {"child", texts, ""}}, nil},
	"setWatches2":          {jute.OpSetWatches2, jute.XidSetWatches, []field{{"zxid", long, "+0"}, {"data", texts, ""}, {"exist", texts, ""}, {"child", texts, ""}, {"persistent", texts, ""}, {"recursive", texts, ""}}, nil},
	"getEphemerals":        {jute.OpGetEphemerals, 0, []field{path}, of[jute.GetEphemeralsResponse]},
	"getAllChildrenNumber": {jute.OpGetAllChildrenNumber, 0, []field{path}, of[jute.GetAllChildrenNumberResponse]},
	"whoAmI":               {jute.OpWhoAmI, 0, nil, of[jute.WhoAmIResponse]},
	"createSession":        {jute.OpCreateSession, 0, []field{{"timeout", number, "10000"}}, nil},
	"closeSession":         {jute.OpCloseSession, 0, nil, nil},
	"raw":                  {0, 0, nil, nil},
}

// request is a request ready to be sent, but for its xid.
type request struct {
	code   jute.OpCode
	xid    int32
	ownXid bool // the script, or the operation, says which xid
	body   []byte
	answer func() jute.Record
}

// parseRequest makes a request of its words; base is what relative zxids are relative to.
func parseRequest(words []word, base int64) (*request, error) {
	op, ok := operations[words[0].raw]
	if !ok {
		return nil, fmt.Errorf("there is no operation %q", words[0].raw)
	}
	r := &request{code: op.code, xid: op.xid, ownXid: op.xid != 0, answer: op.answer}
	var parts [][]word
	words = words[1:]
	if op.code == jute.OpMulti || op.code == jute.OpMultiRead {
		parts, words = splitParts(words)
	}
	args := newArguments(words)
	if err := r.common(&args); err != nil {
		return nil, err
	}
	cut, err := intOf(args.take("cut", "0"), 32)
	if err != nil {
		return nil, err
	}
	extra, err := bytesOf(args.take("extra", "hex:"))
	if err != nil {
		return nil, err
	}
	endless := args.takeFlag("endless")
	for _, part := range parts {
		if r.body, err = appendPart(r.body, part, base); err != nil {
			return nil, err
		}
	}
	if (op.code == jute.OpMulti || op.code == jute.OpMultiRead) && !endless {
		r.body = (&jute.MultiHeader{Type: jute.OpError, Done: true, Err: -1}).Append(r.body)
	}
	if r.body, err = appendFields(r.body, op.fields, &args, base); err != nil {
		return nil, err
	}
	if int(cut) > len(r.body) || cut < 0 {
		return nil, fmt.Errorf("the body has only %d bytes", len(r.body))
	}
	r.body = append(r.body[:len(r.body)-int(cut)], extra...)
	return r, args.rest()
}

// common takes the words that any request may have.
func (r *request) common(args *arguments) error {
	if w := args.take("xid", ""); w.raw != "" {
		n, err := intOf(w, 32)
		if err != nil {
			return err
		}
		r.xid, r.ownXid = int32(n), true
	}
	if w := args.take("op", ""); w.raw != "" {
		n, err := intOf(w, 32)
		if err != nil {
			return err
		}
		r.code, r.answer = jute.OpCode(n), answerOf(jute.OpCode(n))
	}
	return nil
}

// answerOf returns what makes the record that answers an operation.
func answerOf(code jute.OpCode) func() jute.Record {
	for _, op := range operations {
		if op.code == code {
			return op.answer
		}
	}
	return nil
}

// splitParts splits a multi's words at semicolons; words before a colon alone are the multi's own.
func splitParts(words []word) (parts [][]word, own []word) {
	for i, w := range words {
		if w.raw == ":" {
			own, words = words[:i], words[i+1:]
			break
		}
	}
	var part []word
	for _, w := range words {
		if w.raw == ";" {
			parts, part = append(parts, part), nil
			continue
		}
		part = append(part, w)
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts, own
}

func appendPart(b []byte, words []word, base int64) ([]byte, error) {
	part, err := parseRequest(words, base)
	if err != nil {
		return nil, err
	}
	header := jute.MultiHeader{Type: part.code, Err: -1}
	return append(header.Append(b), part.body...), nil
}

func appendFields(b []byte, fields []field, args *arguments, base int64) ([]byte, error) {
	flags := make(map[string]bool) // taken first: a bare field would take their words
	for _, f := range fields {
		if f.kind == boolean {
			flags[f.name] = args.takeFlag(f.name)
		}
	}
	for _, f := range fields {
		var err error
		if b, err = appendField(b, f, args, flags, base); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return b, nil
}

func appendField(b []byte, f field, args *arguments, flags map[string]bool, base int64) ([]byte, error) {
	switch f.kind {
	case bare, token:
		w, ok := args.takeBare()
		if !ok {
			return nil, fmt.Errorf("is missing")
		}
		if f.kind == bare {
			return appendText(b, w), nil
		}
		v, err := bytesOf(w)
		return jute.AppendBuffer(b, v), err
	case boolean:
		return jute.AppendBool(b, flags[f.name]), nil
	case text:
		return appendText(b, args.take(f.name, f.otherwise)), nil
	case texts:
		return appendTexts(b, args.take(f.name, f.otherwise)), nil
	case buffer:
		v, err := bytesOf(args.take(f.name, f.otherwise))
		return jute.AppendBuffer(b, v), err
	case acl:
		v, err := aclOf(args.take(f.name, f.otherwise))
		return append(b, v...), err
	case number:
		n, err := intOf(args.take(f.name, f.otherwise), 32)
		return jute.AppendInt32(b, int32(n)), err
	}
	n, err := zxidOf(args.take(f.name, f.otherwise), base)
	return jute.AppendInt64(b, n), err
}

// zxidOf reads a long; +N is relative to the section's first zxid.
func zxidOf(w word, base int64) (int64, error) {
	if !strings.HasPrefix(w.raw, "+") {
		return intOf(w, 64)
	}
	n, err := intOf(word{raw: w.raw[1:]}, 64)
	return base + n, err
}
