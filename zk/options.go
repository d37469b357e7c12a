package zk

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"
)

// The defaults of the options.
const (
	DefaultSessionTimeout      = 10 * time.Second
	DefaultMaxRequestSizeBytes = 0xfffff  // the servers' default of jute.maxbuffer
	DefaultMaxReplySizeBytes   = 64 << 20 // children of a large znode
	DefaultMaxPending          = 4096
)

// Option changes how Connect makes a client.
type Option func(*settings)

// settings are what the options set; they don't change after Connect.
type settings struct {
	sessionTimeout      time.Duration
	connectTimeout      time.Duration // 0: session timeout / number of servers
	readTimeout         time.Duration // 0: two thirds of the session timeout
	dial                DialFunc
	tls                 *tls.Config // nil for plain connections
	log                 *slog.Logger
	rng                 *rand.Rand
	onWatch             func(Event)
	onStray             func(Event)
	onSession           func(SessionEvent)
	session             Session
	auths               []credential
	maxRequestSizeBytes int
	maxReplySizeBytes   int
	maxPending          int
	failFast            bool
	readOnly            bool
	sasl                *saslUser
	requestTimeout      time.Duration // 0: none
}

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

type credential struct {
	scheme string
	auth   []byte
}

func defaults() settings {
	return settings{
		sessionTimeout:      DefaultSessionTimeout,
		dial:                (&net.Dialer{}).DialContext,
		log:                 slog.New(slog.DiscardHandler),
		maxRequestSizeBytes: DefaultMaxRequestSizeBytes,
		maxReplySizeBytes:   DefaultMaxReplySizeBytes,
		maxPending:          DefaultMaxPending,
	}
}

// WithSessionTimeout asks for a session timeout; the server may grant another, which
// Session tells. The default is 10 s.
func WithSessionTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.sessionTimeout = timeout }
}

// WithConnectTimeout bounds one attempt to connect and shake hands. The default is
// the session timeout divided by the number of servers.
func WithConnectTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.connectTimeout = timeout }
}

// WithReadTimeout is how long a server may be silent before its connection is given
// up. The default is two thirds of the session timeout; an idle client pings after
// one third.
func WithReadTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.readTimeout = timeout }
}

// WithDialer replaces the TCP dialer: for proxies and tests, and for TLS with the stores
// of a Java client (tlsconf.Stores.Dial).
func WithDialer(dial DialFunc) Option { return func(s *settings) { s.dial = dial } }

// WithTLS encrypts every connection, for the servers' secureClientPort. Where config has
// no ServerName, the certificate of each server must be good for its host in the connect
// string. config must not be changed afterwards.
func WithTLS(config *tls.Config) Option { return func(s *settings) { s.tls = config } }

// WithLogger logs what happens to connections and the session. The default is silence.
func WithLogger(log *slog.Logger) Option { return func(s *settings) { s.log = log } }

// WithSASL proves, on every connection, to be the user with SASL's DIGEST-MD5, as
// servers with a JAAS file for it ask. A refusal ends the session with ErrAuthFailed.
// The password itself does not travel.
func WithSASL(user, password string) Option {
	return func(s *settings) { s.sasl = &saslUser{user, password} }
}

// WithRequestTimeout bounds every call, besides its context: a call without an answer
// after that time fails with ErrRequestTimeout. There is no bound by default.
func WithRequestTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.requestTimeout = timeout }
}

// WithReadOnly lets the client connect to servers that have lost their quorum and
// answer only reads, when no other can be reached. Changes then fail with
// ErrNotReadOnly. Meanwhile the client looks for a better server in the background.
func WithReadOnly() Option { return func(s *settings) { s.readOnly = true } }

// WithRand is the source of the order of servers and of the pauses between attempts.
// The client uses it from one goroutine at a time. The default is seeded at random.
func WithRand(rng *rand.Rand) Option { return func(s *settings) { s.rng = rng } }

// WithSessionEvents calls f, in order and one call at a time, for every change of the
// session's state. f runs on the goroutine that keeps the session: it must return
// soon and must not wait for calls of the client.
func WithSessionEvents(f func(SessionEvent)) Option {
	return func(s *settings) { s.onSession = f }
}

// WithWatchEvents calls f with what the client's watches see, each event once however
// many watches it concerns, and in order: before any call returns data that is as new.
// f runs on the goroutine that reads the connection: it must return soon and must not
// wait for calls of the client. The watches' channels get the events all the same.
func WithWatchEvents(f func(Event)) Option {
	return func(s *settings) { s.onWatch = f }
}

// WithStrayEvents calls f with events for which the client has no watch, and which it else
// drops. A server that keeps its promises sends them only for watches that are being removed,
// or whose request had no answer: so who tests a server learns of an event that it sent twice.
// For f the same holds as for that of WithWatchEvents.
func WithStrayEvents(f func(Event)) Option {
	return func(s *settings) { s.onStray = f }
}

// WithSession attaches to a session that exists, of this or another process. Connect
// fails with ErrSessionExpired when the servers don't know it any more.
func WithSession(session Session) Option { return func(s *settings) { s.session = session } }

// WithAuth presents a credential on every connection before anything else is asked,
// such as "digest" with "user:password".
func WithAuth(scheme string, auth []byte) Option {
	return func(s *settings) { s.auths = append(s.auths, credential{scheme, auth}) }
}

// WithMaxRequestSize bounds a request, 1 MiB less one byte by default as servers do.
// A larger one fails with ErrRequestTooLarge before it is sent.
func WithMaxRequestSize(sizeBytes int) Option {
	return func(s *settings) { s.maxRequestSizeBytes = sizeBytes }
}

// WithMaxReplySize bounds what a server may send in one frame, 64 MiB by default. A
// larger frame ends the connection.
func WithMaxReplySize(sizeBytes int) Option {
	return func(s *settings) { s.maxReplySizeBytes = sizeBytes }
}

// WithMaxPending bounds the calls that wait for an answer at a time, 4096 by default.
// Further calls wait until one has ended, or their context has.
func WithMaxPending(calls int) Option { return func(s *settings) { s.maxPending = max(calls, 1) } }

// WithFailFast lets calls fail with ErrDisconnected while there is no connection,
// instead of waiting for one. What was not yet sent when a connection breaks fails too.
func WithFailFast() Option { return func(s *settings) { s.failFast = true } }
