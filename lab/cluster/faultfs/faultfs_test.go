package faultfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mountTest mounts a directory, or skips the test where that can't be done.
func mountTest(t *testing.T) (f *FS, behind, mountpoint string) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs FUSE and root")
	}
	behind, mountpoint = t.TempDir(), t.TempDir()
	f, err := Mount(behind, mountpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Unmount(mountpoint); err != nil {
			t.Error(err)
		}
	})
	return f, behind, mountpoint
}

// append writes to the end of a file and syncs it.
func appendSync(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString("x")
	return errors.Join(err, file.Sync(), file.Close())
}

// TestFaults: each fault gives its error to files that are open and to new ones,
// and nothing of it is left when it is over.
func TestFaults(t *testing.T) {
	f, behind, mountpoint := mountTest(t)
	path := filepath.Join(mountpoint, "file")
	if err := appendSync(path); err != nil {
		t.Fatal(err)
	}
	open, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for want, fault := range map[error]Fault{syscall.ENOSPC: {Full: true}, syscall.EIO: {Broken: true, Full: true}} {
		f.Set(fault)
		if _, err := open.WriteString("y"); !errors.Is(err, want) {
			t.Errorf("%+v: a write gave %v, want %v", fault, err, want)
		}
		if err := open.Sync(); fault.Broken != errors.Is(err, syscall.EIO) {
			t.Errorf("%+v: a sync gave %v", fault, err)
		}
		if err := appendSync(path + "2"); !errors.Is(err, want) {
			t.Errorf("%+v: a new file gave %v, want %v", fault, err, want)
		}
		if err := os.Mkdir(path+"3", 0o700); !errors.Is(err, want) {
			t.Errorf("%+v: a new directory gave %v, want %v", fault, err, want)
		}
		f.Set(Fault{})
	}
	if err := appendSync(path); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(behind, "file")); err != nil || string(got) != "xx" {
		t.Errorf("behind the mount there is %q, %v; want what was written without a fault", got, err)
	}
}

// TestSlowSync: syncs of files and directories take longer, writes don't.
func TestSlowSync(t *testing.T) {
	f, _, mountpoint := mountTest(t)
	dir, err := os.Open(mountpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	f.Set(Fault{Sync: 300 * time.Millisecond})
	for _, sync := range []func() error{func() error { return appendSync(filepath.Join(mountpoint, "file")) }, dir.Sync} {
		begin := time.Now()
		if err := sync(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 300*time.Millisecond {
			t.Errorf("a sync took %s", took)
		}
	}
}

// TestDeviceStaysHere: a process that is started while a disk is mounted does not
// have the connection to the kernel, with which it would outlive a killed lab.
func TestDeviceStaysHere(t *testing.T) {
	mountTest(t)
	out, err := exec.Command("ls", "-l", "/proc/self/fd").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.Contains(string(out), "/dev/fuse") {
		t.Errorf("a child has the device:\n%s", out)
	}
}

// TestUnmountFreesWhoWaits: a process that waits for a disk that does not answer
// gets an error when the disk is unmounted, and ends. Till then SIGKILL would not
// end it.
func TestUnmountFreesWhoWaits(t *testing.T) {
	f, behind, mountpoint := mountTest(t)
	f.Set(Fault{Sync: time.Hour})
	out := &strings.Builder{}
	waiting := exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(mountpoint, "file"), "count=1", "conv=fsync")
	waiting.Stderr = out
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- waiting.Wait() }()
	for written := int64(0); written == 0; {
		select {
		case err := <-ended:
			t.Fatalf("the process did not wait: %v, %s", err, out)
		case <-time.After(10 * time.Millisecond):
		}
		if info, err := os.Stat(filepath.Join(behind, "file")); err == nil {
			written = info.Size()
		}
	}
	if err := Unmount(mountpoint); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("the sync that nobody answered was a success: %s", out)
		}
	case <-time.After(time.Minute):
		t.Error("the process still waits")
	}
}
