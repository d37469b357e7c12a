package member

import (
	"runtime/debug"
	"time"
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
