package conformance

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/zk/jute"
)

// Play plays a section against the server at addr and returns what came back, a list of
// lines for each step. An error is the script's, or a server's that can't be reached.
func Play(addr string, section *Section) (answers [][]string, err error) {
	p, err := newPlayer(addr)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, p.clean())
	}()
	for _, step := range section.Steps {
		lines, err := p.step(step.Line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.Line, err)
		}
		answers = append(answers, lines)
	}
	return answers, nil
}

// player plays one section.
type player struct {
	view
	addr  string
	keep  *keeper
	conns []*conn
	lines []string // of the current step
}

func newPlayer(addr string) (*player, error) {
	keep, err := newKeeper(addr)
	if err != nil {
		return nil, err
	}
	return &player{addr: addr, keep: keep, view: view{base: keep.zxid, names: make(map[int64]string)}}, nil
}

func (p *player) note(c *conn, format string, args ...any) {
	p.lines = append(p.lines, c.name+" "+fmt.Sprintf(format, args...))
}

// find returns the connection of a name, the newest if there were several.
func (p *player) find(name string) *conn {
	for _, c := range slices.Backward(p.conns) {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (p *player) step(line string) ([]string, error) {
	words, err := splitWords(line)
	if err != nil {
		return nil, err
	}
	if len(words) < 2 {
		return nil, errors.New("a step is a session and what it does")
	}
	p.lines = nil
	unordered := words[len(words)-1].raw == "unordered"
	if unordered {
		words = words[:len(words)-1]
	}
	if err := p.act(words[0].raw, words[1:]); err != nil {
		return nil, err
	}
	for _, c := range slices.Clone(p.conns) {
		if c.session != 0 && !c.ended && !c.silent && c.awaiting == nil {
			p.flush(c)
		}
	}
	if unordered {
		slices.Sort(p.lines)
	}
	return p.lines, nil
}

// act does what a step says.
func (p *player) act(name string, words []word) error {
	args := newArguments(words[1:])
	switch words[0].raw {
	case "connect":
		return p.connect(name, args)
	case "dial":
		_, err := p.open(name)
		return err
	case "sleep":
		ms, err := strconv.Atoi(words[1].raw)
		time.Sleep(time.Duration(ms) * time.Millisecond)
		return err
	}
	c := p.find(name)
	if c == nil {
		return fmt.Errorf("there is no connection %q", name)
	}
	if c.ended {
		return fmt.Errorf("the connection of %q has ended", name)
	}
	switch words[0].raw {
	case "drop":
		c.ended = true
		return c.net.Close()
	case "silent":
		c.silent = true
		return nil
	case "bytes", "frame":
		return p.bytes(c, words)
	case "read":
		p.await(c, nil, 0)
		return nil
	case "recv":
		p.receive(c)
		return nil
	case "send":
		r, err := p.request(words[1:])
		if err != nil {
			return err
		}
		xid, frame := c.number(r)
		c.unsent = append(c.unsent, frame...)
		c.awaiting, c.xids = append(c.awaiting, r), append(c.xids, xid)
		return nil
	}
	r, err := p.request(words)
	if err != nil {
		return err
	}
	xid, frame := c.number(r)
	c.write(frame)
	p.await(c, r, xid)
	return nil
}

func (p *player) request(words []word) (*request, error) {
	if len(words) == 0 {
		return nil, errors.New("there is no operation")
	}
	if words[0].raw != "raw" {
		return parseRequest(words, p.base)
	}
	// raw CODE [extra=hex:...]: a request without a known record.
	if len(words) < 2 {
		return nil, errors.New("raw needs an operation's number")
	}
	rest := append([]word{words[0]}, words[2:]...)
	r, err := parseRequest(rest, p.base)
	if err != nil {
		return nil, err
	}
	n, err := intOf(words[1], 32)
	r.code, r.answer = jute.OpCode(n), answerOf(jute.OpCode(n))
	return r, err
}

func (p *player) open(name string) (*conn, error) {
	c, err := dial(name, p.addr)
	if err != nil {
		return nil, err
	}
	p.conns = append(p.conns, c)
	return c, nil
}

// connect opens a connection, if there is none that waits for it, and a session.
func (p *player) connect(name string, args arguments) error {
	body, err := p.connectBody(&args)
	if err != nil {
		return err
	}
	c := p.find(name)
	if c == nil || c.ended || c.session != 0 {
		if c, err = p.open(name); err != nil {
			return err
		}
	}
	c.write(frame(body))
	answer, err := c.read(patience)
	if err != nil {
		p.end(c, err)
		return nil
	}
	var r jute.ReadOnlyConnectResponse
	if err := jute.Unmarshal(answer, &r); err != nil {
		p.note(c, "bytes=%s", hex.EncodeToString(answer))
		return nil
	}
	passwd := "hex:" + hex.EncodeToString(r.Passwd)
	switch {
	case r.SessionID == 0:
	case string(r.Passwd) == string(password(r.SessionID)):
		passwd = "derived"
		fallthrough
	default:
		c.session, c.passwd = r.SessionID, r.Passwd
		if p.names[r.SessionID] == "" {
			p.names[r.SessionID] = name
		}
	}
	text := fmt.Sprintf("session=%s timeout=%d passwd=%s", p.session(r.SessionID), r.TimeoutMs, passwd)
	if r.ProtocolVersion != 0 {
		text += fmt.Sprintf(" protocol=%d", r.ProtocolVersion)
	}
	if r.HasReadOnly {
		text += fmt.Sprintf(" ro=%t", r.ReadOnly)
	}
	p.note(c, "%s", text)
	if r.SessionID == 0 {
		p.await(c, nil, 0)
	}
	return nil
}

func (p *player) connectBody(args *arguments) ([]byte, error) {
	session := args.take("session", "0")
	var id int64
	var err error
	passwd := args.take("passwd", "zeros:16")
	known := p.find(session.raw)
	if known != nil {
		id = known.session
	} else if id, err = intOf(session, 64); err != nil {
		return nil, err
	}
	secret, err := bytesOf(passwd)
	if err != nil {
		return nil, err
	}
	if known != nil && passwd.raw == "zeros:16" {
		secret = known.passwd
	}
	numbers := make(map[string]int64)
	for key, otherwise := range map[string]string{"version": "0", "timeout": "10000"} {
		if numbers[key], err = intOf(args.take(key, otherwise), 32); err != nil {
			return nil, err
		}
	}
	zxid, err := zxidOf(args.take("zxid", "0"), p.base)
	if err != nil {
		return nil, err
	}
	b := jute.AppendInt32(nil, int32(numbers["version"]))
	b = jute.AppendInt64(b, zxid)
	b = jute.AppendInt32(b, int32(numbers["timeout"]))
	b = jute.AppendInt64(b, id)
	b = jute.AppendBuffer(b, secret)
	switch ro := args.take("ro", "false"); ro.raw {
	case "none":
	case "false", "true":
		b = jute.AppendBool(b, ro.raw == "true")
	default:
		odd, err := bytesOf(ro)
		if err != nil {
			return nil, err
		}
		b = append(b, odd...)
	}
	cut, err := intOf(args.take("cut", "0"), 32)
	if err != nil || cut < 0 || int(cut) > len(b) {
		return nil, fmt.Errorf("can't cut %d bytes: %w", cut, err)
	}
	return b[:len(b)-int(cut)], args.rest()
}

// bytes sends what the script says, as a frame or as it is.
func (p *player) bytes(c *conn, words []word) error {
	if len(words) != 2 {
		return fmt.Errorf("%s needs the bytes", words[0].raw)
	}
	b, err := bytesOf(words[1])
	if err != nil {
		return err
	}
	if words[0].raw == "frame" {
		c.write(frame(b))
	} else {
		c.silent = true
		c.write(b)
	}
	return nil
}

// await notes events until the answer to xid came, or, without a request, one frame or the
// connection's end.
func (p *player) await(c *conn, r *request, xid int32) {
	timeout, asked := quiet, false
	if r == nil || c.session == 0 || c.silent {
		timeout = patience // nothing can be asked
	}
	for {
		reply, err := c.read(timeout)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && timeout == quiet:
			c.write(pingFrame)
			asked, timeout = true, patience
			continue
		case err != nil:
			p.end(c, err)
			return
		}
		got := xidOf(reply)
		switch {
		case got == jute.XidNotification && (r == nil || xid != jute.XidNotification || len(reply) > 20):
			p.note(c, "%s", p.event(reply))
			if r == nil {
				return
			}
			continue
		case asked && got == jute.XidPing && xid != jute.XidPing:
			p.note(c, "no answer")
			return
		case r == nil:
			p.note(c, "%s", p.answer(reply, nil))
			return
		}
		p.note(c, "%s", p.answer(reply, r.answer))
		if got != xid {
			continue
		}
		return
	}
}

// receive writes all requests that were put off and reads an answer to each.
func (p *player) receive(c *conn) {
	c.write(c.unsent)
	awaiting, xids := c.awaiting, c.xids
	c.unsent, c.awaiting, c.xids = nil, nil, nil
	for i, r := range awaiting {
		if c.ended {
			return
		}
		p.await(c, r, xids[i])
	}
}

// flush notes what the server sent unasked, by asking for an answer behind it.
func (p *player) flush(c *conn) {
	c.write(pingFrame)
	for {
		reply, err := c.read(patience)
		if err != nil {
			p.end(c, err)
			return
		}
		switch xidOf(reply) {
		case jute.XidPing:
			return
		case jute.XidNotification:
			p.note(c, "%s", p.event(reply))
		default:
			p.note(c, "%s unasked", p.answer(reply, nil))
		}
	}
}

// end notes why nothing more comes.
func (p *player) end(c *conn, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.note(c, "silent")
		return
	}
	c.ended = true
	_ = c.net.Close()
	text := err.Error()
	if !errors.Is(err, errClosed) {
		text = strings.TrimSpace("broken: " + text)
	}
	p.note(c, "%s", text)
}
