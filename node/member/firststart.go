package member

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zoolab/node/config"
	"zoolab/node/tree"
)

// InitializeName is a file in dataDir by which an operator says that this member may
// start without data: see db.autocreate.
const InitializeName = "initialize"

// checkDirs refuses to make missing directories if datadir.autocreate=false: a volume
// that is not mounted must not look like a new server.
func checkDirs(cfg *config.Config) error {
	if cfg.Storage.DataDirAutoCreate {
		return nil
	}
	for setting, dir := range map[string]string{"dataDir": cfg.SnapshotDir(), "dataLogDir": cfg.TxnLogDir()} {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("%s: %w, and datadir.autocreate=false forbids to make it: mount the volume, or run node init once for a new server", setting, err)
		}
	}
	return nil
}

// firstStart begins the history of a member that has none with a snapshot of the empty
// tree: from now on a missing snapshot proves a loss, and the next start can tell. With
// db.autocreate=false only a member that the operator initialized may do so. (Apache's
// server then runs and waits for a leader without a vote; this one does not run.)
func (m *Member) firstStart(t *tree.Tree) error {
	permit := m.permitPath()
	_, err := os.Stat(permit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the permission to start without data: %w", err)
	}
	if err != nil && !m.cfg.Storage.DatabaseAutoCreate {
		return fmt.Errorf("there is no data in %s, and db.autocreate=false: restore the data, or say that this member "+
			"may start empty, with node init or by an empty file %s", m.cfg.Storage.DataDir, permit)
	}
	view := t.View()
	defer view.Close()
	_, err = m.storage.SaveSnapshot(view)
	return err
}

// endPermit removes the permission to start without data: it was for this start only, and
// after a later loss the operator is to be asked again.
func (m *Member) endPermit() error {
	if err := os.Remove(m.permitPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the permission to start without data was for this start only: %w", err)
	}
	return nil
}

func (m *Member) permitPath() string { return filepath.Join(m.cfg.Storage.DataDir, InitializeName) }
