package storage

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"zoolab/node/vfs"
)

var crashSeeds = flag.Uint64("crash.seeds", 1, "outcomes tried of each power cut")

var errPower = errors.New("the power failed")

// known is what the world was told before the power failed. Histories are lists of
// marks, one for each transaction: a zxid that is appended again after a truncation
// has another mark.
type known struct {
	mustBe  []string   // reported as the durable history
	maybe   [][]string // where the call that was under way may have got to
	replace bool       // that call replaces the history at once: there is no state between

	accepted, acceptedMax int64
	current, currentMax   int64
}

// script drives a storage and keeps account in known. It stops at the first error.
type script struct {
	s     *Storage
	k     known
	round int64 // distinguishes payloads of the same zxid
	err   error
}

// mark names one transaction or snapshot of one round.
func mark(zxid, round int64) string { return fmt.Sprintf("%d/%d", zxid, round) }

func (c *script) do(err error) bool {
	if c.err == nil {
		c.err = err
	}
	return c.err == nil
}

func (c *script) history() []string { return slices.Clone(c.k.mustBe) }

// append appends and syncs a batch: durable when Sync said so.
func (c *script) append(first, last int64) {
	if c.err != nil {
		return
	}
	batch := c.history()
	for zxid := first; zxid <= last; zxid++ {
		batch = append(batch, mark(zxid, c.round))
		if !c.do(c.s.Append(zxid, markedPayload(zxid, c.round))) {
			break
		}
	}
	c.k.maybe = [][]string{batch} // any prefix of it that covers mustBe
	if c.do(c.s.Sync()) {
		c.k.mustBe, c.k.maybe = batch, nil
	}
}

func (c *script) truncate(zxid int64) {
	if c.err != nil {
		return
	}
	before := c.history()
	after := slices.Clone(before[:zxid])
	// Until it is done, any state between both is right.
	c.k.mustBe, c.k.maybe = after, [][]string{before}
	if c.do(c.s.Truncate(zxid)) {
		c.k.maybe = nil
	}
	c.round++
}

func (c *script) snapshot() {
	if c.err != nil {
		return
	}
	_, err := c.s.SaveSnapshot(markedTree(c.history()))
	c.do(err)
}

// install replaces the history by another one.
func (c *script) install(zxid int64) {
	if c.err != nil {
		return
	}
	before := c.history()
	c.round++
	var after []string
	for z := int64(1); z <= zxid; z++ {
		after = append(after, mark(z, c.round))
	}
	c.k.maybe = [][]string{after}
	c.k.replace = true
	if c.do(c.s.InstallSnapshot(markedTree(after))) {
		c.k.mustBe, c.k.maybe, c.k.replace = after, nil, false
	} else {
		c.k.mustBe = before
	}
}

func (c *script) accept(epoch int64) {
	if c.err != nil {
		return
	}
	c.k.acceptedMax = epoch
	if c.do(c.s.SetAcceptedEpoch(epoch)) {
		c.k.accepted = epoch
	}
}

func (c *script) follow(epoch int64) {
	if c.err != nil {
		return
	}
	c.k.currentMax = epoch
	if c.do(c.s.SetCurrentEpoch(epoch)) {
		c.k.current = epoch
	}
}

func (c *script) purge() {
	if c.err != nil {
		return
	}
	_, err := c.s.Purge(2)
	c.do(err)
}

// markedPayload makes a payload of a size that depends on zxid: some span pages.
func markedPayload(zxid, round int64) []byte {
	extra := int(zxid % 5 * 40)
	if zxid%9 == 0 {
		extra = 9000
	}
	payload := payloadOf(zxid, extra)
	payload[11] = byte(round) // in the cxid
	return payload
}

// markedTree is a snapshot whose nodes are the marks of a history.
func markedTree(history []string) *testTree {
	tree := &testTree{zxid: int64(len(history))}
	tree.nodes = append(tree.nodes, testNode{path: ""})
	for _, m := range history {
		tree.nodes = append(tree.nodes, testNode{path: "/" + m, aclID: -1})
	}
	return tree
}

// reload restores a storage and returns its history as marks.
func reload(fsys vfs.FS, compression Compression) (*Storage, []string, error) {
	opts := testOptions(fsys)
	opts.Compression = compression
	opts.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := Open(opts)
	if err != nil {
		return nil, nil, err
	}
	var history []string
	var base *testTree
	_, err = s.Load(func() SnapshotSink {
		base = &testTree{}
		history = nil
		return base
	}, func(zxid int64, payload []byte) error {
		if history == nil {
			history = base.history()
		}
		history = append(history, mark(zxid, int64(payload[11])))
		return nil
	})
	if history == nil && base != nil {
		history = base.history()
	}
	return s, history, err
}

func (t *testTree) history() []string {
	history := []string{}
	for _, node := range t.nodes {
		if node.path != "" {
			history = append(history, strings.TrimPrefix(node.path, "/"))
		}
	}
	return history
}

// check compares what a crash left with what the world was told.
func (k *known) check(s *Storage, history []string) error {
	right := isPrefix(k.mustBe, history) && len(history) == len(k.mustBe)
	for _, other := range k.maybe {
		if k.replace {
			right = right || slices.Equal(history, other)
		} else {
			right = right || isPrefix(k.mustBe, history) && isPrefix(history, other)
		}
	}
	if !right {
		return fmt.Errorf("the history is %v; it must be %v, or may be on the way to %v", history, k.mustBe, k.maybe)
	}
	if int64(len(history)) != s.LastZxid() {
		return fmt.Errorf("LastZxid is %d after a history of %d", s.LastZxid(), len(history))
	}
	accepted, current, err := s.Epochs()
	if err != nil {
		return err
	}
	if accepted < k.accepted || accepted > max(k.accepted, k.acceptedMax) || current < k.current || current > max(k.current, k.currentMax) {
		return fmt.Errorf("epochs %d and %d after %d to %d and %d to %d were written",
			accepted, current, k.accepted, k.acceptedMax, k.current, k.currentMax)
	}
	return nil
}

