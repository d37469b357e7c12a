package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"zoolab/zk"
)

// Where servers keep limits and what they count.
const (
	quotaRoot  = "/zookeeper/quota"
	limitsName = "zookeeper_limits"
	statsName  = "zookeeper_stats"
)

// The keys of a limits or stats node. Those that are not limited are -1.
const (
	countKey     = "count"
	bytesKey     = "bytes"
	countHardKey = "countHardLimit"
	bytesHardKey = "byteHardLimit"
)

// limitKeys are the keys by the letters of the options.
var limitKeys = map[string]string{"n": countKey, "b": bytesKey, "N": countHardKey, "B": bytesHardKey}

// track is the content of a limits or stats node.
type track map[string]int64

// parseTrack reads "count=1,bytes=-1=;byteHardLimit=-1;countHardLimit=5", or the form
// of older servers without what stands behind the second equals sign.
func parseTrack(data []byte) (track, error) {
	t := track{}
	for pair := range strings.FieldsFuncSeq(string(data), func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(pair, "=")
		value = strings.TrimSuffix(value, "=")
		if value == "" {
			value = "-1"
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("quota %q: %s is not followed by a number", data, key)
		}
		t[key] = n
	}
	return t, nil
}

// get returns the key's value, -1 if it has none.
func (t track) get(key string) int64 {
	if n, ok := t[key]; ok {
		return n
	}
	return -1
}

// String is the form that servers and other clients read: count and bytes in front,
// and an equals sign that keeps older ones from reading further.
func (t track) String() string {
	text := fmt.Sprintf("count=%d,bytes=%d", t.get(countKey), t.get(bytesKey))
	var others []string
	for key, n := range t {
		if key != countKey && key != bytesKey {
			others = append(others, fmt.Sprintf(";%s=%d", key, n))
		}
	}
	if len(others) == 0 {
		return text
	}
	slices.Sort(others)
	return text + "=" + strings.Join(others, "")
}

func (s *shell) readTrack(ctx context.Context, path string) (track, error) {
	reply, err := s.client.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	return parseTrack(reply.Data)
}

func noQuota(path string) error { return say("quota for %s does not exist.", path) }

func listQuota(s *shell, ctx context.Context, args arguments) error {
	path := args.word(0)
	s.notef("absolute path is %s%s/%s", quotaRoot, path, limitsName)
	for _, part := range [...]struct{ name, kind string }{{limitsName, "quota"}, {statsName, "stat"}} {
		t, err := s.readTrack(ctx, quotaRoot+path+"/"+part.name)
		if errors.Is(err, zk.ErrNoNode) {
			return noQuota(path)
		}
		if err != nil {
			return err
		}
		s.printf("Output %s for %s %s\n", part.kind, path, t)
	}
	return nil
}

func setQuota(s *shell, ctx context.Context, args arguments) error {
	path := args.word(0)
	if path == quotaRoot || strings.HasPrefix(path, quotaRoot+"/") {
		return say("cannot set a quota under the path: %s", quotaRoot)
	}
	limits, err := limitsOption(args)
	if err != nil {
		return err
	}
	if err := s.mayHaveQuota(ctx, path); err != nil {
		return err
	}
	limitsPath := quotaRoot + path + "/" + limitsName
	merged, err := s.readTrack(ctx, limitsPath)
	if errors.Is(err, zk.ErrNoNode) {
		return s.createQuota(ctx, path, limits)
	}
	if err != nil {
		return err
	}
	for key, limit := range limits {
		if limit >= 0 {
			merged[key] = limit
		}
	}
	stats, err := s.readTrack(ctx, quotaRoot+path+"/"+statsName)
	if err != nil {
		return err
	}
	s.warnOfQuota(merged, stats)
	_, err = s.client.Set(ctx, limitsPath, []byte(merged.String()), zk.AnyVersion)
	return err
}

// limitsOption reads the limits that are to be set; the others are -1.
func limitsOption(args arguments) (track, error) {
	limits := track{countKey: -1, bytesKey: -1, countHardKey: -1, bytesHardKey: -1}
	for letter, key := range limitKeys {
		text, ok := args.options[letter]
		if !ok {
			continue
		}
		count := strings.HasPrefix(key, countKey)
		bits := 64
		if count {
			bits = 32
		}
		limit, err := strconv.ParseInt(text, 10, bits)
		switch {
		case err != nil:
			return nil, say("NumberFormatException happens when parsing the option value")
		case count && limit <= 0:
			return nil, say("the num quota must be greater than zero")
		case limit < 0:
			return nil, say("the bytes quota must be greater than or equal to zero")
		}
		limits[key] = limit
	}
	return limits, nil
}

