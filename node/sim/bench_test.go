package sim

import "testing"

// BenchmarkSeed measures what a seed costs: 5,000 of them must be done in minutes.
func BenchmarkSeed(b *testing.B) {
	seed := uint64(0)
	for b.Loop() {
		seed++
		Run(Options{Seed: seed})
	}
}
