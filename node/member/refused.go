package member

import (
	"time"

	"zoolab/node/zab"
)

const (
	// refusalAgain is how long a refusal is not logged again: who is refused comes again, for days.
	refusalAgain = time.Minute
	// maxRefusals bounds those that are remembered; then all are forgotten.
	maxRefusals = 64
)

// warnRefused logs why a peer was refused, once a minute.
func (m *Member) warnRefused(e zab.Close) {
	log := m.log.Warn
	if told, known := m.refusals[e.Reason]; known && time.Since(told) < refusalAgain {
		log = m.log.Debug
	} else {
		if len(m.refusals) >= maxRefusals || m.refusals == nil {
			m.refusals = make(map[string]time.Time)
		}
		m.refusals[e.Reason] = time.Now()
	}
	log("refused a peer", "conn", e.Conn, "peer", m.peers.PeerOf(e.Conn), "reason", e.Reason)
}
