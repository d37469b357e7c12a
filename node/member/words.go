package member

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"zoolab/node/server"
	"zoolab/node/zab"
)

// Version is what the server calls itself where Apache's prints its own version. It
// begins with the version whose behaviour clients and tools may expect.
var Version = "3.8.0-zoolab"

// words are the four-letter words with the function that answers each.
var words = map[string]func(*Member, io.Writer){
	"ruok": func(_ *Member, w io.Writer) { io.WriteString(w, "imok") },
	"srvr": (*Member).srvr,
	"stat": (*Member).stat,
	"mntr": (*Member).mntr,
	"isro": func(_ *Member, w io.Writer) { io.WriteString(w, "rw") },
	"conf": (*Member).conf,
}

// otherWords are Apache's words that this server does not answer.
var otherWords = []string{"cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "srst", "stmk", "wchc", "wchp", "wchs"}

// notServing is Apache's answer while there is no quorum.
const notServing = "This ZooKeeper instance is not currently serving requests\n"

// fourLetterWord answers a word on w; false means that it is none.
func (m *Member) fourLetterWord(word string, w io.Writer) bool {
	answer, known := words[word]
	if !known && !slices.Contains(otherWords, word) {
		return false
	}
	var b strings.Builder
	serving := m.replica.Status().Role.Established()
	switch {
	case !m.cfg.FourLetterAllowed(word):
		fmt.Fprintf(&b, "%s is not executed because it is not in the whitelist.\n", word)
	case !known:
		fmt.Fprintf(&b, "%s is not executed because this server does not support it.\n", word)
	case !serving && word == "isro":
		b.WriteString("null")
	case !serving && word != "ruok":
		b.WriteString(notServing)
	default:
		answer(m, &b)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		m.log.Debug("could not answer a four-letter word", "word", word, "err", err)
	}
	return true
}

// shownZxid is the zxid of the tree. A leader shows the beginning of its epoch until the
// epoch's first transaction, so that the epoch can be seen at once.
func (m *Member) shownZxid() int64 {
	last := m.replica.Tree().LastZxid()
	if status := m.replica.Status(); m.cfg.Distributed && status.Role == zab.RoleLeaderEstablished {
		last = max(last, status.Epoch<<32)
	}
	return last
}

// mode is the member's role as the words name it.
func (m *Member) mode() string {
	switch role := m.replica.Status().Role; {
	case !m.cfg.Distributed:
		return "standalone"
	case role == zab.RoleLeaderEstablished:
		return "leader"
	case role == zab.RoleFollowerEstablished:
		return "follower"
	}
	return "looking"
}

func (m *Member) srvr(w io.Writer) { m.serverStats(w, false) }

func (m *Member) stat(w io.Writer) { m.serverStats(w, true) }

func (m *Member) serverStats(w io.Writer, clients bool) {
	fmt.Fprintf(w, "Zookeeper version: %s, built on %s\n", Version, buildTime())
	if clients {
		fmt.Fprintln(w, "Clients:")
		m.clients.Connections(func(c server.ConnInfo) bool {
			fmt.Fprintf(w, " /%s[%d](queued=%d,recved=%d,sent=%d)\n", c.Remote, interest(c), c.Queued, c.Received, c.Sent)
			return true
		})
		fmt.Fprintln(w)
	}
	status, stats := m.replica.Status(), m.clients.Stats()
	least, mean, most := stats.LatencyMs()
	fmt.Fprintf(w, "Latency min/avg/max: %d/%s/%d\n", int64(least), decimal(mean), int64(math.Ceil(most)))
	fmt.Fprintf(w, "Received: %d\nSent: %d\nConnections: %d\n", stats.Received(), stats.Sent(), m.clients.NumConnections())
	fmt.Fprintf(w, "Outstanding: %d\nZxid: %s\nMode: %s\n", m.clients.Outstanding(), hex(m.shownZxid()), m.mode())
	fmt.Fprintf(w, "Node count: %d\n", m.replica.Tree().Counts().Znodes)
	if m.leadsEnsemble() {
		p := status.Proposals
		fmt.Fprintf(w, "Proposal sizes last/min/max: %d/%d/%d\n", p.Last, p.Least, p.Most)
	}
}

// interest is the number that Java's selector shows for a connection: 1 while it waits
// for requests, 0 for one without a session, which is being answered.
func interest(c server.ConnInfo) int {
	if c.SessionID == 0 {
		return 0
	}
	return 1
}

// decimal prints a number as Java does: up to four digits behind the point, at least one.
func decimal(v float64) string {
	text := strings.TrimRight(strconv.FormatFloat(v, 'f', 4, 64), "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text
}

func (m *Member) leadsEnsemble() bool {
	return m.cfg.Distributed && m.replica.Status().Role == zab.RoleLeaderEstablished
}

// metrics prints lines of mntr.
type metrics struct{ io.Writer }

func (w metrics) put(name string, value any) { fmt.Fprintf(w, "zk_%s\t%v\n", name, value) }

// mntr prints the metrics that this server keeps, under Apache's names and in its order.
func (m *Member) mntr(out io.Writer) {
	w := metrics{out}
	status, stats := m.replica.Status(), m.clients.Stats()
	counts := m.replica.Tree().Counts()
	least, mean, most := stats.LatencyMs()
	lastBytes, leastBytes, mostBytes := stats.AnswerBytes()
	leads := m.leadsEnsemble()
	w.put("version", fmt.Sprintf("%s, built on %s", Version, buildTime()))
	w.put("server_state", m.mode())
	switch {
	case leads:
		w.put("peer_state", "leading - broadcast")
	case m.cfg.Distributed:
		w.put("peer_state", "following - broadcast")
	}
	w.put("ephemerals_count", counts.Ephemerals)
	w.put("num_alive_connections", m.clients.NumConnections())
	w.put("avg_latency", decimal(mean))
	if leads {
		w.put("min_proposal_size", status.Proposals.Least)
	}
	w.put("outstanding_requests", m.clients.Outstanding())
	w.put("znode_count", counts.Znodes)
	w.put("global_sessions", counts.Sessions)
	w.put("last_client_response_size", lastBytes)
	w.put("packets_sent", stats.Sent())
	w.put("packets_received", stats.Received())
	if leads {
		w.put("max_proposal_size", status.Proposals.Most)
	}
	w.put("max_client_response_size", mostBytes)
	if leads {
		w.put("synced_followers", status.SyncedFollowers)
	}
	w.put("watch_count", counts.Watches)
	if leads {
		w.put("synced_non_voting_followers", 0)
		w.put("synced_observers", 0)
	}
	w.put("auth_failed_count", stats.AuthFailed())
	w.put("min_latency", int64(least))
	mostFiles, openFiles, filesKnown := descriptors()
	if filesKnown {
		w.put("max_file_descriptor_count", mostFiles)
	}
	w.put("approximate_data_size", counts.DataSizeBytes)
	if filesKnown {
		w.put("open_file_descriptor_count", openFiles)
	}
	nowMs := m.now().MonoMs
	if leads {
		w.put("last_proposal_size", status.Proposals.Last)
		w.put("pending_syncs", status.PendingSyncs)
		w.put("leader_uptime", nowMs-status.SinceMs)
	}
	w.put("uptime", nowMs)
	w.put("max_latency", int64(math.Ceil(most)))
	if leads {
		w.put("learners", status.Learners)
	}
	w.put("min_client_response_size", leastBytes)
	if m.cfg.Distributed {
		w.put("quorum_size", len(m.cfg.Membership.Voters()))
	}
	w.put("connection_rejected", stats.Rejected())
	w.put("sessionless_connections_expired", stats.Sessionless())
	w.put("digest_mismatches_count", m.replica.Tree().DigestMismatches())
	w.put("bytes_received_count", stats.ReceivedBytes())
	w.put("connection_request_count", stats.Connects())
	w.put("response_bytes", stats.SentBytes())
}

func (m *Member) conf(w io.Writer) {
	snapshots, err := m.storage.DataSizeBytes()
	if err == nil {
		var logs int64
		if logs, err = m.storage.LogSizeBytes(); err == nil {
			io.WriteString(w, m.cfg.ConfText(snapshots, logs))
			return
		}
	}
	fmt.Fprintf(w, "the size of the data can't be read: %v\n", err)
}
