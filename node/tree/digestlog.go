package tree

import "slices"

// LoggedDigest is the digest that the tree had after the transaction of a zxid.
type LoggedDigest struct {
	Zxid   int64
	Digest int64 // of DigestVersion
}

const (
	// digestLogInterval is how far apart the zxids in the log of digests are, and
	// digestLogLength how many are kept: as in Apache, so that members can be compared.
	digestLogInterval = 128
	digestLogLength   = 1024
)

// digestLog has the digests of the past, oldest first.
type digestLog struct{ entries []LoggedDigest }

func (l *digestLog) add(zxid, digest int64) {
	if zxid%digestLogInterval != 0 {
		return
	}
	if len(l.entries) >= digestLogLength {
		l.entries = append(l.entries[:0], l.entries[len(l.entries)-digestLogLength+1:]...)
	}
	l.entries = append(l.entries, LoggedDigest{zxid, digest})
}

// DigestLog returns the digests after every 128th transaction of an epoch, up to 1024 of
// them, oldest first. Where two members have different ones for a zxid their trees differ.
func (t *Tree) DigestLog() []LoggedDigest {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clone(t.digestLog.entries)
}