// mayHaveQuota fails unless the znode exists and no quota holds above or below it:
// servers look at one only.
func (s *shell) mayHaveQuota(ctx context.Context, path string) error {
	reply, err := s.client.Exists(ctx, path)
	if err != nil {
		return err
	}
	if !reply.Exists {
		return say("%s does not exist.", path)
	}
	err = s.walk(ctx, quotaRoot+path, false, func(below string) error {
		owner, isLimits := strings.CutSuffix(below, "/"+limitsName)
		if isLimits && owner != quotaRoot+path {
			return say("%s has a child %s which has a quota", path, strings.TrimPrefix(owner, quotaRoot))
		}
		return nil
	})
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		reply, err := s.client.Exists(ctx, quotaRoot+path[:i]+"/"+limitsName)
		if err != nil {
			return err
		}
		if reply.Exists {
			return say("%s has a parent %s which has a quota", path, path[:i])
		}
	}
	return nil
}

// createQuota makes the nodes of a quota, parents first. The server fills in the stats.
func (s *shell) createQuota(ctx context.Context, path string, limits track) error {
	owner := quotaRoot + path
	for i := len(quotaRoot) + 1; i <= len(owner); i++ {
		if i < len(owner) && owner[i] != '/' {
			continue
		}
		if err := s.createMissing(ctx, owner[:i], nil); err != nil {
			return err
		}
	}
	if err := s.createMissing(ctx, owner+"/"+limitsName, []byte(limits.String())); err != nil {
		return err
	}
	empty := track{countKey: 0, bytesKey: 0}
	if err := s.createMissing(ctx, owner+"/"+statsName, []byte(empty.String())); err != nil {
		return err
	}
	stats, err := s.readTrack(ctx, owner+"/"+statsName)
	if err == nil {
		s.warnOfQuota(limits, stats)
	}
	return err
}

func (s *shell) createMissing(ctx context.Context, path string, data []byte) error {
	_, err := s.client.Create(ctx, path, data, zk.Persistent)
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// warnOfQuota says that a quota is exceeded from the start.
func (s *shell) warnOfQuota(limits, stats track) {
	exceeded := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool {
			limit := limits.get(key)
			return limit > -1 && limit < stats.get(keys[0])
		})
	}
	if exceeded(countKey, countHardKey) {
		s.printf("[Warning]: the count quota you create is less than the existing count:%d\n", stats.get(countKey))
	}
	if exceeded(bytesKey, bytesHardKey) {
		s.printf("[Warning]: the bytes quota you create is less than the existing bytes:%d\n", stats.get(bytesKey))
	}
}

func deleteQuota(s *shell, ctx context.Context, args arguments) error {
	path := args.word(0)
	limitsPath := quotaRoot + path + "/" + limitsName
	limits, err := s.readTrack(ctx, limitsPath)
	if errors.Is(err, zk.ErrNoNode) {
		s.printf("Quota does not exist for %s\n", path)
		return nil
	}
	if err != nil {
		return err
	}
	if len(args.options) == 0 {
		return s.deleteQuotaNodes(ctx, path)
	}
	for letter := range args.options {
		limits[limitKeys[letter]] = -1
	}
	_, err = s.client.Set(ctx, limitsPath, []byte(limits.String()), zk.AnyVersion)
	return err
}

// deleteQuotaNodes removes a quota, and what of its path leads to no other.
func (s *shell) deleteQuotaNodes(ctx context.Context, path string) error {
	owner := quotaRoot + path
	for _, name := range [...]string{limitsName, statsName} {
		if _, err := s.client.Delete(ctx, owner+"/"+name, zk.AnyVersion); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	for owner != quotaRoot {
		_, err := s.client.Delete(ctx, owner, zk.AnyVersion)
		if errors.Is(err, zk.ErrNotEmpty) || errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		if err != nil {
			return err
		}
		owner = owner[:strings.LastIndexByte(owner, '/')]
	}
	return nil
}
