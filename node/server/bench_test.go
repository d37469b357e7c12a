package server

import (
	"bytes"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"zoolab/zk/jute"
)

// The benchmarks report the processors' time for a request beside the clock's, because
// the latter says little on a machine that does other things too.

// BenchmarkReads lets two clients read with 100 requests under way each.
func BenchmarkReads(b *testing.B) {
	pipeline(b, func(xid int32) []byte { return getData(xid, "/a", false) })
}

// BenchmarkWrites is the same with writes, without a disk.
func BenchmarkWrites(b *testing.B) {
	data := make([]byte, 100)
	pipeline(b, func(xid int32) []byte { return setData(xid, "/a", data) })
}

func pipeline(b *testing.B, request func(xid int32) []byte) {
	s := start(b, Config{})
	first := s.connect()
	first.create(1, "/a", make([]byte, 100))
	const clients, depth = 2, 100
	var batch []byte
	for i := range depth {
		batch = append(batch, framed(request(int32(i+2)))...)
	}
	conns := []*client{first, s.connect()}
	b.ReportAllocs()
	b.ResetTimer()
	began := processorTime()
	var all sync.WaitGroup
	for _, c := range conns[:clients] {
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		all.Go(func() {
			answers := newFrames(c)
			for range (b.N + clients*depth - 1) / (clients * depth) {
				if _, err := c.Write(batch); err != nil {
					b.Error(err)
					return
				}
				for range depth {
					if err := answers.skip(); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(processorTime()-began)/float64(b.N), "cpu-ns/op")
}

// frames skips frames without allocating.
type frames struct {
	from io.Reader
	buf  bytes.Buffer
	read []byte
}

func newFrames(r io.Reader) *frames { return &frames{from: r, read: make([]byte, 64<<10)} }

func (f *frames) skip() error {
	for {
		if b := f.buf.Bytes(); len(b) >= 4 {
			if size := int(jute.NewDecoder(b).Int32()); len(b) >= 4+size {
				f.buf.Next(4 + size)
				return nil
			}
		}
		n, err := f.from.Read(f.read)
		if err != nil {
			return err
		}
		f.buf.Write(f.read[:n])
	}
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
