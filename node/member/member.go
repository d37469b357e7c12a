// Package member runs one member of an ensemble, or a standalone server, in a process:
// the shell around the pure replica.
//
// One goroutine, the event loop, steps the replica and hands its effects out: messages
// to the peer transport, answers to the client transport, disk effects to the disk
// goroutine, which carries them out in order and reports back through the same inbox
// by which everything else reaches the loop.
//
// A member that can't write its log stops as a whole: Run returns the error and the
// process must end. A failed assertion ends the process on the spot, whatever goroutine
// it was in. Nothing is acknowledged by a member that is half alive.
package member

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"zoolab/node/admin"
	"zoolab/node/audit"
	"zoolab/node/config"
	"zoolab/node/metrics"
	"zoolab/node/peer"
	"zoolab/node/prep"
	"zoolab/node/quorum"
	"zoolab/node/replica"
	"zoolab/node/server"
	"zoolab/node/storage"
	"zoolab/node/tree"
	"zoolab/node/vfs"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// Member is a running server.
type Member struct {
	cfg     *config.Config
	log     *slog.Logger
	started time.Time

	unlock  func() // lets other servers use the data directories
	storage *storage.Storage
	replica *replica.Replica
	peers   *peer.Transport // nil standalone
	tls     *server.TLS     // nil where no client port is encrypted
	// peerSecurity protects the connections between members.
	peerSecurity peer.Security
	// hosts are those of the members, whose certificates are trusted from any address.
	hosts   atomic.Pointer[[]string]
	clients *server.Server
	metrics *metrics.Metrics
	admin   *admin.View
	// httpPorts are the AdminServer's port and that of the metrics, as far as they are open.
	httpPorts []*admin.Server
	files     *diskView
	// auditLog is nil where nothing is audited; auditUser is who the server runs as.
	auditLog  *audit.Log
	auditUser string
	// clientAddr is where the membership puts the client port. Owned by the event loop.
	clientAddr config.HostPort
	// membershipFiles belong to the disk goroutine.
	membershipFiles *config.MembershipFiles

	inbox inbox
	disk  disk
	// restoring is held while a snapshot from an operator comes in.
	restoring sync.Mutex
	// digestDiffers is set once that was logged. Owned by the event loop.
	digestDiffers bool
	quotaWarnings quotaWarnings
	mismatches    int64 // of digests, as far as they were counted
	roles         roles

	failOnce sync.Once
	failure  error
	failed   chan struct{} // closed when failure is set
}

// Open locks and restores the data and binds the ports. Nothing is served before Run.
func Open(cfg *config.Config, log *slog.Logger) (*Member, error) {
	return open(cfg, log, seams{fs: vfs.OS{}})
}

// seams are what tests replace.
type seams struct {
	fs          vfs.FS
	lastCounter int64 // zab.Config's LastCounter
}

