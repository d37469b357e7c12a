package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// MemoryBytes is what belongs to a member's process alone, without files and shared
// memory, as the control group of its container counts it.
func (d *dockerCluster) MemoryBytes(ctx context.Context, member string) (int64, error) {
	id, err := d.node(member)
	if err != nil {
		return 0, err
	}
	answer, err := d.cli.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("cluster: statistics of %s: %w", member, err)
	}
	defer answer.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil {
		return 0, fmt.Errorf("cluster: statistics of %s: %w", member, err)
	}
	// The names of control groups of version 2 and 1.
	for _, name := range []string{"anon", "total_rss", "rss"} {
		if bytes, ok := stats.MemoryStats.Stats[name]; ok {
			return int64(bytes), nil
		}
	}
	return 0, fmt.Errorf("cluster: the engine does not count the memory of %s", member)
}

// MemoryBytes is what belongs to a member's process alone, without files and shared
// memory, as the kernel counts it.
func (l *localCluster) MemoryBytes(_ context.Context, member string) (int64, error) {
	p, err := l.process(member)
	if err != nil {
		return 0, err
	}
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, fmt.Errorf("cluster: memory of %s: %w", member, err)
	}
	defer status.Close()
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), "RssAnon:")
		if !found {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cluster: memory of %s: %q", member, lines.Text())
		}
		return kilobytes << 10, nil
	}
	return 0, fmt.Errorf("cluster: the kernel does not count the memory of %s", member)
}
