package main

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"zoolab/lab/cluster"
	"zoolab/workloads"
)

// gaugeTimeout bounds how long members are waited for to come back to their level:
// connections end, and runtimes give back memory, some time after the last client left.
const gaugeTimeout = 20 * time.Second

// measured is a cluster that knows what its members hold. A simulated one does not.
type measured interface {
	// MemoryBytes is what belongs to a member's process alone.
	MemoryBytes(ctx context.Context, member string) (int64, error)
}

// gaugesAtStart measures the level of all members, nil where that can't be done. Of a
// foreign image nobody knows how much memory its runtime may keep.
func (r *runner) gaugesAtStart(ctx context.Context) []workloads.MemberGauge {
	if _, ok := r.cluster.(measured); !ok || !r.options.builds() {
		return nil
	}
	var gauges []workloads.MemberGauge
	for member, gauge := range r.gauges(ctx) {
		gauges = append(gauges, workloads.MemberGauge{Member: r.meta.Members[member], Start: gauge})
	}
	return gauges
}

// gaugesAtEnd measures until all members are back at their level, or time is up.
func (r *runner) gaugesAtEnd(ctx context.Context) {
	if r.meta.Gauges == nil {
		return
	}
	r.begin("measuring memory and descriptors", gaugeTimeout, nil)
	for deadline := time.Now().Add(gaugeTimeout); ; {
		for member, gauge := range r.gauges(ctx) {
			r.meta.Gauges[member].End = gauge
		}
		if workloads.CheckGauges(r.meta.Gauges, workloads.DefaultBounds).Verdict == workloads.VerdictOK || time.Now().After(deadline) {
			return
		}
		if r.access.clock.Sleep(ctx, time.Second) != nil {
			return
		}
	}
}

// gauges measures all members at the same time.
func (r *runner) gauges(ctx context.Context) []workloads.Gauge {
	members := r.cluster.Members()
	gauges := make([]workloads.Gauge, len(members))
	var wg sync.WaitGroup
	for i, member := range members {
		wg.Go(func() {
			gauge, err := gaugeOf(ctx, r.cluster.(measured), member)
			if err != nil {
				gauge.Problem = err.Error()
			}
			gauges[i] = gauge
		})
	}
	wg.Wait()
	return gauges
}

func gaugeOf(ctx context.Context, c measured, member cluster.Member) (gauge workloads.Gauge, err error) {
	if gauge.MemoryBytes, err = c.MemoryBytes(ctx, member.Name); err != nil {
		return gauge, err
	}
	answer, err := cluster.FourLetter(ctx, member.Client, "mntr")
	if err != nil {
		return gauge, err
	}
	return gauge, parseGauge(answer, &gauge)
}

// parseGauge reads the lines of mntr, such as "zk_znode_count 5".
func parseGauge(answer string, gauge *workloads.Gauge) error {
	missing := map[string]*int64{
		"zk_open_file_descriptor_count": &gauge.Descriptors,
		"zk_approximate_data_size":      &gauge.DataBytes,
		"zk_znode_count":                &gauge.Znodes,
	}
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "\t")
		target := missing[name]
		if target == nil {
			continue
		}
		number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return fmt.Errorf("mntr says %q", lines.Text())
		}
		*target = int64(number)
		delete(missing, name)
	}
	for name := range missing {
		return fmt.Errorf("mntr does not tell %s", name)
	}
	return nil
}
