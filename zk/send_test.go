package zk_test

import (
	"bufio"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// pingInterval is that of clients of connectTCP: so long that nothing goes out with a ping.
const pingInterval = 10 * time.Minute

// connectTCP gives a client that is connected by sockets, and the server's end. The writer
// has done what a connection begins with.
func connectTCP(t *testing.T, opts ...zk.Option) (*zk.Client, *peer) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	opts = append([]zk.Option{zk.WithSessionTimeout(3 * pingInterval)}, opts...)
	c, err := zk.New(listener.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn, r: bufio.NewReader(conn)}
	p.welcomeFor(sessionID, 3*pingInterval)
	if err := c.WaitForConnection(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	return c, p
}

// TestFullSocket fills a socket that nobody reads: what callers can't write goes out
// behind it, in order and whole, and they write themselves again afterwards.
func TestFullSocket(t *testing.T) {
	const calls, sizeBytes = 16, 100_000
	const readTimeout = 4 * time.Second // as long may this test stand still on a busy machine
	c, p := connectTCP(t, zk.WithReadTimeout(readTimeout), zk.WithDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, conn.(*net.TCPConn).SetWriteBuffer(sizeBytes / 4)
	}))
	defer leave(c, p)
	if err := p.conn.(*net.TCPConn).SetReadBuffer(sizeBytes / 4); err != nil {
		t.Fatal(err)
	}
	var talk, asked sync.WaitGroup
	quiet := make(chan struct{})
	talk.Go(func() { // or else the client would give up a silent server
		for {
			select {
			case <-time.After(readTimeout / 10):
				p.event(zk.EventCreated, "/x")
			case <-quiet:
				return
			}
		}
	})
	defer talk.Wait()
	defer close(quiet)
	start := time.Now()
	for i := range calls {
		asked.Go(func() {
			data := make([]byte, sizeBytes)
			data[0] = byte(i)
			if _, err := c.Set(t.Context(), "/a", data, zk.AnyVersion); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(readTimeout / 5) // the socket fills
	seen := make(map[byte]bool)
	for i := range calls {
		var request jute.SetDataRequest
		xid := p.request(jute.OpSetData, &request)
		if xid != int32(i+1) || len(request.Data) != sizeBytes {
			t.Fatalf("request %d has the xid %d and %d bytes", i+1, xid, len(request.Data))
		}
		seen[request.Data[0]] = true
		p.reply(xid, 5, 0, &jute.SetDataResponse{})
	}
	asked.Wait()
	if took := time.Since(start); took >= pingInterval/2 {
		t.Errorf("it took %v: what was left went out with a ping", took)
	}
	if len(seen) != calls {
		t.Errorf("%d requests of %d arrived", len(seen), calls)
	}
	time.Sleep(readTimeout * 9 / 8) // no deadline of the writes before may be left
	done := begin(func() error { _, err := c.Get(t.Context(), "/a"); return err })
	p.reply(p.request(jute.OpGetData, nil), 6, 0, &jute.GetDataResponse{})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// countedConn is more than a socket, though there is one in it.
type countedConn struct {
	*net.TCPConn
	writes *atomic.Int32
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.TCPConn.Write(b)
}

// TestDialerSeesWrites checks that nothing goes past the connection of a dialer of one's own.
func TestDialerSeesWrites(t *testing.T) {
	var writes atomic.Int32
	c, p := connectTCP(t, zk.WithDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return countedConn{conn.(*net.TCPConn), &writes}, nil
	}))
	defer leave(c, p)
	for i := range int32(3) {
		done := begin(func() error { _, err := c.Get(t.Context(), "/a"); return err })
		p.reply(p.request(jute.OpGetData, nil), 6, 0, &jute.GetDataResponse{})
		if err := <-done; err != nil || writes.Load() != i+2 {
			t.Errorf("after %d requests the dialer's connection was written to %d times: %v", i+1, writes.Load(), err)
		}
	}
}
