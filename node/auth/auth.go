// Package auth checks the credentials that clients show. It is pure: what the transport
// proves by itself, an address or a certificate, is handed in by it, and the randomness
// of a SASL exchange by the caller.
//
// What an identity may do is not decided here but where ACLs are, in node/tree.
package auth

import (
	"crypto"
	"crypto/hmac"
	_ "crypto/md5" // the digest algorithms that an ensemble may be set to
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"zoolab/zk/jute"
	"zoolab/zk/sasl"
)

// Authenticator knows the schemes of a server. It is not changed once it is in use.
type Authenticator struct {
	// NoDigest takes the scheme digest away (DigestAuthenticationProvider.enabled).
	NoDigest bool
	// Digest makes the ids of the scheme digest, DefaultDigest where it is 0.
	Digest crypto.Hash
	// SuperDigest is the "super:hash" that makes a client exempt from ACLs, "" for none
	// (DigestAuthenticationProvider.superDigest).
	SuperDigest string
	// X509 adds the scheme x509, and X509Super is the subject, "" for none, that is
	// exempt from ACLs (X509AuthenticationProvider.superUser).
	X509      bool
	X509Super string
	// Ensemble adds the scheme ensemble: clients may say which ensemble they mean, and
	// are cut off if it is none of EnsembleNames; where that is nil all are right.
	Ensemble      bool
	EnsembleNames []string
	// Users has the passwords of the users of SASL, nil for no SASL.
	Users map[string]string
	// SASLSuperUsers are the users that are exempt from ACLs (superUser, superUser.N).
	SASLSuperUsers []string
}

// DefaultDigest makes the ids of the scheme digest where nothing else is configured.
const DefaultDigest = crypto.SHA1

// Verdict is what became of an auth packet.
type Verdict int

// The verdicts.
const (
	Refused   Verdict = iota // the proof fails or the scheme is unknown: answer and close
	Accepted                 // the identities are proved
	Elsewhere                // close without an answer, so that the client tries another server
)

// Authenticate returns the identities that credentials of a scheme prove. have are those
// that the connection has already, the transport's among them. Credentials are nil where
// the packet has none.
func (a *Authenticator) Authenticate(scheme string, credentials []byte, have []jute.ID) ([]jute.ID, Verdict) {
	switch {
	case scheme == "digest" && !a.NoDigest && credentials != nil:
		return a.digest(credentials), Accepted
	case scheme == "ip", scheme == "x509" && a.X509:
		// The transport has proved what there is to prove.
		if slices.ContainsFunc(have, func(id jute.ID) bool { return id.Scheme == scheme }) {
			return nil, Accepted
		}
	case scheme == "ensemble" && a.Ensemble:
		if len(credentials) > 0 && a.EnsembleNames != nil && !slices.Contains(a.EnsembleNames, string(credentials)) {
			return nil, Elsewhere
		}
		return nil, Accepted
	}
	return nil, Refused
}

func (a *Authenticator) digest(credentials []byte) []jute.ID {
	algorithm := a.Digest
	if algorithm == 0 {
		algorithm = DefaultDigest
	}
	digest := DigestWith(algorithm, string(credentials))
	ids := []jute.ID{{Scheme: "digest", ID: digest}}
	if a.SuperDigest != "" && hmac.Equal([]byte(digest), []byte(a.SuperDigest)) {
		ids = append(ids, jute.ID{Scheme: "super"})
	}
	return ids
}

// Address returns the identity of a client's address, in the form in which Java writes it:
// all eight parts of one of IPv6. What is no address stays as it is.
func Address(ip string) jute.ID {
	if address, err := netip.ParseAddr(ip); err == nil && address.Is6() && !address.Is4In6() {
		bytes := address.As16()
		parts := make([]string, 8)
		for i := range parts {
			parts[i] = strconv.FormatUint(uint64(bytes[2*i])<<8|uint64(bytes[2*i+1]), 16)
		}
		ip = strings.Join(parts, ":")
		if zone := address.Zone(); zone != "" {
			ip += "%" + zone
		}
	}
	return jute.ID{Scheme: "ip", ID: ip}
}

// Certificate returns the identities of a client whose certificate the transport has
// verified. subject is its distinguished name as Java's X500Principal writes it.
func (a *Authenticator) Certificate(subject string) []jute.ID {
	if !a.X509 {
		return nil
	}
	ids := []jute.ID{{Scheme: "x509", ID: subject}}
	if a.X509Super != "" && subject == a.X509Super {
		ids = append(ids, jute.ID{Scheme: "super", ID: subject})
	}
	return ids
}

// SASL starts an exchange, or returns nil where SASL is not configured. The nonce is
// sasl.NonceBytes of secure randomness.
func (a *Authenticator) SASL(nonce []byte) *sasl.Server {
	if a.Users == nil {
		return nil
	}
	return sasl.NewServer(sasl.ServerConfig{
		Protocol: sasl.ClientProtocol, Realm: sasl.ClientRealm,
		Password: func(user string) (password string, ok bool) {
			password, ok = a.Users[user]
			return password, ok
		},
	}, nonce)
}

// SASLUser returns the identities of a user who has passed an exchange.
func (a *Authenticator) SASLUser(user string) []jute.ID {
	ids := []jute.ID{{Scheme: "sasl", ID: user}}
	if slices.Contains(a.SASLSuperUsers, user) {
		ids = append(ids, jute.ID{Scheme: "super"})
	}
	return ids
}

// Digest returns the id of the digest scheme for "user:password" in the default
// algorithm: the user, a colon and the base64 of the SHA-1 of the whole.
func Digest(userPassword string) string { return DigestWith(DefaultDigest, userPassword) }

// DigestWith is Digest in another algorithm, one that DigestAlgorithm returns.
func DigestWith(algorithm crypto.Hash, userPassword string) string {
	user, _, _ := strings.Cut(userPassword, ":")
	h := algorithm.New()
	h.Write([]byte(userPassword))
	return user + ":" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// DigestAlgorithm finds an algorithm by its name in Java's MessageDigest.
func DigestAlgorithm(name string) (algorithm crypto.Hash, ok bool) {
	name = strings.ToUpper(name)
	if algorithm, ok = digestAlgorithms[name]; !ok {
		algorithm, ok = digestAlgorithms[strings.Replace(name, "SHA", "SHA-", 1)]
	}
	return algorithm, ok
}

var digestAlgorithms = map[string]crypto.Hash{
	"MD5": crypto.MD5, "SHA": crypto.SHA1, "SHA-1": crypto.SHA1,
	"SHA-224": crypto.SHA224, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512,
	"SHA-512/224": crypto.SHA512_224, "SHA-512/256": crypto.SHA512_256,
	"SHA3-224": crypto.SHA3_224, "SHA3-256": crypto.SHA3_256, "SHA3-384": crypto.SHA3_384, "SHA3-512": crypto.SHA3_512,
}
