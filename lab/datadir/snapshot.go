package datadir

import (
	"compress/gzip"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"io/fs"
	"strings"

	"zoolab/zk/jute"
)

const snapshotMagic = 0x5a4b534e // "ZKSN"

// readSnapshot reads a snapshot whole. The checksum must be right.
func readSnapshot(fsys fs.FS, path string, zxid int64) (*tree, error) {
	data, err := readWhole(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot %s: %w", path, err)
	}
	t, err := parseSnapshot(data)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", path, err)
	}
	t.zxid = zxid
	return t, nil
}

func readWhole(fsys fs.FS, path string) ([]byte, error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var reader io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		unzip, err := gzip.NewReader(file)
		if err != nil {
			return nil, err
		}
		reader = unzip
	}
	data, err := io.ReadAll(io.LimitReader(reader, snapshotMaxBytes))
	if err == nil && len(data) == snapshotMaxBytes {
		err = errors.New("the snapshot is larger than the lab reads")
	}
	return data, err
}

func parseSnapshot(data []byte) (*tree, error) {
	d := jute.NewDecoder(data)
	var header jute.FileHeader
	header.Decode(d)
	if d.Err() == nil && (header.Magic != snapshotMagic || header.Version != formatVersion) {
		return nil, fmt.Errorf("it begins with magic %#x, version %d", header.Magic, header.Version)
	}
	for range d.Count() { // sessions
		d.Int64()
		d.Int32()
	}
	for range d.Count() { // ACLs
		d.Int64()
		for range d.Count() {
			new(jute.ACL).Decode(d)
		}
	}
	t := &tree{nodes: make(map[string]*znode)}
	for d.Err() == nil {
		path := d.String()
		if path == "/" {
			break
		}
		node := &znode{data: jute.Clone(d.Buffer())}
		d.Int64() // the ACL's number
		node.stat.Decode(d)
		if path == "" {
			path = "/"
		}
		t.nodes[path] = node
	}
	sealed := data[:len(data)-d.Len()]
	checksum, end := d.Int64(), d.String()
	if err := d.Err(); err != nil {
		return nil, err
	}
	if end != "/" || checksum != int64(adler32.Checksum(sealed)) {
		return nil, errors.New("the checksum is wrong")
	}
	for path := range t.nodes {
		if path == "/" {
			continue
		}
		parent := t.nodes[parentOf(path)]
		if parent == nil {
			return nil, fmt.Errorf("znode %s has no parent", path)
		}
		parent.children++
	}
	if t.nodes["/"] == nil {
		return nil, errors.New("it has no root")
	}
	return t, nil
}
