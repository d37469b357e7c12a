package admin

import (
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"zoolab/node/metrics"
	"zoolab/node/tree"
)

// gauge is a figure of this moment: an int, an int64, a uint64 or a float64.
type gauge struct {
	name  string
	key   string // of a set's member, else ""
	value any
}

// shownName is the name in mntr.
func (g *gauge) shownName() string {
	if g.key == "" {
		return g.name
	}
	return g.key + "_" + g.name
}

// gauges are Apache's, in the order of its mntr. Those of a leader stand between the others.
func (v *View) gauges() []gauge {
	status, counts, m := v.Replica.Status(), v.Replica.Tree().Counts(), v.Metrics
	least, mean, most := m.Latency()
	lastBytes, leastBytes, mostBytes := v.Clients.Stats().AnswerBytes()
	leads := v.leads()
	var all []gauge
	put := func(name string, value any) { all = append(all, gauge{name: name, value: value}) }
	ofLeader := func(name string, value any) {
		if leads {
			put(name, value)
		}
	}
	put("ephemerals_count", counts.Ephemerals)
	put("num_alive_connections", v.Clients.NumConnections())
	put("avg_latency", mean)
	ofLeader("min_proposal_size", status.Proposals.Least)
	put("outstanding_requests", v.Clients.Outstanding())
	put("znode_count", counts.Znodes)
	put("global_sessions", counts.Sessions)
	put("non_mtls_remote_conn_count", 0)
	put("last_client_response_size", lastBytes)
	put("packets_sent", m.PacketsSent.Load())
	put("packets_received", m.PacketsReceived.Load())
	ofLeader("max_proposal_size", status.Proposals.Most)
	put("max_client_response_size", mostBytes)
	ofLeader("synced_followers", status.SyncedFollowers)
	put("connection_drop_probability", v.Clients.RefusalOdds())
	put("watch_count", counts.Watches)
	ofLeader("synced_non_voting_followers", 0)
	if v.servesObservers() {
		put("synced_observers", status.SyncedObservers)
	}
	put("auth_failed_count", m.AuthFailures.Load())
	put("min_latency", int64(least))
	mostFiles, openFiles, filesKnown := descriptors()
	if filesKnown {
		put("max_file_descriptor_count", mostFiles)
	}
	put("approximate_data_size", counts.DataSizeBytes)
	if filesKnown {
		put("open_file_descriptor_count", openFiles)
	}
	ofLeader("last_proposal_size", status.Proposals.Last)
	ofLeader("pending_syncs", status.PendingSyncs)
	ofLeader("leader_uptime", v.elapsedMs()-status.SinceMs)
	put("local_sessions", status.LocalSessions)
	put("uptime", v.elapsedMs())
	put("max_latency", int64(math.Ceil(most)))
	put("outstanding_tls_handshake", v.Clients.Stats().Handshakes())
	ofLeader("learners", status.Learners)
	put("min_client_response_size", leastBytes)
	put("non_mtls_local_conn_count", 0)
	if v.Config.Distributed && !v.readOnly() {
		put("quorum_size", len(v.Config.Membership.Voters()))
	}
	return append(all, v.quotas()...)
}

// quotas are the limits and the use of quotas, set by set.
func (v *View) quotas() (all []gauge) {
	figures := v.Replica.Tree().QuotaFigures()
	for _, set := range []struct {
		name  string
		value func(tree.QuotaFigures) int64
	}{
		{"quota_bytes_limit_per_namespace", func(f tree.QuotaFigures) int64 { return f.BytesLimit }},
		{"quota_count_usage_per_namespace", func(f tree.QuotaFigures) int64 { return f.Count }},
		{"quota_count_limit_per_namespace", func(f tree.QuotaFigures) int64 { return f.CountLimit }},
		{"quota_bytes_usage_per_namespace", func(f tree.QuotaFigures) int64 { return f.Bytes }},
	} {
		for _, f := range figures {
			all = append(all, gauge{set.name, f.Namespace, set.value(f)})
		}
	}
	return all
}

// descriptors returns how many file descriptors the process may have and has open.
func descriptors() (most, open uint64, ok bool) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0, 0, false
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0, false
	}
	return limit.Cur, uint64(len(entries)), true
}

// monitor gives put every figure that mntr and the command monitor show, by its name
// there and in Apache's order: whole numbers, decimals and texts.
func (v *View) monitor(put func(name string, value any)) {
	put("version", v.Version)
	put("server_state", v.mode())
	if state := v.peerState(); state != "" {
		put("peer_state", state)
	}
	if v.observes() {
		put("observer_master_id", v.Replica.Status().Master)
	}
	for _, g := range v.gauges() {
		put(g.shownName(), g.value)
	}
	v.Metrics.Each(func(m *metrics.Value) {
		name := m.Name
		if m.Key != "" {
			name = m.Key + "_" + name
		}
		if m.Kind == metrics.KindCounter {
			put(name, m.Count)
			return
		}
		put("avg_"+name, m.Mean)
		put("min_"+name, int64(m.Least))
		put("max_"+name, int64(math.Ceil(m.Most)))
		put("cnt_"+name, m.Count)
		put("sum_"+name, int64(math.Round(m.Sum)))
		if m.Kind == metrics.KindQuantiles {
			for _, q := range []struct {
				name string
				q    float64
			}{{"p50_", 0.5}, {"p95_", 0.95}, {"p99_", 0.99}, {"p999_", 0.999}} {
				put(q.name+name, int64(math.Round(m.Quantile(q.q))))
			}
		}
	})
}

func (v *View) mntr(w io.Writer) {
	v.monitor(func(name string, value any) {
		if f, ok := value.(float64); ok {
			value = decimal(f)
		}
		fmt.Fprintf(w, "zk_%s\t%v\n", name, value)
	})
}
