package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"testing/fstest" // its file system in memory is nothing but that

	"zoolab/lab/datadir"
	nodesim "zoolab/node/sim"
	"zoolab/node/tree"
	"zoolab/node/vfs"
	"zoolab/node/zab"
	"zoolab/workloads"
)

// Modes, as servers call them.
const (
	modeLeader   = "leader"
	modeFollower = "follower"
)

var errNotServing = errors.New("it is not serving")

// Mode is what a member would answer to the word srvr.
func (c *Cluster) Mode(addr string) (mode string, lastZxid int64, err error) {
	id, err := c.id(addr)
	if err != nil {
		return "", 0, err
	}
	status, last, ok := c.ensemble.Status(id)
	if !ok || !status.Role.Established() {
		return "", 0, errNotServing
	}
	if status.Role == zab.RoleLeaderEstablished {
		return modeLeader, last, nil
	}
	return modeFollower, last, nil
}

// Tree reads all that a member serves, but for the znode at skip.
func (c *Cluster) Tree(member, skip string) (map[string]workloads.TreeNode, error) {
	id, err := c.id(member)
	if err != nil {
		return nil, err
	}
	if _, _, err := c.Mode(member); err != nil {
		return nil, err
	}
	everybody := tree.Caller{Rules: &tree.Rules{SkipACL: true}}
	t, nodes := c.ensemble.Tree(id), make(map[string]workloads.TreeNode)
	for paths := []string{"/"}; len(paths) > 0; paths = paths[1:] {
		at := paths[0]
		if at == skip {
			continue
		}
		data, stat, err := t.GetData(at, everybody, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		children, err := t.Children(at, everybody, nil)
		if err != nil {
			return nil, fmt.Errorf("children of %s: %w", at, err)
		}
		for _, child := range children {
			paths = append(paths, path.Join(at, child))
		}
		nodes[at] = workloads.TreeNode{
			Czxid: stat.Czxid, Mzxid: stat.Mzxid, Pzxid: stat.Pzxid, CtimeMs: stat.Ctime, MtimeMs: stat.Mtime,
			Version: stat.Version, Cversion: stat.Cversion, Aversion: stat.Aversion, EphemeralOwner: stat.EphemeralOwner,
			DataLength: stat.DataLength, Children: stat.NumChildren, DataHash: datadir.Hash(data),
		}
	}
	return nodes, nil
}

// Collect implements cluster.Cluster. Of a long run what members leave is large: no more
// than that of one is copied at a time.
func (c *Cluster) Collect(_ context.Context, dir string) error {
	for i := range c.members {
		files := make(fstest.MapFS)
		err := c.addMember(files, i)
		if err == nil {
			err = os.CopyFS(dir, files)
		}
		if err != nil {
			return fmt.Errorf("sim: collect: %w", err)
		}
	}
	return nil
}

// Files are what Collect writes: of each member its log, its state and its data directory.
func (c *Cluster) Files() (fs.FS, error) {
	files := make(fstest.MapFS)
	for i := range c.members {
		if err := c.addMember(files, i); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (c *Cluster) addMember(files fstest.MapFS, i int) error {
	member := c.members[i]
	state, err := json.Marshal(map[string]string{"State": c.ensemble.State(member.ID).String()})
	if err != nil {
		return err
	}
	files[member.Name+"/node.log"] = &fstest.MapFile{Data: []byte(c.logs[i].String()), Mode: 0o644}
	files[member.Name+"/state.json"] = &fstest.MapFile{Data: state, Mode: 0o644}
	if err := addFiles(files, c.ensemble.Disk(member.ID), nodesim.DataDir, member.Name+"/data"); err != nil {
		return fmt.Errorf("the disk of %s: %w", member.Name, err)
	}
	return nil
}

// addFiles adds a file of a simulated disk, or all in a directory.
func addFiles(files fstest.MapFS, disk vfs.FS, from, to string) error {
	info, err := disk.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir {
		source, err := disk.Open(from)
		if err != nil {
			return err
		}
		content := make([]byte, info.SizeBytes)
		_, err = io.ReadFull(source, content)
		files[to] = &fstest.MapFile{Data: content, Mode: 0o644}
		return errors.Join(err, source.Close())
	}
	names, err := disk.List(from)
	for _, name := range names {
		err = errors.Join(err, addFiles(files, disk, path.Join(from, name), path.Join(to, name)))
	}
	return err
}
