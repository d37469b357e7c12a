package mixedtest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"zoolab/zk"
)

func containsAll(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// TestFailoverWithoutAVoter kills the leader of five while another voter is down for good, several
// times, and measures how long nothing is acknowledged.
func TestFailoverWithoutAVoter(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes; run without -short")
	}
	const kills = 5
	e := newEnsemble(t, ours, ours, ours, ours, ours)
	for _, m := range e.members {
		e.start(m)
	}
	e.awaitServing()
	down := e.members[0]
	if e.leader() == down {
		down = e.members[1]
	}
	e.kill(down)
	l := startLoad(t, addresses(e.running()...), "/failover", 4)
	var gaps []time.Duration
	var slowest time.Duration // how long a hundred writes take when nothing is wrong
	for range kills {
		began := time.Now()
		l.more(100)
		slowest = max(slowest, time.Since(began))
		leader := e.leader()
		e.kill(leader)
		killed, before := time.Now(), l.count.Load()
		// What was acknowledged before the kill may still be on its way to the count.
		await(t, "writes go on", func() bool { return l.count.Load() >= before+8 })
		gaps = append(gaps, time.Since(killed))
		e.join(leader)
	}
	slices.Sort(gaps)
	t.Logf("without writes after each kill: %v; a hundred writes took at most %v", gaps, slowest)
	// The goal, 0.4 s at the median and 0.8 s at worst, is for a machine that does nothing else.
	// How much else it does shows in the writes. Who waited for pings would need syncLimit, 10 s.
	if median, worst := gaps[kills/2], gaps[kills-1]; median > time.Second+5*slowest || worst > 5*time.Second+10*slowest {
		t.Errorf("nothing was written for %v at the median, %v at worst", median, worst)
	}
	e.requireAcknowledged(l.end())
}

// requireAcknowledged reads back what a load wrote.
func (e *ensemble) requireAcknowledged(acknowledged map[string]string) {
	t := e.t
	t.Helper()
	tree := e.agree()
	for path := range acknowledged {
		if tree[path] == "" {
			t.Errorf("%s was acknowledged and is lost", path)
		}
	}
}

// TestMastersReconfigured changes the membership of an ensemble whose observers learn from
// followers, while clients write: each change may take the master from an observer, or make a
// member something else.
func TestMastersReconfigured(t *testing.T) {
	if testing.Short() {
		t.Skip("starts six processes; run without -short")
	}
	e := newObserved(t, ours, ours, ours, ours, ours)
	e.set("reconfigEnabled", "true")
	e.startUnder(e.members[2])
	e.masters()
	l := startLoad(t, addresses(e.members[2:]...), "/changed", 2)
	c := super(t, addresses(e.members[2]))
	observer := e.members[3]
	change := func(what string, m zk.Membership) {
		t.Helper()
		// Of a leader that leaves the answer may be lost; what came of it shows below.
		if _, err := c.Reconfig(within(t), m, zk.AnyConfig); err != nil && !zk.Unknown(err) {
			t.Fatalf("%s: %v", what, err)
		}
		l.more(20)
	}
	roleOf := func(m *member, role string) string {
		p := m.cfg.Peers[m.id-1]
		return fmt.Sprintf("server.%d=%s:%d:%d:%s;127.0.0.1:%d", m.id, p.Host, p.QuorumPort, p.ElectionPort, role, m.cfg.ClientPort)
	}
	mastered := func(m *member, masters ...*member) {
		t.Helper()
		await(t, fmt.Sprintf("%v learns from one of %v", m, masters), func() bool {
			id, err := metric(m, "zk_observer_master_id")
			return err == nil && slices.ContainsFunc(masters, func(o *member) bool { return id == fmt.Sprint(o.id) })
		})
		l.more(20)
	}
	become := func(m *member, state string) {
		t.Helper()
		await(t, fmt.Sprintf("%v is %s", m, state), func() bool {
			got, err := metric(m, "zk_server_state")
			return err == nil && got == state
		})
	}
	first, second := e.members[0], e.members[1]
	change("an observer gets a vote", zk.Membership{Joining: []string{roleOf(e.members[4], "participant")}})
	become(e.members[4], "follower")
	mastered(observer, first, second, e.members[4])
	change("a follower with its observer leaves", zk.Membership{Leaving: []string{"1"}})
	e.kill(first)
	mastered(observer, second, e.members[4])
	change("a follower becomes an observer", zk.Membership{Joining: []string{roleOf(second, "observer")}})
	become(second, "observer")
	mastered(observer, e.members[4])
	mastered(second, e.members[4])
	change("and a voter again", zk.Membership{Joining: []string{roleOf(second, "participant")}})
	become(second, "follower")
	change("the leader leaves", zk.Membership{Leaving: []string{"3"}})
	e.kill(e.members[2])
	leader := e.leader()
	for _, m := range []*member{second, e.members[4]} {
		if m != leader {
			mastered(observer, m)
		}
	}
	e.requireAcknowledged(l.end())
}

