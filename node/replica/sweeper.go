package replica

import (
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// ContainerConfig says how the leader looks for containers and TTL znodes to delete.
type ContainerConfig struct {
	CheckIntervalMs int64 // from the beginning of one sweep to the next; never at 0
	MaxPerMinute    int64 // znodes deleted, at most
}

// sweeper deletes, in the server's own name, containers that are no longer used and TTL
// znodes whose time is over. It is the leader's, and begins anew with each leadership.
type sweeper struct {
	sweep   tree.Sweep
	running bool
	nextMs  int64 // when the next sweep begins
	lastMs  int64 // when deletes were last allowed for
	// credit is how many deletes are allowed now, times minuteMs: each millisecond adds
	// MaxPerMinute. What was not used for a tick is lost, so that a leader that stood
	// still, or found nothing for long, does not delete in a flood.
	credit int64
}

const minuteMs = 60_000

func (r *Replica) startSweeper() {
	r.lead.sweeper = sweeper{nextMs: r.now.MonoMs + r.cfg.Containers.CheckIntervalMs}
}

// sweepContainers goes on with the sweep, or begins one when it is time.
func (r *Replica) sweepContainers() {
	s, cfg, nowMs := &r.lead.sweeper, r.cfg.Containers, r.now.MonoMs
	switch {
	case cfg.CheckIntervalMs <= 0 || !s.running && nowMs < s.nextMs:
		return
	case !s.running:
		*s = sweeper{sweep: r.Tree().StartSweep(), running: true, nextMs: nowMs + cfg.CheckIntervalMs, credit: minuteMs}
	default:
		most := max(minuteMs, r.cfg.Zab.TickMs*cfg.MaxPerMinute)
		s.credit = min(s.credit+(nowMs-s.lastMs)*cfg.MaxPerMinute, most)
	}
	s.lastMs = nowMs
	if s.credit < minuteMs || r.lead.proposedBytes > r.maxProposedBytes {
		return
	}
	for _, path := range r.Tree().Due(&s.sweep, r.cfg.Prep.Disposal(), r.now.WallMs, int(s.credit/minuteMs)) {
		s.credit -= minuteMs
		r.propose(request{op: jute.OpDeleteContainer, body: []byte(path), owner: owner(r.cfg.Zab.SID)})
	}
	s.running = !s.sweep.Done()
}
