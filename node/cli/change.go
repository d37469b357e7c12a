package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"zoolab/zk"
)

const (
	// deleteBatch is how many znodes deleteall removes at a time.
	deleteBatch = 1000
	// maxTTLMs is the longest time to live that servers accept.
	maxTTLMs = 0xffffffffff
)

func set(s *shell, ctx context.Context, args arguments) error {
	version, err := versionOption(args)
	if err != nil {
		return err
	}
	reply, err := s.client.Set(ctx, args.word(0), []byte(args.word(1)), version)
	if err == nil {
		s.printStatIf(args, reply.Stat)
	}
	return err
}

func create(s *shell, ctx context.Context, args arguments) error {
	mode, err := createMode(args)
	if err != nil {
		return err
	}
	ttl, err := ttlOption(args)
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
	var reply zk.CreateReply
	if args.has("t") {
		reply, err = s.client.CreateTTL(ctx, args.word(0), data, mode, ttl, acl...)
	} else {
		reply, err = s.client.Create(ctx, args.word(0), data, mode, acl...)
	}
	if err == nil {
		s.notef("Created %s", reply.Path) // zkCli.sh has it on the error stream
	}
	return err
}

func createMode(args arguments) (zk.Mode, error) {
	switch {
	case args.has("c") && (args.has("e") || args.has("s")):
		return 0, say("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
	case args.has("t") && args.has("e"):
		return 0, say("TTLs cannot be used with Ephemeral znodes")
	case args.has("t") && args.has("c"):
		return 0, say("TTLs cannot be used with Container znodes")
	case args.has("c"):
		return zk.Container, nil
	case args.has("e") && args.has("s"):
		return zk.EphemeralSequential, nil
	case args.has("e"):
		return zk.Ephemeral, nil
	case args.has("s") && args.has("t"):
		return zk.TTLSequential, nil
	case args.has("s"):
		return zk.PersistentSequential, nil
	case args.has("t"):
		return zk.TTL, nil
	}
	return zk.Persistent, nil
}

// ttlOption reads -t, a number of milliseconds.
func ttlOption(args arguments) (time.Duration, error) {
	text, ok := args.options["t"]
	if !ok {
		return 0, nil
	}
	ttlMs, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, say("-t argument must be a long value")
	}
	if ttlMs <= 0 || ttlMs > maxTTLMs {
		return 0, say("ttl must be positive and cannot be larger than: %d", int64(maxTTLMs))
	}
	return time.Duration(ttlMs) * time.Millisecond, nil
}

func remove(s *shell, ctx context.Context, args arguments) error {
	version, err := versionOption(args)
	if err == nil && len(args.words) > 1 {
		// zkCli.sh 3.8 says this and then forgets the version: it deletes all the same.
		s.notef("'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.")
		version, err = parseVersion(args.word(1))
	}
	if err != nil {
		return err
	}
	_, err = s.client.Delete(ctx, args.word(0), version)
	return err
}

func deleteAll(s *shell, ctx context.Context, args arguments) error {
	batch := deleteBatch
	if text, ok := args.options["b"]; ok {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return say("-b argument must be an int value")
		}
		if n <= 0 {
			return say("-b argument must be above 0")
		}
		batch = int(n)
	}
	var paths []string
	err := s.walk(ctx, args.word(0), false, func(path string) error {
		paths = append(paths, path)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Reverse(paths) // children before their parents
	for some := range slices.Chunk(paths, batch) {
		if err := s.deleteSome(ctx, some); err != nil {
			s.notef("Failed to delete some node(s) in the subtree!")
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
