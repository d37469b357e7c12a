package prep

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

var openAll = []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}

// generator draws requests over few paths, so that they meet.
type generator struct {
	r *rand.Rand
	// noRoot leaves "/" out, whose outstanding changes Apache loses.
	noRoot bool
	cxid   int32
}

func (g *generator) path() string {
	names := []string{"a", "b", "c"}
	path := "/" + names[g.r.Intn(len(names))]
	for g.r.Intn(2) == 0 {
		path += "/" + names[g.r.Intn(len(names))]
	}
	switch g.r.Intn(40) {
	case 0:
		if !g.noRoot {
			return "/"
		}
	case 1:
		return path + "/"
	case 2:
		return "/zookeeper/quota/x"
	}
	return path
}

func (g *generator) data() []byte {
	if g.r.Intn(8) == 0 {
		return nil
	}
	return bytes.Repeat([]byte{byte('a' + g.r.Intn(26))}, g.r.Intn(20))
}

func (g *generator) version() int32 { return int32(g.r.Intn(4) - 2 + g.r.Intn(2)) }

func (g *generator) acl() []jute.ACL {
	if g.r.Intn(10) > 0 {
		return openAll
	}
	return []jute.ACL{{Perms: int32(1 + g.r.Intn(31)), ID: jute.ID{Scheme: "digest", ID: "u:h"}}, {Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}
}

// part draws an operation that may stand in a multi.
func (g *generator) part() (jute.OpCode, jute.Record) {
	switch g.r.Intn(11) {
	case 10:
		mode := jute.ModeTTL + jute.CreateFlags(g.r.Intn(2))
		return jute.OpCreateTTL, &jute.CreateTTLRequest{Path: g.path(), Data: g.data(), ACL: g.acl(), Flags: mode, TtlMs: int64(g.r.Intn(2000))}
	case 0, 1, 2:
		return jute.OpCreate, &jute.CreateRequest{Path: g.path(), Data: g.data(), ACL: g.acl(), Flags: jute.CreateFlags(g.r.Intn(4))}
	case 3:
		return jute.OpCreate2, &jute.CreateRequest{Path: g.path(), Data: g.data(), ACL: g.acl(), Flags: jute.CreateFlags(g.r.Intn(4))}
	case 4:
		return jute.OpCreateContainer, &jute.CreateRequest{Path: g.path(), ACL: g.acl(), Flags: jute.ModeContainer}
	case 5, 6:
		return jute.OpDelete, &jute.DeleteRequest{Path: g.path(), Version: g.version()}
	case 7:
		return jute.OpCheck, &jute.CheckVersionRequest{Path: g.path(), Version: g.version()}
	}
	return jute.OpSetData, &jute.SetDataRequest{Path: g.path(), Data: g.data(), Version: g.version()}
}

func (g *generator) request(sessions []int64) Request {
	g.cxid++
	req := Request{SessionID: sessions[g.r.Intn(len(sessions))], Cxid: g.cxid, Who: tree.Caller{IDs: []jute.ID{{Scheme: "digest", ID: "u:h"}}}}
	switch g.r.Intn(30) {
	case 0:
		req.Op = jute.OpCloseSession
	case 1, 2:
		req.Op, req.Body = jute.OpCreateSession, jute.AppendInt32(nil, 4000)
	case 3, 4:
		req.Op = jute.OpSetACL
		req.Body = jute.Marshal(&jute.SetACLRequest{Path: g.path(), ACL: g.acl(), Version: -1})
	case 5, 6, 7, 8, 9:
		multi := &jute.MultiRequest{}
		for range g.r.Intn(5) {
			op, record := g.part()
			multi.Ops = append(multi.Ops, jute.MultiOp{Type: op, Record: record})
		}
		req.Op, req.Body = jute.OpMulti, jute.Marshal(multi)
	default:
		op, record := g.part()
		if op == jute.OpCheck {
			op, record = jute.OpDelete, &jute.DeleteRequest{Path: g.path(), Version: -1}
		}
		req.Op, req.Body = op, jute.Marshal(record)
	}
	return req
}

// TestRandomOutstanding prepares far ahead of what is applied. Each transaction must do
// without an error what it says, leave the digest that it predicts, and be the same as
// one prepared with nothing outstanding.
func TestRandomOutstanding(t *testing.T) {
	for seed := range int64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomOutstanding(t, seed) })
	}
}

func randomOutstanding(t *testing.T, seed int64) {
	g := &generator{r: rand.New(rand.NewSource(seed))}
	ahead, direct := tree.New(), tree.New()
	options := Options{ExtendedTypes: true, MaxNeverUsedMs: 500}
	aheadPrep, directPrep := New(ahead, options), New(direct, options)
	sessions := []int64{1, 2, 3, 4}
	var waiting []jute.LoggedTxn
	apply := func(n int) {
		for _, txn := range waiting[:n] {
			r := ahead.Apply(&txn)
			if txn.Header.Type != jute.OpError && txn.Header.Type != jute.OpMulti && r.Err != jute.CodeOK {
				t.Fatalf("zxid %d: %v was prepared, but applying it gives %v", txn.Header.Zxid, txn.Header.Type, r.Err)
			}
			if txn.Digest != nil && txn.Digest.TreeDigest != ahead.Digest() {
				t.Fatalf("zxid %d: %v predicts digest %x, the tree has %x", txn.Header.Zxid, txn.Header.Type, txn.Digest.TreeDigest, ahead.Digest())
			}
			aheadPrep.Committed(txn.Header.Zxid)
		}
		waiting = append(waiting[:0], waiting[n:]...)
	}
	succeeded := 0
	for zxid := int64(1); zxid <= 1500; zxid++ {
		req := g.request(sessions)
		if g.r.Intn(10) == 0 {
			req = Request{Op: jute.OpDeleteContainer, Body: []byte(g.path())}
		}
		txn := aheadPrep.Prepare(req, zxid, zxid*10)
		want := directPrep.Prepare(req, zxid, zxid*10)
		if got, want := jute.Marshal(&txn), jute.Marshal(&want); !bytes.Equal(got, want) {
			t.Fatalf("zxid %d, %v: with %d outstanding it is\n%x, with none\n%x", zxid, req.Op, len(waiting), got, want)
		}
		direct.Apply(&want)
		directPrep.Committed(zxid)
		if txn.Header.Type != jute.OpError {
			succeeded++
		}
		waiting = append(waiting, txn)
		if g.r.Intn(20) == 0 {
			apply(g.r.Intn(len(waiting) + 1))
		}
	}
	apply(len(waiting))
	if ahead.DigestMismatches() != 0 || aheadPrep.Outstanding() != 0 || len(aheadPrep.latest) != 0 || len(aheadPrep.sessions) != 0 {
		t.Errorf("%d mismatches, %d changes, %d paths, %d sessions left", ahead.DigestMismatches(), aheadPrep.Outstanding(), len(aheadPrep.latest), len(aheadPrep.sessions))
	}
	if succeeded < 300 {
		t.Errorf("only %d of 1500 requests succeeded: the test tests little", succeeded)
	}
}
