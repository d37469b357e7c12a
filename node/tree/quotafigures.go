package tree

import (
	"maps"
	"slices"
	"strings"
)

// QuotaFigures are the limits and the use of all quotas below one name of the root: sums,
// as Apache shows them. A limit is the hard one where there is one, -1 where there is none.
type QuotaFigures struct {
	Namespace              string
	CountLimit, BytesLimit int64
	Count, Bytes           int64
}

// QuotaFigures returns the figures of all quotas by ascending namespace.
func (t *Tree) QuotaFigures() []QuotaFigures {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make(map[string]*QuotaFigures)
	for path := range t.quotas.paths {
		limits, _, errLimits := t.readQuota(QuotaPath + path + "/" + quotaLimits)
		used, _, errUsed := t.readQuota(QuotaPath + path + "/" + quotaStats)
		if errLimits != nil || errUsed != nil {
			continue // a client has written what is no quota: it limits nothing
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		f := all[name]
		if f == nil {
			f = &QuotaFigures{Namespace: name}
			all[name] = f
		}
		f.CountLimit += stricter(limits.other(countHardLimit), limits.count)
		f.BytesLimit += stricter(limits.other(bytesHardLimit), limits.sizeBytes)
		f.Count += used.count
		f.Bytes += used.sizeBytes
	}
	list := make([]QuotaFigures, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[name])
	}
	return list
}

// stricter is the hard limit, or the soft one where there is none.
func stricter(hard, soft int64) int64 {
	if hard > -1 {
		return hard
	}
	return soft
}
