package server

import (
	"math"
	"sync"
)

// ConnectionThrottle bounds how many sessions are asked for in a time. The zero value
// lets everybody in.
type ConnectionThrottle struct {
	// Tokens is what the bucket holds, 0 for no throttle.
	Tokens    int
	FillMs    int // how often tokens come back
	FillCount int // how many then
	// FreezeMs is the least time between two changes of the odds, -1 for no drawing of lots.
	FreezeMs int
	// DropIncrease raises the odds of a refusal while the bucket is empty, DropDecrease
	// lowers them while at most DecreaseRatio of its tokens are missing.
	DropIncrease, DropDecrease, DecreaseRatio float64
	// Weighted says that a session costs its weight instead of one token.
	Weighted bool
	// NewWeight is a new session's, RenewWeight that of one that comes back. Tokens are
	// for sessions of GlobalWeight.
	NewWeight, RenewWeight, GlobalWeight int
	// Draw returns a random number from 0 to below 1.
	Draw func() float64
}

// bucket applies a ConnectionThrottle, by the rules of Apache's: tokens that come back
// with time let bursts pass, and since whoever asks at the wrong moment would be refused
// again and again under lasting load, lots are drawn first once the bucket was empty. The
// odds are those of BLUE queue management.
type bucket struct {
	cfg ConnectionThrottle

	mu       sync.Mutex
	most     int
	fill     int
	tokens   int   // Invariant: 0 <= tokens <= most
	filledMs int64 // when tokens came back last
	oddsMs   int64 // when the odds were looked at last
	odds     float64
}

func (b *bucket) init(cfg ConnectionThrottle, nowMs int64) {
	b.cfg, b.most, b.fill = cfg, cfg.Tokens, cfg.FillCount
	if cfg.Weighted {
		b.most *= cfg.GlobalWeight
		b.fill *= cfg.GlobalWeight
	}
	b.tokens, b.filledMs, b.oddsMs = b.most, nowMs, nowMs
}

// take lets a client in, who comes back with a session or wants a new one, and reports
// how many tokens are missing then. What is refused takes none.
func (b *bucket) take(nowMs int64, renews bool) (deficit int, ok bool) {
	if b.cfg.Tokens == 0 {
		return 0, true
	}
	need := 1
	switch {
	case b.cfg.Weighted && renews:
		need = b.cfg.RenewWeight
	case b.cfg.Weighted:
		need = b.cfg.NewWeight
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if since := nowMs - b.filledMs; since > int64(b.cfg.FillMs) {
		back := float64(since) * float64(b.fill) / float64(b.cfg.FillMs)
		b.tokens += int(min(back, float64(b.most-b.tokens)))
		b.filledMs = nowMs
	}
	if b.cfg.FreezeMs >= 0 && b.unlucky(nowMs) || b.tokens < need {
		return 0, false
	}
	b.tokens -= need
	return b.most - b.tokens, true
}

// unlucky adapts the odds and draws a lot. b.mu is held.
func (b *bucket) unlucky(nowMs int64) bool {
	if nowMs-b.oddsMs > int64(b.cfg.FreezeMs) {
		few := math.Round(float64(b.most) * b.cfg.DecreaseRatio)
		switch {
		case b.tokens == 0:
			b.odds = min(b.odds+b.cfg.DropIncrease, 1)
		case float64(b.most-b.tokens) <= few:
			b.odds = max(b.odds-b.cfg.DropDecrease, 0)
		}
		b.oddsMs = nowMs
	}
	return b.cfg.Draw() < b.odds
}

// refusals returns the odds that the next client is refused.
func (b *bucket) refusals() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.odds
}
