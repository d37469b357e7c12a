package zk_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// answerer is a server that answers every request alike and allocates nothing, so that
// a benchmark measures the client.
func answerer(b testing.TB, body jute.Record) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r, w := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 64<<10)
		response := jute.ReadOnlyConnectResponse{HasReadOnly: true}
		// So long that a client that stands still on a busy machine has not lost it.
		response.SessionID, response.TimeoutMs, response.Passwd = 1, 60_000, make([]byte, 16)
		greeting := jute.Marshal(&response)
		head := make([]byte, 12)
		for answer, first := append(jute.AppendInt32(nil, int32(len(greeting))), greeting...), true; ; first = false {
			if _, err := io.ReadFull(r, head); err != nil {
				return
			}
			if _, err := r.Discard(int(binary.BigEndian.Uint32(head)) - 8); err != nil {
				return
			}
			if !first {
				copy(answer[4:], head[4:8]) // the xid
			}
			_, _ = w.Write(answer)
			if r.Buffered() == 0 {
				w.Flush()
			}
			if first {
				header := jute.ReplyHeader{Zxid: 1}
				frame := body.Append(header.Append(nil))
				answer = append(jute.AppendInt32(nil, int32(len(frame))), frame...)
			}
		}
	}()
	return listener.Addr().String()
}

func benchmark(b *testing.B, body jute.Record, call func(c *zk.Client) error) {
	run := func(b *testing.B, callers int) {
		c, err := zk.Connect(b.Context(), answerer(b, body))
		if err != nil {
			b.Fatal(err)
		}
		defer c.Detach()
		var failures atomic.Int64
		b.ReportAllocs()
		b.SetParallelism(callers)
		b.ResetTimer()
		if callers == 1 {
			for b.Loop() {
				if err := call(c); err != nil {
					b.Fatal(err)
				}
			}
			return
		}
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if call(c) != nil {
					failures.Add(1)
				}
			}
		})
		if failures.Load() > 0 {
			b.Errorf("%d calls failed", failures.Load())
		}
	}
	b.Run("alone", func(b *testing.B) { run(b, 1) })
	b.Run("pipelined", func(b *testing.B) { run(b, 64) })
}

func BenchmarkGet(b *testing.B) {
	benchmark(b, &jute.GetDataResponse{Data: make([]byte, 1024)}, func(c *zk.Client) error {
		_, err := c.Get(b.Context(), "/a")
		return err
	})
}

func BenchmarkSet(b *testing.B) {
	data := make([]byte, 1024)
	benchmark(b, &jute.SetDataResponse{}, func(c *zk.Client) error {
		_, err := c.Set(b.Context(), "/a", data, zk.AnyVersion)
		return err
	})
}

// TestAllocations holds what a call costs: itself, and the data that it returns.
func TestAllocations(t *testing.T) {
	c, err := zk.Connect(t.Context(), answerer(t, &jute.GetDataResponse{Data: make([]byte, 1024)}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	allocations := testing.AllocsPerRun(1000, func() {
		if _, err := c.Get(t.Context(), "/a"); err != nil {
			t.Error(err)
		}
	})
	if allocations > 2 {
		t.Errorf("a Get makes %.0f allocations, want at most 2", allocations)
	}
}
