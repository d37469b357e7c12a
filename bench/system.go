package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/etcd"
)

// system is one of the servers that are compared.
type system interface {
	// name is the same in tables, files and messages; its first word is its own.
	name() string
	// protocol is the key of protocols under which the load process opens its sessions, and of
	// the data that fill writes.
	protocol() string
	// startMembers starts an ensemble without data, one member in each of dir/1, dir/2 and so
	// on, and returns when all of them serve. On an error nothing keeps running.
	startMembers(ctx context.Context, dir string, count int) ([]member, error)
	// fill writes the data directory of a server that was stopped with so many entries, znodes
	// or keys, into the directory dir.
	fill(ctx context.Context, dir string, entries int) error
	// startAlone launches a server whose data directory is dir/data, and returns at once.
	startAlone(dir string) (member, error)
	// rejoins are the ways in which -only rejoin brings a member back; none where that isn't
	// measured.
	rejoins() []rejoin
}

// member is one server process. It is stopped and restarted on the same data.
type member interface {
	// Addr is host:port for clients.
	Addr() string
	PID() int
	WaitReady(ctx context.Context) error
	// Leads reports whether the member says that it leads.
	Leads() (bool, error)
	// Entries counts the znodes or keys that the member serves.
	Entries() (int, error)
	Stop() error
	Kill() error
	Restart() error
}

// rejoin is a way in which a leader brings a member up to date that was away.
type rejoin struct {
	name string
	// startMembers is system's, but on copies of data, and with settings that leave the leader
	// only this way.
	startMembers func(ctx context.Context, dir, data string, count int) ([]member, error)
	// count tells how often the leader has gone this way.
	count func(leader member) (int, error)
}

// session is a client's connection, with an entry of its own, in the load process. All its
// methods but close may be called by many at once.
type session interface {
	set(payload []byte) error
	// get reads from the member to which the session is connected: what that has.
	get() error
	// syncGet reads what is newest in the ensemble.
	syncGet() error
	// close gives up what is in flight.
	close()
}

// sessionConfig says how a session is opened.
type sessionConfig struct {
	addrs []string // the members to which it may connect, the first one first
	index int      // its number, for the name of its entry
	// patience is how long to wait for the answer to a set where the protocol doesn't tell that
	// the request was lost; 0 for ever.
	patience time.Duration
}

// protocols open sessions whose entry holds the payload.
var protocols = map[string]func(cfg sessionConfig, payload []byte) (session, error){
	zookeeperProtocol: openZooKeeper,
	etcdProtocol:      openEtcd,
}

// prepareSystems builds this server and looks for the others. Those that are wanted and not
// installed are left out, and a message says so.
func prepareSystems(ctx context.Context, dir string, opts options) ([]system, error) {
	var systems []system
	if opts.node {
		binary := filepath.Join(dir, "node")
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "zoolab/node")
		if output, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("this server does not build (run bench inside the module; -node=false leaves it out): %w\n%s",
				err, strings.TrimSpace(string(output)))
		}
		systems = append(systems, zookeeperSystem{nodeName, apache.Config{Command: []string{binary, "serve"}}})
	}
	if opts.apache {
		if err := apache.Available(); err != nil {
			leaveOut(err)
		} else {
			systems = append(systems, zookeeperSystem{apacheName, apache.Config{HeapMB: opts.javaHeapMB}})
		}
	}
	if opts.etcd {
		version, err := etcd.Version()
		switch {
		case errors.Is(err, etcd.ErrUnavailable):
			leaveOut(err)
		case err != nil:
			return nil, err
		default:
			systems = append(systems, etcdSystem{version})
		}
	}
	if len(systems) == 0 {
		return nil, errors.New("there is nothing to measure")
	}
	return systems, nil
}

func leaveOut(reason error) { fmt.Fprintln(os.Stderr, "bench: left out:", reason) }

// nodeName is this server's in tables and files.
const nodeName = "zoolab"
