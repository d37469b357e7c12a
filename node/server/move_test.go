package server

import (
	"fmt"
	"net"
	"testing"
	"time"

	"zoolab/internal/apache"
)

// TestMove: a port that moves takes new clients at its new address only, and those that are
// connected stay. Where the address is taken it is tried until it is not, unless the port is
// to be elsewhere by then.
func TestMove(t *testing.T) {
	s := start(t, Config{})
	before := s.Addr().String()
	c := s.connect()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.Move(taken.Addr().String())
	eventually(t, "the old port is closed", func() bool { return refuses(before) })
	free, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", free[0])
	s.Move(address)
	eventually(t, "the new port is open", func() bool { return !refuses(address) })
	if got := fmt.Sprint(s.Addr()); got != address {
		t.Errorf("the port says that it is at %s, not %s", got, address)
	}
	c.create(1, "/stays", nil)
	s.connect().create(1, "/comes", nil)
}

// refuses reports whether nobody listens at an address.
func refuses(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return true
	}
	_ = c.Close()
	return false
}
