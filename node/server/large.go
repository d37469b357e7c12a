package server

import (
	"errors"
	"sync/atomic"
)

// errLargeRequests ends the connection of a client whose large request there is no room for.
var errLargeRequests = errors.New("too many large requests wait for their outcome (largeRequestMaxBytes)")

// largeRequests bounds the memory of large requests from their arrival to their outcome.
type largeRequests struct {
	overBytes int64 // requests beyond this are large; at 0 or below none is
	mostBytes int64
	heldBytes atomic.Int64
}

// fits reports whether there would be room for a request of this size. It is asked before
// the request is read, which counts only once it is there: otherwise lengths without
// requests could keep everybody else's out.
func (l *largeRequests) fits(sizeBytes int) bool {
	n := int64(sizeBytes)
	return l.overBytes <= 0 || n <= l.overBytes || l.heldBytes.Load()+n <= l.mostBytes
}

// hold counts a request that has come, and returns what to give back to release.
func (l *largeRequests) hold(sizeBytes int) (heldBytes int64, ok bool) {
	n := int64(sizeBytes)
	if l.overBytes <= 0 || n <= l.overBytes {
		return 0, true
	}
	if l.heldBytes.Add(n) > l.mostBytes {
		l.heldBytes.Add(-n)
		return 0, false
	}
	return n, true
}

func (l *largeRequests) release(heldBytes int64) {
	if heldBytes != 0 {
		l.heldBytes.Add(-heldBytes)
	}
}
