package peer

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"testing"
	"time"

	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// silent is a transport without ports, for what reads from a stream.
func silent(post func(...zab.Input)) *Transport {
	return &Transport{
		cfg: Config{SID: 1, StallTimeout: time.Second, MaxFieldBytes: 1 << 16},
		log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		hooks: Hooks{Post: post, ReadSnapshot: func(r *bufio.Reader) (any, error) {
			_, err := r.Discard(8)
			return nil, err
		}},
	}
}

// FuzzQuorumStream: whatever a peer sends is read to a clean end, and everything posted
// is a packet with a known type.
func FuzzQuorumStream(f *testing.F) {
	for _, b := range quorumGarbage {
		f.Add(b, true)
	}
	f.Add(append(followerInfo(), jute.Marshal(&jute.QuorumPacket{Type: jute.PacketSnap})...), false)
	f.Fuzz(func(t *testing.T, b []byte, incoming bool) {
		transport := silent(func(inputs ...zab.Input) {
			for _, in := range inputs {
				if p, ok := in.(zab.PacketReceived); ok && (p.Packet.Type < jute.PacketRequest || p.Packet.Type > jute.PacketInformAndActivate) {
					t.Fatalf("posted a packet of type %v", p.Packet.Type)
				}
			}
		})
		q := &quorumConn{t: transport, incoming: incoming}
		if err := q.read(bufio.NewReader(bytes.NewReader(b))); err == nil {
			t.Fatal("the end of the stream is no error")
		}
	})
}

// FuzzElectionStream does the same for the election port.
func FuzzElectionStream(f *testing.F) {
	f.Add(hello(jute.ElectionProtocolV1, 2, "127.0.0.1:1"))
	n := vote(3).Append([]byte{0, 0, 0, 48})
	f.Add(append(hello(jute.ElectionProtocolV2, 2, "127.0.0.1:1|h:2"), n...))
	f.Fuzz(func(t *testing.T, b []byte) {
		br := bufio.NewReader(bytes.NewReader(b))
		m, err := readInitialMessage(br)
		if err != nil {
			return
		}
		if len(m.Addresses) > jute.MaxInitialMessageBytes {
			t.Fatalf("took an address of %d bytes", len(m.Addresses))
		}
		p := &electionPeer{t: silent(func(...zab.Input) {}), sid: 2}
		if err := p.read(br); err == nil {
			t.Fatal("the end of the stream is no error")
		}
	})
}
