package metrics

import "math/bits"

// Metrics is everything that is counted. New makes it.
type Metrics struct {
	Proposals               Counter // transactions that this leader proposed
	WatchBytes              Counter // bytes of watch events sent to clients
	InsecureAdmin           Counter // connections without TLS to an AdminServer that takes both
	ConnectionsRejected     Counter // connections refused because of a limit
	ClosedWithoutQuorum     Counter // connections closed because there was no quorum to serve them
	Sessionless             Counter // connections that asked for no session in time
	Elections               Counter // elections that this member began
	LearnerProposals        Counter // proposals received from the leader
	UnrecoverableErrors     Counter // that end the process; it can be seen until it has ended
	DigestMismatches        Counter // transactions after which the tree was not what it was at its writer
	BytesReceived           Counter // bytes of whole requests, without their lengths
	ThrottleWaits           Counter // times that a request waited because too many others had no outcome yet
	RequestsSubmitted       Counter // requests given to the event loop
	LearnerCommits          Counter // transactions that the leader had committed
	ConnectRequests         Counter // requests for a session, new or old
	ResponseBytes           Counter // bytes of answers and events, without their lengths
	Diffs                   Counter // learners that this leader synchronized with a part of the log
	ConnectionRevalidations Counter // sessions whose clients came from another member
	Snaps                   Counter // learners that this leader sent a snapshot
	Commits                 Counter // transactions that this leader committed
	SessionsExpired         Counter // sessions that this leader expired
	LogRecords              Counter // transactions given to the disk
	Revalidations           Counter // sessions that learners asked this leader about
	ConnectionsDropped      Counter // connections that their clients ended
	ThrottledOps            Counter // requests refused because they waited too long to be let in
	StaleDropped            Counter // requests dropped while they waited because nobody waited for them
	StaleRequests           Counter // requests let in although nobody waited for them
	LargeRejected           Counter // large requests for which there was no room
	HandshakesFailed        Counter // TLS handshakes without success, bad certificates among them
	EnsembleNamed           Counter // clients that named this ensemble, as they had to
	EnsembleMistaken        Counter // clients that named another ensemble
	EnsembleUnnamed         Counter // clients that named none, or need not have named one
	StaleReplies            Counter // answers whose clients were gone
	Deserted                Counter // leaderships given up because the voters went elsewhere
	HandshakesExceeded      Counter // connections closed because too many TLS handshakes were under way

	LeaderUnavailable   Summary // from losing an established role to leading
	StartupTxnsLoad     Summary // reading the log at the start
	DiskQueue           Summary // transactions that wait for the disk when it takes the next batch
	FollowerSync        Summary // from finding the leader to serving clients
	ObserverSync        Summary // the same of an observer
	InboxSize           Summary // inputs that the event loop takes at once
	Fsync               Summary // one sync of the log
	Snapshot            Summary // writing a snapshot
	Unavailable         Summary // from losing an established role to the next
	StartupTxns         Summary // transactions read from the log at the start
	StepTime            Summary // one step of the event loop with a client's request
	DatabaseInit        Summary // restoring the tree at the start
	Election            Summary // one election
	DiskBatch           Summary // transactions that one sync made durable
	StartupSnapshotLoad Summary // reading the snapshot at the start
	Pause               Summary // how late a sleeping goroutine woke up
	UpdateLatency       Summary // from a write's arrival to its answer
	ReadLatency         Summary // from any other request's arrival to its answer
	QuorumAck           Summary // from a proposal to its commit, on the leader
	CommitPropagation   Summary // from the request at the leader to the commit here, by two clocks
	ProposalLatency     Summary // from the request at the leader to the proposal here, by two clocks
	DiskQueueAndFlush   Summary // from a batch's first transaction to its sync
	Propagation         Summary // from the request at the leader until it is applied here, by two clocks
	DiskQueueTime       Summary // how long a batch's first transaction waited for the disk
	DiskFlush           Summary // writing and syncing a batch
	DiskRecord          Summary // a transaction's share of that
	InboxTime           Summary // how long the first input of a batch waited for the event loop
	InflightSnaps       Summary // learners that are sent a snapshot, each time that one more is
	InflightDiffs       Summary // learners that are sent a difference, likewise
	AckSent             Summary // from the request at the leader to this follower's acknowledgement, by two clocks

	WatchesCreated    Summary // watchers told of one create
	WatchesDeleted    Summary // watchers told of one delete
	WatchesChanged    Summary // watchers told of one write
	WatchesChildren   Summary // watchers told of changed children
	ThrottleQueueTime Summary // how long a request waited to be let in
	TokenDeficit      Summary // tokens that the connection throttle misses after each connect request

	ReadPerNamespace  SummarySet // bytes read at once, by the first name of the path
	WritePerNamespace SummarySet // bytes written at once, likewise
	AckLatency        SummarySet // from a proposal to its acknowledgement by a follower, by its id

	// These have no line of their own in the table: Apache shows them as gauges.
	PacketsReceived Counter // from clients, four-letter words included
	PacketsSent     Counter // to clients, watch events included
	AuthFailures    Counter // clients that failed to prove an identity

	shards int
	table  []entry
}

