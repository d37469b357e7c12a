package workloads

import "fmt"

// SessionWatch is what was seen of the ends of a run's sessions.
type SessionWatch struct {
	Idle    int // sessions that did nothing but stay connected, beside those of the workload
	Expired []ExpiredSession
}

// ExpiredSession is a session of which a member said that it had expired. Times count from
// the start of the history.
type ExpiredSession struct {
	Session   int64
	Who       string // "process 3", "idle at n2"
	GrantedMs int64  // its timeout, as a member granted it
	// HeardNs is when the client had sent the newest request, or ping, that was answered.
	HeardNs int64
	ToldNs  int64 // when the client had learnt of the end, at the latest
}

// deafMs is how much later than the leader a client may be the last to have heard of its
// session. A member answers a client for up to syncLimit ticks (2.5 s in docker/conf/zoo.cfg)
// after it lost its leader; when it was paused then, it answers on waking up what the client
// had sent before giving the silent member up, which is up to 3 s more. A second is for the
// ticks of both and for clocks.
const deafMs = 2500 + 3000 + 1000

// CheckExpiry judges when sessions expired. A session that was told to have expired must
// have been without an answer for nearly its timeout. The leader expires a session only when
// it has heard nothing of it for the timeout that was granted, be it pings, reads or writes,
// through whichever member, and a new leader gives each session its whole timeout again. What
// a client heard last may be newer than what the leader heard, but by deafMs at most. So
// who is told sooner than the timeout, less deafMs, after it had sent something that was
// answered, has lost its session early.
func CheckExpiry(watch SessionWatch, bounds Bounds) Result {
	result := Result{Checker: "sessions", Verdict: VerdictOK, Stats: map[string]any{"idle": watch.Idle, "expired": len(watch.Expired)}}
	early := 0
	for i := range watch.Expired {
		s := &watch.Expired[i]
		silentMs, leastMs := (s.ToldNs-s.HeardNs)/1_000_000, s.GrantedMs-deafMs
		if silentMs >= leastMs {
			continue
		}
		early++
		if len(result.Failures) < max(1, bounds.MaxFailures) {
			result.Failures = append(result.Failures, Failure{Cause: fmt.Sprintf("session 0x%x (%s) was told at %.3f s that it had expired, only %d ms after it had sent what was answered; its timeout is %d ms", s.Session, s.Who, float64(s.ToldNs)/1e9, silentMs, s.GrantedMs)})
		}
	}
	result.Stats["violations"] = early
	if early > 0 {
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d sessions expired early; first: %s", early, result.Failures[0].Cause)
		return result
	}
	result.Cause = fmt.Sprintf("no session expired early, neither those of the workload nor %d that were kept alive by pings alone (%d expired when their time had come)", watch.Idle, len(watch.Expired))
	return result
}
