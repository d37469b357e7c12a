// Package sock writes to sockets without waiting.
//
// An event loop may not block, nor may a call whose context can end, yet to hand a few
// bytes to a goroutine that may costs a wake-up, which is more than the write itself.
// Nearly always the socket has room, so the one who has them writes what fits and leaves
// only a rest to the goroutine.
package sock

import (
	"errors"
	"net"
	"syscall"
)

// Writer writes to one socket. Like the connection's Write it is used by one goroutine at
// a time, and not beside Write: it would wait for it.
type Writer struct {
	raw   syscall.RawConn
	write func(fd uintptr) bool // made once: a closure for each write would be garbage
	bytes []byte
	n     int
	err   error
}

// NewWriter returns nil for a connection that is more than a socket, as TLS is.
func NewWriter(c net.Conn) *Writer {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	w := &Writer{raw: raw}
	w.write = func(fd uintptr) bool {
		w.n, w.err = syscall.Write(int(fd), w.bytes)
		return true
	}
	return w
}

// TryWrite writes what the socket takes now and returns how much that was. A full socket
// is no error; neither is a nil Writer, which takes nothing.
func (w *Writer) TryWrite(b []byte) (n int, err error) {
	if w == nil || len(b) == 0 {
		return 0, nil
	}
	w.bytes = b
	err = w.raw.Write(w.write)
	w.bytes = nil
	if err != nil {
		return 0, err
	}
	if errors.Is(w.err, syscall.EAGAIN) || errors.Is(w.err, syscall.EINTR) {
		return 0, nil
	}
	return max(0, w.n), w.err
}
