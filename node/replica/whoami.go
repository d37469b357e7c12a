package replica

import (
	"strings"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// whoAmI lists the identities that a client has proved.
func whoAmI(who tree.Caller) jute.Record {
	answer := &jute.WhoAmIResponse{ClientInfo: make([]jute.ClientInfo, len(who.IDs))}
	for i, id := range who.IDs {
		answer.ClientInfo[i] = jute.ClientInfo{AuthScheme: id.Scheme, User: userOf(id)}
	}
	return answer
}

// userOf returns the name of the user behind an identity: for a digest without the hash,
// and none for super, which is no scheme of its own.
func userOf(id jute.ID) string {
	switch id.Scheme {
	case "digest":
		user, _, _ := strings.Cut(id.ID, ":")
		return user
	case "super":
		return ""
	}
	return id.ID
}
