//go:build !race

package sim

// raceEnabled tells tests that everything takes ten times as long.
const raceEnabled = false