// Kind is how a metric is shown.
type Kind uint8

// The kinds.
const (
	KindCounter   Kind = iota
	KindSummary        // mean, extremes, number and sum
	KindQuantiles      // the same with quantiles
)

// entry is a line of the table. Of its metrics at most one is set. A metric that has no
// counterpart in this server has none, and is always 0: monitoring that was made for
// Apache's finds what it looks for.
type entry struct {
	name      string
	kind      Kind
	scale     float64 // what is observed, divided by this, is shown
	counter   *Counter
	summary   *Summary
	summaries *SummarySet
}

const (
	plain  = 1
	micros = 1000 // microseconds are shown as milliseconds
)

// New makes metrics for as many writers at once as there are processors.
func New(processors int) *Metrics {
	m := &Metrics{shards: 1 << bits.Len(uint(min(max(processors, 1), 16)-1))}
	m.ReadLatency.shard(m.shards)
	m.UpdateLatency.shard(m.shards)
	m.ThrottleQueueTime.shard(m.shards)
	for _, c := range []*Counter{&m.BytesReceived, &m.ResponseBytes, &m.PacketsReceived, &m.PacketsSent} {
		c.shard(m.shards)
	}
	m.table = m.counters()
	m.table = append(m.table, m.summaries()...)
	m.table = append(m.table, m.quantiles()...)
	m.table = append(m.table,
		entry{name: "read_per_namespace", kind: KindSummary, scale: plain, summaries: &m.ReadPerNamespace},
		entry{name: "write_per_namespace", kind: KindSummary, scale: plain, summaries: &m.WritePerNamespace},
		entry{name: "ack_latency", kind: KindQuantiles, scale: micros, summaries: &m.AckLatency},
	)
	return m
}

// counters are those of Apache 3.8.0, in the order of its mntr.
func (m *Metrics) counters() []entry {
	count := func(name string, c *Counter) entry {
		return entry{name: name, kind: KindCounter, scale: plain, counter: c}
	}
	return []entry{
		count("proposal_count", &m.Proposals),
		count("watch_bytes", &m.WatchBytes),
		count("outstanding_changes_removed", nil),
		count("throttled_ops", &m.ThrottledOps),
		count("stale_requests_dropped", &m.StaleDropped),
		count("large_requests_rejected", &m.LargeRejected),
		count("insecure_admin_count", &m.InsecureAdmin),
		count("connection_rejected", &m.ConnectionsRejected),
		count("cnxn_closed_without_zk_server_running", &m.ClosedWithoutQuorum),
		count("sessionless_connections_expired", &m.Sessionless),
		count("looking_count", &m.Elections),
		count("dead_watchers_queued", nil),
		count("stale_requests", &m.StaleRequests),
		count("connection_drop_count", &m.ConnectionsDropped),
		count("learner_proposal_received_count", &m.LearnerProposals),
		count("digest_mismatches_count", &m.DigestMismatches),
		count("dead_watchers_cleared", nil),
		count("response_packet_cache_hits", nil),
		count("bytes_received_count", &m.BytesReceived),
		count("add_dead_watcher_stall_time", nil),
		count("request_throttle_wait_count", &m.ThrottleWaits),
		count("requests_not_forwarded_to_commit_processor", nil),
		count("response_packet_cache_misses", nil),
		count("ensemble_auth_success", &m.EnsembleNamed),
		count("prep_processor_request_queued", &m.RequestsSubmitted),
		count("learner_commit_received_count", &m.LearnerCommits),
		count("stale_replies", &m.StaleReplies),
		count("connection_request_count", &m.ConnectRequests),
		count("response_bytes", &m.ResponseBytes),
		count("ensemble_auth_fail", &m.EnsembleMistaken),
		count("diff_count", &m.Diffs),
		count("response_packet_get_children_cache_misses", nil),
		count("connection_revalidate_count", &m.ConnectionRevalidations),
		count("quit_leading_due_to_disloyal_voter", &m.Deserted),
		count("snap_count", &m.Snaps),
		count("unrecoverable_error_count", &m.UnrecoverableErrors),
		count("unsuccessful_handshake", &m.HandshakesFailed),
		count("commit_count", &m.Commits),
		count("stale_sessions_expired", &m.SessionsExpired),
		count("response_packet_get_children_cache_hits", nil),
		count("sync_processor_request_queued", &m.LogRecords),
		count("outstanding_changes_queued", nil),
		count("request_commit_queued", nil),
		count("ensemble_auth_skip", &m.EnsembleUnnamed),
		count("skip_learner_request_to_next_processor_count", nil),
		count("tls_handshake_exceeded", &m.HandshakesExceeded),
		count("revalidate_count", &m.Revalidations),
	}
}

