package config

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"zoolab/zk/tlsconf"
)

// draft is a Config in the making: settings that mean something only together
// with others wait here for the cross checks.
type draft struct {
	Config
	clientPort              int
	secureClientPort        int
	clientPortAddress       string
	secureClientPortAddress string
	peerType                Role
	dynamicConfigFile       string
	metricsClassName        string
	observerSync            bool
	auth                    authDraft
}

// setting is one key with a field of its own.
type setting struct {
	key     string
	aliases []string // names in Apache's guide that differ from the property
	set     setter
}

// settings are all keys with a field, without the prefix "zookeeper.".
var settings = slices.Concat(clientSettings, throttleSettings, authSettings, ensembleSettings, quorumSecuritySettings, storageSettings, adminSettings,
	tlsSettings(clientTLSPrefix, func(d *draft) *tlsconf.Settings { return &d.Clients.TLS }),
	tlsSettings(quorumTLSPrefix, func(d *draft) *tlsconf.Settings { return &d.Ensemble.TLS }))

var clientSettings = []setting{
	{key: "clientPort", set: integer(func(d *draft) *int { return &d.clientPort }, portRange, "2181")},
	{key: "clientPortAddress", set: text(func(d *draft) *string { return &d.clientPortAddress })},
	{key: "secureClientPort", set: integer(func(d *draft) *int { return &d.secureClientPort }, portRange, "2281")},
	{key: "secureClientPortAddress", set: text(func(d *draft) *string { return &d.secureClientPortAddress })},
	{key: "clientPortListenBacklog", set: integer(func(d *draft) *int { return &d.Clients.ListenBacklog }, orUnset, "50")},
	{key: "maxClientCnxns", set: integer(func(d *draft) *int { return &d.Clients.MaxPerAddress }, anyInt, "60")},
	{key: "maxCnxns", set: propertyInteger(func(d *draft) *int { return &d.Clients.MaxTotal }, anyInt, "0")},
	{key: "minSessionTimeout", set: integer(func(d *draft) *int { return &d.MinSessionTimeoutMs }, orUnset, "4000 (milliseconds)")},
	{key: "maxSessionTimeout", set: integer(func(d *draft) *int { return &d.MaxSessionTimeoutMs }, orUnset, "40000 (milliseconds)")},
	{key: "localSessionsEnabled", set: boolean(func(d *draft) *bool { return &d.Clients.LocalSessionsEnabled })},
	{key: "localSessionsUpgradingEnabled", set: boolean(func(d *draft) *bool { return &d.Clients.LocalSessionsUpgrading })},
	{key: "globalOutstandingLimit", set: propertyInteger(func(d *draft) *int { return &d.Clients.GlobalOutstandingLimit }, notNegative, "1000")},
	{key: "nio.sessionlessCnxnTimeout", set: propertyInteger(func(d *draft) *int { return &d.Clients.SessionlessTimeoutMs }, positive, "10000 (milliseconds)")},
	{key: "client.portUnification", set: boolean(func(d *draft) *bool { return &d.Clients.PortUnification })},
	{key: "client.certReload", set: setCertReload},
	{key: "netty.server.outstandingHandshake.limit", aliases: []string{"outstandingHandshake.limit"},
		set: propertyInteger(func(d *draft) *int { return &d.Clients.MaxHandshakes }, anyInt, "1000")},
	{key: "jute.maxbuffer", set: propertyInteger(func(d *draft) *int { return &d.JuteMaxBufferBytes }, positive, "0xfffff (bytes)")},
	{key: "jute.maxbuffer.extrasize", set: propertyInteger(func(d *draft) *int { return &d.JuteExtraSizeBytes }, notNegative, "0xfffff (bytes)")},
	{key: "znode.container.checkIntervalMs", set: propertyInteger(func(d *draft) *int { return &d.Containers.CheckIntervalMs }, positive, "60000 (milliseconds)")},
	{key: "znode.container.maxPerMinute", set: propertyInteger(func(d *draft) *int { return &d.Containers.MaxPerMinute }, positive, "10000")},
	{key: "znode.container.maxNeverUsedIntervalMs", set: scaledLong(func(d *draft) *int64 { return &d.Containers.MaxNeverUsedMs }, 1, span{0, math.MaxInt64}, "0 (milliseconds; 0 for no limit)")},
	{key: "extendedTypesEnabled", set: boolean(func(d *draft) *bool { return &d.ExtendedTypesEnabled })},
	{key: "readonlymode.enabled", set: boolean(func(d *draft) *bool { return &d.ReadOnlyModeEnabled })},
	{key: "digest.enabled", set: boolean(func(d *draft) *bool { return &d.DigestEnabled })},
	{key: "enforceQuota", set: boolean(func(d *draft) *bool { return &d.EnforceQuota })},
	{key: "4lw.commands.whitelist", set: setFourLetterWords},
}

// throttleSettings have, as aliases, the names under which Apache's guide lists them.
var throttleSettings = []setting{
	{key: "request_throttle_max_requests", aliases: []string{"requestThrottleLimit"},
		set: propertyInteger(func(d *draft) *int { return &d.Clients.RequestThrottle.MaxRequests }, notNegative, "0")},
	{key: "request_throttle_stall_time", aliases: []string{"requestThrottleStallTime"},
		set: propertyInteger(func(d *draft) *int { return &d.Clients.RequestThrottle.StallMs }, positive, "100 (milliseconds)")},
	{key: "request_throttle_drop_stale", aliases: []string{"requestThrottleDropStale"},
		set: boolean(func(d *draft) *bool { return &d.Clients.RequestThrottle.DropStale })},
	{key: "request_stale_connection_check", aliases: []string{"requestStaleConnectionCheck"},
		set: boolean(func(d *draft) *bool { return &d.Clients.RequestThrottle.StaleConnectionCheck })},
	{key: "request_stale_latency_check", aliases: []string{"requestStaleLatencyCheck"},
		set: boolean(func(d *draft) *bool { return &d.Clients.RequestThrottle.StaleLatencyCheck })},
	{key: "throttled_op_wait_time", aliases: []string{"throttledOpWaitTime"},
		set: propertyInteger(func(d *draft) *int { return &d.Clients.RequestThrottle.OpWaitMs }, notNegative, "0 (milliseconds)")},
	{key: "connection_throttle_tokens", aliases: []string{"connectionMaxTokens"},
		set: propertyInteger(func(d *draft) *int { return &d.Clients.ConnectionThrottle.Tokens }, notNegative, "0")},
	{key: "connection_throttle_fill_time", aliases: []string{"connectionTokenFillTime"},
		set: propertyInteger(func(d *draft) *int { return &d.Clients.ConnectionThrottle.FillMs }, positive, "1 (millisecond)")},
	{key: "connection_throttle_fill_count", aliases: []string{"connectionTokenFillCount"},
		set: propertyInteger(func(d *draft) *int { return &d.Clients.ConnectionThrottle.FillCount }, positive, "1")},
	{key: "connection_throttle_freeze_time", aliases: []string{"connectionFreezeTime"},
		set: propertyInteger(func(d *draft) *int { return &d.Clients.ConnectionThrottle.FreezeMs }, orUnset, "-1")},
	{key: "connection_throttle_drop_increase", aliases: []string{"connectionDropIncrease"},
		set: share(func(d *draft) *float64 { return &d.Clients.ConnectionThrottle.DropIncrease }, "0.02")},
	{key: "connection_throttle_drop_decrease", aliases: []string{"connectionDropDecrease"},
		set: share(func(d *draft) *float64 { return &d.Clients.ConnectionThrottle.DropDecrease }, "0.002")},
	{key: "connection_throttle_decrease_ratio", aliases: []string{"connectionDecreaseRatio"},
		set: share(func(d *draft) *float64 { return &d.Clients.ConnectionThrottle.DecreaseRatio }, "0")},
	{key: "connection_throttle_weight_enabled",
		set: boolean(func(d *draft) *bool { return &d.Clients.ConnectionThrottle.Weighted })},
	{key: "connection_throttle_global_session_weight",
		set: propertyInteger(func(d *draft) *int { return &d.Clients.ConnectionThrottle.GlobalWeight }, positive, "3")},
	{key: "connection_throttle_local_session_weight",
		set: propertyInteger(func(d *draft) *int { return &d.Clients.ConnectionThrottle.LocalWeight }, positive, "1")},
	{key: "connection_throttle_renew_session_weight",
		set: propertyInteger(func(d *draft) *int { return &d.Clients.ConnectionThrottle.RenewWeight }, positive, "2")},
	{key: "largeRequestThreshold",
		set: propertyInteger(func(d *draft) *int { return &d.Clients.LargeRequestThresholdBytes }, orUnset, "-1")},
	{key: "largeRequestMaxBytes",
		set: propertyInteger(func(d *draft) *int { return &d.Clients.LargeRequestMaxBytes }, positive, "104857600")},
}

var ensembleSettings = []setting{
	{key: "tickTime", set: integer(func(d *draft) *int { return &d.TickTimeMs }, positive, "2000 (milliseconds)")},
	{key: "initLimit", set: integer(func(d *draft) *int { return &d.Ensemble.InitLimitTicks }, notNegative, "10 (ticks)")},
	{key: "syncLimit", set: integer(func(d *draft) *int { return &d.Ensemble.SyncLimitTicks }, notNegative, "5 (ticks)")},
	{key: "connectToLearnerMasterLimit", set: integer(func(d *draft) *int { return &d.Ensemble.ConnectToLearnerMasterTicks }, notNegative, "10 (ticks)")},
	{key: "electionAlg", set: setElectionAlg},
	{key: "peerType", set: setPeerType},
	{key: "standaloneEnabled", set: boolean(func(d *draft) *bool { return &d.Ensemble.StandaloneEnabled })},
	{key: "reconfigEnabled", set: boolean(func(d *draft) *bool { return &d.ReconfigEnabled })},
	{key: "dynamicConfigFile", set: text(func(d *draft) *string { return &d.dynamicConfigFile })},
	{key: "quorumListenOnAllIPs", set: boolean(func(d *draft) *bool { return &d.Ensemble.ListenOnAllIPs })},
	{key: "leaderServes", set: yesNo(func(d *draft) *bool { return &d.Ensemble.LeaderServes })},
	{key: "syncEnabled", aliases: []string{"observer.syncEnabled"},
		set: boolean(func(d *draft) *bool { return &d.observerSync })},
	{key: "observerMasterPort", set: integer(func(d *draft) *int { return &d.Ensemble.ObserverMasterPort }, portRange, "2191")},
	{key: "cnxTimeout", set: integer(func(d *draft) *int { return &d.Ensemble.CnxTimeoutMs }, positive, "5000 (milliseconds)")},
	{key: "quorumCnxnTimeoutMs", set: propertyInteger(func(d *draft) *int { return &d.Ensemble.QuorumCnxnTimeoutMs }, orUnset, "-1")},
	{key: "electionPortBindRetry", set: propertyInteger(func(d *draft) *int { return &d.Ensemble.ElectionPortBindRetries }, notNegative, "3")},
	{key: "fastleader.minNotificationInterval", set: propertyInteger(func(d *draft) *int { return &d.Ensemble.MinNotificationMs }, positive, "200 (milliseconds)")},
	{key: "fastleader.maxNotificationInterval", set: propertyInteger(func(d *draft) *int { return &d.Ensemble.MaxNotificationMs }, positive, "60000 (milliseconds)")},
	{key: "leader.maxTimeToWaitForEpoch", aliases: []string{"maxTimeToWaitForEpoch"},
		set: propertyInteger(func(d *draft) *int { return &d.Ensemble.MaxTimeToWaitForEpochMs }, orUnset, "-1")},
	{key: "leader.maxConcurrentSnapSyncs", aliases: []string{"maxConcurrentSnapSyncs"},
		set: propertyInteger(func(d *draft) *int { return &d.Ensemble.MaxConcurrentSnapSyncs }, positive, "10")},
	{key: "leader.maxConcurrentDiffSyncs", aliases: []string{"maxConcurrentDiffSyncs"},
		set: propertyInteger(func(d *draft) *int { return &d.Ensemble.MaxConcurrentDiffSyncs }, positive, "100")},
	{key: "multiAddress.enabled", set: boolean(func(d *draft) *bool { return &d.Ensemble.MultiAddressEnabled })},
	{key: "multiAddress.reachabilityCheckEnabled", set: boolean(func(d *draft) *bool { return &d.Ensemble.MultiAddressReachabilityCheck })},
	{key: "multiAddress.reachabilityCheckTimeoutMs", set: integer(func(d *draft) *int { return &d.Ensemble.MultiAddressReachabilityMs }, positive, "1000 (milliseconds)")},
}

var storageSettings = []setting{
	{key: "dataDir", set: directory(func(d *draft) *string { return &d.Storage.DataDir })},
	{key: "dataLogDir", set: directory(func(d *draft) *string { return &d.Storage.DataLogDir })},
	{key: "snapCount", set: propertyInteger(func(d *draft) *int { return &d.Storage.SnapCount }, anyInt, "100000 (transactions)")},
	{key: "commitLogCount", set: integer(func(d *draft) *int { return &d.Storage.CommitLogCount }, anyInt, "500 (transactions)")},
	{key: "snapshotSizeFactor", set: ratio(func(d *draft) *float64 { return &d.Storage.SnapshotSizeFactor }, "0.33")},
	{key: "preAllocSize", set: scaledLong(func(d *draft) *int64 { return &d.Storage.PreAllocSizeBytes }, 1<<10, span{0, math.MaxInt64}, "65536 (kilobytes)")},
	{key: "snapSizeLimitInKb", set: scaledLong(func(d *draft) *int64 { return &d.Storage.SnapSizeLimitBytes }, 1<<10, anyLong, "4194304 (kilobytes)")},
	{key: "txnLogSizeLimitInKb", set: scaledLong(func(d *draft) *int64 { return &d.Storage.TxnLogSizeLimitBytes }, 1<<10, anyLong, "131072 (kilobytes)")},
	{key: "autopurge.snapRetainCount", set: integer(func(d *draft) *int { return &d.Storage.SnapRetainCount }, anyInt, "3 (snapshots)")},
	{key: "autopurge.purgeInterval", set: integer(func(d *draft) *int { return &d.Storage.PurgeIntervalHours }, anyInt, "24 (hours)")},
	{key: "forceSync", set: yesNo(func(d *draft) *bool { return &d.Storage.ForceSync })},
	{key: "fsync.warningthresholdms", set: scaledLong(func(d *draft) *int64 { return &d.Storage.FsyncWarningMs }, 1, anyLong, "1000 (milliseconds)")},
	{key: "snapshot.trust.empty", set: boolean(func(d *draft) *bool { return &d.Storage.SnapshotTrustEmpty })},
	{key: "snapshot.compression.method", set: setCompression},
	{key: "maxBatchSize", set: propertyInteger(func(d *draft) *int { return &d.Storage.MaxBatchSize }, positive, "1000 (transactions)")},
	{key: "flushDelay", set: scaledLong(func(d *draft) *int64 { return &d.Storage.FlushDelayMs }, 1, span{0, math.MaxInt32}, "0 (milliseconds)")},
	{key: "maxWriteQueuePollTime", set: scaledLong(func(d *draft) *int64 { return &d.Storage.MaxWriteQueuePollMs }, 1, orUnset, "-1")},
	{key: "datadir.autocreate", set: boolean(func(d *draft) *bool { return &d.Storage.DataDirAutoCreate })},
	{key: "db.autocreate", set: boolean(func(d *draft) *bool { return &d.Storage.DatabaseAutoCreate })},
}

var adminSettings = []setting{
	{key: "admin.enableServer", set: boolean(func(d *draft) *bool { return &d.Admin.Enabled })},
	{key: "admin.serverAddress", set: text(func(d *draft) *string { return &d.Admin.Addr })},
	{key: "admin.serverPort", set: propertyInteger(func(d *draft) *int { return &d.Admin.Port }, portRange, "8080")},
	{key: "admin.idleTimeout", set: propertyInteger(func(d *draft) *int { return &d.Admin.IdleTimeoutMs }, notNegative, "30000 (milliseconds)")},
	{key: "audit.enable", set: boolean(func(d *draft) *bool { return &d.Audit.Enabled })},
	{key: "audit.file", set: text(func(d *draft) *string { return &d.Audit.File })},
	{key: "jvm.pause.monitor", set: boolean(func(d *draft) *bool { return &d.Pause.Monitor })},
	{key: "jvm.pause.sleep.time.ms", set: propertyInteger(func(d *draft) *int { return &d.Pause.SleepMs }, positive, "500 (milliseconds)")},
	{key: "jvm.pause.warn-threshold.ms", set: propertyInteger(func(d *draft) *int { return &d.Pause.WarnMs }, notNegative, "10000 (milliseconds)")},
	{key: "jvm.pause.info-threshold.ms", set: propertyInteger(func(d *draft) *int { return &d.Pause.InfoMs }, notNegative, "1000 (milliseconds)")},
	{key: "admin.commandURL", set: text(func(d *draft) *string { return &d.Admin.CommandURL })},
	{key: "admin.forceHttps", set: boolean(func(d *draft) *bool { return &d.Admin.HTTPS })},
	{key: "admin.portUnification", set: boolean(func(d *draft) *bool { return &d.Admin.PortUnification })},
	{key: "admin.needClientAuth", set: boolean(func(d *draft) *bool { return &d.Admin.NeedClientAuth })},
	{key: "admin.snapshot.enabled", set: boolean(func(d *draft) *bool { return &d.Admin.SnapshotEnabled })},
	{key: "admin.restore.enabled", set: boolean(func(d *draft) *bool { return &d.Admin.RestoreEnabled })},
	{key: "admin.rateLimiterIntervalInMS", set: propertyInteger(func(d *draft) *int { return &d.Admin.RateLimiterIntervalMs }, notNegative, "300000 (milliseconds)")},
	{key: "metricsProvider.className", set: text(func(d *draft) *string { return &d.metricsClassName })},
	{key: "metricsProvider.httpHost", set: text(func(d *draft) *string { return &d.Admin.MetricsHost })},
	{key: "metricsProvider.httpPort", set: integer(func(d *draft) *int { return &d.Admin.MetricsPort }, portRange, "7000")},
	{key: "metricsProvider.exportJvmInfo", set: boolean(func(d *draft) *bool { return &d.Admin.MetricsJVMInfo })},
}

// settingsByName finds a setting by its key or an alias.
var settingsByName = func() map[string]*setting {
	byName := make(map[string]*setting)
	for i := range settings {
		byName[settings[i].key] = &settings[i]
		for _, alias := range settings[i].aliases {
			byName[alias] = &settings[i]
		}
	}
	return byName
}()

// numberedPrefixes begin keys that are kept in Properties, since what follows is a number or
// a name that the operator chose; see parser.numbered.
var numberedPrefixes = []string{"authProvider.", "superUser."}

// idle are keys of Apache's that mean nothing here. They are in use, so they get a warning
// that says so instead of "unknown". docs/operations.md lists them.
var idle = map[string][]string{
	"it tunes an implementation that works differently": {
		"admin.httpVersion", "advancedFlowControlEnabled", "bitHashCacheSize", "closeSessionTxn.enabled",
		"commitProcessor.maxCommitBatchSize", "commitProcessor.maxReadBatchSize",
		"commitProcessor.numWorkerThreads", "commitProcessor.shutdownTimeout",
		"emulate353TTLNodes", "enableEagerACLCheck",
		"follower.skipLearnerRequestToNextProcessor", "forceSnapshotSync", "forward_learner_requests_to_commit_processor_disabled",
		"intBufferStartingSizeBytes",
		"leader.ackLoggingFrequency", "leader.closeSocketAsync", "leaderConnectDelayDuringRetryMs",
		"learner.asyncSending", "learner.closeSocketAsync", "maxGetChildrenResponseCacheSize",
		"maxInProcessingDeadWatchers", "maxResponseCacheSize", "messageTracker.BufferSize", "messageTracker.Enabled",
		"metricsProvider.maxQueueSize", "metricsProvider.numWorkerThreads", "metricsProvider.workerShutdownTimeoutMs",
		"netty.advancedFlowControl.enabled", "netty.server.earlyDropSecureConnectionHandshakes",
		"nio.directBufferBytes", "nio.numSelectorThreads", "nio.numWorkerThreads", "nio.shutdownTimeout",
		"observer.election.DelayMs", "observer.reconnectDelayMs", "observerMaster.sizeLimit",
		"quorum.cnxn.threads.size", "request_throttler.shutdownTimeout",
		"serverCnxnFactory", "ssl.quorum.sslProvider", "ssl.sslProvider",
		"watchManagerName", "watcherCleanIntervalInSeconds", "watcherCleanThreadsNum", "watcherCleanThreshold",
	},
	"this server has no Kerberos": {
		"kerberos.canonicalizeHostNames", "kerberos.removeHostFromPrincipal", "kerberos.removeRealmFromPrincipal",
		"quorum.auth.kerberos.servicePrincipal", "requireKerberosConfig", "security.auth_to_local", "server.principal", "server.realm",
	},
	"it is a client's": {
		"client.secure", "clientCnxnSocket", "disableAutoWatchReset", "request.timeout",
		"sasl.client", "sasl.client.canonicalize.hostname", "sasl.client.username", "sasl.clientconfig",
	},
	"keep-alive packets of TCP are always sent": {"clientTcpKeepAlive", "tcpKeepAlive"},
	"this server does not count paths": {
		"pathStats.delay", "pathStats.enabled", "pathStats.initialDelay", "pathStats.maxDepth", "pathStats.sampleRate",
		"pathStats.slotCapacity", "pathStats.slotDuration", "pathStats.topPathMax",
	},
	"it names a Java class; audit.file says where the events go":  {"audit.impl.class"},
	"quorums are decided without an oracle, by the members alone": {"oraclePath"},
}

