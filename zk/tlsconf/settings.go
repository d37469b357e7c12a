package tlsconf

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ClientAuth is what a server asks of its clients' certificates.
type ClientAuth int

const (
	Need ClientAuth = iota // a client must show a trusted certificate
	Want                   // a client may show one, which must then be trusted
	None                   // no certificate is asked for
)

// DefaultHandshakeDetection is how long a client may take to begin its handshake.
const DefaultHandshakeDetection = 5 * time.Second

// Settings say which stores to use and how. The zero value has Apache's defaults, except
// for the protocols (see the package's documentation).
type Settings struct {
	// Prefix stands before the names of settings in messages: "ssl." or "ssl.quorum.".
	Prefix string
	// KeyStore has the own certificate and its key; TrustStore those whom to trust. A
	// client needs no key store, and without a trust store uses the system's.
	KeyStore, TrustStore Store
	// Protocol and EnabledProtocols are versions of package tls; the second counts where
	// both are set.
	Protocol, EnabledProtocols []uint16
	// CipherSuites are ids of package tls, nil for the library's choice.
	CipherSuites []uint16
	ClientAuth   ClientAuth
	// NoHostnameVerification lets a client take any trusted certificate for any host
	// (hostnameVerification=false). It switches VerifyClientHostname off, too.
	NoHostnameVerification bool
	// VerifyClientHostname makes a server check that a client's certificate is good for
	// the client's address (clientHostnameVerification).
	VerifyClientHostname bool
	// ReverseDNS lets that check ask for the name of the address (allowReverseDnsLookup).
	ReverseDNS bool
	// HandshakeDetection is how long a client may take to begin its handshake; 0 stands
	// for DefaultHandshakeDetection.
	HandshakeDetection time.Duration
	// NoReload keeps the stores as they were at the start.
	NoReload bool
}

// Error is a setting that can't be used.
type Error struct {
	Key     string // with its prefix: "ssl.keyStore.password"
	Problem string // what is wrong
	Fix     string // what to do
}

// Error gives "key: problem; fix".
func (e *Error) Error() string { return e.Key + ": " + e.Problem + "; " + e.Fix }

func (s *Settings) errorf(name, fix, format string, args ...any) *Error {
	return &Error{Key: s.Prefix + name, Problem: fmt.Sprintf(format, args...), Fix: fix}
}

// setters store the value of the setting with this name, which stands behind the prefix.
var setters = map[string]func(s *Settings, name, value string) *Error{
	"keyStore.location":       text(func(s *Settings) *string { return &s.KeyStore.Path }),
	"keyStore.password":       text(func(s *Settings) *string { return &s.KeyStore.Password }),
	"keyStore.passwordPath":   text(func(s *Settings) *string { return &s.KeyStore.PasswordPath }),
	"keyStore.type":           storeType(func(s *Settings) *Store { return &s.KeyStore }),
	"trustStore.location":     text(func(s *Settings) *string { return &s.TrustStore.Path }),
	"trustStore.password":     text(func(s *Settings) *string { return &s.TrustStore.Password }),
	"trustStore.passwordPath": text(func(s *Settings) *string { return &s.TrustStore.PasswordPath }),
	"trustStore.type":         storeType(func(s *Settings) *Store { return &s.TrustStore }),

	"protocol":         protocols(func(s *Settings) *[]uint16 { return &s.Protocol }),
	"enabledProtocols": protocols(func(s *Settings) *[]uint16 { return &s.EnabledProtocols }),
	"ciphersuites":     (*Settings).setCipherSuites,
	"clientAuth":       (*Settings).setClientAuth,

	"hostnameVerification": func(s *Settings, name, value string) *Error {
		on, err := s.boolean(name, value)
		s.NoHostnameVerification = !on
		return err
	},
	"clientHostnameVerification": flag(func(s *Settings) *bool { return &s.VerifyClientHostname }),
	"allowReverseDnsLookup":      flag(func(s *Settings) *bool { return &s.ReverseDNS }),
	"crl":                        unsupported("revocation lists are not supported: a revoked certificate would still be taken"),
	"ocsp":                       unsupported("asking for revocation is not supported: a revoked certificate would still be taken"),

	"handshakeDetectionTimeoutMillis": (*Settings).setHandshakeDetection,
	"authProvider": func(s *Settings, name, value string) *Error {
		if value == "" || value == "x509" {
			return nil
		}
		return s.errorf(name, "leave the line out, or write "+s.Prefix+name+"=x509",
			"%q is a Java class's scheme; this server has only x509", value)
	},
	"context.supplier.class": func(s *Settings, name, value string) *Error {
		if value == "" {
			return nil
		}
		return s.errorf(name, "leave the line out and name the stores in "+s.Prefix+"keyStore.location and "+s.Prefix+"trustStore.location",
			"%q is a Java class, which this server can't load", value)
	},
}

