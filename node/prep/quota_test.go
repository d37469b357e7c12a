package prep

import (
	"testing"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// quotaBench has /app with one child, and a quota of 3 znodes and 10 bytes on it: hard if
// they are given so.
func quotaBench(t *testing.T, enforce bool, limits string) *bench {
	b := newBench(t)
	b.prep.opts.EnforceQuota = enforce
	for _, path := range []string{"/app", "/app/in", tree.QuotaPath + "/app", tree.QuotaPath + "/app/zookeeper_stats"} {
		b.do(create(path, jute.ModePersistent))
	}
	b.do(request(jute.OpCreate, &jute.CreateRequest{Path: tree.QuotaPath + "/app/zookeeper_limits", Data: []byte(limits), ACL: openAll}))
	return b
}

const (
	softLimits = "count=3,bytes=10"
	hardLimits = "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3"
)

func TestQuota(t *testing.T) {
	set := func(sizeBytes int) Request {
		return request(jute.OpSetData, &jute.SetDataRequest{Path: "/app/in", Data: make([]byte, sizeBytes), Version: -1})
	}
	for _, c := range []struct {
		name    string
		enforce bool
		limits  string
		code    jute.ErrorCode
		hard    bool
	}{
		{"soft", true, softLimits, jute.CodeOK, false},
		{"hard", true, hardLimits, jute.CodeQuotaExceeded, true},
		{"hard, not enforced", false, hardLimits, jute.CodeOK, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := quotaBench(t, c.enforce, c.limits)
			expect := func(what string, req Request, want jute.ErrorCode, breaches int) {
				t.Helper()
				got := code(b.do(req))
				if len(b.prep.Breaches()) != breaches || got != want {
					t.Errorf("%s: %v with %+v, want %v with %d breaches", what, got, b.prep.Breaches(), want, breaches)
				}
				for _, breach := range b.prep.Breaches() {
					if breach.Hard != c.hard || breach.Path != "/app" {
						t.Errorf("%s: %+v", what, breach)
					}
				}
			}
			expect("10 bytes", set(10), jute.CodeOK, 0)
			expect("11 bytes", set(11), c.code, 1)
			expect("no bytes", set(0), jute.CodeOK, 0)
			expect("third znode", create("/app/3", jute.ModePersistent), jute.CodeOK, 0)
			expect("fourth znode", create("/app/4-", jute.ModePersistentSequential), c.code, 1)
			expect("elsewhere", create("/apple", jute.ModePersistent), jute.CodeOK, 0)
			expect("the wrong version comes second", request(jute.OpSetData, &jute.SetDataRequest{Path: "/app/in", Data: make([]byte, 11), Version: 77}),
				firstOf(c.code, jute.CodeBadVersion), 1)
			if b.tree.DigestMismatches() != 0 {
				t.Error("a digest was predicted wrongly")
			}
		})
	}
}

// firstOf is the code that is met first: the quota's, unless there is none.
func firstOf(quota, other jute.ErrorCode) jute.ErrorCode {
	if quota != jute.CodeOK {
		return quota
	}
	return other
}

// TestQuotaOfOutstanding shows what a quota is compared with: the size of the data as it
// will be, the statistics as they are.
func TestQuotaOfOutstanding(t *testing.T) {
	b := quotaBench(t, true, hardLimits)
	set := func(sizeBytes int) jute.ErrorCode {
		return code(b.prepare(request(jute.OpSetData, &jute.SetDataRequest{Path: "/app/in", Data: make([]byte, sizeBytes), Version: -1})))
	}
	if got := set(10); got != jute.CodeOK {
		t.Errorf("10 bytes: %v", got)
	}
	if got := set(10); got != jute.CodeOK {
		t.Errorf("10 bytes again, while the first are on their way: %v", got)
	}
	if got := set(11); got != jute.CodeOK {
		t.Errorf("one byte more, which is all that is seen of it: %v", got)
	}
	b.applyAll()
	if got := set(12); got != jute.CodeQuotaExceeded {
		t.Errorf("one byte more, after all was applied: %v", got)
	}
}

func TestQuotaInMulti(t *testing.T) {
	b := quotaBench(t, true, hardLimits)
	b.do(create("/app/3", jute.ModePersistent))
	op := func(path string) jute.MultiOp {
		return jute.MultiOp{Type: jute.OpCreate, Record: &jute.CreateRequest{Path: path, ACL: openAll}}
	}
	txn := b.do(request(jute.OpMulti, &jute.MultiRequest{Ops: []jute.MultiOp{op("/x"), op("/app/4"), op("/y")}}))
	var codes []jute.ErrorCode
	for _, part := range txn.Body.(*jute.MultiTxn).Txns {
		var e jute.ErrorTxn
		if part.Type == jute.OpError && jute.Unmarshal(part.Data, &e) == nil {
			codes = append(codes, e.Err)
		}
	}
	if len(codes) < 2 || codes[len(codes)-2] != jute.CodeQuotaExceeded || codes[len(codes)-1] != jute.CodeRuntimeInconsistency {
		t.Errorf("the parts of the multi end with %v", codes)
	}
	if _, there := b.tree.Lookup("/x"); there {
		t.Error("a part of a refused multi was carried out")
	}
}

func TestQuotaThatCannotBeRead(t *testing.T) {
	b := quotaBench(t, true, "count=many")
	if got := code(b.do(create("/app/3", jute.ModePersistent))); got != jute.CodeMarshallingError {
		t.Errorf("enforced: %v", got)
	}
	b.prep.opts.EnforceQuota = false
	if got := code(b.do(create("/app/3", jute.ModePersistent))); got != jute.CodeOK {
		t.Errorf("not enforced: %v", got)
	}
}
