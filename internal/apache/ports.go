package apache

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Ports are given out from below those that the kernel gives to outgoing connections: a port
// from there may be borrowed by anybody's connection before its server listens. Each process
// takes them from blocks of its own, so that tests of several packages, which go test runs side
// by side, never get the same: a server may need ten seconds until it listens, and listens
// again on the same port when it is started again.
const (
	lowestPort, highestPort = 10_000, 32_000
	blockPorts              = 100
)

// reserved are the ports of this process. A block is claimed by a lock on a file, which the
// kernel gives back when the process ends, however it ends.
var reserved struct {
	sync.Mutex
	blocks []block
	used   int // ports given out so far, of all blocks
}

type block struct {
	lowest int
	lock   *os.File // kept, since its end would give the block back
}

// FreePorts gives count distinct loopback ports on which nobody listens. No other process that
// asks here is given them before this one ends.
func FreePorts(count int) ([]int, error) {
	reserved.Lock()
	defer reserved.Unlock()
	ports := make([]int, 0, count)
	for tries := 0; len(ports) < count; tries++ {
		if tries > highestPort-lowestPort {
			return nil, fmt.Errorf("find %d free ports between %d and %d: all are taken", count, lowestPort, highestPort)
		}
		port, err := nextPort()
		if err != nil {
			return nil, err
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // somebody's who does not ask here
		}
		_ = listener.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

// nextPort gives the port after the one before, of one more block when all are used, or of the
// first again when there is no block left. The lock of reserved is held.
func nextPort() (int, error) {
	if reserved.used == len(reserved.blocks)*blockPorts {
		claimed, err := claimBlock()
		switch {
		case err == nil:
			reserved.blocks = append(reserved.blocks, claimed)
		case len(reserved.blocks) == 0:
			return 0, err
		default:
			reserved.used = 0
		}
	}
	port := reserved.blocks[reserved.used/blockPorts].lowest + reserved.used%blockPorts
	reserved.used++
	return port, nil
}

// claimBlock locks the first block that no process has.
func claimBlock() (block, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("zoolab-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return block{}, fmt.Errorf("reserve ports: %w", err)
	}
	for lowest := lowestPort; lowest+blockPorts <= highestPort; lowest += blockPorts {
		lock, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(lowest)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return block{}, fmt.Errorf("reserve ports: %w", err)
		}
		if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return block{lowest, lock}, nil
		}
		_ = lock.Close()
	}
	return block{}, fmt.Errorf("reserve ports: other processes have all between %d and %d", lowestPort, highestPort)
}
