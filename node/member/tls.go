package member

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"zoolab/node/config"
	"zoolab/node/server"
	"zoolab/zk/jute"
	"zoolab/zk/tlsconf"
)

// clientTLS opens the stores of the client ports, nil where none is encrypted.
func clientTLS(cfg *config.Config, log *slog.Logger) (*server.TLS, error) {
	c := &cfg.Clients
	if c.SecureAddr.Port == 0 && !c.PortUnification {
		return nil, nil
	}
	stores, err := openStores(cfg, c.TLS, log)
	if err != nil {
		return nil, err
	}
	authenticator := authenticator(cfg)
	return &server.TLS{
		Config: stores.Server(), OnPlainPort: c.PortUnification,
		Detection: stores.HandshakeDetection(), MaxHandshakes: c.MaxHandshakes,
		Identities: func(cert *x509.Certificate) ([]jute.ID, error) {
			subject, err := tlsconf.Subject(cert)
			if err != nil {
				return nil, err
			}
			return authenticator.Certificate(subject), nil
		},
	}, nil
}

// openStores opens the stores that settings name. What is wrong with them says where.
func openStores(cfg *config.Config, settings tlsconf.Settings, log *slog.Logger) (*tlsconf.Stores, error) {
	stores, err := tlsconf.Open(settings, log)
	var setting *tlsconf.Error
	if errors.As(err, &setting) {
		return nil, cfg.Wrong(setting.Key, setting.Problem, setting.Fix)
	}
	return stores, err
}

// clientConfig is what the client ports need to know.
func (m *Member) clientConfig() server.Config {
	c := &m.cfg.Clients
	return server.Config{
		Address: address(c.Addr), SecureAddress: address(c.SecureAddr), TLS: m.tls,
		MaxFrameBytes:          m.cfg.JuteMaxBufferBytes,
		MaxConnsPerIP:          c.MaxPerAddress,
		MaxConns:               c.MaxTotal,
		GlobalOutstandingLimit: c.GlobalOutstandingLimit,
		Requests:               requestThrottle(&c.RequestThrottle),
		Connections:            connectionThrottle(c),
		LargeBytes:             c.LargeRequestThresholdBytes,
		MaxLargeBytes:          c.LargeRequestMaxBytes,
		SessionlessTimeout:     time.Duration(c.SessionlessTimeoutMs) * time.Millisecond,
		Metrics:                m.metrics,
	}
}

func requestThrottle(c *config.RequestThrottle) server.RequestThrottle {
	return server.RequestThrottle{
		MaxRequests: c.MaxRequests, Stall: time.Duration(c.StallMs) * time.Millisecond,
		DropStale: c.DropStale, StaleConnection: c.StaleConnectionCheck, StaleLatency: c.StaleLatencyCheck,
		OpWait: time.Duration(c.OpWaitMs) * time.Millisecond,
	}
}

func connectionThrottle(clients *config.Clients) server.ConnectionThrottle {
	c := &clients.ConnectionThrottle
	ofNew := c.GlobalWeight
	if clients.LocalSessionsEnabled {
		ofNew = c.LocalWeight
	}
	return server.ConnectionThrottle{
		Tokens: c.Tokens, FillMs: c.FillMs, FillCount: c.FillCount, FreezeMs: c.FreezeMs,
		DropIncrease: c.DropIncrease, DropDecrease: c.DropDecrease, DecreaseRatio: c.DecreaseRatio,
		Weighted: c.Weighted, GlobalWeight: c.GlobalWeight, NewWeight: ofNew, RenewWeight: c.RenewWeight,
		Draw: rand.Float64,
	}
}

// address is "" for a port that is not to be opened.
func address(a config.HostPort) string {
	if a.Port == 0 {
		return ""
	}
	return a.String()
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// wrongAddress turns the error of a client port that the configuration names wrongly into
// one that says where. A port that is in use stays what it is: another process's doing.
func wrongAddress(cfg *config.Config, err error) error {
	var at *server.PortError
	if !errors.As(err, &at) {
		return err
	}
	key := cfg.ClientAddrKey(at.Secure)
	var unresolved *net.DNSError
	switch {
	case errors.As(err, &unresolved):
		return cfg.Wrong(key, fmt.Sprintf("%q can't be resolved: %s", unresolved.Name, unresolved.Err),
			"write an address of this machine or a name that resolves to one, or leave it out for all addresses")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return cfg.Wrong(key, "is no address of this machine: "+at.Err.Error(), "write one that is, or leave it out for all addresses")
	case errors.Is(err, syscall.EACCES):
		return cfg.Wrong(key, "may not be opened: "+at.Err.Error(), "choose a port above 1023, or give the process the right to use this one")
	}
	return err
}

// wrongDirectory does the same for the directories of the data.
func wrongDirectory(cfg *config.Config, err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err
	}
	for _, cause := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.EROFS, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EISDIR} {
		if errors.Is(err, cause) {
			key, dir := "dataDir", cfg.Storage.DataDir
			if cfg.Storage.DataLogDir != dir && within(at.Path, cfg.Storage.DataLogDir) && !within(at.Path, dir) {
				key, dir = "dataLogDir", cfg.Storage.DataLogDir
			}
			return cfg.Wrong(key, fmt.Sprintf("%s can't be used: %v", dir, err),
				"name a directory that the user who runs the server can write to, or create it for that user")
		}
	}
	return err
}

// within reports whether a path is in a directory, or is it, or one above it.
func within(path, dir string) bool {
	path, dir = filepath.Clean(path)+"/", filepath.Clean(dir)+"/"
	return strings.HasPrefix(path, dir) || strings.HasPrefix(dir, path)
}
