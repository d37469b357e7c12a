package control

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// notifyVariable names the socket on which a service manager waits to hear that a service
// is ready: systemd's protocol (sd_notify), so units of Type=notify work too.
const notifyVariable = "NOTIFY_SOCKET"

// Ready tells the service manager, if there is one, that the server is ready.
func Ready() error {
	address := os.Getenv(notifyVariable)
	if address == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell %s that the server is ready: %w", notifyVariable, err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("READY=1\n")); err != nil {
		return fmt.Errorf("tell %s that the server is ready: %w", notifyVariable, err)
	}
	return nil
}

// readySocket hears from one server that it is ready.
type readySocket struct {
	address string
	heard   chan struct{} // closed then
	conn    *net.UnixConn
}

// listenReady opens a socket without a file, which needs no directory that both may write.
func listenReady() (*readySocket, error) {
	address := fmt.Sprintf("@zoolab-ready-%d", os.Getpid())
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for the start of the server: %w", err)
	}
	r := &readySocket{address: address, heard: make(chan struct{}), conn: conn}
	go r.listen()
	return r, nil
}

func (r *readySocket) listen() {
	b := make([]byte, 4096)
	for {
		n, _, err := r.conn.ReadFrom(b)
		if err != nil {
			return // it was closed
		}
		for line := range strings.Lines(string(b[:n])) {
			if strings.TrimSpace(line) == "READY=1" {
				close(r.heard)
				return
			}
		}
	}
}

func (r *readySocket) close() { r.conn.Close() }
