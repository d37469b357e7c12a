package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestBuckets(t *testing.T) {
	last := -1
	for _, v := range []int64{0, 1, 15, 16, 17, 31, 32, 33, 1000, 1 << 20, 1<<40 - 1, 1 << 40, math.MaxInt64} {
		bucket := bucketOf(v)
		if bucket < last || bucket >= buckets {
			t.Fatalf("%d is in bucket %d of %d, after %d", v, bucket, buckets, last)
		}
		last = bucket
		if middle := middleOf(bucket); v < 1<<40 && math.Abs(middle-float64(v)) > float64(v)/subBuckets {
			t.Errorf("%d is shown as %v", v, middle)
		}
	}
	for v := range int64(5000) {
		if bucketOf(v) > bucketOf(v+1) || bucketOf(v+1)-bucketOf(v) > 1 {
			t.Fatalf("buckets of %d and %d: %d, %d", v, v+1, bucketOf(v), bucketOf(v+1))
		}
	}
}

func TestSummary(t *testing.T) {
	m := New(4)
	var all sync.WaitGroup
	for shard := range 4 {
		all.Go(func() {
			for v := range int64(1000) {
				m.ReadLatency.ObserveAt(shard, 1000*(v+1))
			}
		})
	}
	all.Wait()
	f := m.ReadLatency.Figures()
	if f.Count != 4000 || f.Sum != 4*1000*1001/2*1000 || f.Least != 1000 || f.Most != 1_000_000 {
		t.Errorf("figures %+v", f)
	}
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
		if got := f.Quantile(q); math.Abs(got-q*1e6) > q*1e6/subBuckets {
			t.Errorf("quantile %v is %v", q, got)
		}
	}
	var empty Summary
	empty.Observe(-5)
	if f := empty.Figures(); f.Count != 1 || f.Sum != 0 || f.Least != 0 || f.Most != 0 || f.Quantile(0.5) != 0 {
		t.Errorf("a clock that was set back: %+v", f)
	}
}

// TestQuantilesForget: they show the current and the last span of time, the rest stays.
func TestQuantilesForget(t *testing.T) {
	m := New(1)
	for range 100 {
		m.Fsync.Observe(10)
	}
	m.Rotate()
	for range 50 {
		m.Fsync.Observe(1000)
	}
	median := func() float64 { f := m.Fsync.Figures(); return f.Quantile(0.5) }
	if got := median(); got != 10 {
		t.Errorf("the median of both spans is %v", got)
	}
	m.Rotate()
	if got := median(); got < 950 || got > 1050 {
		t.Errorf("the median of the last span is %v", got)
	}
	if f := m.Fsync.Figures(); f.Count != 150 || f.Least != 10 {
		t.Errorf("what stays: %+v", f)
	}
	m.Reset()
	if f := m.Fsync.Figures(); f.Count != 0 || f.Sum != 0 || f.Most != 0 || f.Quantile(0.5) != 0 {
		t.Errorf("after Reset: %+v", f)
	}
}

func TestSetIsBounded(t *testing.T) {
	var s SummarySet
	for i := range 3 * maxKeys {
		s.At(fmt.Sprint("key", i)).Observe(1)
	}
	keys, summaries := s.all()
	if len(keys) != maxKeys+1 || !slices.Contains(keys, OtherKey) {
		t.Fatalf("%d keys", len(keys))
	}
	if f := summaries[slices.Index(keys, OtherKey)].Figures(); f.Count != 2*maxKeys {
		t.Errorf("%d values under %s", f.Count, OtherKey)
	}
}

// TestTable: every field of Metrics is in the table, once, and times in microseconds are
// shown in milliseconds.
func TestTable(t *testing.T) {
	m := New(2)
	m.Commits.Add(3)
	m.Fsync.Observe(1500)
	m.DiskBatch.Observe(7)
	m.ReadPerNamespace.At("a").Observe(70)
	var got []string
	names := make(map[string]bool)
	m.Each(func(v *Value) {
		if name := v.Key + v.Name; names[name] {
			t.Errorf("%s comes twice", name)
		} else {
			names[name] = true
		}
		if v.Count > 0 {
			got = append(got, fmt.Sprint(v.Key, v.Name, " ", v.Count, v.Sum, v.Mean, v.Least, v.Most))
		}
	})
	want := "commit_count 3 0 0 0 0;fsynctime 1 1.5 1.5 1.5 1.5;sync_processor_batch_size 1 7 7 7 7;aread_per_namespace 1 70 70 70 70"
	if strings.Join(got, ";") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ";"), want)
	}
	if len(names) != 47+41+23+1 {
		t.Errorf("%d metrics", len(names))
	}
}

func BenchmarkObserve(b *testing.B) {
	m := New(2)
	b.ReportAllocs()
	for i := range b.N {
		m.ReadLatency.ObserveAt(1, int64(i&1023))
	}
}