func open(cfg *config.Config, log *slog.Logger, seams seams) (_ *Member, err error) {
	m := &Member{
		cfg: cfg, log: log, started: time.Now(), failed: make(chan struct{}),
		metrics: metrics.New(runtime.GOMAXPROCS(0)),
	}
	m.membershipFiles = cfg.MembershipFiles()
	m.clientAddr = cfg.Clients.Addr
	m.inbox.init()
	if m.tls, err = clientTLS(cfg, log); err != nil {
		return nil, err
	}
	if m.peerSecurity, err = m.openPeerSecurity(); err != nil {
		return nil, err
	}
	if err := checkDirs(cfg); err != nil {
		return nil, err
	}
	if m.unlock, err = LockDirs(cfg.Storage.DataDir, cfg.Storage.DataLogDir); err != nil {
		return nil, wrongDirectory(cfg, err)
	}
	defer func() {
		if err != nil {
			m.unlock()
		}
	}()
	if m.storage, err = m.openStorage(seams.fs); err != nil {
		return nil, wrongDirectory(cfg, err)
	}
	defer func() {
		if err != nil {
			m.shutdownTransports()
			_ = m.storage.Close()
		}
	}()
	boot, t, replayed, err := m.restore()
	if err != nil {
		return nil, err
	}
	if err := m.newReplica(boot, t, replayed, seams.lastCounter); err != nil {
		return nil, err
	}
	m.disk.init(m)
	if err := m.listen(); err != nil {
		return nil, err
	}
	if err := m.openAudit(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Member) openStorage(fs vfs.FS) (*storage.Storage, error) {
	cfg := m.cfg
	return storage.Open(storage.Options{
		FS:                   fs,
		DataDir:              cfg.Storage.DataDir,
		DataLogDir:           cfg.Storage.DataLogDir,
		PreAllocSizeBytes:    cfg.Storage.PreAllocSizeBytes,
		TxnLogSizeLimitBytes: cfg.Storage.TxnLogSizeLimitBytes,
		NoForceSync:          !cfg.Storage.ForceSync,
		FsyncWarnMs:          cfg.Storage.FsyncWarningMs,
		TrustEmpty:           cfg.Storage.SnapshotTrustEmpty,
		Compression:          storage.Compression(cfg.Storage.SnapshotCompression),
		Now:                  time.Now,
		Log:                  m.log,
		OnSync:               m.synced,
	})
}

func (m *Member) newReplica(boot zab.Boot, t *tree.Tree, replayed int, lastCounter int64) error {
	var seed [32]byte
	now := time.Now()
	seed[0], seed[1] = byte(m.cfg.MyID), byte(m.cfg.MyID>>8)
	for i := range 8 {
		seed[8+i] = byte(now.UnixNano() >> (8 * i))
	}
	m.log.Info("starting", "sid", m.cfg.MyID, "seed", fmt.Sprintf("%x", seed[:16]), "lastZxid", hex(boot.LastZxid),
		"acceptedEpoch", boot.AcceptedEpoch, "currentEpoch", boot.CurrentEpoch, "znodes", t.Counts().Znodes)
	verifier, err := verifier(m.cfg)
	if err != nil {
		return err
	}
	m.replica = replica.New(replica.Config{
		Zab: zab.Config{
			SID: m.cfg.MyID, Verifier: verifier,
			TickMs:          int64(m.cfg.TickTimeMs),
			InitLimitTicks:  int64(max(1, m.cfg.Ensemble.InitLimitTicks)),
			SyncLimitTicks:  int64(max(1, m.cfg.Ensemble.SyncLimitTicks)),
			ElectionConfig:  []byte(m.cfg.MembershipText()),
			ConfigVersion:   m.cfg.Membership.Version,
			CommitLogCount:  m.cfg.Storage.CommitLogCount,
			FinalizeWaitMs:  finalizeWaitMs,
			MaxSyncLogBytes: maxSyncLogBytes,
			QuorumAddresses: quorumAddresses(&m.cfg.Membership), Reconfig: m.reconfig(),
			ConnectLimitTicks: int64(m.cfg.Ensemble.ConnectToLearnerMasterTicks),
			EpochWaitMs:       epochWaitMs(m.cfg),
			FirstResendMs:     int64(m.cfg.Ensemble.MinNotificationMs),
			MostResendMs:      int64(m.cfg.Ensemble.MaxNotificationMs),
			ObserverMasters:   m.cfg.Ensemble.ObserverMasterPort > 0,
			MaxSnapSyncs:      m.cfg.Ensemble.MaxConcurrentSnapSyncs,
			MaxDiffSyncs:      m.cfg.Ensemble.MaxConcurrentDiffSyncs,
			LastCounter:       lastCounter,
		},
		MinSessionTimeoutMs: int32(m.cfg.MinSessionTimeoutMs),
		MaxSessionTimeoutMs: int32(m.cfg.MaxSessionTimeoutMs),
		SnapCount:           m.cfg.Storage.SnapCount,
		SnapSizeLimitBytes:  m.cfg.Storage.SnapSizeLimitBytes,
		Replayed:            replayed,
		Audit:               m.cfg.Audit.Enabled,
		Prep: prep.Options{
			ExtendedTypes: m.cfg.ExtendedTypesEnabled, ReconfigEnabled: m.cfg.ReconfigEnabled,
			MaxNeverUsedMs: m.cfg.Containers.MaxNeverUsedMs, EnforceQuota: m.cfg.EnforceQuota,
			NoDigest: !m.cfg.DigestEnabled,
		},
		Containers: replica.ContainerConfig{
			CheckIntervalMs: int64(m.cfg.Containers.CheckIntervalMs), MaxPerMinute: int64(m.cfg.Containers.MaxPerMinute),
		},
		ConfigText: m.configText(), ChangeMembership: m.changeMembership,
		ReadOnlyMode:       m.cfg.Distributed && m.cfg.ReadOnlyModeEnabled,
		LocalSessions:      m.cfg.Distributed && m.cfg.Clients.LocalSessionsEnabled,
		UpgradeSessions:    m.cfg.Clients.LocalSessionsUpgrading,
		LeaderServesNobody: m.cfg.Distributed && !m.cfg.Ensemble.LeaderServes,
		Security:           m.security(),
		Rand:               rand.New(rand.NewChaCha8(seed)),
	}, boot, t, m.now())
	return nil
}

// epochWaitMs is zab.Config's; Apache's -1 stands for no limit, 0 for none of patience.
func epochWaitMs(cfg *config.Config) int64 {
	ms := cfg.Ensemble.MaxTimeToWaitForEpochMs
	if ms < 0 {
		return 0
	}
	return int64(max(1, ms))
}

// configText returns what /zookeeper/config shows.
func (m *Member) configText() []byte {
	if !m.cfg.Distributed {
		return nil
	}
	return []byte(m.cfg.MembershipText())
}

const (
	finalizeWaitMs = 200
	// maxSyncLogBytes bounds the memory for the log that a learner is sent, whatever
	// snapshotSizeFactor allows: beyond it, it gets a snapshot.
	maxSyncLogBytes = 128 << 20
)

// verifier returns the quorum rule; a standalone server is a quorum of itself.
func verifier(cfg *config.Config) (quorum.Verifier, error) {
	if cfg.Distributed {
		return cfg.Membership.Verifier()
	}
	return quorum.NewMajority([]int64{cfg.MyID}, 0)
}

func (m *Member) listen() error {
	var err error
	if m.cfg.Distributed {
		if m.peers, err = peer.Listen(m.peerConfig(), peer.Hooks{Post: m.postCore, ReadSnapshot: m.readSnapshot}, m.log); err != nil {
			return err
		}
	}
	m.clients, err = server.Listen(m.clientConfig(), server.Hooks{
		Replica: m.replica, Submit: m.post,
		FourLetterWord: func(word string, rest io.Reader, w io.Writer) bool { return m.admin.Word(word, rest, w) },
	}, m.log)
	if err != nil {
		return wrongAddress(m.cfg, err)
	}
	m.admin = m.newView()
	return m.openPorts()
}

// readSnapshot reads a tree that a leader sends; the replica finishes it.
func (m *Member) readSnapshot(r *bufio.Reader) (any, error) {
	b := m.newBuilder()
	if err := storage.ReadSnapshotStream(r, b, m.cfg.JuteMaxBufferBytes+m.cfg.JuteExtraSizeBytes); err != nil {
		return nil, err
	}
	return b, nil
}

// Addr returns the address of the client port, "" if there is none.
func (m *Member) Addr() string { return addrText(m.clients.Addr()) }

// SecureAddr returns the address of the client port with TLS, "" if there is none.
func (m *Member) SecureAddr() string { return addrText(m.clients.SecureAddr()) }

// Run serves until the context ends, then shuts down cleanly and returns nil, or until
// something fails that a member can't live with.
func (m *Member) Run(ctx context.Context) error {
	diskDone := make(chan struct{})
	go func() {
		defer close(diskDone)
		m.disk.run()
	}()
	background, stopBackground := context.WithCancel(ctx)
	var others sync.WaitGroup
	for _, work := range []func(context.Context){m.autopurge, m.watchPauses, m.rotateMetrics} {
		others.Go(func() { work(background) })
	}
	m.auditServer(audit.ServerStart, audit.Success)
	m.clients.Serve()
	m.loop(ctx)
	stopBackground()
	m.shutdownTransports()
	m.disk.stop()
	<-diskDone
	others.Wait()
	m.auditServer(audit.ServerStop, audit.Invoked)
	m.closeAudit()
	err := m.storage.Close()
	m.unlock()
	select {
	case <-m.failed:
		return m.failure
	default:
		return err
	}
}

// shutdownTransports lets go of the peers first: those who follow this member elect another
// as soon as they hear of it, and need not wait until its clients are gone.
func (m *Member) shutdownTransports() {
	if m.peers != nil {
		m.peers.Shutdown()
	}
	for _, s := range m.httpPorts {
		s.Shutdown()
	}
	if m.clients != nil {
		m.clients.Shutdown()
	}
}

// fail ends the member.
func (m *Member) fail(err error) {
	m.failOnce.Do(func() {
		m.failure = err
		m.metrics.UnrecoverableErrors.Add(1)
		close(m.failed)
	})
}

func (m *Member) now() replica.Now {
	t := time.Now()
	// The monotonic reading of started makes the difference immune to clock changes.
	elapsed := t.Sub(m.started)
	return replica.Now{MonoMs: elapsed.Milliseconds(), MonoUs: elapsed.Microseconds(), WallMs: t.UnixMilli()}
}

// autopurge removes snapshots and logs that are no longer needed, every few hours.
func (m *Member) autopurge(ctx context.Context) {
	hours := m.cfg.Storage.PurgeIntervalHours
	if hours <= 0 {
		return
	}
	every := time.NewTicker(time.Duration(hours) * time.Hour)
	defer every.Stop()
	for {
		removed, err := m.storage.Purge(m.cfg.Storage.SnapRetainCount)
		if err != nil {
			m.log.Error("could not purge old snapshots and logs; they take space until the next try", "err", err)
		}
		if len(removed) > 0 {
			m.log.Info("purged old snapshots and logs", "files", len(removed), "oldest", filepath.Base(removed[0]))
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// restore loads snapshot and log from the disk.
func (m *Member) restore() (_ zab.Boot, _ *tree.Tree, replayed int, err error) {
	began := time.Now()
	t, recent, loaded, err := loadTree(m.storage, m.cfg.Storage.CommitLogCount, m.newBuilder)
	if err != nil {
		return zab.Boot{}, nil, 0, fmt.Errorf("restore from %s: %w", m.cfg.Storage.DataDir, err)
	}
	if loaded.Empty {
		if err := m.firstStart(t); err != nil {
			return zab.Boot{}, nil, 0, err
		}
	}
	if err := m.endPermit(); err != nil {
		return zab.Boot{}, nil, 0, err
	}
	accepted, current, err := m.storage.Epochs()
	if err != nil {
		return zab.Boot{}, nil, 0, err
	}
	m.files = newDiskView(m.storage, loaded)
	m.metrics.DatabaseInit.Observe(time.Since(began).Microseconds())
	m.metrics.StartupTxns.Observe(int64(loaded.Replayed))
	m.log.Info("restored", "znodes", t.Counts().Znodes, "lastZxid", hex(loaded.LastZxid), "replayed", loaded.Replayed,
		"took", time.Since(began).Round(time.Millisecond))
	floor, err := m.storage.TruncationFloor()
	if err != nil {
		return zab.Boot{}, nil, 0, err
	}
	boot := zab.Boot{AcceptedEpoch: accepted, CurrentEpoch: current, LastZxid: loaded.LastZxid, Floor: floor, Recent: recent}
	return boot, t, loaded.Replayed, nil
}

// newBuilder starts an empty tree, with a digest unless digest.enabled is false.
func (m *Member) newBuilder() *tree.Builder {
	if m.cfg.DigestEnabled {
		return tree.NewBuilder()
	}
	return tree.NewBuilderWithoutDigest()
}

// loadTree restores a tree and the newest transactions of the log.
func loadTree(s *storage.Storage, keep int, newBuilder func() *tree.Builder) (t *tree.Tree, recent []zab.Entry, loaded storage.Loaded, err error) {
	var b *tree.Builder
	loaded, err = s.Load(
		func() storage.SnapshotSink { b = newBuilder(); return b },
		func(zxid int64, payload []byte) error {
			if t == nil {
				t = b.Tree()
			}
			var txn jute.LoggedTxn
			if err := jute.Unmarshal(payload, &txn); err != nil {
				return err
			}
			if err := tree.Validate(&txn); err != nil {
				return err
			}
			t.Apply(&txn)
			if len(recent) >= 2*keep {
				recent = append(recent[:0], recent[len(recent)-keep:]...)
			}
			recent = append(recent, zab.Entry{Zxid: zxid, Payload: payload})
			return nil
		})
	if err != nil {
		return nil, nil, loaded, err
	}
	if t == nil {
		t = b.Tree()
	}
	return t, recent[max(0, len(recent)-keep):], loaded, nil
}

func hex(zxid int64) string { return fmt.Sprintf("0x%x", zxid) }