// summaries are those that Apache shows without quantiles, likewise.
func (m *Metrics) summaries() []entry {
	of := func(name string, scale float64, s *Summary) entry {
		return entry{name: name, kind: KindSummary, scale: scale, summary: s}
	}
	return []entry{
		of("socket_closing_time", plain, nil),
		of("proposal_process_time", plain, nil),
		of("leader_unavailable_time", micros, &m.LeaderUnavailable),
		of("node_created_watch_count", plain, &m.WatchesCreated),
		of("session_queues_drained", plain, nil),
		of("write_commit_proc_req_queued", plain, nil),
		of("connection_token_deficit", plain, &m.TokenDeficit),
		of("read_commit_proc_req_queued", plain, nil),
		of("node_deleted_watch_count", plain, &m.WatchesDeleted),
		of("startup_txns_load_time", micros, &m.StartupTxnsLoad),
		of("sync_processor_queue_size", plain, &m.DiskQueue),
		of("follower_sync_time", micros, &m.FollowerSync),
		of("prep_processor_queue_size", plain, &m.InboxSize),
		of("fsynctime", micros, &m.Fsync),
		of("inflight_snap_count", plain, &m.InflightSnaps),
		of("reads_issued_from_session_queue", plain, nil),
		of("learner_request_processor_queue_size", plain, nil),
		of("snapshottime", micros, &m.Snapshot),
		of("unavailable_time", micros, &m.Unavailable),
		of("startup_txns_loaded", plain, &m.StartupTxns),
		of("reads_after_write_in_session_queue", plain, nil),
		of("requests_in_session_queue", plain, nil),
		of("write_commit_proc_issued", plain, nil),
		of("prep_process_time", micros, &m.StepTime),
		of("pending_session_queue_size", plain, nil),
		of("time_waiting_empty_pool_in_commit_processor_read_ms", plain, nil),
		of("commit_process_time", plain, nil),
		of("dbinittime", micros, &m.DatabaseInit),
		of("inflight_diff_count", plain, &m.InflightDiffs),
		of("netty_queued_buffer_capacity", plain, nil),
		of("election_time", micros, &m.Election),
		of("commit_commit_proc_req_queued", plain, nil),
		of("sync_processor_batch_size", plain, &m.DiskBatch),
		of("node_children_watch_count", plain, &m.WatchesChildren),
		of("write_batch_time_in_commit_processor", plain, nil),
		of("read_commit_proc_issued", plain, nil),
		of("concurrent_request_processing_in_commit_processor", plain, nil),
		of("observer_sync_time", micros, &m.ObserverSync),
		of("node_changed_watch_count", plain, &m.WatchesChanged),
		of("sync_process_time", micros, &m.DiskRecord),
		of("startup_snap_load_time", micros, &m.StartupSnapshotLoad),
	}
}

// quantiles are those that Apache shows with quantiles, likewise.
func (m *Metrics) quantiles() []entry {
	of := func(name string, scale float64, s *Summary) entry {
		return entry{name: name, kind: KindQuantiles, scale: scale, summary: s}
	}
	return []entry{
		of("prep_processor_queue_time_ms", micros, &m.InboxTime),
		of("jvm_pause_time_ms", micros, &m.Pause),
		of("close_session_prep_time", plain, nil),
		of("read_commitproc_time_ms", plain, nil),
		of("updatelatency", micros, &m.UpdateLatency),
		of("local_write_committed_time_ms", plain, nil),
		of("request_throttle_queue_time_ms", micros, &m.ThrottleQueueTime),
		of("readlatency", micros, &m.ReadLatency),
		of("quorum_ack_latency", micros, &m.QuorumAck),
		of("om_commit_process_time_ms", plain, nil),
		of("read_final_proc_time_ms", plain, nil),
		of("commit_propagation_latency", plain, &m.CommitPropagation),
		of("dead_watchers_cleaner_latency", plain, nil),
		of("write_final_proc_time_ms", plain, nil),
		of("proposal_ack_creation_latency", plain, &m.AckSent),
		of("proposal_latency", plain, &m.ProposalLatency),
		of("om_proposal_process_time_ms", plain, nil),
		of("sync_processor_queue_and_flush_time_ms", micros, &m.DiskQueueAndFlush),
		of("propagation_latency", plain, &m.Propagation),
		of("server_write_committed_time_ms", plain, nil),
		of("sync_processor_queue_time_ms", micros, &m.DiskQueueTime),
		of("sync_processor_queue_flush_time_ms", micros, &m.DiskFlush),
		of("write_commitproc_time_ms", plain, nil),
	}
}
