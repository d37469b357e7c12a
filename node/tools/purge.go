package tools

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"zoolab/node/storage"
	"zoolab/node/vfs"
)

const purgeUsage = `usage: node purge DATALOGDIR [SNAPDIR] -n COUNT

Removes old snapshots and logs: all but the newest COUNT valid snapshots, at least 3, and
the logs that these need. The directories are those of dataLogDir and dataDir in zoo.cfg,
without version-2; with one, it is both. A server may run meanwhile; with
autopurge.purgeInterval in its zoo.cfg it does this by itself.

Snapshots are read whole to know that they are valid, and nothing is removed while there
are fewer than COUNT of them.
`

// Purge removes old snapshots and logs, as Apache's PurgeTxnLog.
func Purge(args []string, s Streams) int {
	c := newCommand("node purge", purgeUsage, s)
	countText := c.flags.String("n", "", "")
	rest, code := c.parse(args, 1, 2)
	if code >= 0 {
		return code
	}
	count, err := strconv.Atoi(*countText)
	switch {
	case *countText == "":
		return c.wrong("-n COUNT is missing")
	case err != nil:
		return c.wrong("'%s' can not be parsed to integer.", *countText)
	case count < 3:
		return c.wrong("count should be greater than or equal to 3")
	}
	logDir, snapDir := rest[0], rest[len(rest)-1]
	for _, dir := range []string{logDir, snapDir} {
		if info, err := os.Stat(filepath.Join(dir, "version-2")); err != nil || !info.IsDir() {
			return c.wrong("%s has no version-2 and is no data directory", dir)
		}
	}
	return c.purge(logDir, snapDir, count)
}

func (c *command) purge(logDir, snapDir string, count int) int {
	store, err := storage.Open(storage.Options{FS: vfs.OS{}, DataDir: snapDir, DataLogDir: logDir, Now: time.Now})
	if err != nil {
		return c.failed(err)
	}
	changed := modified(filepath.Join(logDir, "version-2"), filepath.Join(snapDir, "version-2"))
	removed, err := store.Purge(count)
	for _, name := range removed {
		fmt.Fprintf(c.Out, "Removing file: %s\t%s\n", changed[name].Format("Jan 2, 2006, 3:04:05 PM"), name)
	}
	if err = errors.Join(err, store.Close()); err != nil {
		return c.failed(err)
	}
	return exitDone
}

// modified gives the times of the files in directories.
func modified(dirs ...string) map[string]time.Time {
	times := make(map[string]time.Time)
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // Purge reports it
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err == nil {
				times[filepath.Join(dir, entry.Name())] = info.ModTime()
			}
		}
	}
	return times
}
