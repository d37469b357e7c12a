package tree

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"zoolab/zk/jute"
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

func limitsPath(target string) string { return QuotaPath + target + "/" + quotaLimits }
func statsPath(target string) string  { return QuotaPath + target + "/" + quotaStats }

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

// count adds to the statistics of the nearest quota. Statistics that a client wrote and
// that can't be read are begun anew from none, which is -1.
func (q *quotas) count(t *Tree, path string, nodes, sizeBytes int) {
	target := q.nearest(path)
	if target == "" {
		return
	}
	h := t.store.find(statsPath(target))
	if h == noNode {
		return
	}
	stats, err := parseQuota(string(t.store.content(h).data))
	if err != nil {
		stats = noQuota()
	}
	stats.count += int64(nodes)
	stats.sizeBytes += int64(sizeBytes)
	q.write(t, h, target, stats)
}

// recount sets the statistics of a quota from the znodes that are there.
func (q *quotas) recount(t *Tree, target string) {
	h := t.store.find(statsPath(target))
	if h == noNode {
		return
	}
	var stats quota
	if top := t.store.find(target); top != noNode {
		for at := top; at != noNode; at = t.store.next(top, at) {
			stats.count++
			stats.sizeBytes += int64(len(t.store.content(at).data))
		}
	}
	q.write(t, h, target, stats)
}

func (q *quotas) write(t *Tree, h handle, target string, stats quota) {
	t.beforeChange(h)
	t.setContent(h, statsPath(target), stats.append(nil))
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

// quota is the content of a limits or statistics znode. As a limit, -1 is none.
type quota struct {
	count, sizeBytes int64
	others           []quotaFigure // by name
}

type quotaFigure struct {
	name  string
	value int64
}

func noQuota() quota { return quota{count: -1, sizeBytes: -1} }

// Names of the hard limits.
const (
	countHardLimit = "countHardLimit"
	bytesHardLimit = "byteHardLimit"
)

func (q *quota) other(name string) int64 {
	for _, f := range q.others {
		if f.name == name {
			return f.value
		}
	}
	return -1
}

func (q *quota) set(name string, value int64) {
	switch name {
	case "count":
		q.count = value
	case "bytes":
		q.sizeBytes = value
	default:
		at, there := slices.BinarySearchFunc(q.others, name, func(f quotaFigure, name string) int { return strings.Compare(f.name, name) })
		if !there {
			q.others = slices.Insert(q.others, at, quotaFigure{name: name})
		}
		q.others[at].value = value
	}
}

// append writes the form of 3.8: "count=1,bytes=2", and behind an equals sign, which hides
// them from older versions, the other figures: "=;byteHardLimit=3;countHardLimit=4".
func (q *quota) append(b []byte) []byte {
	b = fmt.Appendf(b, "count=%d,bytes=%d", q.count, q.sizeBytes)
	if len(q.others) > 0 {
		b = append(b, '=')
	}
	for _, f := range q.others {
		b = fmt.Appendf(b, ";%s=%d", f.name, f.value)
	}
	return b
}

var errQuota = errors.New("not the content of a quota")

// parseQuota reads what append writes, and all else that Apache reads: figures in any
// order, divided by commas or semicolons. An absent one is -1.
func parseQuota(s string) (quota, error) {
	q := noQuota()
	if strings.HasPrefix(s, ",") || strings.HasPrefix(s, ";") {
		return q, errQuota
	}
	for pair := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(strings.TrimRight(pair, "="), "=")
		value, _, _ = strings.Cut(value, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return q, errQuota
		}
		q.set(name, n)
	}
	return q, nil
}

// QuotaBreach is a write that goes beyond a quota.
type QuotaBreach struct {
	Path  string // that has the quota
	Bytes bool   // of bytes; else of znodes
	Hard  bool   // the write may be refused for it; else somebody should be warned
	Value int64  // what the write would lead to
	Limit int64
}

// CheckQuota returns what quotas a write would breach that adds znodes and bytes at path:
// nothing, or one for znodes, one for bytes or both. With CodeMarshallingError it says that
// a quota can't be read.
//
// It compares with what was applied, like Apache: of several writes on their way, each is
// judged as if it were alone.
func (t *Tree) CheckQuota(path string, nodes, grownBytes int) ([]QuotaBreach, jute.ErrorCode) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	target := t.quotas.nearest(path)
	if target == "" {
		return nil, jute.CodeOK
	}
	limits, there, err := t.readQuota(limitsPath(target))
	if !there || err != nil {
		return nil, codeOfQuota(err)
	}
	counts := nodes != 0 && max(limits.count, limits.other(countHardLimit)) > -1
	sizes := grownBytes != 0 && max(limits.sizeBytes, limits.other(bytesHardLimit)) > -1
	if !counts && !sizes {
		return nil, jute.CodeOK
	}
	stats, there, err := t.readQuota(statsPath(target))
	if !there || err != nil {
		return nil, codeOfQuota(err)
	}
	var breaches []QuotaBreach
	if counts {
		breaches = appendBreach(breaches, QuotaBreach{Path: target, Value: stats.count + int64(nodes)}, limits.count, limits.other(countHardLimit))
	}
	if sizes {
		breaches = appendBreach(breaches, QuotaBreach{Path: target, Bytes: true, Value: stats.sizeBytes + int64(grownBytes)}, limits.sizeBytes, limits.other(bytesHardLimit))
	}
	return breaches, jute.CodeOK
}

func codeOfQuota(err error) jute.ErrorCode {
	if err != nil {
		return jute.CodeMarshallingError
	}
	return jute.CodeOK
}

func (t *Tree) readQuota(path string) (q quota, there bool, err error) {
	h := t.store.find(path)
	if h == noNode {
		return quota{}, false, nil
	}
	q, err = parseQuota(string(t.store.content(h).data))
	return q, true, err
}

// appendBreach compares with the hard limit or, only where there is none, with the soft one.
func appendBreach(breaches []QuotaBreach, b QuotaBreach, soft, hard int64) []QuotaBreach {
	b.Limit, b.Hard = soft, false
	if hard > -1 {
		b.Limit, b.Hard = hard, true
	}
	if b.Value > b.Limit {
		breaches = append(breaches, b)
	}
	return breaches
}
