package member

import (
	"time"

	"zoolab/node/tree"
)

// quotaWarnEvery is how often the log may tell of quotas that are breached: a client that
// is over its quota tends to try again at once.
const quotaWarnEvery = time.Second

// quotaWarnings tells the log of breached quotas, not of every one. Owned by the event loop.
type quotaWarnings struct {
	last       time.Time
	suppressed int // since last
}

func (m *Member) warnQuota(b tree.QuotaBreach) {
	q := &m.quotaWarnings
	if time.Since(q.last) < quotaWarnEvery {
		q.suppressed++
		return
	}
	what, limit := "znodes", "soft"
	if b.Bytes {
		what = "bytes"
	}
	if b.Hard {
		limit = "hard"
	}
	m.log.Warn("a write goes beyond a quota", "path", b.Path, "of", what, "value", b.Value, "limit", b.Limit, "kind", limit,
		"refused", b.Hard && m.cfg.EnforceQuota, "notTold", q.suppressed)
	q.last, q.suppressed = time.Now(), 0
}
