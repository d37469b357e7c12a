package tlsconf

import (
	"crypto/tls"
	"slices"
	"strings"
)

// suites are the cipher suites by the names that Java uses, which are IANA's.
var suites = func() map[string]uint16 {
	byName := make(map[string]uint16)
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS12) || slices.Contains(suite.SupportedVersions, tls.VersionTLS13) {
			byName[suite.Name] = suite.ID
		}
	}
	// The only suites of these whose Java name is older than TLS.
	byName["SSL_RSA_WITH_3DES_EDE_CBC_SHA"] = tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA
	byName["SSL_RSA_WITH_RC4_128_SHA"] = tls.TLS_RSA_WITH_RC4_128_SHA
	return byName
}()

// suites13 are the suites of TLS 1.3, which package tls always offers all of.
var suites13 = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}

func isTLS13(suite uint16) bool { return slices.Contains(suites13, suite) }

// setCipherSuites takes a list of names. One that package tls does not have is an error:
// to leave it out quietly could leave a client without a suite in common.
func (s *Settings) setCipherSuites(name, value string) *Error {
	var chosen []uint16
	for word := range strings.SplitSeq(value, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		id, ok := suites[strings.ToUpper(word)]
		if !ok {
			return s.errorf(name, "remove it; there are: "+strings.Join(secureSuites(), " "), "there is no cipher suite %q here", word)
		}
		chosen = append(chosen, id)
	}
	s.CipherSuites = chosen
	return nil
}

// secureSuites are the names of the suites that an operator should choose from.
func secureSuites() []string {
	var names []string
	for _, suite := range tls.CipherSuites() {
		names = append(names, suite.Name)
	}
	return names
}
