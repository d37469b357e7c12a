package server

import (
	"sync"
	"sync/atomic"
	"time"

	"zoolab/node/metrics"
	"zoolab/zk/jute"
)

// Stats counts what passes through the client port: in the server's metrics, but for the
// sizes of answers. All methods are safe for concurrent use.
type Stats struct {
	m *metrics.Metrics

	handshakes atomic.Int64 // under way

	answerLastBytes atomic.Int64 // plus one, so that zero means none yet, as are the next two
	answerMinBytes  atomic.Int64
	answerMaxBytes  atomic.Int64
}

func raise(most *atomic.Int64, v int64) {
	for old := most.Load(); v > old && !most.CompareAndSwap(old, v); old = most.Load() {
	}
}

// lower keeps the least of values above zero; zero means none yet.
func lower(least *atomic.Int64, v int64) {
	for old := least.Load(); (old == 0 || v < old) && !least.CompareAndSwap(old, v); old = least.Load() {
	}
}

// observe counts an answered request.
func (s *Stats) observe(shard int, write bool, latency time.Duration) {
	summary := &s.m.ReadLatency
	if write {
		summary = &s.m.UpdateLatency
	}
	summary.ObserveAt(shard, latency.Microseconds())
}

// observeAnswer counts a frame to a client; size is that of its body and header.
func (s *Stats) observeAnswer(shard, sizeBytes int) {
	s.m.PacketsSent.AddAt(shard, 1)
	s.m.ResponseBytes.AddAt(shard, int64(sizeBytes))
	size := int64(sizeBytes) + 1
	// All connections share this line: it is written only when that changes something.
	if s.answerLastBytes.Load() != size {
		s.answerLastBytes.Store(size)
	}
	raise(&s.answerMaxBytes, size)
	lower(&s.answerMinBytes, size)
}

// Handshakes returns how many TLS handshakes are under way.
func (s *Stats) Handshakes() int64 { return s.handshakes.Load() }

// AnswerBytes returns the sizes of the last, the smallest and the largest frame to a
// client, -1 before the first.
func (s *Stats) AnswerBytes() (last, least, most int64) {
	return s.answerLastBytes.Load() - 1, s.answerMinBytes.Load() - 1, s.answerMaxBytes.Load() - 1
}

// ResetAnswerBytes forgets the sizes.
func (s *Stats) ResetAnswerBytes() {
	for _, v := range []*atomic.Int64{&s.answerLastBytes, &s.answerMinBytes, &s.answerMaxBytes} {
		v.Store(0)
	}
}

// connStats is what a connection remembers of its requests. Its connection's lock guards it.
type connStats struct {
	sent         int64
	lastOp       jute.OpCode // of the last answered request; 0 before the first, forgotten after reset
	lastXid      int32       // of a client's request, likewise 0 and -1
	lastZxid     int64       // that an answer showed, likewise 0 and -1
	lastAnswer   time.Time   // zero before the first
	answered     int64
	lastUs       int64
	leastUs      int64 // 0 before the first
	mostUs       int64
	latencySumUs int64
}

func (cs *connStats) reset() { *cs = connStats{lastOp: forgotten, lastXid: -1, lastZxid: -1} }

// forgotten stands for the operation before a reset.
const forgotten = jute.OpError

func (cs *connStats) observe(now time.Time, latency time.Duration) {
	us := latency.Microseconds()
	if cs.answered == 0 {
		cs.leastUs = us
	}
	cs.answered++
	cs.lastAnswer, cs.lastUs = now, us
	cs.leastUs, cs.mostUs = min(cs.leastUs, us), max(cs.mostUs, us)
	cs.latencySumUs += us
}

// namespaces sums up what the requests of one connection read, so that not every one of
// them writes to a metric that all connections share.
type namespaces struct {
	all     *metrics.SummarySet
	name    string
	summary *metrics.Summary // of name

	count, sum, least, most int64 // not yet given to summary
}

// flushReads bounds how many reads may wait in namespaces.
const flushReads = 100

// read counts a read of a path and so many bytes.
func (n *namespaces) read(path []byte, sizeBytes int64) {
	name := topOf(path)
	if len(name) == 0 {
		return
	}
	if string(name) != n.name || n.summary == nil {
		n.flush()
		n.name = string(name)
		n.summary = n.all.At(n.name)
	}
	if n.count == 0 {
		n.least = sizeBytes
	}
	n.count++
	n.sum += sizeBytes
	n.least, n.most = min(n.least, sizeBytes), max(n.most, sizeBytes)
	if n.count >= flushReads {
		n.flush()
	}
}

func (n *namespaces) flush() {
	if n.count > 0 {
		n.summary.ObserveAll(n.count, n.sum, n.least, n.most)
	}
	n.count, n.sum, n.least, n.most = 0, 0, 0, 0
}

// topOf returns the first name of a path: "a" of /a/b.
func topOf(path []byte) []byte {
	if len(path) < 2 || path[0] != '/' {
		return nil
	}
	for i, b := range path[1:] {
		if b == '/' {
			return path[1 : 1+i]
		}
	}
	return path[1:]
}

// statBytes is the size of a Stat, which counts as read with every znode.
const statBytes = 68

// readOf tells what a request has read, by its body and by the size of its answer: the
// path and the bytes, as Apache counts them. The path is nil where that does not count.
func readOf(op jute.OpCode, body []byte, answerBytes int) (path []byte, sizeBytes int64) {
	const lengthBytes, headerBytes = 4, 16
	if len(body) < lengthBytes {
		return nil, 0
	}
	n := int(jute.NewDecoder(body).Int32())
	if n <= 0 || n > len(body)-lengthBytes {
		return nil, 0
	}
	path = body[lengthBytes : lengthBytes+n]
	switch op {
	case jute.OpGetData:
		return path, int64(n + answerBytes - headerBytes - lengthBytes)
	case jute.OpExists:
		return path, int64(n + statBytes)
	case jute.OpGetChildren:
		return path, int64(n + answerBytes - headerBytes - lengthBytes + statBytes)
	case jute.OpGetChildren2:
		return path, int64(n + answerBytes - headerBytes - lengthBytes)
	}
	return nil, 0
}

// writes reports whether an operation makes a transaction.
func writes(op jute.OpCode) bool {
	switch op {
	case jute.OpCreate, jute.OpCreate2, jute.OpCreateContainer, jute.OpCreateTTL, jute.OpDelete, jute.OpSetData,
		jute.OpSetACL, jute.OpMulti, jute.OpReconfig, jute.OpCloseSession:
		return true
	}
	return false
}

// sharder deals shards out.
type sharder struct {
	mu   sync.Mutex
	next int
}

func (s *sharder) deal() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.next
}
