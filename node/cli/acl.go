package cli

import (
	"cmp"
	"context"
	"strings"

	"zoolab/zk"
)

// permLetters are in the order in which zkCli.sh prints them.
var permLetters = [...]struct {
	letter rune
	perm   int32
}{
	{'c', zk.PermCreate}, {'d', zk.PermDelete}, {'r', zk.PermRead}, {'w', zk.PermWrite}, {'a', zk.PermAdmin},
}

// parseACL reads "scheme:id:perm,scheme:id:perm". An id may have colons itself.
func parseACL(text string) ([]zk.ACL, error) {
	var acl []zk.ACL
	for item := range strings.SplitSeq(text, ",") {
		first, last := strings.Index(item, ":"), strings.LastIndex(item, ":")
		if first < 0 || first == last {
			return nil, say("%s does not have the form scheme:id:perm", item)
		}
		perms, err := parsePerms(item[last+1:])
		if err != nil {
			return nil, err
		}
		entry := zk.ACL{Perms: perms}
		entry.ID.Scheme, entry.ID.ID = item[:first], item[first+1:last]
		acl = append(acl, entry)
	}
	return acl, nil
}

func parsePerms(text string) (int32, error) {
	var perms int32
next:
	for _, r := range text {
		for _, p := range permLetters {
			if p.letter == r {
				perms |= p.perm
				continue next
			}
		}
		// zkCli.sh says this and goes on without the permission.
		return 0, say("Unknown perm type: %c; the permissions are letters of cdrwa", r)
	}
	return perms, nil
}

func formatPerms(perms int32) string {
	var b strings.Builder
	for _, p := range permLetters {
		if perms&p.perm != 0 {
			b.WriteRune(p.letter)
		}
	}
	return b.String()
}

func getACL(s *shell, ctx context.Context, args arguments) error {
	reply, err := s.client.GetACL(ctx, args.word(0))
	if err != nil {
		return err
	}
	for _, acl := range reply.ACL {
		s.printf("'%s,'%s\n: %s\n", acl.ID.Scheme, acl.ID.ID, formatPerms(acl.Perms))
	}
	s.printStatIf(args, reply.Stat)
	return nil
}

func setACL(s *shell, ctx context.Context, args arguments) error {
	version, err := versionOption(args)
	if err != nil {
		return err
	}
	acl, err := parseACL(args.word(1))
	if err != nil {
		return err
	}
	if !args.has("R") {
		reply, err := s.client.SetACL(ctx, args.word(0), acl, version)
		if err == nil {
			s.printStatIf(args, reply.Stat)
		}
		return err
	}
	var failed error // the first; the others are set all the same
	err = s.walk(ctx, args.word(0), false, func(path string) error {
		_, err := s.client.SetACL(ctx, path, acl, version)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if failed != nil {
			s.notef("%s", words(err))
		} else {
			failed = err
		}
		return nil
	})
	return cmp.Or(err, failed)
}
