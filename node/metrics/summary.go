package metrics

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// Counter only rises, until Metrics.Reset. The zero value is ready to use.
type Counter struct {
	value atomic.Int64
	// more has further parts of a counter that is written for every request.
	more []paddedCount
}

// paddedCount fills a cache line of its own.
type paddedCount struct {
	value atomic.Int64
	_     [7]int64
}

// Add counts n more.
func (c *Counter) Add(n int64) { c.value.Add(n) }

// AddAt is Add for one of many writers, who should each use their own shard.
func (c *Counter) AddAt(shard int, n int64) {
	if len(c.more) == 0 {
		c.value.Add(n)
		return
	}
	c.more[shard&(len(c.more)-1)].value.Add(n)
}

// Load returns the count.
func (c *Counter) Load() int64 {
	sum := c.value.Load()
	for i := range c.more {
		sum += c.more[i].value.Load()
	}
	return sum
}

// shard spreads a counter over n parts, a power of two. It must come before the first use.
func (c *Counter) shard(n int) { c.more = make([]paddedCount, n) }

func (c *Counter) reset() {
	c.value.Store(0)
	for i := range c.more {
		c.more[i].value.Store(0)
	}
}

// Summary keeps number, sum, extremes and the distribution of what it observed. The zero
// value is ready to use. Times are observed in microseconds and shown in milliseconds.
type Summary struct {
	one part
	// more has further parts of a summary that is written for every request.
	more []part
}

// part is what one shard observed. It fills cache lines of its own.
type part struct {
	count, sum atomic.Int64
	least      atomic.Int64 // plus one, so that zero means none yet
	most       atomic.Int64
	recent     atomic.Pointer[window]
	_          [3]int64
}

// Observe adds a value. Negative ones, which a clock that was set back can cause, count as 0.
func (s *Summary) Observe(v int64) { s.one.observe(v) }

// ObserveAt is Observe for one of many writers, who should each use their own shard.
func (s *Summary) ObserveAt(shard int, v int64) {
	if len(s.more) == 0 {
		s.one.observe(v)
		return
	}
	s.more[shard&(len(s.more)-1)].observe(v)
}

// ObserveAll adds n values with this sum and these extremes. Quantiles don't see them.
func (s *Summary) ObserveAll(n, sum, least, most int64) { s.one.add(n, sum, least, most) }

func (p *part) add(n, sum, least, most int64) {
	p.count.Add(n)
	p.sum.Add(sum)
	for old := p.least.Load(); (old == 0 || least+1 < old) && !p.least.CompareAndSwap(old, least+1); old = p.least.Load() {
	}
	for old := p.most.Load(); most > old && !p.most.CompareAndSwap(old, most); old = p.most.Load() {
	}
}

func (p *part) observe(v int64) {
	v = max(v, 0)
	p.add(1, v, v, v)
	w := p.recent.Load()
	if w == nil {
		// Most summaries never observe anything, and need no memory for it.
		p.recent.CompareAndSwap(nil, new(window))
		w = p.recent.Load()
	}
	w.now().counts[bucketOf(v)].Add(1)
}

// window has the distribution of the current and of the last span of time: see Rotate.
type window struct {
	current atomic.Uint32
	spans   [2]span
}

type span struct{ counts [buckets]atomic.Uint32 }

func (w *window) now() *span { return &w.spans[w.current.Load()&1] }

func (w *window) rotate() {
	next := w.current.Load() + 1
	old := &w.spans[next&1]
	for i := range old.counts {
		old.counts[i].Store(0)
	}
	w.current.Store(next)
}

// Buckets are exact below subBuckets, and then subBuckets for every power of two: a
// quantile is off by at most 1/(2*subBuckets) of its value.
const (
	subBits    = 4
	subBuckets = 1 << subBits
	maxBits    = 40 // larger values, above 12 days in microseconds, share the last bucket
	buckets    = (maxBits-subBits)*subBuckets + subBuckets
)

func bucketOf(v int64) int {
	if v < subBuckets {
		return int(v)
	}
	exponent := bits.Len64(uint64(v)) - subBits - 1
	if exponent >= maxBits-subBits {
		return buckets - 1
	}
	return exponent<<subBits + int(v>>exponent)
}

// middleOf returns the value that stands for a bucket.
func middleOf(bucket int) float64 {
	if bucket < 2*subBuckets {
		return float64(bucket)
	}
	exponent := bucket>>subBits - 1
	low := int64(bucket-exponent<<subBits) << exponent
	return float64(low) + float64(int64(1)<<exponent-1)/2
}

// Figures is what a summary shows: values in the unit in which they were observed.
type Figures struct {
	Count, Sum  int64
	Least, Most int64 // 0 before the first
	counts      []uint64
	inWindow    uint64
}

// Mean returns the mean, 0 before the first value.
func (f *Figures) Mean() float64 {
	if f.Count == 0 {
		return 0
	}
	return float64(f.Sum) / float64(f.Count)
}

// Quantile returns the value below which the fraction q of the values of the last minutes
// lies (see Rotate), 0 if there is none. It is never outside of Least and Most.
func (f *Figures) Quantile(q float64) float64 {
	rank := uint64(math.Ceil(q * float64(f.inWindow)))
	var seen uint64
	for bucket, n := range f.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(max(middleOf(bucket), float64(f.Least)), float64(f.Most))
		}
	}
	return 0
}

// Figures reads the summary. Values that are observed meanwhile may be in it in part.
func (s *Summary) Figures() Figures {
	f := Figures{Least: math.MaxInt64}
	for _, p := range s.parts() {
		f.Count += p.count.Load()
		f.Sum += p.sum.Load()
		if least := p.least.Load(); least > 0 {
			f.Least = min(f.Least, least-1)
		}
		f.Most = max(f.Most, p.most.Load())
		w := p.recent.Load()
		if w == nil {
			continue
		}
		if f.counts == nil {
			f.counts = make([]uint64, buckets)
		}
		for i := range f.counts {
			n := uint64(w.spans[0].counts[i].Load()) + uint64(w.spans[1].counts[i].Load())
			f.counts[i] += n
			f.inWindow += n
		}
	}
	if f.Least == math.MaxInt64 {
		f.Least = 0
	}
	return f
}

func (s *Summary) parts() []*part {
	parts := make([]*part, 0, 1+len(s.more))
	parts = append(parts, &s.one)
	for i := range s.more {
		parts = append(parts, &s.more[i])
	}
	return parts
}

// shard spreads a summary over n parts, a power of two. It must come before the first use.
func (s *Summary) shard(n int) { s.more = make([]part, n) }

func (s *Summary) reset() {
	for _, p := range s.parts() {
		p.count.Store(0)
		p.sum.Store(0)
		p.least.Store(0)
		p.most.Store(0)
		p.recent.Store(nil)
	}
}

func (s *Summary) rotate() {
	for _, p := range s.parts() {
		if w := p.recent.Load(); w != nil {
			w.rotate()
		}
	}
}