func isPrefix(prefix, of []string) bool {
	return len(prefix) <= len(of) && slices.Equal(prefix, of[:len(prefix)])
}

// life is a member's life: everything the storage can do, in several orders.
func (c *script) life() {
	c.accept(1)
	c.append(1, 3)
	c.follow(1)
	c.snapshot()
	c.append(4, 4)
	c.append(5, 20)
	c.snapshot()
	c.append(21, 24)
	c.truncate(22)
	c.append(23, 30)
	c.truncate(12) // below a snapshot and a file
	c.append(13, 18)
	c.snapshot()
	c.append(19, 21)
	c.snapshot()
	c.append(22, 25)
	c.purge()
	c.append(26, 27)
	c.accept(2)
	c.install(29) // ahead of the log
	c.append(30, 31)
	c.follow(2)
	c.snapshot()
	c.append(32, 40)
	c.install(15) // behind it
	c.append(16, 19)
	c.truncate(17)
	c.append(18, 20)
}

// TestCrashAnywhere cuts the power before and after every operation on the disk of
// a member's life, with several outcomes of what was not synced, and looks at what
// is there. Then it lives on a little and cuts the power again.
func TestCrashAnywhere(t *testing.T) {
	for _, compression := range compressions {
		t.Run(fmt.Sprintf("compression=%s", compression), func(t *testing.T) { crashAnywhere(t, compression) })
	}
}

func crashAnywhere(t *testing.T, compression Compression) {
	counting := vfs.NewFaulty(vfs.NewMem())
	whole := runLife(counting, compression)
	must(t, whole.err)
	steps := counting.Count(vfs.OpMutate)
	if steps < 150 {
		t.Fatalf("the life has only %d steps", steps)
	}
	stride := 1
	if compression != NoCompression {
		stride = 7 // the order of effects is the same; compressing takes its time
	}
	for step := 1; step <= steps; step += stride {
		for _, when := range []vfs.When{vfs.Before, vfs.Partial, vfs.After} {
			for seed := range *crashSeeds {
				if err := crashOnce(compression, step, when, seed); err != nil {
					t.Fatalf("power cut %v step %d of %d, seed %d: %v", when, step, steps, seed, err)
				}
			}
		}
	}
}

func runLife(fsys vfs.FS, compression Compression) *script {
	c := &script{}
	s, history, err := reload(fsys, compression)
	if err == nil && len(history) != 0 {
		err = errors.New("a new directory is not empty")
	}
	c.s = s
	if c.do(err) {
		c.life()
	}
	return c
}

func crashOnce(compression Compression, step int, when vfs.When, seed uint64) error {
	mem := vfs.NewMem()
	faulty := vfs.NewFaulty(mem, vfs.Fault{Ops: vfs.OpMutate, Nth: step, Err: errPower, When: when})
	random := rand.New(rand.NewPCG(seed, uint64(step)*3+uint64(when)))
	c := runLife(faulty, compression)
	killed := (seed+uint64(step)+uint64(when))%3 == 2 // the process dies first, and the power fails after its restart
	if !killed {
		mem.Crash(random)
	}
	for again := range 2 {
		s, history, err := reload(mem, compression)
		if err != nil {
			return fmt.Errorf("restart %d: %w", again, err)
		}
		if err := c.k.check(s, history); err != nil {
			return fmt.Errorf("restart %d: %w", again, err)
		}
		c.k.mustBe, c.k.maybe = history, nil // what was loaded was vouched for
		next := &script{s: s, k: c.k, round: c.round + 1}
		if random.IntN(2) == 0 {
			next.append(int64(len(history))+1, int64(len(history))+3)
		}
		if next.err != nil {
			return fmt.Errorf("restart %d: %w", again, next.err)
		}
		c = next
		mem.Crash(random)
	}
	_, history, err := reload(mem, compression)
	if err != nil {
		return fmt.Errorf("the last restart: %w", err)
	}
	if !slices.Equal(history, c.k.mustBe) {
		return fmt.Errorf("the last restart gave %v, not %v", history, c.k.mustBe)
	}
	return nil
}

// TestCrashInRestart cuts the power in the middle of a repair, again and again.
func TestCrashInRestart(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 3))
		mem := vfs.NewMem()
		faulty := vfs.NewFaulty(mem, vfs.Fault{Ops: vfs.OpMutate, Nth: 40 + random.IntN(150), Err: errPower, When: vfs.When(random.IntN(3))})
		c := runLife(faulty, compressions[seed%3])
		mem.Crash(random)
		for range 8 {
			faulty := vfs.NewFaulty(mem, vfs.Fault{Ops: vfs.OpMutate, Nth: 1 + random.IntN(10), Err: errPower, When: vfs.When(random.IntN(3))})
			s, history, err := reload(faulty, Gzip)
			if err == nil {
				if err := c.k.check(s, history); err != nil && !errors.Is(err, errPower) {
					t.Fatalf("seed %d: %v", seed, err)
				}
			} else if !errors.Is(err, errPower) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			mem.Crash(random)
		}
		s, history, err := reload(mem, NoCompression)
		must(t, err)
		if err := c.k.check(s, history); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
