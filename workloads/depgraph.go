package workloads

import (
	"fmt"
	"math"
	"sort"
	"strings"
)

// edgeKind is a kind of dependency; kinds are combined as sets.
type edgeKind uint8

const (
	edgeWW edgeKind = 1 << iota
	edgeWR
	edgeRW
	edgeRT // real time; stands between an operation and a moment, or two moments
)

type depEdge struct {
	to   int
	kind edgeKind
	why  string // what the edge's first transaction did
}

// depGraph holds who must stand before whom in a serial order. Its nodes are the
// operations, and behind them moments, each the end of an operation. Moments
// form a chain, so that real time needs edges in proportion to the operations
// and not to their pairs.
type depGraph struct {
	operations   []*Operation
	node         map[*Operation]int
	edges        [][]depEdge
	dependencies int
}

func newDepGraph(operations []*Operation) *depGraph {
	g := &depGraph{operations: operations, node: make(map[*Operation]int, len(operations)), edges: make([][]depEdge, len(operations))}
	for i, operation := range operations {
		g.node[operation] = i
	}
	return g
}

// add notes a dependency. A transaction does not depend on itself.
func (g *depGraph) add(from, to *Operation, kind edgeKind, why string) {
	if from == to {
		return
	}
	g.dependencies++
	at := g.node[from]
	g.edges[at] = append(g.edges[at], depEdge{g.node[to], kind, why})
}

// addRealTime ties each operation to the moments: behind all that ended before
// it began. Ends gives Index of the end, math.MaxInt for none.
func (g *depGraph) addRealTime(ends map[*Operation]int) {
	var ended []*Operation
	for _, operation := range g.operations {
		if ends[operation] != math.MaxInt {
			ended = append(ended, operation)
		}
	}
	sort.Slice(ended, func(i, j int) bool { return ends[ended[i]] < ends[ended[j]] })
	first := len(g.edges)
	for i, operation := range ended {
		g.edges = append(g.edges, nil)
		at := g.node[operation]
		g.edges[at] = append(g.edges[at], depEdge{first + i, edgeRT, "was acknowledged"})
		if i > 0 {
			g.edges[first+i-1] = append(g.edges[first+i-1], depEdge{first + i, edgeRT, ""})
		}
	}
	for _, operation := range g.operations { // in order of invocation
		before := sort.Search(len(ended), func(i int) bool { return ends[ended[i]] > operation.Invoke.Index })
		if before > 0 {
			moment := first + before - 1
			g.edges[moment] = append(g.edges[moment], depEdge{g.node[operation], edgeRT, ""})
		}
	}
}

// findCycles looks for the plainest cycles first: what has a cycle of ww edges
// is not searched again for weaker kinds.
func (g *depGraph) findCycles(faults *faultList) {
	done := make(map[int]bool) // nodes of components that were reported
	for _, kinds := range []edgeKind{
		edgeWW, edgeWW | edgeWR, edgeWW | edgeWR | edgeRW,
		edgeWW | edgeRT, edgeWW | edgeWR | edgeRT, edgeWW | edgeWR | edgeRW | edgeRT,
	} {
		for _, component := range g.components(kinds) {
			if len(component) < 2 {
				continue
			}
			inside := make(map[int]bool, len(component))
			reported := false
			for _, node := range component {
				inside[node] = true
				reported = reported || done[node]
			}
			if reported {
				continue
			}
			for _, node := range component {
				done[node] = true
			}
			g.report(faults, g.smallestCycle(inside, kinds))
		}
	}
}

// components gives the strongly connected components of the graph of some
// kinds of edges (Tarjan, without recursion).
func (g *depGraph) components(kinds edgeKind) (components [][]int) {
	const unvisited = 0
	number, low := make([]int, len(g.edges)), make([]int, len(g.edges))
	onStack := make([]bool, len(g.edges))
	type frame struct{ node, edge int }
	var stack []int
	next := 1
	for root := range g.edges {
		if number[root] != unvisited {
			continue
		}
		calls := []frame{{root, 0}}
		for len(calls) > 0 {
			top := &calls[len(calls)-1]
			node := top.node
			if top.edge == 0 {
				number[node], low[node] = next, next
				next++
				stack, onStack[node] = append(stack, node), true
			}
			descend := -1
			for ; top.edge < len(g.edges[node]) && descend < 0; top.edge++ {
				edge := &g.edges[node][top.edge]
				switch {
				case edge.kind&kinds == 0:
				case number[edge.to] == unvisited:
					descend = edge.to
				case onStack[edge.to]:
					low[node] = min(low[node], number[edge.to])
				}
			}
			if descend >= 0 {
				calls = append(calls, frame{descend, 0})
				continue
			}
			if low[node] == number[node] {
				at := len(stack) - 1
				for stack[at] != node {
					at--
				}
				for _, member := range stack[at:] {
					onStack[member] = false
				}
				components = append(components, append([]int(nil), stack[at:]...))
				stack = stack[:at]
			}
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				parent := calls[len(calls)-1].node
				low[parent] = min(low[parent], low[node])
			}
		}
	}
	return components
}

