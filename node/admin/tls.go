package admin

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"zoolab/node/metrics"
	"zoolab/zk/tlsconf"
)

// recordTypeHandshake is the first byte of a TLS connection, and of no HTTP request.
const recordTypeHandshake = 0x16

// secure puts TLS in front of a listener, as admin.forceHttps and admin.portUnification ask
// for it: with the stores of ssl.quorum.*, as in Apache.
func (v *View) secure(l net.Listener, log *slog.Logger) (net.Listener, error) {
	c := v.Config.Admin
	if !c.HTTPS && !c.PortUnification {
		return l, nil
	}
	settings := v.Config.Ensemble.TLS
	settings.ClientAuth = tlsconf.None
	if c.NeedClientAuth {
		settings.ClientAuth = tlsconf.Need
	}
	if err := settings.CheckServer(); err != nil {
		return nil, fmt.Errorf("TLS is asked for (admin.forceHttps, admin.portUnification): %w", err)
	}
	stores, err := tlsconf.Open(settings, log)
	if err != nil {
		return nil, fmt.Errorf("TLS is asked for (admin.forceHttps, admin.portUnification): %w", err)
	}
	config := stores.Server()
	if c.HTTPS {
		return tls.NewListener(l, config), nil
	}
	return &unified{Listener: l, config: config, metrics: v.Metrics}, nil
}

// unified takes TLS and plain connections on one port.
type unified struct {
	net.Listener
	config  *tls.Config
	metrics *metrics.Metrics
}

// Accept returns a connection that finds out with its first byte what it is.
func (u *unified) Accept() (net.Conn, error) {
	c, err := u.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &either{Conn: c, u: u}, nil
}

// either is a connection with or without TLS. Nobody writes to one of HTTP before reading.
type either struct {
	net.Conn
	u     *unified
	once  sync.Once
	inner net.Conn
	err   error
}

func (e *either) Read(b []byte) (int, error) {
	e.once.Do(e.find)
	if e.err != nil {
		return 0, e.err
	}
	return e.inner.Read(b)
}

func (e *either) Write(b []byte) (int, error) {
	e.once.Do(e.find)
	if e.err != nil {
		return 0, e.err
	}
	return e.inner.Write(b)
}

func (e *either) find() {
	r := bufio.NewReader(e.Conn)
	first, err := r.Peek(1)
	if err != nil {
		e.err = err
		return
	}
	plain := &peeked{Conn: e.Conn, r: r}
	if first[0] == recordTypeHandshake {
		e.inner = tls.Server(plain, e.u.config)
		return
	}
	e.u.metrics.InsecureAdmin.Add(1)
	e.inner = plain
}

// peeked is a connection of which something was read ahead.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }
