package config

import (
	"slices"

	"zoolab/node/auth"
	"zoolab/node/quorum"
	"zoolab/zk/tlsconf"
)

// Config is a validated configuration. Fields have Apache's meaning and default
// unless their comment says otherwise; the name of the setting stands behind
// each where the field's name does not show it.
type Config struct {
	// File is the path of zoo.cfg; "" for Default.
	File string
	// MyID is this server's id in Membership, -1 < MyID; 0 when the server stands
	// alone, as Apache reports it.
	MyID int64
	// Role is this server's role by its server.N line, Participant when it stands
	// alone.
	Role Role
	// Distributed tells an ensemble's member from a server that stands alone. A
	// single server.N line makes a lone server, unless standaloneEnabled=false.
	Distributed bool
	// Membership has the server.N, group.N and weight.N lines. It is kept for a
	// lone server with one server.N line too, but not used.
	Membership Membership
	// NextMembership was proposed when the server ended, and may or may not have been
	// committed; nil for none.
	NextMembership *Membership
	// Properties has the settings without a field below: known ones whose
	// meaning belongs to one package (authProvider.*, metricsProvider.*),
	// and unknown ones. Keys carry the prefix "zookeeper.".
	Properties map[string]string

	Clients  Clients
	Auth     Auth
	Ensemble Ensemble
	Storage  Storage
	Admin    Admin
	Audit    Audit
	Pause    Pause

	Containers Containers

	TickTimeMs           int
	MinSessionTimeoutMs  int // Invariant: 0 <= Min <= Max
	MaxSessionTimeoutMs  int
	JuteMaxBufferBytes   int // largest request or znode: jute.maxbuffer
	JuteExtraSizeBytes   int // what a txn may be larger: jute.maxbuffer.extrasize
	ExtendedTypesEnabled bool
	ReconfigEnabled      bool
	ReadOnlyModeEnabled  bool     // readonlymode.enabled
	DigestEnabled        bool     // digest.enabled: keep a digest of the tree and compare it with what transactions carry
	EnforceQuota         bool     // enforceQuota
	FourLetterWords      []string // 4lw.commands.whitelist, sorted; ask FourLetterAllowed

	places map[string]place // where each setting was given, for Wrong
}

// Containers says how the leader looks for containers and TTL znodes to delete.
type Containers struct {
	CheckIntervalMs int   // znode.container.checkIntervalMs
	MaxPerMinute    int   // znode.container.maxPerMinute
	MaxNeverUsedMs  int64 // znode.container.maxNeverUsedIntervalMs; 0 for no limit
}

// Clients has what concerns client connections.
type Clients struct {
	// Addr is where plain clients connect; port 0 when no such port is open. An
	// empty host means all addresses.
	Addr HostPort
	// SecureAddr is the same for TLS clients.
	SecureAddr                 HostPort
	ListenBacklog              int // clientPortListenBacklog; -1 for the system's default
	MaxPerAddress              int // maxClientCnxns; <= 0 for no limit
	MaxTotal                   int // maxCnxns; <= 0 for no limit
	GlobalOutstandingLimit     int
	RequestThrottle            RequestThrottle
	ConnectionThrottle         ConnectionThrottle
	LargeRequestThresholdBytes int // largeRequestThreshold: what is longer is large; -1 for no limit on large ones
	LargeRequestMaxBytes       int // largeRequestMaxBytes: all large requests that wait for their outcome
	SessionlessTimeoutMs       int // nio.sessionlessCnxnTimeout: connections without a session
	LocalSessionsEnabled       bool
	LocalSessionsUpgrading     bool
	PortUnification            bool // client.portUnification: TLS and plain on one port
	// TLS is what ssl.* says, for SecureAddr and with PortUnification for Addr.
	TLS tlsconf.Settings
	// MaxHandshakes bounds the TLS handshakes under way; <= 0 for no bound
	// (netty.server.outstandingHandshake.limit).
	MaxHandshakes int
}

// RequestThrottle says how many requests may wait for their outcome, and what becomes of
// those that wait to be let in.
type RequestThrottle struct {
	MaxRequests          int  // request_throttle_max_requests; 0 for no throttle
	StallMs              int  // request_throttle_stall_time: how often one that waits is looked at
	DropStale            bool // request_throttle_drop_stale: a stale one ends its connection
	StaleConnectionCheck bool // request_stale_connection_check: stale once its connection is closed
	StaleLatencyCheck    bool // request_stale_latency_check: stale after its session's timeout
	OpWaitMs             int  // throttled_op_wait_time: one that waited longer is refused; 0 for never
}

// ConnectionThrottle says how many sessions may be asked for in a time: a bucket of tokens,
// and before it, in times of lasting overload, a drawing of lots.
type ConnectionThrottle struct {
	Tokens       int     // connection_throttle_tokens: what the bucket holds; 0 for no throttle
	FillMs       int     // connection_throttle_fill_time: how often tokens come back
	FillCount    int     // connection_throttle_fill_count: how many then
	FreezeMs     int     // connection_throttle_freeze_time between changes of the odds; -1 for no lots
	DropIncrease float64 // connection_throttle_drop_increase of the odds while the bucket is empty
	DropDecrease float64 // connection_throttle_drop_decrease of the odds
	// DecreaseRatio is what part of the tokens may be missing when the odds decrease
	// (connection_throttle_decrease_ratio).
	DecreaseRatio float64
	Weighted      bool // connection_throttle_weight_enabled: sessions cost their weight, not one token
	GlobalWeight  int  // connection_throttle_global_session_weight
	LocalWeight   int  // connection_throttle_local_session_weight
	RenewWeight   int  // connection_throttle_renew_session_weight
}

// Ensemble has what concerns the other members.
type Ensemble struct {
	InitLimitTicks                int
	SyncLimitTicks                int
	ConnectToLearnerMasterTicks   int // connectToLearnerMasterLimit; initLimit where not set
	StandaloneEnabled             bool
	LeaderServes                  bool // leaderServes: the leader takes clients
	MaxConcurrentDiffSyncs        int  // leader.maxConcurrentDiffSyncs
	MaxConcurrentSnapSyncs        int  // leader.maxConcurrentSnapSyncs
	ObserverMasterPort            int  // observerMasterPort; 0 for none
	ListenOnAllIPs                bool // quorumListenOnAllIPs
	CnxTimeoutMs                  int  // cnxTimeout: opening an election connection
	QuorumCnxnTimeoutMs           int  // quorumCnxnTimeoutMs; -1 for syncLimit ticks
	ElectionPortBindRetries       int  // electionPortBindRetry; 0 for no end
	MinNotificationMs             int  // fastleader.minNotificationInterval
	MaxNotificationMs             int  // fastleader.maxNotificationInterval
	MaxTimeToWaitForEpochMs       int  // leader.maxTimeToWaitForEpoch; -1 for initLimit ticks
	MultiAddressEnabled           bool // multiAddress.enabled: several addresses a server
	MultiAddressReachabilityCheck bool // multiAddress.reachabilityCheckEnabled
	MultiAddressReachabilityMs    int  // multiAddress.reachabilityCheckTimeoutMs
	SSLQuorum                     bool // sslQuorum: TLS between members
	PortUnification               bool // portUnification: TLS and plain between members

	SASL QuorumSASL
	// TLS is what ssl.quorum.* says. Changed stores are read again unless
	// sslQuorumReloadCertFiles=false, which is Apache's default.
	TLS tlsconf.Settings
}

// Storage has what concerns the disk.
type Storage struct {
	DataDir              string  // snapshots, epochs, myid; version-2 is below it
	DataLogDir           string  // txn logs; the same as DataDir where not set
	SnapCount            int     // Invariant: >= 2
	CommitLogCount       int     // committed proposals kept in memory; Invariant: >= 500
	SnapshotSizeFactor   float64 // 0: learners get any amount of log; negative: snapshots only
	PreAllocSizeBytes    int64   // preAllocSize, which is in KiB in zoo.cfg
	SnapSizeLimitBytes   int64   // snapSizeLimitInKb; <= 0 for no limit
	TxnLogSizeLimitBytes int64   // txnLogSizeLimitInKb; <= 0 for no limit
	SnapRetainCount      int     // autopurge.snapRetainCount; Invariant: >= 3
	PurgeIntervalHours   int     // autopurge.purgeInterval; <= 0 for never
	ForceSync            bool
	FsyncWarningMs       int64  // fsync.warningthresholdms
	SnapshotTrustEmpty   bool   // snapshot.trust.empty
	SnapshotCompression  string // snapshot.compression.method: "" for none, gz, snappy
	MaxBatchSize         int    // maxBatchSize: txns a group commit
	FlushDelayMs         int64  // flushDelay; 0 for none
	MaxWriteQueuePollMs  int64  // maxWriteQueuePollTime; -1 for a third of flushDelay
	DataDirAutoCreate    bool   // datadir.autocreate
	DatabaseAutoCreate   bool   // db.autocreate: an empty data directory may vote
}

// Admin has what concerns the HTTP commands and the metrics exporter.
type Admin struct {
	Enabled         bool   // admin.enableServer
	Addr            string // admin.serverAddress
	Port            int    // admin.serverPort
	IdleTimeoutMs   int    // admin.idleTimeout
	CommandURL      string // admin.commandURL
	HTTPS           bool   // admin.forceHttps
	PortUnification bool   // admin.portUnification: TLS and plain on one port
	NeedClientAuth  bool   // admin.needClientAuth: TLS clients must show a certificate
	SnapshotEnabled bool   // admin.snapshot.enabled
	RestoreEnabled  bool   // admin.restore.enabled
	// RateLimiterIntervalMs is how long the guarded commands must wait for each other
	// (admin.rateLimiterIntervalInMS).
	RateLimiterIntervalMs int
	MetricsHost           string // metricsProvider.httpHost
	MetricsPort           int    // metricsProvider.httpPort
	MetricsJVMInfo        bool   // metricsProvider.exportJvmInfo
	PrometheusExporter    bool   // the class name (metricsProvider.className) is that of Apache's Prometheus exporter
}

// Audit has what concerns the audit log.
type Audit struct {
	Enabled bool // audit.enable
	// File takes the events, a line for each; "" for the server's own log (audit.file, a
	// setting of this server's: Apache's stands in the configuration of its logs).
	File string
}

// Pause has what concerns the monitor of pauses (jvm.pause.*).
type Pause struct {
	Monitor bool // jvm.pause.monitor; on by default, for it costs nothing here
	SleepMs int  // jvm.pause.sleep.time.ms; Invariant: > 0
	WarnMs  int  // jvm.pause.warn-threshold.ms
	InfoMs  int  // jvm.pause.info-threshold.ms
}

// Default is the configuration of a lone server without a zoo.cfg: data in
// dataDir, clients on port 2181 of all addresses.
func Default(dataDir string) *Config {
	c := defaults()
	c.Storage.DataDir = dataDir
	c.Storage.DataLogDir = dataDir
	c.Clients.Addr = HostPort{Port: 2181}
	c.deriveTimeouts()
	return c
}

