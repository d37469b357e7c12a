package zk

import (
	"crypto/sha1"
	"encoding/base64"

	"zoolab/zk/jute"
)

// ACL grants permissions to an identity.
type ACL = jute.ACL

// The permissions of an ACL, to be combined with |.
const (
	PermRead   = jute.PermRead
	PermWrite  = jute.PermWrite
	PermCreate = jute.PermCreate
	PermDelete = jute.PermDelete
	PermAdmin  = jute.PermAdmin
	PermAll    = jute.PermAll
)

// WorldACL grants permissions to everybody.
func WorldACL(perms int32) []ACL {
	return []ACL{{Perms: perms, ID: jute.ID{Scheme: "world", ID: "anyone"}}}
}

// AuthACL grants permissions to every identity that the session has presented.
func AuthACL(perms int32) []ACL {
	return []ACL{{Perms: perms, ID: jute.ID{Scheme: "auth"}}}
}

// DigestACL grants permissions to who presents user and password with AddAuth.
func DigestACL(perms int32, user, password string) []ACL {
	sum := sha1.Sum([]byte(user + ":" + password))
	id := user + ":" + base64.StdEncoding.EncodeToString(sum[:])
	return []ACL{{Perms: perms, ID: jute.ID{Scheme: "digest", ID: id}}}
}

func orOpen(acl []ACL) []ACL {
	if len(acl) == 0 {
		return WorldACL(PermAll)
	}
	return acl
}
