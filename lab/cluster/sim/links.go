package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"zoolab/nemesis"
)

var _ nemesis.LinkShaper = (*Cluster)(nil)

// shaping is what one fault does to its links.
type shaping struct {
	links []nemesis.Link
	shape nemesis.Shape
}

// A probe of a link looks at so many packets of so many bytes, and at so many
// connections, as package cluster sends them.
const (
	probePackets     = 40
	probeBytes       = 600
	probeConnections = 4
)

// Shape implements nemesis.LinkShaper, as do the methods below.
func (c *Cluster) Shape(_ context.Context, id string, links []nemesis.Link, shape nemesis.Shape) error {
	if _, twice := c.shapes[id]; twice {
		return fmt.Errorf("sim: %s shapes links already", id)
	}
	c.shapes[id] = shaping{links, shape}
	c.reshape()
	return nil
}

// Unshape ends a Shape.
func (c *Cluster) Unshape(_ context.Context, id string) error {
	delete(c.shapes, id)
	c.reshape()
	return nil
}

// reshape gives the ensemble what all faults together do to links.
func (c *Cluster) reshape() {
	all := make(map[nemesis.Link][]nemesis.Shape)
	for _, id := range slices.Sorted(maps.Keys(c.shapes)) {
		for _, link := range c.shapes[id].links {
			all[link] = append(all[link], c.shapes[id].shape)
		}
	}
	merged := make(map[nemesis.Link]nemesis.Shape, len(all))
	for link, shapes := range all {
		merged[link] = nemesis.MergeShapes(shapes)
	}
	c.ensemble.Shape(merged)
}

// Traffic tells what would happen to packets.
func (c *Cluster) Traffic(_ context.Context, links []nemesis.Link) (map[nemesis.Link]nemesis.LinkTraffic, error) {
	traffic := make(map[nemesis.Link]nemesis.LinkTraffic, len(links))
	for _, link := range links {
		traffic[link] = c.ensemble.TryLink(link, probePackets, probeBytes, probeConnections)
	}
	return traffic, nil
}
