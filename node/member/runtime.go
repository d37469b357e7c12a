package member

import (
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// buildTime is when the source was committed, in the form that tools which read the
// version expect; the beginning of 1970 where the binary does not know.
func buildTime() string {
	committed := time.Unix(0, 0)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				committed = t
			}
		}
	}
	return committed.UTC().Format("2006-01-02 15:04 MST")
}

// descriptors returns how many file descriptors the process may have and has open.
func descriptors() (most, open uint64, ok bool) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0, 0, false
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0, false
	}
	return limit.Cur, uint64(len(entries)), true
}
