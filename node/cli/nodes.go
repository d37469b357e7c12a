package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"zoolab/zk"
)

const (
	// maxTree bounds the znodes that a recursive command takes on.
	maxTree = 10_000_000
	// deleteBatch is how many znodes deleteall removes at a time.
	deleteBatch = 1000
)

// printStat prints a znode's stat, in the order and with the names of zkCli.sh.
func (s *shell) printStat(stat zk.Stat) {
	date := func(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }
	s.printf("cZxid = %#x\nctime = %s\nmZxid = %#x\nmtime = %s\npZxid = %#x\n"+
		"cversion = %d\ndataVersion = %d\naclVersion = %d\nephemeralOwner = %#x\ndataLength = %d\nnumChildren = %d\n",
		uint64(stat.Czxid), date(stat.Ctime), uint64(stat.Mzxid), date(stat.Mtime), uint64(stat.Pzxid),
		stat.Cversion, stat.Version, stat.Aversion, uint64(stat.EphemeralOwner), stat.DataLength, stat.NumChildren)
}

func (s *shell) printData(data []byte) {
	if data == nil {
		data = []byte("null")
	}
	s.write(data)
}

func (s *shell) printList(items []string) {
	slices.Sort(items)
	s.printf("[%s]\n", strings.Join(items, ", "))
}

func get(s *shell, ctx context.Context, args arguments) error {
	var reply zk.DataReply
	var err error
	if args.has("w") {
		var events <-chan zk.Event
		reply, events, err = s.client.GetW(ctx, args.word(0))
		defer s.watchIf(events)
	} else {
		reply, err = s.client.Get(ctx, args.word(0))
	}
	if err != nil {
		return err
	}
	s.printData(reply.Data)
	if args.has("s") {
		s.printStat(reply.Stat)
	}
	return nil
}

// watchIf watches, unless the call that should have set the watch failed.
func (s *shell) watchIf(events <-chan zk.Event) {
	if events != nil {
		s.watch(events)
	}
}

func config(s *shell, ctx context.Context, args arguments) error {
	reply, err := s.client.Get(ctx, "/zookeeper/config")
	if err != nil {
		return err
	}
	s.printData(reply.Data)
	if args.has("s") {
		s.printStat(reply.Stat)
	}
	return nil
}

func set(s *shell, ctx context.Context, args arguments) error {
	version, err := versionOption(args)
	if err != nil {
		return err
	}
	reply, err := s.client.Set(ctx, args.word(0), []byte(args.word(1)), version)
	if err == nil && args.has("s") {
		s.printStat(reply.Stat)
	}
	return err
}

func create(s *shell, ctx context.Context, args arguments) error {
	mode, err := createMode(args)
	if err != nil {
		return err
	}
	var data []byte
	if len(args.words) > 1 {
		data = []byte(args.word(1))
	}
	var acl []zk.ACL
	if len(args.words) > 2 {
		if acl, err = parseACL(args.word(2)); err != nil {
			return err
		}
	}
	reply, err := s.client.Create(ctx, args.word(0), data, mode, acl...)
	if err == nil {
		s.printf("Created %s\n", reply.Path)
	}
	return err
}

func createMode(args arguments) (zk.Mode, error) {
	switch {
	case args.has("c") && (args.has("e") || args.has("s")):
		return 0, say("-c cannot be combined with -s or -e: a container is neither ephemeral nor sequential")
	case args.has("c"):
		return zk.Container, nil
	case args.has("e") && args.has("s"):
		return zk.EphemeralSequential, nil
	case args.has("e"):
		return zk.Ephemeral, nil
	case args.has("s"):
		return zk.PersistentSequential, nil
	}
	return zk.Persistent, nil
}

func remove(s *shell, ctx context.Context, args arguments) error {
	version, err := versionOption(args)
	if err != nil {
		return err
	}
	_, err = s.client.Delete(ctx, args.word(0), version)
	return err
}

func stat(s *shell, ctx context.Context, args arguments) error {
	path := args.word(0)
	var reply zk.ExistsReply
	var err error
	if args.has("w") {
		var events <-chan zk.Event
		reply, events, err = s.client.ExistsW(ctx, path)
		defer s.watchIf(events)
	} else {
		reply, err = s.client.Exists(ctx, path)
	}
	switch {
	case err != nil:
		return err
	case !reply.Exists:
		return say("Node does not exist: %s", path)
	}
	s.printStat(reply.Stat)
	return nil
}

func syncPath(s *shell, ctx context.Context, args arguments) error {
	_, err := s.client.Sync(ctx, args.word(0))
	if err == nil {
		s.printf("Sync is OK\n")
	}
	return err
}

func ls(s *shell, ctx context.Context, args arguments) error {
	path := args.word(0)
	if args.has("R") {
		return s.walk(ctx, path, func(path string) error {
			s.printf("%s\n", path)
			return nil
		})
	}
	var reply zk.ChildrenReply
	var err error
	if args.has("w") {
		var events <-chan zk.Event
		reply, events, err = s.client.ChildrenW(ctx, path)
		defer s.watchIf(events)
	} else {
		reply, err = s.client.Children(ctx, path)
	}
	if err != nil {
		return err
	}
	s.printList(reply.Children)
	if args.has("s") {
		s.printStat(reply.Stat)
	}
	return nil
}

// walk visits a znode and all below it, parents first, level by level. A znode that
// vanishes meanwhile is left out; a missing root is an error.
func (s *shell) walk(ctx context.Context, root string, visit func(path string) error) error {
	seen := 0
	for level := []string{root}; len(level) > 0; {
		var next []string
		for _, path := range level {
			reply, err := s.client.Children(ctx, path)
			if errors.Is(err, zk.ErrNoNode) && path != root {
				continue
			}
			if err != nil {
				return err
			}
			if seen++; seen > maxTree {
				return say("There are more than %d znodes below %s", maxTree, root)
			}
			if err := visit(path); err != nil {
				return err
			}
			slices.Sort(reply.Children)
			for _, child := range reply.Children {
				next = append(next, join(path, child))
			}
		}
		level = next
	}
	return nil
}

func join(parent, child string) string { return strings.TrimSuffix(parent, "/") + "/" + child }

func deleteAll(s *shell, ctx context.Context, args arguments) error {
	batch := deleteBatch
	if text, ok := args.options["b"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return say("The batch size %q is no number above 0", text)
		}
		batch = n
	}
	var paths []string
	err := s.walk(ctx, args.word(0), func(path string) error {
		paths = append(paths, path)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Reverse(paths) // children before their parents
	for some := range slices.Chunk(paths, batch) {
		if err := s.deleteSome(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// deleteSome removes znodes at once, or one by one if another client has removed some.
func (s *shell) deleteSome(ctx context.Context, paths []string) error {
	ops := make([]zk.Op, len(paths))
	for i, path := range paths {
		ops[i] = zk.DeleteOp(path, zk.AnyVersion)
	}
	_, err := s.client.Multi(ctx, ops...)
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	for _, path := range paths {
		if _, err := s.client.Delete(ctx, path, zk.AnyVersion); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	return nil
}

func getEphemerals(s *shell, ctx context.Context, args arguments) error {
	prefix := args.word(0)
	if prefix == "" {
		prefix = "/"
	}
	paths, _, err := s.client.GetEphemerals(ctx, prefix)
	if err == nil {
		s.printList(paths)
	}
	return err
}

func getAllChildrenNumber(s *shell, ctx context.Context, args arguments) error {
	n, _, err := s.client.AllChildrenNumber(ctx, args.word(0))
	if err == nil {
		s.printf("%d\n", n)
	}
	return err
}
