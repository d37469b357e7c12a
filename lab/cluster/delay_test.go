package cluster

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zoolab/nemesis"
)

// TestDelayLine sends numbered datagrams through a queue: they come late and in their
// order, or some of them early, and without delay once nobody has the queue open.
func TestDelayLine(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("needs a network namespace of its own: %v", err)
	}
	rule := "ip link set lo up && iptables -A OUTPUT -p udp " + queueRule(0)
	if out, err := exec.Command("sh", "-c", rule).CombinedOutput(); err != nil {
		t.Skipf("needs NFQUEUE: %v: %s", err, out)
	}
	namespace, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	receiver, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	sender, err := net.DialUDP("udp4", nil, receiver.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()

	const delay, jitter, count = 60 * time.Millisecond, 20 * time.Millisecond, 50
	line, err := openDelayLine(namespace, queueNumber(0), nemesis.Shape{DelayMs: 60, JitterMs: 20})
	if err != nil {
		t.Fatal(err)
	}
	order, least := exchange(t, sender, receiver, count)
	if !slices.IsSorted(order) || least < delay-jitter {
		t.Errorf("delayed by 60 ms or 20 less: arrived as %v, the first after %s", order, least)
	}
	line.shape.Store(&nemesis.Shape{DelayMs: 60, ReorderPercent: 50})
	if order, _ := exchange(t, sender, receiver, count); slices.IsSorted(order) || line.overtook.Load() == 0 {
		t.Errorf("of %v, %d are said to have overtaken others", order, line.overtook.Load())
	}
	line.shape.Store(&nemesis.Shape{DelayMs: 60_000})
	for range 3 { // one that is waited for, one behind it, and one that may not have come so far
		if _, err := sender.Write([]byte{count}); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); len(line.held) < 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	line.close()
	if err := receiver.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := receiver.Read(make([]byte, 1)); err != nil {
			t.Errorf("what was held did not go on when the line ended: %v", err)
		}
	}
	if order, _ := exchange(t, sender, receiver, count); !slices.IsSorted(order) {
		t.Errorf("without a line: %v", order)
	}
}

// exchange sends datagrams and receives them; least is the shortest time that one took.
func exchange(t *testing.T, sender, receiver *net.UDPConn, count int) (order []int, least time.Duration) {
	t.Helper()
	sent := make([]time.Time, count)
	for i := range count {
		sent[i] = time.Now()
		if _, err := sender.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	least = time.Hour
	for len(order) < count {
		if err := receiver.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := receiver.Read(b[:]); err != nil {
			t.Fatalf("after %d of %d: %v", len(order), count, err)
		}
		if int(b[0]) >= count {
			continue // it was sent before
		}
		order = append(order, int(b[0]))
		least = min(least, time.Since(sent[b[0]]))
	}
	return order, least
}
