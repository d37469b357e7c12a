package peer

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// maxStrangers bounds the members that talk to us and are not in our membership: those
// that wait to join it, and those that have left it.
const maxStrangers = 64

// Update replaces the membership: who may be talked to, and where. Members that left it
// are still answered while they call. The ports follow when our own addresses change.
func (t *Transport) Update(members map[int64]Address) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.members[t.cfg.SID]
	all := maps.Clone(t.members)
	maps.Copy(all, members)
	t.members = all
	for sid, address := range members {
		if sid == t.cfg.SID {
			continue
		}
		if p := t.election[sid]; p != nil {
			p.mu.Lock()
			p.addresses = address.Election
			p.mu.Unlock()
		} else {
			t.addPeer(sid, address.Election)
		}
	}
	own := all[t.cfg.SID]
	if !slices.Equal(own.Quorum, before.Quorum) {
		t.move(quorumPort, own.Quorum, t.acceptLearner)
	}
	if !slices.Equal(own.Election, before.Election) {
		t.move(electionPort, own.Election, t.acceptElection)
	}
	if !slices.Equal(own.Master, before.Master) {
		t.move(masterPort, own.Master, t.acceptObserver)
	}
}

// addPeer begins to know a member. t.mu is held.
func (t *Transport) addPeer(sid int64, addresses []string) *electionPeer {
	p := &electionPeer{t: t, sid: sid, addresses: addresses, nudge: make(chan struct{}, 1)}
	t.election[sid] = p
	return p
}

func (t *Transport) peer(sid int64) *electionPeer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.election[sid]
}

// stranger returns the peer that calls. One that is not in our membership, where that may
// change, becomes known: it calls in order to join. Its message says where to call back.
func (t *Transport) caller(sid int64, told string) (*electionPeer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.election[sid]; p != nil {
		return p, nil
	}
	addresses := strings.Split(told, "|")
	switch {
	case !t.cfg.AcceptStrangers:
		return nil, fmt.Errorf("member %d is not in our configuration", sid)
	case t.strangers >= maxStrangers:
		return nil, fmt.Errorf("member %d is not in our configuration, and %d others that are not have called", sid, t.strangers)
	}
	for _, address := range addresses {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, fmt.Errorf("member %d is not in our configuration and can't be called at %q", sid, address)
		}
	}
	t.strangers++
	return t.addPeer(sid, addresses), nil
}

// addressOf returns where a member listens.
func (t *Transport) addressOf(sid int64) (Address, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, ok := t.members[sid]
	if !ok {
		return a, fmt.Errorf("member %d is not in our configuration", sid)
	}
	return a, nil
}

// closePort closes what serves a port. t.mu is held.
func (t *Transport) closePort(name string) {
	for _, l := range t.listeners[name] {
		_ = l.Close()
	}
	t.listeners[name] = nil
	t.generation[name]++
}

const moveRetry = 500 * time.Millisecond

// move opens a port elsewhere. If that fails it is tried until it succeeds, or until the
// port is to be somewhere else again. t.mu is held.
func (t *Transport) move(name string, addresses []string, serve func(*unproven)) {
	t.moves[name]++
	move := t.moves[name]
	t.running.Go(func() {
		failed := false
		for {
			t.mu.Lock()
			over := t.moves[name] != move || t.ctx.Err() != nil
			if !over {
				t.closePort(name)
			}
			t.mu.Unlock()
			if over {
				return
			}
			err := t.listen(name, addresses, serve)
			if err == nil {
				t.log.Info("moved a port", "port", name, "addresses", addresses)
				return
			}
			if !failed {
				t.log.Error("can't open the port to which this member was moved, trying again", "port", name, "addresses", addresses, "err", err)
			}
			failed = true
			select {
			case <-time.After(moveRetry):
			case <-t.ctx.Done():
				return
			}
		}
	})
}
