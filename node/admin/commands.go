package admin

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"zoolab/node/config"
	"zoolab/node/server"
	"zoolab/zk/jute"
)

// command is one of the AdminServer's. Each has a name and the short ones of earlier days.
type command struct {
	names []string
	// always says that the command has an answer without a quorum, too.
	always bool
	// post says that the command changes something: it must come by POST and has a body.
	post bool
	// guarded says that the caller must prove an identity with all permissions on /.
	guarded bool
	run     func(v *View, q *request) answer
}

// request is what a command gets.
type request struct {
	*http.Request
	server *Server
}

// answer is what a command gives back: an object, to which name and error are added.
type answer struct {
	fields object
	// problem says why the command was not run, or did not do what it is for.
	problem string
	// status is the HTTP status; 0 stands for 200, which Apache gives for most failures, too.
	status int
	header http.Header
	// stream, if set, is sent instead of the object.
	stream *stream
}

// done answers with fields.
func done(fields ...field) answer { return answer{fields: fields} }

// failed answers with a problem and a status other than 200.
func failed(status int, format string, args ...any) answer {
	return answer{status: status, problem: fmt.Sprintf(format, args...)}
}

// commands are all commands, by their first name in ascending order.
var commands = []command{
	{names: []string{"configuration", "conf", "config"}, run: (*View).configuration},
	{names: []string{"connection_stat_reset", "crst"}, run: func(v *View, _ *request) answer {
		v.Clients.ResetConnections()
		return done()
	}},
	{names: []string{"connections", "cons"}, run: func(v *View, _ *request) answer {
		return answer{fields: v.connections(false)}
	}},
	{names: []string{"dirs"}, run: func(v *View, _ *request) answer {
		snapshots, logs := v.sizes()
		return done(field{"datadir_size", snapshots}, field{"logdir_size", logs})
	}},
	{names: []string{"dump"}, run: (*View).dumpSessions},
	{names: []string{"environment", "env", "envi"}, always: true, run: func(v *View, _ *request) answer {
		var all object
		for _, e := range v.environment() {
			all = append(all, field{e.key, e.value})
		}
		return answer{fields: all}
	}},
	{names: []string{"get_trace_mask", "gtmk"}, always: true, run: func(v *View, _ *request) answer {
		return done(field{"tracemask", v.mask.get()})
	}},
	{names: []string{"hash"}, run: (*View).digests},
	{names: []string{"initial_configuration", "icfg"}, run: func(v *View, _ *request) answer {
		return done(field{"initial_configuration", withoutSecrets(v.ConfigText)})
	}},
	{names: []string{"is_read_only", "isro"}, run: func(v *View, _ *request) answer { return done(field{"read_only", v.readOnly()}) }},
	{names: []string{"last_snapshot", "lsnp"}, run: (*View).lastSnapshot},
	{names: []string{"leader", "lead"}, run: (*View).leader},
	{names: []string{"monitor", "mntr"}, always: true, run: func(v *View, _ *request) answer {
		var all object
		v.monitor(func(name string, value any) { all = append(all, field{name, value}) })
		return answer{fields: all}
	}},
	{names: []string{"observer_connection_stat_reset", "orst"}, run: func(v *View, q *request) answer {
		if err := v.ResetObservers(q.Context()); err != nil {
			return failed(http.StatusServiceUnavailable, "%v", err)
		}
		return done()
	}},
	{names: []string{"observers", "obsr"}, run: (*View).observers},
	{names: []string{"restore", "rest"}, post: true, guarded: true, run: (*View).restore},
	{names: []string{"ruok"}, run: func(*View, *request) answer { return done() }},
	{names: []string{"server_stats", "srvr"}, run: func(v *View, _ *request) answer { return answer{fields: v.stats()} }},
	{names: []string{"set_trace_mask", "stmk"}, always: true, run: (*View).setTraceMask},
	{names: []string{"shed_connections", "shed"}, post: true, guarded: true, run: (*View).shed},
	{names: []string{"snapshot", "snap"}, guarded: true, run: (*View).snapshot},
	{names: []string{"stat_reset", "srst"}, run: func(v *View, _ *request) answer {
		v.resetStats()
		return done()
	}},
	{names: []string{"stats", "stat"}, run: func(v *View, _ *request) answer {
		return answer{fields: append(v.stats(), v.connections(true)...)}
	}},
	{names: []string{"system_properties", "sysp"}, always: true, run: (*View).systemProperties},
	{names: []string{"voting_view"}, run: (*View).votingView},
	{names: []string{"watch_summary", "wchs"}, run: (*View).watchSummary},
	{names: []string{"watches", "wchc"}, run: (*View).watches},
	{names: []string{"watches_by_path", "wchp"}, run: (*View).watchesByPath},
	{names: []string{"zabstate"}, always: true, run: (*View).zabState},
}

