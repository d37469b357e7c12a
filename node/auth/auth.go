// Package auth checks the credentials that clients show in auth packets. It is pure;
// what the transport proves by itself (an address, a certificate) does not pass here.
package auth

import (
	"crypto/sha1" // the digest scheme of ZooKeeper is defined by it
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"zoolab/zk/jute"
)

// Authenticator knows the schemes of a server.
type Authenticator struct {
	// SuperDigest is the "super:hash" that makes a client exempt from ACLs, "" for none
	// (DigestAuthenticationProvider.superDigest).
	SuperDigest string
}

// Authenticate returns the identity that credentials of a scheme prove. ok is false for
// an unknown scheme and for a proof that fails.
func (a Authenticator) Authenticate(scheme string, credentials []byte) (id jute.ID, ok bool) {
	if scheme != "digest" {
		return jute.ID{}, false
	}
	digest := Digest(string(credentials))
	if a.SuperDigest != "" && subtle.ConstantTimeCompare([]byte(digest), []byte(a.SuperDigest)) == 1 {
		return jute.ID{Scheme: "super", ID: ""}, true
	}
	return jute.ID{Scheme: "digest", ID: digest}, true
}

// Digest returns the id of the digest scheme for "user:password": the user, a colon and
// the base64 of the SHA-1 of the whole.
func Digest(userPassword string) string {
	user, _, _ := strings.Cut(userPassword, ":")
	sum := sha1.Sum([]byte(userPassword))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}
