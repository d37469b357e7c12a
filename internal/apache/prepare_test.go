package apache

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/node/prep"
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// forwarded is a request that a follower of the original sent to its leader.
type forwarded struct {
	op   jute.OpCode
	body []byte
}

// requestKey names a request: no session uses a cxid twice.
type requestKey struct {
	session int64
	cxid    int32
}

// captured reads the requests that all learners forwarded and the proposals
// that the first follower, which was there from the start, was sent.
func captured(t *testing.T) (map[requestKey]forwarded, [][]byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "zk", "jute", "testdata", "quorum.txt"))
	if err != nil {
		t.Fatal(err)
	}
	requests := map[requestKey]forwarded{}
	var proposals [][]byte
	connection := ""
	for line := range strings.Lines(string(text)) {
		mark, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if mark == "connection" {
			connection = rest
		}
		if mark != "<" && mark != ">" {
			continue
		}
		frame, err := hex.DecodeString(rest)
		if err != nil {
			t.Fatal(err)
		}
		var packet jute.QuorumPacket
		if err := jute.Unmarshal(frame, &packet); err != nil {
			t.Fatal(err)
		}
		switch {
		case packet.Type == jute.PacketRequest:
			d := jute.NewDecoder(packet.Data)
			key := requestKey{d.Int64(), d.Int32()}
			requests[key] = forwarded{jute.OpCode(d.Int32()), d.Rest()}
		case packet.Type == jute.PacketProposal && connection == "to-2-1":
			proposals = append(proposals, packet.Data)
		}
	}
	return requests, proposals
}

// TestPrepareAgreesWithApache gives this server the requests that the original's
// leader was given, and expects the same transactions, byte for byte: with
// every one applied before the next is prepared, and with many outstanding.
func TestPrepareAgreesWithApache(t *testing.T) {
	requests, proposals := captured(t)
	for name, outstanding := range map[string]int{"one at a time": 1, "many outstanding": 1000} {
		t.Run(name, func(t *testing.T) {
			state := tree.New()
			preparer := prep.New(state, prep.Options{ExtendedTypes: true})
			var waiting []*jute.LoggedTxn
			apply := func() {
				for _, txn := range waiting {
					state.Apply(txn)
					preparer.Committed(txn.Header.Zxid)
				}
				waiting = nil
			}
			compared := map[jute.OpCode]int{}
			for _, proposal := range proposals {
				var theirs jute.LoggedTxn
				if err := jute.Unmarshal(proposal, &theirs); err != nil {
					t.Fatal(err)
				}
				h := theirs.Header
				request, ok := requests[requestKey{h.ClientID, h.Cxid}]
				if ok {
					ours := preparer.Prepare(prep.Request{
						SessionID: h.ClientID, Cxid: h.Cxid, Op: request.op, Body: request.body,
					}, h.Zxid, h.TimeMs)
					if got := jute.Marshal(&ours); !bytes.Equal(got, proposal) {
						t.Errorf("%v of zxid %x:\nours   %x\nApache %x", request.op, h.Zxid, got, proposal)
					}
					compared[request.op]++
				} else {
					// The leader's own clients forward nothing: take what it made of them.
					apply()
				}
				waiting = append(waiting, &theirs)
				if !ok || len(waiting) >= outstanding {
					apply()
				}
			}
			apply()
			for _, op := range []jute.OpCode{
				jute.OpCreateSession, jute.OpCreate, jute.OpCreate2, jute.OpSetData, jute.OpSetACL, jute.OpMulti,
				jute.OpDelete, jute.OpCreateContainer, jute.OpCreateTTL, jute.OpCloseSession,
			} {
				if compared[op] == 0 {
					t.Errorf("no %v was compared", op)
				}
			}
			if state.DigestMismatches() != 0 {
				t.Errorf("%d digests differ", state.DigestMismatches())
			}
		})
	}
}
