package datadir

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"

	"zoolab/workloads"
)

// Data is what a data directory holds.
type Data struct {
	Log       []workloads.LogRecord // every transaction of every log file, in order
	Snapshots []int64               // zxids of the valid snapshots, rising
	Skipped   []string              // snapshots that are not valid, with the reason
	LastZxid  int64                 // what the tree has come to
	Tree      map[string]workloads.TreeNode
}

// versionDir is the directory that holds the files, below dataDir and
// dataLogDir.
const versionDir = "version-2"

// Load reads the data directory dir. Logs may stand in a directory of their own
// (dataLogDir) when that lies below dir.
func Load(dir string) (*Data, error) { return LoadFS(os.DirFS(dir), ".", dir) }

// LoadFS reads the data directory dir of a file system; name is what errors call it.
func LoadFS(fsys fs.FS, dir, name string) (*Data, error) {
	logs, snapshots, err := find(fsys, dir, name)
	if err != nil {
		return nil, err
	}
	if len(logs) == 0 && len(snapshots) == 0 {
		return nil, fmt.Errorf("%s holds neither a log nor a snapshot of ZooKeeper", name)
	}
	data := &Data{}
	newest := newTree()
	for _, file := range snapshots {
		read, err := readSnapshot(fsys, file.path, file.zxid)
		if err != nil {
			data.Skipped = append(data.Skipped, err.Error())
			continue
		}
		data.Snapshots = append(data.Snapshots, file.zxid)
		newest = read
	}
	reader := bufio.NewReaderSize(nil, readBufferBytes)
	for _, file := range logs {
		if err := readLog(fsys, file.path, reader, func(record *logRecord) error {
			data.Log = append(data.Log, workloads.LogRecord{Zxid: record.txn.Header.Zxid, Digest: record.digest})
			if record.txn.Header.Zxid <= newest.zxid {
				return nil
			}
			return newest.apply(&record.txn)
		}); err != nil {
			return nil, err
		}
	}
	data.LastZxid, data.Tree = newest.zxid, newest.summary()
	return data, nil
}

type dataFile struct {
	path string
	zxid int64
}

// find lists the log and snapshot files below dir in the order of their zxids.
func find(fsys fs.FS, dir, name string) (logs, snapshots []dataFile, err error) {
	err = fs.WalkDir(fsys, dir, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || path.Base(path.Dir(at)) != versionDir {
			return nil
		}
		kind, hex, found := strings.Cut(strings.TrimSuffix(entry.Name(), ".gz"), ".")
		if !found {
			return nil
		}
		zxid, err := strconv.ParseUint(hex, 16, 64)
		if err != nil {
			return nil // no data file: a temporary one, say
		}
		switch kind {
		case "log":
			logs = append(logs, dataFile{at, int64(zxid)})
		case "snapshot":
			snapshots = append(snapshots, dataFile{at, int64(zxid)})
		}
		return nil
	})
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil, fmt.Errorf("no data directory at %s", name)
		}
		return nil, nil, fmt.Errorf("read the data directory %s: %w", name, err)
	}
	for _, files := range [][]dataFile{logs, snapshots} {
		sort.Slice(files, func(i, j int) bool { return files[i].zxid < files[j].zxid })
	}
	return logs, snapshots, nil
}
