package sock

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// pair returns two connected sockets.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far
}

// A full socket takes a part, then nothing, without an error and without waiting; what it
// took arrives in order once the peer reads.
func TestFullSocket(t *testing.T) {
	near, far := pair(t)
	w := NewWriter(near)
	var sent []byte
	for full := 0; full < 2; {
		block := bytes.Repeat([]byte{byte(len(sent) >> 16)}, 1<<20)
		n, err := w.TryWrite(block)
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, block[:n]...)
		if full++; n > 0 {
			full = 0
		}
		if len(sent) > 1<<28 {
			t.Fatal("a socket that nobody reads takes everything")
		}
	}
	_ = near.(*net.TCPConn).CloseWrite()
	_ = far.SetReadDeadline(time.Now().Add(30 * time.Second))
	got, err := io.ReadAll(far)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes arrived of %d, or in another order: %v", len(got), len(sent), err)
	}
}

func TestClosedSocket(t *testing.T) {
	near, _ := pair(t)
	w := NewWriter(near)
	_ = near.Close()
	if n, err := w.TryWrite([]byte("x")); err == nil {
		t.Fatalf("wrote %d bytes to a closed connection", n)
	}
}

// What has no descriptor of its own takes nothing, and says so by no error.
func TestNotASocket(t *testing.T) {
	near, _ := net.Pipe()
	if n, err := NewWriter(near).TryWrite([]byte("x")); n != 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
}
