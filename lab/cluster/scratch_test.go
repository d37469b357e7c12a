package cluster

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestSweepScratch(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	scratch := func(owner string) string {
		dir, err := MakeScratch()
		if err != nil {
			t.Fatal(err)
		}
		if owner != "" {
			err = os.WriteFile(filepath.Join(dir, ownerName), []byte(owner), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	living := scratch("")
	dead := scratch(fmt.Sprintf("%s:%d:1", host, os.Getpid())) // a pid that is used again
	foreign := filepath.Join(os.TempDir(), "zoolab-foreign")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	exists := func(dir string) bool {
		_, err := os.Stat(dir)
		return err == nil
	}
	for _, force := range []bool{false, true} {
		removed, err := sweepScratch(slog.New(slog.DiscardHandler), force)
		if err != nil || removed != 1 {
			t.Errorf("force %v: removed %d, %v; want 1", force, removed, err)
		}
		if exists(dead) || exists(living) == force || !exists(foreign) {
			t.Errorf("force %v: left dead %v, living %v, foreign %v", force, exists(dead), exists(living), exists(foreign))
		}
	}
}
