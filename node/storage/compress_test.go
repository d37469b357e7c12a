package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"zoolab/node/vfs"
)

// bigTree has nodes that do not compress away and span many blocks.
func bigTree(zxid int64) *testTree {
	tree := treeAt(zxid)
	for i := range 300 {
		data := make([]byte, i*7)
		for j := range data {
			data[j] = byte(j * i >> (i % 5))
		}
		tree.nodes = append(tree.nodes, testNode{path: fmt.Sprintf("/n%d", i), data: data, aclID: 1})
	}
	tree.nodes = append(tree.nodes, testNode{path: "/large", data: bytes.Repeat([]byte("abcdefg"), 200_000), aclID: 1})
	return tree
}

func TestCompressedSnapshots(t *testing.T) {
	for _, compression := range compressions {
		t.Run(fmt.Sprintf("%q", compression), func(t *testing.T) {
			mem := vfs.NewMem()
			opts := testOptions(mem)
			opts.Compression = compression
			s, err := Open(opts)
			must(t, err)
			_, err = loadInto(s)
			must(t, err)
			appendSynced(t, s, 1, 20)
			want := bigTree(20)
			name, err := s.SaveSnapshot(want)
			must(t, err)
			if name != "/data/version-2/snapshot.14"+compression.ending() {
				t.Errorf("the snapshot is %s", name)
			}
			appendSynced(t, s, 21, 25)
			_, r := open(t, mem) // with another setting
			if r.SnapshotPath != name || r.LastZxid != 25 {
				t.Fatalf("restored %+v", r.Loaded)
			}
			want.finished = true
			if !reflect.DeepEqual(withoutEmpty(r.base), withoutEmpty(want)) {
				t.Errorf("the tree is another one")
			}
			size, err := s.DataSizeBytes()
			must(t, err)
			if size != int64(len(readFile(t, mem, name))) || compression != NoCompression && size > 400_000 {
				t.Errorf("DataSizeBytes is %d", size)
			}
			must(t, s.InstallSnapshot(bigTree(30)))
			if got, want := names(t, mem), "snapshot.1e"+compression.ending(); got != want {
				t.Errorf("after an installation there are %s, not %s", got, want)
			}
		})
	}
}

// withoutEmpty gives a tree a form in which null and empty data are alike.
func withoutEmpty(tree *testTree) *testTree {
	for i := range tree.nodes {
		if len(tree.nodes[i].data) == 0 {
			tree.nodes[i].data = nil
		}
	}
	return tree
}

// TestNewestSnapshotOfAnyKind purges and loads by zxid, not by the kind of file.
func TestNewestSnapshotOfAnyKind(t *testing.T) {
	mem := vfs.NewMem()
	for i, compression := range []Compression{Gzip, NoCompression, Snappy, Gzip} {
		opts := testOptions(mem)
		opts.Compression = compression
		s, err := Open(opts)
		must(t, err)
		r, err := loadInto(s)
		must(t, err)
		appendSynced(t, s, r.LastZxid+1, int64(i+1)*10)
		_, err = s.SaveSnapshot(treeAt(int64(i+1) * 10))
		must(t, err)
	}
	s, r := open(t, mem)
	if r.SnapshotPath != "/data/version-2/snapshot.28.gz" {
		t.Errorf("loaded %s", r.SnapshotPath)
	}
	// The newest is damaged: it does not count.
	b := readFile(t, mem, "/data/version-2/snapshot.28.gz")
	writeFile(t, mem, "/data/version-2/snapshot.28.gz", b[:len(b)-4])
	_, err := s.Purge(2)
	must(t, err)
	if got := names(t, mem); got != "snapshot.14 snapshot.1e.snappy snapshot.28.gz log.15 log.1f log.b" {
		t.Errorf("left are %s", got)
	}
}

// TestApacheCompressedSnapshots reads what Apache ZooKeeper 3.8.0 wrote.
func TestApacheCompressedSnapshots(t *testing.T) {
	mem := vfs.NewMem()
	for _, compression := range []Compression{Gzip, Snappy} {
		name := "/in/snapshot.1" + compression.ending()
		writeFile(t, mem, name, golden(t, "standalone.snapshot"+compression.ending()))
		var tree testTree
		must(t, ReadSnapshot(mem, name, 1, &tree))
		if !tree.finished || len(tree.nodes) < 5 || tree.digest == nil {
			t.Errorf("%s: read %d nodes, digest %v", name, len(tree.nodes), tree.digest)
		}
		must(t, writeSnapshotFile(mem, "/in/again"+compression.ending(), &tree, func() error { return nil }))
		var again testTree
		must(t, ReadSnapshot(mem, "/in/again"+compression.ending(), 1, &again))
		if !reflect.DeepEqual(tree, again) {
			t.Errorf("%s: rewritten differently", name)
		}
	}
}

