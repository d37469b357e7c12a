package server

import (
	"sync/atomic"
	"time"
)

// Stats counts what passes through the client port. All methods are safe for
// concurrent use.
type Stats struct {
	received      atomic.Int64
	sent          atomic.Int64
	receivedBytes atomic.Int64
	sentBytes     atomic.Int64
	rejected      atomic.Int64
	connects      atomic.Int64
	sessionless   atomic.Int64
	authFailed    atomic.Int64

	answered     atomic.Int64
	latencySumUs atomic.Int64
	latencyMaxUs atomic.Int64
	latencyMinUs atomic.Int64 // plus one, so that zero means none yet

	answerLastBytes atomic.Int64 // plus one, as are the next two
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

func (s *Stats) observe(latency time.Duration) {
	us := latency.Microseconds()
	s.answered.Add(1)
	s.latencySumUs.Add(us)
	raise(&s.latencyMaxUs, us)
	lower(&s.latencyMinUs, us+1)
}

// observeAnswer counts a frame to a client; size is that of its body and header.
func (s *Stats) observeAnswer(sizeBytes int) {
	s.sent.Add(1)
	s.sentBytes.Add(int64(sizeBytes))
	size := int64(sizeBytes) + 1
	s.answerLastBytes.Store(size)
	raise(&s.answerMaxBytes, size)
	lower(&s.answerMinBytes, size)
}

// Received counts packets from clients, four-letter words included.
func (s *Stats) Received() int64 { return s.received.Load() }

// Sent counts packets sent to clients, watch events included.
func (s *Stats) Sent() int64 { return s.sent.Load() }

// ReceivedBytes counts the bytes of whole requests, without their lengths.
func (s *Stats) ReceivedBytes() int64 { return s.receivedBytes.Load() }

// SentBytes counts the bytes of answers and events, without their lengths.
func (s *Stats) SentBytes() int64 { return s.sentBytes.Load() }

// Connects counts requests for a session, new or old.
func (s *Stats) Connects() int64 { return s.connects.Load() }

// Sessionless counts connections that were closed because they asked for no session in time.
func (s *Stats) Sessionless() int64 { return s.sessionless.Load() }

// AuthFailed counts clients that failed to prove an identity.
func (s *Stats) AuthFailed() int64 { return s.authFailed.Load() }

// AnswerBytes returns the sizes of the last, the smallest and the largest frame to a
// client, -1 before the first.
func (s *Stats) AnswerBytes() (last, least, most int64) {
	return s.answerLastBytes.Load() - 1, s.answerMinBytes.Load() - 1, s.answerMaxBytes.Load() - 1
}

// Rejected counts connections refused because of a limit.
func (s *Stats) Rejected() int64 { return s.rejected.Load() }

// LatencyMs returns the shortest, mean and longest time from a request's arrival to its
// answer, in milliseconds.
func (s *Stats) LatencyMs() (least, mean, most float64) {
	n := s.answered.Load()
	if n == 0 {
		return 0, 0, 0
	}
	return float64(s.latencyMinUs.Load()-1) / 1000, float64(s.latencySumUs.Load()) / float64(n) / 1000, float64(s.latencyMaxUs.Load()) / 1000
}