// maxCycleStarts bounds the search for a small cycle; the component has one for
// each of its nodes.
const maxCycleStarts = 200

// pathStep is one node of a cycle with the edge that leaves it.
type pathStep struct {
	node int
	edge depEdge
}

// smallestCycle gives the cycle with the fewest rw edges among the shortest
// through some nodes of a component.
func (g *depGraph) smallestCycle(inside map[int]bool, kinds edgeKind) (best []pathStep) {
	starts := make([]int, 0, len(inside))
	for node := range inside {
		if node < len(g.operations) {
			starts = append(starts, node)
		}
	}
	sort.Ints(starts)
	if len(starts) > maxCycleStarts {
		starts = starts[:maxCycleStarts]
	}
	cost := func(cycle []pathStep) (cost int) {
		for _, step := range cycle {
			if step.edge.kind == edgeRW {
				cost += len(g.edges)
			}
			if step.node < len(g.operations) {
				cost++
			}
		}
		return cost
	}
	for _, start := range starts {
		for _, edge := range g.edges[start] {
			if edge.kind&kinds == 0 || !inside[edge.to] {
				continue
			}
			// The way back with the fewest anti-dependencies: none, if there is one.
			back := g.path(edge.to, start, inside, kinds&^edgeRW)
			if back == nil {
				back = g.path(edge.to, start, inside, kinds)
			}
			if back == nil {
				continue
			}
			cycle := append([]pathStep{{start, edge}}, back...)
			if best == nil || cost(cycle) < cost(best) {
				best = cycle
			}
		}
	}
	return best
}

// path is a shortest way between two nodes of a component, nil if there is none.
func (g *depGraph) path(from, to int, inside map[int]bool, kinds edgeKind) []pathStep {
	cameBy := map[int]pathStep{from: {node: -1}}
	queue := []int{from}
	for head := 0; head < len(queue); head++ {
		node := queue[head]
		if node == to {
			var path []pathStep
			for at := to; at != from; {
				step := cameBy[at]
				path = append([]pathStep{step}, path...)
				at = step.node
			}
			return path
		}
		for _, edge := range g.edges[node] {
			if _, seen := cameBy[edge.to]; seen || edge.kind&kinds == 0 || !inside[edge.to] {
				continue
			}
			cameBy[edge.to] = pathStep{node, edge}
			queue = append(queue, edge.to)
		}
	}
	return nil
}

// report names a cycle and tells it in words.
func (g *depGraph) report(faults *faultList, cycle []pathStep) {
	if cycle == nil {
		return // a component has a cycle through each of its nodes
	}
	var kinds edgeKind
	antiDependencies := 0
	var operations []*Operation
	var words []string
	var edges []Edge
	for i, step := range cycle {
		kinds |= step.edge.kind
		if step.edge.kind == edgeRW {
			antiDependencies++
		}
		if step.node >= len(g.operations) {
			continue
		}
		operations = append(operations, g.operations[step.node])
		next := cycle[(i+1)%len(cycle)].node
		for j := i + 1; next >= len(g.operations); j++ {
			next = cycle[(j+1)%len(cycle)].node
		}
		after := g.operations[next].Invoke.Index
		tail := fmt.Sprintf(" (%s T%d)", edgeName(step.edge.kind), after)
		if step.edge.kind == edgeRT {
			tail = fmt.Sprintf(" before T%d began", after)
		}
		before := g.operations[step.node].Invoke.Index
		words = append(words, fmt.Sprintf("T%d %s%s", before, step.edge.why, tail))
		edges = append(edges, Edge{From: before, To: after, Kind: edgeName(step.edge.kind), Why: step.edge.why})
	}
	faults.addCycle("", fmt.Sprintf("%s: %s", cycleName(kinds, antiDependencies), strings.Join(words, "; ")), edges, operations...)
}

func edgeName(kind edgeKind) string {
	switch kind {
	case edgeWW:
		return "ww"
	case edgeWR:
		return "wr"
	case edgeRW:
		return "rw"
	default:
		return "rt"
	}
}

func cycleName(kinds edgeKind, antiDependencies int) string {
	name := "G0"
	switch {
	case antiDependencies > 1:
		name = "G2"
	case antiDependencies == 1:
		name = "G2-single"
	case kinds&edgeWR != 0:
		name = "G1c"
	}
	if kinds&edgeRT != 0 {
		name += "-realtime"
	}
	return name
}
