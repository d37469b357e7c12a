package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// maxTree bounds the znodes that a recursive command takes on.
const maxTree = 10_000_000

// printStat prints a znode's stat, in the order and with the names of zkCli.sh.
func (s *shell) printStat(stat zk.Stat) {
	date := func(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }
	s.printf("cZxid = %#x\nctime = %s\nmZxid = %#x\nmtime = %s\npZxid = %#x\n"+
		"cversion = %d\ndataVersion = %d\naclVersion = %d\nephemeralOwner = %#x\ndataLength = %d\nnumChildren = %d\n",
		uint64(stat.Czxid), date(stat.Ctime), uint64(stat.Mzxid), date(stat.Mtime), uint64(stat.Pzxid),
		stat.Cversion, stat.Version, stat.Aversion, uint64(stat.EphemeralOwner), stat.DataLength, stat.NumChildren)
}

// printStatIf prints the stat if the option -s was given.
func (s *shell) printStatIf(args arguments, stat zk.Stat) {
	if args.has("s") {
		s.printStat(stat)
	}
}

func (s *shell) printData(data []byte) {
	if data == nil {
		data = []byte("null")
	}
	s.write(data)
}

// printList prints names or paths in one line. Java's list is in the server's order.
func (s *shell) printList(items []string) {
	slices.Sort(items)
	s.printf("[%s]\n", strings.Join(items, ", "))
}

func get(s *shell, ctx context.Context, args arguments) error {
	reply, err := s.read(ctx, args.word(0), args.has("w"))
	if err != nil {
		return err
	}
	s.printData(reply.Data)
	s.printStatIf(args, reply.Stat)
	return nil
}

// read reads a znode, and watches its data if asked to: watchEvent prints what the
// watch sees.
func (s *shell) read(ctx context.Context, path string, watch bool) (zk.DataReply, error) {
	if !watch {
		return s.client.Get(ctx, path)
	}
	reply, _, err := s.client.GetW(ctx, path)
	return reply, err
}

// list lists children, and watches them if asked to.
func (s *shell) list(ctx context.Context, path string, watch bool) (zk.ChildrenReply, error) {
	if !watch {
		return s.client.Children(ctx, path)
	}
	reply, _, err := s.client.ChildrenW(ctx, path)
	return reply, err
}

func stat(s *shell, ctx context.Context, args arguments) error {
	path := args.word(0)
	var reply zk.ExistsReply
	var err error
	if args.has("w") {
		reply, _, err = s.client.ExistsW(ctx, path)
	} else {
		reply, err = s.client.Exists(ctx, path)
	}
	switch {
	case err != nil:
		return err
	case !reply.Exists:
		return &zk.OpError{Op: "exists", Path: path, Err: zk.ErrNoNode, Zxid: reply.Zxid}
	}
	s.printStat(reply.Stat)
	return nil
}

func syncPath(s *shell, ctx context.Context, args arguments) error {
	_, err := s.client.Sync(ctx, args.word(0))
	var code jute.ErrorCode
	switch {
	case err == nil:
		s.printf("Sync is OK\n")
	case errors.As(err, &code) && !errors.Is(err, zk.ErrBadArguments):
		s.printf("Sync has failed. rc=%d\n", int32(code))
	}
	return err
}

func ls(s *shell, ctx context.Context, args arguments) error {
	if args.has("?") {
		s.printf("usage: ls [options] path\n -?   help\n -R   recurse\n -s   stat\n -w   watch\n")
	}
	path := args.word(0)
	if args.has("R") {
		return s.walk(ctx, path, args.has("w"), func(path string) error {
			s.printf("%s\n", path)
			return nil
		})
	}
	reply, err := s.list(ctx, path, args.has("w"))
	if err != nil {
		return err
	}
	s.printList(reply.Children)
	s.printStatIf(args, reply.Stat)
	return nil
}

// walk visits a znode and all below it in the order of zkCli.sh: a znode's children,
// then those of the first child, and so on. A znode that vanishes meanwhile is left
// out; a missing root is an error.
func (s *shell) walk(ctx context.Context, root string, watch bool, visit func(path string) error) error {
	if _, err := s.read(ctx, root, watch); err != nil {
		return err
	}
	if err := visit(root); err != nil {
		return err
	}
	seen := 1
	for stack := []string{root}; len(stack) > 0; {
		path := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		reply, err := s.list(ctx, path, watch)
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return err
		}
		if seen += len(reply.Children); seen > maxTree {
			return say("There are more than %d znodes below %s", maxTree, root)
		}
		slices.Sort(reply.Children)
		for _, child := range reply.Children {
			if err := visit(join(path, child)); err != nil {
				return err
			}
		}
		for _, child := range slices.Backward(reply.Children) {
			stack = append(stack, join(path, child))
		}
	}
	return nil
}

func join(parent, child string) string { return strings.TrimSuffix(parent, "/") + "/" + child }

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