// commandOf finds a command by any of its names.
func commandOf(name string) *command {
	for i := range commands {
		if slices.Contains(commands[i].names, name) {
			return &commands[i]
		}
	}
	return nil
}

func (v *View) configuration(*request) answer {
	c := v.Config
	return done(
		field{"client_port", portOf(c.Clients.Addr)},
		field{"data_dir", c.SnapshotDir()},
		field{"data_log_dir", c.TxnLogDir()},
		field{"tick_time", c.TickTimeMs},
		field{"max_client_cnxns", c.Clients.MaxPerAddress},
		field{"min_session_timeout", c.MinSessionTimeoutMs},
		field{"max_session_timeout", c.MaxSessionTimeoutMs},
		field{"server_id", c.MyID},
		field{"client_port_listen_backlog", c.Clients.ListenBacklog},
	)
}

func portOf(a config.HostPort) int {
	if a.Port == 0 {
		return -1
	}
	return a.Port
}

// connections lists plain and TLS connections; brief leaves out what the word stat does.
func (v *View) connections(brief bool) object {
	plain, secure := []any{}, []any{}
	for _, c := range v.Clients.Connections() {
		if c.Secure {
			secure = append(secure, v.connection(c, brief))
		} else {
			plain = append(plain, v.connection(c, brief))
		}
	}
	return object{{"connections", plain}, {"secure_connections", secure}}
}

func (v *View) connection(c server.ConnInfo, brief bool) object {
	o := object{
		{"remote_socket_address", c.Remote},
		{"interest_ops", interest(c)},
		{"outstanding_requests", c.Queued},
		{"packets_received", c.Received},
		{"packets_sent", c.Sent},
	}
	if brief {
		return o
	}
	return append(o, object{
		{"session_id", c.SessionID},
		{"last_operation", lastOperation(c)},
		{"established", c.Since.UnixMilli()},
		{"session_timeout", c.TimeoutMs},
		{"last_cxid", c.LastXid},
		{"last_zxid", c.LastZxid},
		{"last_response_time", v.answerMs(c.LastAnswer)},
		{"last_latency", wholeMs(c.LastUs)},
		{"min_latency", wholeMs(c.LeastUs)},
		{"avg_latency", wholeMs(c.MeanUs)},
		{"max_latency", wholeMs(c.MostUs)},
	}...)
}

func lastOperation(c server.ConnInfo) any {
	if c.LastOp == 0 {
		return nil
	}
	return operationName(c.LastOp)
}

func (v *View) dumpSessions(*request) answer {
	sessions, err := v.sessions()
	if err != nil {
		return failed(http.StatusServiceUnavailable, "%v", err)
	}
	expiring := object{}
	if v.knowsExpiry() {
		byTime := make(map[int64][]any)
		var times []int64
		for _, s := range sessions {
			if byTime[s.ExpiresMs] == nil {
				times = append(times, s.ExpiresMs)
			}
			byTime[s.ExpiresMs] = append(byTime[s.ExpiresMs], s.ID)
		}
		slices.Sort(times)
		for _, at := range times {
			expiring = append(expiring, field{strconv.FormatInt(at, 10), byTime[at]})
		}
	}
	ephemerals := object{}
	t := v.Replica.Tree()
	for _, id := range t.SessionsWithEphemerals() {
		ephemerals = append(ephemerals, field{strconv.FormatInt(id, 10), list(t.Ephemerals(id))})
	}
	return done(field{"expiry_time_to_session_ids", expiring}, field{"session_id_to_ephemeral_paths", ephemerals})
}

func (v *View) digests(*request) answer {
	all := []any{}
	for _, d := range v.Replica.Tree().DigestLog() {
		all = append(all, object{{"zxid", d.Zxid}, {"digest", d.Digest}, {"digest_version", digestVersion}})
	}
	return done(field{"digests", all})
}

func (v *View) lastSnapshot(*request) answer {
	zxid, at := v.Disk.LastSnapshot()
	seconds := int64(-1)
	if !at.IsZero() {
		seconds = at.Unix()
	}
	return done(field{"zxid", strconv.FormatUint(uint64(zxid), 16)}, field{"timestamp", seconds})
}

