package member

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneServerForADirectory(t *testing.T) {
	dir, logs := t.TempDir(), t.TempDir()
	unlock, err := LockDirs(dir, logs)
	if err != nil {
		t.Fatal(err)
	}
	for _, dirs := range [][]string{{dir, dir}, {t.TempDir(), logs}} {
		if _, err := LockDirs(dirs...); err == nil || !strings.Contains(err.Error(), "another server uses") {
			t.Errorf("a second server got %v: %v", dirs, err)
		}
	}
	unlock()
	again, err := LockDirs(dir, dir, logs)
	if err != nil {
		t.Fatalf("the directories stay locked: %v", err)
	}
	again()
}

func TestLockNeedsADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDirs(filepath.Join(file, "data")); err == nil || !strings.Contains(err.Error(), "data directory") {
		t.Errorf("got %v", err)
	}
}
