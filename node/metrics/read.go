package metrics

import "math"

// Value is a metric as it is shown.
type Value struct {
	Name string
	// Key is the member of a set that this is; "" for a metric that is no set.
	Key  string
	Kind Kind
	// Count is a counter's value, or how many values a summary has observed.
	Count int64
	// The rest is of a summary, in the unit that its name promises: milliseconds for times.
	Sum, Mean, Least, Most float64
	figures                *Figures
	scale                  float64
}

// Quantile returns the value below which the fraction q of the values of the last five to
// ten minutes lies.
func (v *Value) Quantile(q float64) float64 {
	if v.figures == nil {
		return 0
	}
	return v.figures.Quantile(q) / v.scale
}

// Each calls f for every metric, in Apache's order: counters, summaries, those with
// quantiles, sets.
func (m *Metrics) Each(f func(*Value)) {
	for i := range m.table {
		e := &m.table[i]
		if e.summaries == nil {
			f(e.value("", e.counter, e.summary))
			continue
		}
		keys, summaries := e.summaries.all()
		for i, key := range keys {
			f(e.value(key, nil, summaries[i]))
		}
	}
}

func (e *entry) value(key string, c *Counter, s *Summary) *Value {
	v := &Value{Name: e.name, Key: key, Kind: e.kind, scale: e.scale}
	switch {
	case c != nil:
		v.Count = c.Load()
	case s != nil:
		figures := s.Figures()
		v.figures = &figures
		v.Count, v.Sum, v.Mean = figures.Count, float64(figures.Sum)/e.scale, figures.Mean()/e.scale
		v.Least, v.Most = float64(figures.Least)/e.scale, float64(figures.Most)/e.scale
	}
	return v
}

// Latency returns the figures of all requests' latency in milliseconds: reads and writes.
func (m *Metrics) Latency() (least, mean, most float64) {
	reads, writes := m.ReadLatency.Figures(), m.UpdateLatency.Figures()
	n := reads.Count + writes.Count
	if n == 0 {
		return 0, 0, 0
	}
	first := int64(math.MaxInt64)
	for _, f := range []*Figures{&reads, &writes} {
		if f.Count > 0 {
			first = min(first, f.Least)
		}
	}
	return float64(first) / micros, float64(reads.Sum+writes.Sum) / float64(n) / micros, float64(max(reads.Most, writes.Most)) / micros
}

// Reset sets everything to 0, as the word srst asks for.
func (m *Metrics) Reset() { m.change((*Counter).reset, (*Summary).reset) }

// Rotate begins a new span of time for quantiles, which show the current and the last
// one. Call it every SpanSeconds.
func (m *Metrics) Rotate() { m.change(func(*Counter) {}, (*Summary).rotate) }

// SpanSeconds is how often Rotate is to be called.
const SpanSeconds = 300

func (m *Metrics) change(counter func(*Counter), summary func(*Summary)) {
	for _, c := range []*Counter{&m.PacketsReceived, &m.PacketsSent, &m.AuthFailures} {
		counter(c)
	}
	for i := range m.table {
		e := &m.table[i]
		if e.counter != nil {
			counter(e.counter)
		}
		if e.summary != nil {
			summary(e.summary)
		}
		if e.summaries != nil {
			_, all := e.summaries.all()
			for _, s := range all {
				summary(s)
			}
		}
	}
}