func (v *View) leader(*request) answer {
	if !v.Config.Distributed || v.readOnly() {
		return done(field{"error", "server is not initialized"})
	}
	id := v.Replica.Status().Leader
	host := ""
	if s, ok := v.Config.Membership.Server(id); ok {
		host = s.Addrs[0].Host
	}
	return done(field{"is_leader", v.leads()}, field{"leader_id", id}, field{"leader_ip", host})
}

func (v *View) observers(q *request) answer {
	served, err := v.Observers(q.Context())
	if err != nil {
		return failed(http.StatusServiceUnavailable, "%v", err)
	}
	all := []any{}
	for _, o := range served {
		all = append(all, object{
			{"remote_socket_address", "/" + o.Remote}, {"sid", o.SID}, {"established", o.Since.UnixMilli()},
			{"queued_packets", o.QueuedPackets}, {"queued_packets_size", o.QueuedBytes},
			{"packets_received", o.Received}, {"packets_sent", o.Sent}, {"requests", o.Requests}, {"last_zxid", o.LastZxid},
		})
	}
	return done(field{"synced_observers", len(all)}, field{"observers", all})
}

// stats is what server_stats shows, and the first part of stats.
func (v *View) stats() object {
	snapshots, logs := v.sizes()
	m := v.Metrics
	least, mean, most := m.Latency()
	sizes := func(last, least, most int64) object {
		return object{{"last_buffer_size", last}, {"min_buffer_size", least}, {"max_buffer_size", most}}
	}
	answers := sizes(v.Clients.Stats().AnswerBytes())
	o := object{
		{"version", v.Version},
		{"read_only", v.readOnly()},
		{"server_stats", object{
			{"packets_sent", m.PacketsSent.Load()},
			{"packets_received", m.PacketsReceived.Load()},
			{"fsync_threshold_exceed_count", v.Disk.SlowSyncs()},
			{"client_response_stats", answers},
			{"data_dir_size", snapshots},
			{"log_dir_size", logs},
			{"provider_null", false},
			{"server_state", v.mode()},
			{"last_processed_zxid", v.shownZxid()},
			{"outstanding_requests", v.Clients.Outstanding()},
			{"avg_latency", mean},
			{"max_latency", int64(math.Ceil(most))},
			{"min_latency", int64(least)},
			{"num_alive_client_connections", v.Clients.NumConnections()},
			{"uptime", v.elapsedMs()},
			{"auth_failed_count", m.AuthFailures.Load()},
			{"non_mtlsremote_conn_count", 0},
			{"non_mtlslocal_conn_count", 0},
		}},
		{"client_response", answers},
	}
	if v.leads() {
		p := v.Replica.Status().Proposals
		o = append(o, field{"proposal_stats", sizes(int64(p.Last), int64(p.Least), int64(p.Most))})
	}
	return append(o, field{"node_count", v.Replica.Tree().Counts().Znodes})
}

func (v *View) setTraceMask(q *request) answer {
	const complaint = "setTraceMask requires long traceMask argument"
	given := q.URL.Query()["traceMask"]
	if len(given) == 0 {
		return done(field{"error", complaint})
	}
	mask, err := strconv.ParseInt(given[0], 10, 64)
	if err != nil {
		return done(field{"error", complaint + ", got " + given[0]})
	}
	v.mask.set(mask)
	return done(field{"tracemask", mask})
}

// systemProperties lists what zoo.cfg sets beyond the settings that every server has, as
// Apache makes properties of it.
func (v *View) systemProperties(*request) answer {
	var all object
	for _, e := range v.environment() {
		all = append(all, field{e.key, e.value})
	}
	for key, value := range v.Config.Properties {
		if secret(key) {
			value = notShown
		}
		all = append(all, field{key, value})
	}
	slices.SortFunc(all, func(a, b field) int { return strings.Compare(a.key, b.key) })
	return answer{fields: all}
}

// secret reports whether a property may hold a password: those are not for everybody who
// can reach an open port.
func secret(key string) bool {
	key = strings.ToLower(key)
	return strings.Contains(key, "passw") || strings.Contains(key, "superdigest")
}

