package peer

import (
	"context"
	"slices"
	"sync"
)

// turns decides whose TLS handshake is computed next: to call costs a stranger nothing, and to
// answer costs us a signature. One is computed at a time in each lane, in which the hosts have
// turns. So strangers take two processors at most, members wait for no stranger at another host,
// and no host takes the turns of another.
//
// How many wait is bounded by who asks: one for each connection that is to prove itself.
type turns struct {
	mu    sync.Mutex
	lanes map[lane][]waiting // those in which somebody has a turn: the hosts that wait, the next one first
}

// lane is where handshakes wait for each other.
type lane struct {
	member string // the host that has the lane for itself, "" for that of all strangers
	begun  bool   // for those that were answered: where many begin and leave, few come so far
}

// waiting are the handshakes of a host, oldest first. The newest has its turn first: where more
// come than can be computed, those that have waited long are about to give up.
type waiting struct {
	host  string
	turns []chan struct{}
}

// take waits for the turn of a host's handshake. Who takes one must give it back.
func (t *turns) take(ctx context.Context, in lane, host string) error {
	turn := t.queue(in, host)
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		t.withdraw(in, turn)
		return ctx.Err()
	}
}

// queue lines a handshake up. What it returns is closed when the turn has come.
func (t *turns) queue(in lane, host string) (turn chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn = make(chan struct{})
	hosts, busy := t.lanes[in]
	if !busy {
		close(turn)
	} else if i := slices.IndexFunc(hosts, func(w waiting) bool { return w.host == host }); i >= 0 {
		hosts[i].turns = append(hosts[i].turns, turn)
	} else {
		hosts = append(hosts, waiting{host, []chan struct{}{turn}})
	}
	if t.lanes == nil {
		t.lanes = make(map[lane][]waiting)
	}
	t.lanes[in] = hosts
	return turn
}

// give ends a turn: that of the host comes whose last one is longest ago.
func (t *turns) give(in lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	hosts := t.lanes[in]
	if len(hosts) == 0 {
		delete(t.lanes, in)
		return
	}
	first, hosts := hosts[0], hosts[1:]
	newest := len(first.turns) - 1
	close(first.turns[newest])
	if newest > 0 {
		hosts = append(hosts, waiting{first.host, first.turns[:newest]})
	}
	t.lanes[in] = hosts
}

// withdraw takes a handshake out of the queue. Its turn, if that has come, is given back.
func (t *turns) withdraw(in lane, turn chan struct{}) {
	t.mu.Lock()
	hosts := t.lanes[in]
	for i := range hosts {
		w := &hosts[i]
		before := len(w.turns)
		w.turns = slices.DeleteFunc(w.turns, func(other chan struct{}) bool { return other == turn })
		if len(w.turns) < before {
			if len(w.turns) == 0 {
				t.lanes[in] = slices.Delete(hosts, i, i+1)
			}
			t.mu.Unlock()
			return
		}
	}
	t.mu.Unlock()
	t.give(in)
}
