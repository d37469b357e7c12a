package zk

import "math/rand/v2"

// Rebalance tells what a client of the server does when its list of servers changes.
func Rebalance(rng *rand.Rand, before, after []string, server string) (next string, moved bool) {
	hosts := newHostList(rng, before)
	if !hosts.update(rng, after, server) {
		return "", false
	}
	return hosts.nextServer(rng), true
}
