package main

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// chunk is what one read of a proxied connection gave.
type chunk struct {
	fromDialer bool
	data       []byte
}

// recording is one proxied connection. Chunks stand in the order in which the
// proxy read them; each is recorded before it is forwarded, so that an answer
// always stands behind its question.
type recording struct {
	name     string
	splitter func() splitter

	mu     sync.Mutex
	chunks []chunk
	ends   []net.Conn
}

func (r *recording) add(fromDialer bool, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunks = append(r.chunks, chunk{fromDialer, append([]byte(nil), data...)})
}

// cut closes both ends.
func (r *recording) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, end := range r.ends {
		end.Close()
	}
}

// proxy forwards loopback connections to a target and records them.
type proxy struct {
	name     string
	target   string
	splitter func() splitter
	listener net.Listener

	mu         sync.Mutex
	recordings []*recording
}

// newProxy listens on a free port and forwards to target, which may come up later.
func newProxy(name, target string, split func() splitter) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	p := &proxy{name: name, target: target, splitter: split, listener: listener}
	go p.accept()
	return p, nil
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		inner, err := p.listener.Accept()
		if err != nil {
			return
		}
		outer, err := net.Dial("tcp", p.target)
		if err != nil {
			inner.Close()
			continue
		}
		p.mu.Lock()
		r := &recording{
			name:     fmt.Sprintf("%s-%d", p.name, len(p.recordings)+1),
			splitter: p.splitter,
			ends:     []net.Conn{inner, outer},
		}
		p.recordings = append(p.recordings, r)
		p.mu.Unlock()
		go forward(r, true, inner, outer)
		go forward(r, false, outer, inner)
	}
}

func forward(r *recording, fromDialer bool, from, to net.Conn) {
	defer r.cut()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			r.add(fromDialer, buffer[:n])
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cutAll closes the connections that are open now; new ones are accepted.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.recordings {
		r.cut()
	}
}

// close stops the proxy and gives what it recorded.
func (p *proxy) close() []*recording {
	p.listener.Close()
	p.cutAll()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recordings
}

// recordedConn records what passes through a connection that this program
// itself dialled, in the same form as a proxy does.
type recordedConn struct {
	net.Conn
	recording *recording
}

func dialRecorded(name, addr string, split func() splitter) (*recordedConn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", name, err)
	}
	r := &recording{name: name, splitter: split, ends: []net.Conn{conn}}
	return &recordedConn{Conn: conn, recording: r}, nil
}

// Read records what it read.
func (c *recordedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.recording.add(false, b[:n])
	}
	return n, err
}

// Write records what it wrote.
func (c *recordedConn) Write(b []byte) (int, error) {
	c.recording.add(true, b)
	return c.Conn.Write(b)
}

var _ io.ReadWriteCloser = (*recordedConn)(nil)