// defaults is what zoo.cfg starts from. Session timeouts of -1 stand for "not
// set" until deriveTimeouts.
func defaults() *Config {
	return &Config{
		Properties: make(map[string]string),
		Clients: Clients{
			ListenBacklog: -1, MaxPerAddress: 60, GlobalOutstandingLimit: 1000,
			RequestThrottle: RequestThrottle{StallMs: 100, DropStale: true, StaleConnectionCheck: true},
			ConnectionThrottle: ConnectionThrottle{
				FillMs: 1, FillCount: 1, FreezeMs: -1, DropIncrease: 0.02, DropDecrease: 0.002,
				GlobalWeight: 3, LocalWeight: 1, RenewWeight: 2,
			},
			LargeRequestThresholdBytes: -1, LargeRequestMaxBytes: 100 << 20,
			SessionlessTimeoutMs: 10_000, MaxHandshakes: 1000,
			TLS: tlsconf.Settings{Prefix: clientTLSPrefix},
		},
		Auth: Auth{DigestEnabled: true, DigestAlgorithm: auth.DefaultDigest, JAASSection: "Server"},
		Ensemble: Ensemble{
			StandaloneEnabled: true, LeaderServes: true,
			MaxConcurrentSnapSyncs: 10, MaxConcurrentDiffSyncs: 100,
			CnxTimeoutMs: 5000, QuorumCnxnTimeoutMs: -1,
			ElectionPortBindRetries: 3, MinNotificationMs: 200, MaxNotificationMs: 60_000,
			MaxTimeToWaitForEpochMs: -1, MultiAddressReachabilityCheck: true,
			MultiAddressReachabilityMs: 1000, TLS: quorumTLSDefaults(),
			SASL: QuorumSASL{ServerSection: "QuorumServer", LearnerSection: "QuorumLearner"},
		},
		Storage: Storage{
			SnapCount: 100_000, CommitLogCount: minCommitLogCount, SnapshotSizeFactor: 0.33,
			PreAllocSizeBytes: 65536 << 10, SnapSizeLimitBytes: 4194304 << 10,
			TxnLogSizeLimitBytes: -1 << 10, SnapRetainCount: minSnapRetainCount,
			ForceSync: true, FsyncWarningMs: 1000, MaxBatchSize: 1000,
			MaxWriteQueuePollMs: -1, DataDirAutoCreate: true, DatabaseAutoCreate: true,
		},
		Admin: Admin{
			Enabled: true, Addr: "0.0.0.0", Port: 8080, IdleTimeoutMs: 30_000,
			CommandURL: "/commands", SnapshotEnabled: true, RestoreEnabled: true,
			RateLimiterIntervalMs: 300_000, MetricsHost: "0.0.0.0", MetricsPort: 7000,
			MetricsJVMInfo: true,
		},
		Containers: Containers{CheckIntervalMs: 60_000, MaxPerMinute: 10_000},
		Pause:      Pause{Monitor: true, SleepMs: 500, WarnMs: 10_000, InfoMs: 1000},
		TickTimeMs: 3000, MinSessionTimeoutMs: -1, MaxSessionTimeoutMs: -1,
		JuteMaxBufferBytes: 0xfffff, JuteExtraSizeBytes: -1, DigestEnabled: true,
		FourLetterWords: []string{"srvr"},
	}
}

// FourLetterAllowed reports whether word may be answered. srvr always may.
func (c *Config) FourLetterAllowed(word string) bool {
	_, found := slices.BinarySearch(c.FourLetterWords, word)
	if !found {
		_, found = slices.BinarySearch(c.FourLetterWords, "*")
	}
	return found
}

// Verifier is the quorum rule of the membership, or of a server that stands
// alone. Load has made sure that there is one.
func (c *Config) Verifier() quorum.Verifier {
	if !c.Distributed {
		alone, err := quorum.NewMajority([]int64{c.MyID}, 0)
		if err != nil {
			panic("config: no quorum rule for one server: " + err.Error())
		}
		return alone
	}
	verifier, err := c.Membership.Verifier()
	if err != nil {
		panic("config: a membership that was not validated: " + err.Error())
	}
	return verifier
}

// MembershipText is the configuration as it goes into NEWLEADER packets,
// election notifications and the znode /zookeeper/config.
func (c *Config) MembershipText() string { return c.Membership.Text() }
