package workloads

import (
	"fmt"
	"math/rand"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// TestBoundsOfTheSearch gives the search too little memory: what names its versions is
// decided by them, with the key's name, and the rest stays unknown.
func TestBoundsOfTheSearch(t *testing.T) {
	history := simulate(1, 600, 5, 30)
	bounds := DefaultBounds
	bounds.MemoryBytes = 10_000
	result := CheckLinearizable(history, bounds)
	if result.Verdict != VerdictOK || result.Stats["keys-by-versions"] == 0 || !strings.Contains(result.Cause, "decided by versions: k00000") {
		t.Errorf("with 10 kB: verdict %s (%s), want ok by versions", result.Verdict, result.Cause)
	}
	for i := range history {
		if op := &history[i]; op.Type == Invoke && op.F == "cas" {
			op.Version = -1
		}
	}
	if result := CheckLinearizable(history, bounds); result.Verdict != VerdictUnknown {
		t.Errorf("with 10 kB and without versions: verdict %s (%s), want unknown", result.Verdict, result.Cause)
	}
}

// TestHotKeyKeepsToItsBudget has thirty clients work on one key, with many answers lost:
// far more than the search can do. It must end in time, within its memory, with a
// verdict.
func TestHotKeyKeepsToItsBudget(t *testing.T) {
	history := simulateHot(5, 20_000, 30, 20)
	bounds := Bounds{KeyTimeMs: 3000, MemoryBytes: 64 << 20, MaxFailures: 1}
	peak, stop := heapPeak(t)
	result := CheckLinearizable(history, bounds)
	stop()
	t.Logf("%s: %s; %d MiB at most", result.Verdict, result.Cause, peak.Load()>>20)
	if result.Verdict != VerdictOK || result.Stats["keys-by-versions"] != 1 {
		t.Errorf("verdict %s: %s", result.Verdict, result.Cause)
	}
	if allowed := int64(2*bounds.MemoryBytes + 64<<20); peak.Load() > allowed {
		t.Errorf("the check took %d MiB, more than %d", peak.Load()>>20, allowed>>20)
	}
}

// heapPeak watches how much the heap grows, until stop.
func heapPeak(t *testing.T) (peak *atomic.Int64, stop func()) {
	t.Helper()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	peak = new(atomic.Int64)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				peak.Store(max(peak.Load(), int64(now.HeapAlloc)-int64(before.HeapAlloc)))
			}
		}
	}()
	return peak, func() { close(done); <-ended }
}

// TestVersionsDecideAsTheSearchDoes compares both deciders on the stories, on correct
// histories and on broken ones, key by key.
func TestVersionsDecideAsTheSearchDoes(t *testing.T) {
	legal, illegal := 0, 0
	compare := func(name string, history []Op) {
		operations, err := Pair(history)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range splitByKey(operations) {
			ops := registerOps(key.operations)
			answer, _ := searchRegister(newRegisterHistory(ops, nil, 0), searchLimit{timeMs: 10_000, memoryBytes: 1 << 30}, false)
			decision := decideByVersions(ops)
			if !decision.decided || decision.illegal() != (answer == porcupine.Illegal) {
				t.Fatalf("%s, key %s: the search says %s, the versions say: decided %v, %q", name, key.key, answer, decision.decided, decision.cause)
			}
			if !decision.illegal() {
				legal++
				continue
			}
			illegal++
			checkFailure(t, history, decision.failure(key.key))
		}
	}
	for _, test := range stories {
		var s story
		test.tell(&s)
		compare(test.name, s.history)
	}
	for seed := range int64(150) {
		compare(fmt.Sprintf("correct %d", seed), simulate(seed, 600, 2+int(seed%9), int(seed%5)*10))
		for _, mutation := range mutations {
			history := simulate(seed, 300, 5, int(seed%4)*10)
			if mutation.mutate(history, rand.New(rand.NewSource(seed))) {
				compare(fmt.Sprintf("%s, seed %d", mutation.name, seed), history)
			}
		}
		for _, defect := range []string{"sync does nothing", "an acknowledged change is lost", "versions are not checked"} {
			if seed < 10 {
				compare(fmt.Sprintf("%s, seed %d", defect, seed), runFake(t, "register", seed, 300, defect).history)
			}
		}
	}
	if legal < 500 || illegal < 300 {
		t.Errorf("%d legal and %d illegal histories were compared", legal, illegal)
	}
}

// BenchmarkCheckers judges register histories of the sizes that the lab is to check in
// a second and in ten, over a thousand keys and ten thousand.
func BenchmarkCheckers(b *testing.B) {
	for _, size := range []int{100_000, 1_000_000} {
		for _, infoPercent := range []int{0, 10} {
			history := simulate(7, size, 30, infoPercent)
			for _, checker := range registerWorkload.Checkers(DefaultBounds) {
				b.Run(fmt.Sprintf("%s/operations=%d/info=%d%%", checker.Name, size, infoPercent), func(b *testing.B) {
					for b.Loop() {
						if result := checker.Check(history); result.Verdict != VerdictOK {
							b.Fatal(result.Cause)
						}
					}
				})
			}
		}
	}
}
