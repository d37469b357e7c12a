package apache

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestPortsAreReserved: neither this process nor another is given a port twice, and none on
// which somebody listens.
func TestPortsAreReserved(t *testing.T) {
	const variable = "APACHE_TEST_PORTS"
	give := func(count int) (text []string) {
		ports, err := FreePorts(count)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			text = append(text, fmt.Sprint(port))
		}
		return text
	}
	if os.Getenv(variable) != "" {
		fmt.Println("gives " + strings.Join(give(20), " "))
		return
	}
	given := make(map[string]bool)
	take := func(ports []string) {
		t.Helper()
		for _, port := range ports {
			if given[port] {
				t.Errorf("port %s is given twice", port)
			}
			given[port] = true
		}
	}
	take(give(1))
	for range 2 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestPortsAreReserved$")
		cmd.Env = append(os.Environ(), variable+"=1")
		out, err := cmd.CombinedOutput()
		_, rest, found := strings.Cut(string(out), "gives ")
		if err != nil || !found {
			t.Fatalf("another process: %v\n%s", err, out)
		}
		line, _, _ := strings.Cut(rest, "\n")
		// What the other had is free again when it has ended.
		for _, port := range strings.Fields(line) {
			if given[port] {
				t.Errorf("port %s is given to two processes", port)
			}
		}
	}
	take(give(blockPorts)) // more than what is left of the block
	reserved.Lock()
	next := reserved.blocks[reserved.used/blockPorts].lowest + reserved.used%blockPorts
	reserved.Unlock()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", next))
	if err != nil {
		t.Skip(err) // somebody has it already
	}
	defer listener.Close()
	if ports := give(1); ports[0] == fmt.Sprint(next) {
		t.Errorf("port %d is given although somebody listens", next)
	}
}
