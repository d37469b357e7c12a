package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/internal/apache"
)

const zookeeperProtocol = "zookeeper"

var apacheName = "Apache " + apache.Version()

// zookeeperSystem is this server or Apache's.
type zookeeperSystem struct {
	title string
	cfg   apache.Config // what its members have in common
}

func (s zookeeperSystem) name() string     { return s.title }
func (s zookeeperSystem) protocol() string { return zookeeperProtocol }

func (s zookeeperSystem) startMembers(ctx context.Context, dir string, count int) ([]member, error) {
	return startZooKeeper(ctx, dir, s.cfg, count)
}

func startZooKeeper(ctx context.Context, dir string, cfg apache.Config, count int) ([]member, error) {
	servers, err := apache.StartEnsemble(ctx, dir, slices.Repeat([]apache.Config{cfg}, count)...)
	if err != nil {
		return nil, err
	}
	var members []member
	for _, server := range servers {
		members = append(members, zookeeperMember{server})
	}
	return members, nil
}

func (s zookeeperSystem) fill(_ context.Context, dir string, entries int) error {
	_, err := writeSnapshot(dir, entries)
	return err
}

// large is the configuration for data of -znodes, which Java needs more room for.
func (s zookeeperSystem) large() apache.Config {
	cfg := s.cfg
	cfg.HeapMB *= 3
	return cfg
}

func (s zookeeperSystem) startAlone(dir string) (member, error) {
	ports, err := apache.FreePorts(1)
	if err != nil {
		return nil, err
	}
	cfg := s.large()
	cfg.ClientPort = ports[0]
	server, err := apache.Start(dir, cfg)
	if err != nil {
		return nil, err
	}
	return zookeeperMember{server}, nil
}

// rejoins are the log and the snapshot. A setting makes the leader choose the one or the other.
func (s zookeeperSystem) rejoins() []rejoin {
	var ways []rejoin
	for _, way := range []struct{ name, counter, factor string }{
		{"DIFF", "zk_diff_count", "0"},  // however long the log is
		{"SNAP", "zk_snap_count", "-1"}, // the log is not sent
	} {
		cfg := s.large()
		cfg.Extra = map[string]string{"snapshotSizeFactor": way.factor, "4lw.commands.whitelist": "srvr,mntr"}
		start := func(ctx context.Context, dir, data string, count int) ([]member, error) {
			for id := 1; id <= count; id++ {
				if err := copyDir(data, filepath.Join(dir, fmt.Sprint(id), "data")); err != nil {
					return nil, err
				}
			}
			return startZooKeeper(ctx, dir, cfg, count)
		}
		count := func(leader member) (int, error) { return wordValue(leader.Addr(), "mntr", way.counter+"\t") }
		ways = append(ways, rejoin{way.name, start, count})
	}
	return ways
}

// zookeeperMember is a member of either server.
type zookeeperMember struct{ *apache.Server }

func (m zookeeperMember) Addr() string { return m.ClientAddr }

func (m zookeeperMember) Leads() (bool, error) {
	mode, err := apache.Mode(m.ClientAddr)
	return mode == "leader", err
}

func (m zookeeperMember) Entries() (int, error) {
	return wordValue(m.ClientAddr, "srvr", "Node count: ")
}

// wordValue asks with a four-letter word and gives the whole number behind the prefix of a line.
func wordValue(addr, word, prefix string) (int, error) {
	answer, err := apache.Command(addr, word)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, prefix); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("%s of %s has no line %q: %q", word, addr, prefix, answer)
}

// zookeeperSession is a session with a znode of its own.
type zookeeperSession struct {
	conn *zk.Conn
	path string
}

// openZooKeeper opens a session. A lost connection fails what is in flight, so that nothing
// needs patience.
func openZooKeeper(cfg sessionConfig, payload []byte) (session, error) {
	const (
		sessionTimeout = 10 * time.Second
		openTimeout    = 30 * time.Second
	)
	provider := &rotation{addrs: cfg.addrs, fresh: true}
	conn, events, err := zk.Connect(cfg.addrs, sessionTimeout, zk.WithHostProvider(provider), zk.WithLogger(silent{}))
	if err != nil {
		return nil, err
	}
	s := zookeeperSession{conn, fmt.Sprintf("/bench/%d", cfg.index)}
	if err := awaitSession(events, openTimeout); err != nil {
		return nil, err
	}
	acl := zk.WorldACL(zk.PermAll)
	for _, path := range []string{"/bench", s.path} {
		if _, err := conn.Create(path, nil, 0, acl); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
	}
	return s, s.set(payload)
}

func awaitSession(events <-chan zk.Event, timeout time.Duration) error {
	deadline := time.After(timeout)
	for {
		select {
		case event := <-events:
			if event.State == zk.StateHasSession {
				return nil
			}
		case <-deadline:
			return errors.New("no session within the time")
		}
	}
}

func (s zookeeperSession) set(payload []byte) error {
	_, err := s.conn.Set(s.path, payload, -1)
	return err
}

func (s zookeeperSession) get() error {
	_, _, err := s.conn.Get(s.path)
	return err
}

func (s zookeeperSession) syncGet() error {
	if _, err := s.conn.Sync(s.path); err != nil {
		return err
	}
	return s.get()
}

func (s zookeeperSession) close() { s.conn.Close() }

// rotation gives the client its next server. It replaces the client's own
// provider, which sleeps a second after each full turn: that would hide how
// long a server was away.
type rotation struct {
	mu        sync.Mutex
	addrs     []string
	next      int
	connected bool // since the last call of Next
	fresh     bool // Next was not called yet
}

func (r *rotation) Init([]string) error { return nil }
func (r *rotation) Len() int            { return len(r.addrs) }

func (r *rotation) Next() (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fresh && !r.connected {
		const retryPause = 10 * time.Millisecond
		time.Sleep(retryPause)
	}
	r.fresh, r.connected = false, false
	addr := r.addrs[r.next%len(r.addrs)]
	r.next++
	return addr, false
}

func (r *rotation) Connected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connected = true
}

type silent struct{}

func (silent) Printf(string, ...any) {}