// TestLearnersThatHang stops a follower's process under load, and lets another read only now and
// then: the leader's memory grows by what is written until the learner is given up, which the
// collector may double, and not by all that is written meanwhile.
func TestLearnersThatHang(t *testing.T) {
	if testing.Short() {
		t.Skip("writes hundreds of megabytes; run without -short")
	}
	const (
		valueBytes  = 64 << 10
		writeBytes  = 320 << 20
		boundBytes  = 256 << 20 // below what was written; garbage between collections counts, on a busy machine more of it
		tickTimeMs  = 500       // so that a silent follower is given up after 2.5 s, or 50 MiB
		slowestTime = 3 * time.Minute
	)
	for name, hang := range map[string]func(ctx context.Context, m *member){
		"hangs": func(ctx context.Context, m *member) {
			_ = m.Signal(syscall.SIGSTOP)
			<-ctx.Done()
		},
		"is slow": func(ctx context.Context, m *member) {
			for ctx.Err() == nil {
				_ = m.Signal(syscall.SIGSTOP)
				time.Sleep(190 * time.Millisecond)
				_ = m.Signal(syscall.SIGCONT)
				time.Sleep(10 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "hangs" && !*full {
				t.Skip("takes half a minute more; run it with: make mixed")
			}
			e := newEnsemble(t, ours, ours, ours)
			for _, m := range e.members {
				m.cfg.TickTimeMs = tickTimeMs
				m.cfg.Extra = map[string]string{"DigestAuthenticationProvider.superDigest": superDigest}
			}
			e.startUnder(e.members[2])
			leader, victim := e.members[2], e.members[0]
			c := super(t, addresses(leader, e.members[1]))
			if _, err := c.Create(within(t), "/big", nil, zk.Persistent); err != nil {
				t.Fatal(err)
			}
			writeMany(t, c, valueBytes, writeBytes/4) // so that what is kept of the log is there already
			before := residentBytes(t, leader)
			ctx, stop := context.WithTimeout(t.Context(), slowestTime)
			defer stop()
			var hanging sync.WaitGroup
			hanging.Go(func() { hang(ctx, victim) })
			var most atomic.Int64
			hanging.Go(func() {
				for ctx.Err() == nil {
					most.Store(max(most.Load(), residentBytes(t, leader)))
					time.Sleep(20 * time.Millisecond)
				}
			})
			writeMany(t, c, valueBytes, writeBytes)
			stop()
			hanging.Wait()
			_ = victim.Signal(syscall.SIGCONT)
			t.Logf("resident before %d MiB, at most %d MiB while %d MiB were written", before>>20, most.Load()>>20, writeBytes>>20)
			if grown := most.Load() - before; grown > boundBytes {
				t.Errorf("the leader's memory grew by %d MiB", grown>>20)
			}
			e.awaitServing()
			e.agree()
		})
	}
}

// writeMany overwrites one znode until so many bytes were written, at most 20 MiB a second.
func writeMany(t *testing.T, c *zk.Client, valueBytes, totalBytes int64) {
	t.Helper()
	var left atomic.Int64
	left.Store(totalBytes / valueBytes)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			turns := time.NewTicker(8 * time.Second / time.Duration((20<<20)/valueBytes))
			defer turns.Stop()
			for left.Add(-1) >= 0 {
				<-turns.C
				_, err := c.Set(within(t), "/big", make([]byte, valueBytes), zk.AnyVersion)
				if err != nil && !zk.Unknown(err) {
					t.Errorf("a write beside a learner that hangs: %v", err)
					return
				}
			}
		})
	}
	writers.Wait()
}

// residentBytes is what a member's process has in memory.
func residentBytes(t *testing.T, m *member) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
	if err != nil {
		t.Error(err)
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				t.Error(err)
			}
			return kib << 10
		}
	}
	t.Error("no VmRSS")
	return 0
}
