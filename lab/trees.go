package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"zoolab/lab/cluster"
	"zoolab/lab/datadir"
	"zoolab/nemesis"
	"zoolab/workloads"
)

const (
	// treeTimeout bounds the reading of one member's tree.
	treeTimeout = 2 * time.Minute
	// treeReaders read one member's tree at a time, over one session.
	treeReaders = 16
	// maxTreeNodes bounds what is read; the rest makes the tree unknown.
	maxTreeNodes = 2_000_000
	// localPath holds what each member writes for itself when it starts, so it
	// is not the same everywhere and no sign of disagreement.
	localPath = "/zookeeper/config"
)

// readTrees reads the tree that each member serves. What goes wrong with one
// member stands in its tree's Problem.
func (a *access) readTrees(ctx context.Context, members []cluster.Member) []workloads.MemberTree {
	trees := make([]workloads.MemberTree, len(members))
	tasks := make([]func(), len(members))
	for i, member := range members {
		tasks[i] = func() {
			trees[i] = workloads.MemberTree{Member: member.Name, Source: "served"}
			nodes, err := a.tree(ctx, member)
			if err != nil {
				trees[i].Problem = err.Error()
				return
			}
			trees[i].Nodes = nodes
		}
	}
	nemesis.Together(a.clock, tasks...)
	return trees
}

// treeWalk is the reading of one tree, breadth first, one level at a time.
type treeWalk struct {
	session *session

	mu    sync.Mutex // guards what follows
	nodes map[string]workloads.TreeNode
	next  []string
	err   error
}

func readTree(ctx context.Context, member cluster.Member) (map[string]workloads.TreeNode, error) {
	ctx, cancel := context.WithTimeout(ctx, treeTimeout)
	defer cancel()
	s, err := openSession(ctx, member.Client)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for _, user := range workloads.Users() {
		if err := s.Login(ctx, user); err != nil {
			return nil, fmt.Errorf("log in: %w", err)
		}
	}
	if _, err := s.Sync(ctx, "/"); err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	walk := &treeWalk{session: s, nodes: make(map[string]workloads.TreeNode)}
	for level := []string{"/"}; len(level) > 0; {
		walk.next = nil
		walk.level(ctx, level)
		if walk.err != nil {
			return nil, walk.err
		}
		if len(walk.nodes)+len(walk.next) > maxTreeNodes {
			return nil, fmt.Errorf("more than %d znodes", maxTreeNodes)
		}
		level = walk.next
	}
	return walk.nodes, nil
}

func (t *treeWalk) level(ctx context.Context, paths []string) {
	work := make(chan string)
	var wg sync.WaitGroup
	for range min(treeReaders, len(paths)) {
		wg.Go(func() {
			for path := range work {
				t.read(ctx, path)
			}
		})
	}
	for _, path := range paths {
		work <- path
	}
	close(work)
	wg.Wait()
}

func (t *treeWalk) read(ctx context.Context, path string) {
	if path == localPath {
		return
	}
	node, children, err := t.session.node(ctx, path)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if t.err == nil {
			t.err = fmt.Errorf("%s: %w", path, err)
		}
		return
	}
	t.nodes[path] = node
	for _, child := range children {
		t.next = append(t.next, strings.TrimSuffix(path, "/")+"/"+child)
	}
}

// diskTrees reads what was collected from the members' disks.
func diskTrees(members []string, collected fs.FS) ([]workloads.MemberLog, []workloads.MemberTree) {
	logs := make([]workloads.MemberLog, len(members))
	trees := make([]workloads.MemberTree, len(members))
	var wg sync.WaitGroup
	for i, member := range members {
		wg.Go(func() {
			logs[i] = workloads.MemberLog{Member: member}
			trees[i] = workloads.MemberTree{Member: member, Source: "disk"}
			data, err := datadir.LoadFS(collected, path.Join(member, "data"), "what was collected of "+member)
			if err == nil && len(data.Log) == 0 {
				err = errors.New("it holds no transaction")
			}
			if err != nil {
				logs[i].Problem, trees[i].Problem = err.Error(), err.Error()
				return
			}
			logs[i].Records, logs[i].Snapshots = data.Log, data.Snapshots
			delete(data.Tree, localPath)
			trees[i].Nodes = data.Tree
		})
	}
	wg.Wait()
	return logs, trees
}
