package cluster

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func archiveOf(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, h.Size)
		if h.Size > 0 {
			body[0], body[h.Size-1] = 'a', 'z'
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// TestExtractSparse: a preallocated log keeps its size and first and last
// bytes, and takes little disk.
func TestExtractSparse(t *testing.T) {
	dir := t.TempDir()
	const size = 32 << 20
	archive := archiveOf(t,
		tar.Header{Name: "data/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "data/version-2/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "data/version-2/log.1", Typeflag: tar.TypeReg, Mode: 0o644, Size: size},
		tar.Header{Name: "data/empty", Typeflag: tar.TypeReg, Mode: 0o644},
	)
	if err := extract(archive, dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "data", "version-2", "log.1")
	got, err := os.ReadFile(path)
	if err != nil || len(got) != size || got[0] != 'a' || got[size-1] != 'z' || bytes.Count(got, []byte{0}) != size-2 {
		t.Errorf("log of %d bytes, %v", len(got), err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 1<<20 {
		t.Errorf("the log takes %d bytes of disk", used)
	}
	if info, err := os.Stat(filepath.Join(dir, "data", "empty")); err != nil || info.Size() != 0 {
		t.Errorf("empty file: %v, %v", info, err)
	}
}

func TestExtractRejects(t *testing.T) {
	for _, header := range []tar.Header{
		{Name: "../outside", Typeflag: tar.TypeReg, Size: 1},
		{Name: "/tmp/zoolab-outside", Typeflag: tar.TypeReg, Size: 1},
		{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
	} {
		if err := extract(archiveOf(t, header), t.TempDir()); err == nil {
			t.Errorf("%s (%c) was unpacked", header.Name, header.Typeflag)
		}
	}
}