// electionAlg is the only algorithm that is left in Apache's servers and here.
const electionAlg = "3"

// propertyPrefix begins Apache's Java system properties.
const propertyPrefix = "zookeeper."

// canonicalKey drops the prefix of a property and resolves aliases; spec is nil
// for a key without a field. Keys of members stand without the prefix:
// "zookeeper.server.realm" is not about a server of that name.
func canonicalKey(key string) (canonical string, spec *setting) {
	bare := strings.TrimPrefix(key, propertyPrefix)
	if bare != key && isMembershipKey(bare) {
		return key, nil
	}
	if spec := settingsByName[bare]; spec != nil {
		return spec.key, spec
	}
	return bare, nil
}

// unknownKey says what to tell about a key without a field; "" for nothing.
func unknownKey(bare string) string {
	if bare == "" {
		return "the line has no key and no effect"
	}
	if bare == "superUser" {
		return "" // of the users of SASL
	}
	bare = strings.TrimPrefix(bare, propertyPrefix)
	for _, prefix := range numberedPrefixes {
		if strings.HasPrefix(bare, prefix) {
			return ""
		}
	}
	for why, keys := range idle {
		if slices.Contains(keys, bare) {
			return "has no effect here: " + why
		}
	}
	if near := nearestKey(bare); near != "" {
		return "is not a known setting and has no effect; did you mean " + near + "?"
	}
	return "is not a known setting and has no effect"
}

// nearestKey returns the setting that a misspelt key most likely meant, or "".
func nearestKey(key string) string {
	best, bestDistance := "", 3
	for _, candidate := range settings {
		distance := editDistance(strings.ToLower(key), strings.ToLower(candidate.key))
		if distance < bestDistance && distance < len(candidate.key)/3 {
			best, bestDistance = candidate.key, distance
		}
	}
	return best
}

// editDistance is Levenshtein's; it gives up with a large number on texts that
// differ much in length.
func editDistance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return math.MaxInt
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitution := diagonal
			if a[i] != b[j] {
				substitution++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitution, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// directory is a setting that names a directory.
func directory(field func(d *draft) *string) setter {
	return func(d *draft, key, value string) *fault {
		if value == "" || strings.ContainsRune(value, 0) {
			return faultf("write for example "+key+"=/var/lib/zookeeper", "%q is not a path", value)
		}
		*field(d) = value
		return nil
	}
}

func setElectionAlg(_ *draft, key, value string) *fault {
	if n, f := parseNumber(key, value, 10, 32, anyInt, electionAlg); f != nil || strconv.FormatInt(n, 10) != electionAlg {
		return faultf("write "+key+"="+electionAlg+", or leave the line out",
			"%q is not supported: "+electionAlg+" is the only election algorithm", value)
	}
	return nil
}

func setPeerType(d *draft, key, value string) *fault {
	role, err := parseRole(value)
	if err != nil {
		return faultf("write "+key+"=participant or "+key+"=observer", "%v", err)
	}
	d.peerType = role
	return nil
}

func setCompression(d *draft, key, value string) *fault {
	value = strings.ToLower(value)
	if value != "" && value != "gz" && value != "snappy" {
		return faultf("write "+key+"=gz, "+key+"=snappy, or leave the line out", "%q is not a compression method", value)
	}
	d.Storage.SnapshotCompression = value
	return nil
}

func setFourLetterWords(d *draft, _, value string) *fault {
	words := []string{"srvr"}
	for _, word := range strings.Split(value, ",") {
		if word = trimJava(word); word != "" {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	d.FourLetterWords = slices.Compact(words)
	return nil
}