// withoutSecrets hides the values of such properties in a text like that of zoo.cfg.
func withoutSecrets(text string) string {
	var b strings.Builder
	hidden := false
	for line := range strings.Lines(text) {
		// A value that goes on in the next line hides that one, too.
		goesOn := strings.HasSuffix(strings.TrimRight(line, "\r\n"), `\`)
		key, _, found := strings.Cut(line, "=")
		switch {
		case hidden:
		case found && secret(key):
			b.WriteString(key + "=" + notShown + "\n")
			hidden = true
		default:
			b.WriteString(line)
		}
		hidden = hidden && goesOn
	}
	return b.String()
}

// notShown stands for a secret.
const notShown = "(not shown)"

func (v *View) votingView(*request) answer {
	view := object{}
	if v.Config.Distributed {
		for _, s := range v.Config.Membership.Servers {
			if s.Role != config.Participant {
				continue
			}
			var quorum, election []any
			for _, a := range s.Addrs {
				quorum = append(quorum, config.HostPort{Host: a.Host, Port: a.QuorumPort}.String())
				election = append(election, config.HostPort{Host: a.Host, Port: a.ElectionPort}.String())
			}
			client, address := "", s.Client
			if s.ID == v.Config.MyID {
				address = v.Config.Clients.Addr
			}
			if address.Port != 0 {
				client = address.String()
			}
			view = append(view, field{strconv.FormatInt(s.ID, 10), object{
				{"server_addresses", quorum}, {"election_addresses", election},
				{"client_address", client}, {"learner_type", "participant"},
			}})
		}
	}
	return done(field{"current_config", view})
}

func (v *View) watchSummary(*request) answer {
	data, _ := v.Replica.Tree().WatchSummaries()
	return done(field{"num_connections", data.Connections}, field{"num_paths", data.Paths}, field{"num_total_watches", data.Watches})
}

func (v *View) watches(*request) answer {
	ids, paths := v.watchesBySession()
	o := object{}
	for _, id := range ids {
		o = append(o, field{strconv.FormatInt(id, 10), list(paths[id])})
	}
	return done(field{"session_id_to_watched_paths", o})
}

func (v *View) watchesByPath(*request) answer {
	o := object{}
	for _, watch := range v.Replica.Tree().DataWatches() {
		if n := len(o); n == 0 || o[n-1].key != watch.Path {
			o = append(o, field{watch.Path, []any{}})
		}
		last := &o[len(o)-1]
		last.value = append(last.value.([]any), sessionOf(watch.Watcher))
	}
	return done(field{"path_to_session_ids", o})
}

func (v *View) zabState(*request) answer {
	if !v.Config.Distributed {
		return done(field{"voting", false}, field{"zabstate", ""})
	}
	c := v.Config
	own, _ := c.Membership.Server(c.MyID)
	var quorum, election []config.HostPort
	for _, a := range own.Addrs {
		quorum = append(quorum, config.HostPort{Host: a.Host, Port: a.QuorumPort})
		election = append(election, config.HostPort{Host: a.Host, Port: a.ElectionPort})
	}
	zxid := v.shownZxid()
	state := "election"
	if v.Replica.Status().Role.Established() {
		state = "broadcast"
	}
	return done(
		field{"myid", c.MyID},
		field{"is_leader", v.leads()},
		field{"quorum_address", severalAddresses(quorum)},
		field{"election_address", severalAddresses(election)},
		field{"client_address", c.Clients.Addr.String()},
		field{"voting", c.Role == config.Participant},
		field{"last_zxid", hex(zxid)},
		field{"zab_epoch", zxid >> 32},
		field{"zab_counter", zxid & math.MaxUint32},
		field{"zabstate", state},
	)
}

// severalAddresses shows addresses of one port as Apache does. All count as reachable: this
// server tries them when it connects, not before.
func severalAddresses(addresses []config.HostPort) object {
	var all, wildcards, ports, hosts []any
	for _, a := range addresses {
		all = append(all, a.String())
		wildcards = append(wildcards, config.HostPort{Host: "0.0.0.0", Port: a.Port}.String())
		ports = append(ports, a.Port)
		hosts = append(hosts, a.Host)
	}
	var one any
	if len(all) > 0 {
		one = all[0]
	}
	return object{
		{"empty", len(all) == 0}, {"all_addresses", all}, {"all_reachable_addresses", all}, {"one", one},
		{"reachable_address", one}, {"wildcard_addresses", wildcards}, {"all_ports", ports}, {"all_host_strings", hosts},
		{"all_reachable_addresses_or_all", all}, {"reachable_or_one", one},
	}
}

// digestVersion is that of the digests in the log.
const digestVersion = 2

// all permissions, which a guarded command takes on the root.
const allPerms = jute.PermRead | jute.PermWrite | jute.PermCreate | jute.PermDelete | jute.PermAdmin
