package peer

import (
	"time"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// Traffic is what is told of a quorum connection.
type Traffic struct {
	Remote         string
	Since          time.Time
	QueuedPackets  int // that wait to be written, and their bytes
	QueuedBytes    int
	Received, Sent int64
	Requests       int64 // of what was received
	LastZxid       int64 // of the last packet that was sent with one, -1 before that
}

func (q *quorumConn) countIn(t jute.PacketType) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.traffic.Received++
	if t == jute.PacketRequest {
		q.traffic.Requests++
	}
}

func (q *quorumConn) countOut(p *jute.QuorumPacket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.traffic.Sent++
	q.traffic.QueuedPackets++
	if p.Zxid > 0 {
		q.traffic.LastZxid = p.Zxid
	}
}

// TrafficOf returns what is told of a connection; false if it is gone.
func (t *Transport) TrafficOf(id zab.ConnID) (Traffic, bool) {
	q := t.conn(id)
	if q == nil {
		return Traffic{}, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	told := q.traffic
	told.Remote, told.QueuedBytes = q.peer, q.queued
	return told, true
}

// ResetTraffic counts a connection's packets from zero.
func (t *Transport) ResetTraffic(id zab.ConnID) {
	if q := t.conn(id); q != nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.traffic = Traffic{Since: q.traffic.Since, QueuedPackets: q.traffic.QueuedPackets, LastZxid: -1}
	}
}
