package report

import (
	"testing"

	"zoolab/workloads"
)

// longRun has more operations than a timeline carries; every failEvery-th fails.
func longRun(operations, failEvery int) *run {
	r := &run{endNs: int64(operations) * msNs}
	for i := range operations {
		op := operation{index: 2 * i, end: 2*i + 1, closed: true, startNs: int64(i) * msNs, endNs: int64(i)*msNs + msNs}
		if i%failEvery == 0 {
			op.outcome = outcomeFail
		}
		r.ops = append(r.ops, op)
	}
	return r
}

// TestSampleKeepsWhatMatters looks for the operations of a violation and of failures
// in a sample, and whether the weights count as many as there were.
func TestSampleKeepsWhatMatters(t *testing.T) {
	for _, failEvery := range []int{1000, 1} {
		r := longRun(1_000_000, failEvery)
		results := []workloads.Result{{Failures: []workloads.Failure{{Ops: []int{2 * 777}, Steps: []workloads.Step{{Op: 2 * 999_999}}}}}}
		s := sampleOf(r, results)
		if len(s.ops) > maxTimelineOps+2 || len(s.ops) < maxTimelineOps/4 || s.note == "" {
			t.Errorf("the sample has %d operations, want at most %d and not far fewer", len(s.ops), maxTimelineOps)
		}
		total, fails := 0, 0
		found := make(map[int]bool)
		for i := range s.ops {
			total += s.weights[i]
			found[s.ops[i].index] = true
			if s.ops[i].outcome == outcomeFail {
				fails++
			}
		}
		if off := total - len(r.ops); off < -10 || off > 20 {
			t.Errorf("the weights count %d operations, want about %d", total, len(r.ops))
		}
		if !found[2*777] || !found[2*999_999] {
			t.Error("an operation of the violation is left out")
		}
		if failEvery == 1000 && fails != 1000 {
			t.Errorf("%d of 1000 failed operations were kept, want all", fails)
		}
	}
	short := longRun(100, 7)
	if s := sampleOf(short, nil); len(s.ops) != 100 || s.note != "" || s.weights[99] != 1 {
		t.Errorf("a short history was sampled: %d operations, %q", len(s.ops), s.note)
	}
}
