package tlsconf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how often the files are looked at for changes, at most.
	lookEvery = time.Second
	// expiryWarning is how long before its end a certificate is worth a warning.
	expiryWarning = 14 * 24 * time.Hour
)

// Stores are the open stores of some Settings.
type Stores struct {
	settings Settings
	log      *slog.Logger
	now      func() time.Time
	loaded   atomic.Pointer[loaded]
	looked   atomic.Int64 // when the files were last looked at, in nanoseconds

	mu   sync.Mutex
	seen []os.FileInfo // of the files when their content was taken over; nil for one that was absent
	told string        // why files that have changed can't be used, as it was logged
}

// loaded is the content of the stores. It does not change.
type loaded struct {
	certs []tls.Certificate
	roots *x509.CertPool // nil without a trust store
}

// Open reads the stores. log, which may be nil, is told of reloads and of certificates
// that expire. The error is an *Error.
func Open(settings Settings, log *slog.Logger) (*Stores, error) {
	if settings.Prefix == "" {
		settings.Prefix = "ssl."
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Stores{settings: settings, log: log, now: time.Now}
	if err := settings.Check(); err != nil {
		return nil, err
	}
	s.seen = s.look()
	first, err := s.load()
	if err != nil {
		return nil, err
	}
	s.loaded.Store(first)
	s.looked.Store(s.now().UnixNano())
	return s, nil
}

// load reads both stores.
func (s *Stores) load() (*loaded, error) {
	l := new(loaded)
	var err error
	if s.settings.KeyStore.Path != "" {
		if l.certs, err = s.settings.keys(); err != nil {
			return nil, err
		}
	}
	var trusted []*x509.Certificate
	if s.settings.TrustStore.Path != "" {
		if trusted, err = s.settings.trusted(); err != nil {
			return nil, err
		}
		l.roots = x509.NewCertPool()
	}
	for _, cert := range l.certs {
		s.checkExpiry("own", cert.Leaf)
	}
	for _, cert := range trusted {
		s.checkExpiry("trusted", cert)
		l.roots.AddCert(cert)
	}
	return l, nil
}

// checkExpiry warns of a certificate that is or will soon be of no use.
func (s *Stores) checkExpiry(which string, cert *x509.Certificate) {
	now := s.now()
	args := []any{"certificate", which, "subject", cert.Subject.String(), "from", cert.NotBefore, "until", cert.NotAfter}
	switch {
	case now.After(cert.NotAfter):
		s.log.Error("a certificate has expired and will be refused: replace it in its store", args...)
	case now.Before(cert.NotBefore):
		s.log.Error("a certificate is not yet valid and will be refused: check the clock, or replace it in its store", args...)
	case now.After(cert.NotAfter.Add(-expiryWarning)):
		s.log.Warn("a certificate expires soon: replace it in its store", args...)
	}
}

// look asks for the state of all files.
func (s *Stores) look() []os.FileInfo {
	var infos []os.FileInfo
	for _, store := range []Store{s.settings.KeyStore, s.settings.TrustStore} {
		for _, file := range store.files() {
			info, err := os.Stat(file)
			if err != nil {
				info = nil
			}
			infos = append(infos, info)
		}
	}
	return infos
}

// current returns the content of the stores, read again if the files have changed.
func (s *Stores) current() *loaded {
	now := s.now().UnixNano()
	if since := now - s.looked.Load(); s.settings.NoReload || since >= 0 && since < int64(lookEvery) || !s.mu.TryLock() {
		return s.loaded.Load()
	}
	defer s.mu.Unlock()
	s.looked.Store(now)
	// The state is from before the content, so that a change while it is read is seen later.
	infos := s.look()
	if sameFiles(infos, s.seen) {
		return s.loaded.Load()
	}
	// What can't be used is read again even if it does not change: who may read it can change
	// without a trace, and so can what kept this process from it.
	fresh, err := s.load()
	if err != nil {
		if text := err.Error(); text != s.told {
			s.told = text
			s.log.Error("key or trust store has changed, but can't be used; the certificates of before stay in use", "err", err)
		}
		return s.loaded.Load()
	}
	s.seen, s.told = infos, ""
	s.loaded.Store(fresh)
	attrs := []any{"keyStore", s.settings.KeyStore.Path, "trustStore", s.settings.TrustStore.Path}
	if len(fresh.certs) > 0 {
		attrs = append(attrs, "subject", fresh.certs[0].Leaf.Subject.String(), "until", fresh.certs[0].Leaf.NotAfter)
	}
	s.log.Info("took over changed key or trust store", attrs...)
	return fresh
}

func sameFiles(a, b []os.FileInfo) bool {
	for i := range a {
		switch {
		case a[i] == nil || b[i] == nil:
			if a[i] != b[i] {
				return false
			}
		case !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()):
			return false
		}
	}
	return true
}

// base is what servers and clients have in common.
func (s *Stores) base(l *loaded) *tls.Config {
	oldest, newest := s.settings.versions()
	return &tls.Config{
		Certificates: l.certs, MinVersion: oldest, MaxVersion: newest, CipherSuites: s.settings.CipherSuites,
		SessionTicketsDisabled: true,
	}
}

// HandshakeDetection is how long a client may take to begin its handshake.
func (s *Stores) HandshakeDetection() time.Duration {
	if s.settings.HandshakeDetection > 0 {
		return s.settings.HandshakeDetection
	}
	return DefaultHandshakeDetection
}

// Server is the configuration of a server. It follows changes of the stores; Settings
// should have passed CheckServer.
func (s *Stores) Server() *tls.Config { return s.ServerFor(nil) }

// ServerFor is Server for clients of which the hosts are known. With VerifyClientHostname
// a certificate that is good for one of them, too, is taken, whatever address its holder
// calls from: names need no entry in the reverse zones of DNS then.
func (s *Stores) ServerFor(hosts func() []string) *tls.Config {
	config := s.base(s.loaded.Load())
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return s.serverFor(hello, hosts), nil
	}
	return config
}

// serverFor is the configuration for one handshake.
func (s *Stores) serverFor(hello *tls.ClientHelloInfo, hosts func() []string) *tls.Config {
	l := s.current()
	config := s.base(l)
	switch s.settings.ClientAuth {
	case Need:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	case Want:
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case None:
		return config
	}
	if config.ClientCAs = l.roots; l.roots == nil {
		// Without a trust store nobody is trusted, rather than all whom the system trusts.
		config.ClientCAs = x509.NewCertPool()
	}
	if s.settings.VerifyClientHostname && !s.settings.NoHostnameVerification {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			if hosts != nil && slices.ContainsFunc(hosts(), func(host string) bool { return goodFor(state.PeerCertificates[0], host) == nil }) {
				return nil
			}
			return s.verifyClientHost(hello.Context(), state.PeerCertificates[0], hello.Conn.RemoteAddr())
		}
	}
	return config
}

// Client is the configuration for one connection to a host, which is a name or an
// address and does not go on the wire where it is an address.
func (s *Stores) Client(host string) *tls.Config {
	l := s.current()
	config := s.base(l)
	config.ServerName = host
	config.RootCAs = l.roots
	// VerifyConnection does all that is skipped, by the rules for hosts of Java clients.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error { return s.verifyServer(l, host, state) }
	return config
}

// Dial opens a connection to a server, for zk.WithDialer.
func (s *Stores) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, s.Client(host))
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}
