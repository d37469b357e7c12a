package zk

import (
	"fmt"
	"math/rand/v2"

	"zoolab/zk/jute"
)

// Rebalance tells what a client of the server does when its list of servers changes.
func Rebalance(rng *rand.Rand, before, after []string, server string) (next string, moved bool) {
	hosts := newHostList(rng, before)
	if !hosts.update(rng, after, server) {
		return "", false
	}
	return hosts.nextServer(rng), true
}

// WatchMany makes a table of data watches, and gives what fires one and what sets all.
func WatchMany(count int) (fire func(i int) bool, frames func() []*jute.SetWatches2) {
	table := newWatchTable()
	path := func(i int) string { return fmt.Sprintf("/services/group-%d/node-%d", i%100, i) }
	channels := make([]chan Event, count)
	for i := range channels {
		channels[i] = make(chan Event, 1)
		table.add(watchData, path(i), channels[i])
	}
	fire = func(i int) bool {
		table.fire(path(i), Event{Type: EventDataChanged})
		return len(channels[i]) == 1
	}
	return fire, func() []*jute.SetWatches2 { return table.frames(0) }
}
