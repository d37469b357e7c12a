package peer

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"syscall"
)

const (
	// maxHellos bounds the connections that have not yet proved to be a peer's. Real peers prove
	// it at once, so that who is late makes room: see mostCrowded.
	maxHellos = 256
	// memberHellos is more than a member has of them, which may call each port anew while calls wait.
	memberHellos = 16
	// maxTrusted bounds the hosts that are known as members'; then all are forgotten.
	maxTrusted = 64
)

// unproven is a connection to one of our ports whose first message is awaited.
type unproven struct {
	net.Conn
	host   string
	ctx    context.Context // ends when the connection has to make room
	cancel context.CancelFunc
}

// startHello gives a connection its place among those that have to prove to be a peer's.
func (t *Transport) startHello(c net.Conn) *unproven {
	u := &unproven{Conn: c, host: hostOf(c)}
	u.ctx, u.cancel = context.WithCancel(t.ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.hellos) >= maxHellos {
		i := t.mostCrowded()
		t.hellos[i].cancel()
		_ = t.hellos[i].Close() // its reader reports the end
		t.leave(i)
	}
	t.hellos = append(t.hellos, u)
	t.places[u.host]++
	if t.ctx.Err() != nil {
		_ = c.Close() // Shutdown may have looked before this connection was there to be seen
	}
	return u
}

// mostCrowded returns which connection makes room: the oldest of the host that has the most, where
// a member's host may have some more than others. So strangers keep no member out, be it that they
// say nothing or that they call without end, and also if they share the host of another member.
// t.mu is held.
func (t *Transport) mostCrowded() int {
	at, most := 0, math.MinInt
	for i, u := range t.hellos {
		n := t.places[u.host]
		if t.trusted[u.host] {
			n -= memberHellos
		}
		if n > most {
			at, most = i, n
		}
	}
	return at
}

func (t *Transport) endHello(u *unproven) {
	u.cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.hellos, u); i >= 0 {
		t.leave(i)
	}
}

// leave gives a place up. t.mu is held.
func (t *Transport) leave(i int) {
	host := t.hellos[i].host
	t.hellos = slices.Delete(t.hellos, i, i+1)
	if t.places[host]--; t.places[host] == 0 {
		delete(t.places, host)
	}
}

// trust remembers a host as a member's: it was configured, or a certificate there was trusted.
func (t *Transport) trust(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.trusted) >= maxTrusted && !t.trusted[host] {
		clear(t.trusted)
	}
	t.trusted[host] = true
}

// isTrusted reports whether a host is known as a member's.
func (t *Transport) isTrusted(host string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trusted[host]
}

// laneOf returns in which lane a host's handshakes begin.
func (t *Transport) laneOf(host string) lane {
	if t.isTrusted(host) {
		return lane{member: host}
	}
	return lane{}
}

// Why such a connection ended.
var (
	errMadeRoom    = errors.New("it did not say who it is before others needed its place")
	errLeft        = errors.New("it left before it had said who it is")
	errSaidNothing = errors.New("it did not say in time who it is")
)

// whyHelloEnded says what the end of a connection means whose first message was awaited, unless
// the member stops.
func whyHelloEnded(err error) error {
	switch {
	case errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled):
		return errMadeRoom
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errLeft
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return errSaidNothing
	}
	return err
}
