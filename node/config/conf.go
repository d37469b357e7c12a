package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// dataVersionDir is below dataDir and dataLogDir and holds the files; its name
// is the version of their format.
const dataVersionDir = "version-2"

// SnapshotDir is the directory of snapshots and epoch files, as an absolute
// path where that can be told.
func (c *Config) SnapshotDir() string { return versionDir(c.Storage.DataDir) }

// TxnLogDir is the directory of the txn logs, likewise.
func (c *Config) TxnLogDir() string { return versionDir(c.Storage.DataLogDir) }

func versionDir(dir string) string {
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	return filepath.Join(dir, dataVersionDir)
}

// ConfText is the answer to the four-letter word conf, as Apache writes it.
// dataDirSizeBytes and dataLogSizeBytes stand behind the labels dataDirSize and
// dataLogSize. (Apache 3.8.0 swaps them: it prints the size of the txn logs as
// dataDirSize, which only shows where dataLogDir is set.)
func (c *Config) ConfText(dataDirSizeBytes, dataLogSizeBytes int64) string {
	var b strings.Builder
	number := func(label string, value int64) { fmt.Fprintf(&b, "%s=%d\n", label, value) }
	number("clientPort", portOrNone(c.Clients.Addr))
	number("secureClientPort", portOrNone(c.Clients.SecureAddr))
	fmt.Fprintf(&b, "dataDir=%s\n", c.SnapshotDir())
	number("dataDirSize", dataDirSizeBytes)
	fmt.Fprintf(&b, "dataLogDir=%s\n", c.TxnLogDir())
	number("dataLogSize", dataLogSizeBytes)
	number("tickTime", int64(c.TickTimeMs))
	number("maxClientCnxns", int64(c.Clients.MaxPerAddress))
	number("minSessionTimeout", int64(c.MinSessionTimeoutMs))
	number("maxSessionTimeout", int64(c.MaxSessionTimeoutMs))
	number("clientPortListenBacklog", int64(c.Clients.ListenBacklog))
	number("serverId", c.MyID)
	own, known := c.Membership.Server(c.MyID)
	if !c.Distributed || !known {
		return b.String()
	}
	var electionPorts, quorumPorts []string
	for _, addr := range own.Addrs {
		electionPorts = append(electionPorts, strconv.Itoa(addr.ElectionPort))
		quorumPorts = append(quorumPorts, strconv.Itoa(addr.QuorumPort))
	}
	number("initLimit", int64(c.Ensemble.InitLimitTicks))
	number("syncLimit", int64(c.Ensemble.SyncLimitTicks))
	fmt.Fprintf(&b, "electionAlg=%s\n", electionAlg)
	fmt.Fprintf(&b, "electionPort=%s\n", strings.Join(electionPorts, "|"))
	fmt.Fprintf(&b, "quorumPort=%s\n", strings.Join(quorumPorts, "|"))
	number("peerType", int64(c.Role))
	b.WriteString("membership: \n")
	b.WriteString(c.MembershipText())
	return b.String()
}

// portOrNone is -1 for no address, as Apache prints it.
func portOrNone(addr HostPort) int64 {
	if addr.Port == 0 {
		return -1
	}
	return int64(addr.Port)
}
