package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"zoolab/zk/jute"
)

const (
	// patience is how long a server may take for anything that it must do.
	patience = 60 * time.Second
	// quiet is after how long without an answer a ping asks whether one will come.
	quiet = 2 * time.Second
	// maxFrameBytes is above what a server may send.
	maxFrameBytes = 16 << 20
)

// errClosed says that the server closed the connection.
var errClosed = errors.New("closed")

// conn is one connection of a script.
type conn struct {
	name     string
	net      net.Conn
	session  int64 // 0 without one
	passwd   []byte
	xid      int32
	ended    bool       // the server closed it, which was noted, or the script dropped it
	silent   bool       // not to be pinged: the script said so, or half a frame was sent
	unsent   []byte     // frames put off by send
	awaiting []*request // what they ask
	xids     []int32
}

func dial(name, addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &conn{name: name, net: c}, nil
}

func frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// write sends bytes. That the server closed already shows when reading.
func (c *conn) write(b []byte) {
	_ = c.net.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.net.Write(b)
}

// read returns the next frame: errClosed at the connection's end, os.ErrDeadlineExceeded when
// there was none in time.
func (c *conn) read(timeout time.Duration) ([]byte, error) {
	_ = c.net.SetReadDeadline(time.Now().Add(timeout))
	var head [4]byte
	n, err := io.ReadFull(c.net, head[:])
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, os.ErrDeadlineExceeded
	}
	if err != nil {
		return nil, errClosed
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrameBytes {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	b := make([]byte, size)
	_ = c.net.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c.net, b); err != nil {
		return nil, errClosed
	}
	return b, nil
}

// xidOf returns a reply's xid.
func xidOf(reply []byte) int32 {
	if len(reply) < 4 {
		return 0
	}
	return int32(binary.BigEndian.Uint32(reply))
}

// number gives a request its xid and returns its frame.
func (c *conn) number(r *request) (int32, []byte) {
	xid := r.xid
	if !r.ownXid {
		c.xid++
		xid = c.xid
	}
	h := jute.RequestHeader{Xid: xid, Type: r.code}
	return xid, frame(append(jute.Marshal(&h), r.body...))
}

// pingFrame is what asks a session for a sign of life.
var pingFrame = frame(jute.Marshal(&jute.RequestHeader{Xid: jute.XidPing, Type: jute.OpPing}))
