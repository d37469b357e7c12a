package sim

import (
	"context"
	"log/slog"
)

// What may happen in a run. A simulator in which one of these never happens proves less
// than it seems to; a test demands each of them.
const (
	countTrunc          = "TRUNC received"
	countDiff           = "DIFF received"
	countSnap           = "SNAP received"
	countInform         = "INFORM received"
	countTruncated      = "log truncated"
	countInstalled      = "snapshot installed"
	countSnapshot       = "snapshot taken"
	countSuperseded     = "snapshot given up"
	countTornLog        = "torn log repaired"
	countResumedInstall = "installation completed at a start"
	countLostWrites     = "crash lost unsynced records"
	countKeptWrites     = "crash kept unsynced records"
	countKill           = "process killed, page cache kept"
	countPowerLoss      = "member lost power"
	countBlackout       = "all lost power"
	countDiskError      = "disk error ended a process"
	countDiskFull       = "full disk ended a process"
	countDiskCrash      = "crash between disk operations"
	countInterrupted    = "fault while history was replaced or a snapshot written"
	countStartCrash     = "crash during a start"
	countPausedLeader   = "leader paused"
	countKilledLeader   = "leader killed"
	countCut            = "connection cut"
	countHalfOpen       = "connection lost by one side only"
	countCutAll         = "all connections of a member cut"
	countDeaf           = "member that nobody can connect to"
	countVoteTwice      = "vote delivered twice"
	countStalled        = "connection timed out in a partition"
	countSlowDisk       = "slow disk"
	countSync           = "sync answered"
	countUnknown        = "write with unknown outcome"
	countExpired        = "session expired"
	countReattached     = "session re-attached"
	countEphemeral      = "ephemeral made"
	countContainer      = "container made"
	countTTL            = "TTL znode made"
	countDisposed       = "container or TTL znode deleted by the leader"
	countMulti          = "multi done"
	countMultiFailed    = "multi failed"
	countReconfig       = "membership changed"
	countWatchAll       = "recursive watch set"
	countEvent          = "watch event"
	countTerm           = "election won"
	countDeposed        = "leader deposed"
	countCommit         = "transaction committed"
	countCrash          = "process ended"
)

// MustOccur lists what a few hundred seeds must show, every bit of it.
var MustOccur = []string{
	countTrunc, countDiff, countSnap, countTruncated, countInstalled, countSnapshot, countTornLog,
	countLostWrites, countKeptWrites, countKill, countPowerLoss, countBlackout, countDiskError,
	countDiskFull, countInterrupted, countDiskCrash, countStartCrash, countPausedLeader, countKilledLeader,
	countCut, countHalfOpen, countCutAll, countDeaf, countVoteTwice, countStalled,
	countSlowDisk, countSync, countUnknown, countExpired, countReattached, countEphemeral, countContainer, countTTL,
	countDisposed, countMulti, countMultiFailed, countWatchAll, countEvent, countTerm, countDeposed,
	countCommit, countCrash,
}

// count notes that something happened.
func (w *world) count(what string) { w.result.Counts[what]++ }

// storageLog counts what storage says, because nothing else tells what it repaired.
type storageLog struct{ m *member }

var storageMessages = map[string]string{
	"repairing the end of a log, as a crash leaves it":                              countTornLog,
	"completing the installation of a snapshot that was interrupted":                countResumedInstall,
	"skipping an invalid snapshot; an older one and more of the log take its place": "snapshot skipped as invalid",
}

// Enabled implements slog.Handler, as do the methods below.
func (storageLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle counts a message and adds it to the story.
func (l storageLog) Handle(_ context.Context, r slog.Record) error {
	if what, ok := storageMessages[r.Message]; ok {
		l.m.w.count(what)
	}
	if l.m.w.telling() {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
		l.m.w.tell("%s storage: %s", name(l.m.sid), text)
	}
	return nil
}

// WithAttrs returns the same handler: storage adds none.
func (l storageLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup returns the same handler.
func (l storageLog) WithGroup(string) slog.Handler { return l }
