package peer

import (
	"maps"
	"net"
	"time"

	"zoolab/node/zab"
)

const (
	// warnAgain is how long a warning is not given again: who is refused comes again, for days.
	warnAgain = time.Minute
	// maxWarned bounds the warnings with the same message in that time: many hosts may call without end.
	maxWarned = 64
)

// seldom warns, but of what key names only once a minute.
func (t *Transport) seldom(key, msg string, args ...any) {
	if t.again(key, msg) {
		t.log.Debug(msg, args...)
	} else {
		t.log.Warn(msg, args...)
	}
}

// again reports whether a warning was given in the last minute, or as many others as may be; if
// not, it is now.
func (t *Transport) again(key, msg string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	told := t.warned[msg]
	if told == nil {
		told = make(map[string]time.Time)
		t.warned[msg] = told
	}
	recent := func(at time.Time) bool { return time.Since(at) < warnAgain }
	if at, known := told[key]; known && recent(at) {
		return true
	}
	if len(told) >= maxWarned {
		maps.DeleteFunc(told, func(_ string, at time.Time) bool { return !recent(at) })
	}
	if len(told) >= maxWarned {
		return true
	}
	told[key] = time.Now()
	return false
}

// refuse says why a connection that somebody opened to a port was closed. When the member stops
// that is no news.
func (t *Transport) refuse(port string, c net.Conn, why error) {
	if t.ctx.Err() != nil {
		return
	}
	msg := "closed a connection to the " + port + " port that no peer opened"
	if port != electionPort {
		msg = "closed a connection to the " + port + " port that no learner opened"
	}
	t.seldom(hostOf(c)+" "+why.Error(), msg, "from", c.RemoteAddr().String(), "err", why)
}

// WarnRefused says why the core refused a peer.
func (t *Transport) WarnRefused(conn zab.ConnID, why string) {
	t.seldom(why, "refused a peer", "conn", conn, "peer", t.PeerOf(conn), "reason", why)
}

// hostOf is the address at the other end of a connection, without its port.
func hostOf(c net.Conn) string {
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	return host
}