// Names are the names of all settings without their prefix, sorted.
func Names() []string {
	names := make([]string, 0, len(setters))
	for name := range setters {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Set takes the value that a setting of this name, without prefix, has in zoo.cfg. The
// error is an *Error.
func (s *Settings) Set(name, value string) error {
	set, ok := setters[name]
	if !ok {
		return s.errorf(name, "leave it out", "there is no such setting")
	}
	if err := set(s, name, strings.TrimSpace(value)); err != nil {
		return err
	}
	return nil
}

func text(field func(s *Settings) *string) func(*Settings, string, string) *Error {
	return func(s *Settings, _, value string) *Error {
		*field(s) = value
		return nil
	}
}

func flag(field func(s *Settings) *bool) func(*Settings, string, string) *Error {
	return func(s *Settings, name, value string) *Error {
		on, err := s.boolean(name, value)
		*field(s) = on
		return err
	}
}

func (s *Settings) boolean(name, value string) (bool, *Error) {
	switch strings.ToLower(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, s.errorf(name, "write "+s.Prefix+name+"=true or "+s.Prefix+name+"=false", "%q is neither true nor false", value)
}

// unsupported is a protection that can only be switched off.
func unsupported(problem string) func(*Settings, string, string) *Error {
	return func(s *Settings, name, value string) *Error {
		on, err := s.boolean(name, value)
		if err == nil && on {
			err = s.errorf(name, "remove the line, and replace the trust store (it is read again without a restart) or use certificates that live for a short time", "%s", problem)
		}
		return err
	}
}

func storeType(field func(s *Settings) *Store) func(*Settings, string, string) *Error {
	return func(s *Settings, name, value string) *Error {
		t := Type(strings.ToUpper(value))
		switch t {
		case "", JKS, PKCS12, PEM:
			field(s).Type = t
			return nil
		case "BCFKS":
			return s.errorf(name, "convert it: keytool -importkeystore -srckeystore FILE -srcstoretype BCFKS -destkeystore FILE.p12 -deststoretype PKCS12",
				"stores of type BCFKS (Bouncy Castle) are not supported")
		}
		return s.errorf(name, "write JKS, PKCS12 or PEM, or leave the line out: the type is recognized", "%q is not a type of stores", value)
	}
}

func (s *Settings) setClientAuth(name, value string) *Error {
	switch strings.ToLower(value) {
	case "", "need":
		s.ClientAuth = Need
	case "want":
		s.ClientAuth = Want
	case "none":
		s.ClientAuth = None
	default:
		return s.errorf(name, "write "+s.Prefix+name+"=need, want or none", "%q is none of need, want, none", value)
	}
	return nil
}

// setHandshakeDetection takes milliseconds. What is below 1 stands for the default, as in
// Apache's servers.
func (s *Settings) setHandshakeDetection(name, value string) *Error {
	ms, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return s.errorf(name, "write for example "+s.Prefix+name+"=5000 (milliseconds)", "%q is not a whole number of 32 bits", value)
	}
	s.HandshakeDetection = max(0, time.Duration(ms)*time.Millisecond)
	return nil
}

// both are the versions that are spoken; older ones are broken.
var both = []uint16{tls.VersionTLS12, tls.VersionTLS13}

func protocols(field func(s *Settings) *[]uint16) func(*Settings, string, string) *Error {
	return func(s *Settings, name, value string) *Error {
		var versions []uint16
		for word := range strings.SplitSeq(value, ",") {
			switch strings.ToLower(strings.TrimSpace(word)) {
			case "":
			case "tls", "default":
				versions = append(versions, both...)
			case "tlsv1.2":
				versions = append(versions, tls.VersionTLS12)
			case "tlsv1.3":
				versions = append(versions, tls.VersionTLS13)
			case "sslv2hello", "sslv3", "tlsv1", "tlsv1.1":
				return s.errorf(name, "write "+s.Prefix+name+"=TLSv1.2,TLSv1.3", "%s is broken and not supported", strings.TrimSpace(word))
			default:
				return s.errorf(name, "write "+s.Prefix+name+"=TLSv1.2,TLSv1.3", "%q is not a protocol", strings.TrimSpace(word))
			}
		}
		*field(s) = versions
		return nil
	}
}

// versions are the oldest and the newest version to speak.
func (s *Settings) versions() (oldest, newest uint16) {
	enabled := s.EnabledProtocols
	if len(enabled) == 0 {
		enabled = s.Protocol
	}
	if len(enabled) == 0 {
		enabled = both
	}
	oldest, newest = slices.Min(enabled), slices.Max(enabled)
	if len(s.CipherSuites) > 0 {
		// A version of which no suite is wanted is not wanted either.
		if !slices.ContainsFunc(s.CipherSuites, isTLS13) {
			newest = min(newest, tls.VersionTLS12)
		}
		if !slices.ContainsFunc(s.CipherSuites, func(id uint16) bool { return !isTLS13(id) }) {
			oldest = max(oldest, tls.VersionTLS13)
		}
	}
	return oldest, newest
}

// Check finds settings that contradict each other. The error is an *Error.
func (s *Settings) Check() error {
	if oldest, newest := s.versions(); oldest > newest {
		return s.errorf("ciphersuites", "add suites of the versions in "+s.Prefix+"enabledProtocols, or leave the line out",
			"no suite belongs to %s, the only version that is enabled", tls.VersionName(max(oldest, newest)))
	}
	return nil
}

// CheckServer is Check for a server, which needs a certificate of its own and, where it
// asks for those of clients, to know whom to trust.
func (s *Settings) CheckServer() error {
	if s.KeyStore.Path == "" {
		return s.errorf("keyStore.location", "add a line such as "+s.Prefix+"keyStore.location=/etc/zookeeper/server.p12, with "+s.Prefix+"keyStore.password",
			"is not set, but TLS needs a certificate and its key")
	}
	if s.TrustStore.Path == "" && s.ClientAuth == Need {
		return s.errorf("trustStore.location", "add a line such as "+s.Prefix+"trustStore.location=/etc/zookeeper/trust.p12, or set "+s.Prefix+"clientAuth=none if clients need no certificate",
			"is not set, so no client's certificate could be trusted, and %sclientAuth=need (the default) asks for one", s.Prefix)
	}
	return s.Check()
}

// Warnings says what an operator should know about settings that are no errors.
func (s *Settings) Warnings() []Error {
	var warnings []Error
	chosen := slices.DeleteFunc(slices.Clone(s.CipherSuites), func(id uint16) bool { return !isTLS13(id) })
	if len(chosen) > 0 && len(chosen) < len(suites13) {
		warnings = append(warnings, Error{Key: s.Prefix + "ciphersuites", Problem: "names only some suites of TLS 1.3, but all of them are enabled"})
	}
	return warnings
}
