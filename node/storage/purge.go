package storage

import "fmt"

// Purge removes all snapshots but the newest retain valid ones, and all logs that
// none of these needs. It returns what it removed. It may run in any goroutine. It
// removes nothing while there are fewer valid snapshots than are to be retained.
//
// Snapshots are read whole to know that they are valid: an autopurge that trusted
// names could leave nothing but damaged ones.
func (s *Storage) Purge(retain int) (removed []string, err error) {
	if retain < 1 {
		return nil, fmt.Errorf("purge: %d snapshots can't be retained; at least 1 must be", retain)
	}
	if err := s.failure.Load(); err != nil {
		return nil, *err
	}
	history := s.history.Load()
	snapshots, err := listSnapshots(s.fs, s.snapDir)
	if err != nil {
		return nil, fmt.Errorf("purge: %w", err)
	}
	valid, oldest := 0, len(snapshots)
	for i := len(snapshots) - 1; i >= 0 && valid < retain; i-- {
		if err := VerifySnapshot(s.fs, snapshots[i].path); err != nil {
			s.log.Warn("an invalid snapshot does not count as retained", "file", snapshots[i].path, "error", err)
			continue
		}
		valid, oldest = valid+1, i
	}
	if valid < retain {
		return nil, nil
	}
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	if s.history.Load() != history {
		return nil, nil // what was found valid may be gone
	}
	removed, err = s.removeFiles(s.snapDir, snapshots[:oldest], removed)
	if err != nil {
		return removed, fmt.Errorf("purge: %w", err)
	}
	logs, err := listLogs(s.fs, s.logDir)
	if err != nil {
		return removed, fmt.Errorf("purge: %w", err)
	}
	unneeded := len(logs) - len(logsFrom(logs, snapshots[oldest].zxid))
	removed, err = s.removeFiles(s.logDir, logs[:unneeded], removed)
	if err != nil {
		return removed, fmt.Errorf("purge: %w", err)
	}
	return removed, nil
}

// removeFiles removes files, oldest first, and makes that durable.
func (s *Storage) removeFiles(dir string, files []dataFile, removed []string) ([]string, error) {
	if len(files) == 0 {
		return removed, nil
	}
	for _, file := range files {
		if err := removeIfThere(s.fs, file.path); err != nil {
			return removed, err
		}
		removed = append(removed, file.path)
	}
	return removed, s.fs.SyncDir(dir)
}
