package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

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
	t, nodes := c.ensemble.Tree(id), make(map[string]workloads.TreeNode)
	for paths := []string{"/"}; len(paths) > 0; paths = paths[1:] {
		at := paths[0]
		if at == skip {
			continue
		}
		data, stat, err := t.GetData(at, tree.Caller{}, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		children, err := t.Children(at, tree.Caller{}, nil)
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

// Collect implements cluster.Cluster.
func (c *Cluster) Collect(_ context.Context, dir string) error {
	for i, member := range c.members {
		target := filepath.Join(dir, member.Name)
		state, err := json.Marshal(map[string]string{"State": c.ensemble.State(member.ID).String()})
		if err != nil {
			return fmt.Errorf("sim: collect: %w", err)
		}
		err = errors.Join(
			os.MkdirAll(target, 0o755),
			os.WriteFile(filepath.Join(target, "node.log"), []byte(c.logs[i].String()), 0o644),
			os.WriteFile(filepath.Join(target, "state.json"), state, 0o644),
			copyOut(c.ensemble.Disk(member.ID), nodesim.DataDir, filepath.Join(target, "data")),
		)
		if err != nil {
			return fmt.Errorf("sim: collect %s: %w", member.Name, err)
		}
	}
	return nil
}

// copyOut copies a directory of a simulated disk.
func copyOut(disk vfs.FS, from, to string) error {
	info, err := disk.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir {
		return copyFile(disk, from, to)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	names, err := disk.List(from)
	for _, name := range names {
		err = errors.Join(err, copyOut(disk, path.Join(from, name), filepath.Join(to, name)))
	}
	return err
}

func copyFile(disk vfs.FS, from, to string) error {
	source, err := disk.Open(from)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(source)
	return errors.Join(err, source.Close(), os.WriteFile(to, content, 0o644))
}
