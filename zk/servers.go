package zk

import (
	"math/rand/v2"
	"slices"
)

// hostList says which server is tried next. Client.mu guards it.
type hostList struct {
	servers []string // in the order in which they are tried; never empty
	next    int      // index of the server that is tried next

	// After a change of the list, the client first tries the servers that it was not
	// given before with probability newShare, and the others otherwise, each once.
	newer, older []string
	newShare     float64
}

func newHostList(rng *rand.Rand, servers []string) hostList {
	servers = slices.Compact(slices.Sorted(slices.Values(servers)))
	rng.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	return hostList{servers: servers}
}

func (h *hostList) nextServer(rng *rand.Rand) string {
	if len(h.newer)+len(h.older) > 0 {
		from := &h.older
		if len(h.older) == 0 || len(h.newer) > 0 && rng.Float64() <= h.newShare {
			from = &h.newer
		}
		server := (*from)[0]
		*from = (*from)[1:]
		return server
	}
	server := h.servers[h.next]
	h.next = (h.next + 1) % len(h.servers)
	return server
}

// update replaces the servers and says whether the client shall leave the current
// one. The probabilities are those of Java's client: with k servers before and n now,
// of which s stay, all clients together end up with as many on each server as if they
// had chosen anew.
func (h *hostList) update(rng *rand.Rand, servers []string, current string) (move bool) {
	before := len(h.servers)
	list := newHostList(rng, servers)
	for _, server := range list.servers {
		if slices.Contains(h.servers, server) {
			list.older = append(list.older, server)
		} else {
			list.newer = append(list.newer, server)
		}
	}
	stays := slices.Contains(list.servers, current)
	now, older := len(list.servers), len(list.older)
	switch {
	case current == "": // there is nothing to leave
	case now > before && stays:
		// The load of each server falls: leave with the probability that it does.
		move = rng.Float64() <= 1-float64(before)/float64(now)
		list.newShare = 1
	case now > before:
		move, list.newShare = true, 1
	case stays:
		// The load of each server rises.
	default:
		move = true
		list.newShare = 1 - float64(older*(before-now))/float64(now*(before-older))
	}
	if !move {
		list.newer, list.older = nil, nil
		list.next = (slices.Index(list.servers, current) + 1) % now
	}
	*h = list
	return move
}
