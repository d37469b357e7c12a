package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"zoolab/internal/apache"
	"zoolab/internal/etcd"
)

const etcdProtocol = "etcd"

// etcdSystem is etcd of that version.
type etcdSystem struct{ version string }

func (s etcdSystem) name() string      { return "etcd " + s.version }
func (s etcdSystem) protocol() string  { return etcdProtocol }
func (s etcdSystem) rejoins() []rejoin { return nil }

// etcdFlags are all that is not etcd's default. Its database keeps every version of a key until
// somebody compacts it, and refuses writes from 2 GB on: a long load would end there. 8 GiB is
// the most that its documentation allows; the limit has no influence on speed.
var etcdFlags = []string{"--quota-backend-bytes", "8589934592"}

func (s etcdSystem) startMembers(ctx context.Context, dir string, count int) ([]member, error) {
	var dirs []string
	for i := range count {
		dirs = append(dirs, filepath.Join(dir, fmt.Sprint(i+1)))
	}
	servers, err := launchEtcd(dirs, etcdFlags...)
	if err != nil {
		return nil, err
	}
	var members []member
	for _, server := range servers {
		if err := server.WaitReady(ctx); err != nil {
			return nil, errors.Join(err, etcd.KillAll(servers))
		}
		members = append(members, etcdMember{server})
	}
	return members, nil
}

// launchEtcd starts a cluster with a member in each directory and returns at once.
func launchEtcd(dirs []string, flags ...string) ([]*etcd.Server, error) {
	ports, err := apache.FreePorts(2 * len(dirs))
	if err != nil {
		return nil, err
	}
	var cfgs []etcd.Config
	for i, dir := range dirs {
		cfgs = append(cfgs, etcd.Config{Dir: dir, ClientPort: ports[2*i], PeerPort: ports[2*i+1], Flags: flags})
	}
	return etcd.Start(cfgs...)
}

func (s etcdSystem) startAlone(dir string) (member, error) {
	servers, err := launchEtcd([]string{dir}, etcdFlags...)
	if err != nil {
		return nil, err
	}
	return etcdMember{servers[0]}, nil
}

// fill lets a server take the keys in large transactions and stops it. Its last snapshot is at
// most ten of them old, so that what starts from these data reads its database and hardly any
// log, as a ZooKeeper server reads a snapshot and no log.
func (s etcdSystem) fill(ctx context.Context, dir string, entries int) (err error) {
	const limit = 2 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	work := dir + "-filling"
	servers, err := launchEtcd([]string{work}, append([]string{"--max-txn-ops", fmt.Sprint(childrenPerNode), "--snapshot-count", "10"}, etcdFlags...)...)
	if err != nil {
		return err
	}
	server := servers[0]
	defer func() { err = errors.Join(err, server.Kill(), os.RemoveAll(work)) }()
	if err := server.WaitReady(ctx); err != nil {
		return err
	}
	if err := putMany(ctx, server.Addr(), entries); err != nil {
		return fmt.Errorf("put %d keys: %w", entries, err)
	}
	if err := server.Stop(); err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, "data"), dir)
}

// putMany puts the keys that the znodes of writeSnapshot have as paths, with their data.
func putMany(ctx context.Context, addr string, entries int) error {
	client, err := newEtcdClient([]string{addr})
	if err != nil {
		return err
	}
	defer client.Close()
	const inFlight = 8
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for from := 0; from < entries; from += childrenPerNode {
		group.Go(func() error {
			var puts []clientv3.Op
			for i := from; i < min(from+childrenPerNode, entries); i++ {
				puts = append(puts, clientv3.OpPut(leafPath(i), string(leafData(i))))
			}
			_, err := client.Txn(ctx).Then(puts...).Commit()
			return err
		})
	}
	return group.Wait()
}

// etcdMember is a member of an etcd cluster.
type etcdMember struct{ *etcd.Server }

func (m etcdMember) Entries() (int, error) { return m.Keys() }

// etcdSession is a client with a connection and a key of its own.
type etcdSession struct {
	client   *clientv3.Client
	key      string
	patience time.Duration
}

func newEtcdClient(addrs []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: addrs, Logger: zap.NewNop()})
}

// openEtcd opens a client, which connects to all of its members at once, and asks them in turn
// where there are several.
func openEtcd(cfg sessionConfig, payload []byte) (session, error) {
	const openTimeout = 30 * time.Second
	client, err := newEtcdClient(cfg.addrs)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("/bench/%d", cfg.index)
	first := etcdSession{client, key, openTimeout}
	return etcdSession{client, key, cfg.patience}, first.set(payload)
}

func (s etcdSession) set(payload []byte) error {
	ctx := s.client.Ctx()
	if s.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.patience)
		defer cancel()
	}
	_, err := s.client.Put(ctx, s.key, string(payload))
	return err
}

func (s etcdSession) get() error {
	_, err := s.client.Get(s.client.Ctx(), s.key, clientv3.WithSerializable())
	return err
}

func (s etcdSession) syncGet() error {
	_, err := s.client.Get(s.client.Ctx(), s.key)
	return err
}

func (s etcdSession) close() { _ = s.client.Close() }
