package tree

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	quotaLimits = "zookeeper_limits"
	quotaStats  = "zookeeper_stats"
)

// quotas knows the paths that have a quota: those with a znode
// /zookeeper/quota<path>/zookeeper_limits. Beside it, in zookeeper_stats, each server
// keeps by itself the number of znodes and bytes at and below the path, of the nearest
// quota only. These writes are no transactions: they leave the stat as it is.
type quotas struct{ paths map[string]struct{} }

// nearest returns the deepest path with a quota at or above path, or "". The root
// can't have one.
func (q *quotas) nearest(path string) string {
	if len(q.paths) == 0 {
		return ""
	}
	for path != "/" && path != "" {
		if _, there := q.paths[path]; there {
			return path
		}
		path, _ = splitPath(path)
	}
	return ""
}

// quotaTarget cuts /zookeeper/quota<target>/<name>.
func quotaTarget(path string) (target, name string, ok bool) {
	rest, below := strings.CutPrefix(path, QuotaPath)
	if !below {
		return "", "", false
	}
	i := strings.LastIndexByte(rest, '/')
	if i <= 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

// created follows the create of a znode.
func (q *quotas) created(t *Tree, path string, sizeBytes int) {
	if target, name, ok := quotaTarget(path); ok {
		switch name {
		case quotaLimits:
			q.add(target)
		case quotaStats:
			q.recount(t, target)
		}
	}
	q.count(t, path, 1, sizeBytes)
}

func (q *quotas) deleted(t *Tree, path string, sizeBytes int) {
	if target, name, ok := quotaTarget(path); ok && name == quotaLimits {
		delete(q.paths, target)
	}
	q.count(t, path, -1, -sizeBytes)
}

func (q *quotas) resized(t *Tree, path string, grownBytes int) { q.count(t, path, 0, grownBytes) }

func (q *quotas) add(target string) {
	if q.paths == nil {
		q.paths = make(map[string]struct{})
	}
	q.paths[strings.Clone(target)] = struct{}{}
}

// count adds to the statistics of the nearest quota.
func (q *quotas) count(t *Tree, path string, nodes, sizeBytes int) {
	target := q.nearest(path)
	if target == "" {
		return
	}
	h := t.store.find(QuotaPath + target + "/" + quotaStats)
	if h == noNode {
		return
	}
	count, total := parseQuotaStats(string(t.store.content(h).data))
	q.write(t, h, target, count+int64(nodes), total+int64(sizeBytes))
}

// recount sets the statistics of a quota from the znodes that are there.
func (q *quotas) recount(t *Tree, target string) {
	stats := t.store.find(QuotaPath + target + "/" + quotaStats)
	if stats == noNode {
		return
	}
	var count, total int64
	if top := t.store.find(target); top != noNode {
		for at := top; at != noNode; at = t.store.next(top, at) {
			count++
			total += int64(len(t.store.content(at).data))
		}
	}
	q.write(t, stats, target, count, total)
}

func (q *quotas) write(t *Tree, h handle, target string, count, sizeBytes int64) {
	t.beforeChange(h)
	t.setContent(h, QuotaPath+target+"/"+quotaStats, fmt.Appendf(nil, "count=%d,bytes=%d", count, sizeBytes))
	t.afterChange(h)
}

// load finds the quotas of a tree that came from a snapshot.
func (q *quotas) load(t *Tree) {
	top := t.store.find(QuotaPath)
	if top == noNode {
		return
	}
	for at := top; at != noNode; at = t.store.next(top, at) {
		if t.store.content(at).name != quotaLimits || t.store.node(at).firstChild != noNode {
			continue
		}
		if target, _, ok := quotaTarget(t.store.path(at)); ok {
			q.recount(t, target)
			q.add(target)
		}
	}
}

// parseQuotaStats reads "count=1,bytes=2" and what later versions add behind it. What
// can't be read counts as -1, as in Apache.
func parseQuotaStats(s string) (count, sizeBytes int64) {
	count, sizeBytes = -1, -1
	for _, pair := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(strings.TrimSuffix(pair, "="), "=")
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "count":
			count = v
		case "bytes":
			sizeBytes = v
		}
	}
	return count, sizeBytes
}
