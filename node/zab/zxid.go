package zab

import (
	"fmt"
	"math"
)

// A zxid is the epoch of the leader that proposed a transaction (high 32 bits) and a
// counter within that epoch (low 32 bits) that begins at 1; 0 stands for NEWLEADER.

// maxCounter is the last counter of an epoch that is proposed, as in Apache's leader.
const maxCounter = math.MaxUint32 - 1

// maxEpoch is the last epoch: members tell each other theirs in a signed int.
const maxEpoch = math.MaxInt32

func epochOf(zxid int64) int64 { return zxid >> 32 }

func counterOf(zxid int64) int64 { return zxid & math.MaxUint32 }

func makeZxid(epoch, counter int64) int64 { return epoch<<32 | counter }

// follows reports whether next may stand behind last in a log: the next counter of the
// same epoch, or the first transaction of a later one. Anything else is a hole.
func follows(last, next int64) bool {
	if epochOf(next) == epochOf(last) {
		return next == last+1
	}
	return epochOf(next) > epochOf(last) && counterOf(next) == 1
}

// invariant ends the process, through a panic that the shell reports, when a rule that
// the protocol's safety rests on does not hold: better to stop than to corrupt.
func invariant(holds bool, format string, args ...any) {
	if !holds {
		violated(format, args...)
	}
}

// violated ends the process over an invariant. Where each transaction passes, the caller
// checks by itself: making the arguments costs more than the check.
func violated(format string, args ...any) {
	panic("zab: " + fmt.Sprintf(format, args...))
}