// TestSnapshotWithoutItsEnding reads what was compressed under a name that does not say so, as
// a backup may have that came from the AdminServer.
func TestSnapshotWithoutItsEnding(t *testing.T) {
	for _, compression := range compressions {
		mem := vfs.NewMem()
		must(t, writeSnapshotFile(mem, "/written"+compression.ending(), treeAt(1), func() error { return nil }))
		writeFile(t, mem, "/snapshot.1", readFile(t, mem, "/written"+compression.ending()))
		var tree testTree
		must(t, ReadSnapshot(mem, "/snapshot.1", 1, &tree))
		if !tree.finished {
			t.Errorf("%s: the tree is not whole", compression)
		}
	}
}

// TestDamagedCompressedSnapshot changes and cuts every byte: the file is refused, or gives
// the same tree where the byte says nothing (gzip's header has a time, for example).
func TestDamagedCompressedSnapshot(t *testing.T) {
	for _, compression := range []Compression{Gzip, Snappy} {
		mem := vfs.NewMem()
		name := "/snapshot.1" + compression.ending()
		must(t, writeSnapshotFile(mem, name, treeAt(1), func() error { return nil }))
		whole := readFile(t, mem, name)
		var want testTree
		must(t, ReadSnapshot(mem, name, 1, &want))
		for i := range whole {
			flipped := bytes.Clone(whole)
			flipped[i] ^= 1 << (i % 8)
			for what, b := range map[string][]byte{"flipped": flipped, "cut": whole[:i]} {
				writeFile(t, mem, name, b)
				var got testTree
				err := ReadSnapshot(mem, name, 1, &got)
				if err == nil && (what == "cut" || !reflect.DeepEqual(got, want)) {
					t.Errorf("%s, byte %d %s: accepted", name, i, what)
				}
				if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s, byte %d %s: the error is %v", name, i, what, err)
				}
			}
		}
		writeFile(t, mem, name, append(bytes.Clone(whole), "garbage!"...))
		mustBe(t, VerifySnapshot(mem, name), ErrCorrupt)
	}
}

// TestUnreadableIsNotCorrupt tells a disk that fails from a file that is damaged.
func TestUnreadableIsNotCorrupt(t *testing.T) {
	for _, compression := range compressions {
		mem := vfs.NewMem()
		name := "/snapshot.1" + compression.ending()
		must(t, writeSnapshotFile(mem, name, bigTree(1), func() error { return nil }))
		for nth := 1; ; nth++ {
			faulty := vfs.NewFaulty(mem, vfs.Fault{Ops: vfs.OpAny, Nth: nth, Count: 1, Err: syscall.EIO})
			err := VerifySnapshot(faulty, name)
			if faulty.Count(vfs.OpAny) < nth {
				break
			}
			if err != nil && (errors.Is(err, ErrCorrupt) || !errors.Is(err, syscall.EIO)) {
				t.Fatalf("%s: operation %d failed: %v", name, nth, err)
			}
		}
	}
}

// TestHugeClaims are files that claim more than they hold: no memory is made for it.
func TestHugeClaims(t *testing.T) {
	header := snappyMagic + "\x00\x00\x00\x01\x00\x00\x00\x01"
	claim := append([]byte("\xff\xff\xff\xff\x07"), 0, 0, 0) // a block of 2 GiB
	for name, b := range map[string]string{
		"a huge chunk":      header + "\x7f\xff\xff\xff",
		"a negative chunk":  header + "\x80\x00\x00\x00",
		"an empty chunk":    header + "\x00\x00\x00\x00",
		"a huge block":      header + "\x00\x00\x00\x08" + string(claim),
		"a large block":     header + "\x00\x00\x00\x08" + "\x81\x80\x40aaaaa",
		"no header":         snappyMagic,
		"a later version":   snappyMagic + "\x00\x00\x00\x02\x00\x00\x00\x02",
		"only a header":     header,
		"nothing":           "",
		"another magic":     strings.Replace(header, "SNAPPY", "sNAPPY", 1),
		"half a length":     header + "\x00\x00",
		"a block cut short": header + "\x00\x00\x00\x08\x05",
	} {
		mem := vfs.NewMem()
		writeFile(t, mem, "/snapshot.1.snappy", []byte(b))
		boundAllocations(t, len(b), func() {
			if err := VerifySnapshot(mem, "/snapshot.1.snappy"); !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: the error is %v", name, err)
			}
		})
	}
}

