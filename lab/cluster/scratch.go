package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// scratchPattern has the star where os.MkdirTemp and filepath.Glob want it.
const scratchPattern = "zoolab-*"

// MakeScratch makes a directory for files that a lab needs while it runs. The
// lab removes it at its end; Sweep does if the lab was killed.
func MakeScratch() (string, error) {
	dir, err := os.MkdirTemp("", scratchPattern)
	if err != nil {
		return "", fmt.Errorf("cluster: make a scratch directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ownerName), []byte(owner()), 0o600); err != nil {
		return "", errors.Join(fmt.Errorf("cluster: own a scratch directory: %w", err), os.RemoveAll(dir))
	}
	return dir, nil
}

// sweepScratch removes the scratch directories of dead labs. A directory
// without a name of its owner is somebody else's, or is being made right now.
func sweepScratch(logger *slog.Logger, force bool) (int, error) {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), scratchPattern))
	if err != nil {
		return 0, fmt.Errorf("cluster: sweep: %w", err)
	}
	removed := 0
	var errs []error
	for _, dir := range dirs {
		name, err := os.ReadFile(filepath.Join(dir, ownerName))
		if err != nil || len(name) == 0 || !force && ownerAlive(string(name)) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			errs = append(errs, fmt.Errorf("cluster: sweep: %w", err))
			continue
		}
		removed++
		logger.Debug("swept a scratch directory", "directory", dir)
	}
	return removed, errors.Join(errs...)
}
