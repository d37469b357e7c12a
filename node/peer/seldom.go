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
	// maxWarned bounds the warnings in that time: many hosts may call without end.
	maxWarned = 64
)

// seldom warns, but of what key names only once a minute.
func (t *Transport) seldom(key, msg string, args ...any) {
	t.mu.Lock()
	at, known := t.warned[key]
	again := known && time.Since(at) < warnAgain
	if !again && len(t.warned) >= maxWarned {
		maps.DeleteFunc(t.warned, func(_ string, at time.Time) bool { return time.Since(at) >= warnAgain })
		again = len(t.warned) >= maxWarned
	}
	if !again {
		t.warned[key] = time.Now()
	}
	t.mu.Unlock()
	if again {
		t.log.Debug(msg, args...)
	} else {
		t.log.Warn(msg, args...)
	}
}

// refuse says why a connection that somebody opened to a port was closed.
func (t *Transport) refuse(port string, c net.Conn, why error) {
	msg := "closed a connection to the " + port + " port that no peer opened"
	if port != electionPort {
		msg = "closed a connection to the " + port + " port that no learner opened"
	}
	t.seldom(port+" "+hostOf(c)+" "+why.Error(), msg, "from", c.RemoteAddr().String(), "err", why)
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
