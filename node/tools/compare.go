package tools

import (
	"bufio"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// layers are a snapshot's znodes by depth; the root, whose label is "", is alone in the first.
type layers [][]*node

func layersOf(s *snapshot) layers {
	var l layers
	for next := []*node{s.nodes["/"]}; len(next) > 0; {
		l = append(l, next)
		var below []*node
		for _, n := range next {
			below = append(below, n.children...)
		}
		slices.SortFunc(below, func(a, b *node) int { return strings.Compare(a.path, b.path) })
		next = below
	}
	return l
}

func (l layers) at(depth int) []*node {
	if depth < len(l) {
		return l[depth]
	}
	return nil
}

// comparison is one run of compare.
type comparison struct {
	out          *bufio.Writer
	bytes, nodes int64 // differences up to these are left out
	debug        bool
}

func snapshotCompare(args []string, streams Streams) int {
	c := newCommand("node snapshot compare", snapshotUsage, streams)
	left, right := c.text("l", "left", ""), c.text("r", "right", "")
	bytesText, nodesText := c.text("b", "bytes", "0"), c.text("n", "nodes", "0")
	debug := c.boolean("d", "debug")
	if _, code := c.parse(args, 0, 0); code >= 0 {
		return code
	}
	bytes, bytesErr := strconv.ParseInt(*bytesText, 10, 64)
	nodes, nodesErr := strconv.ParseInt(*nodesText, 10, 64)
	switch {
	case *left == "" || *right == "":
		return c.wrong("-l LEFT and -r RIGHT are required")
	case bytesErr != nil || nodesErr != nil || bytes < 0 || nodes < 0:
		return c.wrong("-b and -n take a number from 0 up, not %q and %q", *bytesText, *nodesText)
	}
	cmp := &comparison{out: bufio.NewWriter(c.Out), bytes: bytes, nodes: nodes, debug: *debug}
	fmt.Fprintln(cmp.out, "Successfully parsed options!")
	leftLayers, err := cmp.read(*left)
	if err != nil {
		return c.failed(err)
	}
	rightLayers, err := cmp.read(*right)
	if err != nil {
		return c.failed(err)
	}
	cmp.describe(leftLayers)
	cmp.describe(rightLayers)
	fmt.Fprintf(cmp.out, "Printing analysis for nodes difference larger than %d bytes or node count difference larger than %d.\n", bytes, nodes)
	for depth := range max(len(leftLayers), len(rightLayers)) {
		fmt.Fprintf(cmp.out, "Analysis for depth %d\n", depth)
		cmp.layer(leftLayers.at(depth), rightLayers.at(depth))
	}
	fmt.Fprintln(cmp.out, "All layers compared.")
	if err := cmp.out.Flush(); err != nil {
		return c.failed(err)
	}
	return exitDone
}

func (c *comparison) read(file string) (layers, error) {
	began := time.Now()
	s, err := readSnapshot(file, false)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c.out, "Deserialized snapshot in %s in %f seconds\n", filepath.Base(file), time.Since(began).Seconds())
	began = time.Now()
	l := layersOf(s)
	fmt.Fprintf(c.out, "Processed data tree in %f seconds\n", time.Since(began).Seconds())
	return l, nil
}

func (c *comparison) describe(l layers) {
	root := l[0][0]
	fmt.Fprintf(c.out, "Node count: %d\nTotal size: %d\nMax depth: %d\n", root.count+1, root.bytes, len(l))
	for depth, nodes := range l {
		fmt.Fprintf(c.out, "Count of nodes at depth %d: %d\n", depth, len(nodes))
	}
	fmt.Fprintln(c.out)
}

// layer compares two sorted lists.
func (c *comparison) layer(left, right []*node) {
	for len(left) > 0 || len(right) > 0 {
		order := 0
		switch {
		case len(left) == 0:
			order = 1
		case len(right) == 0:
			order = -1
		default:
			order = strings.Compare(left[0].path, right[0].path)
			c.trace("Comparing %s to %s", label(left[0]), label(right[0]))
			c.trace([]string{"left is less", "same", "right is less"}[order+1])
		}
		switch order {
		case -1:
			c.only("left", left[0])
			left = left[1:]
		case 1:
			c.only("right", right[0])
			right = right[1:]
		default:
			c.both(left[0], right[0])
			left, right = left[1:], right[1:]
		}
	}
}

func (c *comparison) trace(format string, args ...any) {
	if c.debug {
		fmt.Fprintf(c.out, format+"\n", args...)
	}
}

// only is for a subtree that one side lacks.
func (c *comparison) only(side string, n *node) {
	if n.bytes > c.bytes || n.count > c.nodes {
		fmt.Fprintf(c.out, "Node %s found only in %s tree. Descendant size: %d. Descendant count: %d\n", label(n), side, n.bytes, n.count)
		return
	}
	c.trace("Filtered %s node %s of size %d", side, label(n), n.bytes)
}

func (c *comparison) both(left, right *node) {
	bytes, nodes := right.bytes-left.bytes, right.count-left.count
	if max(bytes, -bytes) > c.bytes || max(nodes, -nodes) > c.nodes {
		fmt.Fprintf(c.out, "Node %s found in both trees. Delta: %d bytes, %d descendants\n", label(left), bytes, nodes)
		return
	}
	c.trace("Filtered node %s of left size %d, right size %d", label(left), left.bytes, right.bytes)
}

// label is a znode's path as the comparer of Apache writes it, without one for the root.
func label(n *node) string {
	if n.path == "/" {
		return ""
	}
	return plain(n.path)
}
