package main

import "testing"

func TestCollectorPercent(t *testing.T) {
	for _, test := range []struct {
		liveBytes uint64
		want      int
	}{
		{0, 800}, {2 << 20, 800}, {3 << 20, 400}, {6 << 20, 200}, {16 << 20, 100}, {1 << 30, 100},
	} {
		if got := collectorPercent(test.liveBytes); got != test.want {
			t.Errorf("collectorPercent(%d) = %d, want %d", test.liveBytes, got, test.want)
		}
	}
}