// FuzzSnappy reads any bytes as a snappy stream; what is accepted is rewritten alike.
func FuzzSnappy(f *testing.F) {
	addGolden(f, "*.snappy")
	f.Add([]byte(snappyMagic + "\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x03\x01\x00a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got bytes.Buffer
		boundAllocations(t, len(b)*100, func() {
			r, err := newSnappyReader(bytes.NewReader(b), int64(len(b)))
			if err == nil {
				_, err = got.ReadFrom(io.LimitReader(r, 8<<20))
			}
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the error is %v", err)
			}
		})
		var again bytes.Buffer
		w := newSnappyWriter(&again)
		_, err := w.Write(got.Bytes())
		must(t, errors.Join(err, w.Close()))
		r, err := newSnappyReader(&again, int64(again.Len()))
		must(t, err)
		read, err := io.ReadAll(r)
		must(t, err)
		if !bytes.Equal(read, got.Bytes()) {
			t.Errorf("%d bytes became %d others", got.Len(), len(read))
		}
	})
}

// FuzzCompressedSnapshot reads any bytes as a snapshot that was compressed: bytes that
// pass the decompression must not do more harm than those of a plain file.
func FuzzCompressedSnapshot(f *testing.F) {
	var plain bytes.Buffer
	mem := vfs.NewMem()
	must(f, writeSnapshotFile(mem, "/seed", treeAt(3), func() error { return nil }))
	plain.Write(readFile(f, mem, "/seed"))
	f.Add(plain.Bytes(), true, true)
	f.Add(plain.Bytes(), false, true)
	f.Add(golden(f, "standalone.snapshot.gz"), true, false)
	f.Add(golden(f, "standalone.snapshot.snappy"), false, false)
	f.Fuzz(func(t *testing.T, b []byte, gz, compress bool) {
		compression := Snappy
		if gz {
			compression = Gzip
		}
		if compress {
			var out bytes.Buffer
			w := compression.writer(&out)
			_, err := w.Write(b)
			must(t, errors.Join(err, w.Close()))
			b = out.Bytes()
		}
		mem := vfs.NewMem()
		name := "/snapshot.1" + compression.ending()
		writeFile(t, mem, name, b)
		boundAllocations(t, len(b)*largestRatio, func() {
			err := VerifySnapshot(mem, name)
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the error is %v", err)
			}
		})
	})
}

func TestUnknownCompressionIsRefused(t *testing.T) {
	opts := testOptions(vfs.NewMem())
	opts.Compression = "zstd"
	if _, err := Open(opts); err == nil || !strings.Contains(err.Error(), `"zstd"`) {
		t.Errorf("the error is %v", err)
	}
}

// BenchmarkCompression writes and reads a tree of a hundred thousand znodes.
func BenchmarkCompression(b *testing.B) {
	tree := treeAt(1)
	for i := range 100_000 {
		data := []byte(strings.Repeat(fmt.Sprintf(`{"host":"10.0.%d.%d"},`, i%251, i%13), 5))
		tree.nodes = append(tree.nodes, testNode{path: fmt.Sprintf("/bench/%07d", i), data: data, aclID: 1})
	}
	for _, compression := range compressions {
		name := b.TempDir() + "/snapshot.1" + compression.ending()
		b.Run("write/"+string(compression), func(b *testing.B) {
			for b.Loop() {
				must(b, writeSnapshotFile(vfs.OS{}, name, tree, func() error { return nil }))
			}
			info, err := vfs.OS{}.Stat(name)
			must(b, err)
			b.ReportMetric(float64(info.SizeBytes), "file-bytes")
		})
		b.Run("read/"+string(compression), func(b *testing.B) {
			for b.Loop() {
				must(b, VerifySnapshot(vfs.OS{}, name))
			}
		})
	}
}
